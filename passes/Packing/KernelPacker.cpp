// A kernel's arguments, and the order in which its operations are lowered; LowerOperations.cpp holds what each becomes.
//
// Two shapes of kernels. Token kernels (norms, rotation, attention, ...) are cut by tiles of tokens (attention also by
// cache heads). Linear kernels are cut by groups of token tiles, then by weight tiles of the layout's rows, so that the
// activations of a group stay near while the weights pass; linears of one kernel
// that feed different results are parts with loops of their own. Those of experts are cut by tokens, by the ranks of a
// token's experts and by weight tiles: which weight a tile reads, it finds among the ids of its token, so that a row's
// bytes depend on nothing but itself.
#include "passes/Packing/KernelPacker.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "include/stepdown/Artifact.h"
#include "include/stepdown/CacheDims.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kDynamic = ShapedType::kDynamic;

KernelPacker::KernelPacker(KernelOp kernel, const Layout &layout, Bucket bucket, bool byRows)
    : kernel(kernel), layout(layout), laneCount(layout.rows), bucket(bucket),
      extent(byRows ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS),
      tiles(byRows ? STEPDOWN_DIM_ROW_TILES : STEPDOWN_DIM_TOKEN_TILES), loc(kernel.getLoc()) {}

VectorType KernelPacker::lane() { return VectorType::get({laneCount}, Float32Type::get(kernel.getContext())); }
RankedTensorType KernelPacker::lanes(ArrayRef<int64_t> shape) { return RankedTensorType::get(shape, lane()); }

void KernelPacker::argument(Value of, int64_t source, int64_t part, Type type, ArrayRef<int64_t> dims,
                            ArrayRef<int64_t> tile, int64_t view) {
  arguments.push_back({type, SmallVector<int64_t>(dims), SmallVector<int64_t>(tile), source, part, of, view});
}

/// Columns of the packed blocks of the weight that `value` is multiplied with, for each linear that reads it.
static SmallVector<int64_t> viewsOf(Value value, const Layout &layout) {
  SmallVector<int64_t> views;
  for (Operation *user : value.getUsers()) {
    if (!isa<LinearOp, ExpertLinearOp>(user))
      continue;
    auto block = cast<BlockType>(
        cast<RankedTensorType>(user->getOperand(isa<LinearOp>(user) ? 1 : 2).getType()).getElementType());
    int64_t columns = packedBlock(layout, block.getFormat()).columns;
    if (!llvm::is_contained(views, columns))
      views.push_back(columns);
  }
  return views;
}

static bool usedBy(Value value, function_ref<bool(Operation *)> test) { return llvm::any_of(value.getUsers(), test); }

