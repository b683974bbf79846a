#include "lib/Checkpoint/HuggingFace/ConfigKeys.h"

namespace stepdown {
namespace {

/// Keys of config.json that change nothing of what is computed from a text, and why.
constexpr struct {
  const char *name, *reason;
} harmless[] = {
    {"_name_or_path", "where the file is from"},
    {"transformers_version", "what wrote the file"},
    {"transformers.js_config", "for another program"},
    {"auto_map", "code of the model's own for transformers, which is not run"},
    {"torch_dtype", "each tensor says its own type"},
    {"dtype", "each tensor says its own type"},
    {"use_cache", "how transformers computes"},
    {"_flash_attn_2_enabled", "how transformers computes"},
    {"tokenizer_class", "tokenizer.json says all"},
    {"max_sequence_length", "max_position_embeddings says it"},
    {"model_max_length", "the same"},
    {"do_sample", "advice to those who sample"},
    {"cache_implementation", "how transformers computes"},
    {"_attn_implementation", "how transformers computes"},
    {"_attn_implementation_autoset", "how transformers computes"},
    {"attn_implementation", "how transformers computes"},
    {"initializer_range", "for training"},
    {"attention_dropout", "for training"},
    {"hidden_dropout", "for training"},
    {"resid_pdrop", "for training"},
    {"embd_pdrop", "for training"},
    {"pad_token_id", "batches are not padded"},
    {"use_sliding_window", "read where the family has windows that it switches"},
    {"max_window_layers", "the same"},
    {"is_llama_config", "a note of the model's training"},
    {"rope_interleaved", "refused where it is true"},
    {"unsloth_fixed", "a note of a tool"},
    {"unsloth_version", "a note of a tool"},
    // What every PreTrainedConfig has and a decoder of text does not use.
    {"return_dict", "how transformers computes"},
    {"id2label", "for classifiers"},
    {"label2id", "for classifiers"},
    {"max_length", "advice to those who sample"},
    {"min_length", "advice to those who sample"},
    {"temperature", "advice to those who sample"},
    {"top_k", "advice to those who sample"},
    {"top_p", "advice to those who sample"},
    {"typical_p", "advice to those who sample"},
    {"num_beams", "advice to those who sample"},
    {"num_beam_groups", "advice to those who sample"},
    {"num_return_sequences", "advice to those who sample"},
    {"diversity_penalty", "advice to those who sample"},
    {"repetition_penalty", "advice to those who sample"},
    {"length_penalty", "advice to those who sample"},
};

/// What the family is in any case.
Status readFixed(const JsonObject &config, const FolderFamily &family) {
  for (size_t i = 0; i < family.fixedCount; ++i) {
    const FixedKey &each = family.fixed[i];
    const nlohmann::json *value = config.find(each.name); // which is asked for then
    if (value && each.value && *value != nlohmann::json::parse(each.value))
      return config.refuse(each.name, std::string("expects ") + each.value);
  }
  return Done{};
}

} // namespace

Status checkConfigKeys(const JsonObject &config, const FolderFamily &family) {
  if (Status fixed = readFixed(config, family); !fixed)
    return fixed;
  for (const auto &rule : harmless)
    config.skip(rule.name);
  for (const std::string &name : config.unread())
    if (!asksForNothing(*config.find(name.c_str())))
      return config.refuse(ErrorCode::ConfigKey, name.c_str(),
                           std::string("expects no such key (model_type ") + family.modelType +
                               " reads none, and what it changes is not known)");
  return Done{};
}

} // namespace stepdown
