// Each method emits the operations of its formula; the tensor's name is the location, so that later refusals name it.
#include "lib/Frontend/LayerBuilder.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static std::string symbolicName(StringRef tensor) { return ("blk.{layer}." + tensor).str(); }
static std::string concreteName(size_t index, StringRef tensor) {
  return ("blk." + llvm::Twine(index) + "." + tensor).str();
}

RankedTensorType matrixType(MLIRContext *context, Storage storage, int64_t out, int64_t in) {
  const BlockFormat *format = blockFormat(storage);
  return RankedTensorType::get({out, in / format->elements}, BlockType::get(context, format->name, 1));
}

Location LayerBuilder::location(StringRef tensor) {
  return NameLoc::get(StringAttr::get(builder.getContext(), symbolicName(tensor)));
}

Type LayerBuilder::rows(Value like, int64_t columns) {
  auto type = cast<RankedTensorType>(like.getType());
  return RankedTensorType::get({type.getDimSize(0), columns}, type.getElementType());
}

bool LayerBuilder::has(StringRef tensor) const { return checkpoint.tensor(concreteName(index, tensor)); }

/// The attribute of a row range, or none for all rows.
static DenseI64ArrayAttr rowRange(OpBuilder &builder, int64_t total, int64_t begin, int64_t size) {
  return size == total ? DenseI64ArrayAttr() : builder.getDenseI64ArrayAttr({begin, begin + size});
}

Value LayerBuilder::vector(StringRef tensor, int64_t total, int64_t begin, int64_t size) {
  auto found = requireTensor(checkpoint, concreteName(index, tensor), {uint64_t(total)});
  if (!found && !refusal)
    refusal = found.error();
  return WeightOp::create(builder, location(tensor), RankedTensorType::get({size}, builder.getF32Type()),
                          builder.getStringAttr(symbolicName(tensor)), rowRange(builder, total, begin, size));
}

Value LayerBuilder::matrix(StringRef tensor, int64_t total, int64_t in, int64_t begin, int64_t out) {
  auto found = requireTensor(checkpoint, concreteName(index, tensor), {uint64_t(in), uint64_t(total)});
  if (!found && !refusal)
    refusal = found.error();
  Storage storage = found ? (*found)->storage : Storage::F32; // after a refusal any type will do
  return WeightOp::create(builder, location(tensor), matrixType(builder.getContext(), storage, out, in),
                          builder.getStringAttr(symbolicName(tensor)), rowRange(builder, total, begin, out));
}

Value LayerBuilder::norm(Value x, StringRef tensor) {
  std::string name = (tensor + ".weight").str();
  int64_t size = columns(x.getType());
  return RMSNormOp::create(builder, location(tensor), x.getType(), x, vector(name, size, 0, size),
                           builder.getF64FloatAttr(parameters.epsilon));
}

Value LayerBuilder::layerNorm(Value x, StringRef tensor) {
  const int64_t size = columns(x.getType());
  Value weight = vector((tensor + ".weight").str(), size, 0, size);
  Value bias =
      parameters.family->norms == Norms::LayerBiased ? vector((tensor + ".bias").str(), size, 0, size) : Value();
  return LayerNormOp::create(builder, location(tensor), x.getType(), x, weight, bias,
                             builder.getF64FloatAttr(parameters.epsilon));
}

Value LayerBuilder::headNorm(Value x, StringRef tensor) {
  std::string name = (tensor + ".weight").str();
  int64_t size = parameters.headSize;
  return RMSNormOp::create(builder, location(tensor), x.getType(), x, vector(name, size, 0, size),
                           builder.getF64FloatAttr(parameters.epsilon));
}

Value LayerBuilder::linear(Value x, StringRef tensor, int64_t out) {
  Value y = linearRows(x, tensor, 0, out, out);
  // What chooses experts, or weighs one, is none of the linears that adapters are made for.
  return adapters.slots && !tensor.contains("_inp") ? adapted(y, x, tensor) : y;
}

