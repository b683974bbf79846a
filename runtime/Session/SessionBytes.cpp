#include "runtime/Session/SessionBytes.h"

#include <algorithm>

namespace stepdown {
namespace {

uint64_t wholeTiles(const Program &program, uint64_t count) {
  uint64_t tile = 1;
  for (const stepdown_bucket &bucket : program.buckets)
    tile = std::max<uint64_t>(tile, bucket.tile);
  return (count + tile - 1) / tile * tile;
}

/// Words of the operands of dispatches [first, first + count): of each its address and its dimensions.
uint64_t operandWords(const Program &program, uint32_t first, uint32_t count) {
  uint64_t words = 0;
  for (uint32_t i = first; i < first + count; ++i)
    for (uint32_t k = 0; k < program.dispatches[i].operand_count; ++k)
      words += 1 + program.operands[program.dispatches[i].first_operand + k].rank;
  return words;
}

/// Of a whole step.
uint64_t operandWords(const Program &program) {
  uint64_t words = operandWords(program, program.head.entry_first, program.head.entry_count) +
                   operandWords(program, program.head.exit_first, program.head.exit_count);
  for (const stepdown_layer &layer : program.layers)
    words += operandWords(program, program.kinds[layer.kind].first_dispatch, program.kinds[layer.kind].dispatch_count);
  return words;
}

} // namespace

uint32_t inputCapacity(const Program &program, uint64_t alignment) {
  const uint64_t together = std::max<uint64_t>(1, alignment / sizeof(int32_t));
  return static_cast<uint32_t>((wholeTiles(program, program.head.max_step_tokens) + together - 1) / together *
                               together);
}

uint32_t inputArrays(const Program &program, bool adapters) { return (program.head.outputs ? 5 : 4) + adapters; }

uint64_t logitFloats(const Program &program) {
  return wholeTiles(program, program.head.max_step_rows) * program.head.logits_stride;
}

SessionBytes sessionBytes(const Program &program, uint64_t alignment, const KVCache::Shape &shape, bool operands,
                          const FileTarget *adapted) {
  SessionBytes bytes;
  bytes.inputs = inputArrays(program, adapted) * uint64_t(inputCapacity(program, alignment)) * sizeof(int32_t);
  bytes.activations = program.head.arena_bytes;
  uint64_t words = operandWords(program);
  if (adapted) {
    bytes.activations = std::max(bytes.activations, adapted->program.head.arena_bytes);
    bytes.adapters = adapted->adapterMemory();
    words += operandWords(adapted->program);
  }
  bytes.logits = logitFloats(program) * sizeof(float);
  bytes.operands = operands ? words * sizeof(uint64_t) : 0;
  uint64_t largest = bytes.inputs; // upload of a step
  for (const KVCache::Pool &pool : KVCache::pools(program.cache[0], program.groups, shape)) {
    bytes.cache += pool.bytes;
    bytes.tables += pool.tableBytes;
    largest = std::max<uint64_t>(largest, pool.tableBytes);
  }
  // Larger ones are waited for.
  constexpr uint64_t kLargestStaged = 65536, kAlignment = 256;
  largest = (std::min(largest, kLargestStaged) + kAlignment - 1) / kAlignment * kAlignment;
  bytes.uploads = operands ? 0 : Queue::kStagedUploads * largest;
  return bytes;
}

int64_t positionsThatFit(const Program &program, uint64_t alignment, KVCache::Shape shape, uint64_t bytes,
                         bool operands, const FileTarget *adapted) {
  auto fits = [&](int64_t positions) {
    shape.positions = positions;
    return sessionBytes(program, alignment, shape, operands, adapted).total() <= bytes;
  };
  int64_t low = 0, high = shape.positions; // low fits, or is 0
  if (fits(high))
    return high;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

} // namespace stepdown
