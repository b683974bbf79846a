// What folders call tensors, and keys of config.json that say what a family is in any case: the lists that the rows of
// FolderFamilies.cpp name.
#pragma once
#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"

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

constexpr TensorRule glm[] = {MODEL,
                              LAST_NORM(false),
                              TWO_NORMS,
                              QKV,
                              OUTPUT,
                              LINEAR("mlp.gate_up_proj", "ffn_up"),
                              LINEAR("mlp.down_proj", "ffn_down")};
constexpr TensorRule glm4[] = {MODEL,
                               LAST_NORM(false),
                               TWO_NORMS,
                               NORM("post_self_attn_layernorm", "post_attention_norm", false),
                               NORM("post_mlp_layernorm", "post_ffw_norm", false),
                               QKV,
                               OUTPUT,
                               LINEAR("mlp.gate_up_proj", "ffn_up"),
                               LINEAR("mlp.down_proj", "ffn_down")};
constexpr TensorRule gemma[] = {MODEL,
                                LAST_NORM(true),
                                NORM("input_layernorm", "attn_norm", true),
                                NORM("post_attention_layernorm", "ffn_norm", true),
                                QKV,
                                OUTPUT,
                                GATED_MLP};
constexpr FixedKey gemmaFixed[] = {{"hidden_activation", "\"gelu_pytorch_tanh\""},
                                   {"use_bidirectional_attention", "false"}};
constexpr TensorRule hunyuan[] = {MODEL,
                                  LAST_NORM(false),
                                  TWO_NORMS,
                                  QKV,
                                  OUTPUT,
                                  GATED_MLP,
                                  NORM("self_attn.query_layernorm", "attn_q_norm", false),
                                  NORM("self_attn.key_layernorm", "attn_k_norm", false)};
constexpr FixedKey hunyuanFixed[] = {{"use_qk_norm", "true"},
                                     {"use_rotary_pos_emb", "true"},
                                     {"position_embedding_xdrope", "false"},
                                     {"use_cla", "false"}, // keys and values of other layers
                                     {"cla_share_factor", nullptr},
                                     {"norm_type", "\"rms\""},
                                     {"mlp_bias", "false"},
                                     {"enable_lm_head_fp32", nullptr}, // how it was trained
                                     {"attention_head_dim", nullptr},  // head_dim says it, or the width
                                     {"dense_list", nullptr},          // of a head that is not read
                                     {"pool_type", nullptr},
                                     {"org_vocab_size", nullptr},
                                     {"eod_token_id", nullptr}, // ids of the tokenizer
                                     {"pad_id", nullptr},
                                     {"sep_token_id", nullptr},
                                     {"mask_init_id", nullptr},
                                     {"text_start_id", nullptr},
                                     {"text_end_id", nullptr},
                                     {"im_start_id", nullptr},
                                     {"im_end_id", nullptr},
                                     {"im_newline_id", nullptr}};
constexpr TensorRule seedOss[] = {MODEL,
                                  LAST_NORM(false),
                                  NORM("input_layernorm", "attn_norm", false),
                                  NORM("post_attention_layernorm", "post_attention_norm", false),
                                  QKV,
                                  OUTPUT,
                                  GATED_MLP};
constexpr FixedKey seedOssFixed[] = {{"residual_dropout", nullptr}}; // for training

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
// Experts are stacked: of the first tensor each has its gate and, below it, its up projection.
constexpr TensorRule graniteMoe[] = {
    MODEL,
    LAST_NORM(false),
    TWO_NORMS,
    QKV,
    OUTPUT,
    LINEAR("block_sparse_moe.router.layer", "ffn_gate_inp"),
    {"model.layers.{}.block_sparse_moe.input_linear.weight", "blk.{}.ffn_gate_up_exps.weight", false,
     TensorRule::Kind::Halves},
    {"model.layers.{}.block_sparse_moe.output_linear.weight", "blk.{}.ffn_down_exps.weight", false}};
constexpr ExpertKeys mixtralExperts = {"num_local_experts", 8, 2, nullptr, 0, nullptr, true},
                     qwen3Experts = {"num_experts", 128, 8, "moe_intermediate_size", 768, "norm_topk_prob", true},
                     olmoExperts = {"num_experts", 64, 8, nullptr, 0, "norm_topk_prob", false},
                     gptOssExperts = {"num_local_experts", 128, 4, nullptr, 0, nullptr, true},
                     graniteExperts = {"num_local_experts", 8, 2, nullptr, 0, nullptr, true};

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
constexpr FixedKey cohereFixed[] = {{"use_qk_norm", "false"}};
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
#define GPT(AT, KIND)                                                                                                  \
  {AT "wte.weight", "token_embd.weight", false}, {AT "wpe.weight", "position_embd.weight", false},                     \
      {AT "h.{}.attn.bias", nullptr, false}, {AT "h.{}.attn.masked_bias", nullptr, false},                             \
      NORM_BIAS(AT "ln_f", "output_norm"), NORM_BIAS(AT "h.{}.ln_1", "blk.{}.attn_norm"),                              \
      NORM_BIAS(AT "h.{}.ln_2", "blk.{}.ffn_norm"), KIND(AT, "attn.c_attn", "attn_qkv"),                               \
      KIND(AT, "attn.c_proj", "attn_output"), KIND(AT, "mlp.c_fc", "ffn_up"), KIND(AT, "mlp.c_proj", "ffn_down")
#define NORM_BIAS(THEIRS, OURS)                                                                                        \
  {THEIRS ".weight", OURS ".weight", false}, { THEIRS ".bias", OURS ".bias", false }
#define ROWS(AT, THEIRS, OURS) NORM_BIAS(AT "h.{}." THEIRS, "blk.{}." OURS)
constexpr TensorRule gpt2[] = {GPT("transformer.", CONV), GPT("", CONV), {"lm_head.weight", "output.weight", false}};
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

// GPT-2 with linears that are [out, in], and one head of keys and values.
constexpr TensorRule gptBigCode[] = {GPT("transformer.", ROWS), {"lm_head.weight", "output.weight", false}};
constexpr FixedKey gptBigCodeFixed[] = {{"n_ctx", nullptr}, // n_positions says it
                                        {"multi_query", "true"},
                                        {"scale_attn_weights", "true"},
                                        {"add_cross_attention", "false"},
                                        {"attention_softmax_in_fp32", nullptr}, // of float16 alone
                                        {"scale_attention_softmax_in_fp32", nullptr},
                                        {"attn_pdrop", nullptr},       // for training
                                        {"inference_runner", nullptr}, // how another program computes
                                        {"max_batch_size", nullptr},
                                        {"pad_key_length", nullptr},
                                        {"pre_allocate_kv_cache", nullptr},
                                        {"validate_runner_input", nullptr},
                                        {"summary_type", nullptr}, // of a head that is not read
                                        {"summary_use_proj", nullptr},
                                        {"summary_activation", nullptr},
                                        {"summary_proj_to_labels", nullptr},
                                        {"summary_first_dropout", nullptr}};

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

} // namespace
} // namespace stepdown
