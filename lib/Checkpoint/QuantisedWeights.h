// A checkpoint whose float weights are quantised: the blocks of each linear, of the embedding and of the head are made
// when their rows are asked for. Norms, biases, routers and what else has its own name stay as they are, and so do
// weights that the checkpoint has in blocks already.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include <atomic>
#include <map>
#include <memory>

namespace stepdown {

/// What weights are to become: the names of --quantize.
struct Quantisation {
  const char *name;     ///< "q4_k_m"
  Storage storage;      ///< of most weights
  Storage head;         ///< of the head, and of an embedding that is the head too
  bool moreBits;        ///< attn_v and ffn_down of half of the layers are of `head` (see QuantisedWeights.cpp)
  const char *sentence; ///< for help
};

/// All of them, or the one called `name`, or null.
const std::vector<Quantisation> &quantisations();
const Quantisation *quantisationNamed(const std::string &name);

class QuantisedWeights {
public:
  ~QuantisedWeights();
  /// The checkpoint with its float weights in blocks. E0832: none of its weights can be.
  static Result<std::shared_ptr<QuantisedWeights>> quantise(Checkpoint &checkpoint, const Quantisation &how);

  /// E0222 once rows were made that are no numbers, or are too large for a block's scale; to be asked when all are
  /// read.
  Status check() const;
  const Quantisation &how() const { return chosen; }
  /// Tensors that became blocks, by type, and those of floats whose rows are no whole blocks.
  const std::map<std::string, uint64_t> &made() const { return counts; }
  const std::vector<std::string> &left() const { return kept; }

private:
  class Weight;
  explicit QuantisedWeights(const Quantisation &how);
  const Quantisation &chosen;
  std::vector<std::unique_ptr<Weight>> weights;
  std::map<std::string, uint64_t> counts;
  std::vector<std::string> kept;
  std::string name;                              ///< of the checkpoint
  mutable std::atomic<const Weight *> unsound{}; ///< the first that was met
};

} // namespace stepdown
