// Row by row without a weight matrix: norm, rotation, sums, sigmoid, block fp8. A value goes through the
// same instructions wherever in its row it lies, so its bits do not depend on that.
#pragma once

#include "exponential.h"
#include "interface.h"
#include "rows.h"

// Included once in each instruction set's file, after its lanes.
namespace {

// One vector of a row, or what is left of the row: values beyond are read as 0 and not written.
struct Piece {
  int64_t start, count;
  bool whole() const { return count == Lanes::width; }
};

inline Piece piece_at(int64_t start, int64_t width) {
  const int64_t left = width - start;
  return {start, left < Lanes::width ? left : Lanes::width};
}

inline Lanes::Float load_piece(const void* row, int32_t type, Piece piece) {
  const int64_t size = openk2::bytes_of(type);
  const char* from = static_cast<const char*>(row) + piece.start * size;
  char filled[Lanes::width * 4] = {};
  if (!piece.whole()) {
    __builtin_memcpy(filled, from, static_cast<size_t>(piece.count * size));
    from = filled;
  }
  return type == openk2::FLOAT32 ? Lanes::load(from) : Lanes::widen(from);
}

inline void store_piece(void* row, int32_t type, Piece piece, Lanes::Float x) {
  const int64_t size = openk2::bytes_of(type);
  char* to = static_cast<char*>(row) + piece.start * size;
  char filled[Lanes::width * 4];
  char* place = piece.whole() ? to : filled;
  if (type == openk2::FLOAT32) {
    Lanes::store(reinterpret_cast<float*>(place), x);
  } else {
    Lanes::narrow(place, x);
  }
  if (!piece.whole()) __builtin_memcpy(to, filled, static_cast<size_t>(piece.count * size));
}

inline Lanes::Float logistic(Lanes::Float x) {
  const Lanes::Float one = Lanes::set(1);
  return Lanes::div(one, Lanes::add(one, exponential(Lanes::sub(Lanes::zero(), x))));
}

void rms_norm_row(const void* x, int32_t x_type, const void* weight, int32_t weight_type,
                  int64_t width, float eps, void* y, int32_t y_type) {
  Lanes::Float squares = Lanes::zero();
  for (int64_t i = 0; i < width; i += Lanes::width) {
    const Lanes::Float value = load_piece(x, x_type, piece_at(i, width));
    squares = Lanes::fma(value, value, squares);
  }
  float lanes[Lanes::width], sum = 0;
  Lanes::store(lanes, squares);
  for (int i = 0; i < Lanes::width; i++) sum += lanes[i];
  const float inverse = 1 / __builtin_sqrtf(sum / static_cast<float>(width) + eps);
  const Lanes::Float factor = Lanes::set(inverse);
  for (int64_t i = 0; i < width; i += Lanes::width) {
    const Piece piece = piece_at(i, width);
    const Lanes::Float normed = Lanes::mul(load_piece(x, x_type, piece), factor);
    store_piece(y, y_type, piece, Lanes::mul(normed, load_piece(weight, weight_type, piece)));
  }
}

void rotate_row(const void* x, int32_t x_type, const float* cos, const float* sin, int64_t n,
                void* y, int32_t y_type) {
  for (int64_t i = 0; i < 2 * n; i += Lanes::width) {
    const Piece piece = piece_at(i, 2 * n);
    float along[Lanes::width] = {}, across[Lanes::width] = {};
    for (int64_t j = 0; j < piece.count; j += 2) {
      along[j] = along[j + 1] = cos[(i + j) / 2];
      across[j] = -sin[(i + j) / 2];
      across[j + 1] = sin[(i + j) / 2];
    }
    // Two products and a sum, each rounded, as torch's rotation has them.
    const Lanes::Float value = load_piece(x, x_type, piece);
    const Lanes::Float turned = Lanes::mul(Lanes::swap_pairs(value), Lanes::load(across));
    store_piece(y, y_type, piece, Lanes::add(Lanes::mul(value, Lanes::load(along)), turned));
  }
}

void add_row(const void* a, const void* b, int32_t type, int64_t width, void* out) {
  for (int64_t i = 0; i < width; i += Lanes::width) {
    const Piece piece = piece_at(i, width);
    const Lanes::Float sum = Lanes::add(load_piece(a, type, piece), load_piece(b, type, piece));
    store_piece(out, type, piece, sum);
  }
}

void convert_row(const void* x, int32_t x_type, int64_t width, void* y, int32_t y_type) {
  for (int64_t i = 0; i < width; i += Lanes::width) {
    const Piece piece = piece_at(i, width);
    store_piece(y, y_type, piece, load_piece(x, x_type, piece));
  }
}

void sigmoid_row(const float* x, int64_t width, float* y) {
  for (int64_t i = 0; i < width; i += Lanes::width) {
    const Piece piece = piece_at(i, width);
    store_piece(y, openk2::FLOAT32, piece, logistic(load_piece(x, openk2::FLOAT32, piece)));
  }
}

void dequantize_row(const uint8_t* in, const float* scales, int64_t width, int64_t block,
                    int32_t type, void* out) {
  for (int64_t start = 0; start < width; start += block) {
    const Lanes::Float scale = Lanes::set(scales[start / block]);
    const int64_t end = start + block < width ? start + block : width;
    for (int64_t i = start; i < end; i += Lanes::width) {
      const Piece piece = piece_at(i, end);
      uint8_t filled[Lanes::width] = {};
      const uint8_t* bytes = in + i;
      if (!piece.whole()) {
        __builtin_memcpy(filled, bytes, static_cast<size_t>(piece.count));
        bytes = filled;
      }
      store_piece(out, type, piece, Lanes::mul(Lanes::e4m3(bytes), scale));
    }
  }
}

}  // namespace
