// What the lowering knows of AMD's chips beside lib/Target's facts: the matrix instruction that products are made of. A
// table of our own: combinations that a chip lacks pass MLIR's verifier and end in the backend.
#pragma once
#include "lib/Layout/LinearLayout.h"
#include "lib/Target/Chips.h"
#include <algorithm>

namespace stepdown::amd {

/// Elements of 16 bits, or pairs of 8, along k that lie together in LDS, 16 bytes; and how many a step of products
/// takes.
inline constexpr int64_t kChunk = 8, kStep = 16;

struct Chip : ChipFacts {
  int64_t rows;           ///< and columns of an instruction's sum
  int64_t held;           ///< elements of 16 bits, or pairs, of an operand that a lane hands to an instruction
  bool twice;             ///< both halves of a wave hold the same of an operand
  bool mfma;              ///< else WMMA
  int32_t resource;       ///< the last word of a raw buffer's resource
  const char *bf16, *f16; ///< the intrinsics
  int64_t narrowHeld;     ///< `held` and `f16` of the instruction of 16 rows
  const char *narrowF16;
  int64_t pairsHeld; ///< `held` of the instruction of int8, whose sums are int32
  const char *i8;
  int64_t floatsHeld = 0; ///< `held` of the instructions of OCP's fp8; 0: none
  const char *e4m3 = nullptr, *e5m2 = nullptr;
  /// Its e4m3 is FNUZ's: each code is half of what OCP's is, but that of minus zero, which is NaN, and OCP's two of
  /// NaN.
  bool fnuz = false;

  /// Sums of 32 bits that a lane holds of an instruction.
  int64_t sums() const { return rows * rows / lanes; }
  /// Steps that an instruction takes, and instructions of so many.
  int64_t steps() const { return std::max<int64_t>(1, held * lanes / rows / kStep / (twice ? 2 : 1)); }
  int64_t instructions() const { return steps() * kStep * rows / lanes * (twice ? 2 : 1) / held; }
  /// The chip with its instruction of 16 rows, of binary16 alone.
  Chip narrow() const;
  /// The chip with its instructions of int8, or of fp8, alone.
  Chip eights(bool floats) const;
  /// register lane -> row column.
  LinearLayout accumulator() const;
};

/// Null for a chip that is not in the table.
const Chip *findChip(llvm::StringRef name);
/// "gfx942, gfx950 ...".
std::string chipNames();

} // namespace stepdown::amd
