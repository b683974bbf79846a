#include "lib/Checkpoint/HuggingFace/Config.h"
#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/ConfigKeys.h"
#include "lib/Checkpoint/HuggingFace/Encoder.h"

#include <cmath>

namespace stepdown {
namespace {

using Windows = FolderFamily::Windows;

/// Whether `name` is an architecture of GGUF files none of whose folders are read.
bool isOfGgufAlone(const std::string &name) {
  for (const std::string &modelType : folderModelTypes())
    if (name == folderFamily(modelType)->architecture)
      return name == "chatglm"; // glm is the same family, whose folders name their tensors otherwise
  return (", " + supportedArchitectures() + ", ").find(", " + name + ", ") != std::string::npos;
}

class ConfigReader {
public:
  ConfigReader(const JsonObject &config, PairWriter &pairs) : config(config), pairs(pairs) {}
  Result<FolderConfig> read(const JsonObject *generation);

private:
  Status readKind();
  Status readSizes();
  Status readSwitches();
  Status readScales();
  Status readUnrotated();
  Status readWindows();
  Status readExperts();
  Status readIds(const JsonObject *generation);

  std::string key(const char *name) const { return std::string(c.family->architecture) + "." + name; }
  Status expect(const char *name, bool value);

  const JsonObject &config;
  PairWriter &pairs;
  FolderConfig c{};
  uint64_t headSize = 0, context = 0;
};

#define STEPDOWN_CHECK(STATUS)                                                                                         \
  if (Status status = (STATUS); !status)                                                                               \
  return status

Status ConfigReader::readKind() {
  Result<std::string> type = config.text("model_type");
  if (!type)
    return type.error();
  c.family = folderFamily(*type);
  if (!c.family && isOfGgufAlone(*type)) // whose folders bring code of their own
    return config.refuse(ErrorCode::ConfigArchitecture, "model_type",
                         "expects a GGUF file in place of the folder where it is " + *type +
                             " (whose folders are not read: convert it)");
  if (!c.family)
    return config.refuse(ErrorCode::ConfigArchitecture, "model_type",
                         "expects " + alternatives(folderModelTypes()) + suggestion(*type, folderModelTypes()));
  if (config.has("quantization_config")) {
    Result<FolderQuantization> form = readQuantization(config);
    if (!form)
      return form.error();
    c.quantization = *form;
    const TensorRule *rules = c.family->rules, *end = rules + c.family->ruleCount;
    if (form->form == FolderQuantization::Form::Mxfp4 &&
        std::none_of(rules, end, [](const TensorRule &rule) { return rule.kind == TensorRule::Kind::Blocks; }))
      return config.refuse(ErrorCode::FolderQuantization, "quantization_config",
                           "expects mxfp4 of gpt_oss alone, and model_type is " + *type);
  }
  if (config.has("architectures")) { // the class, of which one computes logits
    Result<std::vector<std::string>> classes = config.texts("architectures");
    if (!classes)
      return classes.error();
    const std::string_view ending = c.family->encoder ? "Model" : c.family->classEnding; // "Model": without a head
    for (const std::string &name : *classes)
      if (name.size() < ending.size() || name.compare(name.size() - ending.size(), ending.size(), ending) != 0)
        return fail(ErrorCode::ConfigArchitecture,
                    "%s: key 'architectures': expects a class that ends in %s, but got '%s'", config.file().c_str(),
                    std::string(ending).c_str(), printable(name).c_str());
  }
  pairs.add("general.architecture", c.family->architecture);
  return Done{};
}

Status ConfigReader::readSizes() {
  const SizeKeys &named = *c.family->sizes;
  const struct {
    const char *theirs, *ours;
    uint64_t most;
  } sizes[] = {{named.width, "embedding_length", kMostWidth},     {named.layers, "block_count", kMostLayers},
               {named.inner, "feed_forward_length", kMostWidth},  {named.context, "context_length", kMostContext},
               {named.heads, "attention.head_count", kMostHeads}, {"vocab_size", "vocab_size", kMostVocabulary}};
  uint64_t values[std::size(sizes)];
  for (size_t i = 0; i < std::size(sizes); ++i) {
    const bool follows = sizes[i].theirs == named.inner && named.innerLeft;
    Result<uint64_t> value =
        follows ? config.count(named.inner, named.innerLeft * values[0]) : config.count(sizes[i].theirs);
    if (!value)
      return value.error();
    if (*value == 0 || *value > sizes[i].most) // nothing is made for them before
      return config.refuse(sizes[i].theirs, "expects 1 to " + std::to_string(sizes[i].most));
    pairs.add(key(sizes[i].ours), values[i] = *value);
  }
  const uint64_t width = values[0], heads = values[4];
  c.layers = values[1], c.vocabulary = values[5];
  context = values[3];
  // Null is no default: it says as many as query heads.
  const char *keyValueKey = "num_key_value_heads";
  const bool asQuery = c.family->keyValueHeads == 0 || config.value().contains(keyValueKey);
  Result<uint64_t> keyValueHeads = config.count(keyValueKey, asQuery ? heads : c.family->keyValueHeads);
  if (!keyValueHeads)
    return keyValueHeads.error();
  if (*keyValueHeads == 0 || heads % *keyValueHeads != 0)
    return config.refuse(keyValueKey,
                         std::string("expects a divisor of ") + named.heads + ", " + std::to_string(heads));
  pairs.add(key("attention.head_count_kv"), *keyValueHeads);
  Result<uint64_t> size = config.count("head_dim", c.family->headSize ? c.family->headSize : width / heads);
  if (!size)
    return size.error();
  if (c.family->headSize && config.value().contains("head_dim") && !config.has("head_dim"))
    return config.refuse("head_dim", "expects a whole number from 0 on, or no such key");
  if (!config.has("head_dim") && !c.family->headSize && width % heads != 0)
    return config.refuse(named.width,
                         std::string("expects a multiple of ") + named.heads + " where head_dim is missing");
  headSize = *size;
  if (headSize == 0 || headSize > kMostHeadSize) // before anything is made for its pairs
    return config.refuse(config.has("head_dim") ? "head_dim" : named.width,
                         "expects heads of 1 to " + std::to_string(kMostHeadSize) + " elements");
  pairs.add(key("attention.key_length"), headSize);
  pairs.add(key("attention.value_length"), headSize);
  c.width = width;
  if (c.family->encoder)
    return readEncoderConfig(config, *c.family, pairs);
  Result<double> epsilon = realWithin(config, c.family->epsilonKey, kEpsilons);
  if (!epsilon)
    return epsilon.error();
  pairs.add(key(c.family->layerNorms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"), *epsilon);
  c.heads = heads, c.keyHeads = *keyValueHeads, c.headSize = headSize;
  if (c.family->learnedPositions)
    return Done{};
  return readRope(config, *c.family, headSize, context, pairs, c.made);
}

/// Refuses another value of `name`, where it is there.
Status ConfigReader::expect(const char *name, bool value) {
  Result<bool> stored = config.boolean(name, value);
  if (!stored)
    return stored.error();
  return *stored == value ? Status(Done{}) : config.refuse(name, value ? "expects true" : "expects false");
}

Status ConfigReader::readSwitches() {
  Result<std::string> activation = config.text(c.family->activationKey, c.family->activation);
  if (!activation)
    return activation.error();
  if (*activation != c.family->activation && (!c.family->activationToo || *activation != c.family->activationToo))
    return config.refuse(c.family->activationKey, std::string("expects '") + c.family->activation + "'");
  if (c.family->encoder) {
    c.tied = c.inputBias = c.outputBias = c.mlpBias = true;
    return Done{};
  }
  Result<bool> tied = config.boolean("tie_word_embeddings", c.family->tied);
  if (!tied)
    return tied.error();
  c.tied = *tied;
  for (auto [name, says] :
       {std::pair(c.family->attentionBiasKey, &c.outputBias), std::pair(c.family->mlpBiasKey, &c.mlpBias)})
    if (name) {
      Result<bool> bias = config.boolean(name, c.family->clampedGate || c.family->biased);
      if (!bias)
        return bias.error();
      *says = *bias;
    }
  c.mlpBias = c.mlpBias || c.family->clampedGate || (c.family->biased && !c.family->mlpBiasKey);
  c.outputBias = c.outputBias || (c.family->biased && !c.family->attentionBiasKey);
  c.inputBias = c.outputBias || c.family->inputBias;
  if (const char *name = c.family->inputBiasKey) {
    Result<bool> bias = config.boolean(name, c.family->inputBias);
    if (!bias)
      return bias.error();
    c.inputBias = *bias;
  }
  STEPDOWN_CHECK(expect("rope_interleaved", false));
  if (!c.family->slices)
    config.skip("pretraining_tp");
  else if (Result<uint64_t> slices = config.count("pretraining_tp", 1); !slices || *slices != 1)
    return config.refuse("pretraining_tp", "expects 1");
  // Phi 4: other values ask for what no class of transformers computes.
  for (const char *name : {"full_attn_mod", "interpolate_factor"})
    if (Result<uint64_t> one = config.count(name, 1); !one || *one != 1)
      return config.refuse(name, "expects 1");
  if (c.family->logitCap == kNotRead)
    return Done{};
  // What Gemma alone says.
  STEPDOWN_CHECK(expect("use_bidirectional_attention", false));
  config.skip("hidden_act"); // an older name of hidden_activation, which files have beside it
  // From the largest scale to the smallest positive one.
  Result<double> width = realWithin(config, "query_pre_attn_scalar", {0x1p-40, 0x1p252, false}, 256);
  if (!width)
    return width.error();
  pairs.add(key("attention.scale"), 1 / std::sqrt(*width));
  return Done{};
}

/// Soft caps, and Granite's multipliers.
Status ConfigReader::readScales() {
  for (auto [name, fallback] : {std::pair("final_logit_softcapping", c.family->logitCap),
                                std::pair("attn_logit_softcapping", c.family->scoreCap)}) {
    if (fallback == kNotRead)
      continue;
    // Null says that there is none.
    Result<double> cap = realWithin(config, name, kSoftcaps, config.value().contains(name) ? 0 : fallback);
    if (!cap)
      return cap.error();
    pairs.add(key(name), *cap);
  }
  if (const double left = c.family->logitFactor; left != 0) {
    Result<double> factor = realWithin(config, "logit_scale", {kScales.least, kScales.most, false}, left);
    if (!factor)
      return factor.error();
    pairs.add(key("logit_scale"), *factor);
  }
  if (!c.family->multipliers)
    return Done{};
  for (auto [theirs, ours] :
       {std::pair("embedding_multiplier", "embedding_scale"), std::pair("attention_multiplier", "attention.scale"),
        std::pair("residual_multiplier", "residual_scale"), std::pair("logits_scaling", "logit_scale")}) {
    // GGUF's 0 says that there is none.
    Result<double> number = realWithin(config, theirs, {kScales.least, kScales.most, false}, 1);
    if (!number)
      return number.error();
    pairs.add(key(ours), *number);
  }
  return Done{};
}

/// no_rope_layers, 1 for each layer that rotates: the pattern that GGUF files, which cannot say it, have.
Status ConfigReader::readUnrotated() {
  const uint64_t period = c.family->unrotatedPeriod;
  if (period == 0)
    return Done{};
  const std::string expected = "layers with positions, but for every " + std::to_string(period) + "th";
  Result<uint64_t> interval = config.count("no_rope_layer_interval", period);
  if (!interval)
    return interval.error();
  if (!config.has("no_rope_layers")) // which the interval makes
    return *interval == period ? Status(Done{}) : config.refuse("no_rope_layer_interval", "expects " + expected);
  Result<std::vector<uint64_t>> layers = config.counts("no_rope_layers");
  if (!layers)
    return layers.error();
  if (layers->size() != c.layers)
    return config.refuse("no_rope_layers", "expects one for each of " + std::to_string(c.layers) + " layers");
  for (uint64_t i = 0; i < c.layers; ++i)
    if ((*layers)[i] != ((i + 1) % period != 0))
      return config.refuse("no_rope_layers", "expects " + expected);
  return Done{};
}

Status ConfigReader::readWindows() {
  Result<uint64_t> window = config.count("sliding_window", 0);
  if (!window)
    return window.error();
  if (*window > kMostContext)
    return config.refuse("sliding_window", "expects at most " + std::to_string(kMostContext));
  if (c.family->saysWindow && !config.value().contains("sliding_window"))
    return config.refuse("sliding_window", "expects a whole number, or null where no layer has a window");
  // An older name, which files of Gemma 2 have beside it.
  if (Result<uint64_t> old = config.count("sliding_window_size", *window); !old || *old != *window)
    return config.refuse("sliding_window_size", "expects what sliding_window says, " + std::to_string(*window));
  const Windows kind = c.family->windows;
  if (kind == Windows::None || kind == Windows::Off) {
    if (config.has("layer_types")) {
      Result<std::vector<std::string>> types = config.texts("layer_types");
      if (!types)
        return types.error();
      for (const std::string &type : *types)
        if (type != "full_attention")
          return config.refuse("layer_types", "expects full_attention alone");
    }
    if (kind == Windows::Off)
      return expect("use_sliding_window", false);
    return *window ? Status(config.refuse("sliding_window", "expects none")) : Status(Done{});
  }
  if (kind == Windows::All) {
    if (*window)
      pairs.add(key("attention.sliding_window"), *window);
    return Done{};
  }
  if (kind == Windows::Switched) {
    Result<bool> on = config.boolean("use_sliding_window", false);
    if (!on)
      return on.error();
    if (!*on)
      *window = 0;
  }
  // Which layers: a list goes first, then the pattern that the family had before there was one.
  std::vector<int32_t> local;
  if (config.has("layer_types")) {
    Result<std::vector<std::string>> types = config.texts("layer_types");
    if (!types)
      return types.error();
    for (const std::string &type : *types) {
      if (type != "full_attention" && type != "sliding_attention")
        return fail(ErrorCode::ConfigValue,
                    "%s: key 'layer_types': expects full_attention or sliding_attention, but element %zu is '%s'",
                    config.file().c_str(), local.size(), printable(type).c_str());
      local.push_back(type == "sliding_attention");
    }
    if (local.size() != c.layers)
      return config.refuse("layer_types", "expects one for each of " + std::to_string(c.layers) + " layers");
    config.skip("sliding_window_pattern");
    config.skip("_sliding_window_pattern");
  } else {
    const bool switched = kind == Windows::Switched;
    const char *patternKey =
        config.has("_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";
    Result<uint64_t> number =
        switched ? config.count("max_window_layers", 28) : config.count(patternKey, c.family->pattern);
    if (!number)
      return number.error();
    if (!switched && *number == 0)
      return config.refuse(patternKey, "expects at least 1");
    for (uint64_t i = 0; i < c.layers; ++i)
      local.push_back(switched ? i >= *number : (i + 1) % *number != 0);
  }
  bool any = false;
  for (int32_t flag : local)
    any = any || flag;
  if (any && *window == 0)
    return config.refuse(ErrorCode::ConfigContradiction, "layer_types",
                         "expects full_attention alone where there is no sliding_window");
  // 0 is written too: without the key a family has the window that its GGUF files mean by that.
  pairs.add(key("attention.sliding_window"), any ? *window : 0);
  if (any)
    pairs.add(key("attention.sliding_window_pattern"), local);
  return Done{};
}

/// How many experts a layer has, and how a token's are chosen and weighed.
Status ConfigReader::readExperts() {
  const ExpertKeys *keys = c.family->experts;
  if (!keys)
    return Done{};
  Result<uint64_t> count = config.count(keys->count, keys->countLeft);
  Result<uint64_t> used = config.count("num_experts_per_tok", keys->usedLeft);
  Result<uint64_t> width = keys->width ? config.count(keys->width, keys->widthLeft) : Result<uint64_t>(uint64_t(0));
  for (const Result<uint64_t> *each : {&count, &used, &width})
    if (!*each)
      return each->error();
  if (*count == 0 || *count > kMostExperts)
    return config.refuse(keys->count, "expects 1 to " + std::to_string(kMostExperts));
  if (*used == 0 || *used > std::min<uint64_t>(*count, kMostExpertsUsed))
    return config.refuse("num_experts_per_tok",
                         "expects 1 to " + std::to_string(std::min<uint64_t>(*count, kMostExpertsUsed)));
  if (keys->width && (*width == 0 || *width > kMostWidth))
    return config.refuse(keys->width, "expects 1 to " + std::to_string(kMostWidth));
  c.experts = *count;
  pairs.add(key("expert_count"), *count);
  pairs.add(key("expert_used_count"), *used);
  if (keys->width)
    pairs.add(key("expert_feed_forward_length"), *width);
  if (keys->sharedWidth) {
    Result<uint64_t> shared = config.count(keys->sharedWidth, keys->sharedWidthLeft);
    if (!shared)
      return shared.error();
    if (*shared == 0 || *shared > kMostWidth)
      return config.refuse(keys->sharedWidth, "expects 1 to " + std::to_string(kMostWidth));
    pairs.add(key("expert_shared_feed_forward_length"), *shared);
  }
  for (const char *name : {"router_aux_loss_coef", "output_router_logits", "router_jitter_noise"}) // for training
    config.skip(name);
  if (keys->shares) {
    Result<bool> shares = config.boolean(keys->shares, false);
    if (!shares)
      return shares.error();
    if (*shares != keys->ofChosen)
      return config.refuse(keys->shares, keys->ofChosen ? "expects true" : "expects false");
  }
  if (Result<uint64_t> step = config.count("decoder_sparse_step", 1); !step || *step != 1)
    return config.refuse("decoder_sparse_step", "expects 1 (experts in every layer)");
  if (!c.family->clampedGate)
    return Done{};
  if (Result<uint64_t> again = config.count("experts_per_token", *used); !again || *again != *used)
    return config.refuse("experts_per_token", "expects what num_experts_per_tok says, " + std::to_string(*used));
  for (auto [name, only] : {std::pair("swiglu_limit", 7.0), std::pair("swiglu_alpha", 1.702)})
    if (Result<double> number = config.real(name, only); !number || *number != only)
      return config.refuse(name, only == 7 ? "expects 7" : "expects 1.702");
  config.skip("initial_context_length"); // what the rotary parameters say
  return Done{};
}

Status ConfigReader::readIds(const JsonObject *generation) {
  Result<std::vector<uint64_t>> ends = config.counts("eos_token_id");
  if (!ends)
    return ends.error();
  if (generation && generation->has("eos_token_id")) {
    ends = generation->counts("eos_token_id");
    if (!ends)
      return ends.error();
  }
  c.ends = std::move(*ends);
  if (config.has("bos_token_id")) {
    Result<uint64_t> bos = config.count("bos_token_id");
    if (!bos)
      return bos.error();
    c.bos = *bos;
  }
  return Done{};
}

Result<FolderConfig> ConfigReader::read(const JsonObject *generation) {
  for (Status (ConfigReader::*step)() :
       {&ConfigReader::readKind, &ConfigReader::readSizes, &ConfigReader::readSwitches, &ConfigReader::readScales,
        &ConfigReader::readUnrotated, &ConfigReader::readWindows, &ConfigReader::readExperts})
    if (Status status = (this->*step)(); !status)
      return status.error();
  if (Status status = readIds(generation); !status)
    return status.error();
  if (Status status = checkConfigKeys(config, *c.family); !status)
    return status.error();
  return std::move(c);
}

#undef STEPDOWN_CHECK

} // namespace

Result<double> realWithin(const JsonObject &object, const char *key, const KeyRange &range,
                          std::optional<double> fallback) {
  Result<double> number = fallback ? object.real(key, *fallback) : object.real(key);
  if (number && !range.holds(*number))
    return object.refuse(key, "expects " + range.text());
  return number;
}

Result<FolderConfig> readConfig(const JsonObject &config, const JsonObject *generation, PairWriter &pairs) {
  return ConfigReader(config, pairs).read(generation);
}

} // namespace stepdown
