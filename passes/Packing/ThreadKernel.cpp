// A thread computes one number by demand: what lies in memory is read, and what does not is computed from what it is
// made of. Only ThreadKernels.cpp decides what lies in memory, so that any linalg on rows has a form here.
//
// Rows lie one behind the other, columns to whole vectors of the layout; weights as the layout packs them.
#include "passes/Packing/ThreadKernel.h"
#include "dialects/Tile/IR/TileOps.h"
#include "include/stepdown/CacheDims.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kDynamic = ShapedType::kDynamic, kWarp = 32, kMostThreads = 256;

Value sameNumbers(Value value) {
  for (;;) {
    auto quantize = value.getDefiningOp<QuantizeOp>();
    if (auto cast = value.getDefiningOp<UnrealizedConversionCastOp>(); cast && cast.getNumOperands() == 1)
      value = cast.getOperand(0);
    else if (quantize && !quantize.getGroups() && columns(quantize.getX().getType()) % 32 == 0)
      value = quantize.getX();
    else
      return value;
  }
}

ThreadKernel::ThreadKernel(Location loc, const Layout &layout, const Places &places, bool byRows)
    : loc(loc), layout(layout), places(places), extent(byRows ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS) {}

Value ThreadKernel::refuse(Operation *op, const Twine &what) {
  if (!failed)
    op->emitOpError() << "expects " << what << " in a kernel of a device";
  failed = true;
  return real(0);
}

// --- arguments -------------------------------------------------------------------------------------------------------

Value ThreadKernel::addArgument(Value of, int64_t part, MemRefType type, ArrayRef<int64_t> sizes, Value source) {
  Block &entry = function.getBody().front();
  Value made = entry.addArgument(type, loc);
  if (source)
    inputs.insert(source);
  const int64_t number = members.empty() ? 0 : llvm::find(members, of) - members.begin(); // of the result
  sources.append({source ? int64_t(llvm::find(inputs, source) - inputs.begin()) : -1 - number, part});
  dims.push_back(DenseI64ArrayAttr::get(loc.getContext(), sizes));
  arguments[{of, part}] = made;
  return made;
}

Value ThreadKernel::argument(Value of, int64_t part) {
  if (Value known = arguments.lookup({of, part}))
    return known;
  const bool isResult = (of == result || llvm::is_contained(members, of)) && !isa<CacheType>(of.getType());
  Value source = isResult ? Value() : places.lookup(of);
  MLIRContext *context = loc.getContext();
  Type i32 = IntegerType::get(context, 32), f32 = Float32Type::get(context);
  auto add = [&](ArrayRef<int64_t> sizes, Type element) {
    SmallVector<int64_t> shape;
    for (int64_t size : sizes)
      shape.push_back(size < 0 ? kDynamic : size);
    return addArgument(of, part, MemRefType::get(shape, element), sizes, source);
  };
  if (isa<BatchType>(of.getType()))
    return part == 2 ? add({STEPDOWN_DIM_SEQUENCES, STEPDOWN_DIM_TABLE_WIDTH}, i32) : add({extent}, i32);
  if (auto cache = dyn_cast<CacheType>(of.getType())) {
    SmallVector<int64_t> sizes(STEPDOWN_MAX_RANK);
    sizes.resize(stepdown_cache_dims(part ? layout.cache.values : layout.cache.keys, layout.cache.lanes,
                                     cache.getHeads(), part ? cache.getValue() : cache.getKey(), sizes.data()));
    return add(sizes, cache.getElement());
  }
  auto tensor = cast<RankedTensorType>(of.getType());
  if (isIndices(tensor))
    return add({extent}, i32);
  if (isChoices(tensor))
    return add({extent, tensor.getDimSize(1)}, i32);
  if (isActivations(tensor))
    return add({extent, columns(tensor)}, f32);
  if (auto block = dyn_cast<BlockType>(tensor.getElementType())) {
    const int64_t tiles = llvm::divideCeil(tensor.getDimSize(0), layout.rows);
    const int64_t blocks = columns(tensor) / packedBlock(layout, block.getFormat()).columns;
    return add({tiles, blocks}, BlockType::get(context, block.getStorage(), layout.rows));
  }
  if (tensor.isDynamicDim(0) && tensor.getRank() == 1) // a number of each row
    return add({extent, 1}, f32);
  if (tensor.isDynamicDim(0)) {
    const bool whole = llvm::any_of(of.getUsers(), [](Operation *op) { return isa<SelectRowsOp>(op); });
    return add({!isResult && whole ? int64_t(STEPDOWN_DIM_TOKENS) : extent,
                int64_t(llvm::alignTo(tensor.getDimSize(1), layout.rows))},
               tensor.getElementType());
  }
  return add(tensor.getShape(), tensor.getElementType());
}

