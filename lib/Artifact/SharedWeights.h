// The weights of several targets in one section: what two pack alike is there once.
#pragma once
#include "lib/Artifact/WeightPacker.h"
#include <vector>

namespace stepdown {

struct SharedWeights {
  std::vector<WeightEntry> entries;          ///< of all targets, each once
  std::vector<std::vector<uint32_t>> places; ///< [targets][weights of the target]: indices into entries
};

/// Takes the weights of each target in the order of its program. Weights of the first target alone come first, those of
/// the last alone last and shared ones between, so that of two targets each has one run of bytes to itself.
SharedWeights shareWeights(std::vector<std::vector<WeightEntry>> targets);

} // namespace stepdown
