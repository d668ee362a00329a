// Rows on their way into a product and out of it: packing, rounding, weighted sums, SwiGLU.
#pragma once

#include "exponential.h"
#include "interface.h"

// Included once in each instruction set's file, after its lanes.
namespace {

inline float float_of(const void* row, int32_t type, int64_t i) {
  if (type == openk2::FLOAT32) return static_cast<const float*>(row)[i];
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(row)[i]) << 16;
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

using openk2::is_pair;
using openk2::packed_k;

int64_t packed_bytes(int32_t kind, int64_t rows, int64_t k) {
  return rows * packed_k(kind, k) * (is_pair(kind) ? 2 : 4);
}

// Where value `at` of row `row` lies in a tile of `rows`; pairs lie beside each other.
template <class Value>
Value* packed_place(int32_t kind, Value* tile, int64_t rows, int64_t row, int64_t at) {
  if (is_pair(kind)) return tile + (at / 2 * rows + row) * 2 + at % 2;
  return tile + at * rows + row;
}

// As many values as whole vectors take, of a tile of `count` rows; returns how many of each row.
// A vector is written whole: what it has too much is overwritten by the next one, and at the end it
// lies in the room that a workspace has beyond its bytes.
int64_t pack_vectors(int32_t kind, const void* const* rows, int32_t type, int64_t count, int64_t k,
                     float* out) {
  if (!Lanes::transposes) return 0;
  const int64_t values = is_pair(kind) ? 2 : 1;
  const int64_t whole = k / (values * Lanes::width) * Lanes::width;
  for (int64_t unit = 0; unit < whole; unit += Lanes::width, out += Lanes::width * count) {
    Lanes::Float x[Lanes::width];
    for (int64_t r = 0; r < Lanes::width; r++) {
      if (r >= count) {
        x[r] = Lanes::zero();
      } else if (type == openk2::FLOAT32 || is_pair(kind)) {
        x[r] = Lanes::load(static_cast<const float*>(rows[r]) + unit);
      } else {
        x[r] = Lanes::widen(static_cast<const uint16_t*>(rows[r]) + unit);
      }
    }
    Lanes::transpose(x);
    for (int64_t i = 0; i < Lanes::width; i++) Lanes::store(out + i * count, x[i]);
  }
  return whole * values;
}

void pack_tile(int32_t kind, const void* const* rows, int32_t type, int64_t count, int64_t k,
               char* out) {
  const int64_t done =
      pack_vectors(kind, rows, type, count, k, reinterpret_cast<float*>(out));
  const int64_t end = packed_k(kind, k);
  for (int64_t r = 0; r < count; r++) {
    for (int64_t i = done; i < end; i++) {
      if (is_pair(kind)) {
        const uint16_t* row = static_cast<const uint16_t*>(rows[r]);
        *packed_place(kind, reinterpret_cast<uint16_t*>(out), count, r, i) = i < k ? row[i] : 0;
      } else {
        float* place = packed_place(kind, reinterpret_cast<float*>(out), count, r, i);
        *place = i < k ? float_of(rows[r], type, i) : 0;
      }
    }
  }
}

void pack_rows(int32_t kind, const void* const* rows, int32_t type, int64_t count, int64_t k,
               char* out) {
  const openk2::Tiles tiles = openk2::tiles_of(count, Lanes::tile_rows);
  for (int64_t tile = 0; tile < tiles.count; tile++) {
    const int64_t first = tiles.first(tile), size = tiles.first(tile + 1) - first;
    pack_tile(kind, rows + first, type, size, k, out + packed_bytes(kind, first, k));
  }
}

void store(const float* c, int64_t columns, int32_t type, void* out) {
  if (type == openk2::FLOAT32) {
    __builtin_memcpy(out, c, static_cast<size_t>(columns) * 4);
    return;
  }
  uint16_t* rounded = static_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + Lanes::width <= columns; i += Lanes::width) {
    Lanes::narrow(rounded + i, Lanes::load(c + i));
  }
  if (i < columns) {
    // c has whole panels, so that a whole vector can be read.
    uint16_t last[Lanes::width];
    Lanes::narrow(last, Lanes::load(c + i));
    __builtin_memcpy(rounded + i, last, static_cast<size_t>(columns - i) * 2);
  }
}

