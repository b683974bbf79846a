// Tiles in registers as products of NVIDIA's chips leave them, of warps and of warpgroups alike: four warps hold 64
// rows.
#pragma once
#include "passes/NVIDIA/KernelPlan.h"
#include "passes/NVIDIA/ThreadEmitter.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace stepdown::nvidia {

/// What one thread holds of a tile in registers: of each 64 rows of its warpgroup, of each instruction's part of the
/// columns, an element for each register, in its order.
struct RegisterTile {
  int64_t rows; ///< of one warpgroup
  bool single;  ///< one column
  bool paired;  ///< the two rows of an instruction that it holds are neighbours: the role unpacks weights
  int64_t columns, parts;
  RegisterTile(mlir::VectorType type, tile::RoleOp role);
  int64_t count() const { return single ? rows / 32 : rows * columns * parts / kWarpgroup; }
  /// Of element `index`: its row below the thread's first, its column behind the thread's first, and which of the
  /// thread's rows it is in, counted.
  int64_t row(int64_t index) const;
  int64_t column(int64_t index) const;
  int64_t rowIndex(int64_t index) const { return row(index) / 64 * 2 + half(index); }
  /// Which of the instruction's two rows element `index` is in.
  int64_t half(int64_t index) const { return single ? index % 2 : index / 2 % 2; }
  int64_t halfRows() const { return paired ? 1 : 8; } ///< from the first of them to the second
};

/// EmitRegisters.cpp: what is done with them. EmitUnpack.cpp: weights in registers.
class RegisterEmitter : protected ThreadEmitter {
protected:
  using ThreadEmitter::ThreadEmitter;

  void mapElements(tile::MapOp op) { mapElements(op, 0, RegisterTile(op.getType(), role).count()); }
  /// So many elements from `first` on alone, of which lookup() then has no others.
  void mapElements(tile::MapOp op, int64_t first, int64_t count);
  void reduce(tile::ReduceOp op);
  void mask(tile::MaskOp op);
  void narrow(tile::ConvertOp op);
  void fill(mlir::arith::ConstantOp op);
  void storeTransposed(tile::StoreOp op);
  /// Whether the store of the map's result computes it, group by group: of one that reads what lies like the result.
  static bool isMappedLate(tile::MapOp op);
  /// Of a tile of packed blocks, `slot` and `offset` bytes from the begin of shared memory: each warp has 16 rows
  /// of 64.
  void unpack(tile::UnpackOp op, Value slot, int64_t offset);
  Value permute(Value low, Value high, Value selector);
  /// The first row of its warp's 16 that the thread holds.
  Value rowInWarp(const RegisterTile &tile);

  llvm::SmallPtrSet<mlir::Operation *, 2> open; ///< masks that are known to let everything through
  tile::RoleOp role;
  // Of the thread: its number in its warpgroup, and, in a role, the warpgroup's number in it.
  Value thread, warpgroup;
};

} // namespace stepdown::nvidia
