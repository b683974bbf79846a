#include "passes/Vector/StructuredBody.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/NarrowFloats.h"

using namespace mlir;

namespace stepdown {

StructuredBody::StructuredBody(linalg::LinalgOp op)
    : op(op), loc(op.getLoc()), maps(op.getIndexingMapsArray()), iterators(op.getIteratorTypesArray()) {}

bool StructuredBody::isArithmetic() const {
  auto isLane = [](Type type) { return type.isIntOrIndexOrFloat() && !isa<IntegerType>(type); };
  auto isElement = [&](Type type) {
    return isLane(type) ||
           (isa<IntegerType>(type) && llvm::is_contained({8, 16, 32, 64}, type.getIntOrFloatBitWidth()));
  };
  for (Value operand : op->getOperands()) // a vector of i1 has another layout in memory than an array
    if (!isElement(getElementTypeOrSelf(operand.getType())))
      return false;
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (isa<linalg::IndexOp, arith::ConstantOp>(inner))
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&inner) || inner.getNumResults() != 1 || !isPure(&inner))
      return false;
    for (Type type : inner.getResultTypes())
      if (!isElement(type) && !type.isSignlessInteger(1))
        return false;
  }
  return true;
}

int64_t StructuredBody::lanes() const {
  auto isWide = [](Type type) {
    type = getElementTypeOrSelf(type);
    return type.isIndex() || (type.isIntOrFloat() && type.getIntOrFloatBitWidth() == 64);
  };
  bool wide = llvm::any_of(op->getOperandTypes(), isWide);
  for (Operation &inner : op.getBlock()->without_terminator())
    wide |= !isa<linalg::IndexOp>(inner) && llvm::any_of(inner.getResultTypes(), isWide);
  return wide ? 8 : 16;
}

Step StructuredBody::stepOf(OpOperand &operand, unsigned loop) const {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return Step::Stays;
  AffineMap map = maps[operand.getOperandNumber()];
  MLIRContext *context = map.getContext();
  // The change of each index as the loop goes on by one.
  SmallVector<AffineExpr> shifted;
  for (unsigned d = 0; d < map.getNumDims(); ++d)
    shifted.push_back(getAffineDimExpr(d, context) + (d == loop ? 1 : 0));
  bool moves = false;
  for (auto [d, expr] : llvm::enumerate(map.getResults())) {
    AffineExpr change = simplifyAffineExpr(expr.replaceDims(shifted) - expr, map.getNumDims(), map.getNumSymbols());
    auto constant = dyn_cast<AffineConstantExpr>(change);
    if (!constant || (constant.getValue() != 0 && (d + 1 != map.getNumResults() || constant.getValue() != 1)))
      return Step::Elsewhere;
    moves |= constant.getValue() != 0;
  }
  if (!moves)
    return Step::Stays;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.back() != 1)
    return Step::Elsewhere;
  return Step::NextElement;
}

Operation *StructuredBody::combiner(unsigned which) const {
  BlockArgument soFar = op.getRegionOutputArgs()[which];
  Operation *yield = op.getBlock()->getTerminator();
  Operation *last = yield->getOperand(which).getDefiningOp();
  if (!last || !soFar.hasOneUse() || *soFar.user_begin() != last || !last->getResult(0).hasOneUse())
    return nullptr;
  if (isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp, arith::MinNumFOp,
          arith::AddIOp, arith::MulIOp, arith::AndIOp, arith::OrIOp, arith::XOrIOp, arith::MaxSIOp, arith::MinSIOp,
          arith::MaxUIOp, arith::MinUIOp>(last))
    return last;
  if (isa<math::FmaOp>(last) && last->getOperand(2) == soFar)
    return last;
  return nullptr;
}

Value StructuredBody::indexOf(OpBuilder &b, const Block &block, unsigned loop, int64_t row, int64_t vector) {
  int64_t ahead = loop == block.rowLoop ? row : 0;
  if (loop == block.lane)
    ahead += vector * block.width;
  if (!ahead)
    return block.ivs[loop];
  return arith::AddIOp::create(b, loc, block.ivs[loop], arith::ConstantIndexOp::create(b, loc, ahead));
}

