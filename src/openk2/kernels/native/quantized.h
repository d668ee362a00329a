// Rows times a weight that is dequantized on the way: e4m3 with a multiplier a block, int4 with one
// a group. Each value becomes the float32 that `dequantize` gives it (rounded to bfloat16 where
// bfloat16 products are used), so a product has the bits of that weight packed plainly.
#pragma once

#include "product.h"

// Included once in each instruction set's file, after its lanes.
namespace {

using openk2::E4M3_GROUP_BYTES;
using openk2::INT4_GROUP_BYTES;

// Values of k that are dequantized together where several tiles read them: 16 KB of float32.
constexpr int64_t UNPACKED_K = 128;

// A format of weights: where a group's steps and multipliers lie in a panel, and one vector of
// columns of it. Value `i` of a step comes from the step's `Words`, which are loaded once.
//
// fused_rows: up to so many rows, sums stay in registers over all of k and each value is dequantized
// where it is used; more rows gain from dequantizing into the cache first. asks_from: so many of these ask the memory
// for what follows. Both measured with AVX2.
struct E4m3 {
  static constexpr int step_k = 4, fused_rows = 2, asks_from = 1;
  using Words = Lanes::Bytes;
  using Multiplier = Lanes::Float;
  static const char* steps(const char* panel, int64_t k, int64_t group, int64_t index) {
    return panel + openk2::e4m3_header(k, group) + index * group * openk2::PANEL;
  }
  // `column`: of the vector, in its panel.
  static Multiplier multiplier(const char* panel, int64_t, int64_t index, int column) {
    float factor;
    const int half = column / (openk2::PANEL / 2);
    __builtin_memcpy(&factor, panel + index * E4M3_GROUP_BYTES + half * 4, 4);
    return Lanes::set(factor * 0x1p120f);  // what `e4m3_byte` leaves out
  }
  static Words words(const char* p) { return Lanes::e4m3_bytes(p); }
  static Lanes::Float value(const Words& words, int i, const Multiplier& multiplier) {
    return Lanes::mul(Lanes::e4m3_byte(words, i), multiplier);
  }
};

struct Int4 {
  static constexpr int step_k = 8, fused_rows = 4, asks_from = 3;
  using Words = Lanes::Bits;
  struct Multiplier {
    Lanes::Float factor, offset;
  };
  static const char* steps(const char* panel, int64_t, int64_t group, int64_t index) {
    return panel + index * openk2::int4_group_bytes(group) + INT4_GROUP_BYTES;
  }
  static Multiplier multiplier(const char* panel, int64_t group, int64_t index, int column) {
    const char* factors = panel + index * openk2::int4_group_bytes(group);
    const Lanes::Float factor = Lanes::widen(factors + column * 2);
    return {factor, Lanes::mul(factor, Lanes::set(-8))};
  }
  static Words words(const char* p) { return Lanes::load_bits(p); }
  // A value is stored 8 too high. (n - 8) * factor needs 12 bits: it is exact.
  static Lanes::Float value(Words words, int i, const Multiplier& multiplier) {
    return Lanes::fma(Lanes::nibble(words, i), multiplier.factor, multiplier.offset);
  }
};

// How dequantized values meet rows: one by one in float32.
struct Singly {
  using Kind = Plain;
  static constexpr int values = 1;
  template <class Format>
  static Kind::Columns columns(const typename Format::Words& words, int i,
                               const typename Format::Multiplier& multiplier) {
    return Format::value(words, i, multiplier);
  }
  static void store(char* p, Kind::Columns x) { Lanes::store(reinterpret_cast<float*>(p), x); }
};

#ifdef OPENK2_PAIRS
// Two by two in bfloat16.
struct InPairs {
  using Kind = Pair;
  static constexpr int values = 2;
  template <class Format>
  static Kind::Columns columns(const typename Format::Words& words, int i,
                               const typename Format::Multiplier& multiplier) {
    return Lanes::pairs(Format::value(words, i, multiplier),
                        Format::value(words, i + 1, multiplier));
  }
  static void store(char* p, Kind::Columns x) { Lanes::store_pairs(p, x); }
};
#endif

// Packed rows of k values, times panels of a weight whose multipliers hold for `group` values each.
struct Quantized {
  const char* packed;
  const char* panel;
  int64_t panel_bytes, k, group;
  float* c;
  int64_t c_row;
};

template <class Format>
int64_t steps_of_group(const Quantized& work, int64_t index) {
  const int64_t left = work.k - index * work.group;
  return ((left < work.group ? left : work.group) + Format::step_k - 1) / Format::step_k;
}

// Few rows over all of k, from vector `first` of its panels on; the sums stay in registers.
template <class Format, class Meeting, int ROWS, int VECTORS>
void run_quantized_tile(const Quantized& work, int first) {
  constexpr int VALUES = Meeting::values;
  constexpr bool ASKS = ROWS >= Format::asks_from;
  using Kind = typename Meeting::Kind;
  Lanes::Float sums[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) sums[r][v] = Lanes::zero();
  }
  const char* packed = work.packed;
  const int64_t groups = openk2::groups_of(work.k, work.group);
  for (int64_t index = 0; index < groups; index++) {
    typename Format::Multiplier multipliers[VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
      const char* panel = work.panel + v / PANEL_VECTORS * work.panel_bytes;
      multipliers[v] = Format::multiplier(panel, work.group, index,
                                          (first + v) % PANEL_VECTORS * Lanes::width);
    }
    const char* step = Format::steps(work.panel, work.k, work.group, index);
    for (int64_t left = steps_of_group<Format>(work, index); left > 0; left--) {
      if (ASKS) {
        __builtin_prefetch(step + AHEAD);
        __builtin_prefetch(step + AHEAD + 64);
      }
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; v++) {
        const int at = (first + v) % PANEL_VECTORS * Lanes::width * 4;
        const typename Format::Words words =
            Format::words(step + v / PANEL_VECTORS * work.panel_bytes + at);
#pragma GCC unroll 8
        for (int i = 0; i < Format::step_k; i += VALUES) {
          const auto columns = Meeting::template columns<Format>(words, i, multipliers[v]);
#pragma GCC unroll 16
          for (int r = 0; r < ROWS; r++) {
            const auto row = Kind::row(packed + (i / VALUES * ROWS + r) * 4);
            sums[r][v] = Kind::add(sums[r][v], row, columns);
          }
        }
      }
      packed += Format::step_k / VALUES * ROWS * 4;
      step += STEP_BYTES;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
      Lanes::store(work.c + r * work.c_row + v * Lanes::width, sums[r][v]);
    }
  }
}

