#include "lib/Target/WarpFragments.h"

namespace stepdown {

std::optional<WarpFragments> WarpFragments::of(const ChipFacts &chip) {
  if (llvm::StringRef(chip.road) == "nvidia")
    return WarpFragments{32, 8, 8, 2};
  if (chip.lanes == 64)
    return WarpFragments{64, 4, 4, 1};
  if (llvm::StringRef(chip.name).starts_with("gfx11"))
    return WarpFragments{32, 8, 16, 1};
  return WarpFragments{32, 8, 8, 1};
}

// Of mma.sync's A register i has row outer + 8 (i mod 2) and columns 2 inner + 8 (i / 2) + h, h = 0, 1. Of B register i
// has columns 2 inner + 8 i + h, of each of two instructions. Of a sum's four, element i has row outer + 8 (i / 2) and
// column 2 inner + i mod 2 of its instruction. Of AMD's waves a lane has one row of A and of B, and of each eight
// columns, or of 16 on CDNA, four neighbours from 4 inner on; on gfx11 all 16, which both halves of a wave have. Of a
// sum it has one column, and rows that are neighbours; on gfx11 every other row, from inner on.
using Place = WarpFragments::Place;

Place WarpFragments::rowOfA(int64_t e) const { return {1, 0, innerIsLow() ? e / 2 % 2 * 8 : 0}; }
Place WarpFragments::columnOfA(int64_t e) const {
  return innerIsLow() ? Place{0, 2, e / 4 * 8 + e % 2} : columnOfWave(e);
}
Place WarpFragments::rowOfB(int64_t e) const { return innerIsLow() ? Place{2, 0, e / 4} : Place{1, 0, 0}; }
Place WarpFragments::columnOfB(int64_t e) const {
  return innerIsLow() ? Place{0, 2, e / 2 % 2 * 8 + e % 2} : columnOfWave(e);
}
Place WarpFragments::rowOfSum(int64_t e) const {
  if (innerIsLow())
    return {1, 0, e % 4 / 2 * 8};
  return everyRow() ? Place{0, held, e} : Place{0, 1, 2 * e};
}
Place WarpFragments::columnOfSum(int64_t e) const {
  return innerIsLow() ? Place{0, 4, e % 2 * 2 + e / 4} : Place{1, 0, 0};
}

} // namespace stepdown
