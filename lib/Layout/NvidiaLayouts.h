// NVIDIA's layouts, as the PTX ISA draws them: fragments of matrix instructions, the swizzles of TMA and wgmma,
// tiles in shared memory and the descriptors that wgmma reads them by.
//
// Of every operand `row` is m (of B: n) and `column` is k (of C: n). `register` counts the elements that a lane holds,
// in the order of its 32-bit registers, the low bits first; `warp` is the warp in its warpgroup. Offsets are bytes.
#pragma once
#include "lib/Layout/LinearLayout.h"

namespace stepdown::nvidia {

/// C or D of wgmma m64nN, 32 bits an element: register[N/2] lane[32] warp[4] -> row[64] column[N]. N: a multiple of 8.
LinearLayout wgmmaAccumulator(int n);
/// A of wgmma in registers, m64 x k of 256 bits: 8, 16, 32 columns of 32, 16, 8 bits.
LinearLayout wgmmaA(int elementBits);

/// The operands of mma.sync m16n8kK, where a row of K holds 128 or 256 bits: A [16][K], B [8][K], C [16][8] of 32 bits.
LinearLayout mmaA(int elementBits, int k);
LinearLayout mmaB(int elementBits, int k);
LinearLayout mmaC();

/// How 16-byte chunks change places in shared memory: chunk bits ^= row bits of 128 bytes, 1, 2 or 3 of them.
enum class Swizzle { None, B32, B64, B128 };
/// Bytes of a swizzle's row: 16 (None), 32, 64, 128; 8 rows are an atom, and tiles begin at a multiple of an atom.
int swizzleBytes(Swizzle swizzle);
/// offset -> offset within so many bytes, a multiple of an atom's.
LinearLayout swizzled(Swizzle swizzle, int64_t bytes);

enum class Major { K, MN };
/// A tile in shared memory as wgmma (and TMA with the same swizzle) wants it: row column -> offset, rows of the tile
/// being m or n. Atoms of 8 rows x swizzleBytes (K), or swizzleBytes of rows x 8 columns (MN), the next along rows
/// first. None where rows or columns are no multiple of the atom's.
std::optional<LinearLayout> sharedTile(int elementBits, Major major, Swizzle swizzle, int64_t rows, int64_t columns);

/// The 64 bits by which wgmma finds an operand in shared memory.
struct MatrixDescriptor {
  int64_t start = 0;         ///< bytes, a multiple of 16, below 256 KiB
  int64_t leadingOffset = 0; ///< bytes, a multiple of 16; K in a swizzle: unused, 16 by custom
  int64_t strideOffset = 0;  ///< bytes, a multiple of 16
  int baseOffset = 0;        ///< 0 of tiles that begin at a multiple of an atom
  Swizzle swizzle = Swizzle::None;
  /// start/16 in bits 0..13, leading/16 in 16..29, stride/16 in 32..45, base in 49..51, swizzle in 62..63 (0 none,
  /// 1 128B, 2 64B, 3 32B).
  uint64_t encoded() const;
  int layoutType() const;
};

/// The descriptor of the first 256 bits of k of a tile (row column -> offset). None where no descriptor says where all
/// of them lie. For later k, columns that `tile` puts at offset o: the same descriptor with start + o (K within an
/// atom, MN).
std::optional<MatrixDescriptor> descriptorOf(const LinearLayout &tile, int elementBits, Major major, Swizzle swizzle);

} // namespace stepdown::nvidia
