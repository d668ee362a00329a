// Weights between floats and the formats that checkpoints store: block fp8, int4. Every value is
// computed alone, in IEEE float32 arithmetic, so that all processors and torch get the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "interface.h"
#include "pool.h"

// The compiler makes a version of a function for each of these processors and the loader chooses.
#if defined(OPENK2_X86) && defined(__ELF__)
#define OPENK2_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define OPENK2_CLONES
#endif

namespace openk2 {
namespace {

constexpr int64_t CHUNK = 1024;  // values that are widened together; multiple of 8
constexpr uint32_t INFINITE = 0x7f800000;

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

// Rounded to nearest, ties to even; finite values only.
inline uint16_t bfloat16_of(float x) {
  const uint32_t bits = bits_of(x);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float widened(uint16_t x) { return float_of(static_cast<uint32_t>(x) << 16); }

__attribute__((always_inline)) inline void widen(const void* in, int32_t type, int64_t count,
                                                 float* out) {
  if (type == FLOAT32) {
    std::memcpy(out, in, static_cast<size_t>(count) * 4);
    return;
  }
  const uint16_t* halves = static_cast<const uint16_t*>(in);
  for (int64_t i = 0; i < count; i++) out[i] = widened(halves[i]);
}

// The bits of the largest magnitude: as integers magnitudes are in order, infinity and NaN above.
__attribute__((always_inline)) inline uint32_t largest_bits(const float* x, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; i++) {
    largest = std::max(largest, static_cast<int32_t>(bits_of(x[i]) & 0x7fffffff));
  }
  return static_cast<uint32_t>(largest);
}

// A magnitude of at most 448 in e4m3, rounded to nearest, ties to even.
__attribute__((always_inline)) inline uint8_t e4m3_of(float x) {
  const uint32_t bits = bits_of(x), sign = bits & 0x80000000u, magnitude = bits ^ sign;
  // Below 2^-6 steps are 2^-9: adding 2^14, whose last bit that is, rounds to them.
  const uint32_t small = bits_of(float_of(magnitude) + 16384.0f) - bits_of(16384.0f);
  const uint32_t normal =
      (magnitude + 0x7ffff + ((magnitude >> 20) & 1) - (static_cast<uint32_t>(120) << 23)) >> 20;
  const uint32_t code = magnitude < (static_cast<uint32_t>(121) << 23) ? small : normal;
  return static_cast<uint8_t>(code | (sign >> 24));
}

// Whether all values are multiples of `scale` from -8 to 7, as `type` rounds them.
bool multiples_of(float scale, const float* x, int64_t count, int32_t type) {
  for (int64_t i = 0; i < count; i++) {
    const float steps = std::min(std::max(std::nearbyint(x[i] / scale), -8.0f), 7.0f);
    const float value = steps * scale;
    if ((type == FLOAT32 ? value : widened(bfloat16_of(value))) != x[i]) return false;
  }
  return true;
}

// The scale of a group that was int4 before, or `scale`. See `_keep_lattices` of int4.py.
float kept_scale(float scale, float largest, const float* x, int64_t group, int32_t type) {
  if (largest == 0) return scale;
  const int64_t apart = std::max<int64_t>(1, group / 4);
  for (const float steps : {7.0f, 8.0f}) {
    const float guess = largest / steps;
    bool likely = true;
    for (int64_t i = 0; i < group && likely; i += apart) {
      const float nearest = std::nearbyint(x[i] / guess) * guess;
      likely = std::fabs(x[i] - nearest) <= std::fabs(nearest) / 64;
    }
    if (!likely) continue;
    const uint16_t close = bfloat16_of(guess);
    for (const int ulp : {0, 1, -1}) {
      const float candidate = widened(static_cast<uint16_t>(close + ulp));
      if (multiples_of(candidate, x, group, type)) return candidate;
    }
  }
  return scale;
}

template <int64_t fixed>
__attribute__((always_inline)) inline bool quantize_int4_groups(
    const void* in, int32_t type, int64_t width, int64_t given, float smallest, uint8_t* packed,
    uint16_t* scales) {
  const int64_t group = fixed ? fixed : given;
  float x[CHUNK], steps[CHUNK];
  for (int64_t start = 0; start < width; start += group) {
    widen(static_cast<const char*>(in) + start * bytes_of(type), type, group, x);
    const uint32_t top = largest_bits(x, group);
    if (top >= INFINITE) return false;
    const float largest = float_of(top);
    uint16_t stored = bfloat16_of(std::max(largest / 7.0f, smallest));
    stored = bfloat16_of(kept_scale(widened(stored), largest, x, group, type));
    const float scale = widened(stored);
    scales[start / group] = stored;
    for (int64_t i = 0; i < group; i++) {
      steps[i] = std::min(std::max(std::nearbyint(x[i] / scale), -8.0f), 7.0f);
    }
    for (int64_t i = 0; i < group; i += 2) {
      const int32_t low = static_cast<int32_t>(steps[i]) + 8;
      const int32_t high = static_cast<int32_t>(steps[i + 1]) + 8;
      packed[(start + i) / 2] = static_cast<uint8_t>(low | (high << 4));
    }
  }
  return true;
}

OPENK2_CLONES bool quantize_int4_row(const void* in, int32_t type, int64_t width, int64_t group,
                                     float smallest, uint8_t* packed, uint16_t* scales) {
  return group == 32
             ? quantize_int4_groups<32>(in, type, width, group, smallest, packed, scales)
             : quantize_int4_groups<0>(in, type, width, group, smallest, packed, scales);
}

template <int64_t fixed>
__attribute__((always_inline)) inline void dequantize_int4_groups(const uint8_t* packed,
                                                                  const void* scales,
                                                                  int32_t scale_type,
                                                                  int64_t width, int64_t given,
                                                                  int32_t type, void* out) {
  const int64_t group = fixed ? fixed : given;
  float values[CHUNK];
  uint8_t codes[CHUNK];
  for (int64_t start = 0; start < width; start += group) {
    float scale;
    widen(static_cast<const char*>(scales) + start / group * bytes_of(scale_type), scale_type, 1,
          &scale);
    // First the bytes, then the floats: compilers make vectors of two simple loops.
    for (int64_t i = 0; i < group; i += 2) {
      const uint8_t pair = packed[(start + i) / 2];
      codes[i] = pair & 15;
      codes[i + 1] = pair >> 4;
    }
    for (int64_t i = 0; i < group; i++) values[i] = static_cast<float>(codes[i] - 8) * scale;
    if (type == FLOAT32) {
      std::memcpy(static_cast<float*>(out) + start, values, static_cast<size_t>(group) * 4);
      continue;
    }
    uint16_t* halves = static_cast<uint16_t*>(out) + start;
    for (int64_t i = 0; i < group; i++) halves[i] = bfloat16_of(values[i]);
  }
}

OPENK2_CLONES void dequantize_int4_row(const uint8_t* packed, const void* scales,
                                       int32_t scale_type, int64_t width, int64_t group,
                                       int32_t type, void* out) {
  if (group == 32) {
    dequantize_int4_groups<32>(packed, scales, scale_type, width, group, type, out);
  } else {
    dequantize_int4_groups<0>(packed, scales, scale_type, width, group, type, out);
  }
}

// A block of `rows` x `columns` values; strides count values. Its multiplier, or NaN.
OPENK2_CLONES float quantize_fp8_block(const char* in, int64_t in_row, int32_t type, int64_t rows,
                                       int64_t columns, float smallest, uint8_t* out,
                                       int64_t out_row) {
  float x[CHUNK];
  uint32_t top = 0;
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t start = 0; start < columns; start += CHUNK) {
      const int64_t count = std::min(CHUNK, columns - start);
      widen(in + (row * in_row + start) * bytes_of(type), type, count, x);
      top = std::max(top, largest_bits(x, count));
    }
  }
  if (top >= INFINITE) return __builtin_nanf("");
  const float scale = std::max(float_of(top) / 448.0f, smallest);
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t start = 0; start < columns; start += CHUNK) {
      const int64_t count = std::min(CHUNK, columns - start);
      widen(in + (row * in_row + start) * bytes_of(type), type, count, x);
      uint8_t* codes = out + row * out_row + start;
      for (int64_t i = 0; i < count; i++) codes[i] = e4m3_of(x[i] / scale);
    }
  }
  return scale;
}

