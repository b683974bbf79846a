// The function says how its arguments are cut and how many loops each part has (tile.tiling); what a part's results
// need is cloned onto slices. Nothing here knows what the operations compute: they follow the shapes of their operands.
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Tiling/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_TILEKERNELS
#include "passes/Tiling/Passes.h.inc"

namespace {
struct TileKernels : impl::TileKernelsBase<TileKernels> {
  func::FuncOp function;
  tile::TilingAttr tiling;

  /// Iterations of `loop`: how many tiles the first argument that it cuts has.
  Value tripCount(OpBuilder &b, Location loc, int64_t loop) {
    for (BlockArgument argument : function.getArguments())
      for (unsigned d = 0; d < tiling.getRank(argument.getArgNumber()); ++d) {
        const auto cut = tiling.getCut(argument.getArgNumber(), d);
        if (cut.loop != loop)
          continue;
        Value size = tensor::DimOp::create(b, loc, argument, d);
        if (cut.size == 1)
          return size;
        Value step = arith::ConstantIndexOp::create(b, loc, cut.size);
        Value most = arith::ConstantIndexOp::create(b, loc, cut.size - 1);
        return arith::DivUIOp::create(b, loc, arith::AddIOp::create(b, loc, size, most), step);
      }
    return Value();
  }

  struct Slice {
    SmallVector<OpFoldResult> offsets, sizes, strides;
    SmallVector<int64_t> bounds; ///< largest size of each dimension, or dynamic
  };

  Slice sliceOf(OpBuilder &b, Location loc, BlockArgument argument, ArrayRef<int64_t> loops, ValueRange indices) {
    auto type = cast<RankedTensorType>(argument.getType());
    Slice slice;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      slice.strides.push_back(b.getIndexAttr(1));
      const auto cut = tiling.getCut(argument.getArgNumber(), d);
      const int64_t *loop = llvm::find(loops, cut.loop);
      OpFoldResult whole = type.isDynamicDim(d) ? OpFoldResult(Value(tensor::DimOp::create(b, loc, argument, d)))
                                                : OpFoldResult(b.getIndexAttr(type.getDimSize(d)));
      if (loop == loops.end()) {
        slice.offsets.push_back(b.getIndexAttr(0));
        slice.sizes.push_back(whole);
        slice.bounds.push_back(type.getDimSize(d));
        continue;
      }
      Value step = arith::ConstantIndexOp::create(b, loc, cut.size);
      Value offset = arith::MulIOp::create(b, loc, indices[loop - loops.begin()], step);
      slice.offsets.push_back(offset);
      slice.bounds.push_back(cut.size);
      if (cut.size == 1 || cut.exact || (!type.isDynamicDim(d) && type.getDimSize(d) % cut.size == 0)) {
        slice.sizes.push_back(b.getIndexAttr(cut.size));
        continue;
      }
      Value end = tensor::DimOp::create(b, loc, argument, d);
      Value rest = arith::SubIOp::create(b, loc, end, offset);
      slice.sizes.push_back(Value(arith::MinUIOp::create(b, loc, step, rest)));
    }
    return slice;
  }

  /// The operations that results [first, last) need, in their order.
  SmallVector<Operation *> needed(func::ReturnOp ret, unsigned first, unsigned last) {
    llvm::SmallPtrSet<Operation *, 32> wanted;
    auto want = [&](ValueRange values) {
      for (Value value : values)
        if (Operation *op = value.getDefiningOp())
          wanted.insert(op);
    };
    want(ret.getOperands().slice(first, last - first));
    SmallVector<Operation *> all;
    for (Operation &op : llvm::reverse(function.getBody().front().without_terminator()))
      if (wanted.contains(&op)) {
        op.walk([&](Operation *inner) { want(inner->getOperands()); }); // what regions capture, too
        all.push_back(&op);
      }
    std::reverse(all.begin(), all.end());
    return all;
  }

