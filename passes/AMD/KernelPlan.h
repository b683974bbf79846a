// How a product's tile kernel becomes one program for all waves of a block.
//
// AMD gives each wave its registers once and for all, so waves that only copy would hold registers that the products
// need. The role that copies therefore goes into the role that multiplies: where that waits for a slot, its waves issue
// the loads of the slot's tiles into registers, and put them into LDS when the products in front are done. A product is
// computed where the text says that it must be (mma_wait), so the products of one slot lie between the loads of the
// next one and their arrival.
#pragma once
#include "lib/Kernels/ShareEmitter.h"
#include "passes/AMD/Chip.h"
#include <numeric>

namespace stepdown::amd {

/// A tile of a slot. In LDS, it lies in chunks of 16 bytes, 8 elements (of int8 16, which go as 8 pairs) along k of one
/// row (m of A, n of B); chunk (c, r) is at 16 (c rows + place(c, r)) bytes, where place flips the low three bits of r
/// so that neither the waves' writes nor their reads meet in a bank:
///   - along k in memory, copied a chunk a lane: neighbouring lanes write neighbouring chunks of few rows. place = r
///   XOR
///     c * 8 / min(8, chunks of a row).
///   - along rows in memory: a lane copies 8 rows and turns them, and neighbouring lanes write 8 rows apart. place = r
///     XOR (r / 8).
///
/// Or it lies in pairs: words of two elements along k, of which word (c, r) of rows r beside each other is at 4 (c rows
/// + place(r)). What lies along rows in memory is then turned by words alone, and goes in pieces of 16 bytes; an
/// instruction takes its four elements along k, or eight, as words from lines that lie apart (ds_read2st64). place
/// flips bit 2 of r where bit 5 is set: 8 lanes that write 32 bytes apart, 16 of them at a time, are in 8 places of 16.
struct TilePlan {
  tile::CopyOp copy;
  int64_t offset;       ///< in the slot, bytes
  int64_t rows, chunks; ///< r and c are below these
  bool alongK;          ///< in memory
  bool pairs;           ///< lies in pairs, `deep` is 2
  int64_t deep;         ///< elements along k that a lane takes of each row that it turns: 8, 4 or 2; alongK: 8
  int64_t units;        ///< that each thread copies: chunks, or 8 rows x `deep`
  bool wholeChunks;     ///< the matrix has whole chunks along k: a lane behind the last reads nothing
  bool ordered;         ///< rows of LDS stand in the order of an instruction's sum: WaveEmitter::ordered
  /// Units alongK whose places are no offset from each other's: rows change places within 8, `ordered` ones within 16.
  int64_t ways(int64_t threads) const {
    const int64_t within = ordered ? 16 : 8;
    return within / std::gcd(within, threads / chunks);
  }
  int64_t slotBytes; ///< from a slot to the next, where the tile has a ring of its own
};

struct KernelPlan {
  Chip chip;            ///< with the instruction that the product is made of
  tile::RoleOp role;    ///< that multiplies
  tile::ChannelOp ring; ///< of two slots
  tile::MmaOp first;
  mlir::scf::ForOp copies;      ///< the loop that fills slots
  mlir::scf::ForOp turns;       ///< where sums end with each slot, the loop that takes them; else null
  std::optional<SharedSum> sum; ///< that blocks along y share out
  TilePlan a, b;
  int64_t threads, slotBytes, ldsBytes;
  int64_t waveRows, waveColumns;    ///< waves along m and n
  int64_t blocksDown, blocksAcross; ///< of a wave: instructions' sums along m and n
  int64_t steps;                    ///< of a slot, two chunks along k each
  std::array<int64_t, 2> tile;      ///< rows and columns that a turn of the schedule goes over
};

/// Plans `operand` of `mma`, which `copies` fills; errors as diagnostics where `threads` cannot share it out.
mlir::LogicalResult planTile(TilePlan &tile, const Chip &chip, int64_t threads, mlir::scf::ForOp copies,
                             tile::MmaOp mma, mlir::Value operand, bool alongK);

/// Errors, as diagnostics at the operation: a kernel that is not a product, or one that the chip has no form for.
mlir::FailureOr<KernelPlan> planKernel(tile::KernelOp kernel, const Chip &chip);

} // namespace stepdown::amd
