// adapter_config.json of a PEFT folder: what an adapter is, and what each linear's rank and scale are. Source: the
// fields of LoraConfig of github.com/huggingface/peft 0.17, and LoraModel for what the patterns mean.
#pragma once
#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include <map>

namespace stepdown {

class PeftConfig {
public:
  /// E1471 for whatever is no LoRA of linears, or not known.
  static Result<PeftConfig> read(const JsonObject &config);

  /// Of the linear `module`: "model.layers.0.self_attn.q_proj".
  uint64_t rank(const std::string &module) const;
  double scale(const std::string &module) const;
  bool dora() const { return hasMagnitudes; }
  /// E1472 where the config says that `module` is not adapted.
  Status expectTarget(const std::string &file, const std::string &module) const;
  /// E1472 where one of target_modules names none of `modules`.
  Status everyTargetIn(const std::vector<std::string> &modules, const std::string &file) const;

private:
  uint64_t usualRank = 0;
  double usualAlpha = 0;
  bool rankStabilised = false, hasMagnitudes = false;
  std::vector<std::pair<std::string, double>> ranks, alphas; ///< by pattern; the first that fits counts
  std::vector<std::string> targets;                          ///< empty: a pattern, which says nothing here
};

} // namespace stepdown
