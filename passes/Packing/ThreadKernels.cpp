// The fork of a model's road to a device: each transformer.kernel becomes dispatches whose threads compute a number
// each. What is summed up by itself lies in memory between two dispatches; everything else is computed where it is
// wanted, so a product's bias, gate and residual sum are computed by the thread that has the product.
#include "dialects/Tile/IR/TileOps.h"
#include "include/stepdown/Artifact.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Packing/Passes.h"
#include "passes/Packing/StepKernels.h"
#include "passes/Packing/ThreadKernel.h"
#include "passes/Packing/TileProduct.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_THREADKERNELS
#include "passes/Packing/Passes.h.inc"

namespace {
struct ThreadKernels : impl::ThreadKernelsBase<ThreadKernels> {
  using impl::ThreadKernelsBase<ThreadKernels>::ThreadKernelsBase;

  std::optional<StepKernels> step;
  std::optional<TileProducts> products;
  llvm::StringMap<std::string> known; ///< text of a function -> name of the kernel
  ModuleOp kernels;
  const Target *target = nullptr;
  struct Splits {
    AttentionOp op;
    Value partial;
    AttentionSplits splits;
  };
  std::optional<Splits> splits;                 ///< of the attention that is dispatched
  llvm::DenseMap<Value, Value> groups;          ///< of ids of the program: the table of groups
  static constexpr int64_t kPositions = 131072; ///< of the longest context, where no model says it

  static bool isReduction(Operation *op) {
    auto structured = dyn_cast<linalg::GenericOp>(op);
    return structured && structured.getNumReductionLoops() > 0;
  }

  /// Whether `user` reads each number of the value once, where it computes the number of that place.
  static bool readsInPlace(OpOperand &use) {
    if (auto structured = dyn_cast<linalg::GenericOp>(use.getOwner()))
      return structured.getNumReductionLoops() == 0 && structured.getMatchingIndexingMap(&use).isIdentity();
    return isa<QuantizeOp>(use.getOwner()) && sameNumbers(use.getOwner()->getResult(0)) != use.getOwner()->getResult(0);
  }

  /// Who reads the numbers of `value`, be it as another type.
  static SmallVector<OpOperand *> usesOf(Value value) {
    SmallVector<OpOperand *> found;
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (user->getNumResults() == 1 && sameNumbers(user->getResult(0)) == sameNumbers(value))
        found.append(usesOf(user->getResult(0)));
      else if (!isa<tensor::DimOp>(user))
        found.push_back(&use);
    }
    return found;
  }

  /// The product that a tile kernel computes `value` as, if any.
  LinearOp tileProduct(Value value) {
    auto product = value.getDefiningOp<LinearOp>();
    return product && products->takes(product) ? product : LinearOp();
  }

  /// The products with experts on matrix units that `value` is computed of, of which there may be none.
  SmallVector<ExpertProduct> expertProducts(Value value, const ThreadKernel::Places &places) {
    SmallVector<ExpertProduct> found;
    bool all = true;
    for (Operation *op : ThreadKernel(value.getLoc(), *target->layout, places, false).productsOf(value, true, all))
      if (auto product = dyn_cast<ExpertLinearOp>(op); product && products->takes(product))
        found.push_back({product, products->operandOf(product).scales, products->operandOf(product).rows});
    return found;
  }

  /// A value that lies in memory; `threads`: of a block that has a row of it, for the row's sum or maximum, or 0, any
  /// number, for what is elementwise; -1: it has no such form.
  struct Placed {
    Value value;
    int64_t threads;
    bool isEach; ///< a thread computes each number of it alone
  };

  /// Rotated heads and what is appended to a cache; the residual stream, which may be replaced where it is read, is
  /// neither.
  static bool isComputedEach(Value value, bool costs) {
    return !costs && (isa<CacheType>(value.getType()) || value.getDefiningOp<RopeOp>());
  }

  /// Whether `value` is made of one of `others`.
  static bool isMadeOf(Value value, ArrayRef<Placed> others) {
    llvm::SmallSetVector<Value, 8> all;
    all.insert(value);
    for (size_t i = 0; i < all.size(); ++i) {
      if (llvm::any_of(others, [&](const Placed &other) { return other.value == all[i]; }))
        return true;
      if (Operation *op = all[i].getDefiningOp())
        all.insert(op->operand_begin(), op->operand_end());
    }
    return false;
  }

