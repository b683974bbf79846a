#include "passes/Kernel/Dequantised.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace stepdown {

static constexpr int64_t kBlock = 128; ///< columns, and rows, that share a scale

Type Dequantised::element() const { return cast<RankedTensorType>(codes.getType()).getElementType(); }

/// Whether `body` multiplies its first argument, widened to float32, by its second.
static bool scalesCodes(Block &body, unsigned codes, unsigned scale) {
  Operation *last = body.getTerminator();
  auto product = last->getNumOperands() == 1 ? last->getOperand(0).getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  if (!product || !llvm::hasNItems(body.without_terminator(), 2))
    return false;
  for (unsigned i : {0, 1}) {
    auto wide = product->getOperand(i).getDefiningOp<arith::ExtFOp>();
    if (wide && wide.getIn() == body.getArgument(codes) && product->getOperand(1 - i) == body.getArgument(scale))
      return true;
  }
  return false;
}

std::optional<Dequantised> dequantisedOf(Value matrix) {
  auto joined = matrix.getDefiningOp<tensor::CollapseShapeOp>();
  auto made = (joined ? joined.getSrc() : matrix).getDefiningOp<linalg::GenericOp>();
  if (!made || made.getNumDpsInputs() != 2 || made.getNumDpsInits() != 1 || !made.hasPureTensorSemantics() ||
      made.getNumParallelLoops() != made.getNumLoops())
    return std::nullopt;
  const SmallVector<AffineMap> maps = made.getIndexingMapsArray();
  const auto type = cast<RankedTensorType>(made.getResult(0).getType());
  const unsigned codes = maps[0].isIdentity() ? 0 : 1;
  const auto scales = dyn_cast<RankedTensorType>(made.getDpsInputs()[1 - codes].getType());
  if (!maps[codes].isIdentity() || !maps[2].isIdentity() || !scales || !scales.getElementType().isF32() ||
      !type.getElementType().isF32() || !scalesCodes(made.getRegion().front(), codes, 1 - codes))
    return std::nullopt;
  Dequantised found = {made.getDpsInputs()[codes], made.getDpsInputs()[1 - codes], 0};
  const AffineMap map = maps[1 - codes];
  auto along = [&](ArrayRef<unsigned> loops) {
    return map == AffineMap::getMultiDimMapWithTargets(type.getRank(), loops, map.getContext());
  };
  if (!joined && type.getRank() == 2 && (map.getNumResults() == 0 || along({0}))) {
    found.rowsOfScale = map.getNumResults();
    return found;
  }
  SmallVector<ReassociationIndices> groups;
  if (joined)
    groups = llvm::to_vector<1>(joined.getReassociationIndices());
  const SmallVector<ReassociationIndices> ofRows = {{0}, {1, 2}}, ofBlocks = {{0, 1}, {2, 3}};
  const ArrayRef<int64_t> shape = type.getShape();
  if (groups == ofRows && shape[2] == kBlock && along({0, 1}))
    found.rowsOfScale = 1;
  else if (groups == ofBlocks && shape[1] == kBlock && shape[3] == kBlock && along({0, 2}))
    found.rowsOfScale = kBlock;
  else
    return std::nullopt;
  return found;
}

Value codesOf(OpBuilder &b, Location loc, const Dequantised &matrix) {
  const int64_t rank = cast<RankedTensorType>(matrix.codes.getType()).getRank();
  if (rank == 2)
    return matrix.codes;
  const SmallVector<ReassociationIndices> groups =
      rank == 3 ? SmallVector<ReassociationIndices>{{0}, {1, 2}} : SmallVector<ReassociationIndices>{{0, 1}, {2, 3}};
  return tensor::CollapseShapeOp::create(b, loc, matrix.codes, groups);
}

Value scalesOf(OpBuilder &b, Location loc, const Dequantised &matrix) {
  const auto type = cast<RankedTensorType>(matrix.scales.getType());
  if (type.getRank() == 2)
    return matrix.scales;
  const bool one = type.getRank() == 0;
  const auto shape = RankedTensorType::get({one ? 1 : type.getDimSize(0), 1}, type.getElementType());
  const SmallVector<ReassociationIndices> groups =
      one ? SmallVector<ReassociationIndices>{} : SmallVector<ReassociationIndices>{{0, 1}};
  SmallVector<OpFoldResult> sizes = {one ? b.getIndexAttr(1) : tensor::getMixedSize(b, loc, matrix.scales, 0),
                                     b.getIndexAttr(1)};
  return tensor::ExpandShapeOp::create(b, loc, shape, matrix.scales, groups, sizes);
}

} // namespace stepdown
