// Latent attention over pages, cut into blocks of queries and heads for threads.
#include <algorithm>
#include <vector>

#include "calls.h"
#include "interface.h"
#include "pool.h"

namespace openk2 {

enum Refusal : int { NONE = 0, SEQUENCE = 1, LENGTH = 2, PAGE = 3, EMPTY = 4 };

namespace {

// Pairs of query and head that read each key together.
constexpr int64_t BLOCK = 64;

// Queries `first` to `last` (exclusive) of one sequence, heads likewise.
struct Part {
  int64_t first, last, first_head, last_head;
};

// Whether what the call names exists: a table's entries that no query reaches may hold anything.
Refusal check(const Attention& call) {
  if (call.heads < 1 || call.page_size < 1) return EMPTY;
  for (int64_t row = 0; row < call.rows;) {
    const int64_t sequence = call.sequence[row];
    if (sequence < 0 || sequence >= call.sequences) return SEQUENCE;
    int64_t longest = 0;
    for (; row < call.rows && call.sequence[row] == sequence; row++) {
      if (call.lengths[row] < 0) return LENGTH;
      longest = std::max<int64_t>(longest, call.lengths[row]);
    }
    const int64_t used = (longest + call.page_size - 1) / call.page_size;
    if (used > call.width) return LENGTH;
    const int32_t* table = call.tables + sequence * call.table_row;
    for (int64_t i = 0; i < used; i++) {
      if (table[i] < 0 || table[i] >= call.page_count) return PAGE;
    }
  }
  return NONE;
}

// Neighbouring queries of one sequence in blocks; heads are cut where there are too few blocks for
// the threads, or too many heads for a block.
std::vector<Part> parts_of(const Attention& call) {
  const int64_t wanted = (call.rows * call.heads + threads() - 1) / threads();
  const int64_t block = std::max<int64_t>(1, std::min(BLOCK, wanted));
  std::vector<Part> parts;
  for (int64_t row = 0; row < call.rows;) {
    const int64_t most = std::max<int64_t>(1, block / call.heads);
    int64_t end = row + 1;
    while (end < call.rows && end < row + most && call.sequence[end] == call.sequence[row]) end++;
    for (int64_t head = 0; head < call.heads; head += block) {
      parts.push_back({row, end, head, std::min(head + block, call.heads)});
    }
    row = end;
  }
  return parts;
}

void attend_part(const Attention& call, const Part& part) {
  const int64_t heads = part.last_head - part.first_head;
  std::vector<const void*> queries;
  std::vector<void*> outputs;
  std::vector<int32_t> lengths;
  for (int64_t row = part.first; row < part.last; row++) {
    for (int64_t head = part.first_head; head < part.last_head; head++) {
      const int64_t query = row * call.query_row + head * call.query_head;
      const int64_t output = row * call.output_row + head * call.output_head;
      queries.push_back(call.queries + query * bytes_of(call.query_type));
      outputs.push_back(call.outputs + output * bytes_of(call.output_type));
      lengths.push_back(call.lengths[row]);
    }
  }
  const int64_t rows = (part.last - part.first) * heads;
  AttentionBlock block;
  block.queries = queries.data();
  block.outputs = outputs.data();
  block.lengths = lengths.data();
  block.rows = rows;
  block.pages = call.pages;
  block.table = call.tables + call.sequence[part.first] * call.table_row;
  block.page_size = call.page_size;
  block.latent_dim = call.latent_dim;
  block.rank = call.rank;
  block.scale = call.scale;
  block.query_type = call.query_type;
  block.latent_type = call.latent_type;
  block.output_type = call.output_type;
  block.scratch = workspace(0, call.kernels->attention_scratch(rows, call.latent_dim, call.rank));
  call.kernels->attend(block);
}

}  // namespace

// 0, or what was refused (`Refusal`); the output is then as it was.
int attend_pages(const Attention& call) {
  if (const Refusal refusal = check(call)) return refusal;
  const std::vector<Part> parts = parts_of(call);
  auto item = [&](int64_t index, int) { attend_part(call, parts[static_cast<size_t>(index)]); };
  run(static_cast<int64_t>(parts.size()), item);
  return NONE;
}

}  // namespace openk2

// What `attend_pages` returns, or NO_MEMORY.
extern "C" __attribute__((visibility("default"))) int openk2_attention(
    const openk2::Attention* call) {
  return openk2::guarded([&] { return openk2::attend_pages(*call); });
}
