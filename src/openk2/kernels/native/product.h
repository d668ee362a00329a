// Rows times a packed weight. Lanes lie along the weight's columns and each sum runs over k in
// order, so an element's bits depend on its row and its column alone: not on the tile, the number
// of rows, or where a block of k ends, since sums go through memory as the float32 that they are.
#pragma once

#include "interface.h"

// Included once in each instruction set's file, after its lanes.
namespace {

using openk2::PANEL;
using openk2::STEP_BYTES;

constexpr int PANEL_VECTORS = PANEL / Lanes::width;

// Steps of a panel that stay in the first-level cache while several tiles read them: 32 KB.
constexpr int64_t BLOCK_STEPS = 256;

// Steps of two panels that meet: both stay there.
constexpr int64_t PAIR_STEPS = 128;

// How far ahead a tile that is alone asks for its panels, in bytes of all of them: what the
// processor asks for by itself is late when each step computes for several rows.
constexpr int64_t AHEAD = 8192;

// What a kind of product is made of. A step of a row is `parts` times 4 bytes and covers `step_k`
// values of k; a part of it meets a vector of columns in `add`.
struct Plain {
  static constexpr int parts = 1, step_k = 1;
  using Row = Lanes::Float;
  using Columns = Lanes::Float;
  static Row row(const char* p) { return Lanes::set(*reinterpret_cast<const float*>(p)); }
  static Columns columns(const char* p, int) { return Lanes::load(p); }
  static Lanes::Float add(Lanes::Float sum, Row a, Columns b) { return Lanes::fma(a, b, sum); }
};

struct Wide : Plain {
  static constexpr int parts = 2, step_k = 2;
  static Columns columns(const char* p, int part) {
    return part == 0 ? Lanes::low_halves(p) : Lanes::high_halves(p);
  }
};

#ifdef OPENK2_PAIRS
struct Pair {
  static constexpr int parts = 1, step_k = 2;
  using Row = Lanes::Pairs;
  using Columns = Lanes::Pairs;
  static Row row(const char* p) { return Lanes::set_pair(p); }
  static Columns columns(const char* p, int) { return Lanes::load_pairs(p); }
  static Lanes::Float add(Lanes::Float sum, Row a, Columns b) { return Lanes::dot(sum, a, b); }
};
#endif

// What a tile works on. Columns beyond those of `panel` are in the next panel, `panel_bytes` on.
struct Work {
  const char* packed;
  const char* panel;
  int64_t panel_bytes, steps;
  float* c;
  int64_t c_row;
  bool begins;        // sums start at zero, not at c
  const char* ahead;  // what to ask the memory for meanwhile: 64 bytes a step and panel
};

// ALONE: no other tile reads these panels, so that this one must ask for all that it will read.
// ROW_STEP: bytes from one step of the rows to the next.
template <class Kind, bool ALONE, int ROWS, int VECTORS, int ROW_STEP = ROWS * Kind::parts * 4>
void run_tile(const Work& work) {
  constexpr int PANELS = (VECTORS + PANEL_VECTORS - 1) / PANEL_VECTORS;
  // One row or two only read, and the processor sees that coming.
  constexpr bool ASKS = ROWS > 2 && (ALONE || Lanes::asks_ahead);
  Lanes::Float sums[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
      const float* start = work.c + r * work.c_row + v * Lanes::width;
      sums[r][v] = work.begins ? Lanes::zero() : Lanes::load(start);
    }
  }
  const char* packed = work.packed;
  const char* panel = work.panel;
  const char* ahead = work.ahead;
  for (int64_t step = 0; step < work.steps; step++) {
#pragma GCC unroll 4
    for (int p = 0; ASKS && p < PANELS; p++) {
      __builtin_prefetch(ahead + p * work.panel_bytes);
      if (ALONE) __builtin_prefetch(ahead + p * work.panel_bytes + 64);
    }
    ahead += ALONE ? STEP_BYTES : STEP_BYTES / 2;
#pragma GCC unroll 2
    for (int part = 0; part < Kind::parts; part++) {
      typename Kind::Columns columns[VECTORS];
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; v++) {
        const char* start = panel + (v / PANEL_VECTORS) * work.panel_bytes;
        columns[v] = Kind::columns(start + (v % PANEL_VECTORS) * Lanes::width * 4, part);
      }
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
        const typename Kind::Row row = Kind::row(packed + (part * ROWS + r) * 4);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) sums[r][v] = Kind::add(sums[r][v], row, columns[v]);
      }
    }
    packed += ROW_STEP;
    panel += STEP_BYTES;
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
      Lanes::store(work.c + r * work.c_row + v * Lanes::width, sums[r][v]);
    }
  }
}

