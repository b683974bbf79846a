// Which elements of a product of 16 x 16 numbers of binary16 each lane of a warp holds: mma.sync m16n8k16 twice (PTX
// ISA, "Matrix Fragments for mma.m16n8k16"), MFMA or WMMA 16x16x16 (AMD's matrix instruction calculator).
//
// A place is outer times a lane's outer number, inner times its inner number, and a constant. Rows of B, which are
// columns of the sum, may come in any order: where an instruction has 8 of them, the two instructions have every other
// one, so that a lane's elements of B are neighbours.
#pragma once
#include "lib/Target/Chips.h"
#include <optional>

namespace stepdown {

struct WarpFragments {
  struct Place {
    int64_t outer, inner, constant;
  };
  int64_t lanes;
  int64_t held;       ///< elements of the sum that a lane has
  int64_t factors;    ///< elements of A, and of B
  int64_t neighbours; ///< rows of B whose elements of one column a lane has, each behind the other

  /// The fragments of `chip`'s instruction; none where products of warps are not made with one.
  static std::optional<WarpFragments> of(const ChipFacts &chip);

  /// A lane's outer number is lane / 4, its inner one lane mod 4; of AMD's waves lane mod 16 and lane / 16.
  bool innerIsLow() const { return neighbours > 1; }
  int64_t apart() const { return innerIsLow() ? 4 : 16; }
  /// Whether the rows of a sum that a lane of AMD's has are neighbours; else halves of a wave have the same of A and B.
  bool everyRow() const { return factors == held; }

  /// Of element e: its row, and its column, which is k.
  Place rowOfA(int64_t e) const, columnOfA(int64_t e) const;
  Place rowOfB(int64_t e) const, columnOfB(int64_t e) const;
  Place rowOfSum(int64_t e) const, columnOfSum(int64_t e) const;

private:
  Place columnOfWave(int64_t e) const { return everyRow() ? Place{0, 4, e / 4 * 8 + e % 4} : Place{0, 0, e}; }
};

} // namespace stepdown
