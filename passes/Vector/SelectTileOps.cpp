// The structured tile operations, but for those of the cache (SelectAttend.cpp, SelectCacheStore.cpp) and packing
// (SelectPack.cpp) and those of experts (SelectExperts.cpp), as loops over vectors of 16 lanes.
#include "passes/Vector/SelectTileOps.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/Passes.h"
#include "passes/Vector/WeightReader.h"
#include <algorithm>

using namespace mlir;
using namespace stepdown::tile;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_SELECTTILEOPS
#include "passes/Vector/Passes.h.inc"

static Value divide(Emitter &e, Value a, int64_t c) { return arith::DivUIOp::create(e.b, e.loc, a, e.number(c)); }
static Value remainder(Emitter &e, Value a, int64_t c) { return arith::RemUIOp::create(e.b, e.loc, a, e.number(c)); }
static Value loadIndex(Emitter &e, Value memref, ValueRange at) {
  return e.cast(memref::LoadOp::create(e.b, e.loc, memref, at), e.index);
}

/// A row of the table is one lane of its packed blocks: the columns are decoded 16 rows wide and that lane kept.
static void selectGather(GatherOp op, Emitter &e) {
  Value tokens = op.getTokens(), table = op.getTable(), out = op.getY();
  auto block = cast<BlockType>(cast<MemRefType>(table.getType()).getElementType());
  Value scale = e.splat(e.f32, op.getScale().convertToDouble());
  e.loop(e.dim(tokens, 0), [&](Value r) {
    Value id = loadIndex(e, tokens, {r});
    Value tile = divide(e, id, e.lanes), lane = remainder(e, id, e.lanes);
    e.loop(e.dim(table, 1), [&](Value k) {
      WeightReader weight(e, block.getFormat());
      weight.open(e.pointer(table, {tile, k}));
      const int64_t vectors = block.getElements() / e.lanes;
      Value to = e.pointer(out, {r, e.mul(k, e.number(vectors))});
      e.loop(e.number(weight.subBlocks()), [&](Value sub) {
        weight.values(sub, [&](int column, Value w) {
          Value one = vector::ExtractOp::create(e.b, e.loc, w, lane);
          e.store(e.mul(one, scale), e.at(e.at(to, 4 * column), sub, 128));
        });
      });
    });
  });
  op.erase();
}

/// Address of column `column` of row `row` of a tensor of 16-lane vectors; columns of a row are contiguous.
static Value element(Emitter &e, Value rows, Value row, Value column) {
  return e.at(e.pointer(rows, {row, e.number(0)}), column, 4);
}

/// The angle of position p is that of 64 * (p div 64) plus that of p mod 64: two small tables for any context.
static void selectRotate(RotateOp op, Emitter &e) {
  Value x = op.getX(), positions = op.getPositions(), coarse = op.getCoarse(), fine = op.getFine(), out = op.getY();
  const int64_t head = op.getHeadDim(), pairs = cast<MemRefType>(fine.getType()).getDimSize(2);
  const bool adjacent = op.getPairs() == Pairs::Adjacent;
  const int64_t columns = cast<MemRefType>(x.getType()).getDimSize(1) * e.lanes;
  auto load = [&](Value memref, ValueRange at) -> Value { return memref::LoadOp::create(e.b, e.loc, memref, at); };
  auto get = [&](Value pointer) { return e.load(e.f32, pointer); };
  Value zero = e.number(0), one = e.number(1);
  Value cosines = e.scratch(4 * pairs), sines = e.scratch(4 * pairs); // [pairs], of one token
  e.loop(e.dim(x, 0), [&](Value r) {
    Value p = loadIndex(e, positions, {r}), high = divide(e, p, 64), low = remainder(e, p, 64);
    e.loop(e.number(pairs), [&](Value k) {
      Value c1 = load(coarse, {high, zero, k}), s1 = load(coarse, {high, one, k});
      Value c2 = load(fine, {low, zero, k}), s2 = load(fine, {low, one, k});
      e.store(e.sub(e.mul(c1, c2), e.mul(s1, s2)), e.at(cosines, k, 4));
      e.store(e.add(e.mul(s1, c2), e.mul(c1, s2)), e.at(sines, k, 4));
    });
    e.loop(e.number(columns / head), [&](Value h) {
      Value base = e.mul(h, e.number(head)), from = element(e, x, r, base), to = element(e, out, r, base);
      e.loop(e.number(pairs), [&](Value k) {
        Value u = adjacent ? e.mul(k, e.number(2)) : k, v = e.addI(u, adjacent ? 1 : pairs);
        Value c = get(e.at(cosines, k, 4)), s = get(e.at(sines, k, 4));
        Value xu = get(e.at(from, u, 4)), xv = get(e.at(from, v, 4));
        e.store(e.sub(e.mul(xu, c), e.mul(xv, s)), e.at(to, u, 4));
        e.store(e.add(e.mul(xu, s), e.mul(xv, c)), e.at(to, v, 4));
      });
      if (head != 2 * pairs)
        e.loop(e.number(head - 2 * pairs), [&](Value k) {
          Value u = e.addI(k, 2 * pairs);
          e.store(get(e.at(from, u, 4)), e.at(to, u, 4));
        });
    });
  });
  op.erase();
}

