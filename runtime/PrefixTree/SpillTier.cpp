#include "runtime/PrefixTree/SpillTier.h"

#include "include/stepdown/CacheDims.h"
#include <cstdio>

namespace stepdown {

Result<std::unique_ptr<SpillTier>> SpillTier::open(const Model &model, const KVCache &cache, Queue &queue,
                                                   const std::string &path, uint64_t bytes) {
  if (cache.groupCount() > SpillFile::mostParts)
    return fail(ErrorCode::SessionOption, "prefix spill: expects at most %zu groups of layers, but got %zu",
                SpillFile::mostParts, cache.groupCount());
  std::unique_ptr<SpillTier> tier(new SpillTier(cache, queue));
  SpillFile::Options options;
  options.path = path;
  options.bytes = bytes;
  char sum[17];
  std::snprintf(sum, sizeof sum, "%016llx", static_cast<unsigned long long>(model.artifact().header().checksum));
  options.holds = std::string("artifact ") + sum + " as " + model.level() + " on " + model.device().name() + ", " +
                  std::to_string(cache.blockSize()) + " positions a block";
  for (const stepdown_cache_group &group : model.program().groups) {
    options.parts.push_back(tier->bytes(options.parts.size()));
    options.holds += ", " + std::to_string(group.layers) + " layers in " + stepdown_cached_name(group.element);
  }
  options.holds += std::string(", model \"") + model.name() + "\""; // last, for it may be of any length
  auto file = SpillFile::open(options);
  if (!file)
    return file.error();
  tier->file = std::move(*file);
  return tier;
}

uint64_t SpillTier::bytes(size_t group) const {
  return cache.layers(group) * (cache.bytesOfBlock(group, false) + cache.bytesOfBlock(group, true));
}

// Keys and values, layer by layer, one after another.
template <typename Copy> Status SpillTier::move(size_t group, int32_t block, Copy copy) {
  size_t at = 0;
  Status ok = Done{};
  for (uint32_t layer = 0; layer < cache.layers(group); ++layer)
    for (bool values : {false, true}) {
      const uint64_t bytes = cache.bytesOfBlock(group, values);
      const uint64_t base = values ? cache.values(group, layer) : cache.keys(group, layer);
      if (ok)
        ok = copy(base + static_cast<uint64_t>(block) * bytes, at, bytes);
      at += bytes;
    }
  Status done = queue.sync(); // nothing stays on its way
  return ok ? done : ok;
}

void SpillTier::dropped(const Key &key, size_t group, int32_t block) {
  if (closed)
    return;
  file->touch(key);
  if (file->has(key, group))
    return;
  uint8_t *room = file->room(waits);
  if (!room)
    return;
  Status copied = move(group, block, [&](uint64_t address, size_t at, uint64_t bytes) {
    return queue.download(room + at, address, bytes);
  });
  file->put(room, key, group, static_cast<bool>(copied));
}

bool SpillTier::restore(const Key &key, size_t group, int32_t block) {
  const uint8_t *from = closed ? nullptr : file->read(key, group);
  if (!from)
    return false;
  Status copied = move(group, block, [&](uint64_t address, size_t at, uint64_t bytes) {
    return queue.upload(address, from + at, bytes);
  });
  count += static_cast<bool>(copied);
  return static_cast<bool>(copied);
}

} // namespace stepdown
