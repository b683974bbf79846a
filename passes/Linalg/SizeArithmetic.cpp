#include "passes/Linalg/SizeArithmetic.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace stepdown {

SizeArithmetic::SizeArithmetic(Operation *op, SizeFacts *facts)
    : b(op), loc(op->getLoc()), name(op->getName().getStringRef()), facts(facts) {}

/// The array that `tensor` was computed into, if it was.
static Value computedInto(Value tensor) {
  auto result = dyn_cast<OpResult>(tensor);
  Operation *op = result ? result.getOwner() : nullptr;
  if (auto structured = dyn_cast_or_null<linalg::LinalgOp>(op))
    return structured.getDpsInitOperand(result.getResultNumber())->get();
  if (auto insert = dyn_cast_or_null<tensor::InsertOp>(op))
    return insert.getDest();
  if (auto put = dyn_cast_or_null<tensor::InsertSliceOp>(op))
    return put.getDest();
  return Value();
}

Value SizeFacts::origin(Value tensor) {
  SmallVector<Value> path;
  for (Value into = tensor; into; into = computedInto(tensor)) {
    tensor = into;
    if (auto known = origins.find(tensor); known != origins.end()) {
      tensor = known->second;
      break;
    }
    path.push_back(tensor);
  }
  for (Value passed : path)
    origins[passed] = tensor;
  return tensor;
}

Value SizeArithmetic::size(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!facts || !type.isDynamicDim(dim))
    return b.createOrFold<tensor::DimOp>(loc, tensor, dim);
  tensor = facts->origin(tensor);
  Value &size = facts->sizes[{tensor, dim}];
  if (size)
    return size;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(tensor); // where all that ask for it find it
  return size = b.createOrFold<tensor::DimOp>(loc, tensor, dim);
}

bool SizeArithmetic::known(Predicate predicate, Value a, Value c) {
  if (!facts)
    return false;
  auto name = [](Value value) { return getAsOpFoldResult(value).getOpaqueValue(); };
  SizeFacts::Fact fact = {int64_t(predicate), name(a), name(c)};
  if (predicate == Predicate::eq && std::get<1>(fact) > std::get<2>(fact))
    std::swap(std::get<1>(fact), std::get<2>(fact));
  SmallVector<Block *, 1> &blocks = facts->asserted[fact];
  for (Block *block = b.getInsertionBlock(); block;) {
    if (llvm::is_contained(blocks, block))
      return true;
    Operation *around = block->getParentOp();
    block = around ? around->getBlock() : nullptr;
  }
  blocks.push_back(b.getInsertionBlock());
  return false;
}
Value SizeArithmetic::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
Value SizeArithmetic::index(OpFoldResult of) { return getValueOrCreateConstantIndexOp(b, loc, of); }

Value SizeArithmetic::wide(Value integer) {
  if (auto known = getConstantIntValue(integer))
    return wide(*known);
  if (integer.getType().isIndex())
    integer = b.createOrFold<arith::IndexCastOp>(loc, b.getI64Type(), integer);
  return b.createOrFold<arith::ExtSIOp>(loc, b.getIntegerType(128), integer);
}

Value SizeArithmetic::wide(int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(b.getIntegerType(128), llvm::APInt(128, value, true)));
}

template <typename Op> Value SizeArithmetic::fold(Value a, Value c) { return b.createOrFold<Op>(loc, a, c); }
Value SizeArithmetic::add(Value a, Value c) { return fold<arith::AddIOp>(a, c); }
Value SizeArithmetic::sub(Value a, Value c) { return fold<arith::SubIOp>(a, c); }
Value SizeArithmetic::mul(Value a, Value c) { return fold<arith::MulIOp>(a, c); }
Value SizeArithmetic::least(Value a, Value c) { return fold<arith::MinSIOp>(a, c); }
Value SizeArithmetic::greatest(Value a, Value c) { return fold<arith::MaxSIOp>(a, c); }
Value SizeArithmetic::either(Value a, Value c) { return fold<arith::OrIOp>(a, c); }
Value SizeArithmetic::both(Value a, Value c) { return fold<arith::AndIOp>(a, c); }

Value SizeArithmetic::compare(Predicate predicate, Value a, Value c) {
  return b.createOrFold<arith::CmpIOp>(loc, predicate, a, c);
}

void SizeArithmetic::require(Value ok, const Twine &text) {
  if (auto known = getConstantIntValue(ok); known && *known != 0)
    return;
  cf::AssertOp::create(b, loc, ok, (name + ": " + text).str());
}

void SizeArithmetic::require(Predicate predicate, Value a, Value c, const Twine &text) {
  Value ok = compare(predicate, a, c);
  if (!getConstantIntValue(ok) && known(predicate, a, c))
    return;
  require(ok, text);
}