void ThreadKernel::bound(Value argument, int64_t value) {
  int64_t &known = bounds[cast<BlockArgument>(argument).getArgNumber()];
  known = known ? std::min(known, value) : value;
}

// --- the function ----------------------------------------------------------------------------------------------------

void ThreadKernel::forEach(int64_t columns, Value like, int64_t threads, Body body) {
  if (!threads)
    threads = std::clamp<int64_t>(llvm::alignTo(columns, kWarp), kWarp, kMostThreads);
  function->setAttr(tile::kGridAttr, DenseI64ArrayAttr::get(loc.getContext(), {columns, threads}));
  Value zero = number(0), one = number(1), rows = memref::DimOp::create(*b, loc, like, 0);
  auto loop =
      scf::ParallelOp::create(*b, loc, ValueRange{zero, zero}, ValueRange{rows, number(columns)}, ValueRange{one, one});
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPoint(loop.getBody()->getTerminator());
  body(loop.getInductionVars()[0], loop.getInductionVars()[1]);
}

void ThreadKernel::begin(OpBuilder &builder) {
  function = func::FuncOp::create(builder, loc, "kernel", builder.getFunctionType({}, {}));
  function.setPrivate();
  b.emplace(OpBuilder::atBlockEnd(function.addEntryBlock()));
}

FailureOr<func::FuncOp> ThreadKernel::build(OpBuilder &builder, Value wanted) {
  result = wanted;
  begin(builder);
  if (shared && result == shared->partial) {
    shared->splits.warp ? attendTile(shared->op) : attendSplit(shared->op);
  } else if (shared && result == shared->op.getResult()) {
    joinSplits(shared->op);
  } else if (auto op = result.getDefiningOp<AttentionOp>()) {
    const int64_t heads = op.getQ().getType().getDimSize(1) / op.getCache().getType().getKey();
    forEach(heads, argument(result), 0, [&](Value token, Value head) { attend(op, token, head); });
  } else if (auto rows = RowReduction::of(result)) {
    reduceRows(result.getDefiningOp<linalg::GenericOp>(), *rows);
  } else if (auto append = result.getDefiningOp<KVAppendOp>(); append || !computeShared()) {
    forEach(numbersOf(result), append ? argument(append.getBatch(), 0) : argument(result), 0,
            [&](Value token, Value column) { place(result, token, column); });
  }
  return finish();
}

int64_t ThreadKernel::numbersOf(Value value) {
  if (auto cache = dyn_cast<CacheType>(value.getType()))
    return cache.getHeads() * (cache.getKey() + cache.getValue());
  auto type = cast<RankedTensorType>(value.getType());
  return type.getRank() == 1 ? 1 : isActivations(type) ? columns(type) : type.getDimSize(1);
}

void ThreadKernel::place(Value value, Value token, Value column) {
  if (auto op = value.getDefiningOp<KVAppendOp>())
    return append(op, token, column);
  Value out = argument(value);
  Value y = cast<RankedTensorType>(value.getType()).getRank() == 1 ? at(value, {token}) : at(value, {token, column});
  memref::StoreOp::create(*b, loc, y, out, ValueRange{token, column});
}

