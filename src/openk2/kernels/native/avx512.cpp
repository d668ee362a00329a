// AVX-512 F, BW, DQ and VL: Skylake-X and later.
#include "lanes_avx512.h"

#include "table.h"

namespace openk2 {

extern const Kernels kernels_avx512;
const Kernels kernels_avx512 = make_table("avx512");

}  // namespace openk2
