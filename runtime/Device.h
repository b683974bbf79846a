// What the runtime asks of a machine: memory, copies, kernels in order, events.
//
// Nothing above this header assumes that the host can read a device's memory: an address is a number that kernels
// understand, and only `host`, null where host and device do not share memory, may be dereferenced. A device holds what
// all sessions share (code, weights); a queue is one session's ordered stream of work on it.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>

namespace stepdown {

/// Bytes on a device; given back with Device::release.
struct Memory {
  uint64_t address = 0;
  uint8_t *host = nullptr; ///< the same bytes, where the host can reach them
  size_t bytes = 0;        ///< as asked for; Device::alignment() more may be read
};

/// One kernel with its resolved operands (see the kernel ABI in include/stepdown/Artifact.h).
struct Launch {
  uint64_t kernel = 0;              ///< what Device::kernel returned
  uint64_t operands = 0;            ///< device address of the words, which stay as they are until the launch is done; 0
                                    ///< where the device reads no operands
  uint32_t words = 0;               ///< of operands
  uint32_t grid[3] = {1, 1, 1};     ///< work-groups, none of them 0: the launch record's grid with this step's sizes
  const uint64_t *values = nullptr; ///< the same words in the host's memory, until launch() returns
};

/// An ordered stream of work. Calls come from one thread at a time. Work may be done later than the call that asks for
/// it: `from` of an upload and `to` of a download belong to the queue until an event after them has happened.
class Queue {
public:
  virtual ~Queue() = default;
  virtual Status upload(uint64_t to, const void *from, size_t bytes) = 0;
  /// Has uploads of up to a kStagedUploads-th of `memory`, which outlives the queue, come to the device under the work
  /// before them. A queue that has no use for that goes on as before. E1015.
  virtual Status stage(const Memory &) { return Done{}; }
  static constexpr size_t kStagedUploads = 8;
  /// Whether `from` of an upload is the caller's again when the call returns, as it is of a queue that stages.
  virtual bool keepsUploads() const { return false; }
  virtual Status download(void *to, uint64_t from, size_t bytes) = 0;
  virtual Status copy(uint64_t to, uint64_t from, size_t bytes) = 0;
  /// Runs `count` launches in order, each after the whole of the one before it.
  virtual Status launch(const Launch *launches, size_t count) = 0;
  /// Marks this point of the stream; the event has happened once everything before it is done.
  virtual uint64_t record() = 0;
  virtual bool happened(uint64_t event) const = 0;
  virtual Status wait(uint64_t event) = 0;
  /// Waits for everything.
  virtual Status sync() = 0;
  /// Threads (or the device's own measure of width) that kernels are called with.
  virtual int width() const = 0;
};

class Device {
public:
  virtual ~Device() = default;
  virtual const char *name() const = 0;
  /// Whether it runs code that an artifact lists under the target `name`: "cpu".
  virtual bool runs(const char *target) const = 0;
  /// Whether it executes code of `level` (enum stepdown_level) of such a target; 0 is that of a target without levels.
  virtual bool accepts(uint32_t level) const = 0;
  /// Whether the functions of such a target are code of the processor beside it, which launches kernels on it; `level`
  /// is then what that processor must have.
  virtual bool hasHost() const { return false; }
  /// Whether kernels read their operands from the device's memory; else launches take them from Launch::values.
  virtual bool readsOperands() const { return true; }
  /// Bytes: every allocation begins at a multiple of it, and so many readable bytes follow. Targets that are aligned to
  /// more are refused.
  virtual size_t alignment() const = 0;

  /// Zeroed bytes at a multiple of alignment(), with as many readable bytes behind them; E0601 when there are not
  /// enough.
  virtual Result<Memory> allocate(size_t bytes, const char *purpose) = 0;
  /// Addresses for arrays whose sizes a call decides, as many as the device may have bytes, a multiple of 4096; pages
  /// become memory when they are committed and first written. E0601 where there are next to none.
  virtual Result<Memory> reserve(const char *purpose) = 0;
  /// Makes sure of memory behind the reserved addresses from byte `from` to byte `to`, which are about to be used: of a
  /// device whose pages do not become memory by themselves. E0601.
  virtual Status commit(const Memory &, size_t, size_t) { return Done{}; }
  /// Gives back the pages of reserved memory from byte `from` to byte `to`; what they hold is lost.
  virtual void discard(Memory &memory, size_t from, size_t to) = 0;
  virtual void release(Memory &memory) = 0;
  /// Bytes allocated and not yet released, as asked for.
  virtual size_t allocated() const = 0;
  /// Bytes of memory that it has for allocations, weights and code; 0 where it has the host's.
  virtual size_t memory() const { return 0; }
  /// Bytes of memory() that are taken.
  virtual size_t held() const { return allocated(); }

  /// The device's address of mapped, read-only host bytes that outlive it: the address itself, or that of an upload.
  virtual Result<uint64_t> adopt(const uint8_t *bytes, size_t size) = 0;
  /// Takes a private copy of native code, compares its XXH3 with `checksum` (E0506), and makes it executable.
  virtual Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) = 0;
  /// A kernel of code that loadCode returned: at `offset`, or, where `name` is not null, the one called so in the image
  /// that begins there. `launch` says the block, cluster and shared memory of every launch of it, for which a device
  /// prepares it here once; E0920 where it cannot launch it so. Its grid comes with each Launch.
  virtual Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) = 0;

  /// A new stream; `threads` 0 takes every core.
  virtual Result<std::unique_ptr<Queue>> queue(int threads) = 0;
};

/// Owns a Memory for as long as it lives.
class Allocation {
public:
  Allocation() = default;
  Allocation(Device &device, Memory memory) : owner(&device), held(memory) {}
  Allocation(Allocation &&other) noexcept : owner(other.owner), held(other.held) { other.owner = nullptr; }
  Allocation &operator=(Allocation &&other) noexcept {
    std::swap(owner, other.owner);
    std::swap(held, other.held);
    return *this;
  }
  ~Allocation() {
    if (owner)
      owner->release(held);
  }
  /// See Device::commit.
  Status commit(size_t from, size_t to) const { return owner->commit(held, from, to); }
  /// Gives the pages of reserved memory back, see Device::discard.
  void discard(size_t from, size_t to) { owner->discard(held, from, to); }
  const Memory &operator*() const { return held; }
  const Memory *operator->() const { return &held; }

private:
  Device *owner = nullptr;
  Memory held;
};

} // namespace stepdown
