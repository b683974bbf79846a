#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace stepdown {
namespace {

// What all have. Rotary frequencies were stored by old versions; they follow from config.json.
#define MODEL                                                                                                          \
  {"model.embed_tokens.weight", "token_embd.weight", false}, {"lm_head.weight", "output.weight", false}, {             \
    "model.layers.{}.self_attn.rotary_emb.inv_freq", nullptr, false                                                    \
  }
#define LINEAR(THEIRS, OURS)                                                                                           \
  {"model.layers.{}." THEIRS ".weight", "blk.{}." OURS ".weight", false}, {                                            \
    "model.layers.{}." THEIRS ".bias", "blk.{}." OURS ".bias", false                                                   \
  }
#define NORM(THEIRS, OURS, PLUS_ONE) {"model.layers.{}." THEIRS ".weight", "blk.{}." OURS ".weight", PLUS_ONE}
#define LAST_NORM(PLUS_ONE) {"model.norm.weight", "output_norm.weight", PLUS_ONE}
#define QKV                                                                                                            \
  LINEAR("self_attn.q_proj", "attn_q"), LINEAR("self_attn.k_proj", "attn_k"), LINEAR("self_attn.v_proj", "attn_v")
#define OUTPUT LINEAR("self_attn.o_proj", "attn_output")
#define GATED_MLP                                                                                                      \
  LINEAR("mlp.gate_proj", "ffn_gate"), LINEAR("mlp.up_proj", "ffn_up"), LINEAR("mlp.down_proj", "ffn_down")
#define TWO_NORMS NORM("input_layernorm", "attn_norm", false), NORM("post_attention_layernorm", "ffn_norm", false)

constexpr TensorRule llama[] = {MODEL, LAST_NORM(false), TWO_NORMS, QKV, OUTPUT, GATED_MLP};
constexpr TensorRule qwen3[] = {MODEL,
                                LAST_NORM(false),
                                TWO_NORMS,
                                QKV,
                                OUTPUT,
                                GATED_MLP,
                                NORM("self_attn.q_norm", "attn_q_norm", false),
                                NORM("self_attn.k_norm", "attn_k_norm", false)};
// The second norm stands behind attention, not before the MLP.
constexpr TensorRule gemma3[] = {MODEL,
                                 LAST_NORM(true),
                                 NORM("input_layernorm", "attn_norm", true),
                                 NORM("post_attention_layernorm", "post_attention_norm", true),
                                 NORM("pre_feedforward_layernorm", "ffn_norm", true),
                                 NORM("post_feedforward_layernorm", "post_ffw_norm", true),
                                 NORM("self_attn.q_norm", "attn_q_norm", true),
                                 NORM("self_attn.k_norm", "attn_k_norm", true),
                                 QKV,
                                 OUTPUT,
                                 GATED_MLP};
constexpr TensorRule gemma2[] = {MODEL,
                                 LAST_NORM(true),
                                 NORM("input_layernorm", "attn_norm", true),
                                 NORM("post_attention_layernorm", "post_attention_norm", true),
                                 NORM("pre_feedforward_layernorm", "ffn_norm", true),
                                 NORM("post_feedforward_layernorm", "post_ffw_norm", true),
                                 QKV,
                                 OUTPUT,
                                 GATED_MLP};
// Norms stand behind attention and the MLP alone.
constexpr TensorRule olmo2[] = {MODEL,
                                LAST_NORM(false),
                                NORM("post_attention_layernorm", "post_attention_norm", false),
                                NORM("post_feedforward_layernorm", "post_ffw_norm", false),
                                NORM("self_attn.q_norm", "attn_q_norm", false),
                                NORM("self_attn.k_norm", "attn_k_norm", false),
                                QKV,
                                OUTPUT,
                                GATED_MLP};
constexpr TensorRule phi3[] = {MODEL,
                               LAST_NORM(false),
                               TWO_NORMS,
                               LINEAR("self_attn.qkv_proj", "attn_qkv"),
                               OUTPUT,
                               LINEAR("mlp.gate_up_proj", "ffn_up"),
                               LINEAR("mlp.down_proj", "ffn_down")};

// Experts, each tensor of its own: of a layer's `AT` the gate, up and down projections, and what chooses.
#define EXPERT(THEIRS, OURS)                                                                                           \
  {"model.layers.{}." THEIRS ".weight", "blk.{}." OURS ".weight", false, TensorRule::Kind::Expert}
#define EXPERTS(AT, GATE, UP, DOWN)                                                                                    \
  LINEAR(AT ".gate", "ffn_gate_inp"), EXPERT(AT ".experts.<>." GATE, "ffn_gate_exps"),                                 \
      EXPERT(AT ".experts.<>." UP, "ffn_up_exps"), EXPERT(AT ".experts.<>." DOWN, "ffn_down_exps")
#define MLP_EXPERTS EXPERTS("mlp", "gate_proj", "up_proj", "down_proj")
constexpr TensorRule mixtral[] = {MODEL, LAST_NORM(false), TWO_NORMS,
                                  QKV,   OUTPUT,           EXPERTS("block_sparse_moe", "w1", "w3", "w2")};
constexpr TensorRule qwen3Moe[] = {MODEL,
                                   LAST_NORM(false),
                                   TWO_NORMS,
                                   QKV,
                                   OUTPUT,
                                   MLP_EXPERTS,
                                   NORM("self_attn.q_norm", "attn_q_norm", false),
                                   NORM("self_attn.k_norm", "attn_k_norm", false)};
#define STACK(THEIRS, OURS, KIND) {"model.layers.{}.mlp.experts." THEIRS, "blk.{}." OURS, false, TensorRule::Kind::KIND}
constexpr TensorRule gptOss[] = {MODEL,
                                 LAST_NORM(false),
                                 NORM("input_layernorm", "attn_norm", false),
                                 NORM("post_attention_layernorm", "post_attention_norm", false),
                                 QKV,
                                 OUTPUT,
                                 {"model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight", false},
                                 LINEAR("mlp.router", "ffn_gate_inp"),
                                 STACK("gate_up_proj_blocks", "ffn_gate_up_exps.weight", Blocks),
                                 STACK("gate_up_proj_scales", "ffn_gate_up_exps.weight", Scales),
                                 STACK("gate_up_proj_bias", "ffn_gate_up_exps.bias", Pair),
                                 STACK("down_proj_blocks", "ffn_down_exps.weight", Blocks),
                                 STACK("down_proj_scales", "ffn_down_exps.weight", Scales),
                                 STACK("down_proj_bias", "ffn_down_exps.bias", Plain)};
constexpr ExpertKeys mixtralExperts = {"num_local_experts", 8, 2, nullptr, 0, nullptr, true},
                     qwen3Experts = {"num_experts", 128, 8, "moe_intermediate_size", 768, "norm_topk_prob", true},
                     olmoExperts = {"num_experts", 64, 8, nullptr, 0, "norm_topk_prob", false},
                     gptOssExperts = {"num_local_experts", 128, 4, nullptr, 0, nullptr, true};

constexpr TensorRule qwen2Moe[] = {MODEL,
                                   LAST_NORM(false),
                                   TWO_NORMS,
                                   QKV,
                                   OUTPUT,
                                   MLP_EXPERTS,
                                   LINEAR("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
                                   LINEAR("mlp.shared_expert.up_proj", "ffn_up_shexp"),
                                   LINEAR("mlp.shared_expert.down_proj", "ffn_down_shexp"),
                                   LINEAR("mlp.shared_expert_gate", "ffn_gate_inp_shexp")};
constexpr ExpertKeys qwen2Experts = {
    "num_experts", 60, 4, "moe_intermediate_size", 1408, "norm_topk_prob", false, "shared_expert_intermediate_size",
    5632};
constexpr FixedKey qwen2MoeFixed[] = {{"qkv_bias", "true"}};

// Layer norms; those of Cohere have no bias.
#define BIASED_NORM(THEIRS, OURS)                                                                                      \
  NORM(THEIRS, OURS, false), { "model.layers.{}." THEIRS ".bias", "blk.{}." OURS ".bias", false }
constexpr TensorRule starCoder2[] = {MODEL,
                                     LAST_NORM(false),
                                     {"model.norm.bias", "output_norm.bias", false},
                                     BIASED_NORM("input_layernorm", "attn_norm"),
                                     BIASED_NORM("post_attention_layernorm", "ffn_norm"),
                                     QKV,
                                     OUTPUT,
                                     LINEAR("mlp.c_fc", "ffn_up"),
                                     LINEAR("mlp.c_proj", "ffn_down")};
constexpr FixedKey starCoder2Fixed[] = {{"mlp_type", "\"default\""},
                                        {"norm_type", "\"layer_norm\""},
                                        {"residual_dropout", nullptr},
                                        {"embedding_dropout", nullptr}};
constexpr TensorRule cohere2[] = {MODEL, LAST_NORM(false), NORM("input_layernorm", "attn_norm", false),
                                  QKV,   OUTPUT,           GATED_MLP};
constexpr FixedKey cohere2Fixed[] = {{"use_parallel_block", "true"},
                                     {"use_gated_activation", "true"},
                                     {"use_embedding_sharing", "true"},
                                     {"use_parallel_embedding", nullptr}, // how it was trained on several machines
                                     {"position_embedding_type", "\"rope_gptj\""},
                                     {"order_of_interleaved_layers", "\"local_attn_first\""},
                                     {"layer_switch", "4"},
                                     {"rotary_pct", "1"}};
constexpr TensorRule internLm2[] = {
    {"model.tok_embeddings.weight", "token_embd.weight", false},
    {"output.weight", "output.weight", false},
    LAST_NORM(false),
    NORM("attention_norm", "attn_norm", false),
    NORM("ffn_norm", "ffn_norm", false),
    {"model.layers.{}.attention.wqkv.weight", "blk.{}.attn_qkv.weight", false, TensorRule::Kind::Groups},
    LINEAR("attention.wo", "attn_output"),
    LINEAR("feed_forward.w1", "ffn_gate"),
    LINEAR("feed_forward.w3", "ffn_up"),
    LINEAR("feed_forward.w2", "ffn_down")};
constexpr FixedKey internLm2Fixed[] = {{"bias", "false"}};

// GPT-2's linears are convolutions, whose weights are [in, out]. The first files have no "transformer." in front of
// their names, and masks among their tensors.
#define CONV(AT, THEIRS, OURS)                                                                                         \
  {AT "h.{}." THEIRS ".weight", "blk.{}." OURS ".weight", false, TensorRule::Kind::Transposed}, {                      \
    AT "h.{}." THEIRS ".bias", "blk.{}." OURS ".bias", false                                                           \
  }
#define GPT2(AT)                                                                                                       \
  {AT "wte.weight", "token_embd.weight", false}, {AT "wpe.weight", "position_embd.weight", false},                     \
      {AT "h.{}.attn.bias", nullptr, false}, {AT "h.{}.attn.masked_bias", nullptr, false},                             \
      NORM_BIAS(AT "ln_f", "output_norm"), NORM_BIAS(AT "h.{}.ln_1", "blk.{}.attn_norm"),                              \
      NORM_BIAS(AT "h.{}.ln_2", "blk.{}.ffn_norm"), CONV(AT, "attn.c_attn", "attn_qkv"),                               \
      CONV(AT, "attn.c_proj", "attn_output"), CONV(AT, "mlp.c_fc", "ffn_up"), CONV(AT, "mlp.c_proj", "ffn_down")
#define NORM_BIAS(THEIRS, OURS)                                                                                        \
  {THEIRS ".weight", OURS ".weight", false}, { THEIRS ".bias", OURS ".bias", false }
constexpr TensorRule gpt2[] = {GPT2("transformer."), GPT2(""), {"lm_head.weight", "output.weight", false}};
constexpr SizeKeys gpt2Sizes = {"n_embd", "n_layer", "n_inner", "n_positions", "n_head", 4};
constexpr FixedKey gpt2Fixed[] = {{"n_ctx", nullptr}, // n_positions says it
                                  {"scale_attn_weights", "true"},
                                  {"scale_attn_by_inverse_layer_idx", "false"},
                                  {"add_cross_attention", "false"},
                                  {"reorder_and_upcast_attn", nullptr}, // of float16 alone
                                  {"attn_pdrop", nullptr},              // for training
                                  {"summary_type", nullptr},            // of a head that is not read, as the rest
                                  {"summary_use_proj", nullptr},
                                  {"summary_activation", nullptr},
                                  {"summary_proj_to_labels", nullptr},
                                  {"summary_first_dropout", nullptr},
                                  {"task_specific_params", nullptr}};

// An encoder, with layer norms. The pooler is trained for another task and is no part of an embedding; positions are
// counted.
#define ENCODER(THEIRS, OURS) NORM_BIAS("encoder.layer.{}." THEIRS, "blk.{}." OURS)
constexpr TensorRule bert[] = {{"embeddings.word_embeddings.weight", "token_embd.weight", false},
                               {"embeddings.position_embeddings.weight", "position_embd.weight", false},
                               {"embeddings.token_type_embeddings.weight", "token_types.weight", false},
                               {"embeddings.position_ids", nullptr, false},
                               {"embeddings.token_type_ids", nullptr, false},
                               {"pooler.dense.weight", nullptr, false},
                               {"pooler.dense.bias", nullptr, false},
                               NORM_BIAS("embeddings.LayerNorm", "token_embd_norm"),
                               ENCODER("attention.self.query", "attn_q"),
                               ENCODER("attention.self.key", "attn_k"),
                               ENCODER("attention.self.value", "attn_v"),
                               ENCODER("attention.output.dense", "attn_output"),
                               ENCODER("attention.output.LayerNorm", "attn_output_norm"),
                               ENCODER("intermediate.dense", "ffn_up"),
                               ENCODER("output.dense", "ffn_down"),
                               ENCODER("output.LayerNorm", "layer_output_norm")};

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
    fixedAt(adjacent(shifted(patterned({"cohere2", "cohere2", cohere2, std::size(cohere2), SILU, Windows::None, 0, 0,
                                        1e4, true, true, false, "attention_bias", nullptr, false, false},
                                       4),
                             "layer_norm_eps"),
                     0.0625),
            cohere2Fixed),
    capped(patterned({"gemma2", "gemma2", gemma2, std::size(gemma2), GELU, Windows::None, 4, 256, 1e4, true, true,
                      false, "attention_bias", nullptr, false, false},
                     2),
           30, 50),
    capped(localRope(patterned({"gemma3_text", "gemma3", gemma3, std::size(gemma3), GELU, Windows::None, 4, 256, 1e6,
                                true, true, false, "attention_bias", nullptr, false, false},
                               6),
                     1e4),
           0, kNotRead),
    fixedAt(biased(placed(shifted({"gpt2", "gpt2", gpt2, std::size(gpt2), "activation_function", "gelu_new",
                                   Windows::None, 0, 0, 1e4, false, true, false, nullptr, nullptr, true, false},
                                  "layer_norm_epsilon"),
                          gpt2Sizes, "LMHeadModel")),
            gpt2Fixed),
    clamped(mixed(patterned({"gpt_oss", "gpt-oss", gptOss, std::size(gptOss), SILU, Windows::None, 8, 64, 1.5e5, false,
                             false, false, "attention_bias", nullptr, false, false},
                            2),
                  gptOssExperts)),
    multiplied({"granite", "granite", llama, std::size(llama), SILU, Windows::None, 0, 0, 1e4, false, false, false,
                "attention_bias", "mlp_bias", false, false}),
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