  /// How many of `all`, from its first on, are computed one by one and not of each other: one launch for all of them.
  static size_t sideBySide(ArrayRef<Placed> all) {
    size_t count = 0;
    while (count < all.size() && all[count].isEach && !isMadeOf(all[count].value, all.take_front(count)))
      ++count;
    return count;
  }

  int64_t threadsOf(Value value, bool costs) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    auto op = value.getDefiningOp<linalg::GenericOp>();
    if (!type || !type.isDynamicDim(0) || costs || type.getRank() > 2)
      return -1;
    if (auto rows = RowReduction::of(value))
      return type.getRank() == 1 || type.getDimSize(1) == 1 ? rows->threads : -1;
    const bool isEach = (op && op.getNumReductionLoops() == 0) ||
                        isa<QuantizeOp, SelectRowsOp, CombineExpertsOp>(value.getDefiningOp());
    return isEach && type.getRank() == 2 ? 0 : -1;
  }

  /// How many of `all`, from its first on, a block of `threads` computes row by row, where a sum or a maximum of a row
  /// is among them: one launch instead of one each. 0: they have no such form.
  static size_t together(ArrayRef<Placed> all, int64_t &threads) {
    threads = 0;
    size_t count = 0;
    for (const Placed &each : all) {
      if (each.threads < 0 || (threads && each.threads && each.threads != threads))
        break;
      threads = std::max(threads, each.threads);
      ++count;
    }
    return threads && count > 1 ? count : 0;
  }

  /// The values of `kernel` that lie in memory, in the order in which they are computed.
  SmallVector<Placed> placed(KernelOp kernel) {
    Block &body = kernel.getBody().front();
    llvm::SmallDenseSet<Value> wanted, costly; // costly: a thread sums up for each number of it
    for (auto [number, value] : llvm::enumerate(body.getTerminator()->getOperands()))
      if (!products->isAlone(number))
        wanted.insert(sameNumbers(value));
    SmallVector<Placed> values;
    for (Operation &op : body.without_terminator()) {
      if (auto route = dyn_cast<RouteOp>(op)) // the ids, and with them the weights
        values.push_back({route.getIds(), -1, false});
      if (op.getNumResults() != 1 || isa<tensor::DimOp>(op)) // sizes are the loops'
        continue;
      Value value = op.getResult(0);
      if (sameNumbers(value) != value)
        continue;
      const bool sums =
          isReduction(&op) || isa<AttentionOp, KVAppendOp>(op) || tileProduct(value) || products->isRows(value);
      const bool costs = isa<LinearOp, ExpertLinearOp>(op) || llvm::any_of(op.getOperands(), [&](Value operand) {
                           return costly.contains(sameNumbers(operand));
                         });
      if (costs)
        costly.insert(value);
      const SmallVector<OpOperand *> uses = usesOf(value);
      const bool apart = uses.size() != 1 || !readsInPlace(*uses.front());
      if (!wanted.contains(value) && !sums && !(costs && apart))
        continue;
      costly.erase(value);
      values.push_back({value, threadsOf(value, costs), isComputedEach(value, costs)});
    }
    return values;
  }

  /// What the splits of attention leave lies in memory in front of its result.
  LogicalResult split(KernelOp kernel, AttentionOp op, ThreadKernel::Places &places, bool rows) {
    auto model = getOperation()->getAttrOfType<ModelAttr>(modelAttrName);
    const ChipFacts *chip = target->chip && !exact ? factsOfChip(target->chip) : nullptr;
    const auto how = AttentionSplits::of(op, model ? model.getPositions() : kPositions,
                                         chip ? WarpFragments::of(*chip) : std::nullopt);
    if (!how)
      return success();
    ImplicitLocOpBuilder b(op.getLoc(), op);
    Value tokens = tensor::DimOp::create(b, op.getQ(), 0);
    auto type = RankedTensorType::get({ShapedType::kDynamic, how->numbers()}, b.getF32Type());
    Value partial = tensor::EmptyOp::create(b, type, ValueRange{tokens});
    splits = Splits{op, partial, *how};
    FailureOr<Value> made = dispatch(kernel, partial, places, rows);
    if (failed(made))
      return failure();
    places[partial] = *made;
    return success();
  }

  FailureOr<Value> dispatch(KernelOp kernel, Value value, const ThreadKernel::Places &places, bool rows) {
    OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
    ThreadKernel build(value.getLoc(), *target->layout, places, rows);
    if (splits)
      build.shareAttention(splits->op, splits->partial, splits->splits);
    FailureOr<func::FuncOp> function = build.build(inner, value);
    if (failed(function))
      return failure();
    return dispatch(kernel, build, *function, value, rows)->getResult(0);
  }

  /// The dispatch of `variants`, a function for each bucket from the first on, which `build` has made to compute
  /// `values`.
  DispatchOp dispatch(KernelOp kernel, const ThreadKernel &build, ArrayRef<func::FuncOp> variants, ValueRange values,
                      bool rows) {
    OpBuilder builder(kernel);
    std::string text;
    for (func::FuncOp function : variants)
      llvm::raw_string_ostream(text) << function;
    auto [entry, isNew] = known.try_emplace(text);
    if (isNew)
      entry->second = kernel.getLabel().str() + "_" + std::to_string(known.size() - 1);
    for (size_t bucket = 0; bucket < variants.size(); ++bucket) {
      func::FuncOp function = variants[bucket];
      if (isNew)
        function.setName(entry->second + "_b" + std::to_string(bucket));
      else
        function.erase();
    }
    SmallVector<Type> types;
    for (Type type : values.getTypes()) {
      if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && (tensor.getRank() == 1 || isActivations(tensor)))
        type = RankedTensorType::get({tensor.getDimSize(0), tensor.getRank() == 1 ? 1 : columns(tensor)},
                                     builder.getF32Type());
      types.push_back(type);
    }
    auto op =
        DispatchOp::create(builder, values.front().getLoc(), types, entry->second, build.inputs.getArrayRef(),
                           build.sources, builder.getArrayAttr(build.dims), rows, builder.getDenseI64ArrayAttr({}));
    if (rows)
      step->byRows.insert(op->result_begin(), op->result_end());
    ++dispatches;
    return op;
  }

  /// Where the value behind the product that begins `all` is a sum of nothing but it and what lies in memory: that.
  static Value addendOf(ArrayRef<Placed> all, const ThreadKernel::Places &places) {
    auto sum = all.size() > 1 ? all[1].value.getDefiningOp<linalg::GenericOp>() : linalg::GenericOp();
    if (!sum || sum.getNumReductionLoops() || sum.getNumDpsInputs() != 2 || sum->getNumResults() != 1 ||
        !llvm::all_of(sum.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); }))
      return {};
    Block *body = sum.getBody();
    auto add = body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
    if (!add || !llvm::hasSingleElement(body->without_terminator()) ||
        llvm::SmallDenseSet<Value>{add.getLhs(), add.getRhs()} !=
            llvm::SmallDenseSet<Value>{body->getArgument(0), body->getArgument(1)})
      return {};
    auto isOther = [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); };
    for (unsigned i : {0, 1}) {
      Value product = sum.getInputs()[i], other = sum.getInputs()[1 - i];
      if (product != all[0].value || other.getType() != product.getType() || !places.contains(other) ||
          places.lookup(other).getType() != product.getType())
        continue;
      return llvm::count_if(product.getUses(), isOther) == 1 ? places.lookup(other) : Value();
    }
    return {};
  }

  /// The first of `all` and those behind it that one launch of a tile kernel computes with it; how many there are.
  FailureOr<size_t> dispatchProducts(KernelOp kernel, ArrayRef<Placed> all, ThreadKernel::Places &places, bool rows) {
    SmallVector<LinearOp> members;
    for (const Placed &each : all.take_front(TileProducts::kTogether)) {
      LinearOp product = tileProduct(each.value);
      if (!product || (!members.empty() && !products->together(members.front(), product)))
        break;
      members.push_back(product);
    }
    Value addend = members.size() == 1 ? addendOf(all, places) : Value();
    OpBuilder before(kernel);
    FailureOr<DispatchOp> made =
        products->dispatch(before, members, [&](Value of) { return places.at(sameNumbers(of)); }, rows, addend);
    if (failed(made))
      return failure();
    if (rows)
      step->byRows.insert((*made)->result_begin(), (*made)->result_end());
    for (auto [member, result] : llvm::zip(members, (*made)->getResults()))
      places[member.getResult()] = result;
    ++dispatches;
    if (addend)
      places[all[1].value] = (*made)->getResult(0);
    return members.size() + (addend ? 1 : 0);
  }

  /// One launch that joins the shares of the attention that begins `all` and makes rows of a product of it; how many
  /// values that are, 0: they have no such form.
  FailureOr<size_t> dispatchJoined(KernelOp kernel, ArrayRef<Placed> all, ThreadKernel::Places &places, bool rows) {
    if (!splits || all.size() < 3 || !products->isRows(all[2].value) ||
        !JoinedRows::of(splits->op, all[1].value, all[2].value))
      return 0;
    SmallVector<Value> values;
    auto isWanted = [&](OpOperand &output) {
      return sameNumbers(output.get()) == all[0].value && !products->isAlone(output.getOperandNumber());
    };
    if (llvm::any_of(kernel.getBody().front().getTerminator()->getOpOperands(), isWanted))
      values.push_back(all[0].value);
    values.append({all[1].value, all[2].value});
    OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
    ThreadKernel build(all[0].value.getLoc(), *target->layout, places, rows);
    build.shareAttention(splits->op, splits->partial, splits->splits);
    FailureOr<func::FuncOp> function = build.buildJoined(inner, values);
    if (failed(function))
      return failure();
    DispatchOp made = dispatch(kernel, build, *function, values, rows);
    for (auto [value, result] : llvm::zip(values, made->getResults()))
      places[value] = result;
    return 3;
  }

  /// One launch that chooses the experts of each token.
  LogicalResult dispatchRoute(KernelOp kernel, RouteOp op, ThreadKernel::Places &places, bool rows) {
    OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
    ThreadKernel build(op.getLoc(), *target->layout, places, rows);
    FailureOr<func::FuncOp> function = build.buildRoute(inner, op);
    if (failed(function))
      return failure();
    DispatchOp made = dispatch(kernel, build, *function, op->getResults(), rows);
    places[op.getIds()] = made->getResult(0), places[op.getWeights()] = made->getResult(1);
    return success();
  }

  /// The program's value that groups the pairs of tokens and ranks that `product` has, made before `kernel` where no
  /// kernel before it had need of it.
  FailureOr<Value> groupsOf(KernelOp kernel, ExpertLinearOp product, ThreadKernel::Places &places, bool rows) {
    Value &known = groups[places.lookup(product.getIds())];
    if (known)
      return known;
    SmallVector<ExpertTiles> tiles;
    SmallVector<int64_t> least;
    for (const Bucket &bucket : target->buckets) {
      tiles.push_back(ExpertTiles::of(product, bucket.minTokens, *WarpFragments::of(*factsOfChip(target->chip))));
      least.push_back(bucket.minTokens);
    }
    ImplicitLocOpBuilder b(product.getLoc(), product);
    const int64_t wide = product.getRanks() + ExpertTiles::entriesOfToken(product, tiles, least);
    Value tokens = tensor::DimOp::create(b, product.getIds(), 0);
    Value table = tensor::EmptyOp::create(b, RankedTensorType::get({ShapedType::kDynamic, wide}, b.getI32Type()),
                                          ValueRange{tokens});
    std::optional<ThreadKernel> first;
    SmallVector<func::FuncOp> variants;
    for (const ExpertTiles &each : tiles) {
      OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
      ThreadKernel build(product.getLoc(), *target->layout, places, rows);
      FailureOr<func::FuncOp> function = build.buildGroups(inner, table, product, each);
      if (failed(function))
        return failure();
      variants.push_back(*function);
      if (!first)
        first.emplace(std::move(build));
    }
    return known = dispatch(kernel, *first, variants, table, rows)->getResult(0);
  }

  /// One launch of `value`, which is computed of `members` on matrix units.
  LogicalResult dispatchExperts(KernelOp kernel, Value value, ArrayRef<ExpertProduct> members,
                                ThreadKernel::Places &places, bool rows) {
    FailureOr<Value> table = groupsOf(kernel, members.front().op, places, rows);
    if (failed(table))
      return failure();
    places[*table] = *table;
    for (const ExpertProduct &member : members) // made by the kernel before, or in this one
      for (Value value : {member.rows, member.scales})
        places.try_emplace(value, value);
    std::optional<ThreadKernel> first;
    SmallVector<func::FuncOp> variants;
    for (const Bucket &bucket : target->buckets) {
      const auto tiles =
          ExpertTiles::of(members.front().op, bucket.minTokens, *WarpFragments::of(*factsOfChip(target->chip)));
      OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
      ThreadKernel build(value.getLoc(), *target->layout, places, rows);
      FailureOr<func::FuncOp> function = build.buildExperts(inner, value, members, *table, tiles);
      if (failed(function))
        return failure();
      variants.push_back(*function);
      if (!first)
        first.emplace(std::move(build));
    }
    places[value] = dispatch(kernel, *first, variants, value, rows)->getResult(0);
    return success();
  }

  /// One launch of `members`: for each row by a block of `threads`, or, 0, of a thread for each number.
  LogicalResult dispatchTogether(KernelOp kernel, ArrayRef<Placed> members, int64_t threads,
                                 ThreadKernel::Places &places, bool rows) {
    SmallVector<Value> values;
    for (const Placed &member : members)
      values.push_back(member.value);
    OpBuilder inner = OpBuilder::atBlockEnd(kernels.getBody());
    ThreadKernel build(values.front().getLoc(), *target->layout, places, rows);
    FailureOr<func::FuncOp> function =
        threads ? build.buildRows(inner, values, threads) : build.buildEach(inner, values);
    if (failed(function))
      return failure();
    DispatchOp made = dispatch(kernel, build, *function, values, rows);
    for (auto [value, result] : llvm::zip(values, made->getResults()))
      places[value] = result;
    return success();
  }

  LogicalResult lower(KernelOp kernel) {
    const bool rows = step->isByRows(kernel);
    noteWindow(kernel);
    products->prepare(kernel);
    ThreadKernel::Places places;
    for (auto [argument, input] : llvm::zip(kernel.getBody().getArguments(), kernel.getInputs()))
      places[argument] = input;
    const SmallVector<Placed> all = placed(kernel);
    for (size_t i = 0, count = 0; i < all.size(); i += std::max<size_t>(1, count)) {
      int64_t threads = 0;
      splits.reset();
      count = together(ArrayRef(all).drop_front(i), threads);
      if (!count) {
        threads = 0, count = sideBySide(ArrayRef(all).drop_front(i));
        count = count > 1 ? count : 0;
      }
      if (count && failed(dispatchTogether(kernel, ArrayRef(all).slice(i, count), threads, places, rows)))
        return failure();
      if (count)
        continue;
      Value value = all[i].value;
      if (auto route = value.getDefiningOp<RouteOp>()) {
        if (failed(dispatchRoute(kernel, route, places, rows)))
          return failure();
        continue;
      }
      if (tileProduct(value)) {
        FailureOr<size_t> together = dispatchProducts(kernel, ArrayRef(all).drop_front(i), places, rows);
        if (failed(together))
          return failure();
        count = *together;
        continue;
      }
      if (auto op = value.getDefiningOp<AttentionOp>()) {
        if (failed(split(kernel, op, places, rows)))
          return failure();
        FailureOr<size_t> joined = dispatchJoined(kernel, ArrayRef(all).drop_front(i), places, rows);
        if (failed(joined))
          return failure();
        if ((count = *joined))
          continue;
      }
      if (const auto members = expertProducts(value, places); !members.empty()) {
        if (failed(dispatchExperts(kernel, value, members, places, rows)))
          return failure();
        continue;
      }
      FailureOr<Value> made = dispatch(kernel, value, places, rows);
      if (failed(made))
        return failure();
      places[value] = *made;
    }
    Operation *end = kernel.getBody().front().getTerminator();
    for (auto [number, output] : llvm::enumerate(kernel.getOutputs())) {
      const auto operand = products->output(number);
      Value made = places.at(products->isAlone(number) ? operand->rows : sameNumbers(end->getOperand(number)));
      output.replaceAllUsesWith(made);
      if (operand)
        products->leave(made, {places.at(operand->scales), places.at(operand->rows), /*placed=*/true});
    }
    kernel.erase();
    return success();
  }

  void runOnOperation() override {
    target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    kernels = ModuleOp::create(builder, getOperation().getLoc(), "kernels");
    step.emplace(getOperation());
    products.emplace(*target, kernels, exact);
    for (KernelOp kernel : step->all)
      if (failed(lower(kernel)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
