// An adapter's pairs of tensors, gathered by the linear that they are for and checked against the model.
#pragma once
#include "lib/Checkpoint/Adapters/Adapter.h"
#include "lib/Checkpoint/ModelParameters.h"
#include <map>

namespace stepdown {

/// One tensor of an adapter, wherever it lies.
struct AdapterPart {
  std::string name; ///< in the file
  Storage storage;
  std::vector<uint64_t> shape; ///< outermost first
  const uint8_t *data = nullptr;
};

/// A linear as a reader meets it.
struct GatheredAdapter {
  std::string theirs;           ///< what the adapter calls the linear
  AdapterPart a, b, magnitudes; ///< without data: it has none
};

class AdapterBuilder {
public:
  /// `pairs`: which elements of a head rotate together where the adapter was made; where the checkpoint has the other
  /// order, rows of q and k are moved.
  AdapterBuilder(const std::string &file, const Checkpoint &checkpoint, const ModelParameters &parameters,
                 RopePairs pairs)
      : file(file), checkpoint(checkpoint), parameters(parameters), pairs(pairs) {}

  /// Whether the checkpoint's tensor `ours` is a linear that an adapter may change, which the adapter calls `theirs`.
  /// E1472, or E1477 of a checkpoint without files, which lists the linears that an artifact has room for; E1474.
  Status expectLinear(const std::string &ours, const std::string &theirs) const;
  /// The adapted linear of `ours`, but for its scale.
  Result<AdaptedLinear> build(const std::string &ours, const GatheredAdapter &gathered) const;

private:
  Result<std::vector<float>> numbers(const AdapterPart &part, uint64_t rows, uint64_t columns) const;
  void reorder(const std::string &ours, std::vector<float> &rows, uint64_t columns) const;

  const std::string &file;
  const Checkpoint &checkpoint;
  const ModelParameters &parameters;
  const RopePairs pairs;
};

Result<Adapter> openGgufAdapter(const std::string &path, const Checkpoint &checkpoint,
                                const ModelParameters &parameters);
Result<Adapter> openPeftAdapter(const std::string &path, const Checkpoint &checkpoint,
                                const ModelParameters &parameters);

} // namespace stepdown
