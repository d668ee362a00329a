// The routed experts: y = sum over a row's choices of weight * down(silu(gate x) * up x).
//
// Rows are grouped by expert. A row's terms are added in the order of their experts' numbers, those
// of one expert in the order of the choices, so its sum depends on its own choices alone.
#include <algorithm>
#include <vector>

#include "calls.h"
#include "interface.h"
#include "pool.h"
#include "split.h"

namespace openk2 {

namespace {

int64_t slot_of(const ExpertsCall& call, int64_t expert) { return call.slots ? call.slots[expert] : expert; }

// Rows that meet one expert together: slots `first` to `first + rows` of the sorted choices.
struct Group {
  int64_t expert, first, rows;
};

struct Sorted {
  std::vector<int64_t> slots;  // row * choices + choice, by expert
  std::vector<Group> groups;
  int64_t most_rows = 0;  // of a group
};

// Choices by expert; false if one is not an expert's number.
bool sort_choices(const Experts& experts, const ExpertsCall& call, Sorted& sorted) {
  const int64_t total = call.rows * call.choices;
  auto expert_of = [&](int64_t i) { return call.chosen ? call.chosen[i] : 0; };
  std::vector<int64_t> starts(static_cast<size_t>(experts.count) + 1, 0);
  for (int64_t i = 0; i < total; i++) {
    const int64_t expert = expert_of(i);
    if (expert < 0 || expert >= experts.count) return false;
    if (slot_of(call, expert) >= 0) starts[static_cast<size_t>(expert) + 1]++;
  }
  for (size_t e = 0; e < static_cast<size_t>(experts.count); e++) starts[e + 1] += starts[e];
  sorted.slots.resize(static_cast<size_t>(starts.back()));
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  for (int64_t i = 0; i < total; i++) {
    if (slot_of(call, expert_of(i)) < 0) continue;
    sorted.slots[static_cast<size_t>(next[static_cast<size_t>(expert_of(i))]++)] = i;
  }
  for (int64_t e = 0; e < experts.count; e++) {
    const int64_t first = starts[static_cast<size_t>(e)];
    const int64_t rows = starts[static_cast<size_t>(e) + 1] - first;
    const Groups cuts(rows, BLOCK_ROWS);
    for (int64_t cut = 0; cut < cuts.groups; cut++) {
      const int64_t size = cuts.first(cut + 1) - cuts.first(cut);
      sorted.groups.push_back({e, first + cuts.first(cut), size});
      sorted.most_rows = std::max(sorted.most_rows, size);
    }
  }
  return true;
}

// Each slot's silu(gate x) * up x, packed for the second product, group by group.
void first_products(const Experts& experts, const ExpertsCall& call, const Sorted& sorted, Kind kind,
                    char* inner) {
  const Kernels& kernels = *experts.kernels;
  const int64_t panels = (experts.inner + PANEL / 2 - 1) / (PANEL / 2);
  const int64_t panel_bytes = panel_bytes_of(experts.hidden, experts.type, experts.group);
  const int64_t groups = static_cast<int64_t>(sorted.groups.size());
  const Groups cuts(panels, panels_of_item(panels, groups, sorted.most_rows, panel_bytes));
  int64_t packed_last[MOST_THREADS];
  std::fill_n(packed_last, MOST_THREADS, int64_t{-1});

  auto item = [&](int64_t index, int worker) {
    const int64_t number = index / cuts.groups, cut = index % cuts.groups;
    const Group& group = sorted.groups[static_cast<size_t>(number)];
    char* packed = workspace(0, kernels.packed_bytes(kind, group.rows, experts.hidden));
    if (packed_last[worker] != number) {
      const void* starts[BLOCK_ROWS];
      for (int64_t r = 0; r < group.rows; r++) {
        const int64_t row = sorted.slots[static_cast<size_t>(group.first + r)] / call.choices;
        starts[r] = call.x + row * call.x_row * bytes_of(call.x_type);
      }
      kernels.pack_rows(kind, starts, call.x_type, group.rows, experts.hidden, packed);
      packed_last[worker] = number;
    }
    const int64_t first = cuts.first(cut), some = cuts.first(cut + 1) - first;
    float* c = reinterpret_cast<float*>(workspace(1, group.rows * some * STEP_BYTES));
    kernels.product(kind, packed, group.rows,
                    experts.first +
                        (slot_of(call, group.expert) * panels + first) * panel_bytes, some,
                    experts.hidden, experts.group, c);
    char* out = inner + kernels.packed_bytes(kind, group.first, experts.inner);
    for (int64_t r = 0; r < group.rows; r++) {
      kernels.swiglu(kind, c + r * some * PANEL, some, r, group.rows, first * (PANEL / 2),
                     experts.inner, out);
    }
  };
  run(groups * cuts.groups, item);
}

// Columns of y by columns: in each, all groups' second products, weighed and added in order.
void second_products(const Experts& experts, const ExpertsCall& call, const Sorted& sorted, Kind kind,
                     const char* inner) {
  const Kernels& kernels = *experts.kernels;
  const int64_t panels = panels_of(experts.hidden);
  const int64_t panel_bytes = panel_bytes_of(experts.inner, experts.type, experts.group);
  const int64_t groups = static_cast<int64_t>(sorted.groups.size());
  const int64_t all_bytes = panel_bytes * groups;
  const Groups cuts(panels, panels_of_item(panels, 1, call.rows, all_bytes));

  auto item = [&](int64_t cut, int) {
    const int64_t first = cuts.first(cut), some = cuts.first(cut + 1) - first;
    const int64_t width = some * PANEL;
    float* total = reinterpret_cast<float*>(workspace(0, call.rows * width * 4));
    const int64_t columns = std::min(width, experts.hidden - first * PANEL);
    std::fill_n(total, call.rows * width, 0.0f);
    for (int64_t r = 0; call.before && r < call.rows; r++) {
      std::copy_n(call.before + r * experts.hidden + first * PANEL, columns, total + r * width);
    }
    float* c = reinterpret_cast<float*>(workspace(1, sorted.most_rows * width * 4));
    for (const Group& group : sorted.groups) {
      kernels.product(kind, inner + kernels.packed_bytes(kind, group.first, experts.inner),
                      group.rows,
                      experts.second +
                          (slot_of(call, group.expert) * panels + first) * panel_bytes,
                      some, experts.inner, experts.group, c);
      for (int64_t r = 0; r < group.rows; r++) {
        const int64_t slot = sorted.slots[static_cast<size_t>(group.first + r)];
        const float weight = call.weights ? call.weights[slot] : 1;
        kernels.add_weighted(weight, c + r * width, width,
                             total + slot / call.choices * width);
      }
    }
    for (int64_t r = 0; r < call.rows; r++) {
      kernels.store(total + r * width, columns, call.y_type,
                    call.y + (r * call.y_row + first * PANEL) * bytes_of(call.y_type));
    }
  };
  run(cuts.groups, item);
}

}  // namespace

// 0, or 1 if a choice is not an expert's number; y is then as it was.
int mix_experts(const Experts& experts, const ExpertsCall& call) {
  Sorted sorted;
  if (!sort_choices(experts, call, sorted)) return 1;
  if (call.rows == 0) return 0;
  const Kernels& kernels = *experts.kernels;
  const Kind kind = kind_of(kernels.pairs, experts.type, call.x_type);
  char* inner = workspace(
      2, kernels.packed_bytes(kind, static_cast<int64_t>(sorted.slots.size()), experts.inner));
  first_products(experts, call, sorted, kind, inner);
  second_products(experts, call, sorted, kind, inner);
  return 0;
}

}  // namespace openk2

// What `mix_experts` returns, or NO_MEMORY.
extern "C" __attribute__((visibility("default"))) int openk2_experts(const openk2::Experts* experts,
                                                                      const openk2::ExpertsCall* call) {
  return openk2::guarded([&] { return openk2::mix_experts(*experts, *call); });
}