FailureOr<func::FuncOp> ThreadKernel::buildEach(OpBuilder &builder, ArrayRef<Value> wanted) {
  members.assign(wanted.begin(), wanted.end());
  result = members.front();
  begin(builder);
  int64_t all = 0;
  Value like;
  for (Value member : members) {
    all += numbersOf(member);
    if (auto append = member.getDefiningOp<KVAppendOp>())
      like = argument(append.getBatch(), 0);
    else
      like = argument(member);
  }
  forEach(all, like, 0, [&](Value token, Value column) {
    OpBuilder::InsertionGuard guard(*b); // at the end of the last choice
    for (Value member : ArrayRef(members).drop_back()) {
      Value count = number(numbersOf(member));
      auto choice = scf::IfOp::create(*b, loc, less(column, count), /*withElseRegion=*/true);
      b->setInsertionPointToStart(choice.thenBlock());
      place(member, token, column);
      b->setInsertionPointToStart(choice.elseBlock());
      column = arith::SubIOp::create(*b, loc, column, count);
    }
    place(members.back(), token, column);
  });
  return finish();
}

FailureOr<func::FuncOp> ThreadKernel::finish() {
  func::ReturnOp::create(*b, loc);
  function.setType(b->getFunctionType(function.getBody().front().getArgumentTypes(), {}));
  for (auto [number, value] : bounds)
    function.setArgAttr(number, tile::kBoundAttr, b->getI64IntegerAttr(value));
  for (size_t i = 0; i < sources.size(); i += 2)
    if (sources[i] < 0)
      sources[i] = int64_t(inputs.size()) - 1 - sources[i];
  if (failed)
    return failure();
  return function;
}

// --- numbers ---------------------------------------------------------------------------------------------------------

Value ThreadKernel::at(Value tensor, ValueRange indices) {
  tensor = sameNumbers(tensor);
  if (Value known = scalars.lookup(tensor))
    return known;
  if (tensor == held.first)
    return held.second;
  if (places.contains(tensor)) {
    Value place = argument(tensor);
    Values where(indices);
    if (cast<MemRefType>(place.getType()).getRank() > int64_t(where.size())) // a number of each row
      where.push_back(number(0));
    return load(place, where);
  }
  Operation *op = tensor.getDefiningOp();
  if (!op)
    return refuse(result.getDefiningOp(), "operands that lie in memory or are computed");
  if (auto structured = dyn_cast<linalg::GenericOp>(op))
    return generic(structured, indices);
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    Attribute constant;
    if (!matchPattern(fill.value(), m_Constant(&constant)))
      return refuse(op, "a constant");
    return arith::ConstantOp::create(*b, loc, cast<TypedAttr>(constant));
  }
  if (auto split = dyn_cast<tensor::ExpandShapeOp>(op)) {
    auto type = cast<RankedTensorType>(split.getResultType());
    Values from;
    for (const ReassociationIndices &group : split.getReassociationIndices()) {
      Value place = indices[group.front()];
      for (int64_t d : ArrayRef(group).drop_front())
        place = add(mul(place, number(type.getDimSize(d))), indices[d]);
      from.push_back(place);
    }
    return at(split.getSrc(), from);
  }
  if (auto join = dyn_cast<tensor::CollapseShapeOp>(op)) {
    auto type = cast<RankedTensorType>(join.getSrcType());
    Values from(type.getRank());
    for (auto [place, group] : llvm::zip(indices, join.getReassociationIndices())) {
      Value rest = place;
      for (int64_t d : llvm::reverse(ArrayRef(group).drop_front())) {
        from[d] = rem(rest, type.getDimSize(d));
        rest = div(rest, type.getDimSize(d));
      }
      from[group.front()] = rest;
    }
    return at(join.getSrc(), from);
  }
  if (auto product = dyn_cast<LinearOp>(op); product && !product.getBias())
    return linear(product.getX(), product.getWeight(), indices[0], {indices[1], {}});
  if (auto product = dyn_cast<ExpertLinearOp>(op))
    return withBias(product, expertSum(product, indices[0], indices[1]), indices[0], indices[1]);
  if (auto sum = dyn_cast<CombineExpertsOp>(op))
    return combineExperts(sum, indices[0], indices[1]);
  if (auto gather = dyn_cast<EmbeddingOp>(op))
    return embedding(gather, indices[0], indices[1]);
  if (auto rope = dyn_cast<RopeOp>(op))
    return rotate(rope, indices[0], indices[1]);
  if (auto copy = dyn_cast<QuantizeOp>(op))
    return quantize(copy, indices[0], indices[1]);
  if (auto choice = dyn_cast<SelectRowsOp>(op))
    return at(choice.getX(), {index(argument(choice.getRows()), {indices[0]}), indices[1]});
  return refuse(op, "an operation with a form for a thread");
}