// Adds to sums[0] the squares of exact - stored, to sums[1] those of exact.
OPENK2_CLONES void add_squares(const void* exact, int32_t exact_type, const void* stored,
                               int32_t stored_type, int64_t count, double* sums) {
  // What compilers of C++ call a vector: they do not see one in a loop over 16 sums.
  typedef float Lanes __attribute__((vector_size(64)));
  constexpr int64_t LANES = 16;
  float x[CHUNK], y[CHUNK];
  Lanes off = {}, all = {};
  widen(exact, exact_type, count, x);
  widen(stored, stored_type, count, y);
  std::fill(x + count, x + (count + LANES - 1) / LANES * LANES, 0.0f);
  std::fill(y + count, y + (count + LANES - 1) / LANES * LANES, 0.0f);
  for (int64_t i = 0; i < count; i += LANES) {
    Lanes wanted, found;
    std::memcpy(&wanted, x + i, sizeof wanted);
    std::memcpy(&found, y + i, sizeof found);
    off += (wanted - found) * (wanted - found);
    all += wanted * wanted;
  }
  for (int64_t lane = 0; lane < LANES; lane++) {
    sums[0] += static_cast<double>(off[lane]);
    sums[1] += static_cast<double>(all[lane]);
  }
}

// body(row) for all rows, several to an item.
template <class Body>
void for_each_row(int64_t rows, int64_t width, const Body& body) {
  const int64_t some = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(1, width));
  auto item = [&](int64_t index, int) {
    const int64_t end = std::min(rows, (index + 1) * some);
    for (int64_t row = index * some; row < end; row++) body(row);
  };
  run((rows + some - 1) / some, item);
}

}  // namespace
}  // namespace openk2

