// y = x W^T for a packed weight, or for `batch` of them side by side.
#include <algorithm>

#include "calls.h"
#include "interface.h"
#include "pool.h"
#include "split.h"

namespace openk2 {

namespace {

// Whether a single row is its own packed form.
bool packed_already(Kind kind, int32_t type, int64_t rows, int64_t k) {
  const bool same_type = type == (is_pair(kind) ? BFLOAT16 : FLOAT32);
  return rows == 1 && same_type && packed_k(kind, k) == k;
}

}  // namespace

void multiply(const Linear& linear, const Operand& x, const Operand& y, int64_t rows) {
  if (rows == 0) return;
  const Kernels& kernels = *linear.kernels;
  const Kind kind = kind_of(kernels.pairs, linear.type, x.type);
  const int64_t panels = panels_of(linear.columns);
  const int64_t panel_bytes = panel_bytes_of(linear.k, linear.type, linear.group);
  const Groups blocks(rows, BLOCK_ROWS);
  const int64_t most_rows = (rows + blocks.groups - 1) / blocks.groups;
  const int64_t per_item =
      panels_of_item(panels, blocks.groups * linear.batch, most_rows, panel_bytes);
  const Groups cuts(panels, per_item);
  const int64_t packings = blocks.groups * linear.batch;
  int64_t packed_last[MOST_THREADS];
  std::fill_n(packed_last, MOST_THREADS, int64_t{-1});

  auto item = [&](int64_t index, int worker) {
    const int64_t packing = index / cuts.groups, cut = index % cuts.groups;
    const int64_t block = packing / linear.batch, batch = packing % linear.batch;
    const int64_t first_row = blocks.first(block), count = blocks.first(block + 1) - first_row;
    const char* packed = x.at(first_row, batch);
    if (!packed_already(kind, x.type, count, linear.k)) {
      char* space = workspace(0, kernels.packed_bytes(kind, count, linear.k));
      // Items of one packing follow each other, so that a thread packs most rows once.
      if (packed_last[worker] != packing) {
        const void* starts[BLOCK_ROWS];
        for (int64_t r = 0; r < count; r++) starts[r] = x.at(first_row + r, batch);
        kernels.pack_rows(kind, starts, x.type, count, linear.k, space);
        packed_last[worker] = packing;
      }
      packed = space;
    }
    const int64_t first = cuts.first(cut), some = cuts.first(cut + 1) - first;
    float* c = reinterpret_cast<float*>(workspace(1, count * some * STEP_BYTES));
    const char* start = linear.panels + (batch * panels + first) * panel_bytes;
    kernels.product(kind, packed, count, start, some, linear.k, linear.group, c);
    const int64_t columns = std::min(some * PANEL, linear.columns - first * PANEL);
    for (int64_t r = 0; r < count; r++) {
      char* out = const_cast<char*>(y.at(first_row + r, batch)) + first * PANEL * bytes_of(y.type);
      kernels.store(c + r * some * PANEL, columns, y.type, out);
    }
  };
  run(packings * cuts.groups, item);
}

}  // namespace openk2

// 0, or NO_MEMORY.
extern "C" __attribute__((visibility("default"))) int openk2_linear(
    const openk2::Linear* linear, const void* x, int64_t x_row, int64_t x_batch, int32_t x_type,
    void* y, int64_t y_row, int64_t y_batch, int32_t y_type, int64_t rows) {
  return openk2::guarded([&] {
    openk2::multiply(*linear, {static_cast<const char*>(x), x_row, x_batch, x_type},
                     {static_cast<const char*>(y), y_row, y_batch, y_type}, rows);
    return 0;
  });
}
