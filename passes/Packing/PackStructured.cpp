// Linalg on rows of float32 becomes linalg on rows of lanes: a vector holds as many neighbouring columns of a row as
// the layout has lanes.
//
// Which loop goes over columns shows in the operands: it indexes the last dimension of rows. A sum over columns keeps a
// partial sum in each lane, columns ascending; whoever reads it as a number of the row adds the lanes up, in their
// order. A number of a row is held in all lanes.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Packing/KernelPacker.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

/// [rows, heads, vectors] view of `rows`; `type` is what it is of, in columns.
Value KernelPacker::split(Value rows, RankedTensorType type) {
  auto from = cast<RankedTensorType>(rows.getType());
  const int64_t heads = type.getDimSize(1), vectors = type.getDimSize(2) / laneCount;
  const OpFoldResult count = from.isDynamicDim(0) ? OpFoldResult(dim(rows, 0)) : b->getIndexAttr(from.getDimSize(0));
  SmallVector<OpFoldResult> shape = {count, b->getIndexAttr(heads), b->getIndexAttr(vectors)};
  return tensor::ExpandShapeOp::create(*b, loc, lanes({from.getDimSize(0), heads, vectors}), rows,
                                       ArrayRef<ReassociationIndices>{{0}, {1, 2}}, shape);
}

LogicalResult KernelPacker::packSplit(tensor::ExpandShapeOp op) {
  RankedTensorType type = op.getResultType();
  if (type.getRank() != 3 || op.getSrcType().getRank() != 2 || type.getDimSize(2) % laneCount)
    return op.emitOpError() << "expects rows that are split into heads of columns in multiples of " << laneCount
                            << ", but got " << type;
  values[op.getResult()] = {split(values[op.getSrc()].front(), type)};
  return success();
}

LogicalResult KernelPacker::packJoin(tensor::CollapseShapeOp op) {
  if (op.getSrcType().getRank() != 3 || op.getResultType().getRank() != 2)
    return op.emitOpError() << "expects heads that are joined to rows, but got " << op.getResultType();
  Value in = values[op.getSrc()].front();
  auto from = cast<RankedTensorType>(in.getType());
  auto type = lanes({from.getDimSize(0), from.getDimSize(1) * from.getDimSize(2)});
  values[op.getResult()] = {
      tensor::CollapseShapeOp::create(*b, loc, type, in, ArrayRef<ReassociationIndices>{{0}, {1, 2}})};
  return success();
}

/// Clones the body of `op`, whose arguments are mapped, and gives what it yields: on vectors, or on single numbers.
Value KernelPacker::packBody(OpBuilder &inner, linalg::GenericOp op, IRMapping &map, bool lanes) {
  for (Operation &old : op.getBody()->without_terminator()) {
    Operation *made = inner.clone(old, map);
    if (!lanes)
      continue;
    if (auto number = dyn_cast<arith::ConstantOp>(made))
      number.setValueAttr(DenseElementsAttr::get(lane(), number.getValue()));
    for (Value result : made->getResults())
      result.setType(lane());
  }
  return map.lookup(op.getBody()->getTerminator()->getOperand(0));
}

bool isElementwise(linalg::GenericOp op) {
  return op.getNumDpsInputs() > 0 &&
         llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); });
}

/// Whether `op` adds to what it yields, and begins with zero.
static bool sumsUp(linalg::GenericOp op) {
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.value(), m_AnyZeroFloat()))
    return false;
  Value sum = op.getBody()->getTerminator()->getOperand(0), before = op.getBody()->getArguments().back();
  if (auto add = sum.getDefiningOp<arith::AddFOp>())
    return add.getLhs() == before || add.getRhs() == before;
  auto fma = sum.getDefiningOp<math::FmaOp>();
  return fma && fma.getC() == before;
}

LogicalResult KernelPacker::packGeneric(linalg::GenericOp op) {
  auto refuse = [&](const char *what) { return op.emitOpError() << "expects " << what << " inside a kernel"; };
  if (op.getNumDpsInits() != 1 ||
      !llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isProjectedPermutation(); }))
    return refuse("one result, and operands that loops index");
  for (Operation &inner : *op.getBody()) {
    if (!llvm::all_of(inner.getResultTypes(), [](Type type) { return type.isF32(); }))
      return refuse("arithmetic on float32");
    if (llvm::any_of(inner.getOperands(), [&](Value value) { return value.getParentBlock() != op.getBody(); }))
      return refuse("a body that computes from the operands alone");
  }
  const unsigned loops = op.getNumLoops();
  unsigned columns = loops;
  for (OpOperand *in : op.getDpsInputOperands())
    if (auto type = dyn_cast<RankedTensorType>(in->get().getType()); type && !perRow.contains(in->get())) {
      const unsigned last = op.getMatchingIndexingMap(in).getDimPosition(type.getRank() - 1);
      if (columns != loops && columns != last)
        return refuse("one loop over columns");
      columns = last;
    }
  const auto iterators = op.getIteratorTypesArray();
  const bool reduces = llvm::is_contained(iterators, utils::IteratorType::reduction);
  if (!reduces && op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
    return refuse("a body that computes from the operands alone");
  if (columns == loops)
    return reduces ? refuse("no sum over rows") : packRows(op);
  if (reduces && (llvm::count(iterators, utils::IteratorType::reduction) > 1 ||
                  iterators[columns] != utils::IteratorType::reduction || !sumsUp(op)))
    return refuse("no reduction but a sum over columns that begins with zero");
  AffineMap result = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!reduces && result.getDimPosition(result.getNumResults() - 1) != columns)
    return refuse("columns that stay the last dimension");
  // Of a linear the tiles have a dimension more: [tiles, tokens, vectors] are rows by columns.
  const bool ofTiles = parts.contains(op.getInputs()[0]);
  if (!reduces && (ofTiles || isElementwise(op)))
    return packEach(op, columns, ofTiles);
  return packColumns(op, columns);
}

