// How a product is cut into items for threads. The cut changes no bit of the result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "interface.h"
#include "pool.h"

namespace openk2 {

// Rows that are packed together: enough to use a panel well, few enough to stay in the cache.
constexpr int64_t BLOCK_ROWS = 192;

// Work below this many bytes of weights, read at the rate of the caches, is done before another
// thread would begin.
constexpr int64_t LEAST_BYTES = 32 << 10;

// Consecutive panels of an item, of `panels` for each of `blocks` groups of at most `rows` rows.
inline int64_t panels_of_item(int64_t panels, int64_t blocks, int64_t rows, int64_t panel_bytes) {
  const int64_t shares = threads() == 1 ? 1 : 4 * threads();
  const int64_t even = (panels * blocks + shares - 1) / shares;
  const int64_t cost = std::max<int64_t>(1, panel_bytes * (1 + rows / 8));
  const int64_t least = (LEAST_BYTES + cost - 1) / cost;
  // The sums of an item, 128 bytes a row and panel, stay in the second-level cache.
  const int64_t most = std::max<int64_t>(1, (256 << 10) / std::max<int64_t>(1, rows * STEP_BYTES));
  const int64_t wanted = std::max(even, least);
  // Products of few rows take four panels at a time.
  const int64_t fours = rows <= 2 ? (wanted + 3) / 4 * 4 : wanted;
  return std::max<int64_t>(1, std::min({fours, most, panels}));
}

// `count` things in groups of at most `size`, as even as they can be.
struct Groups {
  int64_t count, groups;
  Groups(int64_t count, int64_t size) : count(count), groups((count + size - 1) / size) {}
  int64_t first(int64_t group) const { return group * count / groups; }
};

// Rows of an item: enough values that another thread is worth its while.
inline int64_t rows_of_item(int64_t width) {
  return (16 << 10) / std::clamp<int64_t>(width, 1, 16 << 10);
}

// body(row) for all rows.
template <class Body>
void for_rows(int64_t rows, int64_t width, const Body& body) {
  const int64_t some = rows_of_item(width);
  auto item = [&](int64_t index, int) {
    const int64_t end = std::min(rows, (index + 1) * some);
    for (int64_t row = index * some; row < end; row++) body(row);
  };
  run((rows + some - 1) / some, item);
}

}  // namespace openk2