/// `op` at `indices` of its result; a reduction goes over all of its dimensions, the last one innermost.
Value ThreadKernel::generic(linalg::GenericOp op, ValueRange indices) {
  if (op.getNumDpsInits() != 1 || !llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) {
        return map.isProjectedPermutation(/*allowZeroInResults=*/true);
      }))
    return refuse(op, "one result, and operands that loops index");
  Values loops = loopsAt(op, indices);
  SmallVector<unsigned> walked;
  op.getReductionDims(walked);
  Value start = op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)) ? at(op.getDpsInits()[0], indices) : Value();
  std::function<Value(size_t, Value)> walk = [&](size_t depth, Value before) -> Value {
    if (depth == walked.size())
      return bodyAt(op, loops, before);
    const int64_t size = op.getStaticLoopRanges()[walked[depth]];
    if (ShapedType::isDynamic(size) || !before)
      return refuse(op, "a reduction over columns");
    return loop(number(0), number(size), before, [&](Value i, Value sum) {
      loops[walked[depth]] = i;
      return walk(depth + 1, sum);
    });
  };
  return walk(0, start);
}

/// The parallel loops of `op` for `indices` of its result.
ThreadKernel::Values ThreadKernel::loopsAt(linalg::GenericOp op, ValueRange indices) {
  Values loops(op.getNumLoops());
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  for (auto [d, place] : llvm::zip(out.getResults(), indices))
    if (auto loop = dyn_cast<AffineDimExpr>(d))
      loops[loop.getPosition()] = place;
  return loops;
}

/// The body of `op` in one turn of its loops, with the number that it has made `before`.
Value ThreadKernel::bodyAt(linalg::GenericOp op, ValueRange loops, Value before) {
  const auto maps = op.getIndexingMapsArray();
  IRMapping map;
  for (auto [i, in] : llvm::enumerate(op.getInputs())) {
    Values from;
    for (AffineExpr d : maps[i].getResults())
      from.push_back(isa<AffineDimExpr>(d) ? loops[cast<AffineDimExpr>(d).getPosition()] : number(0));
    map.map(op.getBody()->getArgument(i), at(in, from));
  }
  if (before)
    map.map(op.getBody()->getArguments().back(), before);
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (llvm::any_of(inner.getOperands(), [&](Value value) { return !map.contains(value); }))
      return refuse(op, "a body that computes from the operands alone");
    b->clone(inner, map);
  }
  return map.lookup(op.getBody()->getTerminator()->getOperand(0));
}

/// sum over c of x[token, first + c] * weight[row, c], c ascending: the same whatever else is computed beside it.
Value ThreadKernel::linear(Value x, Value weight, Value token, const WeightRow &of) {
  Value w = argument(weight);
  auto type = cast<MemRefType>(w.getType());
  const PackedBlock packed = packedBlock(layout, cast<BlockType>(type.getElementType()).getFormat());
  Value tile = div(of.row, layout.rows), lane = rem(of.row, layout.rows);
  auto ofBlock = [&](Value block, Value sum) {
    Value begin = mul(block, number(packed.columns));
    begin = of.first ? add(of.first, begin) : begin;
    return loop(number(0), number(packed.columns / kQuadColumns), sum, [&](Value quad, Value partial) {
      auto values = tile::UnpackQuadOp::create(*b, loc, w, ValueRange{tile, block}, lane, quad);
      Value column = add(begin, mul(quad, number(kQuadColumns)));
      for (auto [number, value] : llvm::zip(quadAt(x, token, column), values.getResults()))
        partial = math::FmaOp::create(*b, loc, number, value, partial);
      return partial;
    });
  };
  return loop(number(0), number(type.getDimSize(1) / of.shares), real(0), [&](Value turn, Value before) {
    return ofBlock(of.share ? add(mul(turn, number(of.shares)), of.share) : turn, before);
  });
}

