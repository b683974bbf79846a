#include "passes/Linalg/SoundForms.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using stepdown::transformer::ElementaryOp;

namespace stepdown {
namespace {

/// Upstream's conversion of elementwise operations folds them first: x xor x of any size to a constant of no size,
/// which has no form on buffers.
void makeGeneric(Operation *op) {
  if (!OpTrait::hasElementwiseMappableTraits(op) ||
      !llvm::all_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>))
    return;
  IRRewriter b(op);
  Location loc = op->getLoc();
  SmallVector<Value> ins, outs;
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType()))
      ins.push_back(operand);
  for (Type type : op->getResultTypes()) { // an operand of the type, or room
    auto same = llvm::find_if(ins, [&](Value in) { return in.getType() == type; });
    if (same != ins.end())
      outs.push_back(*same);
    else
      outs.push_back(tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, ins.front()),
                                             cast<RankedTensorType>(type).getElementType()));
  }
  const int64_t rank = cast<RankedTensorType>(ins.front().getType()).getRank();
  SmallVector<AffineMap> maps(ins.size() + outs.size(), b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &k, Location, ValueRange elements) {
    SmallVector<Value> operands;
    unsigned next = 0;
    for (Value operand : op->getOperands()) // a number stands for every element
      operands.push_back(isa<RankedTensorType>(operand.getType()) ? elements[next++] : operand);
    SmallVector<Type> types;
    for (Type type : op->getResultTypes())
      types.push_back(cast<RankedTensorType>(type).getElementType());
    OperationState state(loc, op->getName(), operands, types, op->getAttrs());
    linalg::YieldOp::create(k, loc, k.create(state)->getResults());
  };
  auto generic = linalg::GenericOp::create(b, loc, TypeRange(ValueRange(outs)), ins, outs, maps, loops, body);
  SmallVector<Value> results;
  for (auto [made, type] : llvm::zip(generic.getResults(), op->getResultTypes()))
    results.push_back(made.getType() == type ? Value(made) : tensor::CastOp::create(b, loc, type, made));
  b.replaceOp(op, results);
}

/// A map that reads what it writes would not get it: llvm-project issue 213241.
void makeGeneric(linalg::MapOp op) {
  IRRewriter rewriter(op);
  (void)linalg::generalizeNamedOp(rewriter, op);
}

/// A transposition that leaves all in its place folds to what it transposes, be its type another or not.
void dropIdentity(linalg::TransposeOp op) {
  if (!isIdentityPermutation(op.getPermutation()) || !op.hasPureTensorSemantics())
    return;
  OpBuilder b(op);
  Value same = op.getInput();
  Type type = op->getResult(0).getType();
  if (same.getType() != type)
    same = tensor::CastOp::create(b, op.getLoc(), type, same);
  op->replaceAllUsesWith(ValueRange{same});
  op->erase();
}

/// Which of several sizes of 1 a source lacks is guessed again and again, and once wrongly: pull request 217361.
void giveAllDimensions(tensor::InsertSliceOp op) {
  RankedTensorType type = op.getSourceType();
  if (type.getRank() == op.getDestType().getRank())
    return;
  OpBuilder b(op);
  llvm::SmallBitVector dropped = op.getDroppedDims();
  SmallVector<ReassociationIndices> groups;
  SmallVector<OpFoldResult> sizes;
  SmallVector<int64_t> shape;
  ReassociationIndices group;
  for (int64_t d = 0, at = 0; d < op.getDestType().getRank(); ++d) {
    group.push_back(d);
    const bool one = dropped.test(d);
    sizes.push_back(one ? OpFoldResult(b.getIndexAttr(1)) : tensor::getMixedSize(b, op.getLoc(), op.getSource(), at));
    shape.push_back(one ? 1 : type.getDimSize(at));
    if (!one) {
      groups.push_back(group);
      group.clear();
      ++at;
    }
  }
  if (!groups.empty()) // ones behind the last dimension
    groups.back().append(group);
  Value whole = tensor::ExpandShapeOp::create(b, op.getLoc(), type.clone(shape), op.getSource(), groups, sizes);
  op.getSourceMutable().assign(whole);
}

/// Whether elements of `array` may lie in steps that no type says: a slice on the way to it has a stride of its own.
bool hasSteps(Value array) {
  while (Operation *op = array.getDefiningOp()) {
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
        slice &&
        !llvm::all_of(slice.getMixedStrides(), [](OpFoldResult stride) { return isConstantIntValue(stride, 1); }))
      return true;
    if (!isa<tensor::ExtractSliceOp, tensor::CastOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
      return false;
    array = op->getOperand(0);
  }
  return false;
}

/// Which of several sizes of 1 a slice drops is guessed from its steps, and where those became known later there is no
/// answer, and a fault (memref::SubViewOp::getDroppedDims). So they are dropped behind it.
void giveAllDimensions(tensor::ExtractSliceOp op) {
  RankedTensorType type = op.getType();
  if (type.getRank() == op.getSourceType().getRank() || !hasSteps(op.getResult()))
    return;
  IRRewriter b(op);
  llvm::SmallBitVector dropped = op.getDroppedDims();
  SmallVector<int64_t> shape;
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices group;
  for (int64_t d = 0, at = 0; d < op.getSourceType().getRank(); ++d) {
    group.push_back(d);
    shape.push_back(dropped.test(d) ? 1 : type.getDimSize(at++));
    if (!dropped.test(d)) {
      groups.push_back(group);
      group.clear();
    }
  }
  if (!groups.empty()) // ones behind the last dimension
    groups.back().append(group);
  auto whole = tensor::ExtractSliceOp::create(b, op.getLoc(), type.clone(shape), op.getSource(), op.getMixedOffsets(),
                                              op.getMixedSizes(), op.getMixedStrides());
  b.replaceOpWithNewOp<tensor::CollapseShapeOp>(op, type, whole, groups);
}

