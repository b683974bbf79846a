// Structured operations of functions of plain modules become loops over vectors.
//
// One loop is chosen as the lane: every operand either stays where it is or goes to the next element as it advances. A
// parallel lane is preferred; then each lane owns a result, and sums keep their order. Where only a reduction will do
// (a sum along rows), lanes hold partial sums that are joined in a fixed tree. With reductions, a block of rows and
// vectors is computed at once, so that what the rows share is loaded once and all sums stay in registers.
#include "lib/Target/Target.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/Passes.h"
#include "passes/Vector/StructuredBody.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_VECTORIZESTRUCTURED
#include "passes/Vector/Passes.h.inc"

namespace {

using Values = StructuredBody::Values;

class Vectorizer {
public:
  Vectorizer(StructuredBody &body, const Target &target, OpBuilder &b)
      : body(body), target(target), b(b), loc(body.loc), loops(body.iterators.size()) {}

  /// False where no loop can be the lane.
  bool run() {
    if (!chooseLane())
      return false;
    for (Range range : cast<linalg::LinalgOp>(body.op.getOperation()).createLoopRanges(b, loc))
      sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    chooseBlock();
    block.ivs.resize(loops);
    block.lane = lane;
    SmallVector<unsigned> outer;
    for (unsigned loop = 0; loop < loops; ++loop)
      if (isParallel(loop) && loop != lane && loop != rowLoop)
        outer.push_back(loop);
    makePanels();
    nest(outer, [&] { isParallel(lane) ? overLane() : overRows(); });
    return true;
  }

private:
  bool isParallel(unsigned loop) const { return body.iterators[loop] == utils::IteratorType::parallel; }
  Value number(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  bool canBeLane(unsigned loop) const {
    for (OpOperand *input : body.op.getDpsInputOperands())
      if (body.stepOf(*input, loop) == Step::Elsewhere)
        return false;
    for (OpOperand &output : body.op.getDpsInitsMutable())
      if (body.stepOf(output, loop) != (isParallel(loop) ? Step::NextElement : Step::Stays))
        return false;
    if (isParallel(loop))
      return true;
    for (unsigned which = 0; which < body.op.getRegionOutputArgs().size(); ++which)
      if (Operation *join = body.combiner(which); !join || !neutral(join))
        return false;
    return true;
  }

  bool chooseLane() {
    for (bool parallel : {true, false})
      for (unsigned loop = loops; loop-- > 0;)
        if (isParallel(loop) == parallel && canBeLane(loop)) {
          lane = loop;
          return true;
        }
    return false;
  }

  /// A row loop is one that some input does not follow: what it holds serves all rows of a block.
  void chooseBlock() {
    width = body.lanes();
    if (body.op.getNumReductionLoops() == 0)
      return;
    for (unsigned loop = loops; loop-- > 0 && rowLoop == ~0u;)
      if (isParallel(loop) && loop != lane)
        for (OpOperand *input : body.op.getDpsInputOperands())
          if (isa<MemRefType>(input->get().getType()) && body.stepOf(*input, loop) == Step::Stays)
            rowLoop = loop;
    const int64_t outputs = body.op.getRegionOutputArgs().size();
    if (isParallel(lane)) {
      vectors = target.unrolling.blockVectors;
      rows = rowLoop == ~0u ? 1 : target.unrolling.blockRows;
    } else {
      vectors = rowLoop == ~0u ? 4 : 1;
      rows = rowLoop == ~0u ? 1 : 4;
    }
    if (outputs > 1)
      rows = 1, vectors = 1;
    block.rowLoop = rowLoop;
  }

  /// Room for what all row blocks read again: the columns of a block, next to each other instead of a whole row apart.
  void makePanels() {
    SmallVector<unsigned> list = reductions(true);
    if (!isParallel(lane) || rowLoop == ~0u || list.size() != 1)
      return;
    reduction = list.front();
    for (OpOperand *input : body.op.getDpsInputOperands()) {
      auto type = dyn_cast<MemRefType>(input->get().getType());
      if (!type || body.stepOf(*input, lane) != Step::NextElement || body.stepOf(*input, rowLoop) != Step::Stays ||
          !body.maps[input->getOperandNumber()].isFunctionOfDim(reduction))
        continue;
      auto size = getConstantIntValue(sizes[reduction]);
      auto panel = MemRefType::get({size ? *size : ShapedType::kDynamic, vectors * width}, type.getElementType());
      Value memory = memref::AllocOp::create(b, loc, panel, size ? ValueRange() : ValueRange{sizes[reduction]},
                                             b.getI64IntegerAttr(64));
      panels.push_back({input, memory});
    }
  }

  /// inside() with the inputs of a whole block packed, where enough rows read them.
  void packed(llvm::function_ref<void()> inside) {
    constexpr int64_t blocks = 4;
    auto known = getConstantIntValue(sizes[rowLoop == ~0u ? 0 : rowLoop]);
    if (panels.empty() || (known && *known < blocks * rows))
      return inside();
    auto pack = [&] {
      for (auto [input, memory] : panels)
        body.pack(b, block, *input, reduction, sizes[reduction], memory);
      inside();
      body.panels.clear();
    };
    if (known)
      return pack();
    Value many = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, sizes[rowLoop], number(blocks * rows));
    auto choice = scf::IfOp::create(b, loc, many, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    pack();
    b.setInsertionPointToStart(choice.elseBlock());
    inside();
  }

  /// for every point of `list`: inside()
  void nest(ArrayRef<unsigned> list, llvm::function_ref<void()> inside) {
    if (list.empty())
      return inside();
    each(list.front(), number(0), sizes[list.front()], 1, [&] { nest(list.drop_front(), inside); });
  }

  /// for block.ivs[loop] = from; < to; += step
  void each(unsigned loop, Value from, Value to, int64_t step, llvm::function_ref<void()> inside) {
    auto op = scf::ForOp::create(b, loc, from, to, number(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    block.ivs[loop] = op.getInductionVar();
    inside();
  }

  /// The largest multiple of `step` below `size`, counted from `from`.
  Value wholeEnd(Value from, Value size, int64_t step) {
    Value rest = b.createOrFold<arith::SubIOp>(loc, size, from);
    Value part = b.createOrFold<arith::RemUIOp>(loc, rest, number(step));
    return b.createOrFold<arith::SubIOp>(loc, size, part);
  }

  /// Goes through `loop` in steps of each of `steps`, every one as far as it comes.
  void inSteps(unsigned loop, ArrayRef<int64_t> steps, llvm::function_ref<void(int64_t)> inside) {
    Value from = number(0);
    for (int64_t step : steps) {
      if (step == 1 && steps.size() > 1 && isZero(b.createOrFold<arith::SubIOp>(loc, sizes[loop], from)))
        return;
      Value to = wholeEnd(from, sizes[loop], step);
      if (!isZero(b.createOrFold<arith::SubIOp>(loc, to, from)))
        each(loop, from, to, step, [&] { inside(step); });
      from = to;
    }
  }
  static bool isZero(Value v) {
    auto known = getConstantIntValue(v);
    return known && *known == 0;
  }

  void overRows(llvm::function_ref<void()> inside) {
    if (rowLoop == ~0u) {
      block.rows = 1;
      return inside();
    }
    SmallVector<int64_t> steps = {rows};
    if (rows > 1)
      steps.push_back(1);
    inSteps(rowLoop, steps, [&](int64_t step) {
      block.rows = step;
      inside();
    });
  }

  SmallVector<unsigned> reductions(bool withLane) const {
    SmallVector<unsigned> list;
    for (unsigned loop = 0; loop < loops; ++loop)
      if (!isParallel(loop) && (withLane || loop != lane))
        list.push_back(loop);
    return list;
  }

  /// Nested loops over `list` that hand `carried` from one iteration to the next.
  Values carry(ArrayRef<unsigned> list, Values carried, llvm::function_ref<Values(Values)> inside) {
    if (list.empty())
      return inside(carried);
    return carryOne(list.front(), number(0), sizes[list.front()], 1, carried,
                    [&](Values inner) { return carry(list.drop_front(), inner, inside); });
  }
  Values carryOne(unsigned loop, Value from, Value to, int64_t step, Values carried,
                  llvm::function_ref<Values(Values)> inside) {
    auto op = scf::ForOp::create(b, loc, from, to, number(step), carried);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    block.ivs[loop] = op.getInductionVar();
    Values next = inside(Values(op.getRegionIterArgs()));
    scf::YieldOp::create(b, loc, next);
    return Values(op.getResults());
  }

  // --- a parallel lane: each lane owns a result ---

  void overLane() {
    SmallVector<int64_t> steps;
    if (vectors > 1)
      steps.push_back(vectors * width);
    steps.append({width, 1});
    inSteps(lane, steps, [&](int64_t step) {
      block.width = step == 1 ? 1 : width;
      block.vectors = step == 1 ? 1 : step / width;
      block.rows = 1;
      auto all = [&] { overRows([&] { results(); }); };
      step == vectors *width ? packed(all) : all();
    });
  }

  void results() {
    const bool readsOutputs =
        llvm::any_of(body.op.getRegionOutputArgs(), [](Value argument) { return !argument.use_empty(); });
    SmallVector<unsigned> list = reductions(true);
    Values soFar;
    if (readsOutputs || !list.empty())
      soFar = body.loadOutputs(b, block);
    Values made = carry(list, soFar, [&](Values now) {
      Values next = body.compute(b, block, now);
      for (auto [value, before] : llvm::zip(next, now)) // carried values keep their types
        if (value.getType() != before.getType())
          value = vector::BroadcastOp::create(b, loc, before.getType(), value);
      return next;
    });
    body.storeOutputs(b, block, made);
  }

  // --- a reduction as the lane: lanes hold partial results ---

  static std::optional<TypedAttr> neutral(Operation *join) {
    Type type = join->getResult(0).getType();
    if (isa<math::FmaOp>(join))
      return FloatAttr::get(type, -0.0);
    if (type.isIndex()) { // upstream's takes it for an integer of some width, and reads past its type
      const int64_t value = isa<arith::MulIOp>(join)                   ? 1
                            : isa<arith::AndIOp, arith::MinUIOp>(join) ? -1
                            : isa<arith::MaxSIOp>(join)                ? std::numeric_limits<int64_t>::min()
                            : isa<arith::MinSIOp>(join)                ? std::numeric_limits<int64_t>::max()
                                                                       : 0;
      return IntegerAttr::get(type, value);
    }
    return arith::getNeutralElement(join);
  }

  Value join(unsigned which, Value a, Value c) {
    Operation *op = body.combiner(which);
    if (isa<math::FmaOp>(op))
      return arith::AddFOp::create(b, loc, a, c);
    OperationState state(loc, op->getName(), {a, c}, {a.getType()}, op->getAttrs());
    return b.create(state)->getResult(0);
  }

  /// All lanes of `v`, halves joined with halves.
  Value joinLanes(unsigned which, Value v) {
    for (int64_t n = width / 2; n > 0; n /= 2) {
      SmallVector<int64_t> low, high;
      for (int64_t i = 0; i < n; ++i)
        low.push_back(i), high.push_back(n + i);
      v = join(which, vector::ShuffleOp::create(b, loc, v, v, low), vector::ShuffleOp::create(b, loc, v, v, high));
    }
    return vector::ExtractOp::create(b, loc, v, ArrayRef<int64_t>{0});
  }

  void overRows() {
    overRows([&] { partialResults(); });
  }

  void partialResults() {
    const unsigned outputs = body.op.getRegionOutputArgs().size();
    block.width = width, block.vectors = vectors;
    const int64_t points = block.rows * vectors, perOutput = points;
    // Partial results of every point, then the scalar result of every row.
    Values carried;
    for (unsigned which = 0; which < outputs; ++which) {
      TypedAttr zero = *neutral(body.combiner(which));
      auto type = VectorType::get({width}, zero.getType());
      Value start = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, Attribute(zero)));
      carried.append(perOutput, start);
    }
    const size_t partial = carried.size();
    block.vectors = 1, block.width = 1;
    carried.append(body.loadOutputs(b, block));
    Values made = carry(reductions(false), carried, [&](Values now) {
      Value whole = wholeEnd(number(0), sizes[lane], vectors * width), single = wholeEnd(whole, sizes[lane], width);
      Values parts(now.begin(), now.begin() + partial), scalars(now.begin() + partial, now.end());
      block.width = width, block.vectors = vectors;
      parts = carryOne(lane, number(0), whole, vectors * width, parts,
                       [&](Values soFar) { return body.compute(b, block, soFar); });
      if (vectors > 1) {
        block.vectors = 1;
        Values first;
        for (size_t i = 0; i < parts.size(); i += vectors)
          first.push_back(parts[i]);
        first =
            carryOne(lane, whole, single, width, first, [&](Values soFar) { return body.compute(b, block, soFar); });
        for (size_t i = 0; i < parts.size(); i += vectors)
          parts[i] = first[i / vectors];
      }
      block.width = 1, block.vectors = 1;
      scalars =
          carryOne(lane, single, sizes[lane], 1, scalars, [&](Values soFar) { return body.compute(b, block, soFar); });
      parts.append(scalars);
      return parts;
    });
    Values results;
    for (unsigned which = 0; which < outputs; ++which)
      for (int64_t row = 0; row < block.rows; ++row) {
        const size_t first = which * perOutput + row * vectors;
        Value sum = made[first];
        for (int64_t vector = 1; vector < vectors; ++vector)
          sum = join(which, sum, made[first + vector]);
        results.push_back(join(which, made[partial + which * block.rows + row], joinLanes(which, sum)));
      }
    block.width = 1, block.vectors = 1;
    body.storeOutputs(b, block, results);
  }

  StructuredBody &body;
  const Target &target;
  OpBuilder &b;
  const Location loc;
  const unsigned loops;
  SmallVector<Value> sizes; // of the loops
  unsigned lane = ~0u, rowLoop = ~0u;
  int64_t width = 1, vectors = 1, rows = 1; // of a block
  unsigned reduction = ~0u;                 // the loop that panels hold all of
  SmallVector<std::pair<OpOperand *, Value>> panels;
  StructuredBody::Block block;
};

struct VectorizeStructured : impl::VectorizeStructuredBase<VectorizeStructured> {
  using impl::VectorizeStructuredBase<VectorizeStructured>::VectorizeStructuredBase;

  void runOnOperation() override {
    const Target *target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a target of lib/Target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    SmallVector<linalg::LinalgOp> work;
    getOperation().walk([&](linalg::LinalgOp op) { work.push_back(op); });
    for (linalg::LinalgOp op : work) {
      if (!op.hasPureBufferSemantics() || op.getNumLoops() == 0)
        continue;
      StructuredBody body(op);
      OpBuilder b(op);
      if (!body.isArithmetic() || !Vectorizer(body, *target, b).run())
        continue; // one element at a time, by the pass behind this one
      op->erase();
      ++vectorized;
    }
  }
};
} // namespace
} // namespace stepdown