/// Whether the sizes that loops are unrolled by are static, and those that divide are not zero.
static LogicalResult checkSizes(Operation *op, int64_t lanes) {
  for (Type type : op->getOperandTypes())
    if (!isa<MemRefType>(type))
      return op->emitError() << "expects memrefs when instructions are selected, but got " << type;
  auto size = [&](Value operand, unsigned d) { return cast<MemRefType>(operand.getType()).getDimSize(d); };
  auto heads = [&](Value rows, Value keys, Value values) -> LogicalResult {
    const Type element = cast<MemRefType>(keys.getType()).getElementType();
    const int64_t count = size(keys, 1), vectors = size(rows, 1);
    const int64_t keyDim = cachedChannels(element, size(keys, 3)), valueDim = cachedChannels(element, size(values, 3));
    if (count <= 0 || keyDim <= 0 || valueDim <= 0 || vectors <= 0 || vectors * lanes % (count * keyDim))
      return op->emitOpError() << "expects cache heads of static size that divide the columns, but got "
                               << keys.getType() << " and " << values.getType();
    const bool hasBlocks = element.isInteger(8);
    if (element != cast<MemRefType>(values.getType()).getElementType() ||
        (hasBlocks && (keyDim % lanes || valueDim % lanes)))
      return op->emitOpError() << "expects keys and values of one element, of i8 for heads in multiples of " << lanes
                               << " channels, but got " << keys.getType() << " and " << values.getType();
    return success();
  };
  if (auto store = dyn_cast<CacheStoreOp>(op))
    return heads(store.getK(), store.getKeys(), store.getValues());
  if (auto attend = dyn_cast<AttendOp>(op))
    return heads(attend.getQ(), attend.getKeys(), attend.getValues());
  if (auto route = dyn_cast<tile::RouteOp>(op)) {
    const int64_t experts = route.getExperts(), used = size(route.getIds(), 1);
    if (size(route.getZ(), 1) < 0 || experts < 1 || experts > size(route.getZ(), 1) * lanes || used < 1 ||
        used > std::min<int64_t>(experts, transformer::RouteOp::kMostUsed) ||
        size(route.getWeights(), 1) * lanes < used)
      return op->emitOpError()
             << "expects z of static size with room for the experts, and weights for those used, but got " << experts
             << " experts in " << route.getZ().getType() << ", of which " << used << " are used in "
             << route.getWeights().getType();
  }
  if (auto combine = dyn_cast<CombineOp>(op)) {
    const int64_t ranks = combine.getRanks();
    if (ranks < 1 || ranks > transformer::RouteOp::kMostUsed || size(combine.getY(), 1) < 1 ||
        size(combine.getX(), 1) != ranks * size(combine.getY(), 1) || size(combine.getWeights(), 1) * lanes < ranks)
      return op->emitOpError()
             << "expects x of as many ranks as it says, each as wide as y, and weights for them, but got " << ranks
             << " in " << combine.getX().getType() << " and " << combine.getWeights().getType();
  }
  if (auto adapt = dyn_cast<tile::AdaptOp>(op)) {
    const int64_t in = size(adapt.getOf(), 1) * lanes, out = size(adapt.getY(), 1) * lanes;
    const int64_t rank = size(adapt.getUp(), 1), room = size(adapt.getDown(), 2);
    if (in < 1 || out < 1 || in % 8 || size(adapt.getX(), 1) * lanes != out || size(adapt.getDown(), 1) != in ||
        size(adapt.getUp(), 2) != out || rank < 1 || room % lanes || room < rank ||
        size(adapt.getDown(), 0) != size(adapt.getUp(), 0) || size(adapt.getUp(), 0) < 1)
      return op->emitOpError()
             << "expects down [slots, in, whole vectors of ranks] and up [slots, ranks, out], but got "
             << adapt.getDown().getType() << " and " << adapt.getUp().getType() << " for " << adapt.getOf().getType()
             << " and " << adapt.getY().getType();
  }
  if (auto rotate = dyn_cast<RotateOp>(op)) {
    const int64_t head = rotate.getHeadDim(), pairs = size(rotate.getFine(), 2), vectors = size(rotate.getX(), 1);
    if (head <= 0 || pairs <= 0 || vectors <= 0 || head < 2 * pairs || vectors * lanes % head)
      return op->emitOpError() << "expects heads of static size that divide the columns and hold both halves of all "
                                  "pairs, but got head_dim "
                               << head << " for " << rotate.getX().getType();
  }
  return success();
}

