// Newton-Schulz iteration on a batch of wide matrices, in float32.
//
// A step takes X [n, m] to P X with P = a I + b G + c G^2 and G = X X^T. Steps in a chain share one
// X: G of the next step is P G P, and the chain's polynomials are multiplied into one Q that meets X
// once at its end. All of these commute and are symmetric, so only blocks on and above the diagonal
// are computed. See newton_schulz.py for which chains are taken.
#include <algorithm>
#include <cstring>
#include <utility>

#include "interface.h"
#include "pool.h"
#include "split.h"

namespace openk2 {

// What Python hands over; see newton_schulz.py.
struct NewtonSchulz {
  const Kernels* kernels;
  float* x;  // count matrices of rows x columns, contiguous, rows <= columns
  int64_t count, rows, columns;
  const float* coefficients;  // a, b, c of each step
  const int64_t* chains;      // steps of each chain
  int64_t chain_count;
};

namespace {

// Rows of X that meet a panel while it is in the first cache. Symmetric products take PANEL rows at
// a time: on the diagonal all of a block is computed, and small blocks waste less.
constexpr int64_t APPLIED_ROWS = 3 * PANEL;

// One matrix on its way. Square matrices have rows of `stride` values, filled up with zeros.
class Iteration {
 public:
  // shared: whether the items of a product go to several threads.
  Iteration(const NewtonSchulz& call, float* x, bool shared)
      : kernels_(*call.kernels), x_(x), n_(call.rows), m_(call.columns),
        stride_(panels_of(n_) * PANEL), shared_(shared) {
    const int64_t square = n_ * stride_;
    const int64_t widest = std::max(m_ * stride_, n_ * panels_of(m_) * PANEL);
    float* memory = reinterpret_cast<float*>(workspace(2, (4 * square + widest) * 4));
    std::memset(memory, 0, static_cast<size_t>(4 * square) * 4);
    gram_ = memory;
    polynomial_ = gram_ + square;
    product_ = polynomial_ + square;
    other_ = product_ + square;
    panels_ = other_ + square;
  }

  void chain(const float* coefficients, int64_t steps) {
    panels_of_rows(x_);
    symmetric({x_, m_, m_, 1, nullptr, 0, 0}, gram_);
    for (int64_t step = 0; step < steps; step++, coefficients += 3) {
      const float a = coefficients[0], b = coefficients[1], c = coefficients[2];
      panels_of_columns(gram_, stride_, n_);
      symmetric({gram_, stride_, n_, c, gram_, b, a}, step == 0 ? product_ : polynomial_);
      if (steps == 1) break;
      panels_of_columns(step == 0 ? product_ : polynomial_, stride_, n_);
      if (step + 1 < steps) {
        symmetric({gram_, stride_, n_, 1, nullptr, 0, 0}, other_);
        symmetric({other_, stride_, n_, 1, nullptr, 0, 0}, gram_);
      }
      if (step > 0) {
        symmetric({product_, stride_, n_, 1, nullptr, 0, 0}, other_);
        std::swap(product_, other_);
      }
    }
    apply();
  }

 private:
  // `factor` times what `panels_` holds, times `alpha`, plus `beta` times `addend` plus
  // `diagonal` times the unit matrix. `width` values of a row of factor take part.
  struct Term {
    const float* factor;
    int64_t factor_row, width;
    float alpha;
    const float* addend;
    float beta, diagonal;
  };

  template <class Body>
  void each(int64_t count, Body body) {
    if (shared_) return run(count, body);
    for (int64_t index = 0; index < count; index++) body(index, 0);
  }

  // Panels of the columns of a matrix of `rows` rows of `row` values: strips of it.
  void panels_of_columns(const float* matrix, int64_t row, int64_t columns) {
    each(panels_of(columns), [&](int64_t panel, int) {
      const int64_t first = panel * PANEL, some = std::min<int64_t>(PANEL, columns - first);
      float* to = panels_ + first * n_;
      for (int64_t r = 0; r < n_; r++, to += PANEL) {
        std::memcpy(to, matrix + r * row + first, static_cast<size_t>(some) * 4);
        if (some < PANEL) std::memset(to + some, 0, static_cast<size_t>(PANEL - some) * 4);
      }
    });
  }

  // Panels of the rows of X, which are the columns of its transpose.
  void panels_of_rows(const float* x) {
    each(panels_of(n_), [&](int64_t panel, int) {
      const int64_t first = panel * PANEL, some = std::min<int64_t>(PANEL, n_ - first);
      float* to = panels_ + first * m_;
      if (some < PANEL) std::memset(to, 0, static_cast<size_t>(m_ * PANEL) * 4);
      kernels_.transpose(x + first * m_, m_, some, m_, to, PANEL);
    });
  }

