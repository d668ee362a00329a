// Norm, rotation, routing and block fp8 over rows, cut for threads by rows.
#include <algorithm>
#include <cstring>

#include "calls.h"
#include "interface.h"
#include "pool.h"
#include "split.h"

namespace openk2 {
namespace {

// The `count` highest of score + bias, highest first and of equal ones the lower index, with their
// scores, normalised to a sum of 1 if asked, times `factor`. Scores that are NaN give weights that
// are NaN, of some experts.
void route_row(const float* scores, const float* bias, int64_t experts, int64_t count,
               bool normalise, float factor, float* biased, float* weights, int64_t* chosen) {
  for (int64_t e = 0; e < experts; e++) biased[e] = scores[e] + bias[e];
  float sum = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t best = 0;
    for (int64_t e = 1; e < experts; e++) {
      if (biased[e] > biased[best]) best = e;
    }
    biased[best] = -__builtin_inff();
    chosen[i] = best;
    weights[i] = scores[best];
    sum += scores[best];
  }
  for (int64_t i = 0; i < count; i++) {
    if (normalise) weights[i] /= sum + 1e-20f;
    weights[i] *= factor;
  }
}

}  // namespace

// logits [rows, experts] and bias [experts] -> weights and chosen [rows, count], all dense.
void route(const Kernels& kernels, const float* logits, const float* bias, int64_t rows,
           int64_t experts, int64_t count, bool normalise, float factor, float* weights,
           int64_t* chosen) {
  for_rows(rows, experts * count, [&](int64_t row) {
    float* scores = reinterpret_cast<float*>(workspace(0, 2 * experts * 4));
    kernels.sigmoid_row(logits + row * experts, experts, scores);
    route_row(scores, bias, experts, count, normalise, factor, scores + experts,
              weights + row * count, chosen + row * count);
  });
}

}  // namespace openk2

extern "C" {

// Strides count elements throughout.
__attribute__((visibility("default"))) void openk2_rms_norm(
    const openk2::Kernels* kernels, const void* x, int64_t x_row, int32_t x_type,
    const void* weight, int32_t weight_type, void* y, int64_t y_row, int32_t y_type, int64_t rows,
    int64_t width, float eps) {
  openk2::for_rows(rows, width, [&](int64_t row) {
    kernels->rms_norm_row(static_cast<const char*>(x) + row * x_row * openk2::bytes_of(x_type),
                          x_type, weight, weight_type, width, eps,
                          static_cast<char*>(y) + row * y_row * openk2::bytes_of(y_type), y_type);
  });
}

__attribute__((visibility("default"))) void openk2_rotate(
    const openk2::Kernels* kernels, const void* x, int64_t x_row, int64_t x_head, int32_t x_type,
    const float* cos, const float* sin, void* y, int64_t y_row, int64_t y_head, int32_t y_type,
    int64_t rows, int64_t heads, int64_t n) {
  openk2::for_rows(rows, heads * 2 * n, [&](int64_t row) {
    for (int64_t head = 0; head < heads; head++) {
      const int64_t from = row * x_row + head * x_head, to = row * y_row + head * y_head;
      kernels->rotate_row(static_cast<const char*>(x) + from * openk2::bytes_of(x_type), x_type,
                          cos + row * n, sin + row * n, n,
                          static_cast<char*>(y) + to * openk2::bytes_of(y_type), y_type);
    }
  });
}

// See `route`. 0, or NO_MEMORY.
__attribute__((visibility("default"))) int openk2_route(
    const openk2::Kernels* kernels, const float* logits, const float* bias, int64_t rows,
    int64_t experts, int64_t count, int32_t normalise, float factor, float* weights,
    int64_t* chosen) {
  return openk2::guarded([&] {
    openk2::route(*kernels, logits, bias, rows, experts, count, normalise != 0, factor, weights,
                  chosen);
    return 0;
  });
}

__attribute__((visibility("default"))) void openk2_dequantize(
    const openk2::Kernels* kernels, const uint8_t* weight, int64_t weight_row, const float* scales,
    int64_t scales_row, void* out, int64_t out_row, int32_t type, int64_t height, int64_t width,
    int64_t block_rows, int64_t block_columns) {
  openk2::for_rows(height, width, [&](int64_t row) {
    kernels->dequantize_row(weight + row * weight_row, scales + row / block_rows * scales_row,
                            width, block_columns, type,
                            static_cast<char*>(out) + row * out_row * openk2::bytes_of(type));
  });
}
}