StructuredBody::Values StructuredBody::indicesOf(OpBuilder &b, const Block &block, AffineMap map, int64_t row,
                                                 int64_t vector) {
  SmallVector<OpFoldResult> points;
  for (unsigned loop = 0; loop < map.getNumDims(); ++loop)
    points.push_back(map.isFunctionOfDim(loop) ? OpFoldResult(indexOf(b, block, loop, row, vector))
                                               : OpFoldResult(b.getIndexAttr(0)));
  Values indices;
  for (AffineExpr expr : map.getResults()) {
    if (auto loop = dyn_cast<AffineDimExpr>(expr))
      indices.push_back(cast<Value>(points[loop.getPosition()]));
    else
      indices.push_back(getValueOrCreateConstantIndexOp(
          b, loc, affine::makeComposedFoldedAffineApply(b, loc, AffineMap::get(map.getNumDims(), 0, expr), points)));
  }
  return indices;
}

Value StructuredBody::load(OpBuilder &b, const Block &block, OpOperand &operand, int64_t row, int64_t vector) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return operand.get();
  if (auto panel = panels.find(operand.getOperandNumber()); panel != panels.end()) {
    Values at = {block.ivs[panel->second.loop], arith::ConstantIndexOp::create(b, loc, vector * block.width)};
    return vector::LoadOp::create(b, loc, VectorType::get({block.width}, type.getElementType()), panel->second.memory,
                                  at);
  }
  Values indices = indicesOf(b, block, maps[operand.getOperandNumber()], row, vector);
  if (block.width > 1 && stepOf(operand, block.lane) == Step::NextElement)
    return vector::LoadOp::create(b, loc, VectorType::get({block.width}, type.getElementType()), operand.get(),
                                  indices);
  return memref::LoadOp::create(b, loc, operand.get(), indices);
}

void StructuredBody::pack(OpBuilder &b, Block &block, OpOperand &operand, unsigned loop, Value size, Value panel) {
  auto each = scf::ForOp::create(b, loc, arith::ConstantIndexOp::create(b, loc, 0), size,
                                 arith::ConstantIndexOp::create(b, loc, 1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(each.getBody());
  block.ivs[loop] = each.getInductionVar();
  for (int64_t vector = 0; vector < block.vectors; ++vector) {
    Values at = {block.ivs[loop], arith::ConstantIndexOp::create(b, loc, vector * block.width)};
    vector::StoreOp::create(b, loc, load(b, block, operand, 0, vector), panel, at);
  }
  b.setInsertionPointAfter(each);
  panels[operand.getOperandNumber()] = {panel, loop};
}

StructuredBody::Values StructuredBody::loadOutputs(OpBuilder &b, const Block &block) {
  Values values;
  for (OpOperand &output : op.getDpsInitsMutable())
    for (int64_t row = 0; row < block.rows; ++row)
      for (int64_t vector = 0; vector < block.vectors; ++vector)
        values.push_back(load(b, block, output, row, vector));
  return values;
}

void StructuredBody::storeOutputs(OpBuilder &b, const Block &block, ValueRange values) {
  auto value = values.begin();
  for (OpOperand &output : op.getDpsInitsMutable())
    for (int64_t row = 0; row < block.rows; ++row)
      for (int64_t vector = 0; vector < block.vectors; ++vector, ++value) {
        Values indices = indicesOf(b, block, maps[output.getOperandNumber()], row, vector);
        if (block.width > 1 && stepOf(output, block.lane) == Step::NextElement)
          vector::StoreOp::create(b, loc, spread(b, *value, block.width), output.get(), indices);
        else
          memref::StoreOp::create(b, loc, *value, output.get(), indices);
      }
}

Value StructuredBody::spread(OpBuilder &b, Value value, int64_t width) {
  if (width == 1 || isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(b, loc, VectorType::get({width}, value.getType()), value);
}

Value StructuredBody::emit(OpBuilder &b, const Block &block, Operation &inner, ArrayRef<Value> operands, int64_t row,
                           int64_t vector) {
  if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
    Value base = indexOf(b, block, index.getDim(), row, vector);
    if (block.width == 1 || index.getDim() != block.lane)
      return base;
    SmallVector<int64_t> ahead;
    for (int64_t lane = 0; lane < block.width; ++lane)
      ahead.push_back(lane);
    Value steps = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(VectorType::get({block.width}, b.getIndexType()), ArrayRef<int64_t>(ahead)));
    return arith::AddIOp::create(b, loc, spread(b, base, block.width), steps);
  }
  // What is the same in every lane stays a scalar.
  const bool isVector = llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); });
  Values given;
  for (Value operand : operands)
    given.push_back(isVector ? spread(b, operand, block.width) : operand);
  SmallVector<Type> types;
  for (Type type : inner.getResultTypes())
    types.push_back(isVector ? Type(VectorType::get({block.width}, type)) : type);
  OperationState state(inner.getLoc(), inner.getName(), given, types, inner.getAttrs());
  return b.create(state)->getResult(0);
}

