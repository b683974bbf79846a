// Which elements of a product of 16 x 16 numbers of binary16 each lane of a warp holds: mma.sync m16n8k16 twice (PTX
// ISA, "Matrix Fragments for mma.m16n8k16"), or MFMA 16x16x16 (AMD's matrix instruction calculator).
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
  int64_t held;       ///< elements of A, of B and of the sum that a lane has
  int64_t neighbours; ///< rows of B whose elements of one column a lane has, each behind the other

  /// The fragments of `chip`'s instruction; none where products of warps are not made with one.
  static std::optional<WarpFragments> of(const ChipFacts &chip);

  /// A lane's outer number is lane / 4, its inner one lane mod 4; of waves of 64 lane mod 16 and lane / 16.
  bool innerIsLow() const { return lanes == 32; }
  int64_t apart() const { return innerIsLow() ? 4 : 16; }

  /// Of element e: its row, and its column, which is k.
  Place rowOfA(int64_t e) const, columnOfA(int64_t e) const;
  Place rowOfB(int64_t e) const, columnOfB(int64_t e) const;
  Place rowOfSum(int64_t e) const, columnOfSum(int64_t e) const;
};

} // namespace stepdown