/// A shape with one size that is not known has it from the number of elements, says upstream's fold, but of none every
/// size is possible.
void makeEmpty(tensor::ReshapeOp op) {
  auto isEmpty = [](Type type) { return llvm::is_contained(cast<RankedTensorType>(type).getShape(), 0); };
  if (!isa<RankedTensorType>(op.getSource().getType()) || !isEmpty(op.getSource().getType()) || !isEmpty(op.getType()))
    return;
  IRRewriter b(op);
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.isDynamicDim(d)) {
      Value at = arith::ConstantIndexOp::create(b, op.getLoc(), d);
      Value size = tensor::ExtractOp::create(b, op.getLoc(), op.getShape(), at);
      sizes.push_back(size.getType().isIndex()
                          ? size
                          : arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(), size).getResult());
    }
  b.replaceOpWithNewOp<tensor::EmptyOp>(op, type, sizes);
}

/// Promises that an addition or a shift does not overflow: canonical forms keep them where they join two additions
/// whose constants do, and code that takes them at their word computes something else (llvm-project issue 140328).
void dropPromises(Operation *op) {
  if (auto flags = dyn_cast<arith::ArithIntegerOverflowFlagsInterface>(op))
    op->setAttr(flags.getIntegerOverflowAttrName(),
                arith::IntegerOverflowFlagsAttr::get(op->getContext(), arith::IntegerOverflowFlags::none));
}

/// Elementary functions that no pattern folds. What linalg's own operations hold stays with them: they are printed
/// without it, and their operands are arrays.
void hideElementary(Operation *op) {
  auto structured = dyn_cast_or_null<linalg::LinalgOp>(op->getParentOp()); // the outermost module has none
  if (structured && !isa<linalg::GenericOp, linalg::ReduceOp>(structured))
    return;
  OpBuilder b(op);
  auto make = [&](StringRef function) -> Value {
    return ElementaryOp::create(b, op->getLoc(), op->getOperand(0).getType(), function, op->getOperands());
  };
  if (isa<math::SincosOp>(op))
    op->replaceAllUsesWith(ValueRange{make("math.sin"), make("math.cos")});
  else if (ElementaryOp::arity(op->getName().getStringRef()))
    op->replaceAllUsesWith(ValueRange{make(op->getName().getStringRef())});
  else
    return;
  op->erase();
}

/// Upstream's conversion of scf.index_switch keeps the lower half of the number and of the cases alone
/// (https://github.com/llvm/llvm-project/issues/111589). So both become numbers of 32 bits.
void narrowSwitch(scf::IndexSwitchOp op) {
  auto cast = op.getArg().getDefiningOp<arith::IndexCastOp>();
  const bool known = cast && cast.getIn().getType().getIntOrFloatBitWidth() <= 32; // a sign goes along
  const bool narrow = llvm::all_of(op.getCases(), [](int64_t value) { return llvm::isInt<32>(value); });
  if (op.getCases().empty() || (known && narrow))
    return;
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto number = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, loc, value); };
  Value arg = op.getArg(), chosen;
  if (narrow) { // whatever has more bits becomes a number that is no case
    int64_t other = 0;
    while (llvm::is_contained(op.getCases(), other))
      ++other;
    Value shifted = arith::AddIOp::create(b, loc, arg, number(int64_t(1) << 31));
    Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, shifted, number(int64_t(1) << 32));
    chosen = arith::SelectOp::create(b, loc, fits, arg, number(other));
  } else { // the position of the case
    SmallVector<int64_t> positions;
    chosen = number(op.getCases().size());
    for (auto [position, value] : llvm::enumerate(op.getCases())) {
      Value same = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, arg, number(value));
      chosen = arith::SelectOp::create(b, loc, same, number(position), chosen);
      positions.push_back(position);
    }
    op.setCases(positions);
  }
  op.getArgMutable().assign(chosen);
}

} // namespace

void giveSoundForms(ModuleOp module) {
  module.walk([](func::FuncOp function) { // not kernels, which no pass of theirs sees
    function.walk([](linalg::MapOp op) { makeGeneric(op); });
    function.walk([](Operation *op) { makeGeneric(op); });
    function.walk([](linalg::TransposeOp op) { dropIdentity(op); });
    function.walk([](tensor::InsertSliceOp op) { giveAllDimensions(op); });
    function.walk([](tensor::ExtractSliceOp op) { giveAllDimensions(op); });
    function.walk([](tensor::ReshapeOp op) { makeEmpty(op); });
    function.walk([](scf::IndexSwitchOp op) { narrowSwitch(op); });
    function.walk([](Operation *op) {
      dropPromises(op);
      hideElementary(op);
    });
  });
}

} // namespace stepdown
