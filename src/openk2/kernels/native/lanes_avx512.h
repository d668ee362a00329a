// 16 floats in one register: AVX-512 F, BW, DQ and VL; with OPENK2_PAIRS also AVX-512 BF16.
#pragma once

#include <immintrin.h>

#include <cstdint>

// Everything that an instruction set's file compiles is private to it: a function that two files
// shared could be linked from the wrong one, and then run where its instructions do not exist.
namespace {

struct Lanes {
  using Float = __m512;
  static constexpr int width = 16;
  static constexpr int tile_rows = 12;
  static constexpr int mix_rows = 6;
  static constexpr int mix_vectors = 4;

  // Whether tiles that share a block of panels ask for the next one: first caches of 48 KB hold it
  // beside the 32 KB in use. In 32 KB it drives those out: 57 GFLOP/s where 90 are possible (Zen 3).
  static constexpr bool asks_ahead = true;

  // Vectors of columns that a tile of `rows` holds: 24 sums or fewer, and 8 chains of them or more.
  static constexpr int vectors(int rows) { return rows <= 2 ? 8 : rows <= 6 ? 4 : 2; }

  static Float zero() { return _mm512_setzero_ps(); }
  static Float set(float x) { return _mm512_set1_ps(x); }
  static Float load(const void* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }

  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  // b where either is NaN.
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float round(Float x) { return _mm512_roundscale_ps(x, 0); }
  // 2^n for whole n from -126 to 127.
  static Float power_of_two(Float n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
  }
  // x, but 0 where `at` is below `limit`.
  static Float zero_below(Float limit, Float at, Float x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(at, limit, _CMP_NLT_UQ), x);
  }