  // Rows `first` onwards of `factor`, times panels: sums [count][PANEL * some] in this thread's
  // workspace.
  float* multiply(const float* factor, int64_t row, int64_t width, int64_t first, int64_t count,
                  const float* panel, int64_t some) {
    const void* starts[APPLIED_ROWS];
    for (int64_t r = 0; r < count; r++) starts[r] = factor + (first + r) * row;
    const int64_t bytes = (kernels_.packed_bytes(PLAIN, count, width) + 63) / 64 * 64;
    char* packed = workspace(3, bytes + 64 + count * some * STEP_BYTES);
    kernels_.pack_rows(PLAIN, starts, FLOAT32, count, width, packed);
    // Packing writes whole vectors: up to one beyond its bytes.
    float* sums = reinterpret_cast<float*>(packed + bytes + 64);
    kernels_.product(PLAIN, packed, count, reinterpret_cast<const char*>(panel), some, width, sums);
    return sums;
  }

  void symmetric(const Term& term, float* out) {
    const int64_t panels = panels_of(n_);
    // Later rows have less to do: an item takes one from each end.
    each((panels + 1) / 2, [&](int64_t index, int) {
      rows_of(term, index, out);
      if (panels - 1 - index != index) rows_of(term, panels - 1 - index, out);
    });
  }

  void rows_of(const Term& term, int64_t block, float* out) {
    const int64_t first = block * PANEL, count = std::min<int64_t>(PANEL, n_ - first);
    const int64_t width = stride_ - first;
    const float* sums = multiply(term.factor, term.factor_row, term.width, first, count,
                                 panels_ + first * term.width, panels_of(n_) - block);
    for (int64_t r = 0; r < count; r++) {
      const int64_t place = (first + r) * stride_ + first;
      const float* addend = term.addend ? term.addend + place : sums + r * width;
      kernels_.combine(term.alpha, sums + r * width, term.beta, addend, width, out + place);
      out[place + r] += term.diagonal;
    }
    const int64_t after = first + count;
    if (after < n_) {
      kernels_.transpose(out + first * stride_ + after, stride_, count, n_ - after,
                         out + after * stride_ + first, stride_);
    }
  }

  void apply() {
    panels_of_columns(x_, m_, m_);
    const int64_t panels = panels_of(m_);
    const Groups blocks(n_, APPLIED_ROWS);
    const Groups cuts(panels, panels_of_item(panels, blocks.groups, APPLIED_ROWS, n_ * STEP_BYTES));
    each(blocks.groups * cuts.groups, [&](int64_t index, int) {
      const int64_t block = index / cuts.groups, cut = index % cuts.groups;
      const int64_t first = blocks.first(block), count = blocks.first(block + 1) - first;
      const int64_t panel = cuts.first(cut), some = cuts.first(cut + 1) - panel;
      const float* sums =
          multiply(product_, stride_, n_, first, count, panels_ + panel * PANEL * n_, some);
      const int64_t columns = std::min(some * PANEL, m_ - panel * PANEL);
      for (int64_t r = 0; r < count; r++) {
        std::memcpy(x_ + (first + r) * m_ + panel * PANEL, sums + r * some * PANEL,
                    static_cast<size_t>(columns) * 4);
      }
    });
  }

  const Kernels& kernels_;
  float* const x_;
  const int64_t n_, m_, stride_;
  const bool shared_;
  float *gram_, *polynomial_, *product_, *other_, *panels_;
};

void iterate(const NewtonSchulz& call, int64_t index, bool shared) {
  Iteration iteration(call, call.x + index * call.rows * call.columns, shared);
  const float* coefficients = call.coefficients;
  for (int64_t chain = 0; chain < call.chain_count; chain++) {
    iteration.chain(coefficients, call.chains[chain]);
    coefficients += 3 * call.chains[chain];
  }
}

}  // namespace
}  // namespace openk2

extern "C" __attribute__((visibility("default"))) void openk2_newton_schulz(
    const openk2::NewtonSchulz* call) {
  // Whole matrices to each thread as long as that gives all of them the same; threads share the
  // products of those that remain.
  const int64_t apart = openk2::threads() > 1 ? call->count / openk2::threads() * openk2::threads()
                                              : call->count;
  auto item = [&](int64_t index, int) { openk2::iterate(*call, index, false); };
  openk2::run(apart, item);
  for (int64_t index = apart; index < call->count; index++) openk2::iterate(*call, index, true);
}
