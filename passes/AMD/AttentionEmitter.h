// Writes an attention's tile kernel as one llvm.func of AMD's intrinsics, llvm, scf and arith operations.
#pragma once
#include "passes/AMD/AttentionPlan.h"
#include "passes/AMD/WaveEmitter.h"

namespace stepdown::amd {

/// A tile of scores, weights or sums is, in a lane, what it holds of its query: one number of a tile with one column;
/// four of a sum in parts; of others of each `rows` columns what the instruction leaves a lane of a sum. Weights are
/// vectors of 8 neighbouring keys.
class AttentionEmitter final : WaveEmitter {
public:
  AttentionEmitter(tile::KernelOp kernel, const AttentionPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;

  /// Elements that a lane holds of a tile.
  int64_t count(mlir::Type type) const;
  bool isSums(mlir::Type type) const; ///< of a matrix instruction
  Value vectorOf(mlir::VectorType type, mlir::ArrayRef<Value> numbers);
  mlir::SmallVector<Value> packed(mlir::scf::ForOp loop, mlir::ArrayRef<Value> numbers);
  mlir::SmallVector<Value> unpacked(mlir::scf::ForOp loop, mlir::ArrayRef<Value> carried);
  mlir::LogicalResult emitBlocks(mlir::scf::ForOp op);
  mlir::LogicalResult emitWhile(Value lower, Value upper, Value step, mlir::SmallVectorImpl<Value> &carried,
                                llvm::function_ref<mlir::LogicalResult(Value, mlir::SmallVectorImpl<Value> &)> body);
  /// The tiles of the block of keys at `key` on their way.
  Loaded fetch(const TilePlan &tile, Value key);
  void readQueries();
  Value queryPlace(int64_t piece, Value half);
  mlir::SmallVector<Value> queriesOf(int64_t step);
  mlir::LogicalResult wait(tile::WaitOp op);
  void multiply(tile::MmaOp op);
  void takeSums(tile::MmaWaitOp op);
  void reduce(tile::ReduceOp op);
  void mask(tile::MaskOp op);
  mlir::LogicalResult read(tile::ReadOp op);
  void narrow(tile::ConvertOp op);
  void store(tile::StoreOp op);
  /// `value` of the lane of the other half that has the same query.
  Value otherHalf(Value value);
  using TileEmitter::multiply;

  AttentionPlan plan;
  Value query, half;                    ///< of the lane: in the tile; 0 or 1
  Value slot;                           ///< 0 or 1: of the keys of this turn; the values before them are in the other
  mlir::SmallVector<Value> queries;     ///< of the tile, as readQueries leaves them
  std::function<void()> behindProducts; ///< what is to be done once a turn's products are issued
  llvm::DenseMap<Value, Value> slots;   ///< of what is waited for: bytes from the tile's first slot
  llvm::DenseMap<Value, mlir::SmallVector<Value>> products; ///< of an accumulator: sums
};

} // namespace stepdown::amd