LogicalResult KernelPacker::describeInput(BlockArgument value) {
  MLIRContext *context = value.getContext();
  const int64_t source = value.getArgNumber(), tokens = bucket.tile;
  const int64_t tokenLoop = isLinear || isAttention ? 1 : 0;
  Type i32 = IntegerType::get(context, 32);
  if (isa<BatchType>(value.getType())) {
    // What sees the whole sequence is as what sees it up to the last position.
    argument(value, source, seesAll ? 3 : 0, RankedTensorType::get({kDynamic}, i32), {extent}, {tokenLoop, tokens});
    argument(value, source, 1, RankedTensorType::get({kDynamic}, i32), {extent}, {tokenLoop, tokens});
    argument(value, source, 2, RankedTensorType::get({kDynamic, kDynamic}, i32),
             {STEPDOWN_DIM_SEQUENCES, STEPDOWN_DIM_TABLE_WIDTH}, {-1, 0, -1, 0});
    return success();
  }
  if (auto cache = dyn_cast<CacheType>(value.getType())) {
    const int64_t heads = cache.getHeads(), headLoop = isAttention ? 0 : -1;
    auto part = [&](int64_t number, const uint32_t (&axes)[STEPDOWN_MAX_RANK], int64_t channels) {
      SmallVector<int64_t> dims(STEPDOWN_MAX_RANK);
      dims.resize(stepdown_cache_dims(axes, layout.cache.lanes, heads, cachedSize(cache, channels), dims.data()));
      SmallVector<int64_t> shape, loops;
      for (auto [axis, dim] : llvm::zip(axes, dims)) {
        const bool isHeads = axis == STEPDOWN_AXIS_HEADS;
        shape.push_back(dim < 0 ? kDynamic : dim);
        loops.append({isHeads ? headLoop : -1, isHeads ? 1 : 0});
      }
      argument(value, source, number, RankedTensorType::get(shape, cachedElement(cache)), dims, loops);
    };
    part(0, layout.cache.keys, cache.getKey());
    part(1, layout.cache.values, cache.getValue());
    return success();
  }
  auto tensor = cast<RankedTensorType>(value.getType());
  if (isIndices(tensor)) {
    argument(value, source, 0, RankedTensorType::get({kDynamic}, i32), {extent}, {tokenLoop, tokens});
    return success();
  }
  if (isChoices(tensor)) {
    argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic}, i32), {extent, tensor.getDimSize(1)},
             {1, 1, 2, 1});
    return success();
  }
  if (auto activation = dyn_cast<ActivationType>(tensor.getElementType())) {
    const bool byRank = usedBy(value, [](Operation *op) {
      auto experts = dyn_cast<ExpertLinearOp>(op);
      return experts && experts.getByRank();
    });
    for (int64_t view : viewsOf(value, layout)) {
      Type packed = ActivationType::get(context, activation.getElement(), tokens, view);
      if (byRank)
        argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic, kDynamic}, packed),
                 {extent, ranks, columns(tensor) / view / ranks}, {1, 1, 2, 1, -1, 0}, view);
      else if (ranks)
        argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic}, packed),
                 {extent, columns(tensor) / view}, {1, 1, -1, 0}, view);
      else
        argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic}, packed), {tiles, columns(tensor) / view},
                 {tokenLoop, isLinear ? bucket.group : 1, -1, 0}, view);
    }
    return success();
  }
  if (auto block = dyn_cast<BlockType>(tensor.getElementType())) {
    const int64_t rows = llvm::divideCeil(tensor.getDimSize(0), laneCount);
    const int64_t blocks = columns(tensor) / packedBlock(layout, block.getFormat()).columns;
    if (columns(tensor) % packedBlock(layout, block.getFormat()).columns)
      return kernel.emitOpError() << "expects a weight of whole packed blocks, but got " << tensor;
    Type packed = BlockType::get(context, block.getStorage(), layout.rows);
    if (ranks) {
      auto experts = cast<ExpertLinearOp>(*value.user_begin());
      if (experts.getRowsOfExpert() % laneCount)
        return experts.emitOpError() << "expects experts of rows in multiples of " << laneCount << ", but got "
                                     << experts.getRowsOfExpert();
      argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic, kDynamic}, packed),
               {int64_t(experts.getExperts()), experts.getRowsOfExpert() / laneCount, blocks}, {-1, 0, 0, 1, -1, 0});
      return success();
    }
    if (!isLinear) { // a table to gather from
      argument(value, source, 0, RankedTensorType::get({kDynamic, blocks}, packed), {rows, blocks}, {-1, 0, -1, 0});
      return success();
    }
    argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic}, packed), {rows, blocks},
             {0, 1, -1, 0}); // describe() sets loop and size of the rows
    return success();
  }
  if (tensor.getRank() == 1 && !usedBy(value, [](Operation *op) { return isa<AttentionOp>(op); })) {
    const int64_t vectors = llvm::divideCeil(tensor.getDimSize(0), laneCount);
    if (ranks) { // biases of experts
      auto experts = cast<ExpertLinearOp>(*value.user_begin());
      argument(value, source, 0, lanes({kDynamic, kDynamic}),
               {int64_t(experts.getExperts()), experts.getRowsOfExpert() / laneCount}, {-1, 0, 0, 1});
      return success();
    }
    if (isLinear)
      argument(value, source, 0, lanes({kDynamic}), {vectors}, {0, 1});
    else
      argument(value, source, 0, lanes({vectors}), {vectors}, {-1, 0});
    return success();
  }
  if (tensor.getRank() == 1) { // sinks: those of the query heads that share a cache head
    argument(value, source, 0, tensor, tensor.getShape(), {0, headQueries});
    return success();
  }
  if (isRows(tensor)) {
    const int64_t vectors = tensor.getDimSize(1) / laneCount;
    const bool whole = usedBy(value, [](Operation *op) { return isa<SelectRowsOp>(op); });
    if (tensor.getDimSize(1) % laneCount)
      return kernel.emitOpError() << "expects columns in multiples of " << layout.rows << ", but got " << tensor;
    if (whole)
      argument(value, source, 0, lanes({kDynamic, vectors}), {STEPDOWN_DIM_TOKENS, vectors}, {-1, 0, -1, 0});
    else if (isAttention)
      argument(value, source, 0, lanes({kDynamic, vectors}), {extent, vectors},
               {1, tokens, 0, headColumns / laneCount});
    else
      argument(value, source, 0, lanes({kDynamic, vectors}), {extent, vectors}, {0, tokens, -1, 0});
    return success();
  }
  SmallVector<int64_t> whole;
  for (int64_t i = 0; i < tensor.getRank(); ++i)
    whole.append({-1, 0});
  argument(value, source, 0, tensor, tensor.getShape(), whole);
  return success();
}

