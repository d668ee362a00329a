// 4 floats by the compiler's own vectors: any processor. Each function means what lanes_avx512.h
// says; a product and a sum are rounded one by one here (-ffp-contract=off keeps them apart).
#pragma once

#include <cstdint>

namespace {

struct Lanes {
  typedef float Float __attribute__((vector_size(16)));
  typedef int32_t Bits __attribute__((vector_size(16)));
  static constexpr int width = 4;
  static constexpr int tile_rows = 4;
  static constexpr int mix_rows = 2;
  static constexpr int mix_vectors = 4;

  static constexpr bool asks_ahead = false;
  static constexpr int vectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }

  static Float zero() { return Float{0, 0, 0, 0}; }
  static Float set(float x) { return Float{x, x, x, x}; }
  static Float load(const void* p) {
    Float x;
    __builtin_memcpy(&x, p, 16);
    return x;
  }
  static void store(float* p, Float x) { __builtin_memcpy(p, &x, 16); }

  static Float add(Float a, Float b) { return a + b; }
  static Float sub(Float a, Float b) { return a - b; }
  static Float mul(Float a, Float b) { return a * b; }
  static Float div(Float a, Float b) { return a / b; }
  static Float fma(Float a, Float b, Float c) { return a * b + c; }
  static Float choose(Bits mask, Float a, Float b) {
    return reinterpret_cast<Float>((mask & reinterpret_cast<Bits>(a)) |
                                   (~mask & reinterpret_cast<Bits>(b)));
  }
  static Float max(Float a, Float b) { return choose(a > b, a, b); }
  static Float min(Float a, Float b) { return choose(a < b, a, b); }
  // Right below 2^22, which is all that `exponential` needs.
  static Float round(Float x) {
    const Float big = set(0x1.8p23f);
    return (x + big) - big;
  }
  static Float power_of_two(Float n) {
    const Bits exponent = __builtin_convertvector(n, Bits) + 127;
    return reinterpret_cast<Float>(exponent << 23);
  }
  static Float zero_below(Float limit, Float at, Float x) {
    return choose(at < limit, zero(), x);
  }

  static Bits load_bits(const void* p) {
    Bits x;
    __builtin_memcpy(&x, p, 16);
    return x;
  }
  static Float low_halves(const void* p) { return reinterpret_cast<Float>(load_bits(p) << 16); }
  static Float high_halves(const void* p) {
    return reinterpret_cast<Float>(load_bits(p) & static_cast<int32_t>(0xffff0000u));
  }
  static Float widen(const void* p) {
    uint16_t half[4];
    __builtin_memcpy(half, p, 8);
    const Bits bits = {half[0], half[1], half[2], half[3]};
    return reinterpret_cast<Float>(bits << 16);
  }
  static void narrow(void* p, Float x) {
    const Bits bits = reinterpret_cast<Bits>(x);
    // Bit 16 as 0 or 1; unsigned, since a sum past the largest finite number must carry.
    typedef uint32_t Unsigned __attribute__((vector_size(16)));
    const Unsigned plain = reinterpret_cast<Unsigned>(bits);
    const Unsigned rounded = (plain + 0x7fff + ((plain >> 16) & 1)) >> 16;
    const Bits nan = x != x;
    const Bits result = (nan & 0x7fc0) | (~nan & reinterpret_cast<Bits>(rounded));
    uint16_t half[4];
    for (int i = 0; i < 4; i++) half[i] = static_cast<uint16_t>(result[i]);
    __builtin_memcpy(p, half, 8);
  }

  static Float e4m3(const uint8_t* p) {
    const Bits byte = {p[0], p[1], p[2], p[3]};
    const Bits low = byte & 0x7f;
    const Float value = reinterpret_cast<Float>(low << 20) * 0x1p120f;
    const Bits bits = reinterpret_cast<Bits>(value) | ((byte - low) << 24);
    return reinterpret_cast<Float>(((low == 0x7f) & 0x7fc00000) | (~(low == 0x7f) & bits));
  }

  using Bytes = Bits;
  static Bytes e4m3_bytes(const void* p) { return load_bits(p); }
  static Float e4m3_byte(Bytes bytes, int i) {
    const Bits moved = (bytes << (24 - 8 * i)) >> 4;
    return reinterpret_cast<Float>(moved & static_cast<int32_t>(0x87f00000u));
  }
  static Float nibble(Bits bits, int i) {
    return __builtin_convertvector((bits >> (4 * i)) & 15, Float);
  }

  static Float swap_pairs(Float x) { return Float{x[1], x[0], x[3], x[2]}; }

  static float peak(Float x) {
    const float left = x[0] > x[1] ? x[0] : x[1], right = x[2] > x[3] ? x[2] : x[3];
    return left > right ? left : right;
  }

  static void sums(const Float* x, float* out) {
    for (int i = 0; i < 4; i++) out[i] = (x[i][0] + x[i][2]) + (x[i][1] + x[i][3]);
  }

  static constexpr bool transposes = false;
  static void transpose(Float*) {}
};

}  // namespace
