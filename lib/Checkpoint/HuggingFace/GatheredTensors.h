// Tensors of a folder that become others here: several that hold one linear, and the experts of a layer, of which GGUF
// has one tensor a projection.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/HuggingFace/Config.h"
#include "lib/Checkpoint/HuggingFace/QuantTensors.h"
#include <deque>

namespace stepdown {

class GatheredTensors {
public:
  GatheredTensors(const FolderConfig &config, CheckpointBuilder &builder) : config(config), builder(builder) {}

  /// A tensor that is all of, or one of those that hold, the linear `ours`, of which it is expert `expert` where `rule`
  /// is of experts. `role`: of roleOf(), or "weight" of floats.
  void add(const TensorRule &rule, const std::string &ours, uint64_t expert, const std::string &role,
           const std::string &file, const SafeTensor &tensor);
  /// Adds what they make to the builder. E1413 for an expert that is missing; the refusals of quantisedPart().
  Status finish(std::deque<std::string> &names);

private:
  struct Linear {
    bool ofExperts;
    std::map<uint64_t, GatheredWeight> parts; // by expert
  };
  Status finishLinear(const std::string &ours, Linear &linear, std::deque<std::string> &names);
  Status put(const GatheredWeight &from, const StoredTensor &tensor);
  Status finishStacks(const std::string &ours, const GatheredWeight &stack, std::deque<std::string> &names);
  Status finishPairs(const std::string &ours, const GatheredWeight &biases, std::deque<std::string> &names);
  Status finishHalves(const std::string &ours, const GatheredWeight &weight, std::deque<std::string> &names);
  Status finishOrdered(const std::string &ours, const GatheredWeight &weight, bool groups,
                       std::deque<std::string> &names);
  Status put(const GatheredWeight &from, const std::string &ours, std::unique_ptr<WeightPart> part,
             std::deque<std::string> &names);

  const FolderConfig &config;
  CheckpointBuilder &builder;
  std::map<std::string, Linear> linears;
  std::map<std::string, GatheredWeight> stacks, pairs;        // gpt-oss's weights, and biases of gate and up
  std::map<std::string, GatheredWeight> transposed, groupsOf; // floats in another order
  std::map<std::string, GatheredWeight> fusedGates;           // experts' gate and up in one tensor
};

} // namespace stepdown
