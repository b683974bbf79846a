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

LogicalResult UnpackQuadOp::verify() {
  auto type = cast<MemRefType>(getBlocks().getType());
  if (int64_t(getIndices().size()) != type.getRank()) // C1
    return emitOpError() << "expects " << type.getRank() << " indices (C1), but got " << getIndices().size();
  auto block = dyn_cast<transformer::BlockType>(type.getElementType());
  if (!block || !block.getLayout()) // C2
    return emitOpError() << "expects packed blocks (C2), but got " << type;
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
