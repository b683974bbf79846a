// Keys and values in and out of a session, in one order for all devices.
#include "include/stepdown/CacheDims.h"
#include "runtime/Session/Session.h"
#include <algorithm>
#include <cstring>

namespace stepdown {
namespace {

/// Where the elements of one block lie, in bytes.
struct BlockStrides {
  size_t element, bytes; ///< of one element, of the block
  size_t heads = 0, channels = 0;
  size_t head = 0, channel = 0;
  size_t lanes = 1, group = 0, lane = 0; ///< position p is at p / lanes * group + p % lanes * lane
};

BlockStrides stridesOf(const stepdown_cache &layout, const stepdown_cache_group &group, int32_t blockSize,
                       bool values) {
  const uint32_t (&axes)[STEPDOWN_MAX_RANK] = values ? layout.values : layout.keys;
  BlockStrides at;
  at.element = stepdown_cached_bytes(group.element);
  at.heads = group.kv_heads;
  at.channels = values ? group.value_dim : group.key_dim;
  int64_t dims[STEPDOWN_MAX_RANK];
  const uint32_t rank =
      stepdown_cache_dims(axes, layout.lanes, group.kv_heads, static_cast<int64_t>(at.channels), dims);
  size_t stride = at.element;
  for (uint32_t d = rank; d-- > 1;) {
    size_t size = static_cast<size_t>(std::max<int64_t>(dims[d], 0));
    switch (axes[d]) {
    case STEPDOWN_AXIS_HEADS:
      at.head = stride;
      break;
    case STEPDOWN_AXIS_CHANNELS:
      at.channel = stride;
      break;
    case STEPDOWN_AXIS_POSITIONS:
      at.group = stride;
      size = static_cast<size_t>(blockSize);
      break;
    case STEPDOWN_AXIS_GROUPS:
      at.group = stride;
      at.lanes = layout.lanes;
      size = static_cast<size_t>(blockSize) / layout.lanes;
      break;
    case STEPDOWN_AXIS_LANES:
      at.lane = stride;
      break;
    }
    stride *= size;
  }
  at.bytes = stride;
  return at;
}

/// Copies positions [first, end) between blocks, of which the first has position `begin`, and rows one after another.
template <typename Copy>
void forEach(const BlockStrides &at, int32_t begin, int32_t blockSize, const CachePart &part, Copy copy) {
  size_t row = 0;
  for (int32_t position = part.first; position < part.end; ++position) {
    const auto block = static_cast<size_t>((position - begin) / blockSize);
    const auto inside = static_cast<size_t>(position % blockSize);
    const size_t base = block * at.bytes + inside / at.lanes * at.group + inside % at.lanes * at.lane;
    for (size_t head = 0; head < at.heads; ++head)
      for (size_t channel = 0; channel < at.channels; ++channel, row += at.element)
        copy(base + head * at.head + channel * at.channel, row);
  }
}

} // namespace

Result<int32_t> Session::adopt(const int32_t *ids, size_t count, int32_t adapter) {
  if (Status sound = expectSound(); !sound)
    return sound.error();
  if (count > static_cast<size_t>(cache.longest()))
    return fail(ErrorCode::ContextFull, "sequence: expects at most %d positions, but %zu are to come in",
                cache.longest(), count);
  Result<int32_t> created = createSequence(adapter);
  if (!created)
    return created;
  std::copy_n(ids, count, &held[size_t(*created) * cache.longest()]);
  // As they would have come in: windows give blocks back on the way.
  for (size_t at = 0; at < count;) {
    const size_t piece = std::min<size_t>(count - at, model->head().max_step_tokens);
    const KVCache::Growth grown{*created, static_cast<int32_t>(piece)};
    if (Status ok = cache.append(&grown, 1, *queue); !ok) {
      freeSequence(*created);
      return ok.error();
    }
    at += piece;
  }
  return created;
}

Status Session::expectPart(int32_t sequence, const CachePart &part) const {
  if (Status ok = expectSound(); !ok)
    return ok;
  if (Status ok = expectIdle(sequence); !ok)
    return ok;
  const Records<stepdown_cache_group> &groups = model->program().groups;
  if (part.group >= groups.count)
    return fail(ErrorCode::RequestField, "cache: expects a group from 0 to %u, but got %zu", groups.count - 1,
                part.group);
  if (part.layer >= groups[part.group].layers)
    return fail(ErrorCode::RequestField, "cache: group %zu: expects a layer from 0 to %u, but got %u", part.group,
                groups[part.group].layers - 1, part.layer);
  if (part.first < 0 || part.first > part.end || part.end > cache.length(sequence))
    return fail(ErrorCode::RequestField, "sequence %d: expects positions from 0 to %d, but got %d to %d", sequence,
                cache.length(sequence), part.first, part.end);
  for (int32_t b = part.first / cache.blockSize(); b * cache.blockSize() < part.end; ++b)
    if (cache.entry(part.group, sequence, b) < 0)
      return fail(ErrorCode::RequestField,
                  "sequence %d: expects position %d in the cache, but the window of group %zu has passed it", sequence,
                  std::max(part.first, b * cache.blockSize()), part.group);
  return Done{};
}

// Blocks with positions [first, end), one after another.
Status Session::moveBlocks(int32_t sequence, const CachePart &part, std::vector<uint8_t> &blocks, bool download) {
  const int32_t size = cache.blockSize(), begin = part.first / size, end = (part.end + size - 1) / size;
  const size_t bytes = blocks.size() / static_cast<size_t>(std::max(1, end - begin));
  const uint64_t base = part.values ? cache.values(part.group, part.layer) : cache.keys(part.group, part.layer);
  Status ok = Done{};
  for (int32_t b = begin; b < end && ok; ++b) {
    const uint64_t address = base + static_cast<uint64_t>(cache.entry(part.group, sequence, b)) * bytes;
    uint8_t *here = blocks.data() + static_cast<size_t>(b - begin) * bytes;
    ok = download ? queue->download(here, address, bytes) : queue->upload(address, here, bytes);
  }
  Status done = queue->sync();
  return ok ? done : ok;
}

Status Session::readCache(int32_t sequence, const CachePart &part, uint8_t *to) {
  if (Status ok = expectPart(sequence, part); !ok)
    return ok;
  const int32_t size = cache.blockSize(), begin = part.first / size * size;
  const BlockStrides at = stridesOf(model->program().cache[0], model->program().groups[part.group], size, part.values);
  std::vector<uint8_t> blocks(at.bytes * static_cast<size_t>((part.end - begin + size - 1) / size));
  if (Status ok = moveBlocks(sequence, part, blocks, true); !ok)
    return ok;
  forEach(at, begin, size, part,
          [&](size_t block, size_t row) { std::memcpy(to + row, blocks.data() + block, at.element); });
  return Done{};
}

Status Session::writeCache(int32_t sequence, const CachePart &part, const uint8_t *from) {
  if (Status ok = expectPart(sequence, part); !ok)
    return ok;
  const int32_t size = cache.blockSize(), begin = part.first / size * size;
  const BlockStrides at = stridesOf(model->program().cache[0], model->program().groups[part.group], size, part.values);
  std::vector<uint8_t> blocks(at.bytes * static_cast<size_t>((part.end - begin + size - 1) / size));
  forEach(at, begin, size, part,
          [&](size_t block, size_t row) { std::memcpy(blocks.data() + block, from + row, at.element); });
  return moveBlocks(sequence, part, blocks, false);
}

} // namespace stepdown
