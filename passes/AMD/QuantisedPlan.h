// How the tile kernel of a product with a quantised weight becomes one program for all waves of a block.
//
// What a lane unpacks no other lane reads, so packed blocks go from memory straight into registers, a turn of the loop
// ahead: each wave has rows of whole packed blocks. Tokens go through LDS, where all waves take them from, the tiles of
// a turn together: half of their ring is read while the other half is filled, and one barrier ends a turn.
//
// The reduction goes over what a product takes in any order, as long as both operands have the same one. Of 64 columns,
// two times 32 whose codes lie together, a lane takes what lets it read whole words: of MFMA, whose four lanes of a row
// hold 16 columns each, the pairs of quads h and h + 2 of one of the two times 32; of gfx12, with two lanes of a row,
// the same of both; of gfx11, where each lane holds all, all.
#pragma once
#include "lib/Kernels/QuantisedText.h"
#include "passes/AMD/KernelPlan.h"
#include <map>

namespace stepdown::amd {

/// What a lane reads of a packed block: how it finds its place there, and bytes further.
struct PackedPiece {
  enum Kind { Half, Byte, FirstPlane, SecondPlane } kind; ///< a field of two bytes, of one, a word of a plane
  int64_t offset;
  bool operator<(const PackedPiece &other) const {
    return std::pair(kind, offset) < std::pair(other.kind, other.offset);
  }
};

/// What a lane unpacks of 32 columns: its pieces, and of each of its quads the words of the planes.
struct LaneColumns {
  PackedPiece d, m;
  struct Quad {
    PackedPiece words[2];
    int64_t shifts[2]; ///< bits, beside the lane's own
    int64_t group;     ///< of the quad, whose scales are these
  };
  llvm::SmallVector<Quad> quads;
  llvm::SmallVector<PackedPiece> scales, minimums; ///< of groups; empty where blocks have none
};

struct QuantisedPlan : QuantisedText {
  Chip chip; ///< with the instruction of 16 rows
  TilePlan tokenTile;
  int64_t threads, tileBytes, ldsBytes;  ///< of a tile of tokens
  int64_t blocksDown, blocksAcross;      ///< of a wave: instructions' sums along rows and tokens
  std::map<PackedPiece, int64_t> pieces; ///< of a turn and 16 rows, numbered

  /// Lanes that hold columns of one row between them: 1, 2 or 4.
  int64_t lanesOfRow() const { return chip.twice ? 1 : chip.lanes / chip.rows; }
  /// What a lane unpacks of the 64 columns of a slot from `column` on.
  llvm::SmallVector<LaneColumns> columns64(int64_t column) const;
};

/// Errors, as diagnostics at the operation: a kernel that is not such a product, or one that the chip has no form for.
mlir::FailureOr<QuantisedPlan> planQuantised(tile::KernelOp kernel, const Chip &chip);

} // namespace stepdown::amd
