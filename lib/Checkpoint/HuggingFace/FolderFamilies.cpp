#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"
#include "lib/Checkpoint/HuggingFace/FolderRules.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace stepdown {
namespace {

using Windows = FolderFamily::Windows;
#define SILU "hidden_act", "silu"
#define GELU "hidden_activation", "gelu_pytorch_tanh"

// What few have beside the rest of a row.
constexpr FolderFamily patterned(FolderFamily row, uint64_t pattern) {
  row.windows = Windows::Pattern;
  row.pattern = pattern;
  return row;
}
/// `localTheta`: 0 for the base of the other layers.
constexpr FolderFamily localRope(FolderFamily row, double localTheta) {
  row.localRope = true;
  row.localTheta = localTheta;
  return row;
}
constexpr FolderFamily capped(FolderFamily row, double logitCap, double scoreCap) {
  row.logitCap = logitCap;
  row.scoreCap = scoreCap;
  return row;
}
/// q, k and v alone have the biases of `key`, by default.
constexpr FolderFamily inputBiased(FolderFamily row, const char *key) {
  row.inputBias = true;
  row.inputBiasKey = key;
  return row;
}
constexpr FolderFamily partlyRotated(FolderFamily row, double part) {
  row.partialRotary = true;
  row.rotaryPart = part;
  return row;
}
constexpr FolderFamily alsoCalled(FolderFamily row, const char *activation) {
  row.activationToo = activation;
  return row;
}
constexpr FolderFamily stretched(FolderFamily row) {
  row.stretchedBase = true;
  return row;
}
constexpr FolderFamily multiplied(FolderFamily row) {
  row.multipliers = true;
  return row;
}
constexpr FolderFamily encoding(FolderFamily row) {
  row.encoder = true;
  return row;
}
constexpr FolderFamily sliced(FolderFamily row) {
  row.slices = true;
  return row;
}
constexpr FolderFamily unrotated(FolderFamily row, uint64_t period) {
  row.unrotatedPeriod = period;
  return row;
}

constexpr FolderFamily mixed(FolderFamily row, const ExpertKeys &experts) {
  row.experts = &experts;
  return row;
}
constexpr FolderFamily clamped(FolderFamily row) {
  row.clampedGate = true;
  return row;
}

constexpr FolderFamily shifted(FolderFamily row, const char *epsilonKey) {
  row.layerNorms = true;
  row.epsilonKey = epsilonKey;
  return row;
}
template <size_t Count> constexpr FolderFamily fixedAt(FolderFamily row, const FixedKey (&keys)[Count]) {
  row.fixed = keys;
  row.fixedCount = Count;
  return row;
}
constexpr FolderFamily biased(FolderFamily row) {
  row.biased = true;
  return row;
}
constexpr FolderFamily adjacent(FolderFamily row, double logitFactor) {
  row.adjacent = true;
  row.logitFactor = logitFactor;
  return row;
}
constexpr FolderFamily placed(FolderFamily row, const SizeKeys &sizes, const char *classEnding) {
  row.learnedPositions = true;
  row.sizes = &sizes;
  row.classEnding = classEnding;
  return row;
}

// Defaults: those of the configuration classes of transformers 5.24.
constexpr FolderFamily families[] = {
    encoding({"bert", "bert", bert, std::size(bert), "hidden_act", "gelu", Windows::None, 0, 0, 1e4, false, true, false,
              nullptr, nullptr, true, false}),
    fixedAt(adjacent(shifted({"cohere", "command-r", cohere2, std::size(cohere2), SILU, Windows::None, 0, 0, 5e5, false,
                              true, false, "attention_bias", nullptr, false, false},
                             "layer_norm_eps"),
                     0.0625),
            cohereFixed),
    fixedAt(adjacent(shifted(patterned({"cohere2", "cohere2", cohere2, std::size(cohere2), SILU, Windows::None, 0, 0,
                                        1e4, true, true, false, "attention_bias", nullptr, false, false},
                                       4),
                             "layer_norm_eps"),
                     0.0625),
            cohere2Fixed),
    adjacent({"ernie4_5", "ernie4_5", llama, std::size(llama), SILU, Windows::None, 2, 128, 5e5, false, true, false,
              "use_bias", "use_bias", false, false},
             0),
    // "gelu" of its first files means the same.
    fixedAt(alsoCalled({"gemma", "gemma", gemma, std::size(gemma), "hidden_act", "gelu_pytorch_tanh", Windows::None, 16,
                        256, 1e4, false, true, false, "attention_bias", nullptr, false, false},
                       "gelu"),
            gemmaFixed),
    capped(patterned({"gemma2", "gemma2", gemma2, std::size(gemma2), GELU, Windows::None, 4, 256, 1e4, true, true,
                      false, "attention_bias", nullptr, false, false},
                     2),
           30, 50),
    capped(localRope(patterned({"gemma3_text", "gemma3", gemma3, std::size(gemma3), GELU, Windows::None, 4, 256, 1e6,
                                true, true, false, "attention_bias", nullptr, false, false},
                               6),
                     1e4),
           0, kNotRead),
    adjacent(partlyRotated(inputBiased({"glm", "chatglm", glm, std::size(glm), SILU, Windows::None, 2, 128, 1e4, false,
                                        false, true, nullptr, nullptr, true, false},
                                       "attention_bias"),
                           0.5),
             0),
    adjacent(partlyRotated(inputBiased({"glm4", "glm4", glm4, std::size(glm4), SILU, Windows::None, 2, 128, 1e4, false,
                                        false, true, nullptr, nullptr, true, false},
                                       "attention_bias"),
                           0.5),
             0),
    fixedAt(biased(placed(shifted({"gpt2", "gpt2", gpt2, std::size(gpt2), "activation_function", "gelu_new",
                                   Windows::None, 0, 0, 1e4, false, true, false, nullptr, nullptr, true, false},
                                  "layer_norm_epsilon"),
                          gpt2Sizes, "LMHeadModel")),
            gpt2Fixed),
    // "gelu_new" is the same formula.
    fixedAt(alsoCalled(biased(placed(shifted({"gpt_bigcode", "starcoder", gptBigCode, std::size(gptBigCode),
                                              "activation_function", "gelu_pytorch_tanh", Windows::None, 1, 0, 1e4,
                                              false, true, false, nullptr, nullptr, true, false},
                                             "layer_norm_epsilon"),
                                     gpt2Sizes, "ForCausalLM")),
                       "gelu_new"),
            gptBigCodeFixed),
    clamped(mixed(patterned({"gpt_oss", "gpt-oss", gptOss, std::size(gptOss), SILU, Windows::None, 8, 64, 1.5e5, false,
                             false, false, "attention_bias", nullptr, false, false},
                            2),
                  gptOssExperts)),
    multiplied({"granite", "granite", llama, std::size(llama), SILU, Windows::None, 0, 0, 1e4, false, false, false,
                "attention_bias", "mlp_bias", false, false}),
    mixed(multiplied({"granitemoe", "granitemoe", graniteMoe, std::size(graniteMoe), SILU, Windows::None, 0, 0, 1e4,
                      false, false, false, "attention_bias", nullptr, false, false}),
          graniteExperts),
    fixedAt(stretched({"hunyuan_v1_dense", "hunyuan-dense", hunyuan, std::size(hunyuan), SILU, Windows::None, 0, 0, 1e4,
                       false, false, false, "attention_bias", nullptr, false, false}),
            hunyuanFixed),
    fixedAt(sliced({"internlm2", "internlm2", internLm2, std::size(internLm2), SILU, Windows::None, 0, 0, 1e4, false,
                    false, false, nullptr, nullptr, false, false}),
            internLm2Fixed),
    sliced({"llama", "llama", llama, std::size(llama), SILU, Windows::None, 0, 0, 1e4, false, false, false,
            "attention_bias", "mlp_bias", false, false}),
    {"mistral", "llama", llama, std::size(llama), SILU, Windows::All, 8, 0, 1e4, true, false, false, nullptr, nullptr,
     false, false},
    mixed({"mixtral", "llama", mixtral, std::size(mixtral), SILU, Windows::All, 8, 0, 1e6, false, false, false, nullptr,
           nullptr, false, false},
          mixtralExperts),
    {"olmo2", "olmo2", olmo2, std::size(olmo2), SILU, Windows::None, 0, 0, 1e4, false, false, false, "attention_bias",
     nullptr, false, false},
    localRope(patterned({"olmo3", "olmo2", olmo2, std::size(olmo2), SILU, Windows::None, 0, 0, 5e5, true, false, false,
                         "attention_bias", nullptr, false, false},
                        4),
              0),
    mixed({"olmoe", "olmoe", qwen3Moe, std::size(qwen3Moe), SILU, Windows::None, 0, 0, 1e4, false, false, false,
           "attention_bias", nullptr, false, false},
          olmoExperts),
    {"phi3", "phi3", phi3, std::size(phi3), SILU, Windows::All, 0, 0, 1e4, false, false, true, nullptr, nullptr, false,
     true},
    {"qwen2", "qwen2", llama, std::size(llama), SILU, Windows::Switched, 32, 0, 1e4, false, false, false, nullptr,
     nullptr, true, false},
    fixedAt(mixed({"qwen2_moe", "qwen2moe", qwen2Moe, std::size(qwen2Moe), SILU, Windows::Off, 16, 0, 1e4, false, false,
                   false, nullptr, nullptr, true, false},
                  qwen2Experts),
            qwen2MoeFixed),
    {"qwen3", "qwen3", qwen3, std::size(qwen3), SILU, Windows::Switched, 32, 128, 1e4, false, false, false,
     "attention_bias", nullptr, false, false},
    mixed({"qwen3_moe", "qwen3moe", qwen3Moe, std::size(qwen3Moe), SILU, Windows::Off, 4, 0, 1e4, false, false, false,
           "attention_bias", nullptr, false, false},
          qwen3Experts),
    fixedAt(inputBiased({"seed_oss", "seed_oss", seedOss, std::size(seedOss), SILU, Windows::None, 8, 128, 1e4, false,
                         false, false, "attention_out_bias", "mlp_bias", true, false},
                        "attention_bias"),
            seedOssFixed),
    unrotated({"smollm3", "smollm3", llama, std::size(llama), SILU, Windows::None, 4, 0, 2e6, false, true, false,
               "attention_bias", "mlp_bias", false, false},
              4),
    fixedAt(biased(shifted({"starcoder2", "starcoder2", starCoder2, std::size(starCoder2), "hidden_act",
                            "gelu_pytorch_tanh", Windows::All, 2, 0, 1e4, false, true, false, "use_bias", "use_bias",
                            false, false},
                           "norm_epsilon")),
            starCoder2Fixed),
};

/// Whether `name` is `pattern` with a number for "{}" and one for "<>", which have no zero in front and at most nine
/// digits.
bool matches(const char *pattern, const std::string &name, uint64_t &layer, uint64_t &expert) {
  layer = expert = 0;
  size_t at = 0;
  for (; *pattern; ++pattern) {
    const bool isLayer = std::strncmp(pattern, "{}", 2) == 0, isExpert = std::strncmp(pattern, "<>", 2) == 0;
    if (!isLayer && !isExpert) {
      if (at == name.size() || name[at++] != *pattern)
        return false;
      continue;
    }
    ++pattern; // of its two
    const size_t before = at;
    uint64_t number = 0;
    for (; at < name.size() && at - before < 9 && name[at] >= '0' && name[at] <= '9'; ++at)
      number = number * 10 + static_cast<uint64_t>(name[at] - '0');
    if (at == before || (name[before] == '0' && at != before + 1))
      return false;
    (isLayer ? layer : expert) = number;
  }
  return at == name.size();
}

} // namespace

const FolderFamily *folderFamily(const std::string &modelType) {
  const auto *row = std::find_if(std::begin(families), std::end(families),
                                 [&](const FolderFamily &each) { return modelType == each.modelType; });
  return row == std::end(families) ? nullptr : row;
}

std::vector<std::string> folderModelTypes() {
  std::vector<std::string> names;
  for (const FolderFamily &family : families)
    names.push_back(family.modelType);
  return names;
}

const TensorRule *ruleOf(const FolderFamily &family, const std::string &name, uint64_t &layer, uint64_t &expert) {
  for (size_t i = 0; i < family.ruleCount; ++i)
    if (matches(family.rules[i].theirs, name, layer, expert))
      return &family.rules[i];
  return nullptr;
}

std::string numbered(std::string pattern, uint64_t layer) {
  if (const size_t hole = pattern.find("{}"); hole != pattern.npos)
    pattern.replace(hole, 2, std::to_string(layer));
  return pattern;
}

} // namespace stepdown
