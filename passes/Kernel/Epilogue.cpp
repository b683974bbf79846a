#include "passes/Kernel/Epilogue.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace stepdown {
namespace {

/// The elementary function that `op` is, which nobody folds in plain modules (transformer.elementary); else its name.
StringRef functionOf(Operation &op) {
  auto elementary = dyn_cast<transformer::ElementaryOp>(op);
  return elementary ? elementary.getFunction() : op.getName().getStringRef();
}
bool isPower(Operation &op) { return functionOf(op) == "math.exp" || functionOf(op) == "math.exp2"; }
bool isTanh(Operation &op) { return functionOf(op) == "math.tanh"; }

bool isNarrow(Type type) { return type.isBF16() || type.isF16(); }
bool isRead(Type type) { return type.isF32() || isNarrow(type); }

/// 1 + tanh, which loses nothing where tanh comes of an exponential; tanh itself loses what is small.
bool isAddedToOne(Operation &op) {
  auto sum = op.hasOneUse() ? dyn_cast<arith::AddFOp>(*op.user_begin()) : arith::AddFOp();
  return sum && (matchPattern(sum.getLhs(), m_OneFloat()) || matchPattern(sum.getRhs(), m_OneFloat()));
}

/// Whether a kernel has a form for `op` of the body; `narrow` where its result is rounded to 16 bits in the end.
bool hasForm(Operation &op, Block &body, bool narrow) {
  auto f32 = [](Type type) { return type.isF32() || type.isInteger(1); };
  for (Value operand : op.getOperands()) {
    const bool inside = operand.getParentBlock() == &body;
    if (!inside && !matchPattern(operand, m_Constant()))
      return false;
  }
  if (auto wide = dyn_cast<arith::ExtFOp>(op))
    return isa<BlockArgument>(wide.getIn()) && wide.getType().isF32();
  if (auto rounded = dyn_cast<arith::TruncFOp>(op))
    return !rounded.getRoundingmodeAttr() && rounded.getIn().getType().isF32() && rounded->hasOneUse() &&
           *rounded->user_begin() == body.getTerminator();
  if (!llvm::all_of(op.getOperandTypes(), f32) || !llvm::all_of(op.getResultTypes(), f32))
    return false;
  if (isa<arith::DivFOp>(op) || isPower(op))
    return narrow;
  if (isTanh(op))
    return narrow && isAddedToOne(op);
  return isa<arith::ConstantOp, arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::NegFOp, arith::MaximumFOp,
             arith::MinimumFOp, arith::CmpFOp, arith::SelectOp, math::FmaOp>(op);
}

/// Copies `op` with the numbers that stand for its operands; functions become those of the special function unit.
Value copyOf(OpBuilder &b, Operation &op, IRMapping &numbers) {
  const Location loc = op.getLoc();
  auto operand = [&](unsigned i) { return numbers.lookup(op.getOperand(i)); };
  auto constant = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
  };
  constexpr double kLog2E = 1.4426950408889634;
  auto power = [&](double base) -> Value {
    return math::Exp2Op::create(b, loc, arith::MulFOp::create(b, loc, operand(0), constant(base)));
  };
  if (isa<arith::ExtFOp, arith::TruncFOp>(op)) // what is read is wide, and what is stored is rounded there
    return operand(0);
  if (isPower(op))
    return functionOf(op) == "math.exp" ? power(kLog2E) : Value(math::Exp2Op::create(b, loc, operand(0)));
  if (isTanh(op)) { // 1 - 2 / (1 + e^2x)
    Value below = arith::AddFOp::create(b, loc, power(2 * kLog2E), constant(1));
    return arith::SubFOp::create(b, loc, constant(1), arith::DivFOp::create(b, loc, constant(2), below));
  }
  return b.clone(op, numbers)->getResult(0);
}

} // namespace

std::optional<Epilogue> epilogueOf(Value product) {
  if (!product.hasOneUse() || !cast<RankedTensorType>(product.getType()).getElementType().isF32())
    return std::nullopt;
  auto consumer = dyn_cast<linalg::GenericOp>(*product.user_begin());
  if (!consumer || consumer.getNumDpsInits() != 1 || consumer.getNumLoops() != 2 ||
      consumer.getNumParallelLoops() != 2 || !consumer.hasPureTensorSemantics())
    return std::nullopt;
  const SmallVector<AffineMap> maps = consumer.getIndexingMapsArray();
  Block &body = consumer.getRegion().front();
  const Type made = cast<RankedTensorType>(consumer.getResult(0).getType()).getElementType();
  OpOperand *init = consumer.getDpsInitOperand(0), *use = &*product.use_begin();
  if (!maps.back().isIdentity() || !consumer.getMatchingIndexingMap(use).isIdentity() || use == init || !isRead(made) ||
      !body.getArguments().back().use_empty())
    return std::nullopt;
  Epilogue found;
  found.consumer = consumer;
  found.place = use->getOperandNumber();
  for (OpOperand *input : consumer.getDpsInputOperands()) {
    const unsigned i = input->getOperandNumber();
    if (i == found.place || body.getArgument(i).use_empty())
      continue;
    auto type = dyn_cast<RankedTensorType>(input->get().getType());
    const AffineMap map = maps[i];
    if (!type || !isRead(type.getElementType()) || !map.isProjectedPermutation() || map.getNumResults() == 0 ||
        (map.getNumResults() == 2 && !map.isIdentity()))
      return std::nullopt;
    // What is narrow is used as a number of 32 bits.
    if (isNarrow(type.getElementType()) && !llvm::all_of(body.getArgument(i).getUsers(), llvm::IsaPred<arith::ExtFOp>))
      return std::nullopt;
    found.operands.push_back(i);
  }
  for (Operation &op : body.without_terminator())
    if (op.getNumResults() != 1 || op.getNumRegions() != 0 || !hasForm(op, body, isNarrow(made)))
      return std::nullopt;
  Value result = body.getTerminator()->getOperand(0);
  const bool rounded = result.getDefiningOp<arith::TruncFOp>() != nullptr;
  if (result.getParentBlock() != &body || rounded != isNarrow(made))
    return std::nullopt;
  return found;
}