Value LayerBuilder::adapted(Value y, Value of, StringRef tensor) {
  constexpr int64_t lanes = 16; // ranks of a vector, in every layout
  if (!slots)
    slots = AdapterSlotsOp::create(builder, location("adapter_slots"),
                                   RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type()), batch);
  const std::string name = symbolicName((tensor + ".weight").str());
  auto matrix = [&](bool down, int64_t rows, int64_t columns) {
    auto type = RankedTensorType::get({adapters.slots, rows, columns}, builder.getF16Type());
    return AdapterOp::create(builder, location(tensor), type, builder.getStringAttr(name), down, !down,
                             DenseI64ArrayAttr());
  };
  Value down = matrix(true, columns(of.getType()), llvm::alignTo(adapters.rank, lanes));
  Value up = matrix(false, adapters.rank, columns(y.getType()));
  return AdaptOp::create(builder, location(tensor), y.getType(), y, of, slots, down, up);
}

Value LayerBuilder::linearRows(Value x, StringRef tensor, int64_t begin, int64_t out, int64_t total) {
  std::string weight = (tensor + ".weight").str(), bias = (tensor + ".bias").str();
  Value w = matrix(weight, total, columns(x.getType()), begin, out);
  Value b = has(bias) ? vector(bias, total, begin, out) : Value();
  return LinearOp::create(builder, location(tensor), rows(x, out), x, w, b);
}

Projections LayerBuilder::projections(Value x) {
  int64_t q = parameters.queryWidth(index), k = parameters.keyWidth(index), all = q + 2 * k;
  if (has("attn_qkv.weight"))
    return {linearRows(x, "attn_qkv", 0, q, all), linearRows(x, "attn_qkv", q, k, all),
            linearRows(x, "attn_qkv", q + k, k, all)};
  return {linear(x, "attn_q", q), linear(x, "attn_k", k), linear(x, "attn_v", k)};
}

Value LayerBuilder::rope(Value x) {
  if (!parameters.rotates[index])
    return x;
  auto pairs = parameters.rope.pairs == RopePairs::Adjacent ? Pairs::Adjacent : Pairs::Half;
  return RopeOp::create(builder, location("rope"), x.getType(), PairsAttr::get(builder.getContext(), pairs), x, batch,
                        Value(), Value(), builder.getI64IntegerAttr(parameters.headSize),
                        builder.getDenseF64ArrayAttr(table.inverseFrequencies),
                        builder.getF64FloatAttr(table.attentionFactor));
}

Value LayerBuilder::attention(const Projections &rotated) {
  cache = KVAppendOp::create(builder, location("kv_append"), cache.getType(), rotated.k, rotated.v, batch, cache);
  Value sinks = has("attn_sinks.weight")
                    ? vector("attn_sinks.weight", parameters.heads[index], 0, parameters.heads[index])
                    : Value();
  int64_t window = parameters.local[index] ? parameters.window : 0;
  Value attended = AttentionOp::create(
      builder, location("attention"), rotated.q.getType(), rotated.q, batch, cache, sinks,
      builder.getF64FloatAttr(parameters.attentionScale), builder.getI64IntegerAttr(window),
      builder.getF64FloatAttr(parameters.scoreSoftcap), builder.getBoolAttr(!parameters.family->encoder));
  return linear(attended, "attn_output", parameters.width);
}

Value LayerBuilder::mlp(Value x, Gate activation) {
  Value up = linear(x, "ffn_up", parameters.feedForward[index]);
  Value h = ActivationOp::create(builder, location("ffn_activation"), up.getType(), activation, up);
  return linear(h, "ffn_down", parameters.width);
}

Value LayerBuilder::gatedMlp(Value x, Gate gate) {
  int64_t inner = parameters.feedForward[index];
  Value g = linear(x, "ffn_gate", inner), up = linear(x, "ffn_up", inner);
  Value h = GatedActivationOp::create(builder, location("ffn_activation"), g.getType(), gate, g, up);
  return linear(h, "ffn_down", parameters.width);
}