// `panels` panels by one tile of ROWS rows, as many columns at a time as registers hold.
template <class Kind, bool ALONE, int ROWS>
void run_panels(const Work& all, int64_t panels) {
  constexpr int VECTORS = Lanes::vectors(ROWS);
  constexpr int TOGETHER = VECTORS / PANEL_VECTORS;
  constexpr int FEWER = VECTORS < PANEL_VECTORS ? VECTORS : PANEL_VECTORS;
  Work work = all;
  int64_t panel = 0;
  if constexpr (TOGETHER > 1) {
    for (; panel + TOGETHER <= panels; panel += TOGETHER) {
      work.panel = all.panel + panel * all.panel_bytes;
      if (ALONE) work.ahead = work.panel + AHEAD / TOGETHER;
      work.c = all.c + panel * PANEL;
      run_tile<Kind, ALONE, ROWS, VECTORS>(work);
    }
  }
  for (; panel < panels; panel++) {
    for (int v = 0; v < PANEL_VECTORS; v += FEWER) {
      work.panel = all.panel + panel * all.panel_bytes + v * Lanes::width * 4;
      if (ALONE) work.ahead = work.panel + AHEAD;
      work.c = all.c + panel * PANEL + v * Lanes::width;
      run_tile<Kind, ALONE, ROWS, FEWER>(work);
    }
  }
}

template <class Kind, bool ALONE, int ROWS = Lanes::tile_rows>
void run_rows(int64_t rows, const Work& work, int64_t panels) {
  if (rows == ROWS) {
    run_panels<Kind, ALONE, ROWS>(work, panels);
  } else if constexpr (ROWS > 1) {
    run_rows<Kind, ALONE, ROWS - 1>(rows, work, panels);
  }
}

template <class Kind>
void product_of(const char* packed, int64_t rows, const char* panel, int64_t panels, int64_t k,
                float* c) {
  const int64_t steps = (k + Kind::step_k - 1) / Kind::step_k;
  const int64_t panel_bytes = steps * STEP_BYTES, c_row = panels * PANEL;
  const openk2::Tiles tiles = openk2::tiles_of(rows, Lanes::tile_rows);
  if (tiles.count == 1) {
    run_rows<Kind, true>(rows, {packed, panel, panel_bytes, steps, c, c_row, true, panel}, panels);
    return;
  }
  for (int64_t p = 0; p < panels; p++) {
    for (int64_t step = 0; step < steps; step += BLOCK_STEPS) {
      const int64_t block = steps - step < BLOCK_STEPS ? steps - step : BLOCK_STEPS;
      for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t first = tiles.first(tile), count = tiles.first(tile + 1) - first;
        const char* start = packed + (first * steps + step * count) * Kind::parts * 4;
        const char* now = panel + p * panel_bytes + step * STEP_BYTES;
        // The first two tiles ask for the two halves of the next block.
        const char* ahead = now + block * STEP_BYTES + tile % 2 * block * STEP_BYTES / 2;
        run_rows<Kind, false>(count,
                              {start, now, panel_bytes, block, c + first * c_row + p * PANEL, c_row,
                               step == 0, ahead},
                              1);
      }
    }
  }
}

// One tile of the rows that a panel holds as its columns, from row `first` on, times the columns of
// another panel. UPPER: without columns that lie below the diagonal for all of these rows.
template <int ROWS = Lanes::tile_rows>
void run_panel_rows(int64_t first, int64_t rows, bool upper, const Work& all) {
  constexpr int MOST = Lanes::vectors(ROWS);
  constexpr int VECTORS = MOST < PANEL_VECTORS ? MOST : PANEL_VECTORS;
  if (rows == ROWS) {
    Work work = all;
    for (int v = 0; v < PANEL_VECTORS; v += VECTORS) {
      if (upper && (v + VECTORS) * Lanes::width <= first) continue;
      work.panel = all.panel + v * Lanes::width * 4;
      work.c = all.c + v * Lanes::width;
      run_tile<Plain, false, ROWS, VECTORS, STEP_BYTES>(work);
    }
  } else if constexpr (ROWS > 1) {
    run_panel_rows<ROWS - 1>(first, rows, upper, all);
  }
}

void panel_product(const float* rows, const float* columns, int64_t k, bool upper, float* c) {
  const openk2::Tiles tiles = openk2::tiles_of(PANEL, Lanes::tile_rows);
  for (int64_t step = 0; step < k; step += PAIR_STEPS) {
    const int64_t block = k - step < PAIR_STEPS ? k - step : PAIR_STEPS;
    const char* panel = reinterpret_cast<const char*>(columns + step * PANEL);
    for (int64_t tile = 0; tile < tiles.count; tile++) {
      const int64_t first = tiles.first(tile);
      const char* start = reinterpret_cast<const char*>(rows + step * PANEL + first);
      run_panel_rows(first, tiles.first(tile + 1) - first, upper,
                     {start, panel, 0, block, c + first * PANEL, PANEL, step == 0, panel});
    }
  }
}

}  // namespace
