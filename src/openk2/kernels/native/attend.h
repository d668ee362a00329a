// Latent attention of a block of rows (a query and a head each) over the keys of one sequence.
//
// A row's keys are taken in blocks of KEYS, counted from the sequence's start, with one running
// maximum, sum and mixture; a block is cut where the row's own keys end. So a row's bits depend on
// its query, its length and its keys, and on nothing that shares the call.
#pragma once

#include "exponential.h"
#include "interface.h"
#include "rows.h"

// Included once in each instruction set's file, after its lanes.
namespace {

using openk2::AttentionBlock;

constexpr int KEYS = 64;

// Keys and queries by their types: values of a key or query in one vector, and how they meet.
struct FloatKeys {
  static constexpr int step = Lanes::width, value_bytes = 4;
  using Vector = Lanes::Float;
  static Vector query(const char* p) { return Lanes::load(p); }
  static Vector key(const char* p) { return Lanes::load(p); }
  static Lanes::Float add(Lanes::Float sum, Vector a, Vector b) { return Lanes::fma(a, b, sum); }
};

struct WideKeys : FloatKeys {
  static constexpr int value_bytes = 2;
  static Vector key(const char* p) { return Lanes::widen(p); }
};

#ifdef OPENK2_PAIRS
struct PairKeys {
  static constexpr int step = 2 * Lanes::width, value_bytes = 2;
  using Vector = Lanes::Pairs;
  static Vector query(const char* p) { return Lanes::load_pairs(p); }
  static Vector key(const char* p) { return Lanes::load_pairs(p); }
  static Lanes::Float add(Lanes::Float sum, Vector a, Vector b) { return Lanes::dot(sum, a, b); }
};
#endif

// Columns of the mixture that one tile holds; rank is filled up to a multiple of it.
constexpr int MIX_COLUMNS = Lanes::width * Lanes::mix_vectors;

inline int64_t filled(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// What attention of a block keeps: all float32 but the copies, each row 64-byte aligned.
struct Memory {
  char* queries;   // [rows][query_bytes]
  char* copies;    // [KEYS][key_bytes]: keys whose width is not whole vectors, filled up with zeros
  float* scores;   // [rows][KEYS]
  uint16_t* pairs;  // [rows][KEYS]: the weights as bfloat16
  float* mixture;  // [rows][columns]
  float *peaks, *totals, *scales;  // [rows]
  int64_t query_bytes, key_bytes, columns, bytes;
};

Memory memory_of(char* start, int64_t rows, int64_t latent_dim, int64_t rank) {
  Memory memory;
  memory.columns = filled(rank, MIX_COLUMNS);
  const int64_t dim = filled(latent_dim, 2 * Lanes::width);
  const int64_t wide = dim > memory.columns ? dim : memory.columns;
  memory.query_bytes = filled(dim * 4, 64);
  memory.key_bytes = filled(wide * 4, 64);
  char* p = start;
  auto take = [&p](int64_t bytes) {
    char* taken = p;
    p += filled(bytes, 64);
    return taken;
  };
  memory.queries = take(rows * memory.query_bytes);
  memory.copies = take(KEYS * memory.key_bytes);
  memory.scores = reinterpret_cast<float*>(take(rows * KEYS * 4));
  memory.pairs = reinterpret_cast<uint16_t*>(take(rows * KEYS * 2));
  memory.mixture = reinterpret_cast<float*>(take(rows * memory.columns * 4));
  memory.peaks = reinterpret_cast<float*>(take(rows * 4));
  memory.totals = reinterpret_cast<float*>(take(rows * 4));
  memory.scales = reinterpret_cast<float*>(take(rows * 4));
  memory.bytes = p - start;
  return memory;
}

int64_t attention_scratch(int64_t rows, int64_t latent_dim, int64_t rank) {
  return memory_of(nullptr, rows, latent_dim, rank).bytes;
}

// Queries as the keys want them, filled up with zeros to whole vectors.
template <class Keys>
void take_queries(const AttentionBlock& block, const Memory& memory) {
  constexpr bool pairs = Keys::step > Lanes::width;
  const int64_t dim = filled(block.latent_dim, Keys::step);
  for (int64_t r = 0; r < block.rows; r++) {
    char* to = memory.queries + r * memory.query_bytes;
    if (pairs) {
      __builtin_memset(to, 0, static_cast<size_t>(dim) * 2);
      __builtin_memcpy(to, block.queries[r], static_cast<size_t>(block.latent_dim) * 2);
    } else {
      float* values = reinterpret_cast<float*>(to);
      for (int64_t i = 0; i < dim; i++) {
        values[i] = i < block.latent_dim ? float_of(block.queries[r], block.query_type, i) : 0;
      }
    }
  }
}

// The addresses of `count` keys from `start` on, and beyond them the last one's again.
template <class Keys>
void find_keys(const AttentionBlock& block, const Memory& memory, int64_t start, int64_t count,
               const char** keys) {
  const int64_t bytes = block.latent_dim * Keys::value_bytes;
  const bool whole =
      block.latent_dim % Keys::step == 0 && memory.columns <= block.latent_dim;
  for (int64_t j = 0; j < count; j++) {
    const int64_t at = start + j;
    const int64_t page = block.table[at / block.page_size];
    const int64_t slot = page * block.page_size + at % block.page_size;
    keys[j] = static_cast<const char*>(block.pages) + slot * bytes;
    if (!whole) {
      char* copy = memory.copies + j * memory.key_bytes;
      __builtin_memset(copy, 0, static_cast<size_t>(memory.key_bytes));
      __builtin_memcpy(copy, keys[j], static_cast<size_t>(bytes));
      keys[j] = copy;
    }
  }
  for (int64_t j = count; j < KEYS; j++) keys[j] = keys[count - 1];
}

// Scores of ROWS queries and width / ROWS keys: lanes along the latent, summed by one tree.
template <class Keys, int ROWS>
void score_tile(const char* queries, int64_t query_bytes, const char* const* keys, int64_t steps,
                float* scores) {
  constexpr int TOGETHER = Lanes::width / ROWS;
  constexpr int query_step = Keys::step > Lanes::width ? Keys::step * 2 : Keys::step * 4;
  Lanes::Float sums[Lanes::width];
#pragma GCC unroll 16
  for (int i = 0; i < Lanes::width; i++) sums[i] = Lanes::zero();
  const char* start[TOGETHER];
#pragma GCC unroll 16
  for (int j = 0; j < TOGETHER; j++) start[j] = keys[j];
  for (int64_t s = 0; s < steps; s++) {
    typename Keys::Vector query[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
      query[r] = Keys::query(queries + r * query_bytes + s * query_step);
    }
#pragma GCC unroll 16
    for (int j = 0; j < TOGETHER; j++) {
      const typename Keys::Vector key = Keys::key(start[j] + s * Keys::step * Keys::value_bytes);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
        sums[r * TOGETHER + j] = Keys::add(sums[r * TOGETHER + j], query[r], key);
      }
    }
  }
  float found[Lanes::width];
  Lanes::sums(sums, found);
  for (int r = 0; r < ROWS; r++) {
    __builtin_memcpy(scores + r * KEYS, found + r * TOGETHER, TOGETHER * 4);
  }
}

// Scores of all rows and `count` keys; those beyond are left as they are or set to nonsense.
template <class Keys>
void score(const AttentionBlock& block, const Memory& memory, const char* const* keys,
           int64_t count) {
  constexpr int MOST = Lanes::width == 4 ? 2 : Lanes::width / 4;
  const int64_t steps = (block.latent_dim + Keys::step - 1) / Keys::step;
  // All rows meet a few keys before the next ones: these stay in the first-level cache.
  constexpr int FEW = Lanes::width;
  for (int64_t few = 0; few < count; few += FEW) {
    const int64_t end = few + FEW < count ? few + FEW : count;
    int64_t row = 0;
    auto rows_of = [&](auto tile, int rows) {
      for (; row + rows <= block.rows; row += rows) {
        for (int64_t j = few; j < end; j += Lanes::width / rows) {
          tile(memory.queries + row * memory.query_bytes, memory.query_bytes, keys + j, steps,
               memory.scores + row * KEYS + j);
        }
      }
    };
    if constexpr (MOST >= 4) rows_of(score_tile<Keys, 4>, 4);
    rows_of(score_tile<Keys, 2>, 2);
    rows_of(score_tile<Keys, 1>, 1);
  }
}

// Keys of a row in the block that begins at `start`.
inline int64_t keys_of(const AttentionBlock& block, int64_t row, int64_t start) {
  const int64_t left = block.lengths[row] - start;
  return left < 0 ? 0 : left > KEYS ? KEYS : left;
}

// From scores to weights e^(score - peak), and the row's new peak, total and scale of what it had.
template <bool PAIRS>
void weigh(const AttentionBlock& block, const Memory& memory, int64_t row, int64_t count) {
  float* scores = memory.scores + row * KEYS;
  uint16_t* pairs = memory.pairs + row * KEYS;
  for (int64_t j = count; j < KEYS; j++) scores[j] = -__builtin_inff();
  Lanes::Float highest = Lanes::set(-__builtin_inff());
  const Lanes::Float scale = Lanes::set(block.scale);
  for (int j = 0; j < KEYS; j += Lanes::width) {
    const Lanes::Float scaled = Lanes::mul(Lanes::load(scores + j), scale);
    Lanes::store(scores + j, scaled);
    highest = Lanes::max(highest, scaled);
  }
  const float before = memory.peaks[row], found = Lanes::peak(highest);
  const float peak = found > before ? found : before;
  Lanes::Float total = Lanes::zero();
  for (int j = 0; j < KEYS; j += Lanes::width) {
    Lanes::Float weight = exponential(Lanes::sub(Lanes::load(scores + j), Lanes::set(peak)));
    if (PAIRS) {
      Lanes::narrow(pairs + j, weight);
      weight = Lanes::widen(pairs + j);
    }
    Lanes::store(scores + j, weight);
    total = Lanes::add(total, weight);
  }
  float lanes[Lanes::width], faded[Lanes::width], sum = 0;
  Lanes::store(lanes, total);
  for (int i = 0; i < Lanes::width; i++) sum += lanes[i];
  Lanes::store(faded, exponential(Lanes::set(before - peak)));
  memory.peaks[row] = peak;
  memory.scales[row] = faded[0];
  memory.totals[row] = memory.totals[row] * faded[0] + sum;
}

// mixture = mixture * scale + weights times keys, for ROWS rows that see the same `count` keys.
template <class Keys, int ROWS>
struct Mix {
  static void run(const Memory& memory, int64_t row, const char* const* keys, int64_t count) {
    constexpr int VECTORS = Lanes::mix_vectors;
    for (int64_t column = 0; column < memory.columns; column += MIX_COLUMNS) {
      Lanes::Float sums[ROWS][VECTORS];
      const float* weights = memory.scores + row * KEYS;
      float* mixture = memory.mixture + row * memory.columns + column;
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
        const Lanes::Float scale = Lanes::set(memory.scales[row + r]);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
          sums[r][v] = Lanes::mul(
              scale, Lanes::load(mixture + r * memory.columns + v * Lanes::width));
        }
      }
      for (int64_t j = 0; j < count; j++) {
        Lanes::Float values[VECTORS];
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
          values[v] = Keys::key(keys[j] + (column + v * Lanes::width) * Keys::value_bytes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) {
          const Lanes::Float weight = Lanes::set(weights[r * KEYS + j]);
#pragma GCC unroll 16
          for (int v = 0; v < VECTORS; v++) {
            sums[r][v] = Lanes::fma(weight, values[v], sums[r][v]);
          }
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
          Lanes::store(mixture + r * memory.columns + v * Lanes::width, sums[r][v]);
        }
      }
    }
  }
};

