// Newton-Schulz iteration on a batch of wide matrices, in float32.
//
// A step takes X [n, m] to P X with P = a I + b G + c G^2 and G = X X^T. Steps in a chain share one
// X: G of the next step is P G P, and the chain's polynomials are multiplied into one Q that meets X
// once at its end. All of these commute and are symmetric, so only what lies on and above the
// diagonal is computed, and mirrored. See newton_schulz.py for which chains are taken.
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

// Bytes of panels whose rows meet one panel of columns while that is in the second cache.
constexpr int64_t ROWS_TOGETHER = 256 << 10;

// One matrix on its way. All but X lie in panels of 32 columns, row by row, filled up with zeros:
// blocks of 32 x 32 are contiguous, and a product reads rows of a symmetric matrix from the panel
// that holds them as its columns, so that nothing is packed between two products.
class Iteration {
 public:
  // shared: whether the items of a product go to several threads.
  Iteration(const NewtonSchulz& call, float* x, bool shared)
      : kernels_(*call.kernels), x_(x), n_(call.rows), m_(call.columns),
        panels_(panels_of(n_)), shared_(shared) {
    const int64_t square = panels_ * panels_ * BLOCK;
    const int64_t widest = std::max(panels_ * m_, panels_of(m_) * n_) * PANEL;
    float* memory = reinterpret_cast<float*>(workspace(2, (4 * square + widest) * 4));
    gram_ = memory;
    polynomial_ = gram_ + square;
    product_ = polynomial_ + square;
    other_ = product_ + square;
    x_panels_ = other_ + square;
  }

  void chain(const float* coefficients, int64_t steps) {
    transpose_into_panels();
    symmetric({x_panels_, x_panels_, m_, m_, 1, nullptr, 0, 0}, gram_);
    for (int64_t step = 0; step < steps; step++, coefficients += 3) {
      const float a = coefficients[0], b = coefficients[1], c = coefficients[2];
      float* const polynomial = step == 0 ? product_ : polynomial_;
      symmetric({gram_, gram_, n_, panels_ * PANEL, c, gram_, b, a}, polynomial);
      if (step + 1 < steps) {
        symmetric(square(gram_, polynomial), other_);
        symmetric(square(other_, polynomial), gram_);
      }
      if (step > 0) {
        symmetric(square(product_, polynomial), other_);
        std::swap(product_, other_);
      }
    }
    apply();
  }

 private:
  static constexpr int64_t BLOCK = PANEL * PANEL;

  // The transpose of `rows` times `columns`, both of `k` steps in panels of `panel_steps`; if there
  // is an `addend`, times `alpha`, plus `beta` times that, plus `diagonal` times the unit matrix.
  struct Term {
    const float* rows;
    const float* columns;
    int64_t k, panel_steps;
    float alpha;
    const float* addend;
    float beta, diagonal;
  };

  Term square(const float* rows, const float* columns) const {
    return {rows, columns, n_, panels_ * PANEL, 1, nullptr, 0, 0};
  }

  template <class Body>
  void each(int64_t count, Body body) {
    if (shared_) return run(count, body);
    for (int64_t index = 0; index < count; index++) body(index, 0);
  }

  // Panels of the transpose of X: what X's rows are to the Gram matrix.
  void transpose_into_panels() {
    each(panels_, [&](int64_t panel, int) {
      const int64_t first = panel * PANEL, some = std::min<int64_t>(PANEL, n_ - first);
      float* to = x_panels_ + first * m_;
      if (some < PANEL) std::memset(to, 0, static_cast<size_t>(m_ * PANEL) * 4);
      kernels_.transpose(x_ + first * m_, m_, some, m_, to, PANEL);
    });
  }

  void copy_into_panels() {
    each(panels_of(m_), [&](int64_t panel, int) {
      const int64_t first = panel * PANEL, some = std::min<int64_t>(PANEL, m_ - first);
      float* to = x_panels_ + first * n_;
      for (int64_t r = 0; r < n_; r++, to += PANEL) {
        std::memcpy(to, x_ + r * m_ + first, static_cast<size_t>(some) * 4);
        if (some < PANEL) std::memset(to + some, 0, static_cast<size_t>(PANEL - some) * 4);
      }
    });
  }

  // Groups of panels whose rows are taken together.
  Groups groups(int64_t panel_steps) const {
    const int64_t together = ROWS_TOGETHER / std::max<int64_t>(1, panel_steps * STEP_BYTES);
    return Groups(panels_, shared_ ? 1 : std::max<int64_t>(1, together));
  }

