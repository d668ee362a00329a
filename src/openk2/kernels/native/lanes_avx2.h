// 8 floats in one register: AVX2 and FMA. Each function means what lanes_avx512.h says.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

struct Lanes {
  using Float = __m256;
  static constexpr int width = 8;
  static constexpr int tile_rows = 6;
  static constexpr int mix_rows = 4;
  static constexpr int mix_vectors = 2;

  static constexpr bool asks_ahead = false;
  static constexpr int vectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }

  static Float zero() { return _mm256_setzero_ps(); }
  static Float set(float x) { return _mm256_set1_ps(x); }
  static Float load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }

  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float round(Float x) { return _mm256_round_ps(x, 0); }
  static Float power_of_two(Float n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
  static Float zero_below(Float limit, Float at, Float x) {
    return _mm256_and_ps(_mm256_cmp_ps(at, limit, _CMP_NLT_UQ), x);
  }

  using Bits = __m256i;
  static Bits load_bits(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static Float low_halves(const void* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(load_bits(p), 16));
  }
  static Float high_halves(const void* p) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return _mm256_castsi256_ps(_mm256_and_si256(load_bits(p), high));
  }
  static Float widen(const void* p) {
    const __m128i half = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  static void narrow(void* p, Float x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
    const __m128i low = _mm256_castsi256_si128(result), high = _mm256_extracti128_si256(result, 1);
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm_packus_epi32(low, high));
  }

  static Float e4m3(const uint8_t* p) {
    const __m256i byte =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m256i low = _mm256_and_si256(byte, _mm256_set1_epi32(0x7f));
    const __m256i sign = _mm256_slli_epi32(_mm256_sub_epi32(byte, low), 24);
    const Float small = _mm256_castsi256_ps(_mm256_slli_epi32(low, 20));
    const Float value = _mm256_mul_ps(small, _mm256_set1_ps(0x1p120f));
    const __m256i nan = _mm256_cmpeq_epi32(low, _mm256_set1_epi32(0x7f));
    const __m256i bits = _mm256_or_si256(_mm256_castps_si256(value), sign);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7fc00000), nan));
  }

  struct Bytes {
    __m256i even, odd;
  };
  static Bytes e4m3_bytes(const void* p) {
    const __m256i bits = load_bits(p), mask = _mm256_set1_epi32(static_cast<int>(0x87f087f0u));
    return {_mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(bits, 8), 4), mask),
            _mm256_and_si256(_mm256_srai_epi16(bits, 4), mask)};
  }
  static Float e4m3_byte(const Bytes& bytes, int i) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    const __m256i two = i % 2 ? bytes.odd : bytes.even;
    return _mm256_castsi256_ps(i < 2 ? _mm256_slli_epi32(two, 16) : _mm256_and_si256(two, high));
  }
  static Float nibble(Bits bits, int i) {
    return _mm256_cvtepi32_ps(
        _mm256_and_si256(_mm256_srli_epi32(bits, 4 * i), _mm256_set1_epi32(15)));
  }

  static Float swap_pairs(Float x) { return _mm256_permute_ps(x, 0xb1); }

  static float peak(Float x) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  static void sums(const Float* x, float* out) {
    Float pairs[4], quads[2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      pairs[i] = add(_mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                     _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      const __m256d a = _mm256_castps_pd(pairs[2 * i]), b = _mm256_castps_pd(pairs[2 * i + 1]);
      quads[i] = add(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)),
                     _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    store(out, add(_mm256_permute2f128_ps(quads[0], quads[1], 0x20),
                   _mm256_permute2f128_ps(quads[0], quads[1], 0x31)));
  }

  // 8 registers as the rows of a matrix become its columns.
  static constexpr bool transposes = true;
  static void transpose(Float* x) {
    Float twos[8], fours[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      twos[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
      twos[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++) {
        const __m256d a = _mm256_castps_pd(twos[i + j]), b = _mm256_castps_pd(twos[i + 2 + j]);
        fours[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
        fours[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      x[j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x20);
      x[4 + j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x31);
    }
  }
};

}  // namespace
