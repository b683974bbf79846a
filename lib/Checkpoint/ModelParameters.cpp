// Hyper-parameters: keys of formats that every family shares first, then what a family adds. Each value is checked
// where it is read, so that the struct that leaves here can be divided by, allocated from and iterated over.
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/ExpertParameters.h"
#include "lib/Checkpoint/Families.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/ParameterLimits.h"
#include "lib/Checkpoint/Pooling.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace stepdown {
namespace {

template <typename F> constexpr Family familyOf() {
  return {F::architecture,
          F::pairs,
          F::windowPeriod,
          F::window,
          F::projectionBias,
          F::localRope,
          F::localScaled,
          F::multipliers,
          F::logitFactor,
          F::unrotatedPeriod,
          F::windowsRotateAlone,
          F::logitCap,
          F::scoreCap,
          F::experts,
          F::dense,
          F::expertBias,
          F::sharedExpert,
          F::sinks,
          F::scoreWidth,
          F::embeddingScale,
          F::norms,
          F::learnedPositions,
          F::encoder};
}
#define STEPDOWN_ROW(Name) familyOf<Name>(),
constexpr Family families[] = {STEPDOWN_FAMILIES(STEPDOWN_ROW)};
#undef STEPDOWN_ROW

class Reader : KeyReader {
public:
  Reader(const Checkpoint &checkpoint) : KeyReader(checkpoint.metadata()), checkpoint(checkpoint), log(meta) {}
  Result<ModelParameters> read();

private:
  Status readIdentity();
  Status readSizes();
  Status readHeads();
  Status experts() { return readExperts(*this, p); }
  Status readFeatures();
  Status readScales();
  Status readRope();
  Status readRopeScaling();
  Status checkYarn(const char *factorKey);
  Status readWindow();
  Status readWindowPattern(uint64_t period);

  const Checkpoint &checkpoint;
  const KeyLog log;
  ModelParameters p{};
};

#define STEPDOWN_CHECK(STATUS)                                                                                         \
  if (Status status = (STATUS); !status)                                                                               \
  return status

Status Reader::readIdentity() {
  if (meta.has("general.type")) {
    Result<std::string_view> type = meta.string("general.type");
    if (!type)
      return type.error();
    if (*type != "model")
      return refuse(ErrorCode::ModelKind, "general.type",
                    "expects 'model', but got '" + printable(*type) + "'" +
                        (*type == "adapter" ? ", which --adapter takes" : ""));
  }
  Result<std::string_view> architecture = meta.string("general.architecture");
  if (!architecture)
    return architecture.error();
  p.architecture = this->architecture = std::string(*architecture);
  for (const Family &family : families)
    if (p.architecture == family.architecture)
      p.family = &family;
  std::vector<std::string> names;
  for (const Family &family : families)
    names.push_back(family.architecture);
  if (!p.family)
    return refuse(ErrorCode::ModelArchitecture, "general.architecture",
                  "expects one of " + supportedArchitectures() + ", but got '" + printable(p.architecture) + "'" +
                      suggestion(p.architecture, names));
  if (Result<std::string_view> name = meta.string("general.name"); name)
    p.name = std::string(*name);
  // The layout of blocks; there has been no other since files are GGUF.
  if (const char *version = "general.quantization_version"; meta.has(version)) {
    Result<uint64_t> number = meta.unsignedInteger(version);
    if (!number)
      return number.error();
    if (*number != 2 &&
        std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(), [](const StoredTensor &tensor) {
          const BlockFormat *format = blockFormat(tensor.storage);
          return format && format->isQuantised();
        }))
      return refuse(ErrorCode::ModelFeature, version, "expects 2, but got " + std::to_string(*number));
  }
  return Done{};
}