namespace {
struct SelectTileOps : impl::SelectTileOpsBase<SelectTileOps> {
  using impl::SelectTileOpsBase<SelectTileOps>::SelectTileOpsBase;

  void runOnOperation() override {
    const Target *target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    SmallVector<Operation *> work;
    SmallVector<linalg::LinalgOp> elementwise; // what is left of linalg, of elements that are vectors already
    getOperation().walk([&](Operation *op) {
      if (isa<PackActivationOp, GatherOp, RotateOp, CacheStoreOp, AttendOp, tile::RouteOp, CombineOp, tile::AdaptOp>(
              op))
        work.push_back(op);
      else if (auto structured = dyn_cast<linalg::LinalgOp>(op); structured && structured.hasPureBufferSemantics())
        elementwise.push_back(structured);
    });
    // One by one, which convert-linalg-to-loops does by rewriting all of the function to a fixed point.
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : elementwise) {
      rewriter.setInsertionPoint(op);
      if (failed(linalg::linalgOpToLoops(rewriter, op))) {
        op->emitOpError() << "expects to have a form as loops";
        return signalPassFailure();
      }
      rewriter.eraseOp(op);
    }
    for (Operation *op : work) {
      if (failed(checkSizes(op, target->layout->rows)))
        return signalPassFailure();
      OpBuilder builder(op);
      Emitter e(builder, op->getLoc(), *target);
      if (auto pack = dyn_cast<PackActivationOp>(op))
        selectPack(pack, e);
      else if (auto gather = dyn_cast<GatherOp>(op))
        selectGather(gather, e);
      else if (auto rotate = dyn_cast<RotateOp>(op))
        selectRotate(rotate, e);
      else if (auto store = dyn_cast<CacheStoreOp>(op))
        selectCacheStore(store, e);
      else if (auto route = dyn_cast<tile::RouteOp>(op))
        selectRoute(route, e);
      else if (auto combine = dyn_cast<CombineOp>(op))
        selectCombine(combine, e);
      else if (auto adapt = dyn_cast<tile::AdaptOp>(op))
        selectAdapt(adapt, e);
      else
        selectAttend(cast<AttendOp>(op), e);
    }
  }
};
} // namespace
} // namespace stepdown