/// Four neighbouring columns, in one load where they lie in memory: places and rows begin at a multiple of 64 bytes.
ThreadKernel::Values ThreadKernel::quadAt(Value x, Value token, Value column) {
  Values numbers;
  x = sameNumbers(x);
  Value place = places.contains(x) ? argument(x) : Value();
  if (place && layout.rows % kQuadColumns == 0 && layout.alignment % 16 == 0) {
    auto type = VectorType::get({kQuadColumns}, b->getF32Type());
    Value all = vector::LoadOp::create(*b, loc, type, place, ValueRange{token, column});
    for (int64_t e = 0; e < kQuadColumns; ++e)
      numbers.push_back(vector::ExtractOp::create(*b, loc, all, e));
    return numbers;
  }
  for (int64_t e = 0; e < kQuadColumns; ++e)
    numbers.push_back(at(x, {token, e ? add(column, number(e)) : column}));
  return numbers;
}

Value ThreadKernel::embedding(EmbeddingOp op, Value token, Value column) {
  Value tokens = argument(op.getTokens()), table = argument(op.getTable());
  auto type = cast<MemRefType>(table.getType());
  bound(tokens, type.getDimSize(0) * layout.rows);
  const PackedBlock packed = packedBlock(layout, cast<BlockType>(type.getElementType()).getFormat());
  Value row = index(tokens, {token});
  auto values =
      tile::UnpackQuadOp::create(*b, loc, table, ValueRange{div(row, layout.rows), div(column, packed.columns)},
                                 rem(row, layout.rows), div(rem(column, packed.columns), kQuadColumns));
  Value lane = rem(column, kQuadColumns), y = values.getY0();
  for (int64_t e = 1; e < kQuadColumns; ++e)
    y = select(arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, lane, number(e)), values.getResult(e), y);
  const double scale = op.getScale().convertToDouble();
  return scale == 1 ? y : Value(arith::MulFOp::create(*b, loc, y, real(scale)));
}

Value ThreadKernel::quantize(QuantizeOp op, Value token, Value column) {
  int64_t read = columns(op.getX().getType());
  Value from = column;
  if (auto groups = op.getGroups()) {
    read = op.getReadColumns();
    from = add(mul(div(column, (*groups)[0]), number((*groups)[1])), rem(column, (*groups)[0]));
  }
  if (read == columns(op.getResult().getType()))
    return at(op.getX(), {token, from});
  Value inside = less(column, number(read));
  Value y = at(op.getX(), {token, select(inside, from, number(0))});
  return select(inside, y, real(0));
}

