// What the code of a function asks of its device while it runs on the processor: launches, and accesses to memory.
#pragma once
#include "runtime/Device.h"
#include <deque>
#include <vector>

namespace stepdown {

/// The table that one call hands to its function, see stepdown_host. Operands of a launch go to the device through
/// memory of their own; what has to stay until the device has read it is kept.
class HostCalls {
public:
  /// `kernels`: as the device calls them, by number. Before each call there is memory behind `arena` up to the address
  /// that `next` holds then: the function's record of what it has taken.
  HostCalls(Queue &queue, Device &device, const std::vector<uint64_t> &kernels, const Allocation &arena,
            const uint64_t *next);
  HostCalls(const HostCalls &) = delete;
  /// Waits for what is on its way.
  ~HostCalls();
  HostCalls &operator=(const HostCalls &) = delete;
  stepdown_host *table() { return &functions.host; }
  /// What the device refused first, if anything.
  Status status() const { return first; }

private:
  struct Table {
    stepdown_host host; ///< first: what a function gets is a pointer to it
    HostCalls *owner;
  };
  static HostCalls &of(stepdown_host *host) { return *reinterpret_cast<Table *>(host)->owner; }
  int32_t keep(Status status);
  Status commit();
  Status launch(uint64_t kernel, const uint64_t *operands, uint64_t words, const uint64_t *grid);

  Table functions;
  Queue &queue;
  Device &device;
  const std::vector<uint64_t> &kernels;
  const Allocation &arena;
  const uint64_t *const next;
  size_t committed = 0;                     ///< bytes of the arena
  Allocation place;                         ///< of the operands of one launch at a time
  std::deque<std::vector<uint64_t>> sent;   ///< operands on their way
  std::deque<std::vector<uint8_t>> fetched; ///< elements on their way, either way
  Status first = Done{};
};

} // namespace stepdown
