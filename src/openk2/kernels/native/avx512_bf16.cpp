// AVX-512 with BF16: Zen 4, Cooper Lake, Sapphire Rapids and later.
#define OPENK2_PAIRS
#include "lanes_avx512.h"

#include "table.h"

namespace openk2 {

extern const Kernels kernels_avx512_bf16;
const Kernels kernels_avx512_bf16 = make_table("avx512_bf16");

}  // namespace openk2
