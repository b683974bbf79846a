// Walks the operations of a function in order; each result is kept by its SSA value. A weight is a view of the mapped
// file that the operation reading it decodes row by row, so memory stays small for any model.
#include "lib/Reference/Evaluator.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Reference/Operations.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <map>
#include <variant>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown::reference {

class Evaluator::Machine {
public:
  virtual ~Machine() = default;
  virtual Result<Logits> step(const Step &step) = 0;
};

namespace {

template <typename T> class TypedMachine final : public Evaluator::Machine {
public:
  TypedMachine(ModuleOp module, const Checkpoint &checkpoint) : module(module), checkpoint(checkpoint) {}
  Result<Logits> step(const Step &step) override;

private:
  using Ids = std::vector<int32_t>;
  using Datum = std::variant<Tensor<T>, std::vector<T>, Matrix, Ids, Batch, Cache<T>>;
  using Scope = llvm::DenseMap<Value, Datum>;

  /// Runs a block with its arguments bound; the operands of its terminator.
  Result<std::vector<Datum>> run(Block &block, std::vector<Datum> arguments);
  Result<Datum> evaluate(Operation &op, Scope &scope);
  Result<Datum> weight(WeightOp op);
  Result<Datum> layers(LayersOp op, Scope &scope);

  static const Tensor<T> &tensor(Scope &scope, Value v) { return std::get<Tensor<T>>(scope.find(v)->second); }
  static const Matrix &matrix(Scope &scope, Value v) { return std::get<Matrix>(scope.find(v)->second); }
  static const std::vector<T> *vector(Scope &scope, Value v) {
    return v ? &std::get<std::vector<T>>(scope.find(v)->second) : nullptr;
  }
  static const Ids &ids(Scope &scope, Value v) { return std::get<Ids>(scope.find(v)->second); }
  static const Batch &batch(Scope &scope, Value v) { return std::get<Batch>(scope.find(v)->second); }
  static const Cache<T> &cache(Scope &scope, Value v) { return std::get<Cache<T>>(scope.find(v)->second); }

  ModuleOp module;
  const Checkpoint &checkpoint;
  std::map<std::string, std::vector<uint8_t>> made; // rows of tensors that the checkpoint makes
  size_t layer = 0;                                 // that runs
  std::vector<Cache<T>> caches;                     // [layers], filled by the first step
};

double real(const APFloat &value) { return value.convertToDouble(); }

Activation activationOf(Gate kind) {
  switch (kind) {
  case Gate::Silu:
    return Activation::Silu;
  case Gate::GeluTanh:
    return Activation::GeluTanh;
  case Gate::GeluErf:
    return Activation::GeluErf;
  case Gate::ClampedSwish:
    return Activation::ClampedSwish;
  case Gate::Sigmoid:
    return Activation::Sigmoid;
  }
  llvm_unreachable("every gate is a case");
}

/// Whether a product with the weights of experts reads `weight`, in a kernel or outside of one.
bool isOfExperts(Value weight) {
  return llvm::any_of(weight.getUses(), [](OpOperand &use) {
    auto kernel = dyn_cast<KernelOp>(use.getOwner());
    return kernel ? isOfExperts(kernel.getBody().getArgument(use.getOperandNumber()))
                  : isa<ExpertLinearOp>(use.getOwner());
  });
}

template <typename T> Result<typename TypedMachine<T>::Datum> TypedMachine<T>::weight(WeightOp op) {
  std::string name = op.getTensorName(layer);
  const StoredTensor *found = checkpoint.tensor(name);
  if (!found)
    return fail(ErrorCode::ModelTensorMissing, "%s: expects tensor '%s', but there is none",
                checkpoint.metadata().file().c_str(), name.c_str());
  RankedTensorType type = op.getResult().getType();
  int64_t begin = op.getRows() ? (*op.getRows())[0] : 0, rows = op.getStoredRows();
  WeightPadding padding;
  if (auto groups = op.getGroups())
    padding.group = (*groups)[0], padding.groupRoom = (*groups)[1];
  const BlockFormat *format = blockFormat(found->storage);
  auto block = dyn_cast<BlockType>(type.getElementType());
  if (block && block.getStorage() != format->name)
    return fail(ErrorCode::ReferenceWeight, "tensor '%s': expects storage %s, but the checkpoint has %s", name.c_str(),
                block.getStorage().str().c_str(), format->name);
  if (block) {
    uint64_t in = op.getStoredColumns();
    const uint64_t stored =
        found->dims[1] * (isOfExperts(op.getResult()) ? found->dims[2] : 1); // a stack is one matrix
    if (found->dims[0] != in || stored < uint64_t(begin + rows))
      return fail(ErrorCode::ModelTensorShape, "tensor '%s': expects %lld rows of %llu values, but got %llu of %llu",
                  name.c_str(), (long long)(begin + rows), (unsigned long long)in, (unsigned long long)stored,
                  (unsigned long long)found->dims[0]);
    const uint8_t *bytes = found->data;
    if (!bytes) {
      std::vector<uint8_t> &rows = made[name];
      bytes = rows.empty() ? found->read(0, found->rows(), rows) : rows.data();
    }
    Matrix whole{format, bytes, padding.rows(rows), size_t(columns(type)), padding, size_t(in)};
    whole.bytes += begin * whole.rowBytes();
    Result<std::vector<float>> scales = checkpoint.rowScales(*found, begin, rows);
    if (!scales)
      return scales.error();
    whole.scales = std::move(*scales);
    return Datum(whole);
  }
  const uint64_t stored = found->dims[0] * found->rows(); // biases of experts are one vector
  if (stored < uint64_t(begin + rows) || found->dims[0] % format->elements || !found->data)
    return fail(ErrorCode::ModelTensorShape, "tensor '%s': expects %lld values, but got %llu", name.c_str(),
                (long long)(begin + rows), (unsigned long long)stored);
  std::vector<float> values(stored);
  decode(*format, found->data, values.size() / format->elements, values.data());
  std::vector<T> all(type.getDimSize(0));
  for (size_t i = 0; i < all.size(); ++i)
    if (padding.isStored(i))
      all[i] = values[begin + padding.storedBefore(i)];
  return Datum(std::move(all));
}

template <typename T> Result<typename TypedMachine<T>::Datum> TypedMachine<T>::layers(LayersOp op, Scope &scope) {
  Tensor<T> x = tensor(scope, op.getX());
  caches.resize(op.getOrder().size());
  for (layer = 0; layer < op.getOrder().size(); ++layer) {
    auto kind = cast<FlatSymbolRefAttr>(op.getKinds()[op.getOrder()[layer]]);
    auto function = module.lookupSymbol<func::FuncOp>(kind);
    Cache<T> &cache = caches[layer];
    auto type = cast<CacheType>(function.getArgumentTypes()[2]);
    cache.heads = type.getHeads(), cache.keySize = type.getKey(), cache.valueSize = type.getValue();
    cache.isFloat16 = type.getElement().isF16(), cache.hasBlocks = hasBlocks(type);
    cache.isE4M3 = isa<Float8E4M3FNType>(type.getElement());
    std::vector<Datum> arguments = {x, batch(scope, op.getBatch()), cache};
    if (op.getRows() && layer + 1 == op.getOrder().size())
      arguments.push_back(ids(scope, op.getRows()));
    auto results = run(function.getBody().front(), std::move(arguments));
    if (!results)
      return results.error();
    x = std::get<Tensor<T>>((*results)[0]);
    cache = std::get<Cache<T>>((*results)[1]);
  }
  return Datum(x);
}

template <typename T> Result<typename TypedMachine<T>::Datum> TypedMachine<T>::evaluate(Operation &op, Scope &s) {
  return TypeSwitch<Operation *, Result<Datum>>(&op)
      .Case([&](WeightOp o) { return weight(o); })
      .Case([&](LayersOp o) { return layers(o, s); })
      .Case([&](EmbeddingOp o) -> Result<Datum> {
        const Matrix &table = matrix(s, o.getTable());
        for (int32_t token : ids(s, o.getTokens()))
          if (token < 0 || size_t(token) >= table.rows)
            return fail(ErrorCode::ReferenceInput, "expects tokens below %zu, but got %d", table.rows, token);
        return Datum(embedding<T>(ids(s, o.getTokens()), table, real(o.getScale())));
      })
      .Case([&](PositionsOp o) { return Datum(batch(s, o.getBatch()).positions); })
      .Case([&](SelectRowsOp o) -> Result<Datum> {
        const Tensor<T> &x = tensor(s, o.getX());
        for (int32_t row : ids(s, o.getRows()))
          if (row < 0 || size_t(row) >= x.rows)
            return fail(ErrorCode::ReferenceInput, "expects rows below %zu, but got %d", x.rows, row);
        return Datum(selectRows(x, ids(s, o.getRows())));
      })
      .Case([&](RMSNormOp o) {
        return Datum(rmsNorm(tensor(s, o.getX()), *vector(s, o.getWeight()), real(o.getEps()), o.getPadding()));
      })
      .Case([&](LayerNormOp o) {
        return Datum(
            layerNorm(tensor(s, o.getX()), *vector(s, o.getWeight()), vector(s, o.getBias()), real(o.getEps())));
      })
      .Case([&](LinearOp o) {
        return Datum(linear(tensor(s, o.getX()), matrix(s, o.getWeight()), vector(s, o.getBias())));
      })
      .Case([&](LogitsOp o) {
        return Datum(logits(tensor(s, o.getX()), matrix(s, o.getWeight()), vector(s, o.getBias()), real(o.getScale()),
                            real(o.getSoftcap())));
      })
      .Case([&](RopeOp o) {
        RopeShape shape{o.getPairs() == Pairs::Adjacent, size_t(o.getHeadDim()), o.getInverseFrequencies().data(),
                        o.getInverseFrequencies().size(), real(o.getAttentionFactor())};
        return Datum(rope(tensor(s, o.getX()), batch(s, o.getBatch()), shape));
      })
      .Case([&](KVAppendOp o) {
        return Datum(
            kvAppend(tensor(s, o.getK()), tensor(s, o.getV()), batch(s, o.getBatch()), cache(s, o.getCache())));
      })
      .Case([&](AttentionOp o) {
        AttentionShape shape{real(o.getScale()), real(o.getSoftcap()), int64_t(o.getWindow()), o.getCausal()};
        return Datum(attention(tensor(s, o.getQ()), batch(s, o.getBatch()), cache(s, o.getCache()),
                               vector(s, o.getSinks()), shape));
      })
      .Case([&](GatedActivationOp o) {
        return Datum(gatedActivation(tensor(s, o.getGate()), tensor(s, o.getUp()), activationOf(o.getKind())));
      })
      .Case([&](ActivationOp o) {
        Tensor<T> ones = tensor(s, o.getX());
        std::fill(ones.values.begin(), ones.values.end(), T(1));
        return Datum(gatedActivation(tensor(s, o.getX()), ones, activationOf(o.getKind())));
      })
      .Case([&](AddBiasOp o) {
        Tensor<T> y = tensor(s, o.getX());
        for (size_t i = 0; i < y.values.size(); ++i)
          y.values[i] += (*vector(s, o.getBias()))[i % y.columns];
        return Datum(y);
      })
      .Case([&](ExpertLinearOp o) {
        return Datum(expertLinear(tensor(s, o.getX()), ids(s, o.getIds()), matrix(s, o.getWeight()),
                                  ExpertShape{size_t(o.getExperts()), size_t(o.getRanks()), o.getByRank()},
                                  vector(s, o.getBias())));
      })
      .Case([&](CombineExpertsOp o) {
        return Datum(combineExperts(tensor(s, o.getX()), tensor(s, o.getWeights()), size_t(o.getRanks())));
      })
      .Case([&](AddOp o) { return Datum(add(tensor(s, o.getA()), tensor(s, o.getB()), real(o.getScale()))); })
      .Case([&](RopeTableOp o) { // what a rope of the same kernel computes by itself
        return Datum(Tensor<T>());
      })
      .Case([&](QuantizeOp o) {
        auto block = cast<ActivationType>(cast<RankedTensorType>(o.getResult().getType()).getElementType());
        const Tensor<T> &given = tensor(s, o.getX());
        auto groups = o.getGroups();
        Tensor<T> x =
            gathered(given, groups ? (*groups)[0] : 1, groups ? (*groups)[1] : 1, columns(o.getResult().getType()));
        if (block.isFloat()) // bfloat16 where a target multiplies these, and the evaluator is no target
          return Datum(x);
        return Datum(quantize(x, block.getElement() == "q8"     ? Codes::One
                                 : block.getElement() == "q8o2" ? Codes::Outliers
                                                                : Codes::Residual));
      })
      .Default([&](Operation *other) -> Result<Datum> {
        return fail(ErrorCode::ReferenceOperation, "expects operations of the transformer dialect, but got %s",
                    other->getName().getStringRef().str().c_str());
      });
}

template <typename T>
Result<std::vector<typename TypedMachine<T>::Datum>> TypedMachine<T>::run(Block &block, std::vector<Datum> arguments) {
  Scope scope;
  auto values = [&](ValueRange range) {
    std::vector<Datum> found;
    for (Value value : range)
      found.push_back(scope.find(value)->second);
    return found;
  };
  for (auto [argument, datum] : llvm::zip_equal(block.getArguments(), arguments))
    scope.try_emplace(argument, std::move(datum));
  for (Operation &op : block.without_terminator()) {
    if (auto kernel = dyn_cast<KernelOp>(op)) {
      auto results = run(kernel.getBody().front(), values(kernel.getInputs()));
      if (!results)
        return results.error();
      for (auto [result, datum] : llvm::zip_equal(kernel.getResults(), *results))
        scope.try_emplace(result, std::move(datum));
      continue;
    }
    if (auto o = dyn_cast<RouteOp>(op)) {
      auto [chosen, weights] = route(tensor(scope, o.getZ()), size_t(o.getExperts()), size_t(o.getUsed()),
                                     o.getNormalised(), real(o.getScale()), columns(o.getWeights().getType()));
      scope.try_emplace(o.getIds(), std::move(chosen));
      scope.try_emplace(o.getWeights(), std::move(weights));
      continue;
    }
    Result<Datum> result = evaluate(op, scope);
    if (!result)
      return result.error();
    scope.try_emplace(op.getResult(0), std::move(*result));
  }
  return values(block.getTerminator()->getOperands());
}

template <typename T> Result<Logits> TypedMachine<T>::step(const Step &step) {
  auto function = module.lookupSymbol<func::FuncOp>("step");
  if (!function || function.isExternal() || function.getNumArguments() != 3 || function.getNumResults() != 1)
    return fail(ErrorCode::ReferenceOperation, "expects a function @step(tokens, rows, batch), but there is none");
  if (step.sequences.size() != step.tokens.size() || step.positions.size() != step.tokens.size())
    return fail(ErrorCode::ReferenceInput, "expects %zu sequences and positions, but got %zu and %zu",
                step.tokens.size(), step.sequences.size(), step.positions.size());
  auto results =
      run(function.getBody().front(), {Datum(step.tokens), Datum(step.rows), Batch{step.sequences, step.positions}});
  if (!results)
    return results.error();
  const Tensor<T> &z = std::get<Tensor<T>>((*results)[0]);
  return Logits{z.rows, z.columns, std::vector<double>(z.values.begin(), z.values.end())};
}

} // namespace

