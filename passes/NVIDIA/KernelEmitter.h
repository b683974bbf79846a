// Writes a tile kernel as one llvm.func of nvvm, llvm, scf and arith operations.
#pragma once
#include "passes/NVIDIA/KernelPlan.h"
#include "passes/NVIDIA/RegisterEmitter.h"
#include "llvm/ADT/MapVector.h"

namespace stepdown::nvidia {

/// Indices become i32; sums become what one thread holds of them, a struct for each instruction's part; tiles in
/// registers become the elements that a thread holds, narrow ones in pairs of 32 bits.
/// Which slot a role is at is in two stack cells, which LLVM keeps in registers: the text's order decides, however
/// loops and branches are nested.
class KernelEmitter final : RegisterEmitter {
public:
  KernelEmitter(tile::KernelOp kernel, const KernelPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  /// Where a tile of a held slot is: its slot, of so many bytes each, the bytes from the begin of shared memory to it
  /// in the first slot, and the barrier that copies into it signal.
  struct TileView {
    Value slot;
    int64_t slotBytes, offset;
    Value barrier;
  };
  /// The cells of one end of a channel in a role: the next slot and its parity.
  struct End {
    Value slot, parity;
  };

  /// Of one end of a channel, in a loop whose body is repeated: the slots that the copies take from the loop's first
  /// on, by how much their parities differ from its, and which of them is next.
  struct Round {
    mlir::SmallVector<Value> slots, turned;
    int64_t next;
  };

  // Prologue and roles.
  void readParameters();
  void initialiseBarriers();
  void meetCluster();
  mlir::LogicalResult emitRole(tile::RoleOp role);
  /// The role's operations, between the first turn and the last; `barrier` is that of the warpgroup's turn.
  mlir::LogicalResult emitInTurns(tile::RoleOp role, Value barrier);
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;

  // Channels.
  Value barrier(int64_t first, Value slot);
  Value oldest(tile::ReleaseOp op);
  void waitFor(Value barrier, Value parity, bool ofCluster);
  void advance(Value slot, Value parity, int64_t depth);
  void take(Value channel, mlir::ValueRange tiles, bool fill);
  void release(tile::ReleaseOp op);
  void copy(tile::CopyOp op);

  // Turns of warpgroups.
  mlir::LogicalResult takeTurn(bool enters);
  void arriveAt(Value turn);
  void meetAt(Value turn);

  // EmitLoop.cpp: loops in parts.
  mlir::LogicalResult emitParts(mlir::scf::ForOp op);
  void beginRounds(mlir::scf::ForOp op);
  void endRounds(int64_t copies);

  // EmitMatrix.cpp: products.
  using TileEmitter::multiply;
  void multiply(tile::MmaOp op);
  Value multiplyRegisters(mlir::ArrayRef<Value> a, Value b, Value sum, mlir::Type element, int64_t columns, bool adds,
                          bool rowsOfB);
  void wait(tile::MmaWaitOp op);
  void computeBefore(mlir::ValueRange tiles);
  Value descriptor(Value tile, bool transposed, Value across = Value());
  Value descriptorAddress();
  void prepareDescriptors();

  // EmitStore.cpp: stores of what they leave in registers.
  mlir::LogicalResult store(tile::StoreOp op);
  void storeBoxes(tile::StoreOp op);
  void meetWarpgroup();
  void onIssuer(llvm::function_ref<void()> body);
  void waitForStages(int64_t pending);

  const KernelPlan &plan;
  llvm::DenseMap<Value, TileView> tiles;
  llvm::DenseMap<Value, End> ends;      ///< of the role at hand
  llvm::MapVector<Value, Round> rounds; ///< of the loop at hand, where its body is repeated
  Value rank;                           ///< of the block in its cluster, where there is one
  Value share;                          ///< along k, where the block's share of the sum begins, where it has one
  Value turn, nextTurn; ///< of the thread's warpgroup and of the next one, in a role that takes turns: their barriers
  Value issuer, stageBarrier; ///< of a role that stages: whether the thread has boxes written; its warpgroup's barrier
  Value matrixBase;           ///< of the role: the descriptor of a tile at the begin of shared memory, i64
};

} // namespace stepdown::nvidia
