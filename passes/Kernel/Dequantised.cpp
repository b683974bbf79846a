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

static bool isCode(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 8; }

template <typename T> static std::string textOf(const T &what) {
  std::string text;
  llvm::raw_string_ostream(text) << what;
  return text;
}

std::optional<Dequantised> dequantisedOf(Value matrix, std::string &reason) {
  auto joined = matrix.getDefiningOp<tensor::CollapseShapeOp>();
  auto made = (joined ? joined.getSrc() : matrix).getDefiningOp<linalg::GenericOp>();
  if (!made || !made.hasPureTensorSemantics() || llvm::none_of(made.getRegion().front(), [](Operation &op) {
        return isa<arith::ExtFOp>(op) && isCode(op.getOperand(0).getType());
      }))
    return std::nullopt;
  auto no = [&](const Twine &text) {
    reason = text.str();
    return std::nullopt;
  };
  if (made.getNumDpsInputs() != 2 || made.getNumDpsInits() != 1)
    return no("expects codes and their scales, but got " + Twine(made.getNumDpsInputs()) + " inputs and " +
              Twine(made.getNumDpsInits()) + " results");
  const SmallVector<AffineMap> maps = made.getIndexingMapsArray();
  const auto type = cast<RankedTensorType>(made.getResult(0).getType());
  const unsigned codes = isCode(made.getRegion().front().getArgument(0).getType()) ? 0 : 1;
  const auto scales = dyn_cast<RankedTensorType>(made.getDpsInputs()[1 - codes].getType());
  if (!type.getElementType().isF32())
    return no("expects numbers of f32, but got " + textOf(type.getElementType()));
  if (!scales || !scales.getElementType().isF32())
    return no("expects scales of f32 in a tensor, but got " + textOf(made.getDpsInputs()[1 - codes].getType()));
  if (!maps[codes].isIdentity() || !maps[2].isIdentity() || made.getNumParallelLoops() != made.getNumLoops())
    return no("expects each code where its number is, but got " + textOf(maps[codes]) + " to " + textOf(maps[2]));
  if (!scalesCodes(made.getRegion().front(), codes, 1 - codes))
    return no("expects codes, widened, times their scales and nothing else");
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
    return no(
        "expects a scale for all, for each row, for 128 columns of a row or for 128 columns of 128 rows, but got " +
        textOf(map) + " of " + textOf(type));
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