void SizeArithmetic::requireInside(Value at, Value tensor, int64_t dim) {
  require(Predicate::ult, at, size(tensor, dim),
          "expects index " + Twine(dim) + " inside the tensor, but it lies outside");
}

void SizeArithmetic::requireSize(Value size, int64_t dim) {
  require(Predicate::sge, size, index(0), "expects a size of at least 0 in dimension " + Twine(dim) + ", but got less");
  requireRoom(compare(Predicate::sle, size, index(kMostElements)));
}

void SizeArithmetic::requireRoom(Value ok) {
  if (auto known = getConstantIntValue(ok); known && *known != 0)
    return;
  cf::AssertOp::create(b, loc, ok, transformer::kTooLargeCheck);
}

IndexRange rangeOf(SizeArithmetic &s, AffineExpr expr, ArrayRef<Value> last) {
  if (auto loop = dyn_cast<AffineDimExpr>(expr))
    return {s.wide(0), last[loop.getPosition()]};
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return {s.wide(constant.getValue()), s.wide(constant.getValue())};
  auto two = cast<AffineBinaryOpExpr>(expr); // maps of structured operations have no symbols
  IndexRange a = rangeOf(s, two.getLHS(), last);
  if (expr.getKind() == AffineExprKind::Add) {
    IndexRange c = rangeOf(s, two.getRHS(), last);
    return {s.add(a.least, c.least), s.add(a.most, c.most)};
  }
  const int64_t factor = cast<AffineConstantExpr>(two.getRHS()).getValue(); // what an affine expression allows
  if (expr.getKind() == AffineExprKind::Mul) {
    IndexRange product = {s.mul(a.least, s.wide(factor)), s.mul(a.most, s.wide(factor))};
    if (factor < 0)
      std::swap(product.least, product.most);
    return product;
  }
  s.require(SizeArithmetic::Predicate::sge, a.least, s.wide(0), "expects to divide indices of at least 0");
  if (expr.getKind() == AffineExprKind::Mod)
    return {s.wide(0), s.least(a.most, s.wide(factor - 1))};
  // A quotient of 128 bits would call a library: the numbers are in range of 64 once this holds.
  s.require(SizeArithmetic::Predicate::sle, a.most, s.wide(INT64_MAX / 2), "expects to divide indices below 2^62");
  auto quotient = [&](Value of) {
    Type i64 = s.b.getI64Type();
    Value narrow = s.b.createOrFold<arith::TruncIOp>(s.loc, i64, of);
    if (expr.getKind() == AffineExprKind::CeilDiv)
      narrow = s.b.createOrFold<arith::AddIOp>(
          s.loc, narrow, arith::ConstantOp::create(s.b, s.loc, s.b.getI64IntegerAttr(factor - 1)));
    Value by = arith::ConstantOp::create(s.b, s.loc, s.b.getI64IntegerAttr(factor));
    return s.wide(s.b.createOrFold<arith::DivUIOp>(s.loc, narrow, by));
  };
  return {quotient(a.least), quotient(a.most)};
}

void checkConcat(Operation *op) {
  SizeArithmetic s(op);
  auto concat = cast<tensor::ConcatOp>(op);
  for (auto [i, input] : llvm::enumerate(concat.getInputs()))
    for (int64_t d = 0; i && d < concat.getRank(); ++d)
      if (d != static_cast<int64_t>(concat.getDim()))
        s.require(SizeArithmetic::Predicate::eq, s.size(input, d), s.size(concat.getInputs()[0], d),
                  "expects dimension " + Twine(d) + " of operand " + Twine(i) + " to equal dimension " + Twine(d) +
                      " of operand 0, but they differ");
}

void checkPack(Operation *op) {
  SizeArithmetic s(op);
  auto pack = dyn_cast<linalg::PackOp>(op);
  auto unpack = dyn_cast<linalg::UnPackOp>(op);
  Value plain = pack ? pack.getSource() : unpack.getDest(), packed = pack ? pack.getDest() : unpack.getSource();
  ArrayRef<int64_t> positions = pack ? pack.getInnerDimsPos() : unpack.getInnerDimsPos();
  ArrayRef<int64_t> order = pack ? pack.getOuterDimsPerm() : unpack.getOuterDimsPerm();
  const int64_t rank = cast<ShapedType>(plain.getType()).getRank();
  const bool padded = !pack || pack.getPaddingValue(); // an unpacking leaves the rest of a tile out
  for (int64_t outer = 0; outer < rank; ++outer) {
    const int64_t d = order.empty() ? outer : order[outer];
    Value tile = s.wide(1);
    for (auto [i, position] : llvm::enumerate(positions))
      if (position == d)
        tile = s.wideSize(packed, rank + i);
    Value rest = s.sub(s.mul(s.wideSize(packed, outer), tile), s.wideSize(plain, d));
    Value fits = padded ? s.both(s.compare(SizeArithmetic::Predicate::sge, rest, s.wide(0)),
                                 s.compare(SizeArithmetic::Predicate::slt, rest, tile))
                        : s.compare(SizeArithmetic::Predicate::eq, rest, s.wide(0));
    s.require(fits, "expects the tiles of dimension " + Twine(d) + " to hold " + (padded ? "" : "exactly ") +
                        "its elements, but they do not");
  }
}