Evaluator::Evaluator(ModuleOp module, const Checkpoint &checkpoint, Precision precision) {
  if (precision == Precision::Float32)
    machine = std::make_unique<TypedMachine<float>>(module, checkpoint);
  else
    machine = std::make_unique<TypedMachine<double>>(module, checkpoint);
}
Evaluator::~Evaluator() = default;

Result<Logits> Evaluator::step(const Step &step) { return machine->step(step); }

Result<Logits> evaluate(ModuleOp module, const Checkpoint &checkpoint, const std::vector<int32_t> &tokens,
                        Precision precision) {
  Step step{tokens, std::vector<int32_t>(tokens.size(), 0), {}, {}};
  for (size_t t = 0; t < tokens.size(); ++t)
    step.positions.push_back(int32_t(t)), step.rows.push_back(int32_t(t));
  return Evaluator(module, checkpoint, precision).step(step);
}

double meanNegativeLogLikelihood(const Logits &logits, const std::vector<int32_t> &tokens) {
  double sum = 0;
  for (size_t t = 0; t + 1 < tokens.size(); ++t) {
    const double *row = logits.row(t);
    double top = *std::max_element(row, row + logits.vocabulary), total = 0;
    for (size_t v = 0; v < logits.vocabulary; ++v)
      total += std::exp(row[v] - top);
    sum += top + std::log(total) - row[tokens[t + 1]];
  }
  return sum / double(tokens.size() - 1);
}

} // namespace stepdown::reference