#ifdef OPENK2_PAIRS
// Two keys at a time, a column's two values beside each other; so a mixture's columns lie as
// `interleave` puts them until `finish`.
template <int ROWS>
struct Mix<PairKeys, ROWS> {
  static constexpr int VECTORS = Lanes::mix_vectors;

  static void add(Lanes::Float (&sums)[ROWS][VECTORS], const uint16_t* weights, const char* first,
                  const char* second) {
    Lanes::Pairs values[VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v += 2) {
      const Lanes::Pairs a = Lanes::load_pairs(first + v * Lanes::width * 2);
      const Lanes::Pairs b =
          second ? Lanes::load_pairs(second + v * Lanes::width * 2) : Lanes::zero_pairs();
      values[v] = Lanes::interleave_low(a, b);
      values[v + 1] = Lanes::interleave_high(a, b);
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
      const Lanes::Pairs weight = Lanes::set_pair(weights + r * KEYS);
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; v++) sums[r][v] = Lanes::dot(sums[r][v], weight, values[v]);
    }
  }

  static void run(const Memory& memory, int64_t row, const char* const* keys, int64_t count) {
    const uint16_t* weights = memory.pairs + row * KEYS;
    for (int64_t column = 0; column < memory.columns; column += MIX_COLUMNS) {
      Lanes::Float sums[ROWS][VECTORS];
      float* mixture = memory.mixture + row * memory.columns + column;
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
        const Lanes::Float scale = Lanes::set(memory.scales[row + r]);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
          sums[r][v] = Lanes::mul(
              scale, Lanes::load(mixture + r * memory.columns + v * Lanes::width));
        }
      }
      int64_t j = 0;
      for (; j + 1 < count; j += 2) {
        add(sums, weights + j, keys[j] + column * 2, keys[j + 1] + column * 2);
      }
      // The weight beside the last one of an odd number is zero, by `weigh`.
      if (j < count) add(sums, weights + j, keys[j] + column * 2, nullptr);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
          Lanes::store(mixture + r * memory.columns + v * Lanes::width, sums[r][v]);
        }
      }
    }
  }
};
#endif