/// Asserts that `sizes` are sizes, and `count` elements in all.
static void requireProduct(SizeArithmetic &s, ArrayRef<Value> sizes, Value count, unsigned first) {
  Value most = s.wide(kMostElements), product = s.wide(1), fits;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    s.require(SizeArithmetic::Predicate::ule, size, s.index(kMostElements),
              "expects a size of 0 to 2^46 in dimension " + Twine(first + i) + ", but got another");
    Value wide = s.wide(size);
    // An empty array has sizes, too: their product without the zeros stays below the bound.
    Value some = s.mul(product, s.greatest(wide, s.wide(1)));
    Value ok = s.compare(SizeArithmetic::Predicate::sle, some, most);
    fits = fits ? s.both(fits, ok) : ok;
    product = s.least(some, most);
  }
  Value exact = s.wide(1);
  for (Value size : sizes) // where it is not exact, `fits` is false
    exact = s.mul(s.least(exact, most), s.wide(size));
  Value same = s.compare(SizeArithmetic::Predicate::eq, exact, count);
  s.require(fits ? s.both(fits, same) : same, "expects as many elements as there were");
}

void checkExpand(tensor::ExpandShapeOp op, SizeFacts &facts) {
  SizeArithmetic s(op, &facts);
  for (auto [d, group] : llvm::enumerate(op.getReassociationIndices())) {
    SmallVector<Value> sizes;
    for (int64_t i : group)
      sizes.push_back(s.index(op.getMixedOutputShape()[i]));
    requireProduct(s, sizes, s.wideSize(op.getSrc(), d), group.front());
  }
  if (op.getReassociationIndices().empty()) { // of rank 0: one element
    SmallVector<Value> sizes;
    for (OpFoldResult size : op.getMixedOutputShape())
      sizes.push_back(s.index(size));
    requireProduct(s, sizes, s.wide(1), 0);
  }
}

/// All dimensions of `tensor` as one.
static Value flatten(SizeArithmetic &s, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getRank() == 1)
    return tensor;
  if (type.getRank() == 0)
    return tensor::ExpandShapeOp::create(s.b, s.loc, type.clone({1}), tensor, ArrayRef<ReassociationIndices>());
  SmallVector<ReassociationIndices> all(1);
  for (int64_t d = 0; d < type.getRank(); ++d)
    all[0].push_back(d);
  return tensor::CollapseShapeOp::create(s.b, s.loc, tensor, all);
}

void expandReshape(tensor::ReshapeOp op, SizeFacts &facts) {
  SizeArithmetic s(op, &facts);
  auto type = cast<RankedTensorType>(op.getType());
  Value elements = flatten(s, op.getSource()), shape = op.getShape(), result;
  SmallVector<Value> sizes;
  SmallVector<OpFoldResult> output;
  ReassociationIndices all;
  for (int64_t d = 0; d < type.getRank(); ++d) {
    Value given = tensor::ExtractOp::create(s.b, s.loc, shape, s.index(d));
    if (!given.getType().isIndex())
      given = arith::IndexCastOp::create(s.b, s.loc, s.b.getIndexType(), given);
    if (!type.isDynamicDim(d))
      s.require(SizeArithmetic::Predicate::eq, given, s.index(type.getDimSize(d)),
                "expects " + Twine(type.getDimSize(d)) + " in dimension " + Twine(d) + ", but the size differs");
    sizes.push_back(type.isDynamicDim(d) ? given : s.index(type.getDimSize(d)));
    output.push_back(type.isDynamicDim(d) ? OpFoldResult(given) : s.b.getIndexAttr(type.getDimSize(d)));
    all.push_back(d);
  }
  requireProduct(s, sizes, s.wideSize(elements, 0), 0);
  auto line = cast<RankedTensorType>(elements.getType());
  // The types say as much of the count as the product of the result's sizes does.
  const int64_t count = type.hasStaticShape() ? type.getNumElements() : ShapedType::kDynamic;
  if (line.getDimSize(0) != count)
    elements = tensor::CastOp::create(s.b, s.loc, line.clone({count}), elements);
  if (type.getRank() == 0)
    result = tensor::CollapseShapeOp::create(s.b, s.loc, type, elements, ArrayRef<ReassociationIndices>());
  else if (type.getRank() == 1)
    result = elements;
  else
    result = tensor::ExpandShapeOp::create(s.b, s.loc, type, elements, ArrayRef<ReassociationIndices>(all), output);
  op.replaceAllUsesWith(result);
  facts.replaced.push_back(op);
}

} // namespace stepdown
