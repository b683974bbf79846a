// Verifiers and effects of the tile operations.
#include "dialects/Tile/IR/TileOps.h"

using namespace mlir;
using namespace stepdown::tile;

LogicalResult BlockDotOp::verify() {
  auto acc = dyn_cast<VectorType>(getAcc().getType());
  int64_t rows = acc ? acc.getNumElements() : 1;
  if (rows != getWeight().getType().getRows()) // C1
    return emitOpError() << "expects an accumulator of " << getWeight().getType().getRows()
                         << " elements (C1), but got " << getAcc().getType();
  return success();
}

/// C1 and C2 of what reads a quad, but for what else C2 asks of blocks.
template <typename Op> static LogicalResult verifyQuad(Op op) {
  auto type = cast<MemRefType>(op.getBlocks().getType());
  if (int64_t(op.getIndices().size()) != type.getRank()) // C1
    return op.emitOpError() << "expects " << type.getRank() << " indices (C1), but got " << op.getIndices().size();
  auto block = dyn_cast<stepdown::transformer::BlockType>(type.getElementType());
  if (!block || !block.getLayout()) // C2
    return op.emitOpError() << "expects packed blocks (C2), but got " << type;
  return success();
}

LogicalResult UnpackQuadOp::verify() { return verifyQuad(*this); }

LogicalResult UnpackHalvesOp::verify() {
  if (failed(verifyQuad(*this)))
    return failure();
  auto block = cast<transformer::BlockType>(cast<MemRefType>(getBlocks().getType()).getElementType());
  if (!block.getFormat().isQuantised() || block.getFormat().wide) // C2
    return emitOpError() << "expects quantised blocks with scales of binary16 (C2), but got " << block;
  return success();
}

LogicalResult BlockPtrOp::verify() {
  int64_t rank = cast<MemRefType>(getBase().getType()).getRank();
  if (int64_t(getIndices().size()) != rank) // C1
    return emitOpError() << "expects " << rank << " indices (C1), but got " << getIndices().size();
  return success();
}

void stepdown::tile::structuredEffects(DestinationStyleOpInterface op,
                                       SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
  }
}
