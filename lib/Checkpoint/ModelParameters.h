// The hyper-parameters of a checkpoint, read from its metadata and checked before anything computes with them: what
// every model family needs to build its program. Defaults are filled in, per-layer keys are per-layer arrays.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace stepdown {

/// Which elements of a head one rotation joins: (2k, 2k + 1), or (k, k + dimensions / 2).
enum class RopePairs { Adjacent, Halves };

enum class RopeScaling { None, Linear, Yarn, LongRope };

/// Rotary positions. The angle of pair k at position p is p / factor * base^(-2k / dimensions) before the scheme's own
/// rule; where the checkpoint has rope_freqs.weight (the llama3 scheme) or the LongRoPE tensors, each angle is divided
/// by their element k.
struct RopeParameters {
  RopePairs pairs;
  uint32_t dimensions;    ///< rotated part of a head: even, at most the head's size
  double base;            ///< of layers that see the whole context
  double localBase;       ///< of window layers
  bool localScaled;       ///< whether the scheme holds for window layers too; else their factor is 1
  RopeScaling scaling;    ///< None also where the factor changes nothing
  double factor;          ///< positions are divided by it; 1 without scaling
  double attentionFactor; ///< multiplies cosine and sine; 1 unless the file says otherwise
  uint64_t
      originalContext; ///< tokens the model was first trained for; the context length unless the file says otherwise
  double yarnBetaFast, yarnBetaSlow; ///< 32 and 1 unless the file says otherwise
  double yarnLogMultiplier;          ///< 0: absent
  bool yarnTruncate;                 ///< the ramp's ends are whole pairs, as in all files of GGUF
  bool frequencyFactors;             ///< the file has rope_freqs.weight {dimensions / 2}
  bool longFactors; ///< the file has rope_factors_long.weight and rope_factors_short.weight {dimensions / 2}
};

struct ModelParameters;

/// What the weights of a token's experts are shares of: the softmax of those chosen, or of all. Never: the family has
/// layers without experts alone.
enum class ExpertShares { Never, OfChosen, OfAll };

/// What norms a row: its root mean square, or mean and variance, with a bias or without.
enum class Norms { Rms, LayerBiased, Layer };

/// Of window patterns: all layers have the window, or which do is not known.
constexpr int kEveryLayer = 0, kNotKnown = -1;
/// Of caps: the family has no key for them.
constexpr double kNotRead = -1;

/// What lib/Checkpoint/Families says of a family, but for its layer; lib/Checkpoint/Family.h tells the fields.
struct Family {
  const char *architecture; ///< general.architecture
  RopePairs pairs;
  int windowPeriod;
  uint32_t window;
  bool projectionBias, localRope, localScaled, multipliers, logitFactor;
  int unrotatedPeriod;
  bool windowsRotateAlone;
  double logitCap, scoreCap;
  ExpertShares experts;
  bool dense, expertBias, sharedExpert, sinks; ///< dense: may have no experts
  double (*scoreWidth)(const ModelParameters &);
  double (*embeddingScale)(const ModelParameters &);
  Norms norms;
  bool learnedPositions, encoder;

  /// Whether q and k of some layer may have positions by rotation.
  bool rotates() const { return unrotatedPeriod != 1; }
};

struct ModelParameters {
  const Family *family;
  std::string architecture; ///< general.architecture, also the prefix of the keys
  std::string name;         ///< general.name, or empty
  uint32_t layers;
  uint32_t width;                    ///< embedding length
  uint32_t context;                  ///< tokens the file declares
  uint32_t vocabulary;               ///< rows of the embedding
  std::vector<uint32_t> heads;       ///< [layers] query heads
  std::vector<uint32_t> kvHeads;     ///< [layers] divides heads
  std::vector<uint32_t> feedForward; ///< [layers] width of the gated MLP
  uint32_t experts;                  ///< of every layer; 0: layers have one MLP
  uint32_t expertsUsed;              ///< of each token, 1 to experts
  uint32_t expertWidth;              ///< width of an expert's gated MLP
  bool expertsNormalised;            ///< their weights are shares of those chosen, else of all
  double expertScale;                ///< multiplies the weights
  uint32_t sharedWidth;              ///< width of the gated MLP that every token has beside its experts; 0: none
  uint32_t headSize;                 ///< elements of one query, key and value head
  double epsilon;                    ///< of the norms
  double attentionScale;             ///< multiplies q . k; resolved, never 0
  double scoreSoftcap;               ///< attention scores become cap * tanh(score / cap); 0: none
  double finalSoftcap;               ///< logits become cap * tanh(logit / cap); 0: none
  double embeddingScale;             ///< multiplies the rows of the embedding
  double residualScale;              ///< multiplies what attention and MLP add to the stream
  double logitScale;                 ///< multiplies the logits, before their cap
  uint32_t window;                   ///< keys a window layer sees, the query's own included; 0: no layer has a window
  std::vector<bool> local;           ///< [layers] whether the window applies
  std::vector<bool> rotates;         ///< [layers] whether q and k have positions
  RopeParameters rope;
  bool tiedHead; ///< no output.weight: the head is token_embd.weight; an encoder has none

  /// Rows of the projections of `layer`: heads * headSize, kvHeads * headSize.
  uint32_t queryWidth(size_t layer) const { return heads[layer] * headSize; }
  uint32_t keyWidth(size_t layer) const { return kvHeads[layer] * headSize; }
};

/// Reads and checks every key of the checkpoint's family; E0201 to E0213, E0285 for a key that changes what the model
/// computes and that nothing here reads. Does not look at layer tensors: checkTensors does.
Result<ModelParameters> readParameters(const Checkpoint &checkpoint);

/// The architectures readParameters knows, "gemma3, llama, ...", for messages and help.
std::string supportedArchitectures();

/// The tensor `name`, refused when missing (E0220) or of another shape (E0221). `dims` is in GGUF order: a linear
/// weight [out, in] is {in, out}; missing trailing dimensions are 1.
Result<const StoredTensor *> requireTensor(const Checkpoint &checkpoint, std::string_view name,
                                           std::initializer_list<uint64_t> dims);

/// As requireTensor, but null when missing.
Result<const StoredTensor *> optionalTensor(const Checkpoint &checkpoint, std::string_view name,
                                            std::initializer_list<uint64_t> dims);

/// The tensor `name` {count}, each element a divisor of one rotary frequency. E0220, E0221; E0230: one is not positive
/// and finite.
Result<std::vector<double>> rotaryFactors(const Checkpoint &checkpoint, std::string_view name, uint64_t count);

/// E0285: a key that `log` has not noted changes what the model computes, or may (the tables of ModelKeys.cpp).
Status checkUnreadKeys(const Metadata &metadata, const KeyLog &log, const std::string &architecture);

/// Every tensor the family needs is there and has the shape its parameters give it, in every layer, and rotary factors,
/// where the checkpoint was opened with its data, are such (E0230); E0286 for one that the family does not read.
Status checkTensors(const Checkpoint &checkpoint, const ModelParameters &parameters);

/// Refuses block scales and float weights that are not finite (E0222). Reads all weights: only where the user asks for
/// it (stepdown-compile --check-weights).
Status checkFinite(const Checkpoint &checkpoint);

} // namespace stepdown
