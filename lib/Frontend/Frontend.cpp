// Groups the layers into kinds, builds each kind once with the family's description, and @step around them.
#include "lib/Frontend/Frontend.h"
#include "lib/Checkpoint/Families.h"
#include "lib/Frontend/LayerBuilder.h"
#include "lib/Frontend/RopeTable.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include <map>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

namespace {

/// Every property of a layer that its code depends on; layers with equal signatures share one function.
std::string signature(const Checkpoint &checkpoint, const ModelParameters &parameters, size_t layer) {
  std::string prefix = "blk." + std::to_string(layer) + ".", text;
  llvm::raw_string_ostream out(text);
  out << (parameters.local[layer] ? "local " : "global ") << (parameters.rotates[layer] ? "" : "unrotated ")
      << parameters.heads[layer] << " " << parameters.kvHeads[layer] << " " << parameters.feedForward[layer];
  std::map<StringRef, Storage> tensors; // in the order of names, whatever the order in the file
  for (const StoredTensor &tensor : checkpoint.tensors())
    if (StringRef(tensor.name).starts_with(prefix))
      tensors[StringRef(tensor.name).drop_front(prefix.size())] = tensor.storage;
  for (auto [name, storage] : tensors)
    out << " " << name << ":" << blockFormat(storage)->name;
  return text;
}

struct Kind {
  std::string name;
  size_t representative; // first layer of the kind
};

class ModuleBuilder {
public:
  ModuleBuilder(MLIRContext &context, const Checkpoint &checkpoint, const ModelParameters &parameters,
                const FrontendOptions &options)
      : checkpoint(checkpoint), parameters(parameters), options(options), builder(&context) {}

  Result<OwningOpRef<ModuleOp>> build();

private:
  void groupLayers();
  Status buildKind(const Kind &kind);
  Status buildStep();
  Result<Value> embedded(func::FuncOp step);
  Location named(StringRef name) { return NameLoc::get(builder.getStringAttr(name)); }
  Value vector(StringRef name, int64_t size);
  Value layerNorm(Value x, StringRef name);
  Result<Value> matrix(StringRef name, int64_t out);
  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, columns}, builder.getF32Type());
  }

  const Checkpoint &checkpoint;
  const ModelParameters &parameters;
  const FrontendOptions &options;
  OpBuilder builder;
  std::vector<Kind> kinds;
  SmallVector<int64_t> order; // [layers] index into kinds
  Value table;                // token_embd.weight
};

void ModuleBuilder::groupLayers() {
  std::map<std::string, int64_t> bySignature;
  std::map<std::string, int> named;
  for (size_t layer = 0; layer < parameters.layers; ++layer) {
    auto [entry, isNew] = bySignature.try_emplace(signature(checkpoint, parameters, layer), int64_t(kinds.size()));
    if (isNew) {
      std::string name = parameters.window == 0 ? "layer" : parameters.local[layer] ? "local" : "global";
      int count = named[name]++;
      kinds.push_back({count ? name + "_" + std::to_string(count) : name, layer});
    }
    order.push_back(entry->second);
  }
}