Status Reader::readSizes() {
  STEPDOWN_CHECK(count("context_length", kMostContext, p.context));
  STEPDOWN_CHECK(count("embedding_length", kMostWidth, p.width));
  STEPDOWN_CHECK(same("embedding_length_out", p.width, "the embedding length"));
  STEPDOWN_CHECK(count("block_count", kMostLayers, p.layers));
  STEPDOWN_CHECK(perLayer("feed_forward_length", kMostWidth, p.layers, nullptr, p.feedForward));
  const bool layerNorms = p.family->norms != Norms::Rms;
  if (layerNorms && p.width % 32 != 0) // they are computed of whole blocks
    return refuse(ErrorCode::ModelFeature, key("embedding_length"),
                  "expects a multiple of 32 of a family with layer norms, but got " + std::to_string(p.width));
  const char *epsilon = layerNorms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
  if (!has(epsilon))
    return meta.real(key(epsilon)).error();
  STEPDOWN_CHECK(real(ErrorCode::ModelEpsilon, epsilon, kEpsilons, 0, p.epsilon));

  const GgufValue *tokens = meta.find("tokenizer.ggml.tokens");
  uint64_t listed = 0;
  if (tokens) {
    if (tokens->type != GgufType::Array || tokens->element != GgufType::String)
      return meta.strings("tokenizer.ggml.tokens").error();
    listed = tokens->count;
  }
  if (has("vocab_size") || !tokens) {
    STEPDOWN_CHECK(count("vocab_size", kMostVocabulary, p.vocabulary));
    if (listed > p.vocabulary)
      return refuse(ErrorCode::ModelVocabulary, key("vocab_size"),
                    "expects at least the " + std::to_string(listed) + " entries of tokenizer.ggml.tokens, but got " +
                        std::to_string(p.vocabulary));
    return Done{};
  }
  if (listed == 0 || listed > kMostVocabulary)
    return refuse(ErrorCode::ModelRange, "tokenizer.ggml.tokens",
                  "expects 1 to " + std::to_string(kMostVocabulary) + " elements, but got " + std::to_string(listed));
  p.vocabulary = static_cast<uint32_t>(listed);
  return Done{};
}

Status Reader::readHeads() {
  STEPDOWN_CHECK(perLayer("attention.head_count", kMostHeads, p.layers, nullptr, p.heads));
  STEPDOWN_CHECK(perLayer("attention.head_count_kv", kMostHeads, p.layers, &p.heads, p.kvHeads));
  for (uint32_t i = 0; i < p.layers; ++i)
    if (p.heads[i] % p.kvHeads[i] != 0)
      return refuse(ErrorCode::ModelHeads, key("attention.head_count_kv"),
                    "layer " + std::to_string(i) + ": expects a divisor of the " + std::to_string(p.heads[i]) +
                        " query heads, but got " + std::to_string(p.kvHeads[i]));
  if (!has("attention.key_length") && p.width % p.heads[0] != 0)
    return refuse(ErrorCode::ModelHeads, key("embedding_length"),
                  "expects a multiple of the " + std::to_string(p.heads[0]) +
                      " query heads where attention.key_length is missing, but got " + std::to_string(p.width));
  STEPDOWN_CHECK(countOr("attention.key_length", kMostHeadSize, p.width / p.heads[0], p.headSize));
  if (p.headSize == 0 || p.headSize > kMostHeadSize)
    return refuse(ErrorCode::ModelHeads, key("embedding_length"),
                  "expects heads of 1 to " + std::to_string(kMostHeadSize) + " elements, but got " +
                      std::to_string(p.headSize));
  // One cache layout serves keys and values of every layer.
  for (const char *name : {"attention.value_length", "attention.key_length_swa", "attention.value_length_swa"}) {
    uint32_t size;
    STEPDOWN_CHECK(countOr(name, kMostHeadSize, p.headSize, size));
    if (size != p.headSize)
      return refuse(ErrorCode::ModelFeature, key(name),
                    "expects the size of a key head, " + std::to_string(p.headSize) + ", but got " +
                        std::to_string(size));
  }
  double scale;
  STEPDOWN_CHECK(real(ErrorCode::ModelScale, "attention.scale", kScales, 0, scale));
  p.attentionScale = scale != 0 ? scale : 1 / std::sqrt(p.family->scoreWidth(p));
  return Done{};
}

/// Keys that ask for what the family's program does not compute: refused, never ignored.
Status Reader::readFeatures() {
  if (has("attention.causal")) {
    Result<bool> causal = meta.boolean(key("attention.causal"));
    if (!causal)
      return causal.error();
    if (*causal == p.family->encoder)
      return refuse(ErrorCode::ModelFeature, key("attention.causal"),
                    p.family->encoder ? "expects false (an encoder), but got true"
                                      : "expects true (a decoder), but got false");
  }
  if (p.family->encoder)
    if (Result<PoolingParameters> pooling = readPooling(meta); !pooling)
      return pooling.error();
  if (has("tensor_data_layout")) {
    Result<std::string_view> layout = meta.string(key("tensor_data_layout"));
    if (!layout)
      return layout.error();
    if (*layout != "reference" && *layout != "Meta AI original pth") // two names of one layout
      return refuse(ErrorCode::ModelFeature, key("tensor_data_layout"),
                    "expects 'reference', but got '" + printable(*layout) + "'");
  }
  return Done{};
}

