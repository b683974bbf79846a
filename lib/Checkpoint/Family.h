// A model family is one file in Families: what its files say, and its layer in the words of a builder. The layer is
// read twice: for the tensors that it needs (ModelTensors.cpp) and for what it computes (lib/Frontend/LayerBuilder.h).
// FamilyList.h is made of the folder (CMakeLists.txt): includes, and STEPDOWN_FAMILIES(X), which says X(Name) for each.
#pragma once
#include "lib/Checkpoint/ModelParameters.h"

namespace stepdown {

/// What a family says for all that its file leaves out.
struct FamilyDefaults {
  /// The default period of the window pattern: of n layers the last sees everything. kEveryLayer has the window (Phi 3,
  /// Mistral); with kNotKnown the file has to say which do.
  static constexpr int windowPeriod = kNotKnown;
  static constexpr uint32_t window = 0;         ///< where the file leaves it out
  static constexpr bool projectionBias = false; ///< q, k and v need a bias; else they may have one
  static constexpr bool localRope = false;      ///< window layers have a base of their own, 10000, and no scaling
  static constexpr bool localScaled = true;     ///< window layers have the scaling of the others, but with localRope
  /// The caps of logits and of attention scores where the file leaves them out, 0 for none; kNotRead: it has no such
  /// key.
  static constexpr double logitCap = kNotRead, scoreCap = kNotRead;
  static constexpr bool multipliers = false; ///< reads embedding_scale, residual_scale, logit_scale, which divides
  static constexpr bool logitFactor = false; ///< needs logit_scale, which multiplies
  static constexpr int unrotatedPeriod = 0;  ///< of n layers the last does not rotate; 0: all do; 1: none does
  static constexpr bool windowsRotateAlone = false; ///< layers without a window do not
  static constexpr ExpertShares experts = ExpertShares::Never;
  static constexpr bool dense = true;       ///< may have no experts
  static constexpr bool expertBias = false; ///< the router and every projection of an expert has a bias; else none has
  /// Beside the experts one for every token, which a number of its own weighs.
  static constexpr bool sharedExpert = false;
  static constexpr bool sinks = false; ///< attention needs its sinks, and its output a bias; else it may have both
  static constexpr Norms norms = Norms::Rms;      ///< of rows; heads have RMS norms
  static constexpr bool learnedPositions = false; ///< a vector for each position is added to the embedding
  /// Each token sees the whole text; a norm behind the embedding, and no head (docs/decisions).
  static constexpr bool encoder = false;
  /// Scores are multiplied by one over the root of this.
  static double scoreWidth(const ModelParameters &p) { return p.headSize; }
  /// Multiplies the rows of the embedding.
  static double embeddingScale(const ModelParameters &) { return 1; }
};

} // namespace stepdown