// `rows` rows that see the same keys, in tiles of at most ROWS.
template <class Keys, int ROWS = Lanes::mix_rows>
void mix_rows(const Memory& memory, int64_t row, int64_t rows, const char* const* keys,
              int64_t count) {
  for (; rows >= ROWS; row += ROWS, rows -= ROWS) Mix<Keys, ROWS>::run(memory, row, keys, count);
  if constexpr (ROWS > 1) mix_rows<Keys, ROWS - 1>(memory, row, rows, keys, count);
}

// A row's mixture divided by its total, rounded to the output's type. No keys give zeros.
template <class Keys>
void finish(const AttentionBlock& block, const Memory& memory, int64_t row) {
  float* mixture = memory.mixture + row * memory.columns;
  const float total = memory.totals[row];
  const Lanes::Float factor = Lanes::set(block.lengths[row] > 0 ? 1 / total : 0);
  for (int64_t i = 0; i < memory.columns; i += 2 * Lanes::width) {
    const Lanes::Float low = Lanes::mul(factor, Lanes::load(mixture + i));
    const Lanes::Float high = Lanes::mul(factor, Lanes::load(mixture + i + Lanes::width));
#ifdef OPENK2_PAIRS
    if constexpr (Keys::step > Lanes::width) {
      Lanes::straighten(low, high, mixture + i);
      continue;
    }
#endif
    Lanes::store(mixture + i, low);
    Lanes::store(mixture + i + Lanes::width, high);
  }
  store(mixture, block.rank, block.output_type, block.outputs[row]);
}

