// What a session allocates, before it does: the memory plan of a device beside its weights and code. A session takes
// its sizes from here, so the plan is what is allocated, to the byte.
#pragma once
#include "runtime/KVCache/KVCache.h"

namespace stepdown {

struct SessionBytes {
  uint64_t inputs = 0; ///< tokens, positions, sequences, rows, of an encoder last positions, and slots of adapters, of
                       ///< the largest step
  uint64_t activations = 0; ///< of the largest step
  uint64_t logits = 0;      ///< of the rows of the largest step
  uint64_t operands = 0;    ///< the words of every launch
  uint64_t cache = 0;       ///< keys and values
  uint64_t tables = 0;      ///< block tables
  uint64_t uploads = 0;     ///< on their way while the step before is computed, see Queue::stage
  uint64_t adapters = 0;    ///< matrices of all slots
  uint64_t total() const { return inputs + activations + logits + operands + cache + tables + uploads + adapters; }
};

/// Of a session of `program` for a target whose addresses are multiples of `alignment`. `operands`: whether its device
/// reads the words of launches in its memory, see Device::readsOperands; one that does not is a driver's, whose queues
/// stage uploads. `adapted`: the target's program with adapters, or null.
SessionBytes sessionBytes(const Program &program, uint64_t alignment, const KVCache::Shape &shape, bool operands = true,
                          const FileTarget *adapted = nullptr);

/// The most positions, at least one and at most those of `shape`, with which a session has `bytes` or less; 0: none.
int64_t positionsThatFit(const Program &program, uint64_t alignment, KVCache::Shape shape, uint64_t bytes,
                         bool operands = true, const FileTarget *adapted = nullptr);

/// Entries of each input array of a step: the tokens of the largest one in whole tiles, to a multiple of `alignment`
/// bytes.
uint32_t inputCapacity(const Program &program, uint64_t alignment);

/// Input arrays of a step: an encoder reads one more, the last position of each token's sequence, and a program with
/// adapters each token's slot.
uint32_t inputArrays(const Program &program, bool adapters = false);

/// Floats of the logits of a step: whole tiles of rows, so that a kernel may write all of its last tile.
uint64_t logitFloats(const Program &program);

} // namespace stepdown