// All panels by few rows, as many columns at a time as registers hold.
template <class Format, class Meeting, int ROWS>
void run_quantized_panels(const Quantized& all, int64_t panels) {
  constexpr int VECTORS = Lanes::vectors(ROWS);
  constexpr int TOGETHER = VECTORS / PANEL_VECTORS;
  constexpr int FEWER = VECTORS < PANEL_VECTORS ? VECTORS : PANEL_VECTORS;
  Quantized work = all;
  int64_t panel = 0;
  if constexpr (TOGETHER > 1) {
    for (; panel + TOGETHER <= panels; panel += TOGETHER) {
      work.panel = all.panel + panel * all.panel_bytes;
      work.c = all.c + panel * PANEL;
      run_quantized_tile<Format, Meeting, ROWS, VECTORS>(work, 0);
    }
  }
  for (; panel < panels; panel++) {
    work.panel = all.panel + panel * all.panel_bytes;
    for (int v = 0; v < PANEL_VECTORS; v += FEWER) {
      work.c = all.c + panel * PANEL + v * Lanes::width;
      run_quantized_tile<Format, Meeting, ROWS, FEWER>(work, v);
    }
  }
}

template <class Format, class Meeting, int ROWS = Format::fused_rows>
void run_quantized_rows(int64_t rows, const Quantized& work, int64_t panels) {
  if (rows == ROWS) {
    run_quantized_panels<Format, Meeting, ROWS>(work, panels);
  } else if constexpr (ROWS > 1) {
    run_quantized_rows<Format, Meeting, ROWS - 1>(rows, work, panels);
  }
}

