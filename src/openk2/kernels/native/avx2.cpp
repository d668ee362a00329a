// AVX2 and FMA: Haswell, Zen and later.
#include "lanes_avx2.h"

#include "table.h"

namespace openk2 {

extern const Kernels kernels_avx2;
const Kernels kernels_avx2 = make_table("avx2");

}  // namespace openk2
