// Weights into panels; see interface.h for the layout.
#include <algorithm>
#include <cstring>

#include "interface.h"
#include "pool.h"

namespace openk2 {
namespace {

constexpr int HALF = PANEL / 2;

// Steps that are written together: their lines stay in the cache while column follows column.
constexpr int64_t TOGETHER = 64;

// Half a panel: 16 columns, which are rows of the weight, `rows` of them there, from `first` on.
void pack_half(const char* first, int64_t row_bytes, int64_t rows, int64_t k, int32_t type,
               char* out) {
  const int64_t steps = steps_of(k, type), whole = k * bytes_of(type) / 4;
  for (int64_t start = 0; start < steps; start += TOGETHER) {
    const int64_t end = std::min(steps, start + TOGETHER);
    for (int64_t column = 0; column < HALF; column++) {
      const char* row = first + column * row_bytes;
      char* to = out + column * 4;
      int64_t s = start;
      for (; column < rows && s < std::min(end, whole); s++) {
        std::memcpy(to + s * STEP_BYTES, row + s * 4, 4);
      }
      for (; s < end; s++) {
        std::memset(to + s * STEP_BYTES, 0, 4);
        if (column < rows) std::memcpy(to + s * STEP_BYTES, row + s * 4, 2);
      }
    }
  }
}

}  // namespace
}  // namespace openk2

// `count` matrices of `columns` rows of k values into panels of 32 columns; with `second`, into
// panels of 16 columns of the first and the same 16 of the second. Strides count elements.
extern "C" __attribute__((visibility("default"))) void openk2_pack(
    const void* first, const void* second, int64_t matrix, int64_t row, int64_t count,
    int64_t columns, int64_t k, int32_t type, void* out) {
  using namespace openk2;
  const int64_t size = bytes_of(type), advance = second ? HALF : PANEL;
  const int64_t panels = (columns + advance - 1) / advance;
  const int64_t panel_bytes = steps_of(k, type) * STEP_BYTES;
  auto item = [&](int64_t index, int) {
    const int64_t at = index / panels, column = index % panels * advance;
    const int64_t start = (at * matrix + column * row) * size;
    const char* left = static_cast<const char*>(first) + start;
    char* panel = static_cast<char*>(out) + index * panel_bytes;
    pack_half(left, row * size, columns - column, k, type, panel);
    if (second) {
      const char* right = static_cast<const char*>(second) + start;
      pack_half(right, row * size, columns - column, k, type, panel + HALF * 4);
    } else {
      const char* right = left + HALF * row * size;
      pack_half(right, row * size, columns - column - HALF, k, type, panel + HALF * 4);
    }
  };
  run(count * panels, item);
}
