// The arguments say how they are cut (transformer.tile), the function how many loops each part has (transformer.parts);
// the body is cloned onto slices. Nothing here knows what the operations compute: they follow the shapes of their
// operands.
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

  ArrayRef<int64_t> tileOf(unsigned argument) {
    auto attr = function.getArgAttrOfType<DenseI64ArrayAttr>(argument, "transformer.tile");
    return attr ? attr.asArrayRef() : ArrayRef<int64_t>();
  }

  /// Iterations of `loop`: how many tiles the first argument that it cuts has.
  Value tripCount(OpBuilder &b, Location loc, int64_t loop) {
    for (BlockArgument argument : function.getArguments()) {
      ArrayRef<int64_t> tile = tileOf(argument.getArgNumber());
      for (size_t d = 0; d < tile.size(); d += 2)
        if (tile[d] == loop) {
          Value size = tensor::DimOp::create(b, loc, argument, d / 2);
          const int64_t cut = std::abs(tile[d + 1]);
          if (cut == 1)
            return size;
          Value step = arith::ConstantIndexOp::create(b, loc, cut);
          Value most = arith::ConstantIndexOp::create(b, loc, cut - 1);
          return arith::DivUIOp::create(b, loc, arith::AddIOp::create(b, loc, size, most), step);
        }
    }
    return Value();
  }

  struct Slice {
    SmallVector<OpFoldResult> offsets, sizes, strides;
    SmallVector<int64_t> bounds; ///< largest size of each dimension, or dynamic
  };

  Slice sliceOf(OpBuilder &b, Location loc, BlockArgument argument, ArrayRef<int64_t> loops, ValueRange indices) {
    auto type = cast<RankedTensorType>(argument.getType());
    ArrayRef<int64_t> tile = tileOf(argument.getArgNumber());
    Slice slice;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      slice.strides.push_back(b.getIndexAttr(1));
      const int64_t *loop = tile.empty() ? nullptr : llvm::find(loops, tile[2 * d]);
      OpFoldResult whole = type.isDynamicDim(d) ? OpFoldResult(Value(tensor::DimOp::create(b, loc, argument, d)))
                                                : OpFoldResult(b.getIndexAttr(type.getDimSize(d)));
      if (!loop || loop == loops.end()) {
        slice.offsets.push_back(b.getIndexAttr(0));
        slice.sizes.push_back(whole);
        slice.bounds.push_back(type.getDimSize(d));
        continue;
      }
      const bool divides = tile[2 * d + 1] < 0;
      const int64_t size = std::abs(tile[2 * d + 1]);
      Value step = arith::ConstantIndexOp::create(b, loc, size);
      Value offset = arith::MulIOp::create(b, loc, indices[loop - loops.begin()], step);
      slice.offsets.push_back(offset);
      slice.bounds.push_back(size);
      if (size == 1 || divides || (!type.isDynamicDim(d) && type.getDimSize(d) % size == 0)) {
        slice.sizes.push_back(b.getIndexAttr(size));
        continue;
      }
      Value end = tensor::DimOp::create(b, loc, argument, d);
      Value rest = arith::SubIOp::create(b, loc, end, offset);
      slice.sizes.push_back(Value(arith::MinUIOp::create(b, loc, step, rest)));
    }
    return slice;
  }

  LogicalResult tilePart(OpBuilder &b, int64_t part, ArrayRef<int64_t> loops, func::ReturnOp ret,
                         SmallVector<Value> &results) {
    Location loc = function.getLoc();
    SmallVector<OpFoldResult> bounds;
    for (int64_t loop : loops) {
      Value count = tripCount(b, loc, loop);
      if (!count)
        return function.emitError() << "expects an argument that loop " << loop << " of part " << part << " cuts";
      bounds.push_back(count);
    }
    // The operations of this part, and which results they make.
    SmallVector<Operation *> body;
    for (Operation &op : function.getBody().front().without_terminator()) {
      auto own = op.getAttrOfType<IntegerAttr>("transformer.part");
      const bool anywhere = op.hasTrait<OpTrait::ConstantLike>();
      if (anywhere || (own ? own.getInt() : 0) == part)
        body.push_back(&op);
    }
    SmallVector<unsigned> made;
    SmallVector<Value> destinations;
    for (auto [i, value] : llvm::enumerate(ret.getOperands()))
      if (value.getDefiningOp() && llvm::is_contained(body, value.getDefiningOp())) {
        made.push_back(i);
        destinations.push_back(destinationOf(value));
        if (!destinations.back())
          return value.getDefiningOp()->emitOpError() << "expects a result in one of the kernel's arguments";
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

  /// A loop and a size for each dimension of every cut argument, and lists of loops for parts.
  LogicalResult checkAttributes(ArrayAttr parts) {
    if (!llvm::hasSingleElement(function.getBody()))
      return function.emitError() << "expects a kernel of one block";
    for (Attribute loops : parts)
      if (!isa<DenseI64ArrayAttr>(loops))
        return function.emitError() << "expects transformer.parts to list loops, but got " << loops;
    for (BlockArgument argument : function.getArguments()) {
      ArrayRef<int64_t> tile = tileOf(argument.getArgNumber());
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (tile.empty())
        continue;
      if (!type || static_cast<int64_t>(tile.size()) != 2 * type.getRank())
        return function.emitError() << "expects a loop and a size in transformer.tile for each dimension of "
                                    << argument.getType() << ", but got " << tile.size() << " numbers";
      for (size_t d = 0; d < tile.size(); d += 2)
        if (tile[d] >= 0 && tile[d + 1] == 0)
          return function.emitError() << "expects tiles of at least one element, but got 0 in dimension " << d / 2
                                      << " of argument " << argument.getArgNumber();
    }
    return success();
  }

  void runOnOperation() override {
    function = getOperation();
    auto parts = function->getAttrOfType<ArrayAttr>("transformer.parts");
    if (!parts)
      return;
    if (failed(checkAttributes(parts)))
      return signalPassFailure();
    auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    OpBuilder b(ret);
    SmallVector<Value> results(ret.getOperands());
    SmallVector<Operation *> old;
    for (Operation &op : function.getBody().front().without_terminator())
      old.push_back(&op);
    SmallVector<Value> originals(ret.getOperands());
    for (auto [i, loops] : llvm::enumerate(parts))
      if (failed(tilePart(b, i, cast<DenseI64ArrayAttr>(loops).asArrayRef(), ret, results)))
        return signalPassFailure();
    ret->setOperands(results);
    for (Operation *op : llvm::reverse(old))
      if (op->use_empty())
        op->erase();
    function->removeAttr("transformer.parts");
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      function.removeArgAttr(i, "transformer.tile");
  }
};
} // namespace
} // namespace stepdown
