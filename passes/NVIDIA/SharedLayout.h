// How a tile lies in shared memory so that TMA writes it and wgmma reads it, without bank conflicts: the 128-byte
// swizzle. A tile [rows, columns] is cut into blocks of columns, 128 bytes wide; a block is `rows` rows of 128 bytes
// one behind the other, of which each eight, 1024 bytes, are one pattern: the 16-byte pieces of row r stand at their
// number XOR r mod 8. TMA's box is one block. wgmma is told where a tile's first piece is and how far the next eight
// rows and the next block are (PTX ISA, matrix descriptor format; CuTe's canonical layouts).
//
// Packed blocks of weights lie as they do in global memory, one behind the other, a row of them behind the other: TMA
// copies them as dialects/Tile/IR/BlockCopy.h says.
#pragma once
#include "dialects/Tile/IR/BlockCopy.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace stepdown::nvidia {

inline constexpr int64_t kRowBytes = 128, kPatternRows = 8, kPatternBytes = kRowBytes * kPatternRows, kPieceBytes = 16;
/// Of an instruction of a warp (mma.sync m16n8): bytes of its reduction, 16 elements of 16 bits or 32 of 8; rows of its
/// sum, and columns of two sums, whose second operands are one load.
inline constexpr int64_t kWarpReduction = 32, kWarpRows = 16, kWarpColumns = 16;
/// Rows of one TMA box at most.
inline constexpr int64_t kBoxRows = 256;
/// Rows and bytes of a box of a warpgroup's results.
inline constexpr int64_t kStageRows = 64, kStageBytes = kStageRows * kRowBytes;

inline int64_t elementBytes(mlir::MemRefType tile) { return tile.getElementTypeBitWidth() / 8; }
/// Columns of a block.
inline int64_t blockColumns(mlir::MemRefType tile) { return kRowBytes / elementBytes(tile); }
/// Bytes from one block of columns to the next.
inline int64_t blockBytes(mlir::MemRefType tile) { return tile.getDimSize(0) * kRowBytes; }
inline int64_t tileBytes(mlir::MemRefType tile) {
  return tile.getNumElements() * tile::elementBytes(tile.getElementType());
}

/// Whether a tile or matrix is of packed blocks of a weight.
inline bool isPacked(mlir::MemRefType tile) { return mlir::isa<transformer::BlockType>(tile.getElementType()); }

/// Whether a tile has this layout.
inline bool isSwizzled(mlir::MemRefType tile) {
  return !isPacked(tile) && tile.getElementTypeBitWidth() % 8 == 0 && tile.getElementTypeBitWidth() <= 32 &&
         tile.getDimSize(0) % kPatternRows == 0 && tile.getDimSize(0) <= kBoxRows &&
         tile.getDimSize(1) % blockColumns(tile) == 0;
}

/// A descriptor is its address, the distance of blocks ("leading") and of patterns ("stride"), in 16 bytes, and the
/// swizzle; the latter two are the same for all tiles. The distance of blocks counts where the matrix unit runs along
/// the rows of 128 bytes (an operand that is transposed); else it stays inside one block and the field must be 1.
inline int64_t leadingBits(mlir::MemRefType tile, bool transposed) {
  return (transposed ? blockBytes(tile) / 16 : 1) << 16;
}
inline constexpr int64_t kDescriptorBits = ((kPatternBytes / 16) << 32) | (int64_t(1) << 62);

/// Bytes from the tile's begin to elements k ... of the reduction: columns of it, or, transposed, its rows.
inline int64_t reductionOffset(mlir::MemRefType tile, bool transposed, int64_t k) {
  if (transposed)
    return k * kRowBytes;
  return k / blockColumns(tile) * blockBytes(tile) + k % blockColumns(tile) * elementBytes(tile);
}

/// Bytes from the tile's begin to what stands across the reduction at `index`: its rows, or, transposed, its columns. A
/// multiple of eight rows or of a block's columns.
inline int64_t acrossOffset(mlir::MemRefType tile, bool transposed, int64_t index) {
  return transposed ? index / blockColumns(tile) * blockBytes(tile) : index * kRowBytes;
}

} // namespace stepdown::nvidia