  /// Tiles results [first, last), which make one part with `loops`.
  LogicalResult tilePart(OpBuilder &b, unsigned first, unsigned last, ArrayRef<int64_t> loops, func::ReturnOp ret,
                         SmallVector<Value> &results) {
    Location loc = function.getLoc();
    SmallVector<OpFoldResult> bounds;
    for (int64_t loop : loops) {
      Value count = tripCount(b, loc, loop);
      if (!count)
        return function.emitError() << "expects an argument that loop " << loop << " cuts";
      bounds.push_back(count);
    }
    const SmallVector<Operation *> body = needed(ret, first, last);
    SmallVector<unsigned> made;
    SmallVector<Value> destinations;
    for (unsigned i = first; i < last; ++i) {
      Operation *op = ret.getOperand(i).getDefiningOp();
      if (!op)
        continue;
      made.push_back(i);
      destinations.push_back(destinationOf(ret.getOperand(i)));
      if (!destinations.back())
        return op->emitOpError() << "expects a result in one of the kernel's arguments";
    }
    auto forall = scf::ForallOp::create(b, loc, bounds, destinations, std::nullopt);
    OpBuilder inner = OpBuilder::atBlockBegin(forall.getBody());
    IRMapping map;
    DenseMap<Value, Slice> slices;
    for (BlockArgument argument : function.getArguments()) {
      if (!isa<RankedTensorType>(argument.getType()) ||
          llvm::none_of(argument.getUsers(), [&](Operation *user) { return llvm::is_contained(body, user); }))
        continue;
      Slice slice = sliceOf(inner, loc, argument, loops, forall.getInductionVars());
      auto out = llvm::find(destinations, argument);
      Value from = out == destinations.end() ? Value(argument) : forall.getRegionIterArgs()[out - destinations.begin()];
      map.map(argument,
              Value(tensor::ExtractSliceOp::create(inner, loc, from, slice.offsets, slice.sizes, slice.strides)));
      slices[argument] = slice;
    }
    for (Operation *op : body) {
      if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
        map.map(empty.getResult(), boundedEmpty(inner, empty, map, slices));
        continue;
      }
      inner.clone(*op, map);
      retype(map, op);
    }
    inner.setInsertionPointToStart(forall.getTerminator().getBody());
    for (auto [i, destination] : llvm::zip(made, destinations)) {
      Slice &slice = slices[destination];
      auto out = llvm::find(destinations, destination) - destinations.begin();
      tensor::ParallelInsertSliceOp::create(inner, loc, map.lookup(ret.getOperand(i)), forall.getRegionIterArgs()[out],
                                            slice.offsets, slice.sizes, slice.strides);
    }
    for (auto [i, value] : llvm::zip(made, forall.getResults()))
      results[i] = value;
    return success();
  }

  /// The argument that a returned value was computed into.
  static Value destinationOf(Value value) {
    while (Operation *op = value.getDefiningOp()) {
      if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
        value = style.getDpsInits()[cast<OpResult>(value).getResultNumber()];
      else if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
        value = op->getOperand(0);
      else
        return Value();
    }
    return isa<BlockArgument>(value) ? value : Value();
  }

  /// A tensor of the tile's largest size, static, cut to the size that is needed.
  static Value boundedEmpty(OpBuilder &b, tensor::EmptyOp empty, IRMapping &map, DenseMap<Value, Slice> &slices) {
    Location loc = empty.getLoc();
    auto type = empty.getType();
    SmallVector<int64_t> shape(type.getShape());
    SmallVector<OpFoldResult> sizes, offsets(type.getRank(), b.getIndexAttr(0)),
        strides(type.getRank(), b.getIndexAttr(1));
    unsigned dynamic = 0;
    bool cut = false;
    for (int64_t &size : shape) {
      if (!ShapedType::isDynamic(size)) {
        sizes.push_back(b.getIndexAttr(size));
        continue;
      }
      Value wanted = empty.getDynamicSizes()[dynamic++];
      sizes.push_back(map.lookupOrDefault(wanted));
      if (auto dim = wanted.getDefiningOp<tensor::DimOp>()) {
        auto slice = slices.find(dim.getSource());
        if (slice != slices.end()) {
          size = slice->second.bounds[*dim.getConstantIndex()];
          if (isa<Attribute>(slice->second.sizes[*dim.getConstantIndex()]))
            sizes.back() = b.getIndexAttr(size);
          else
            cut = true;
        }
      }
    }
    Value bounded = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
    if (cut)
      bounded = tensor::ExtractSliceOp::create(b, loc, bounded, offsets, sizes, strides);
    return bounded;
  }

  /// A clone's results have the types of its (smaller) destinations.
  static void retype(IRMapping &map, Operation *op) {
    if (op->getNumResults() == 0)
      return;
    Operation *clone = map.lookup(op->getResult(0)).getDefiningOp();
    if (auto style = dyn_cast<DestinationStyleOpInterface>(clone)) {
      for (auto [result, init] : llvm::zip(clone->getResults(), style.getDpsInits()))
        result.setType(init.getType());
    } else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(clone)) {
      auto from = cast<RankedTensorType>(collapse.getSrc().getType());
      auto type =
          tensor::CollapseShapeOp::inferCollapsedType(from, ArrayRef<AffineMap>(collapse.getReassociationMaps()));
      collapse.getResult().setType(cast<RankedTensorType>(type));
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(clone)) {
      auto from = cast<RankedTensorType>(expand.getSrc().getType());
      auto to = cast<RankedTensorType>(expand.getResult().getType());
      SmallVector<int64_t> shape(to.getShape());
      shape[0] = from.getDimSize(0);
      expand.getResult().setType(to.clone(shape));
      SmallVector<int64_t> statics(expand.getStaticOutputShape());
      if (!ShapedType::isDynamic(shape[0]) && ShapedType::isDynamic(statics[0])) {
        statics[0] = shape[0];
        expand.setStaticOutputShape(statics);
        expand.getOutputShapeMutable().clear();
      }
    }
  }

  void runOnOperation() override {
    function = getOperation();
    tiling = function->getAttrOfType<tile::TilingAttr>(tile::kTilingAttr);
    if (!tiling)
      return;
    if (!llvm::hasSingleElement(function.getBody())) {
      function.emitError() << "expects a kernel of one block";
      return signalPassFailure();
    }
    auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    OpBuilder b(ret);
    SmallVector<Value> results(ret.getOperands());
    SmallVector<Operation *> old;
    for (Operation &op : function.getBody().front().without_terminator())
      old.push_back(&op);
    const bool one = tiling.getParts().size() == 1;
    for (auto [i, loops] : llvm::enumerate(tiling.getParts()))
      if (failed(tilePart(b, i, one ? results.size() : i + 1, loops.asArrayRef(), ret, results)))
        return signalPassFailure();
    ret->setOperands(results);
    for (Operation *op : llvm::reverse(old))
      if (op->use_empty())
        op->erase();
    function->removeAttr(tile::kTilingAttr);
  }
};
} // namespace
} // namespace stepdown
