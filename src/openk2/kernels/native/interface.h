// What the rest of the library knows of a kernel: the C structures that Python fills, and the table
// of functions that each instruction set provides.
#pragma once

#include <cstddef>
#include <cstdint>

#include "panel.h"

namespace openk2 {

// What is defined in this header is private to each file that includes it: a function shared by
// files that are compiled for different processors could be linked from the wrong one.
namespace {

// Rows in the order in which a product reads them: tiles of rows, and in a tile step by step, all
// rows of a step beside each other. `tile_rows` rows make a tile; the rest is spread evenly.
struct Tiles {
  int64_t rows, count;
  constexpr int64_t first(int64_t tile) const { return tile * rows / count; }
};

constexpr Tiles tiles_of(int64_t rows, int tile_rows) {
  return {rows, (rows + tile_rows - 1) / tile_rows};
}

}  // namespace

// One block of attention: `rows` pairs of query and head over the keys of one sequence.
struct AttentionBlock {
  const void* const* queries;  // a row: latent_dim values
  void* const* outputs;        // a row: rank values
  const int32_t* lengths;      // keys that each row sees
  int64_t rows;
  const void* pages;  // [pages, page_size, latent_dim]
  const int32_t* table;
  int64_t page_size, latent_dim, rank;
  float scale;
  int32_t query_type, latent_type, output_type;
  char* scratch;
};

// What one instruction set provides. Every function is sequential: threads are the callers' matter.
struct Kernels {
  const char* name;
  bool pairs;     // whether Kind PAIR exists
  int tile_rows;  // rows of a full tile

  // Bytes that `pack_rows` writes.
  int64_t (*packed_bytes)(int32_t kind, int64_t rows, int64_t k);
  // Rows of k values of `type` in the order in which `product` of that kind reads them.
  void (*pack_rows)(int32_t kind, const void* const* rows, int32_t type, int64_t count, int64_t k,
                    char* out);
  // c[rows][32 * panels] (float32, contiguous) = packed rows times `panels` consecutive panels.
  // group: values of k to a multiplier of a quantized weight.
  void (*product)(int32_t kind, const char* packed, int64_t rows, const char* panel,
                  int64_t panels, int64_t k, int64_t group, float* c);
  // c[32][32] (contiguous) = the transpose of one panel of k steps times another, float32. upper:
  // what lies below the diagonal may be left as it was.
  void (*panel_product)(const float* rows, const float* columns, int64_t k, bool upper, float* c);
  // The first `columns` of a row of 32 * panels floats, rounded to `type`.
  void (*store)(const float* c, int64_t columns, int32_t type, void* out);
  // total[0..count) += weight * c[0..count); count is a multiple of 16.
  void (*add_weighted)(float weight, const float* c, int64_t count, float* total);
  // out = alpha * a + beta * b over `count` values; count is a multiple of 16.
  void (*combine)(float alpha, const float* a, float beta, const float* b, int64_t count,
                  float* out);
  // out[column][row] = in[row][column]; strides count values.
  void (*transpose)(const float* in, int64_t in_row, int64_t rows, int64_t columns, float* out,
                    int64_t out_row);
  // silu of each panel's first 16 columns times its other 16, written as column `column` onwards of
  // row `row` of packed rows of `inner` values.
  void (*swiglu)(int32_t kind, const float* c, int64_t panels, int64_t row, int64_t rows,
                 int64_t column, int64_t inner, char* packed);

  int64_t (*attention_scratch)(int64_t rows, int64_t latent_dim, int64_t rank);
  void (*attend)(const AttentionBlock& block);

  // y = x / rms(x) * weight over `width` values.
  void (*rms_norm_row)(const void* x, int32_t x_type, const void* weight, int32_t weight_type,
                       int64_t width, float eps, void* y, int32_t y_type);
  // Each pair of x's 2 n values turned by its angle: cos and sin are n values each.
  void (*rotate_row)(const void* x, int32_t x_type, const float* cos, const float* sin, int64_t n,
                     void* y, int32_t y_type);
  // out = a + b, rounded to their type. out may be one of them.
  void (*add_row)(const void* a, const void* b, int32_t type, int64_t width, void* out);
  // y = x, rounded to y_type.
  void (*convert_row)(const void* x, int32_t x_type, int64_t width, void* y, int32_t y_type);
  // y = 1 / (1 + e^-x).
  void (*sigmoid_row)(const float* x, int64_t width, float* y);

  // out[i] = e4m3 in[i] times the multiplier of its block of `block` columns, rounded to `type`.
  void (*dequantize_row)(const uint8_t* in, const float* scales, int64_t width, int64_t block,
                         int32_t type, void* out);
};

// The table called `name`, or the best that this processor runs when it is empty; null if the
// processor or the library lacks it.
const Kernels* find_kernels(const char* name);

}  // namespace openk2
