// Writes the tile kernel of a product with a quantised weight as one llvm.func of AMD's intrinsics, llvm, scf and arith
// operations.
#pragma once
#include "passes/AMD/QuantisedPlan.h"
#include "passes/AMD/SumEmitter.h"

namespace stepdown::amd {

class QuantisedEmitter final : SumEmitter {
public:
  /// `plan` outlives the emitter.
  QuantisedEmitter(tile::KernelOp kernel, const QuantisedPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  /// Sums are vectors of what an instruction leaves a lane.
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;
  void prepare();
  mlir::LogicalResult emitTurnsOf(mlir::scf::ForOp op);
  /// Issues the loads of a turn from column `column` on: packed blocks of the wave's rows, and tokens.
  mlir::LogicalResult fetch(Value column);
  /// Puts the tokens that were fetched into LDS, `slot` bytes from its begin.
  void arrive(Value slot);
  void multiply64(tile::MmaOp op);
  void store(tile::StoreOp op);

  // EmitUnpack.cpp
  void preparePieces();
  void fetchPieces(Value row, Value column);
  void unpack(tile::UnpackOp op);

  QuantisedPlan plan;
  Value laneColumns;                    ///< which of the lanes of a row it is
  mlir::SmallVector<Value> tokenPlaces; ///< in LDS: of each chunk that a lane takes of a tile
  llvm::DenseMap<Value, int64_t> tiles; ///< of tokens, which of the turn
  Value slot;                           ///< half of the ring that is read, bytes
  std::map<PackedPiece::Kind, Value> pieceBases;
  Value planeShifts[2];                  ///< of the lane; null: none
  mlir::SmallVector<Value> here, coming; ///< pieces of this turn and of the next, [blocksDown, pieces]
  mlir::SmallVector<Loaded> loaded;      ///< tokens of the next turn
};

} // namespace stepdown::amd
