// Any processor.
#include "lanes_portable.h"

#include "table.h"

namespace openk2 {

extern const Kernels kernels_portable;
const Kernels kernels_portable = make_table("portable");

}  // namespace openk2