  // bfloat16: the low or the high half of each 4 bytes, or 16 values in a row.
  static Float low_halves(const void* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
  }
  static Float high_halves(const void* p) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), high));
  }
  static Float widen(const void* p) {
    const __m256i half = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  // Round to nearest even; NaN stays NaN.
  static void narrow(void* p, Float x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i result = _mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(result));
  }

  // e4m3: sign, exponent and mantissa moved to float32's places, then the exponents' biases made
  // equal by a factor of 2^120; subnormal numbers come out right by the same product.
  static Float e4m3(const uint8_t* p) {
    const __m512i byte =
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m512i low = _mm512_and_si512(byte, _mm512_set1_epi32(0x7f));
    const __m512i sign = _mm512_slli_epi32(_mm512_sub_epi32(byte, low), 24);
    const Float small = _mm512_castsi512_ps(_mm512_slli_epi32(low, 20));
    const Float value = _mm512_mul_ps(small, _mm512_set1_ps(0x1p120f));
    const __mmask16 nan = _mm512_cmpeq_epi32_mask(low, _mm512_set1_epi32(0x7f));
    const __m512i bits = _mm512_or_si512(_mm512_castps_si512(value), sign);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(0x7fc00000)));
  }

  using Bits = __m512i;
  static Bits load_bits(const void* p) { return _mm512_loadu_si512(p); }
  // Four e4m3 values in each 4 bytes: 2^-120 times the values 0 and 2, and 1 and 3, as bfloat16.
  struct Bytes {
    __m512i even, odd;
  };
  static Bytes e4m3_bytes(const void* p) {
    const __m512i bits = load_bits(p), mask = _mm512_set1_epi32(static_cast<int>(0x87f087f0u));
    return {_mm512_and_si512(_mm512_srai_epi16(_mm512_slli_epi16(bits, 8), 4), mask),
            _mm512_and_si512(_mm512_srai_epi16(bits, 4), mask)};
  }
  // 2^-120 times value `i` of each 4 bytes.
  static Float e4m3_byte(const Bytes& bytes, int i) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    const __m512i two = i % 2 ? bytes.odd : bytes.even;
    return _mm512_castsi512_ps(i < 2 ? _mm512_slli_epi32(two, 16) : _mm512_and_si512(two, high));
  }
  // 4 bits of each 4 bytes, 0 to 15; `i` counts from the lowest.
  static Float nibble(Bits bits, int i) {
    return _mm512_cvtepi32_ps(
        _mm512_and_si512(_mm512_srli_epi32(bits, static_cast<unsigned>(4 * i)), _mm512_set1_epi32(15)));
  }

  // Each pair of neighbours exchanged.
  static Float swap_pairs(Float x) { return _mm512_permute_ps(x, 0xb1); }

  static float peak(Float x) { return _mm512_reduce_max_ps(x); }

  // Of 16 registers, each one's sum of lanes, by the same tree for all: out[i] = sum of x[i].
  static void sums(const Float* x, float* out) {
    Float pairs[8], quads[4];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      pairs[i] = add(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                     _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const __m512d a = _mm512_castps_pd(pairs[2 * i]), b = _mm512_castps_pd(pairs[2 * i + 1]);
      quads[i] = add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                     _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    const Float left = add(_mm512_shuffle_f32x4(quads[0], quads[1], 0x88),
                           _mm512_shuffle_f32x4(quads[0], quads[1], 0xdd));
    const Float right = add(_mm512_shuffle_f32x4(quads[2], quads[3], 0x88),
                            _mm512_shuffle_f32x4(quads[2], quads[3], 0xdd));
    store(out, add(_mm512_shuffle_f32x4(left, right, 0x88),
                   _mm512_shuffle_f32x4(left, right, 0xdd)));
  }

  // 16 registers as the rows of a matrix become its columns.
  static constexpr bool transposes = true;
  static void transpose(Float* x) {
    Float twos[16], fours[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      twos[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
      twos[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++) {
        const __m512d a = _mm512_castps_pd(twos[i + j]), b = _mm512_castps_pd(twos[i + 2 + j]);
        fours[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        fours[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      const Float even = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0x88);
      const Float odd = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0xdd);
      const Float even_below = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0x88);
      const Float odd_below = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0xdd);
      x[j] = _mm512_shuffle_f32x4(even, even_below, 0x88);
      x[4 + j] = _mm512_shuffle_f32x4(odd, odd_below, 0x88);
      x[8 + j] = _mm512_shuffle_f32x4(even, even_below, 0xdd);
      x[12 + j] = _mm512_shuffle_f32x4(odd, odd_below, 0xdd);
    }
  }

#ifdef OPENK2_PAIRS
  using Pairs = __m512bh;
  static Pairs load_pairs(const void* p) { return (__m512bh)_mm512_loadu_si512(p); }
  static void store_pairs(void* p, Pairs x) { _mm512_storeu_si512(p, (__m512i)x); }
  // Both rounded to bfloat16, the first in the low half of each 4 bytes.
  static Pairs pairs(Float low, Float high) {
    const __m512i order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    return (__m512bh)_mm512_permutexvar_epi16(order, both);
  }
  static Pairs zero_pairs() { return (__m512bh)_mm512_setzero_si512(); }
  static Pairs set_pair(const void* p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return (__m512bh)_mm512_set1_epi32(pair);
  }
  static Float dot(Float sum, Pairs a, Pairs b) { return _mm512_dpbf16_ps(sum, a, b); }
  // 32 columns of two rows as pairs: `low` has columns 0-3, 8-11, 16-19, 24-27, `high` the others.
  static Pairs interleave_low(Pairs a, Pairs b) {
    return (__m512bh)_mm512_unpacklo_epi16((__m512i)a, (__m512i)b);
  }
  static Pairs interleave_high(Pairs a, Pairs b) {
    return (__m512bh)_mm512_unpackhi_epi16((__m512i)a, (__m512i)b);
  }
  // The 32 sums over interleaved columns back in order.
  static void straighten(Float low, Float high, float* out) {
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i eight = _mm512_set1_epi32(8);
    store(out, _mm512_permutex2var_ps(low, first, high));
    store(out + 16, _mm512_permutex2var_ps(low, _mm512_add_epi32(first, eight), high));
  }
#endif
};

}  // namespace
