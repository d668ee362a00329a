// The kernels as Python calls them, for those that call several of them: the structures that Python
// fills, and the functions. What they do is said where they are defined.
#pragma once

#include <cstdint>

namespace openk2 {

struct Kernels;

// What Python keeps of a packed weight; see linear.py.
struct Linear {
  const Kernels* kernels;
  const char* panels;
  int64_t batch, columns, k;
  int32_t type, group;
};

// What Python keeps of packed experts; see experts.py. A panel of `first` has 16 columns of
// gate and the same 16 of up.
struct Experts {
  const Kernels* kernels;
  const char* first;   // [count, panels of 16 columns, steps of hidden]
  const char* second;  // [count, panels of hidden, steps of inner]
  int64_t count, hidden, inner;
  int32_t type, group;
};

struct ExpertsCall {
  const char* x;
  int64_t x_row;
  int32_t x_type;
  const float* weights;   // [rows, choices]
  const int64_t* chosen;  // [rows, choices]; null: all rows meet expert 0, with weight 1
  char* y;
  int64_t y_row;
  int32_t y_type;
  int64_t rows, choices;
  const int64_t* slots;  // [count]: where in `first` and `second` an expert lies; below 0: its
                         // choices are left out; null: at its own number
  const float* before;   // [rows, hidden], added ahead of all terms; null: nothing. May be y.
};

// See attention.py. Strides count elements.
struct Attention {
  const Kernels* kernels;
  const char* queries;
  int64_t query_row, query_head;
  const void* pages;
  int64_t page_count, page_size, latent_dim, rank;
  const int32_t* tables;  // [sequences, width]
  int64_t sequences, width, table_row;
  const int32_t* sequence;  // [rows]
  const int32_t* lengths;   // [rows]
  char* outputs;
  int64_t output_row, output_head;
  int64_t rows, heads;
  float scale;
  int32_t query_type, latent_type, output_type;
};

}  // namespace openk2

#pragma GCC visibility push(default)
extern "C" {
void openk2_linear(const openk2::Linear* linear, const void* x, int64_t x_row, int64_t x_batch,
                   int32_t x_type, void* y, int64_t y_row, int64_t y_batch, int32_t y_type,
                   int64_t rows);
int openk2_experts(const openk2::Experts* experts, const openk2::ExpertsCall* call);
int openk2_attention(const openk2::Attention* call);
void openk2_rms_norm(const openk2::Kernels* kernels, const void* x, int64_t x_row, int32_t x_type,
                     const void* weight, int32_t weight_type, void* y, int64_t y_row,
                     int32_t y_type, int64_t rows, int64_t width, float eps);
void openk2_rotate(const openk2::Kernels* kernels, const void* x, int64_t x_row, int64_t x_head,
                   int32_t x_type, const float* cos, const float* sin, void* y, int64_t y_row,
                   int64_t y_head, int32_t y_type, int64_t rows, int64_t heads, int64_t n);
void openk2_route(const openk2::Kernels* kernels, const float* logits, const float* bias,
                  int64_t rows, int64_t experts, int64_t count, int32_t normalise, float factor,
                  float* weights, int64_t* chosen);
}
#pragma GCC visibility pop
