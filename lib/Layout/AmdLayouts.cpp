// See the header; written as they print.
#include "lib/Layout/AmdLayouts.h"

namespace stepdown::amd {

static std::string str(int64_t value) { return std::to_string(value); }

LinearLayout mfmaOperand(int rows, int k) {
  const int held = k * rows / 64;
  return LinearLayout::of("register[" + str(held) + ":column] lane[" + str(rows) + ":row " + str(64 / rows) + ":" +
                          str(held) + "*column] -> row[" + str(rows) + "] column[" + str(k) + "]");
}

LinearLayout mfmaAccumulator(int rows) {
  const int groups = 64 / rows; // of lanes, 4 rows each
  return LinearLayout::of("register[4:row " + str(rows / 4 / groups) + ":" + str(4 * groups) + "*row] lane[" +
                          str(rows) + ":column " + str(groups) + ":4*row] -> row[" + str(rows) + "] column[" +
                          str(rows) + "]");
}

LinearLayout wmmaOperandGfx11() {
  return LinearLayout::of("register[16:column] lane[16:row 2:0] -> row[16] column[16]");
}

LinearLayout wmmaAccumulatorGfx11() {
  return LinearLayout::of("register[8:2*row] lane[16:column 2:row] -> row[16] column[16]");
}

LinearLayout wmmaOperandGfx12(int elementBits) {
  const int run = 64 / elementBits; // consecutive k of a lane: two registers
  return LinearLayout::of("register[" + str(run) + ":column " + str(8 / run) + ":" + str(2 * run) +
                          "*column] lane[16:row 2:" + str(run) + "*column] -> row[16] column[16]");
}

LinearLayout wmmaAccumulatorGfx12() {
  return LinearLayout::of("register[8:row] lane[16:column 2:8*row] -> row[16] column[16]");
}

} // namespace stepdown::amd
