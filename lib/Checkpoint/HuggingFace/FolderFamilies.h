// What a folder's model_type means here: the family of lib/Checkpoint/Families, what config.json of it may leave out,
// and its tensors by name. One row and one list a model_type; everything else knows the row alone.
#pragma once
#include "lib/Checkpoint/ModelParameters.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown {

/// A tensor of a folder, and what it is called here. "{}" stands for the number of a layer in both.
struct TensorRule {
  const char *theirs;
  const char *ours; ///< null: needed by nobody
  bool plusOne;     ///< a norm that multiplies by 1 + its weight; ours multiplies by the weight
};

struct FolderFamily {
  const char *modelType;    ///< model_type of config.json
  const char *architecture; ///< of lib/Checkpoint/Families
  const TensorRule *rules;
  size_t ruleCount;
  const char *activationKey, *activation; ///< the one that the family's MLP has
  /// Which layers have sliding_window: none can, all do, those that use_sliding_window and what follows it say, or
  /// those of a pattern.
  enum class Windows { None, All, Switched, Pattern } windows;
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
};

/// The family of `modelType`, or null.
const FolderFamily *folderFamily(const std::string &modelType);
/// Every model_type, ascending.
std::vector<std::string> folderModelTypes();

/// The rule of `name` and the layer that its number names (0 where it has none), or null.
const TensorRule *ruleOf(const FolderFamily &family, const std::string &name, uint64_t &layer);

} // namespace stepdown
