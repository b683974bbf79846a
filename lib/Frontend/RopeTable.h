// Rotary frequency tables: for every scaling scheme the angle per position of each pair, and the factor on cosine and
// sine. From explicit parameters (as config.json names them), or from the keys and tensors of a GGUF file.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/ModelParameters.h"
#include <optional>
#include <vector>

namespace stepdown {

enum class RopeScheme { Default, Linear, DynamicNtk, Yarn, Llama3, LongRope };

/// The parameters of one table; those that the scheme does not name are ignored.
struct RopeTableParameters {
  RopeScheme scheme = RopeScheme::Default;
  double base = 10000;                                     ///< theta
  int dimensions = 0;                                      ///< rotated columns of a head, even
  double factor = 1;                                       ///< linear, dynamic, yarn, llama3, longrope
  double trainedContext = 0;                               ///< dynamic: positions the model was trained for
  double originalContext = 0;                              ///< yarn, llama3, longrope: positions before it was extended
  double sequenceLength = 0;                               ///< dynamic, longrope: positions of the run
  double lowFrequencyFactor = 1, highFrequencyFactor = 4;  ///< llama3
  double betaFast = 32, betaSlow = 1;                      ///< yarn: rotations at the ends of the ramp
  bool truncate = true;                                    ///< yarn: whole pairs at the ends of the ramp
  double mscale = 0, mscaleAllDimensions = 0;              ///< yarn: 0 where absent
  std::optional<double> attentionFactor = {};              ///< yarn, longrope: in place of the computed one
  std::vector<double> shortFactors = {}, longFactors = {}; ///< longrope: [dimensions / 2]
};

struct RopeTable {
  std::vector<double> inverseFrequencies; ///< [dimensions / 2] radians per position
  double attentionFactor = 1;             ///< multiplies cosine and sine
};

/// Computes in float64. Sources: RoPE (arXiv 2104.09864), position interpolation (2306.15595), YaRN (2309.00071),
/// LongRoPE (2402.13753); dynamic NTK and llama3 as their model cards define them.
RopeTable ropeTable(const RopeTableParameters &parameters);

/// The table of a window layer (`local`) or of any other, for runs of at most `context` positions, from the keys and
/// from rope_freqs.weight or rope_factors_{short,long}.weight. E0230: a factor in those tensors is not positive and
/// finite; E0220, E0221: one of them is missing or has another shape.
Result<RopeTable> ropeTable(const Checkpoint &checkpoint, const ModelParameters &parameters, bool local,
                            uint64_t context);

} // namespace stepdown