/// Caps, and what multiplies the embedding, the residual branches and the logits.
Status Reader::readScales() {
  for (auto [name, fallback, cap] : {std::tuple("final_logit_softcapping", p.family->logitCap, &p.finalSoftcap),
                                     std::tuple("attn_logit_softcapping", p.family->scoreCap, &p.scoreSoftcap)})
    if (fallback != kNotRead)
      STEPDOWN_CHECK(real(ErrorCode::ModelScale, name, kSoftcaps, fallback, *cap));
  p.embeddingScale = p.family->embeddingScale(p);
  p.residualScale = p.logitScale = 1;
  if (const char *name = "logit_scale"; p.family->logitFactor) {
    if (!has(name))
      return meta.real(key(name)).error();
    STEPDOWN_CHECK(real(ErrorCode::ModelScale, name, kScales, 0, p.logitScale));
    p.logitScale = p.logitScale == 0 ? 1 : p.logitScale;
  }
  if (!p.family->multipliers)
    return Done{};
  double divisor = 1; // logit_scale divides; 0 says of each that there is none
  for (auto [name, scale] : {std::pair("embedding_scale", &p.embeddingScale), std::pair("logit_scale", &divisor),
                             std::pair("residual_scale", &p.residualScale)}) {
    STEPDOWN_CHECK(real(ErrorCode::ModelScale, name, kScales, *scale, *scale));
    *scale = *scale == 0 ? 1 : *scale;
  }
  p.logitScale = 1 / divisor;
  if (const std::string name = key("rope.scaling.finetuned");
      meta.has(name)) { // these families' switch of all rotation
    Result<bool> rotates = meta.boolean(name);
    if (!rotates)
      return rotates.error();
    if (!*rotates)
      return refuse(ErrorCode::ModelFeature, name, "expects true (layers that rotate), but got false");
  }
  return Done{};
}

Status Reader::readRope() {
  p.rotates.assign(p.layers, true);
  if (const uint32_t period = static_cast<uint32_t>(p.family->unrotatedPeriod))
    for (uint32_t i = period - 1; i < p.layers; i += period)
      p.rotates[i] = false;
  RopeParameters &r = p.rope;
  r.pairs = p.family->pairs;
  if (!p.family->rotates()) {
    r.dimensions = p.headSize + p.headSize % 2;
    r.base = r.localBase = 10000;
    r.factor = r.attentionFactor = 1;
    r.originalContext = p.context;
    return Done{};
  }
  if (const std::string name = key("rope.pairs"); meta.has(name)) { // the order of the rows is not the family's usual
    Result<std::string_view> pairs = meta.string(name);
    if (!pairs)
      return pairs.error();
    if (*pairs != "adjacent" && *pairs != "halves")
      return refuse(ErrorCode::ModelFeature, name, "expects adjacent or halves, but got '" + printable(*pairs) + "'");
    r.pairs = *pairs == "halves" ? RopePairs::Halves : RopePairs::Adjacent;
  }
  r.dimensions = p.headSize;
  if (has("rope.dimension_count")) {
    Result<uint64_t> dimensions = meta.unsignedInteger(key("rope.dimension_count"));
    if (!dimensions)
      return dimensions.error();
    if (*dimensions == 0 || *dimensions % 2 != 0 || *dimensions > p.headSize)
      return refuse(ErrorCode::ModelRope, key("rope.dimension_count"),
                    "expects an even number from 2 to the head size " + std::to_string(p.headSize) + ", but got " +
                        std::to_string(*dimensions));
    r.dimensions = static_cast<uint32_t>(*dimensions);
  } else if (p.headSize % 2 != 0) {
    return refuse(ErrorCode::ModelRope, key("rope.dimension_count"),
                  "expects it where the head size is odd (" + std::to_string(p.headSize) + "), but it is missing");
  }
  STEPDOWN_CHECK(same("rope.dimension_count_swa", r.dimensions, "the rotated part of a head"));
  r.localScaled = p.family->localScaled && !p.family->localRope;
  // The base is a divisor's logarithm: anything that is not a positive number has no angles.
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, "rope.freq_base", kAnyPositive, 10000, r.base));
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, "rope.freq_base_swa", kAnyPositive, p.family->localRope ? 10000 : r.base,
                      r.localBase));
  r.frequencyFactors = checkpoint.tensor("rope_freqs.weight") != nullptr;
  r.longFactors = checkpoint.tensor("rope_factors_long.weight") || checkpoint.tensor("rope_factors_short.weight");
  return readRopeScaling();
}

