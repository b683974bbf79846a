// What a folder's model_type means here: the family of lib/Checkpoint/Families, what config.json of it may leave out,
// and its tensors by name. One row and one list a model_type; everything else knows the row alone.
#pragma once
#include "lib/Checkpoint/ModelParameters.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown {

/// A tensor of a folder, and what it is called here. "{}" stands for the number of a layer in both, "<>" for that of an
/// expert.
struct TensorRule {
  /// Expert: one of those that are stacked here. Blocks and Scales: of experts in MXFP4, stacked as they are; Pair:
  /// their biases. "gate_up" of these last three are two tensors here. Transposed: [in, out]. Groups: of each head of
  /// keys its query heads, then its keys and values; "qkv" of it are three tensors here.
  /// Halves: of all experts the gate and, below it in each, the up projection; "gate_up" of it are two tensors here.
  enum class Kind { Plain, Expert, Blocks, Scales, Pair, Transposed, Groups, Halves };
  const char *theirs;
  const char *ours; ///< null: needed by nobody
  bool plusOne;     ///< a norm that multiplies by 1 + its weight; ours multiplies by the weight
  Kind kind = Kind::Plain;
};

/// How config.json calls its sizes.
struct SizeKeys {
  const char *width, *layers, *inner, *context, *heads;
  uint64_t innerLeft; ///< where `inner` is left out, times the width; 0: it may not be
};
constexpr SizeKeys kUsualSizes = {
    "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings", "num_attention_heads", 0};

/// A key that says what the family is in any case, and its value as JSON; null: whatever it is, it changes nothing.
struct FixedKey {
  const char *name, *value;
};

/// What config.json says of experts.
struct ExpertKeys {
  const char *count;  ///< the key of how many each layer has
  uint64_t countLeft; ///< where it is left out
  uint64_t usedLeft;  ///< the same of num_experts_per_tok
  const char *width;  ///< of an expert's MLP; null: intermediate_size
  uint64_t widthLeft;
  const char *shares; ///< whether weights are shares of those chosen, which has to be `ofChosen`; false where left out
  bool ofChosen;
  const char *sharedWidth = nullptr; ///< of the MLP of the expert that every token has; null: there is none
  uint64_t sharedWidthLeft = 0;
};

struct FolderFamily {
  const char *modelType;    ///< model_type of config.json
  const char *architecture; ///< of lib/Checkpoint/Families
  const TensorRule *rules;
  size_t ruleCount;
  const char *activationKey, *activation; ///< the one that the family's MLP has
  /// Which layers have sliding_window: none can, all do, those that use_sliding_window and what follows it say, those
  /// of a pattern, or none although there is a use_sliding_window.
  enum class Windows { None, All, Switched, Pattern, Off } windows;
  uint64_t keyValueHeads; ///< where config.json leaves num_key_value_heads out; 0: as many as query heads
  uint64_t headSize;      ///< where it leaves head_dim out; 0: hidden_size / num_attention_heads
  double theta;           ///< where it leaves rope_theta out
  bool saysWindow;        ///< sliding_window has to be there, null where there is none
  bool tied;              ///< where it leaves tie_word_embeddings out
  bool partialRotary;     ///< partial_rotary_factor has a meaning
  /// How config.json says that linears of attention and of the MLP have biases, by default false; null where it has no
  /// say, and `inputBias` where q, k and v have one then.
  const char *attentionBiasKey, *mlpBiasKey;
  bool inputBias;
  bool longRope;          ///< rope_type longrope, su and yarn are all LongRoPE; else longrope is refused
  uint64_t pattern = 0;   ///< of Windows::Pattern: of n layers the last has no window, where config.json has no list
  bool localRope = false; ///< window layers rotate without scaling, with a base of their own
  double localTheta = 0;  ///< this, where config.json leaves it out; 0: the base of the others
  /// final_logit_softcapping and attn_logit_softcapping where it leaves them out, 0 for none; kNotRead: it has no such
  /// key.
  double logitCap = kNotRead, scoreCap = kNotRead;
  bool slices = false;          ///< reads pretraining_tp, the slices in which linears were computed
  bool multipliers = false;     ///< embedding_multiplier, attention_multiplier, residual_multiplier, logits_scaling
  bool encoder = false;         ///< readEncoderConfig() reads what it has in place of rotation and RMS norms
  uint64_t unrotatedPeriod = 0; ///< of n layers the last does not rotate, as no_rope_layers has to say; 0: all do
  const ExpertKeys *experts = nullptr;
  bool clampedGate =
      false;           ///< gpt-oss: every linear has a bias, rotation is said, and swiglu_limit and alpha are fixed
  bool biased = false; ///< every linear has a bias; where there are keys for that, unless they say otherwise
  const SizeKeys *sizes = &kUsualSizes;
  const char *epsilonKey = "rms_norm_eps";
  bool layerNorms = false;       ///< in place of RMS norms
  bool learnedPositions = false; ///< in place of rotation
  bool adjacent = false;         ///< neighbours in a head rotate together, in place of halves
  double logitFactor = 0;        ///< logit_scale, where it is left out; 0: it has no such key
  const char *classEnding = "ForCausalLM";
  const char *inputBiasKey = nullptr;  ///< whether q, k and v have biases, by default `inputBias`; null: as above
  double rotaryPart = 1;               ///< partial_rotary_factor, where it is left out
  const char *activationToo = nullptr; ///< another name of the same activation
  bool stretchedBase = false;          ///< "dynamic" rotation with an alpha has a larger base, at any length
  const FixedKey *fixed = nullptr;
  size_t fixedCount = 0;
};

/// The family of `modelType`, or null.
const FolderFamily *folderFamily(const std::string &modelType);
/// Every model_type, ascending.
std::vector<std::string> folderModelTypes();

/// The rule of `name` and the layer and expert that its numbers name (0 where it has none), or null.
const TensorRule *ruleOf(const FolderFamily &family, const std::string &name, uint64_t &layer, uint64_t &expert);

/// A name of a rule with `layer` for "{}", where it is there.
std::string numbered(std::string pattern, uint64_t layer);

} // namespace stepdown