template <class Keys>
void attend_by(const AttentionBlock& block) {
  constexpr bool pairs = Keys::step > Lanes::width;
  const Memory memory = memory_of(block.scratch, block.rows, block.latent_dim, block.rank);
  take_queries<Keys>(block, memory);
  int64_t longest = 0;
  for (int64_t r = 0; r < block.rows; r++) {
    memory.peaks[r] = -__builtin_inff();
    memory.totals[r] = 0;
    if (block.lengths[r] > longest) longest = block.lengths[r];
  }
  __builtin_memset(memory.mixture, 0, static_cast<size_t>(block.rows * memory.columns) * 4);
  const char* keys[KEYS];
  for (int64_t start = 0; start < longest; start += KEYS) {
    const int64_t most = longest - start < KEYS ? longest - start : KEYS;
    find_keys<Keys>(block, memory, start, most, keys);
    score<Keys>(block, memory, keys, most);
    for (int64_t row = 0; row < block.rows;) {
      const int64_t count = keys_of(block, row, start);
      int64_t end = row;
      while (end < block.rows && keys_of(block, end, start) == count) {
        if (count > 0) weigh<pairs>(block, memory, end, count);
        end++;
      }
      if (count > 0) mix_rows<Keys>(memory, row, end - row, keys, count);
      row = end;
    }
  }
  for (int64_t r = 0; r < block.rows; r++) finish<Keys>(block, memory, r);
}

void attend(const AttentionBlock& block) {
  if (block.latent_type == openk2::FLOAT32) return attend_by<FloatKeys>(block);
#ifdef OPENK2_PAIRS
  if (block.query_type == openk2::BFLOAT16) return attend_by<PairKeys>(block);
#endif
  return attend_by<WideKeys>(block);
}

}  // namespace
