// The table of one instruction set's functions. Included last in its file.
#pragma once

#include "attend.h"
#include "interface.h"
#include "pointwise.h"
#include "product.h"
#include "quantized.h"
#include "rows.h"

namespace {

constexpr openk2::Kernels make_table(const char* name) {
#ifdef OPENK2_PAIRS
  constexpr bool pairs = true;
#else
  constexpr bool pairs = false;
#endif
  openk2::Kernels table{};
  table.name = name;
  table.pairs = pairs;
  table.tile_rows = Lanes::tile_rows;
  table.packed_bytes = packed_bytes;
  table.pack_rows = pack_rows;
  table.product = product;
  table.panel_product = panel_product;
  table.store = store;
  table.add_weighted = add_weighted;
  table.combine = combine;
  table.transpose = transpose;
  table.swiglu = swiglu;
  table.attention_scratch = attention_scratch;
  table.attend = attend;
  table.rms_norm_row = rms_norm_row;
  table.rotate_row = rotate_row;
  table.add_row = add_row;
  table.convert_row = convert_row;
  table.sigmoid_row = sigmoid_row;
  table.dequantize_row = dequantize_row;
  return table;
}

}  // namespace
