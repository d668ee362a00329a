// A stack of packed decoder layers in one call: what the model does kernel by kernel, and its bits.
#include <memory>

#include "calls.h"
#include "interface.h"
#include "pool.h"
#include "split.h"

namespace openk2 {

struct Norm {
  const void* weight;
  int32_t type;
};

// What Python keeps of a layer; see stack.py.
struct Layer {
  const Kernels* kernels;
  Norm input_norm, query_norm, latent_norm, output_norm;
  const Linear* query_down;  // null: query_up reads the hidden state
  const Linear* query_up;
  const Linear* latent_down;
  const Linear *key_up, *value_up;  // one of the batch a head
  const Linear* output;
  const Linear* router;   // float32; null: the layer has no routed experts
  const float* bias;      // [experts], of the router
  const Experts* routed;  // null without router
  const Experts* shared;  // the dense MLP, or the shared experts; null: none
  int64_t hidden, heads, nope, rope, rank;
  int64_t choices;
  float scale, eps, factor;
  int32_t normalise;
};

// The hidden states of a pass and where its tokens' latents lie. Everything is dense but `tables`.
struct Pass {
  char* x;  // [rows, hidden] of `type`: before the layers, and after them
  int64_t rows;
  const float *cos, *sin;  // [rows, rope / 2]
  const int64_t* places;   // [rows], of each token's latent among the places of all pages
  char* pages;             // [layers, page_count, page_size, latent_dim] of `latent_type`
  int64_t page_count, page_size;
  const int32_t* tables;  // [sequences, width]
  int64_t sequences, width, table_row;
  const int32_t* sequence;  // [rows]
  const int32_t* lengths;   // [rows]
  int32_t type, latent_type;
};

namespace {

// What a layer holds of a pass between its kernels, carved out of one piece of memory.
struct Space {
  char *normed, *query_latent, *queries, *query, *latents, *mixed, *heads, *added, *other;
  float *logits, *weights;
  int64_t* chosen;
  std::unique_ptr<char[]> memory;
};

// Memory for the widest layer. Throws std::bad_alloc.
void make_space(const Layer* const* layers, int64_t count, const Pass& pass, Space& space) {
  struct Piece {
    char** place;
    int64_t bytes;
  };
  char *logits = nullptr, *weights = nullptr, *chosen = nullptr;
  Piece pieces[] = {
      {&space.normed, 0}, {&space.query_latent, 0}, {&space.queries, 0}, {&space.query, 0},
      {&space.latents, 0}, {&space.mixed, 0}, {&space.heads, 0}, {&space.added, 0},
      {&space.other, 0}, {&logits, 0}, {&weights, 0}, {&chosen, 0},
  };
  const int64_t size = bytes_of(pass.type);
  for (int64_t i = 0; i < count; i++) {
    const Layer& layer = *layers[i];
    const int64_t latent_dim = layer.rank + layer.rope;
    const int64_t needed[] = {
        layer.hidden * size,
        layer.query_down ? layer.query_down->columns * size : 0,
        layer.heads * (layer.nope + layer.rope) * size,
        layer.heads * latent_dim * size,
        latent_dim * size,
        layer.heads * layer.rank * size,
        layer.heads * layer.value_up->columns * size,
        layer.hidden * size,
        layer.hidden * size,
        layer.router ? layer.router->columns * 4 : 0,
        layer.choices * 4,
        layer.choices * 8,
    };
    for (int p = 0; p < 12; p++) {
      if (needed[p] > pieces[p].bytes) pieces[p].bytes = needed[p];
    }
  }
  int64_t total = 64;
  for (const Piece& piece : pieces) total += (piece.bytes * pass.rows + 63) / 64 * 64;
  space.memory.reset(new char[static_cast<size_t>(total)]);
  const auto begin = reinterpret_cast<uintptr_t>(space.memory.get());
  char* next = space.memory.get() + (64 - begin % 64) % 64;
  for (const Piece& piece : pieces) {
    *piece.place = next;
    next += (piece.bytes * pass.rows + 63) / 64 * 64;
  }
  space.logits = reinterpret_cast<float*>(logits);
  space.weights = reinterpret_cast<float*>(weights);
  space.chosen = reinterpret_cast<int64_t*>(chosen);
}

// One layer over one pass. The methods follow model/attention.py and model/experts.py.
struct Step {
  const Layer& layer;
  const Pass& pass;
  const Space& space;
  char* pages;  // this layer's

  int64_t size() const { return bytes_of(pass.type); }
  int64_t latent_dim() const { return layer.rank + layer.rope; }

  void norm(const void* x, Norm norm, char* y, int64_t row, int64_t width) const {
    openk2_rms_norm(layer.kernels, x, row, pass.type, norm.weight, norm.type, y, row, pass.type,
                    pass.rows, width, layer.eps);
  }

  void multiply(const Linear* linear, const char* x, char* y) const {
    openk2::multiply(*linear, {x, linear->k, 0, pass.type}, {y, linear->columns, 0, pass.type},
                     pass.rows);
  }

  void add(char* total, const char* term) const {
    for_rows(pass.rows, layer.hidden, [&](int64_t row) {
      const int64_t at = row * layer.hidden * size();
      layer.kernels->add_row(total + at, term + at, pass.type, layer.hidden, total + at);
    });
  }

