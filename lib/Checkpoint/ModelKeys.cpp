// The keys of an architecture's namespace, and of namespaces beside it, that ModelParameters.cpp does not read: what
// each asks for, or why it asks for nothing. test/run/keys.py walks the whole list of the gguf package for each
// family of DISTINCT in make_model.py.
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Checkpoint/UnreadKeys.h"

#include <iterator>

namespace stepdown {
namespace {

using Key = UnreadKey;

constexpr Key ofArchitecture[] = {
    {"rope.scaling.finetuned", Key::Harmless, "tells how the weights were trained; the angles have keys of their own"},
    {"rope.scale_linear", Key::Harmless, "the earlier name of rope.scaling.factor, which is there and was read"},
    {"attention.layer_norm_epsilon", Key::Harmless, "there are RMS norms alone, whose epsilon has a key of its own"},
    {"attention.layer_norm_rms_epsilon", Key::Harmless, "the same where there are layer norms alone"},
    {"attention.group_norm_epsilon", Key::Harmless, "the groups, which have a key of their own, are refused"},

    {"logit_scale", Key::OffAtOne, "a scale of the logits"}, // granite reads it and the next two
    {"residual_scale", Key::OffAtOne, "a scale of the residual stream"},
    {"embedding_scale", Key::OffAtOne, "a scale of the embedding that a key gives"},
    {"attention.output_scale", Key::OffAtOne, "a scale of what attention gives"},
    {"rope.scaling.yarn_attn_factor", Key::OffAtOne, "a magnitude of YaRN that a key gives"},
    {"rope.scaling.alpha", Key::OffAtOne, "an NTK factor of the rotary base"},
    {"expert_weights_scale", Key::OffAtOne, "experts"},
    {"expert_group_scale", Key::OffAtOne, "experts"},
    {"attention.temperature_scale", Key::OffAtZero, "a temperature of attention that grows with the position"},
    {"attention.temperature_length", Key::OffAtZero, "a temperature of attention that grows with the position"},

    {"final_logit_softcapping", Key::OffAtZero, "a cap of the logits"},          // gemma2 and gemma3 read it
    {"attn_logit_softcapping", Key::OffAtZero, "a cap of the attention scores"}, // gemma2 reads it
    {"router_logit_softcapping", Key::OffAtZero, "a router of experts"},
    {"attention.clamp_kqv", Key::OffAtZero, "a clamp of q, k and v"},
    {"attention.max_alibi_bias", Key::OffAtZero, "a bias of the scores by distance (ALiBi)"},
    {"attention.relative_buckets_count", Key::OffAtZero, "a learned bias of the scores by distance"},
    {"attention.group_norm_groups", Key::OffAtZero, "group norms"},
    {"attention.shared_kv_layers", Key::OffAtZero, "layers that read the keys and values of others"},
    {"attention.q_lora_rank", Key::OffAtZero, "compressed queries (MLA)"},
    {"attention.kv_lora_rank", Key::OffAtZero, "compressed keys and values (MLA)"},
    {"attention.key_length_mla", Key::OffAtZero, "compressed keys and values (MLA)"},
    {"attention.value_length_mla", Key::OffAtZero, "compressed keys and values (MLA)"},
    {"attention.indexer.*", Key::OffAtZero, "an indexer that chooses positions"},
    {"attention.decay_lora_rank", Key::OffAtZero, "a recurrence in place of attention"},
    {"attention.iclr_lora_rank", Key::OffAtZero, "a recurrence in place of attention"},
    {"attention.gate_lora_rank", Key::OffAtZero, "a recurrence in place of attention"},
    {"attention.value_residual_mix_lora_rank", Key::OffAtZero, "a recurrence in place of attention"},
    {"rope.dimension_sections", Key::OffAtZero, "rotary positions in several dimensions"},
    {"use_parallel_residual", Key::OffAtZero, "attention and MLP side by side"},
    {"swin_norm", Key::OffAtZero, "norms behind the residual stream"},
    {"rescale_every_n_layers", Key::OffAtZero, "layers that are scaled in turn"},
    {"activation_sparsity_scale", Key::OffAtZero, "sparse activations"},
    {"swiglu_clamp_exp", Key::OffAtZero, "a clamp of the gated activation"},
    {"swiglu_clamp_shexp", Key::OffAtZero, "a clamp of the gated activation"},
    {"altup.*", Key::OffAtZero, "alternating updates of several streams"},
    {"embedding_length_per_layer_input", Key::OffAtZero, "embeddings for each layer"},
    {"n_deepstack_layers", Key::OffAtZero, "layers that read an image"},
    {"features_length", Key::OffAtZero, "features in place of tokens"},
    {"nextn_predict_layers", Key::OffAtZero, "layers that predict several tokens"},
    {"full_attention_interval", Key::OffAtZero, "layers that are not attention"},
    {"pooling_type", Key::OffAtZero, "an embedding of the text, which this model is made for"},
    {"classifier.output_labels", Key::OffAtZero, "a classifier, which this model is made for"},
    {"dense_*", Key::OffAtZero, "dense layers behind the last norm"},
    {"decoder_block_count", Key::OffAtZero, "an encoder beside the decoder"},
    {"decoder_start_token_id", Key::Refused, "an encoder beside the decoder"},

    {"interleave_moe_layer_step", Key::OffAtZero, "experts"},
    {"moe_every_n_layers", Key::OffAtZero, "experts"},
    {"moe_latent_size", Key::OffAtZero, "experts"},
    {"leading_dense_block_count", Key::OffAtZero, "experts"},
    {"experts_per_group", Key::OffAtZero, "experts"},
    {"expert_shared_count", Key::OffAtZero, "experts"},
    {"expert_feed_forward_length", Key::OffAtZero, "experts"},
    {"expert_shared_feed_forward_length", Key::OffAtZero, "experts"},
    {"expert_chunk_feed_forward_length", Key::OffAtZero, "experts"},
    {"expert_gating_func", Key::OffAtZero, "experts"},
    {"expert_weights_norm", Key::OffAtZero, "experts"},

    {"ssm.*", Key::OffAtZero, "a state space in place of attention"},
    {"wkv.*", Key::OffAtZero, "a recurrence in place of attention"},
    {"kda.*", Key::OffAtZero, "a recurrence in place of attention"},
    {"shortconv.*", Key::OffAtZero, "convolutions in place of attention"},
    {"time_mix_extra_dim", Key::OffAtZero, "a recurrence in place of attention"},
    {"time_decay_extra_dim", Key::OffAtZero, "a recurrence in place of attention"},
    {"token_shift_count", Key::OffAtZero, "a recurrence in place of attention"},
    {"posnet.*", Key::OffAtZero, "a decoder of sound"},
    {"convnext.*", Key::OffAtZero, "a decoder of sound"},
};

constexpr Key ofOthers[] = {
    {"general.*", Key::Harmless, "says where the file is from; general.sampling.* advises those who sample"},
    {"tokenizer.*", Key::Harmless, "the tokenizer judges its own, in lib/Text/Tokenizer/TokenizerKeys.cpp"},
    {"split.*", Key::Harmless, "the shards were joined by them"},
    {"adapter.*", Key::Refused, "an adapter over the weights"},
    {"clip.*", Key::OffAtZero, "an image or sound beside the text"},
    {"diffusion.*", Key::OffAtZero, "several passes over one text"},
    {"xielu.*", Key::OffAtZero, "this activation"},
    {"*", Key::Harmless, "a tool's note on how the file was made, and no part of the format"},
};

} // namespace

Status checkUnreadKeys(const Metadata &metadata, const KeyLog &log, const std::string &architecture) {
  const std::string reader = "the family " + architecture;
  if (Status status = judgeUnread(metadata, log, architecture + ".", ofArchitecture, std::size(ofArchitecture),
                                  ErrorCode::ModelKeyUnread, reader);
      !status)
    return status;
  // The architecture's own were judged; the last rule takes them.
  return judgeUnread(metadata, log, "", ofOthers, std::size(ofOthers), ErrorCode::ModelKeyUnread, reader);
}

} // namespace stepdown