/// The angle of position p is that of 64 * (p div 64) plus that of p mod 64: two small tables for any context.
Value ThreadKernel::rotate(RopeOp op, Value token, Value column) {
  if (!op.getCoarse())
    return refuse(op, "tables of the angles");
  Value positions = argument(op.getBatch(), 0), coarse = argument(op.getCoarse()), fine = argument(op.getFine());
  const int64_t head = op.getHeadDim(), fineRows = cast<MemRefType>(fine.getType()).getDimSize(0),
                pairs = cast<MemRefType>(fine.getType()).getDimSize(2);
  bound(positions, cast<MemRefType>(coarse.getType()).getDimSize(0) * fineRows);
  const bool adjacent = op.getPairs() == Pairs::Adjacent;
  Value begin = mul(div(column, head), number(head)), i = rem(column, head), turns = less(i, number(2 * pairs));
  Value inside = select(turns, i, number(0));
  Value isFirst = adjacent ? arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::eq, rem(inside, 2), number(0))
                           : less(inside, number(pairs));
  Value k = adjacent ? div(inside, 2) : rem(inside, pairs);
  const int64_t apart = adjacent ? 1 : pairs;
  Value other = select(isFirst, add(inside, number(apart)),
                       arith::SubIOp::create(*b, loc, inside, select(isFirst, number(0), number(apart))));
  Value p = index(positions, {token}), high = div(p, fineRows), low = rem(p, fineRows);
  Value c1 = load(coarse, {high, number(0), k}), s1 = load(coarse, {high, number(1), k});
  Value c2 = load(fine, {low, number(0), k}), s2 = load(fine, {low, number(1), k});
  auto times = [&](Value a, Value c) -> Value { return arith::MulFOp::create(*b, loc, a, c); };
  Value c = arith::SubFOp::create(*b, loc, times(c1, c2), times(s1, s2));
  Value s = arith::AddFOp::create(*b, loc, times(s1, c2), times(c1, s2));
  Value mine = at(op.getX(), {token, column}), its = at(op.getX(), {token, add(begin, other)});
  Value a = times(mine, c), d = times(its, s);
  Value turned = select(isFirst, arith::SubFOp::create(*b, loc, a, d), arith::AddFOp::create(*b, loc, a, d));
  return head == 2 * pairs ? turned : select(turns, turned, mine);
}

// --- small words -----------------------------------------------------------------------------------------------------

Value ThreadKernel::number(int64_t value) { return arith::ConstantIndexOp::create(*b, loc, value); }
Value ThreadKernel::real(double value) {
  return arith::ConstantOp::create(*b, loc, b->getF32FloatAttr(static_cast<float>(value)));
}
Value ThreadKernel::add(Value a, Value c) { return arith::AddIOp::create(*b, loc, a, c); }
Value ThreadKernel::mul(Value a, Value c) { return arith::MulIOp::create(*b, loc, a, c); }
Value ThreadKernel::div(Value a, int64_t c) { return arith::DivUIOp::create(*b, loc, a, number(c)); }
Value ThreadKernel::rem(Value a, int64_t c) { return arith::RemUIOp::create(*b, loc, a, number(c)); }
Value ThreadKernel::less(Value a, Value c) { return arith::CmpIOp::create(*b, loc, arith::CmpIPredicate::ult, a, c); }
Value ThreadKernel::select(Value condition, Value a, Value c) {
  return arith::SelectOp::create(*b, loc, condition, a, c);
}
Value ThreadKernel::yes() { return arith::ConstantOp::create(*b, loc, b->getBoolAttr(true)); }
Value ThreadKernel::no() { return arith::ConstantOp::create(*b, loc, b->getBoolAttr(false)); }
Value ThreadKernel::load(Value memref, ValueRange indices) { return memref::LoadOp::create(*b, loc, memref, indices); }
Value ThreadKernel::index(Value memref, ValueRange indices) {
  return arith::IndexCastOp::create(*b, loc, b->getIndexType(), load(memref, indices));
}

Value ThreadKernel::loop(Value lower, Value upper, Value start, function_ref<Value(Value, Value)> body) {
  return loop(lower, upper, ValueRange(start),
              [&](Value i, ValueRange carried) { return Values{body(i, carried.front())}; })
      .front();
}

ThreadKernel::Values ThreadKernel::loop(Value lower, Value upper, ValueRange start,
                                        function_ref<Values(Value, ValueRange)> body) {
  auto made = scf::ForOp::create(*b, loc, lower, upper, number(1), start);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(made.getBody());
  Values carried = body(made.getInductionVar(), made.getRegionIterArgs());
  if (!start.empty())
    scf::YieldOp::create(*b, loc, carried);
  return Values(made.getResults());
}

} // namespace stepdown
