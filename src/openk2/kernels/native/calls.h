// The kernels for those that call several of them: the structures that Python fills, and the
// functions. What they do is said where they are defined. Those of the namespace throw
// std::bad_alloc; Python calls them by functions that do not.
#pragma once

#include <cstdint>

#include "interface.h"

namespace openk2 {

// What Python keeps of a packed weight; see linear.py.
struct Linear {
  const Kernels* kernels;
  const char* panels;
  int64_t batch, columns, k;
  int32_t type, group;
};

// Strides count elements: from row to row and from one of the batch to the next.
struct Operand {
  const char* data;
  int64_t row, batch;
  int32_t type;
  const char* at(int64_t row_index, int64_t batch_index) const {
    return data + (row_index * row + batch_index * batch) * bytes_of(type);
  }
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

void multiply(const Linear& linear, const Operand& x, const Operand& y, int64_t rows);
int mix_experts(const Experts& experts, const ExpertsCall& call);
int attend_pages(const Attention& call);
void route(const Kernels& kernels, const float* logits, const float* bias, int64_t rows,
           int64_t experts, int64_t count, bool normalise, float factor, float* weights,
           int64_t* chosen);

}  // namespace openk2

#pragma GCC visibility push(default)
extern "C" {
void openk2_rms_norm(const openk2::Kernels* kernels, const void* x, int64_t x_row, int32_t x_type,
                     const void* weight, int32_t weight_type, void* y, int64_t y_row,
                     int32_t y_type, int64_t rows, int64_t width, float eps);
void openk2_rotate(const openk2::Kernels* kernels, const void* x, int64_t x_row, int64_t x_head,
                   int32_t x_type, const float* cos, const float* sin, void* y, int64_t y_row,
                   int64_t y_head, int32_t y_type, int64_t rows, int64_t heads, int64_t n);
}
#pragma GCC visibility pop