/// A product that feeds a sum, in one. Of narrow floats by way of float32, as its two operations would be: a program
/// that asks for math.fma has it rounded once, for some fifteen operations.
static Value multiplyAdd(OpBuilder &b, Location loc, Value x, Value y, Value sum) {
  Type type = x.getType();
  if (!isNarrow(type))
    return math::FmaOp::create(b, loc, x, y, sum);
  auto wide = [&](Value v) -> Value { return arith::ExtFOp::create(b, loc, withElement(type, b.getF32Type()), v); };
  return arith::TruncFOp::create(b, loc, type, Value(math::FmaOp::create(b, loc, wide(x), wide(y), wide(sum))));
}

StructuredBody::Values StructuredBody::compute(OpBuilder &b, const Block &block, ValueRange soFar) {
  mlir::Block *body = op.getBlock();
  Operation *yield = body->getTerminator();
  const int64_t points = block.rows * block.vectors;
  Values results(yield->getNumOperands() * points);
  std::map<std::tuple<unsigned, int64_t, int64_t>, Value> loaded; // by operand, and the row and vector it depends on
  for (int64_t row = 0; row < block.rows; ++row)
    for (int64_t vector = 0; vector < block.vectors; ++vector) {
      const int64_t point = row * block.vectors + vector;
      llvm::DenseMap<Value, Value> values;
      for (OpOperand *input : op.getDpsInputOperands()) {
        AffineMap map = maps[input->getOperandNumber()];
        Value &value =
            loaded[{input->getOperandNumber(), block.rowLoop != ~0u && map.isFunctionOfDim(block.rowLoop) ? row : 0,
                    block.lane != ~0u && map.isFunctionOfDim(block.lane) ? vector : 0}];
        if (!value && !op.getMatchingBlockArgument(input).use_empty())
          value = load(b, block, *input, row, vector);
        values[op.getMatchingBlockArgument(input)] = value;
      }
      for (auto [which, argument] : llvm::enumerate(op.getRegionOutputArgs()))
        values[argument] = soFar.empty() ? Value() : soFar[which * points + point];
      auto valueOf = [&](Value v) { return values.count(v) ? values[v] : v; };
      // A product that only feeds a sum so far is one multiply-add.
      auto isProduct = [&](Operation &inner) {
        if (!isa<arith::MulFOp>(inner) || !inner.getResult(0).hasOneUse() || op.getNumReductionLoops() == 0)
          return false;
        auto sum = dyn_cast<arith::AddFOp>(*inner.getResult(0).user_begin());
        return sum && llvm::any_of(op.getRegionOutputArgs(), [&](Value out) {
                 return (sum.getLhs() == out && sum.getRhs() != out) || (sum.getRhs() == out && sum.getLhs() != out);
               });
      };
      for (Operation &inner : body->without_terminator()) {
        if (isProduct(inner))
          continue;
        Values operands;
        if (auto sum = dyn_cast<arith::AddFOp>(inner)) {
          for (bool left : {true, false}) {
            Operation *product = (left ? sum.getLhs() : sum.getRhs()).getDefiningOp();
            if (!product || !isProduct(*product))
              continue;
            Values parts = {valueOf(product->getOperand(0)), valueOf(product->getOperand(1)),
                            valueOf(left ? sum.getRhs() : sum.getLhs())};
            for (Value &part : parts)
              part = spread(
                  b, part, llvm::any_of(parts, [](Value v) { return isa<VectorType>(v.getType()); }) ? block.width : 1);
            values[sum.getResult()] = multiplyAdd(b, loc, parts[0], parts[1], parts[2]);
            break;
          }
          if (values.count(sum.getResult()))
            continue;
        }
        for (Value operand : inner.getOperands())
          operands.push_back(valueOf(operand));
        values[inner.getResult(0)] = emit(b, block, inner, operands, row, vector);
      }
      for (auto [which, value] : llvm::enumerate(yield->getOperands()))
        results[which * points + point] = valueOf(value);
    }
  return results;
}

} // namespace stepdown