/// What the formulas of YaRN have no meaning for.
Status Reader::checkYarn(const char *factorKey) {
  const RopeParameters &r = p.rope;
  char text[96];
  if (r.factor < 1) { // which would make positions more, not fewer, but only of the slow pairs
    std::snprintf(text, sizeof text, "expects at least 1 with scaling type yarn, but got %g", r.factor);
    return refuse(ErrorCode::ModelRope, key(factorKey), text);
  }
  if (r.yarnBetaSlow > r.yarnBetaFast) { // its ramp would fall
    std::snprintf(text, sizeof text, "expects at most the %g of rope.scaling.yarn_beta_fast, but got %g",
                  r.yarnBetaFast, r.yarnBetaSlow);
    return refuse(ErrorCode::ModelRope, key("rope.scaling.yarn_beta_slow"), text);
  }
  for (auto [name, base] : {std::pair("rope.freq_base", r.base), std::pair("rope.freq_base_swa", r.localBase)})
    if (r.scaling == RopeScaling::Yarn && base <= 1) { // its ramp goes down the pairs, each of which turns slower
      std::snprintf(text, sizeof text, "expects a number above 1 with scaling type yarn, but got %g", base);
      return refuse(ErrorCode::ModelRope, key(name), text);
    }
  return Done{};
}

Status Reader::readRopeScaling() {
  RopeParameters &r = p.rope;
  const char *factorKey = has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, factorKey, kAnyPositiveOrNone, 1, r.factor));
  if (r.factor == 0)
    r.factor = 1;
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, "rope.scaling.attn_factor", kMagnitudes, 1, r.attentionFactor));
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, "rope.scaling.yarn_beta_fast", kAnyPositive, 32, r.yarnBetaFast));
  STEPDOWN_CHECK(real(ErrorCode::ModelRope, "rope.scaling.yarn_beta_slow", kAnyPositive, 1, r.yarnBetaSlow));
  STEPDOWN_CHECK(
      real(ErrorCode::ModelRope, "rope.scaling.yarn_log_multiplier", kLogMultipliers, 0, r.yarnLogMultiplier));
  r.yarnTruncate = true;
  if (const std::string name = key("rope.scaling.yarn_truncate"); meta.has(name)) { // of a folder
    Result<bool> truncate = meta.boolean(name);
    if (!truncate)
      return truncate.error();
    r.yarnTruncate = *truncate;
  }
  uint32_t original;
  STEPDOWN_CHECK(countOr("rope.scaling.original_context_length", kMostContext, p.context, original));
  r.originalContext = original;

  std::string_view type = "linear"; // what an absent key means; harmless with factor 1
  if (has("rope.scaling.type")) {
    Result<std::string_view> stored = meta.string(key("rope.scaling.type"));
    if (!stored)
      return stored.error();
    type = *stored;
  }
  if (type == "none")
    r.scaling = RopeScaling::None;
  else if (type == "linear")
    r.scaling = r.factor == 1 ? RopeScaling::None : RopeScaling::Linear;
  else if (type == "yarn")
    r.scaling = r.factor <= 1 ? RopeScaling::None : RopeScaling::Yarn;
  else if (type == "longrope")
    r.scaling = RopeScaling::LongRope;
  else
    return refuse(ErrorCode::ModelFeature, key("rope.scaling.type"),
                  "expects none, linear, yarn or longrope, but got '" + printable(type) + "'");
  if (type == "yarn")
    STEPDOWN_CHECK(checkYarn(factorKey));
  if (r.scaling == RopeScaling::LongRope && r.factor != 1) { // it divides each frequency by a factor of its own
    char text[96];
    std::snprintf(text, sizeof text, "expects 1 with scaling type longrope, but got %g", r.factor);
    return refuse(ErrorCode::ModelFeature, key(factorKey), text);
  }
  if (r.scaling == RopeScaling::None)
    r.factor = 1;
  // How much of YaRN's ramp applies: all of it for yarn, none otherwise, and a negative number leaves it at that.
  if (std::string name = key("rope.scaling.yarn_ext_factor"); meta.has(name)) {
    Result<double> ramp = meta.real(name);
    if (!ramp)
      return ramp.error();
    const double expected = r.scaling == RopeScaling::Yarn ? 1 : 0;
    const bool any = (r.scaling == RopeScaling::None && std::isfinite(*ramp)) || *ramp < 0;
    if (!any && *ramp != expected) {
      char text[96];
      std::snprintf(text, sizeof text, "expects %g with scaling type %s, but got %g", expected, printable(type).c_str(),
                    *ramp);
      return refuse(ErrorCode::ModelFeature, name, text);
    }
  }
  return Done{};
}