Value LayerBuilder::experts(Value x, Value ids, StringRef tensor, int64_t out, bool byRank) {
  const int64_t count = parameters.experts, ranks = cast<RankedTensorType>(ids.getType()).getDimSize(1);
  const int64_t in = columns(x.getType()) / (byRank ? ranks : 1);
  const std::string name = (tensor + ".weight").str();
  auto found = requireTensor(checkpoint, concreteName(index, name), {uint64_t(in), uint64_t(out), uint64_t(count)});
  if (!found && !refusal)
    refusal = found.error();
  Storage storage = found ? (*found)->storage : Storage::F32;
  Value weight = WeightOp::create(builder, location(name), matrixType(builder.getContext(), storage, count * out, in),
                                  builder.getStringAttr(symbolicName(name)), DenseI64ArrayAttr());
  Value bias;
  if (parameters.family->expertBias) { // [experts, out], read as one vector
    const std::string biasName = (tensor + ".bias").str();
    auto stored = requireTensor(checkpoint, concreteName(index, biasName), {uint64_t(out), uint64_t(count)});
    if (!stored && !refusal)
      refusal = stored.error();
    bias = WeightOp::create(builder, location(biasName), RankedTensorType::get({count * out}, builder.getF32Type()),
                            builder.getStringAttr(symbolicName(biasName)), DenseI64ArrayAttr());
  }
  return ExpertLinearOp::create(builder, location(tensor), rows(x, ranks * out), x, ids, weight, bias, count, byRank);
}

Value LayerBuilder::feedForward(Value x, Gate gate) {
  if (parameters.experts == 0)
    return gatedMlp(x, gate);
  const int64_t used = parameters.expertsUsed, inner = parameters.expertWidth;
  Value z = linear(x, "ffn_gate_inp", parameters.experts);
  auto chosen = RankedTensorType::get({cast<RankedTensorType>(x.getType()).getDimSize(0), used}, builder.getI32Type());
  auto route = RouteOp::create(builder, location("ffn_route"), chosen, rows(x, used), z, parameters.experts, used,
                               parameters.expertsNormalised, llvm::APFloat(parameters.expertScale));
  Value g = experts(x, route.getIds(), "ffn_gate_exps", inner, false);
  Value up = experts(x, route.getIds(), "ffn_up_exps", inner, false);
  Value h = GatedActivationOp::create(builder, location("ffn_activation"), g.getType(), gate, g, up);
  Value y = experts(h, route.getIds(), "ffn_down_exps", parameters.width, true);
  Value routed = CombineExpertsOp::create(builder, location("ffn_combine"), x.getType(), y, route.getWeights());
  return parameters.sharedWidth ? Value(AddOp::create(builder, location("ffn_experts"), x.getType(), routed,
                                                      sharedExpert(x, gate), builder.getF64FloatAttr(1)))
                                : routed;
}

/// One expert of one rank, whose weight is the share: the operation that adds up experts multiplies them.
Value LayerBuilder::sharedExpert(Value x, Gate gate) {
  const int64_t inner = parameters.sharedWidth;
  Value g = linear(x, "ffn_gate_shexp", inner), up = linear(x, "ffn_up_shexp", inner);
  Value h = GatedActivationOp::create(builder, location("ffn_shared_activation"), g.getType(), gate, g, up);
  Value y = linear(h, "ffn_down_shexp", parameters.width), z = linear(x, "ffn_gate_inp_shexp", 1);
  Value share = ActivationOp::create(builder, location("ffn_share"), z.getType(), Gate::Sigmoid, z);
  return CombineExpertsOp::create(builder, location("ffn_shared"), x.getType(), y, share);
}

Value LayerBuilder::fusedGatedMlp(Value x, StringRef tensor, Gate gate) {
  int64_t inner = parameters.feedForward[index];
  Value g = linearRows(x, tensor, 0, inner, 2 * inner), up = linearRows(x, tensor, inner, inner, 2 * inner);
  Value h = GatedActivationOp::create(builder, location("ffn_activation"), g.getType(), gate, g, up);
  return linear(h, "ffn_down", parameters.width);
}

Value LayerBuilder::add(Value stream, Value branch) {
  return AddOp::create(builder, location("residual"), stream.getType(), stream, branch,
                       builder.getF64FloatAttr(parameters.residualScale));
}

} // namespace stepdown