void add_weighted(float weight, const float* c, int64_t count, float* total) {
  const Lanes::Float factor = Lanes::set(weight);
  for (int64_t i = 0; i < count; i += Lanes::width) {
    Lanes::store(total + i, Lanes::fma(factor, Lanes::load(c + i), Lanes::load(total + i)));
  }
}

void combine(float alpha, const float* a, float beta, const float* b, int64_t count, float* out) {
  const Lanes::Float first = Lanes::set(alpha), second = Lanes::set(beta);
  for (int64_t i = 0; i < count; i += Lanes::width) {
    const Lanes::Float left = Lanes::mul(first, Lanes::load(a + i));
    Lanes::store(out + i, Lanes::fma(second, Lanes::load(b + i), left));
  }
}

void transpose(const float* in, int64_t in_row, int64_t rows, int64_t columns, float* out,
               int64_t out_row) {
  constexpr int64_t WIDTH = Lanes::width;
  const int64_t whole_rows = Lanes::transposes ? rows / WIDTH * WIDTH : 0;
  const int64_t whole_columns = columns / WIDTH * WIDTH;
  for (int64_t row = 0; row < whole_rows; row += WIDTH) {
    for (int64_t column = 0; column < whole_columns; column += WIDTH) {
      Lanes::Float x[WIDTH];
      for (int64_t i = 0; i < WIDTH; i++) x[i] = Lanes::load(in + (row + i) * in_row + column);
      Lanes::transpose(x);
      for (int64_t i = 0; i < WIDTH; i++) Lanes::store(out + (column + i) * out_row + row, x[i]);
    }
  }
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++) {
      out[column * out_row + row] = in[row * in_row + column];
    }
  }
}

void swiglu(int32_t kind, const float* c, int64_t panels, int64_t row, int64_t rows,
            int64_t column, int64_t inner, char* packed) {
  constexpr int HALF = openk2::PANEL / 2;
  const int64_t filled = packed_k(kind, inner);
  const openk2::Tiles tiles = openk2::tiles_of(rows, Lanes::tile_rows);
  // The tile that holds `row`: tiles.first(tile) <= row < tiles.first(tile + 1).
  int64_t tile = row * tiles.count / rows;
  while (tiles.first(tile + 1) <= row) tile++;
  const int64_t first = tiles.first(tile), size = tiles.first(tile + 1) - first;
  const Lanes::Float one = Lanes::set(1);
  for (int64_t panel = 0; panel < panels; panel++, column += HALF, c += openk2::PANEL) {
    float values[HALF];
    uint16_t rounded[HALF];
    for (int i = 0; i < HALF; i += Lanes::width) {
      const Lanes::Float gate = Lanes::load(c + i), up = Lanes::load(c + HALF + i);
      const Lanes::Float decay = exponential(Lanes::sub(Lanes::zero(), gate));
      const Lanes::Float silu = Lanes::div(gate, Lanes::add(one, decay));
      Lanes::store(values + i, Lanes::mul(silu, up));
      if (is_pair(kind)) Lanes::narrow(rounded + i, Lanes::load(values + i));
    }
    // Columns past `inner` are zero, as the weight's are: they fill the last step.
    const int64_t end = filled - column < HALF ? filled - column : HALF;
    if (is_pair(kind)) {
      uint16_t* start = reinterpret_cast<uint16_t*>(packed) + first * filled;
      for (int64_t i = 0; i < end; i++) {
        *packed_place(kind, start, size, row - first, column + i) = rounded[i];
      }
    } else {
      float* start = reinterpret_cast<float*>(packed) + first * filled;
      for (int64_t i = 0; i < end; i++) {
        *packed_place(kind, start, size, row - first, column + i) = values[i];
      }
    }
  }
}

}  // namespace
