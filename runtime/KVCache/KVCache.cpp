#include "runtime/KVCache/KVCache.h"

#include "include/stepdown/CacheDims.h"
#include <algorithm>

namespace stepdown {
namespace {

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Bytes of one block of one layer's tensor with these `axes`, behind the outermost.
uint64_t blockBytes(const uint32_t (&axes)[STEPDOWN_MAX_RANK], const stepdown_cache &layout, int64_t blockSize,
                    const stepdown_cache_group &group, int64_t channels) {
  uint64_t bytes = stepdown_cached_bytes(group.element);
  int64_t dims[STEPDOWN_MAX_RANK];
  const uint32_t rank = stepdown_cache_dims(axes, layout.lanes, group.kv_heads, channels, dims);
  for (uint32_t d = 1; d < rank; ++d)
    bytes *= dims[d] == STEPDOWN_DIM_BLOCK_SIZE     ? blockSize
             : dims[d] == STEPDOWN_DIM_BLOCK_GROUPS ? blockSize / layout.lanes
                                                    : dims[d];
  return bytes;
}

} // namespace

std::vector<int32_t> KVCache::blockSizes(const stepdown_cache &layout) {
  std::vector<int32_t> sizes;
  for (uint32_t size = layout.smallest_block; size <= layout.largest_block; size *= 2)
    sizes.push_back(static_cast<int32_t>(size));
  return sizes;
}

std::vector<KVCache::Pool> KVCache::pools(const stepdown_cache &layout, Records<stepdown_cache_group> groups,
                                          const Shape &shape) {
  std::vector<Pool> all;
  const int64_t blocks = ceilDivide(shape.positions, shape.blockSize);
  const auto atOnce = static_cast<int32_t>(std::min<int64_t>(shape.maxContext, blocks * shape.blockSize));
  for (const stepdown_cache_group &group : groups) {
    Pool pool;
    pool.blocks = static_cast<uint32_t>(blocks);
    pool.longest = atOnce;
    if (group.window) {
      // A sequence never holds more than its window, what one step appends, and a block at either end.
      const int64_t most = ceilDivide(int64_t(group.window) + shape.maxStepTokens, shape.blockSize) + 1;
      pool.blocks = static_cast<uint32_t>(std::min(blocks, most * shape.sequences));
      if (pool.blocks >= most)
        pool.longest = shape.maxContext;
    }
    pool.keyBlockBytes = blockBytes(layout.keys, layout, shape.blockSize, group, group.key_dim);
    pool.valueBlockBytes = blockBytes(layout.values, layout, shape.blockSize, group, group.value_dim);
    pool.bytes = group.layers * uint64_t(pool.blocks) * (pool.keyBlockBytes + pool.valueBlockBytes);
    pool.tableBytes = uint64_t(shape.sequences) * ceilDivide(shape.maxContext, shape.blockSize) * sizeof(int32_t);
    all.push_back(pool);
  }
  return all;
}

Result<KVCache> KVCache::create(Device &device, const stepdown_cache &layout, Records<stepdown_cache_group> configs,
                                const Shape &shape) {
  for (bool ofKeys : {true, false})
    if (uint32_t axis = (ofKeys ? layout.keys : layout.values)[0]; axis != STEPDOWN_AXIS_BLOCKS)
      return fail(ErrorCode::CacheLayout, "cache: %s: expects blocks as the outermost axis, but got axis %u",
                  ofKeys ? "keys" : "values", axis);
  KVCache cache;
  cache.shape = shape;
  cache.lanes = static_cast<int32_t>(layout.lanes);
  cache.width = static_cast<int32_t>(ceilDivide(shape.maxContext, shape.blockSize));
  cache.lengths.assign(shape.sequences, 0);
  cache.borrowed.assign(shape.sequences, 0);
  cache.positions = ceilDivide(shape.positions, shape.blockSize) * shape.blockSize;
  cache.longestSequence = shape.maxContext;
  const std::vector<Pool> planned = pools(layout, configs, shape);
  for (size_t g = 0; g < planned.size(); ++g) {
    Group group;
    group.config = configs[g];
    group.blocks = planned[g].blocks;
    group.keyBlockBytes = planned[g].keyBlockBytes;
    group.valueBlockBytes = planned[g].valueBlockBytes;
    cache.longestSequence = std::min(cache.longestSequence, planned[g].longest);
    for (uint32_t layer = 0; layer < group.config.layers; ++layer) {
      for (uint64_t blockBytes : {group.keyBlockBytes, group.valueBlockBytes}) {
        Result<Memory> memory = device.allocate(blockBytes * group.blocks, "cache");
        if (!memory)
          return memory.error();
        cache.total += memory->bytes;
        group.tensors.emplace_back(device, *memory);
      }
    }
    group.table.assign(size_t(shape.sequences) * cache.width, -1);
    Result<Memory> table = device.allocate(planned[g].tableBytes, "block table");
    if (!table)
      return table.error();
    group.tableMemory = Allocation(device, *table);
    group.references.assign(group.blocks, 0);
    group.kept.assign(group.blocks, 0);
    // The lowest block comes off the stack first: a short conversation touches few pages.
    for (uint32_t b = group.blocks; b > 0; --b)
      group.free.push_back(static_cast<int32_t>(b - 1));
    cache.groups.push_back(std::move(group));
  }
  return cache;
}

int32_t KVCache::firstVisible(const Group &group, int32_t length) const {
  int32_t window = static_cast<int32_t>(std::min<uint32_t>(group.config.window, INT32_MAX));
  if (!window || length < window)
    return 0;
  return (length - window + 1) / shape.blockSize;
}

void KVCache::refer(Group &group, int32_t block) {
  group.idle -= group.kept[block] && group.references[block] == 1;
  ++group.references[block];
}

void KVCache::release(Group &group, int32_t block) {
  if (--group.references[block] == 0)
    group.free.push_back(block);
  else
    group.idle += group.kept[block] && group.references[block] == 1;
}

void KVCache::keep(size_t group, int32_t block) {
  ++groups[group].references[block];
  groups[group].kept[block] = 1;
}

void KVCache::letGo(size_t group, int32_t block) {
  groups[group].idle -= isIdle(group, block);
  groups[group].kept[block] = 0;
  release(groups[group], block);
}

int32_t KVCache::take(size_t index) {
  Group &group = groups[index];
  if (group.free.empty() && group.idle)
    keeper->giveBack(index, 1);
  if (group.free.empty())
    return -1;
  const int32_t block = group.free.back();
  group.free.pop_back();
  group.references[block] = 1;
  return block;
}

void KVCache::adopt(int32_t sequence, const int32_t *blocks, int32_t count) {
  for (Group &group : groups) {
    for (int32_t i = 0; i < count; ++i, ++blocks)
      if (row(group, sequence)[i] = *blocks; *blocks >= 0)
        refer(group, *blocks);
    group.dirty = true;
  }
  lengths[sequence] = count * shape.blockSize;
}

void KVCache::exchange(size_t group, int32_t sequence, int32_t index, int32_t block) {
  int32_t &entry = row(groups[group], sequence)[index];
  refer(groups[group], block);
  drop(groups[group], entry);
  entry = block;
}

void KVCache::drop(Group &group, int32_t &entry) {
  if (entry < 0)
    return;
  release(group, entry);
  entry = -1;
  group.dirty = true;
}

// Blocks that `growth` takes from the pool and, in `released`, blocks that windows give back first, to the keeper too.
// Of k sequences that append to one shared block, each but the last needs a copy: the references are counted down to
// see it, and up again.
uint32_t KVCache::needed(Group &group, const Growth *growth, size_t count, uint32_t &released) {
  uint32_t blocks = 0;
  released = 0;
  for (size_t i = 0; i < count; ++i) {
    int32_t length = lengths[growth[i].sequence];
    int32_t *entries = row(group, growth[i].sequence);
    for (int32_t b = 0; b < firstVisible(group, length); ++b)
      if (entries[b] >= 0 && --group.references[entries[b]] == group.kept[entries[b]])
        ++released;
    borrowed[growth[i].sequence] = 0;
    if (length % shape.blockSize) {
      uint32_t &references = group.references[entries[length / shape.blockSize]];
      if (references > 1) {
        --references;
        ++blocks;
        borrowed[growth[i].sequence] = 1;
      }
    }
    blocks += static_cast<uint32_t>(ceilDivide(int64_t(length) + growth[i].tokens, shape.blockSize) -
                                    ceilDivide(length, shape.blockSize));
  }
  for (size_t i = 0; i < count; ++i) {
    int32_t length = lengths[growth[i].sequence];
    int32_t *entries = row(group, growth[i].sequence);
    if (borrowed[growth[i].sequence])
      ++group.references[entries[length / shape.blockSize]];
    for (int32_t b = 0; b < firstVisible(group, length); ++b)
      if (entries[b] >= 0)
        ++group.references[entries[b]];
  }
  return blocks;
}

Status KVCache::append(const Growth *growth, size_t count, Queue &queue) {
  for (Group &group : groups) {
    uint32_t released, blocks = needed(group, growth, count, released);
    if (blocks > group.free.size() + group.idle + released)
      return fail(ErrorCode::CacheFull, "cache: expects %u free blocks of %d positions, but %zu of %u are free", blocks,
                  shape.blockSize, group.free.size() + group.idle + released, group.blocks);
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    Group &group = groups[g];
    for (size_t i = 0; i < count; ++i) {
      int32_t *entries = row(group, growth[i].sequence);
      for (int32_t b = firstVisible(group, lengths[growth[i].sequence]); b > 0 && entries[b - 1] >= 0; --b)
        drop(group, entries[b - 1]);
    }
    if (group.idle) {
      uint32_t released, blocks = needed(group, growth, count, released);
      if (blocks > group.free.size())
        keeper->giveBack(g, blocks - static_cast<uint32_t>(group.free.size()));
    }
    for (size_t i = 0; i < count; ++i)
      if (Status ok = grow(group, growth[i], queue); !ok)
        return ok;
  }
  for (size_t i = 0; i < count; ++i)
    lengths[growth[i].sequence] += growth[i].tokens;
  return Done{};
}

Status KVCache::grow(Group &group, const Growth &growth, Queue &queue) {
  auto take = [&] {
    int32_t block = group.free.back();
    group.free.pop_back();
    group.references[block] = 1;
    group.dirty = true;
    return block;
  };
  int32_t length = lengths[growth.sequence];
  int32_t *entries = row(group, growth.sequence);
  if (length % shape.blockSize) {
    int32_t &tail = entries[length / shape.blockSize];
    if (group.references[tail] > 1) {
      int32_t shared = tail, own = take();
      for (size_t t = 0; t < group.tensors.size(); ++t) {
        uint64_t bytes = t % 2 ? group.valueBlockBytes : group.keyBlockBytes, base = group.tensors[t]->address;
        if (Status ok = queue.copy(base + own * bytes, base + shared * bytes, bytes); !ok)
          return ok;
      }
      release(group, shared);
      tail = own;
    }
  }
  int64_t end = ceilDivide(int64_t(length) + growth.tokens, shape.blockSize);
  for (int64_t b = ceilDivide(length, shape.blockSize); b < end; ++b)
    entries[b] = take();
  return Done{};
}

void KVCache::fork(int32_t from, int32_t to) {
  for (Group &group : groups) {
    const int32_t *source = row(group, from);
    int32_t *target = row(group, to);
    for (int32_t b = 0; b < width; ++b) {
      target[b] = source[b];
      if (source[b] >= 0)
        refer(group, source[b]);
    }
    group.dirty = true;
  }
  lengths[to] = lengths[from];
}

bool KVCache::truncate(int32_t sequence, int32_t newLength) {
  // The next query, at newLength, sees from its window's first block on; an empty sequence needs none.
  if (newLength > 0)
    for (Group &group : groups)
      for (int32_t b = firstVisible(group, newLength); b < ceilDivide(newLength, shape.blockSize); ++b)
        if (row(group, sequence)[b] < 0)
          return false;
  for (Group &group : groups) {
    int32_t *entries = row(group, sequence);
    for (int64_t b = ceilDivide(newLength, shape.blockSize); b < ceilDivide(lengths[sequence], shape.blockSize); ++b)
      drop(group, entries[b]);
  }
  lengths[sequence] = newLength;
  return true;
}

uint32_t KVCache::heldBy(size_t group, const std::vector<int32_t> &sequences) const {
  if (sequences.empty())
    return 0;
  uint32_t blocks = 0;
  std::vector<uint32_t> others = groups[group].references;
  for (int32_t sequence : sequences)
    for (int32_t b = 0; b < width; ++b)
      if (const int32_t block = entry(group, sequence, b); block >= 0)
        blocks += --others[block] == groups[group].kept[block];
  return blocks;
}

Status KVCache::publish(Queue &queue) {
  for (Group &group : groups) {
    if (!group.dirty)
      continue;
    if (Status ok = queue.upload(group.tableMemory->address, group.table.data(), group.table.size() * sizeof(int32_t));
        !ok)
      return ok;
    group.dirty = false;
  }
  return Done{};
}

} // namespace stepdown