  // A product that is symmetric: blocks below the diagonal are those above it, transposed.
  void symmetric(const Term& term, float* out) {
    const Groups rows = groups(term.panel_steps);
    // Later rows have less to do: an item takes a group from each end.
    each((rows.groups + 1) / 2, [&](int64_t index, int) {
      const int64_t mirrored = rows.groups - 1 - index;
      rows_of(term, rows.first(index), rows.first(index + 1), out);
      if (mirrored != index) rows_of(term, rows.first(mirrored), rows.first(mirrored + 1), out);
    });
  }

  // Blocks of panels `first` to `end` - 1 of the rows.
  void rows_of(const Term& term, int64_t first, int64_t end, float* out) {
    for (int64_t j = first; j < panels_; j++) {
      for (int64_t i = first; i < std::min(end, j + 1); i++) block_of(term, i, j, out);
    }
  }

  // Block (i, j) with i <= j, and its mirror image.
  void block_of(const Term& term, int64_t i, int64_t j, float* out) {
    const int64_t panel = term.panel_steps * PANEL;
    float* const block = out + (j * panels_ + i) * BLOCK;
    float* const mirrored = out + (i * panels_ + j) * BLOCK;
    kernels_.panel_product(term.rows + i * panel, term.columns + j * panel, term.k, i == j, block);
    if (term.addend) {
      const float* addend = term.addend + (j * panels_ + i) * BLOCK;
      kernels_.combine(term.alpha, block, term.beta, addend, BLOCK, block);
    }
    if (i < j) return kernels_.transpose(block, PANEL, PANEL, PANEL, mirrored, PANEL);
    // Rounding would leave a product of two matrices not quite symmetric, and rows that are read as
    // columns would make more of that from step to step.
    alignas(64) float lower[BLOCK];
    kernels_.transpose(block, PANEL, PANEL, PANEL, lower, PANEL);
    for (int64_t r = 0; r < PANEL; r++) {
      std::memcpy(block + r * PANEL, lower + r * PANEL, static_cast<size_t>(r) * 4);
      if (i * PANEL + r < n_) block[r * (PANEL + 1)] += term.diagonal;
    }
  }

  void apply() {
    copy_into_panels();
    const int64_t steps = panels_ * PANEL;
    const Groups rows = groups(steps);
    each(rows.groups * panels_of(m_), [&](int64_t index, int) {
      const int64_t group = index / panels_of(m_), panel = index % panels_of(m_);
      const int64_t columns = std::min<int64_t>(PANEL, m_ - panel * PANEL);
      alignas(64) float sums[BLOCK];
      for (int64_t i = rows.first(group); i < rows.first(group + 1); i++) {
        kernels_.panel_product(product_ + i * steps * PANEL, x_panels_ + panel * PANEL * n_, n_,
                               false, sums);
        float* out = x_ + i * PANEL * m_ + panel * PANEL;
        for (int64_t r = 0; r < std::min<int64_t>(PANEL, n_ - i * PANEL); r++) {
          std::memcpy(out + r * m_, sums + r * PANEL, static_cast<size_t>(columns) * 4);
        }
      }
    });
  }

  const Kernels& kernels_;
  float* const x_;
  const int64_t n_, m_, panels_;
  const bool shared_;
  float *gram_, *polynomial_, *product_, *other_, *x_panels_;
};

void iterate(const NewtonSchulz& call, int64_t index, bool shared) {
  Iteration iteration(call, call.x + index * call.rows * call.columns, shared);
  const float* coefficients = call.coefficients;
  for (int64_t chain = 0; chain < call.chain_count; chain++) {
    iteration.chain(coefficients, call.chains[chain]);
    coefficients += 3 * call.chains[chain];
  }
}

// Whole matrices to each thread as long as that gives all of them the same; threads share the
// products of those that remain.
void iterate_all(const NewtonSchulz& call) {
  const int64_t apart = threads() > 1 ? call.count / threads() * threads() : call.count;
  auto item = [&](int64_t index, int) { iterate(call, index, false); };
  run(apart, item);
  for (int64_t index = apart; index < call.count; index++) iterate(call, index, true);
}

}  // namespace
}  // namespace openk2

// 0, or NO_MEMORY, when some matrices may have been changed.
extern "C" __attribute__((visibility("default"))) int openk2_newton_schulz(
    const openk2::NewtonSchulz* call) {
  return openk2::guarded([&] {
    openk2::iterate_all(*call);
    return 0;
  });
}