  // space.query: each head's query in the space of the latents, and its rotated part.
  void fold_queries() const {
    const char* from = space.normed;
    if (layer.query_down) {
      const int64_t width = layer.query_down->columns;
      multiply(layer.query_down, space.normed, space.query_latent);
      norm(space.query_latent, layer.query_norm, space.query_latent, width, width);
      from = space.query_latent;
    }
    multiply(layer.query_up, from, space.queries);
    const int64_t head = layer.nope + layer.rope, row = layer.heads * head;
    const int64_t query_row = layer.heads * latent_dim();
    openk2::multiply(*layer.key_up, {space.queries, row, head, pass.type},
                     {space.query, query_row, latent_dim(), pass.type}, pass.rows);
    openk2_rotate(layer.kernels, space.queries + layer.nope * size(), row, head, pass.type,
                  pass.cos, pass.sin, space.query + layer.rank * size(), query_row, latent_dim(),
                  pass.type, pass.rows, layer.heads, layer.rope / 2);
  }

  void store_latents() const {
    multiply(layer.latent_down, space.normed, space.latents);
    norm(space.latents, layer.latent_norm, space.latents, latent_dim(), layer.rank);
    char* rope = space.latents + layer.rank * size();
    openk2_rotate(layer.kernels, rope, latent_dim(), 0, pass.type, pass.cos, pass.sin, rope,
                  latent_dim(), 0, pass.type, pass.rows, 1, layer.rope / 2);
    for (int64_t row = 0; row < pass.rows; row++) {
      layer.kernels->convert_row(
          space.latents + row * latent_dim() * size(), pass.type, latent_dim(),
          pages + pass.places[row] * latent_dim() * bytes_of(pass.latent_type), pass.latent_type);
    }
  }

  int attend() const {
    const int64_t wide = latent_dim(), value = layer.value_up->columns;
    const Attention call{layer.kernels,   space.query,     layer.heads * wide, wide,
                         pages,           pass.page_count, pass.page_size,     wide,
                         layer.rank,      pass.tables,     pass.sequences,     pass.width,
                         pass.table_row,  pass.sequence,   pass.lengths,       space.mixed,
                         layer.heads * layer.rank,         layer.rank,         pass.rows,
                         layer.heads,     layer.scale,     pass.type,          pass.latent_type,
                         pass.type};
    if (const int refusal = attend_pages(call)) return refusal;
    openk2::multiply(*layer.value_up,
                     {space.mixed, layer.heads * layer.rank, layer.rank, pass.type},
                     {space.heads, layer.heads * value, value, pass.type}, pass.rows);
    multiply(layer.output, space.heads, space.added);
    return 0;
  }

  void meet(const Experts* experts, const float* weights, const int64_t* chosen, int64_t choices,
            char* y) const {
    const ExpertsCall call{space.normed, layer.hidden, pass.type, weights,   chosen,  y,
                           layer.hidden, pass.type,    pass.rows, choices, nullptr, nullptr};
    openk2::mix_experts(*experts, call);  // refuses no number that `route` gives
  }

  void mix_experts() const {
    if (!layer.router) return meet(layer.shared, nullptr, nullptr, 1, space.added);
    const int64_t experts = layer.router->columns;
    openk2::multiply(*layer.router, {space.normed, layer.hidden, 0, pass.type},
                     {reinterpret_cast<char*>(space.logits), experts, 0, FLOAT32}, pass.rows);
    route(*layer.kernels, space.logits, layer.bias, pass.rows, experts, layer.choices,
          layer.normalise != 0, layer.factor, space.weights, space.chosen);
    meet(layer.routed, space.weights, space.chosen, layer.choices, space.added);
    if (!layer.shared) return;
    meet(layer.shared, nullptr, nullptr, 1, space.other);
    add(space.added, space.other);
  }

  int run() const {
    norm(pass.x, layer.input_norm, space.normed, layer.hidden, layer.hidden);
    fold_queries();
    store_latents();
    if (const int refusal = attend()) return refusal;
    add(pass.x, space.added);
    norm(pass.x, layer.output_norm, space.normed, layer.hidden, layer.hidden);
    mix_experts();
    add(pass.x, space.added);
    return 0;
  }
};

int run_layers(const Layer* const* layers, int64_t count, const Pass& pass) {
  Space space;
  make_space(layers, count, pass, space);
  for (int64_t i = 0; i < count; i++) {
    const Layer& layer = *layers[i];
    const int64_t bytes = pass.page_count * pass.page_size * (layer.rank + layer.rope) *
                          bytes_of(pass.latent_type);
    const Step step{layer, pass, space, pass.pages + i * bytes};
    if (const int refusal = step.run()) return refusal;
  }
  return 0;
}

}  // namespace
}  // namespace openk2

// 0; a refusal of the attention (see attention.cpp), which comes in the first layer or in none;
// NO_MEMORY, when some latents may have been stored; or -2 if a place is none of the pages'.
// `layers` are `count` addresses.
extern "C" __attribute__((visibility("default"))) int openk2_stack(
    const openk2::Layer* const* layers, int64_t count, const openk2::Pass* pass) {
  for (int64_t row = 0; row < pass->rows; row++) {
    const int64_t place = pass->places[row];
    if (place < 0 || place >= pass->page_count * pass->page_size) return -2;
  }
  return openk2::guarded([&] { return openk2::run_layers(layers, count, *pass); });
}