Status ModuleBuilder::buildKind(const Kind &kind) {
  size_t layer = kind.representative;
  uint64_t context = options.context ? options.context : parameters.context;
  Result<RopeTable> table = ropeTable(checkpoint, parameters, parameters.local[layer], context);
  if (!table)
    return table.error();
  Type element = options.kvType == "q8_0"       ? Type(BlockType::get(builder.getContext(), "q8_0", 1))
                 : options.kvType == "fp8_e4m3" ? Type(Float8E4M3FNType::get(builder.getContext()))
                 : options.kvType == "f32"      ? Type(builder.getF32Type())
                                                : Type(builder.getF16Type());
  Type stream = rows(parameters.width), batch = BatchType::get(builder.getContext());
  Type cache = CacheType::get(builder.getContext(), parameters.kvHeads[layer], parameters.headSize, parameters.headSize,
                              element);
  OpBuilder::InsertionGuard guard(builder);
  auto function = func::FuncOp::create(builder, named(kind.name), kind.name,
                                       builder.getFunctionType({stream, batch, cache}, {stream, cache}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  LayerBuilder body(builder, checkpoint, parameters, layer, *table, options.adapters, function.getArgument(1),
                    function.getArgument(2));
  Value result = describeLayer(*parameters.family, body, Value(function.getArgument(0)));
  if (body.error())
    return *body.error();
  func::ReturnOp::create(builder, named(kind.name), ValueRange{result, body.filledCache()});
  return Done{};
}

Value ModuleBuilder::vector(StringRef name, int64_t size) {
  return WeightOp::create(builder, named(name), RankedTensorType::get({size}, builder.getF32Type()),
                          builder.getStringAttr(name), DenseI64ArrayAttr());
}

Result<Value> ModuleBuilder::matrix(StringRef name, int64_t out) {
  auto tensor = requireTensor(checkpoint, name, {parameters.width, uint64_t(out)});
  if (!tensor)
    return tensor.error();
  auto type = matrixType(builder.getContext(), (*tensor)->storage, out, parameters.width);
  return Value(WeightOp::create(builder, named(name), type, builder.getStringAttr(name), DenseI64ArrayAttr()));
}

Value ModuleBuilder::layerNorm(Value x, StringRef name) {
  Value weight = vector((name + ".weight").str(), parameters.width);
  Value bias =
      parameters.family->norms == Norms::LayerBiased ? vector((name + ".bias").str(), parameters.width) : Value();
  return LayerNormOp::create(builder, named(name), x.getType(), x, weight, bias,
                             builder.getF64FloatAttr(parameters.epsilon));
}

/// What the layers begin with: the embedding of each token, with that of its position where the family has one, and of
/// an encoder with that of the first segment, normed.
Result<Value> ModuleBuilder::embedded(func::FuncOp step) {
  Type stream = rows(parameters.width);
  Result<Value> tokens = matrix("token_embd.weight", parameters.vocabulary);
  if (!tokens)
    return tokens;
  table = *tokens;
  Value x = EmbeddingOp::create(builder, named("token_embd"), stream, step.getArgument(0), table,
                                builder.getF64FloatAttr(parameters.embeddingScale));
  const bool encoder = parameters.family->encoder;
  if (!parameters.family->learnedPositions)
    return x;
  if (options.context > parameters.context)
    return fail(encoder ? ErrorCode::EmbeddingLength : ErrorCode::CompileOption,
                "%s: tensor 'position_embd.weight': expects a context of at most its %u positions, but got %llu",
                checkpoint.path().c_str(), parameters.context, (unsigned long long)options.context);
  Result<Value> places = matrix("position_embd.weight", parameters.context);
  if (!places)
    return places;
  if (encoder && checkpoint.tensor("token_types.weight"))
    x = AddBiasOp::create(builder, named("token_types"), stream, x, vector("token_types.weight", parameters.width));
  Type indices = step.getArgument(0).getType();
  Value positions = PositionsOp::create(builder, named("positions"), indices, step.getArgument(2));
  FloatAttr one = builder.getF64FloatAttr(1);
  Value place = EmbeddingOp::create(builder, named("position_embd"), stream, positions, *places, one);
  x = AddOp::create(builder, named("embedding"), stream, x, place, one);
  return encoder ? layerNorm(x, "token_embd_norm") : x;
}

Status ModuleBuilder::buildStep() {
  OpBuilder::InsertionGuard guard(builder);
  const bool encoder = parameters.family->encoder;
  Type indices = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  Type stream = rows(parameters.width), logits = encoder ? stream : rows(parameters.vocabulary);
  auto function =
      func::FuncOp::create(builder, named("step"), "step",
                           builder.getFunctionType({indices, indices, BatchType::get(builder.getContext())}, {logits}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  Result<Value> begin = embedded(function);
  if (!begin)
    return begin.error();
  Value x = *begin;
  SmallVector<Attribute> names;
  for (const Kind &kind : kinds)
    names.push_back(FlatSymbolRefAttr::get(builder.getContext(), kind.name));
  x = LayersOp::create(builder, named("layers"), stream, x, function.getArgument(2), Value(),
                       builder.getArrayAttr(names), builder.getDenseI64ArrayAttr(order));
  x = SelectRowsOp::create(builder, named("select_rows"), stream, x, function.getArgument(1));
  if (encoder) {
    func::ReturnOp::create(builder, named("step"), x);
    return Done{};
  }
  x = parameters.family->norms == Norms::Rms ? Value(RMSNormOp::create(builder, named("output_norm"), stream, x,
                                                                       vector("output_norm.weight", parameters.width),
                                                                       builder.getF64FloatAttr(parameters.epsilon)))
                                             : layerNorm(x, "output_norm");
  Result<Value> head = parameters.tiedHead ? Result<Value>(table) : matrix("output.weight", parameters.vocabulary);
  if (!head)
    return head.error();
  Value bias = checkpoint.tensor("output.bias") ? vector("output.bias", parameters.vocabulary) : Value();
  Value z =
      LogitsOp::create(builder, named("output"), logits, x, *head, bias, builder.getF64FloatAttr(parameters.logitScale),
                       builder.getF64FloatAttr(parameters.finalSoftcap));
  func::ReturnOp::create(builder, named("step"), z);
  return Done{};
}

Result<OwningOpRef<ModuleOp>> ModuleBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(named(parameters.architecture));
  uint64_t context = options.context ? options.context : parameters.context;
  (*module)->setAttr(modelAttrName,
                     ModelAttr::get(builder.getContext(), parameters.name, parameters.architecture, context,
                                    parameters.width, parameters.layers, parameters.vocabulary));
  builder.setInsertionPointToStart(module->getBody());
  groupLayers();
  for (const Kind &kind : kinds)
    if (Status built = buildKind(kind); !built)
      return built.error();
  if (Status built = buildStep(); !built)
    return built.error();
  if (failed(verify(*module)))
    return fail(ErrorCode::FrontendModule, "%s: expects a module that verifies, but the one of family %s does not",
                checkpoint.metadata().file().c_str(), parameters.architecture.c_str());
  return Result<OwningOpRef<ModuleOp>>(std::move(module));
}

} // namespace

Result<OwningOpRef<ModuleOp>> buildModule(MLIRContext &context, const Checkpoint &checkpoint,
                                          const FrontendOptions &options) {
  context.loadDialect<func::FuncDialect, TransformerDialect>();
  Result<ModelParameters> parameters = readParameters(checkpoint);
  if (!parameters)
    return parameters.error();
  if (Status tensors = checkTensors(checkpoint, *parameters); !tensors)
    return tensors.error();
  return ModuleBuilder(context, checkpoint, *parameters, options).build();
}

} // namespace stepdown
