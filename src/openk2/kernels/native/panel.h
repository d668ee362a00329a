// Where a packed weight's bytes lie: the layouts of panels, and which kind of product reads them.
#pragma once

#include <cstdint>

namespace openk2 {

// Weight types as Python names them: see shared_library.py. Rows are FLOAT32 or BFLOAT16.
enum Type : int32_t { FLOAT32 = 0, BFLOAT16 = 1, E4M3 = 2, INT4 = 3 };

// How rows meet a packed weight. The order of sums is that of k in all of them.
enum Kind : int32_t {
  PLAIN = 0,      // float32 rows, float32 weight
  WIDE = 1,       // float32 rows, bfloat16 weight widened to float32
  PAIR = 2,       // bfloat16 rows, bfloat16 weight, two products an instruction
  E4M3_ROWS = 3,  // float32 rows, weight dequantized to float32
  E4M3_PAIR = 4,  // bfloat16 rows, weight dequantized and rounded to bfloat16
  INT4_ROWS = 5,
  INT4_PAIR = 6,
};

// What is defined in this header is private to each file that includes it: a function shared by
// files that are compiled for different processors could be linked from the wrong one.
namespace {

// A packed weight lies in panels of 32 output columns. A panel is a sequence of steps of 128 bytes,
// 4 bytes a column: one float32 value of k, two bfloat16 values, four e4m3 or eight int4 ones, the
// first in the lowest bits. Columns and k are padded with zeros.
//
// A quantized panel also holds a multiplier for each `group` values of k:
//   e4m3: ahead of all steps, two float32 a group (for the first and the other 16 columns, which
//         may belong to different blocks or weights), filled up to 64 bytes;
//   int4: ahead of each group's steps, a bfloat16 a column.
constexpr int PANEL = 32;
constexpr int STEP_BYTES = PANEL * 4;
constexpr int64_t E4M3_GROUP_BYTES = 8;
constexpr int64_t INT4_GROUP_BYTES = PANEL * 2;

constexpr int64_t bytes_of(int32_t type) { return type == FLOAT32 ? 4 : 2; }

// Values of k in a step.
constexpr int64_t step_k(int32_t type) {
  return type == FLOAT32 ? 1 : type == BFLOAT16 ? 2 : type == E4M3 ? 4 : 8;
}

constexpr int64_t steps_of(int64_t k, int32_t type) { return (k + step_k(type) - 1) / step_k(type); }

constexpr int64_t panels_of(int64_t columns) { return (columns + PANEL - 1) / PANEL; }

constexpr int64_t groups_of(int64_t k, int64_t group) { return (k + group - 1) / group; }

constexpr int64_t e4m3_header(int64_t k, int64_t group) {
  return (groups_of(k, group) * E4M3_GROUP_BYTES + 63) / 64 * 64;
}

constexpr int64_t int4_group_bytes(int64_t group) {
  return INT4_GROUP_BYTES + group / step_k(INT4) * STEP_BYTES;
}

// group: of a quantized weight, a multiple of step_k; other types have none.
constexpr int64_t panel_bytes_of(int64_t k, int32_t type, int64_t group) {
  const int64_t steps = steps_of(k, type) * STEP_BYTES;
  return type == E4M3   ? e4m3_header(k, group) + steps
         : type == INT4 ? groups_of(k, group) * INT4_GROUP_BYTES + steps
                        : steps;
}

// pairs: whether the processor multiplies bfloat16 by bfloat16.
constexpr Kind kind_of(bool pairs, int32_t weight, int32_t rows) {
  const bool pair = pairs && rows == BFLOAT16;
  if (weight == FLOAT32) return PLAIN;
  if (weight == E4M3) return pair ? E4M3_PAIR : E4M3_ROWS;
  if (weight == INT4) return pair ? INT4_PAIR : INT4_ROWS;
  return pair ? PAIR : WIDE;
}

// Whether rows are packed as pairs of bfloat16.
constexpr bool is_pair(int32_t kind) {
  return kind == PAIR || kind == E4M3_PAIR || kind == INT4_PAIR;
}

// Values of a packed row: k, filled up to whole steps of the weight.
constexpr int64_t packed_k(int32_t kind, int64_t k) {
  const int64_t step = kind == PLAIN                              ? 1
                       : kind == WIDE || kind == PAIR             ? 2
                       : kind == E4M3_ROWS || kind == E4M3_PAIR   ? 4
                                                                  : 8;
  return (k + step - 1) / step * step;
}

}  // namespace
}  // namespace openk2
