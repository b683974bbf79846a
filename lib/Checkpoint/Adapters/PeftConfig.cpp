#include "lib/Checkpoint/Adapters/PeftConfig.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/KeyReader.h"

#include <algorithm>
#include <cmath>

namespace stepdown {
namespace {

constexpr uint64_t mostRank = 1u << 16;

/// Keys that change nothing of what an adapter computes once it is trained.
constexpr const char *notes[] = {"auto_mapping",
                                 "base_model_name_or_path",
                                 "revision",
                                 "task_type",
                                 "inference_mode",
                                 "lora_dropout",
                                 "loftq_config",
                                 "eva_config",
                                 "corda_config",
                                 "lora_ga_config",
                                 "peft_version",
                                 "exclude_modules",
                                 "layers_to_transform",
                                 "layers_pattern",
                                 "megatron_core",
                                 "ensure_weight_tying",
                                 "runtime_config",
                                 "qalora_group_size"};

/// Whether `pattern` of rank_pattern or alpha_pattern means `module`: all of it, or what is behind one of its points.
/// PEFT reads patterns as regular expressions; names are what people write, and all that is taken here.
bool fits(const std::string &pattern, const std::string &module) {
  if (pattern.front() == '^')
    return pattern.compare(1, pattern.npos, module) == 0;
  if (pattern.size() > module.size() || module.compare(module.size() - pattern.size(), pattern.size(), pattern) != 0)
    return false;
  return pattern.size() == module.size() || module[module.size() - pattern.size() - 1] == '.';
}

bool isName(const std::string &pattern) {
  const size_t from = !pattern.empty() && pattern.front() == '^';
  return pattern.size() > from && std::all_of(pattern.begin() + from, pattern.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
                  c == '-';
         });
}

Status readPatterns(const JsonObject &config, const char *key, bool whole,
                    std::vector<std::pair<std::string, double>> &patterns) {
  if (!config.has(key))
    return Done{};
  Result<JsonObject> object = config.object(key);
  if (!object)
    return object.error();
  for (const auto &member : object->value().items()) {
    const std::string &pattern = member.key();
    if (!isName(pattern))
      return object->refuse(pattern.c_str(), "expects the name of a linear, or its end, as key, and no other pattern");
    Result<double> value = object->real(pattern.c_str());
    if (!value)
      return value.error();
    if (whole && (*value < 1 || *value > double(mostRank) || *value != std::floor(*value)))
      return object->refuse(pattern.c_str(), "expects a whole number from 1 to " + std::to_string(mostRank));
    if (!kAnyPositive.holds(*value))
      return object->refuse(pattern.c_str(), "expects " + kAnyPositive.text());
    patterns.emplace_back(pattern, *value);
  }
  return Done{};
}

double chosen(const std::vector<std::pair<std::string, double>> &patterns, const std::string &module, double usual) {
  for (const auto &[pattern, value] : patterns)
    if (fits(pattern, module))
      return value;
  return usual;
}

/// Initialisations that leave the base model as it is; others put a part of its weights into the adapter.
Status checkInitialisation(const JsonObject &config) {
  const nlohmann::json *value = config.find("init_lora_weights");
  if (!value || value->is_boolean())
    return Done{};
  if (value->is_string())
    for (const char *name : {"gaussian", "eva", "orthogonal"})
      if (*value == name)
        return Done{};
  return config.refuse("init_lora_weights",
                       "expects true, false, gaussian, eva or orthogonal, since other ways change the base model");
}

} // namespace

