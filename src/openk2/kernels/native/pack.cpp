// Weights into panels; see interface.h for the layout.
#include <algorithm>
#include <atomic>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "interface.h"
#include "pool.h"

namespace openk2 {
namespace {

constexpr int HALF = PANEL / 2;

// Steps that are written together: their lines stay in the cache while column follows column.
constexpr int64_t TOGETHER = 64;

// The first of the steps of 16 rows that fill whole vectors of four; returns where they end.
inline int64_t pack_fours(const char* first, int64_t row_stride, int64_t start, int64_t end,
                          char* out) {
#ifdef __SSE2__
  for (; start + 4 <= end; start += 4, out += 4 * STEP_BYTES) {
    for (int column = 0; column < HALF; column += 4) {
      const char* from = first + column * row_stride + start * 4;
      __m128i rows[4];
      for (int r = 0; r < 4; r++) {
        rows[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + r * row_stride));
      }
      const __m128i a = _mm_unpacklo_epi32(rows[0], rows[1]), b = _mm_unpacklo_epi32(rows[2], rows[3]);
      const __m128i c = _mm_unpackhi_epi32(rows[0], rows[1]), d = _mm_unpackhi_epi32(rows[2], rows[3]);
      const __m128i steps[4] = {_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b),
                                _mm_unpacklo_epi64(c, d), _mm_unpackhi_epi64(c, d)};
      for (int s = 0; s < 4; s++) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + s * STEP_BYTES + column * 4), steps[s]);
      }
    }
  }
#endif
  return start;
}

// Half a panel: 16 columns, which are rows of the weight, `rows` of them there, from `first` on.
// Steps `start` to `end`, whose values are `row_bytes` of the row altogether.
void pack_half(const char* first, int64_t row_stride, int64_t rows, int64_t row_bytes,
               int64_t start, int64_t end, char* out) {
  if (rows >= HALF) {
    const int64_t fours = pack_fours(first, row_stride, start, std::min(end, row_bytes / 4), out);
    out += (fours - start) * STEP_BYTES;
    start = fours;
  }
  for (int64_t from = start; from < end; from += TOGETHER) {
    const int64_t to = std::min(end, from + TOGETHER), whole = std::min(to, row_bytes / 4);
    for (int64_t column = 0; column < HALF; column++) {
      const char* row = first + column * row_stride;
      char* place = out + (from - start) * STEP_BYTES + column * 4;
      int64_t s = from;
      for (; column < rows && s < whole; s++, place += STEP_BYTES) {
        std::memcpy(place, row + s * 4, 4);
      }
      for (; s < to; s++, place += STEP_BYTES) {
        std::memset(place, 0, 4);
        const int64_t left = row_bytes - s * 4;
        if (column < rows && left > 0) {
          std::memcpy(place, row + s * 4, static_cast<size_t>(std::min<int64_t>(left, 4)));
        }
      }
    }
  }
}

// A quantized weight [columns, k] in memory; see panel.h for what its type says.
struct Stored {
  const char* values;  // rows of `row_bytes`
  const char* scales;  // e4m3: float32 [blocks of `block_columns` columns, groups];
                       // int4: bfloat16 [columns, groups]
};

struct Shape {
  int64_t columns, k, row_bytes, block_columns, group;
  int32_t type;
};

// Whether one of `bytes` e4m3 values is NaN.
bool holds_nan(const char* values, int64_t bytes) {
  int found = 0;
  for (int64_t i = 0; i < bytes; i++) found |= (values[i] & 0x7f) == 0x7f;
  return found != 0;
}

// 16 columns of `weight` from `column` on into one half of a panel; false if one is NaN.
bool pack_quantized_half(const Stored& weight, const Shape& shape, int64_t column, int half,
                         char* panel) {
  const int64_t rows = std::max<int64_t>(0, shape.columns - column);
  const int64_t groups = groups_of(shape.k, shape.group);
  const char* first = weight.values + column * shape.row_bytes;
  if (shape.type == E4M3) {
    const int64_t block = std::min(column, shape.columns - 1) / shape.block_columns;
    for (int64_t g = 0; g < groups; g++) {
      std::memcpy(panel + g * E4M3_GROUP_BYTES + half * 4,
                  weight.scales + (block * groups + g) * 4, 4);
    }
    char* steps = panel + e4m3_header(shape.k, shape.group) + half * HALF * 4;
    pack_half(first, shape.row_bytes, rows, shape.row_bytes, 0, steps_of(shape.k, E4M3), steps);
    return !holds_nan(first, std::min<int64_t>(rows, HALF) * shape.row_bytes);
  }
  const int64_t group_steps = shape.group / step_k(INT4);
  for (int64_t g = 0; g < groups; g++) {
    char* start = panel + g * int4_group_bytes(shape.group);
    for (int64_t i = 0; i < HALF; i++) {
      char* scale = start + (half * HALF + i) * 2;
      if (i < rows) std::memcpy(scale, weight.scales + ((column + i) * groups + g) * 2, 2);
      else std::memset(scale, 0, 2);
    }
    pack_half(first, shape.row_bytes, rows, shape.row_bytes, g * group_steps, (g + 1) * group_steps,
              start + INT4_GROUP_BYTES + half * HALF * 4);
  }
  return true;
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
  const int64_t panels = (columns + advance - 1) / advance, steps = steps_of(k, type);
  auto item = [&](int64_t index, int) {
    const int64_t at = index / panels, column = index % panels * advance;
    const int64_t start = (at * matrix + column * row) * size;
    const char* left = static_cast<const char*>(first) + start;
    const char* right = second ? static_cast<const char*>(second) + start : left + HALF * row * size;
    const int64_t right_column = second ? column : column + HALF;
    char* panel = static_cast<char*>(out) + index * steps * STEP_BYTES;
    pack_half(left, row * size, columns - column, k * size, 0, steps, panel);
    pack_half(right, row * size, columns - right_column, k * size, 0, steps, panel + HALF * 4);
  };
  run(count * panels, item);
}

// One quantized matrix of `columns` rows of k values, or two side by side as above, into panels.
// type, block_columns, group: see Stored. Returns 1 if an e4m3 value is NaN; out is then of no use.
extern "C" __attribute__((visibility("default"))) int openk2_pack_quantized(
    const void* first, const void* first_scales, const void* second, const void* second_scales,
    int64_t columns, int64_t k, int64_t block_columns, int64_t group, int32_t type, void* out) {
  using namespace openk2;
  const Shape shape{columns, k, type == E4M3 ? k : k / 2, block_columns, group, type};
  const Stored left{static_cast<const char*>(first), static_cast<const char*>(first_scales)};
  const Stored other{static_cast<const char*>(second), static_cast<const char*>(second_scales)};
  const int64_t advance = second ? HALF : PANEL;
  const int64_t panel_bytes = panel_bytes_of(k, type, group);
  std::atomic<bool> refused{false};
  auto item = [&](int64_t index, int) {
    const int64_t column = index * advance;
    char* panel = static_cast<char*>(out) + index * panel_bytes;
    if (type == E4M3) std::memset(panel, 0, static_cast<size_t>(e4m3_header(k, group)));
    const bool fine = pack_quantized_half(left, shape, column, 0, panel);
    const bool right = second ? pack_quantized_half(other, shape, column, 1, panel)
                              : pack_quantized_half(left, shape, column + HALF, 1, panel);
    if (!fine || !right) refused.store(true, std::memory_order_relaxed);
  };
  run((columns + advance - 1) / advance, item);
  return refused.load() ? 1 : 0;
}