/// Whether one operation reads more of `value` than its sizes.
static bool isReadOnce(Value value) {
  return llvm::count_if(value.getUses(), [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); }) == 1;
}

/// The argument that the kernel yields of `value`, also where it yields what is made of it number by number.
Value KernelPacker::finalPlace(Value value) {
  while (!destinations.contains(value) && isReadOnce(value)) {
    auto use = llvm::find_if(value.getUses(), [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); });
    auto next = dyn_cast<linalg::GenericOp>(use->getOwner());
    if (!next || use->getOperandNumber() != 0)
      break;
    value = next.getResult(0);
  }
  return destinations.lookup(value);
}

/// A value for each place of the first operand, which may be the tiles of a linear. It takes that place where the
/// kernel made the operand for it.
LogicalResult KernelPacker::packEach(linalg::GenericOp op, unsigned columns, bool ofTiles) {
  Values ins;
  for (Value in : op.getInputs())
    ins.push_back(values[in].front());
  auto type = cast<RankedTensorType>(ins.front().getType());
  const unsigned rank = type.getRank();
  MLIRContext *context = op.getContext();
  SmallVector<AffineMap> maps;
  for (AffineMap map : op.getIndexingMapsArray()) {
    const bool ofColumns = map.getNumResults() == 1 && map.getDimPosition(0) == columns;
    if (ofTiles && !map.isIdentity() && !ofColumns)
      return op.emitOpError() << "expects operands of each number, or of each column, of a product";
    maps.push_back(ofTiles && ofColumns ? AffineMap::get(rank, 0, {getAffineDimExpr(rank - 1, context)}, context)
                                        : AffineMap::getMultiDimIdentityMap(rank, context));
  }
  const bool inplace = !isa<BlockArgument>(op.getInputs()[0]) && isReadOnce(op.getInputs()[0]) &&
                       (ofTiles || !destinations.contains(op.getResult(0)));
  if (ofTiles && !inplace && !destinations.contains(op.getResult(0)))
    return op.emitOpError() << "expects a product that nothing else reads, or a result that leaves the kernel";
  Value out = inplace ? ins.front() : destination(op.getResult(0), type, ins.front());
  if (inplace) {
    ins.erase(ins.begin());
    maps.erase(maps.begin());
  }
  values[op.getResult(0)] = {generic(out, ins, maps, rank, 0, [&](OpBuilder &inner, ValueRange v) {
    IRMapping map;
    if (inplace)
      map.map(op.getBody()->getArgument(0), v.back());
    for (auto [i, value] : llvm::enumerate(v.drop_back()))
      map.map(op.getBody()->getArgument(i + inplace), value);
    return packBody(inner, op, map, true);
  })};
  return success();
}

/// Loops over rows, perhaps heads, and columns; the last may be summed over.
LogicalResult KernelPacker::packColumns(linalg::GenericOp op, unsigned columns) {
  const unsigned loops = op.getNumLoops();
  const bool sums = op.getIteratorTypesArray()[columns] == utils::IteratorType::reduction;
  auto result = cast<RankedTensorType>(op.getResult(0).getType());
  Values ins;
  for (Value in : op.getInputs()) {
    if (partial.contains(in))
      return op.emitOpError() << "expects the number that a sum over columns is made into, but reads the sum itself";
    ins.push_back(values[in].front());
  }
  Value out;
  if (sums) {
    SmallVector<int64_t> shape(result.getShape());
    out = zeros(destination(Value(), lanes(shape), rowsLike));
    partial.insert(op.getResult(0));
    perRow.insert(op.getResult(0));
  } else {
    auto join = op.getResult(0).hasOneUse() ? dyn_cast<tensor::CollapseShapeOp>(*op.getResult(0).getUsers().begin())
                                            : tensor::CollapseShapeOp();
    SmallVector<int64_t> shape(join ? join.getResultType().getShape() : result.getShape());
    shape.back() /= laneCount;
    out = destination(join ? join.getResult() : op.getResult(0), lanes(shape), rowsLike);
    out = join ? split(out, result) : out;
  }
  values[op.getResult(0)] = {
      generic(out, ins, op.getIndexingMapsArray(), loops - sums, sums, [&](OpBuilder &inner, ValueRange v) {
        IRMapping map;
        map.map(op.getBody()->getArguments(), v);
        return packBody(inner, op, map, true);
      })};
  return success();
}

/// A number for each row or head, from sums over its columns.
LogicalResult KernelPacker::packRows(linalg::GenericOp op) {
  Values ins;
  for (Value in : op.getInputs()) {
    if (!partial.contains(in))
      return op.emitOpError() << "expects sums over columns, but reads another number of a row";
    ins.push_back(values[in].front());
  }
  SmallVector<int64_t> shape(cast<RankedTensorType>(op.getResult(0).getType()).getShape());
  perRow.insert(op.getResult(0));
  values[op.getResult(0)] = {
      generic(destination(Value(), lanes(shape), rowsLike), ins, op.getIndexingMapsArray(), op.getNumLoops(), 0,
              [&](OpBuilder &inner, ValueRange v) -> Value {
                IRMapping map;
                for (auto [argument, sum] : llvm::zip(op.getBody()->getArguments().drop_back(), v))
                  map.map(argument, vector::ReductionOp::create(inner, loc, vector::CombiningKind::ADD, sum));
                return vector::BroadcastOp::create(inner, loc, lane(), packBody(inner, op, map, false));
              })};
  return success();
}

} // namespace stepdown
