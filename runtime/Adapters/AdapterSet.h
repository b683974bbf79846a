// The adapters of a session: which are loaded, under what names, and their matrices in memory that kernels read. Slot 0
// is that of no adapter; the artifact says how many there are (--adapters), and the largest rank (--adapter-rank).
//
// What is packed of an adapter is A, and s B times the scale that the caller names, in float16. DoRA divides each row
// of a linear by what the merged row has, which is not known here, and is refused.
#pragma once
#include "lib/Checkpoint/Adapters/Adapter.h"
#include "runtime/Load/Model.h"
#include <memory>

namespace stepdown {

class AdapterSet {
public:
  /// Of a model that was compiled with --adapters; E0601, E1045.
  static Result<std::unique_ptr<AdapterSet>> create(const Model &model);

  /// Reads the adapter at `path` into a free slot, through `queue`; `scale` multiplies its own. What openAdapter()
  /// refuses; E1471 for DoRA, E1475 for a number that float16 does not hold, E1477 where there is no room for it, E1478
  /// for a name that is empty or taken.
  Result<int32_t> load(const std::string &name, const std::string &path, double scale, Queue &queue);
  /// Frees the slot of `name`, which no sequence has; E1478, also where hold() says that it is wanted.
  Status unload(const std::string &name);
  /// The slot of `name`, E1478; 0 for the empty name.
  Result<int32_t> slot(const std::string &name) const;
  /// The slot, which is not unloaded while a copy of this is there.
  std::shared_ptr<const int32_t> hold(int32_t slot) const { return holders[static_cast<size_t>(slot)]; }
  /// Names by slot, the first of them empty; of a free slot empty.
  const std::vector<std::string> &names() const { return loaded; }
  /// What tells the numbers in a slot from others: 0 for slot 0, else their checksum, which is never 0.
  uint64_t identity(int32_t slot) const { return identities[static_cast<size_t>(slot)]; }
  /// Device address of the memory.
  uint64_t address() const { return memory->address; }

private:
  explicit AdapterSet(const Model &model) : model(model) {}
  Result<uint64_t> pack(const Adapter &adapter, double scale, int32_t slot, Queue &queue);
  Result<Checkpoint> described() const;
  std::string listed() const;

  const Model &model;
  Allocation memory;
  std::vector<std::string> loaded;
  std::vector<uint64_t> identities;
  std::vector<std::shared_ptr<const int32_t>> holders; ///< by slot, which each holds
};

/// A model without adapters says what it lacks: E1477.
Error lacksAdapters(const Model &model);

} // namespace stepdown