Type Epilogue::elementOf(Type element) const {
  if (consumer)
    return cast<RankedTensorType>(consumer->getResult(0).getType()).getElementType();
  return init ? cast<RankedTensorType>(init.getType()).getElementType() : element;
}

SmallVector<Value> Epilogue::matrices(OpBuilder &b, Location loc) const {
  SmallVector<Value> all;
  if (init)
    all.push_back(init);
  for (unsigned i : operands) {
    // A GenericOp's accessors are not const.
    linalg::GenericOp op = consumer;
    Value operand = op->getOperand(i);
    const AffineMap map = op.getIndexingMapsArray()[i];
    auto type = cast<RankedTensorType>(operand.getType());
    if (type.getRank() == 1) {
      const bool row = cast<AffineDimExpr>(map.getResult(0)).getPosition() == 1;
      const OpFoldResult size = tensor::getMixedSize(b, loc, operand, 0), one = b.getIndexAttr(1);
      const int64_t known = type.getDimSize(0);
      auto matrix =
          RankedTensorType::get(row ? ArrayRef<int64_t>{1, known} : ArrayRef<int64_t>{known, 1}, type.getElementType());
      operand = tensor::ExpandShapeOp::create(b, loc, matrix, operand, SmallVector<ReassociationIndices>{{0, 1}},
                                              row ? SmallVector<OpFoldResult>{one, size}
                                                  : SmallVector<OpFoldResult>{size, one});
    }
    all.push_back(operand);
  }
  return all;
}

void Epilogue::addTo(tile::KernelOp kernel) const {
  Block &block = kernel.getBody().front();
  const Location loc = kernel.getLoc();
  SmallVector<Value> read;
  auto argument = [&](Value operand) {
    const Type element = cast<RankedTensorType>(operand.getType()).getElementType();
    auto matrix = MemRefType::get({ShapedType::kDynamic, ShapedType::kDynamic}, element);
    read.push_back(block.insertArgument(block.getNumArguments() - 1, matrix, loc));
  };
  if (init)
    argument(init);
  for (unsigned i : operands)
    argument(linalg::GenericOp(consumer)->getOperand(i));
  kernel.setFunctionType(FunctionType::get(kernel.getContext(), block.getArgumentTypes(), {}));

  tile::StoreOp store;
  kernel.walk([&](tile::StoreOp op) { store = op; });
  OpBuilder b(store);
  const VectorType type = store.getValue().getType();
  SmallVector<Value> tiles = {store.getValue()};
  for (Value matrix : read)
    tiles.push_back(tile::ReadOp::create(b, store.getLoc(), type, matrix, store.getRow(), store.getColumn()));
  auto map = tile::MapOp::create(b, store.getLoc(), type, tiles);
  Block &body = map.getBody().emplaceBlock();
  for (size_t i = 0; i < tiles.size(); ++i)
    body.addArgument(b.getF32Type(), loc);
  b.setInsertionPointToEnd(&body);
  Value value = body.getArgument(0);
  unsigned next = 1;
  if (init)
    value = arith::AddFOp::create(b, loc, value, body.getArgument(next++));
  if (consumer) {
    Block &from = linalg::GenericOp(consumer).getRegion().front();
    IRMapping numbers;
    numbers.map(from.getArgument(place), value);
    for (unsigned i : operands)
      numbers.map(from.getArgument(i), body.getArgument(next++));
    for (Operation &op : from.without_terminator()) {
      for (Value operand : op.getOperands())
        if (!numbers.contains(operand)) // a constant outside
          numbers.map(operand, b.clone(*operand.getDefiningOp())->getResult(0));
      numbers.map(op.getResult(0), copyOf(b, op, numbers));
    }
    value = numbers.lookup(from.getTerminator()->getOperand(0));
  }
  tile::YieldOp::create(b, loc, value);
  store.getValueMutable().assign(map.getResult());
}

} // namespace stepdown
