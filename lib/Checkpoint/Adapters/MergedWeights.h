// A checkpoint with adapters merged into it: the weight of each adapted linear is made when its rows are asked for, as
// W + s B A, with DoRA's norm; of several adapters one after the other. Sums are double; the result is rounded to
// float32 and from there to what is stored.
//
// Floats stay of their type. A quantised weight becomes float16, whose 11 bits are more than a block's codes have: what
// comes of it is not quantised again, since nobody measured what that would cost.
#pragma once
#include "lib/Checkpoint/Adapters/Adapter.h"
#include <atomic>
#include <memory>

namespace stepdown {

/// An adapter as somebody asks for it.
struct AdapterChoice {
  std::string path;
  double scale = 1; ///< multiplies the adapter's own
};

/// "FILE" or "FILE=SCALE", where SCALE is a finite number; E0905 for a text without a file.
Result<AdapterChoice> parseAdapterChoice(const std::string &text);

class MergedWeights {
public:
  /// The checkpoint with `choices` merged, in their order. What openAdapter() refuses.
  static Result<std::shared_ptr<MergedWeights>> merge(Checkpoint &checkpoint,
                                                      const std::vector<AdapterChoice> &choices);

  /// E1475 once rows were made that the stored type cannot hold; to be asked when all are read.
  Status check() const;
  const std::vector<Adapter> &adapters() const { return read; }
  const std::vector<AdapterChoice> &choices() const { return chosen; }

private:
  class Weight;
  std::vector<Adapter> read;
  std::vector<AdapterChoice> chosen;
  std::vector<std::unique_ptr<Weight>> weights;
  std::string name;                              ///< of the checkpoint
  mutable std::atomic<const Weight *> unsound{}; ///< the first that was met
};

} // namespace stepdown
