// Verifies how a program says that keys and values lie: each axis once, and those that a cache has. Which of these
// layouts a cache can hold is the cache's to say (runtime/KVCache).
#include "runtime/Load/ArtifactFile.h"

namespace stepdown {
namespace {

/// Whether `axes` are those of a tensor with one element for every position of a block, head and channel.
bool complete(const uint32_t (&axes)[STEPDOWN_MAX_RANK]) {
  uint32_t seen = 0;
  bool ended = false;
  for (uint32_t axis : axes) {
    ended |= axis == 0;
    if (ended && axis == 0)
      continue;
    if (ended || axis > STEPDOWN_AXIS_CHANNELS || (seen >> axis & 1))
      return false;
    seen |= 1u << axis;
  }
  const uint32_t each = 1u << STEPDOWN_AXIS_BLOCKS | 1u << STEPDOWN_AXIS_HEADS | 1u << STEPDOWN_AXIS_CHANNELS;
  return seen == (each | 1u << STEPDOWN_AXIS_POSITIONS) ||
         seen == (each | 1u << STEPDOWN_AXIS_GROUPS | 1u << STEPDOWN_AXIS_LANES);
}

} // namespace

Status checkCache(const std::string &file, const Program &program) {
  if (program.cache.count != 1)
    return fail(ErrorCode::ArtifactTable, "%s: program: cache: expects one record, but got %u", file.c_str(),
                program.cache.count);
  const stepdown_cache &c = program.cache[0];
  const uint32_t times = c.smallest_block ? c.largest_block / c.smallest_block : 0;
  if (c.smallest_block < 1 || c.largest_block > STEPDOWN_MAX_CONTEXT || times < 1 || (times & (times - 1)) ||
      c.largest_block % c.smallest_block)
    return fail(ErrorCode::ArtifactTable,
                "%s: cache: expects blocks from one size to a power of two times it, up to %u positions, but got %u to "
                "%u",
                file.c_str(), STEPDOWN_MAX_CONTEXT, c.smallest_block, c.largest_block);
  if (c.lanes < 1 || c.smallest_block % c.lanes)
    return fail(ErrorCode::ArtifactTable,
                "%s: cache: lanes: expects a number that %u positions of a block are a multiple of, but got %u",
                file.c_str(), c.smallest_block, c.lanes);
  for (bool ofKeys : {true, false})
    if (!complete(ofKeys ? c.keys : c.values))
      return fail(ErrorCode::ArtifactTable,
                  "%s: cache: %s: expects the axes blocks, heads, channels, and positions or groups and lanes, each "
                  "once, then zeros",
                  file.c_str(), ofKeys ? "keys" : "values");
  return Done{};
}

} // namespace stepdown