extern "C" {

// Dense [height, width] of `type` -> packed [height, width / 2] bytes, bfloat16 scales
// [height, width / group]. A group has at most 1024 values. 0 where a value is not finite.
__attribute__((visibility("default"))) int32_t openk2_quantize_int4(
    const void* weight, int32_t type, uint8_t* packed, uint16_t* scales, int64_t height,
    int64_t width, int64_t group, float smallest) {
  int32_t finite = 1;
  openk2::for_each_row(height, width, [&](int64_t row) {
    if (!openk2::quantize_int4_row(
            static_cast<const char*>(weight) + row * width * openk2::bytes_of(type), type, width,
            group, smallest, packed + row * width / 2, scales + row * (width / group))) {
      __atomic_store_n(&finite, 0, __ATOMIC_RELAXED);
    }
  });
  return finite;
}

__attribute__((visibility("default"))) void openk2_dequantize_int4(
    const uint8_t* packed, const void* scales, int32_t scale_type, void* out, int64_t out_row,
    int32_t type, int64_t height, int64_t width, int64_t group) {
  openk2::for_each_row(height, width, [&](int64_t row) {
    openk2::dequantize_int4_row(
        packed + row * width / 2,
        static_cast<const char*>(scales) + row * (width / group) * openk2::bytes_of(scale_type),
        scale_type, width, group, type,
        static_cast<char*>(out) + row * out_row * openk2::bytes_of(type));
  });
}

// Dense [height, width] of `type` -> dense e4m3 [height, width] and multipliers, a NaN where a
// block is not finite.
__attribute__((visibility("default"))) void openk2_quantize_fp8(
    const void* weight, int32_t type, uint8_t* codes, float* scales, int64_t height, int64_t width,
    int64_t block_rows, int64_t block_columns, float smallest) {
  const int64_t across = (width + block_columns - 1) / block_columns;
  const int64_t down = (height + block_rows - 1) / block_rows;
  auto item = [&](int64_t index, int) {
    const int64_t row = index / across * block_rows, column = index % across * block_columns;
    const int64_t at = row * width + column;
    scales[index] = openk2::quantize_fp8_block(
        static_cast<const char*>(weight) + at * openk2::bytes_of(type), width, type,
        std::min(block_rows, height - row), std::min(block_columns, width - column), smallest,
        codes + at, width);
  };
  openk2::run(across * down, item);
}

// sums[0] += squares of exact - stored, sums[1] += squares of exact; both dense, `count` values.
// 0, or NO_MEMORY, when sums are as they were.
__attribute__((visibility("default"))) int openk2_add_squares(
    const void* exact, int32_t exact_type, const void* stored, int32_t stored_type, int64_t count,
    double* sums) {
  using namespace openk2;
  const int64_t part = 64 * CHUNK, parts = (count + part - 1) / part;
  return guarded([&] {
    // The parts' own sums, which are added in order: threads change no digit.
    std::vector<double> own(static_cast<size_t>(2 * parts), 0.0);
    auto item = [&](int64_t index, int) {
      const int64_t end = std::min(count, (index + 1) * part);
      for (int64_t start = index * part; start < end; start += CHUNK) {
        add_squares(static_cast<const char*>(exact) + start * bytes_of(exact_type), exact_type,
                    static_cast<const char*>(stored) + start * bytes_of(stored_type), stored_type,
                    std::min(CHUNK, end - start), &own[static_cast<size_t>(2 * index)]);
      }
    };
    run(parts, item);
    for (size_t i = 0; i < own.size(); i++) sums[i % 2] += own[i];
    return 0;
  });
}
}