Result<PeftConfig> PeftConfig::read(const JsonObject &config) {
  PeftConfig made;
  Result<std::string> type = config.text("peft_type");
  if (!type)
    return type.error();
  if (*type != "LORA")
    return config.refuse("peft_type", "expects 'LORA'");
  Result<std::string> bias = config.text("bias", "none");
  if (!bias)
    return bias.error();
  if (*bias != "none")
    return config.refuse("bias", "expects 'none': biases of an adapter are not read");
  if (config.has("fan_in_fan_out") && !asksForNothing(*config.find("fan_in_fan_out")))
    return config.refuse("fan_in_fan_out", "expects false: weights [in, out], as of GPT-2, are not adapted here");
  if (config.has("modules_to_save") && !asksForNothing(*config.find("modules_to_save")))
    return config.refuse("modules_to_save", "expects none: whole weights of an adapter are not read");
  if (Status initial = checkInitialisation(config); !initial)
    return initial.error();
  Result<uint64_t> rank = config.count("r");
  if (!rank)
    return rank.error();
  if (*rank < 1 || *rank > mostRank)
    return config.refuse("r", "expects a whole number from 1 to " + std::to_string(mostRank));
  made.usualRank = *rank;
  Result<double> alpha = config.real("lora_alpha");
  if (!alpha)
    return alpha.error();
  if (!kAnyPositive.holds(*alpha))
    return config.refuse("lora_alpha", "expects " + kAnyPositive.text());
  made.usualAlpha = *alpha;
  for (const auto &[key, place] :
       {std::pair("use_rslora", &made.rankStabilised), std::pair("use_dora", &made.hasMagnitudes)}) {
    Result<bool> value = config.boolean(key, false);
    if (!value)
      return value.error();
    *place = *value;
  }
  if (Status read = readPatterns(config, "rank_pattern", true, made.ranks); !read)
    return read.error();
  if (Status read = readPatterns(config, "alpha_pattern", false, made.alphas); !read)
    return read.error();
  if (const nlohmann::json *targets = config.find("target_modules"); targets && targets->is_array()) {
    Result<std::vector<std::string>> names = config.texts("target_modules");
    if (!names)
      return names.error();
    made.targets = std::move(*names);
  } else if (targets && !targets->is_string()) {
    return config.refuse("target_modules", "expects a text or a list of texts");
  }
  for (const char *note : notes)
    config.skip(note);
  for (const std::string &key : config.unread()) // lora_bias, use_qalora, layer_replication, target_parameters ...
    if (!asksForNothing(*config.find(key.c_str())))
      return config.refuse(key.c_str(), "expects no such key, or one that asks for nothing");
  return made;
}

uint64_t PeftConfig::rank(const std::string &module) const {
  return static_cast<uint64_t>(chosen(ranks, module, static_cast<double>(usualRank)));
}

double PeftConfig::scale(const std::string &module) const {
  const double r = static_cast<double>(rank(module));
  return chosen(alphas, module, usualAlpha) / (rankStabilised ? std::sqrt(r) : r);
}

Status PeftConfig::expectTarget(const std::string &file, const std::string &module) const {
  // PEFT takes the first of the file, whose order is not kept here.
  for (const auto &[key, patterns] : {std::pair("rank_pattern", &ranks), std::pair("alpha_pattern", &alphas)})
    for (const auto &[pattern, value] : *patterns)
      if (fits(pattern, module) && value != chosen(*patterns, module, value))
        return fail(ErrorCode::AdapterValue,
                    "%s: tensors of '%s': expects patterns of %s that agree, but got %g and %g", file.c_str(),
                    printable(module).c_str(), key, chosen(*patterns, module, value), value);
  if (targets.empty() ||
      std::any_of(targets.begin(), targets.end(), [&](const std::string &t) { return !t.empty() && fits(t, module); }))
    return Done{};
  return fail(ErrorCode::AdapterTensor,
              "%s: tensors of '%s': expects a linear that target_modules of adapter_config.json names", file.c_str(),
              printable(module).c_str());
}

Status PeftConfig::everyTargetIn(const std::vector<std::string> &modules, const std::string &file) const {
  for (const std::string &target : targets)
    if (target.empty() ||
        std::none_of(modules.begin(), modules.end(), [&](const std::string &module) { return fits(target, module); }))
      return fail(ErrorCode::AdapterTensor, "%s: expects tensors of '%s', which target_modules names, but got none",
                  file.c_str(), printable(target).c_str());
  return Done{};
}

} // namespace stepdown