void KernelPacker::describeResult(Value value, int64_t index) {
  const int64_t source = kernel.getNumOperands() + index, tokens = bucket.tile;
  auto tensor = cast<RankedTensorType>(value.getType());
  if (isChoices(tensor)) {
    argument(value, source, 0, RankedTensorType::get({kDynamic, tensor.getDimSize(1)}, tensor.getElementType()),
             {extent, tensor.getDimSize(1)}, {0, tokens, -1, 0});
    return;
  }
  if (auto activation = dyn_cast<ActivationType>(tensor.getElementType())) {
    auto quantize = value.getDefiningOp<QuantizeOp>();
    const bool byToken = quantize && quantize.getByToken();
    Type packed = ActivationType::get(value.getContext(), activation.getElement(), byToken ? 1 : tokens, 32);
    const int64_t blocks = columns(tensor) / 32;
    if (ranks)
      argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic, kDynamic}, packed),
               {extent, ranks, blocks / ranks}, {1, 1, 2, 1, 0, 1});
    else if (byToken)
      argument(value, source, 0, RankedTensorType::get({kDynamic, blocks}, packed), {extent, blocks},
               {0, tokens, -1, 0});
    else if (isLinear)
      argument(value, source, 0, RankedTensorType::get({kDynamic, kDynamic}, packed), {tiles, blocks},
               {1, bucket.group, 0, 1});
    else if (isAttention)
      argument(value, source, 0, RankedTensorType::get({kDynamic, blocks}, packed), {tiles, blocks},
               {1, 1, 0, headColumns / 32});
    else
      argument(value, source, 0, RankedTensorType::get({kDynamic, blocks}, packed), {tiles, blocks}, {0, 1, -1, 0});
    return;
  }
  const int64_t vectors = llvm::divideCeil(tensor.getDimSize(1), laneCount);
  if (ranks)
    argument(value, source, 0, lanes({kDynamic, kDynamic, kDynamic}), {extent, ranks, vectors / ranks},
             {1, 1, 2, 1, 0, 1});
  else if (isLinear)
    argument(value, source, 0, lanes({kDynamic, tokens, kDynamic}), {tiles, tokens, vectors},
             {1, bucket.group, -1, 0, 0, 1});
  else if (isAttention)
    argument(value, source, 0, lanes({kDynamic, vectors}), {extent, vectors}, {1, tokens, 0, headColumns / laneCount});
  else
    argument(value, source, 0, lanes({kDynamic, vectors}), {extent, vectors}, {0, tokens, -1, 0});
}

LogicalResult KernelPacker::describe() {
  Block &body = kernel.getBody().front();
  for (Operation &op : body) {
    isLinear |= isa<LinearOp, ExpertLinearOp>(op);
    if (auto linear = dyn_cast<LinearOp>(op); linear && linear.getBias())
      return linear.emitOpError("expects no bias, which is a sum of its own here");
    if (auto experts = dyn_cast<ExpertLinearOp>(op)) {
      ranks = experts.getRanks();
      bucket.tile = bucket.group = 1;
      if (!isActivations(experts.getX().getType()))
        return experts.emitOpError() << "expects activation blocks, but got " << experts.getX().getType();
    }
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      isAttention = true;
      auto cache = attention.getCache().getType();
      headColumns = cast<RankedTensorType>(attention.getQ().getType()).getDimSize(1) / cache.getHeads();
      headQueries = headColumns / cache.getKey();
      if (cache.getKey() % laneCount || cache.getValue() % laneCount || cache.getKey() != cache.getValue())
        return attention.emitOpError() << "expects equal key and value columns in multiples of " << layout.rows
                                       << ", but got " << cache;
      seesAll = !attention.getCausal();
      if (seesAll && attention.getWindow() > 0)
        return attention.emitOpError() << "expects causal attention where there is a window";
    }
  }
  // Parts: a linear each, with what is made of its result, or all of them where something joins their results.
  Builder builder(kernel);
  bool joined = false;
  if (isLinear) {
    for (Operation &op : body.without_terminator()) {
      if (isa<LinearOp, ExpertLinearOp>(op)) {
        parts[op.getResult(0)] = loops.size();
        loops.push_back(builder.getDenseI64ArrayAttr({1, 2 * int64_t(loops.size())}));
        continue;
      }
      for (Value operand : op.getOperands())
        if (auto from = parts.find(operand); from != parts.end() && op.getNumResults() == 1) {
          const int64_t part = from->second;
          auto [own, isFirst] = parts.try_emplace(op.getResult(0), part);
          joined |= !isFirst && own->second != part;
        }
    }
    // What packs the result of one linear is cut as what packs what is joined of several.
    joined |= loops.size() == 1 &&
              llvm::any_of(body.getTerminator()->getOperands(), [](Value v) { return isActivations(v.getType()); });
    if (ranks) {
      joined = true;
      loops = {builder.getDenseI64ArrayAttr({1, 2, 0})};
      for (auto &part : parts)
        part.second = 0;
    } else if (joined) {
      loops.resize(1);
      for (auto &part : parts)
        part.second = 0;
    }
  } else {
    loops.push_back(builder.getDenseI64ArrayAttr(isAttention ? ArrayRef<int64_t>{0, 1} : ArrayRef<int64_t>{0}));
  }
  for (BlockArgument value : body.getArguments())
    if (failed(describeInput(value)))
      return failure();
  auto yield = cast<YieldOp>(body.getTerminator());
  for (auto [i, value] : llvm::enumerate(yield.getValues()))
    if (!isa<CacheType>(value.getType()))
      describeResult(value, i);
  // The row loop of each linear's own arguments.
  auto setLoop = [&](Value of, int64_t loop, int64_t size) {
    for (Argument &a : arguments)
      if (a.of == of)
        for (size_t d = 0; d < a.tile.size(); d += 2)
          if (a.tile[d] != 1 && a.tile[d] != -1)
            a.tile[d] = loop, a.tile[d + 1] = size;
  };
  // Two row tiles make the 32 columns of an activation block: always both.
  const bool packs = joined && llvm::any_of(yield.getValues(), [](Value v) { return isActivations(v.getType()); });
  for (Operation &op : body.without_terminator()) {
    auto part = op.getNumResults() ? parts.find(op.getResult(0)) : parts.end();
    if (part == parts.end())
      continue;
    for (Value operand : op.getOperands().drop_front()) // weights, biases
      if (isa<BlockArgument>(operand) && !isChoices(operand.getType()))
        setLoop(operand, 2 * part->second, packs ? -2 : 1);
    if (!joined)
      setLoop(op.getResult(0), 2 * part->second, 1);
  }
  // An elementwise result may take the place of the residual that it is made of.
  for (auto [i, value] : llvm::enumerate(yield.getValues()))
    if (auto add = value.getDefiningOp<linalg::GenericOp>(); add && isElementwise(add))
      if (auto x = dyn_cast<BlockArgument>(add.getInputs()[0]))
        inplace.append({int64_t(x.getArgNumber()), int64_t(i)});
  return success();
}