Status Reader::readWindow() {
  p.local.assign(p.layers, false);
  p.window = 0;
  std::string name = key("attention.sliding_window"), pattern = key("attention.sliding_window_pattern");
  const GgufValue *stored = meta.find(pattern); // looked at in any case: without a window it says nothing
  if (stored) {
    if (stored->type == GgufType::Array) {
      if (Result<std::vector<int64_t>> flags = meta.integers(pattern); !flags)
        return flags.error();
    } else if (Result<uint64_t> period = meta.unsignedInteger(pattern); !period) {
      return period.error();
    }
  }
  if (p.family->windowsRotateAlone && !meta.has(name)) // else it would be a guess that no layer has positions
    return meta.unsignedInteger(name).error();
  Result<uint64_t> window = meta.has(name) ? meta.unsignedInteger(name) : Result<uint64_t>(uint64_t(p.family->window));
  if (!window)
    return window.error();
  if (*window > kMostContext)
    return refuse(ErrorCode::ModelRange, name,
                  "expects at most " + std::to_string(kMostContext) + ", but got " + std::to_string(*window));
  p.window = static_cast<uint32_t>(*window);
  if (p.window == 0)
    return Done{};
  if (!stored && p.family->windowPeriod == kNotKnown) {
    // A window that reaches over the whole context is none.
    if (p.window >= p.context) {
      p.window = 0;
      return Done{};
    }
    return refuse(ErrorCode::ModelFeature, name,
                  "expects 0, the context length " + std::to_string(p.context) +
                      " or more, or attention.sliding_window_pattern to say which layers have it, but got " +
                      std::to_string(p.window));
  }
  if (!stored)
    return readWindowPattern(static_cast<uint64_t>(p.family->windowPeriod));
  if (stored->type != GgufType::Array) {
    Result<uint64_t> period = meta.unsignedInteger(pattern);
    if (!period)
      return period.error();
    return readWindowPattern(*period);
  }
  if (stored->count != p.layers)
    return refuse(ErrorCode::ModelLayerArray, pattern,
                  "expects an array of " + std::to_string(p.layers) + " elements, one a layer, but got " +
                      std::to_string(stored->count));
  Result<std::vector<int64_t>> flags = meta.integers(pattern);
  if (!flags)
    return flags.error();
  for (uint32_t i = 0; i < p.layers; ++i)
    p.local[i] = (*flags)[i] != 0;
  return Done{};
}

/// With period n, layer i has the window where n is 0 or i mod n < n - 1.
Status Reader::readWindowPattern(uint64_t period) {
  for (uint32_t i = 0; i < p.layers; ++i)
    p.local[i] = period == 0 || i % period < period - 1;
  return Done{};
}

Result<ModelParameters> Reader::read() {
  for (Status (Reader::*step)() : {&Reader::readIdentity, &Reader::readSizes, &Reader::readHeads, &Reader::experts,
                                   &Reader::readFeatures, &Reader::readScales, &Reader::readRope, &Reader::readWindow})
    if (Status status = (this->*step)(); !status)
      return status.error();
  if (Status status = checkUnreadKeys(meta, log, p.architecture); !status)
    return status.error();
  if (p.family->windowsRotateAlone)
    p.rotates = p.local;
  p.tiedHead = checkpoint.tensor("output.weight") == nullptr;
  return p;
}

#undef STEPDOWN_CHECK

} // namespace

Result<ModelParameters> readParameters(const Checkpoint &checkpoint) { return Reader(checkpoint).read(); }

std::string supportedArchitectures() {
  std::string names;
  for (const Family &family : families)
    names += (names.empty() ? "" : ", ") + std::string(family.architecture);
  return names;
}

} // namespace stepdown