// `count` groups of a panel, from `index` on, as steps of the plain kind that they meet rows in.
// Returns how many values of k they are.
template <class Format, class Meeting>
int64_t unpack_groups(const Quantized& work, int64_t index, int64_t count, char* out) {
  constexpr int VALUES = Meeting::values;
  int64_t values = 0;
  for (const int64_t end = index + count; index < end; index++) {
    typename Format::Multiplier multipliers[PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++) {
      multipliers[v] = Format::multiplier(work.panel, work.group, index, v * Lanes::width);
    }
    const char* step = Format::steps(work.panel, work.k, work.group, index);
    const int64_t steps = steps_of_group<Format>(work, index);
    for (int64_t s = 0; s < steps; s++, step += STEP_BYTES) {
      __builtin_prefetch(step + AHEAD / 2);
      __builtin_prefetch(step + AHEAD / 2 + 64);
#pragma GCC unroll 16
      for (int v = 0; v < PANEL_VECTORS; v++) {
        const typename Format::Words words = Format::words(step + v * Lanes::width * 4);
#pragma GCC unroll 8
        for (int i = 0; i < Format::step_k; i += VALUES) {
          Meeting::store(out + i / VALUES * STEP_BYTES + v * Lanes::width * 4,
                         Meeting::template columns<Format>(words, i, multipliers[v]));
        }
      }
      out += Format::step_k / VALUES * STEP_BYTES;
    }
    values += steps * Format::step_k;
  }
  return values;
}

// One panel by many rows: blocks of it are dequantized once and meet the rows as a plain panel.
template <class Format, class Meeting>
void run_unpacked_panel(const Quantized& work, const openk2::Tiles& tiles) {
  constexpr int VALUES = Meeting::values;
  alignas(64) char unpacked[UNPACKED_K / VALUES * STEP_BYTES];
  const int64_t filled = (work.k + Format::step_k - 1) / Format::step_k * Format::step_k;
  const int64_t groups = openk2::groups_of(work.k, work.group);
  const int64_t together = UNPACKED_K / work.group;
  int64_t done = 0;
  for (int64_t index = 0; index < groups; index += together) {
    const int64_t some = groups - index < together ? groups - index : together;
    const int64_t values = unpack_groups<Format, Meeting>(work, index, some, unpacked);
    const char* ahead = Format::steps(work.panel, work.k, work.group, index + some);
    for (int64_t tile = 0; tile < tiles.count; tile++) {
      const int64_t first = tiles.first(tile), count = tiles.first(tile + 1) - first;
      const char* start = work.packed + (first * filled + done * count) / VALUES * 4;
      run_rows<typename Meeting::Kind, false>(
          count, {start, unpacked, 0, values / VALUES, work.c + first * work.c_row, work.c_row,
                  index == 0, ahead}, 1);
    }
    done += values;
  }
}

template <class Format, class Meeting>
void quantized_product(const Quantized& all, int64_t rows, int64_t panels) {
  const openk2::Tiles tiles = openk2::tiles_of(rows, Lanes::tile_rows);
  if (rows <= Format::fused_rows) return run_quantized_rows<Format, Meeting>(rows, all, panels);
  Quantized work = all;
  for (int64_t p = 0; p < panels; p++) {
    run_unpacked_panel<Format, Meeting>(work, tiles);
    work.panel += all.panel_bytes;
    work.c += PANEL;
  }
}

void product(int32_t kind, const char* packed, int64_t rows, const char* panel, int64_t panels,
             int64_t k, int64_t group, float* c) {
  if (kind == openk2::PLAIN) return product_of<Plain>(packed, rows, panel, panels, k, c);
  if (kind == openk2::WIDE) return product_of<Wide>(packed, rows, panel, panels, k, c);
  const bool e4m3 = kind == openk2::E4M3_ROWS || kind == openk2::E4M3_PAIR;
  const int64_t panel_bytes =
      group ? openk2::panel_bytes_of(k, e4m3 ? openk2::E4M3 : openk2::INT4, group) : 0;
  const Quantized work{packed, panel, panel_bytes, k, group, c, panels * PANEL};
  if (kind == openk2::E4M3_ROWS) return quantized_product<E4m3, Singly>(work, rows, panels);
  if (kind == openk2::INT4_ROWS) return quantized_product<Int4, Singly>(work, rows, panels);
#ifdef OPENK2_PAIRS
  if (kind == openk2::PAIR) return product_of<Pair>(packed, rows, panel, panels, k, c);
  if (kind == openk2::E4M3_PAIR) return quantized_product<E4m3, InPairs>(work, rows, panels);
  if (kind == openk2::INT4_PAIR) return quantized_product<Int4, InPairs>(work, rows, panels);
#endif
}

}  // namespace