FailureOr<func::FuncOp> KernelPacker::build(OpBuilder &builder, StringRef name) {
  if (failed(describe()))
    return failure();
  SmallVector<Type> types, results;
  for (Argument &a : arguments)
    types.push_back(a.type);
  for (Argument &a : arguments)
    if (a.source >= int64_t(kernel.getNumOperands()) ||
        (a.part <= 1 && isa<CacheType>(a.of.getType()) &&
         usedBy(a.of, [](Operation *op) { return isa<KVAppendOp>(op); })))
      results.push_back(a.type);
  auto function = func::FuncOp::create(builder, loc, name, builder.getFunctionType(types, results));
  OpBuilder inner = OpBuilder::atBlockBegin(function.addEntryBlock());
  b = &inner;
  SmallVector<DenseI64ArrayAttr> cuts;
  for (Argument &a : arguments)
    cuts.push_back(builder.getDenseI64ArrayAttr(a.tile));
  function->setAttr(tile::kTilingAttr, tile::TilingAttr::get(builder.getContext(), loops, cuts));
  if (isAttention)
    function->setAttr(tile::kCyclicAttr, builder.getUnitAttr());
  if (ranks)
    function->setAttr(tile::kAnyTileAttr, builder.getUnitAttr());
  for (auto [i, a] : llvm::enumerate(arguments)) {
    sources.append({a.source, a.part});
    dims.push_back(builder.getDenseI64ArrayAttr(a.dims));
    Value value = function.getArgument(i);
    if (a.source >= int64_t(kernel.getNumOperands())) {
      destinations[a.of] = value;
      continue;
    }
    if (a.view)
      views[{a.of, a.view}] = value;
    values[a.of].push_back(value);
    if (!rowsLike && !isLinear && a.tile[0] == (isAttention ? 1 : 0))
      rowsLike = value;
  }
  auto yield = cast<YieldOp>(kernel.getBody().front().getTerminator());
  for (Operation &op : kernel.getBody().front().without_terminator())
    if (failed(pack(op)))
      return failure();
  SmallVector<Value> returned;
  for (Argument &a : arguments) // caches first come as inputs
    if (isa<CacheType>(a.of.getType()) && usedBy(a.of, [](Operation *op) { return isa<KVAppendOp>(op); }))
      for (Value value : yield.getValues())
        if (auto append = value.getDefiningOp<KVAppendOp>())
          if (append.getCache() == a.of)
            returned.push_back(values[value][a.part]);
  for (Value value : yield.getValues())
    if (!isa<CacheType>(value.getType()))
      returned.push_back(values[value].front());
  func::ReturnOp::create(inner, loc, returned);
  return function;
}

} // namespace stepdown
