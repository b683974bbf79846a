// The second tier of a prefix tree: a file that has the blocks for which the cache has no more room.
//
// A block's bytes are copied when it is given up, between two steps, and written by another thread (SpillFile.h); they
// are read when a prompt asks for them. They lie in the file as they lie on the device: a file belongs to one artifact,
// one kind of code, and one size of blocks.
#pragma once
#include "runtime/Load/Model.h"
#include "runtime/PrefixTree/PrefixTree.h"
#include "runtime/PrefixTree/SpillFile.h"

namespace stepdown {

class SpillTier final : public PrefixTree::Below {
public:
  /// `cache` and `queue` must outlive the tier. E0602, and those of SpillFile::open.
  static Result<std::unique_ptr<SpillTier>> open(const Model &model, const KVCache &cache, Queue &queue,
                                                 const std::string &path, uint64_t bytes);

  void dropped(const Key &key, size_t group, int32_t block) override;
  bool has(const Key &key, size_t group) const override { return !closed && file->has(key, group); }
  bool restore(const Key &key, size_t group, int32_t block) override;
  uint64_t bytes(size_t group) const override;

  /// From now on a block waits for room in the queue: everything is to be written.
  void wait() { waits = true; }
  /// What the cache holds is not to be trusted: nothing goes to the file any more, nor comes from it.
  void close() { closed = true; }
  SpillFile &of() const { return *file; }
  uint64_t restored() const { return count; } ///< blocks

private:
  SpillTier(const KVCache &cache, Queue &queue) : cache(cache), queue(queue) {}
  template <typename Copy> Status move(size_t group, int32_t block, Copy copy);
  const KVCache &cache;
  Queue &queue;
  std::unique_ptr<SpillFile> file;
  bool waits = false, closed = false;
  uint64_t count = 0;
};

} // namespace stepdown
