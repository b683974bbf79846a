// What one call of a function takes of a device: a queue, and a range of addresses whose pages the device fills as they
// are touched.
//
// A function's intermediate arrays depend on the shapes it is called with, so their sum is not known before. Reserving
// addresses for as much as the device has costs nothing, and spares functions an allocator: they move one number.
#pragma once
#include "runtime/Device.h"
#include <memory>
#include <mutex>
#include <vector>

namespace stepdown {

struct CallRoom {
  Allocation arena;
  std::unique_ptr<Queue> queue; ///< of the device
  std::unique_ptr<Queue> host;  ///< of the processor beside it, where that runs the functions; else null
  uint64_t begin() const {
    return arena->address;
  } ///< a multiple of the alignment of every target that the device runs
  uint64_t end() const { return begin() + arena->bytes; } ///< whole pages
};

/// Rooms between calls: a call takes one, and its results give it back. Any thread.
class CallRooms {
public:
  /// `host`: what runs the functions' code, where the device does not.
  CallRooms(std::shared_ptr<Device> device, std::shared_ptr<Device> host)
      : machine(std::move(device)), processor(std::move(host)) {}
  Device &device() const { return *machine; }
  /// What runs the functions' code.
  Device &host() const { return processor ? *processor : *machine; }
  Result<std::unique_ptr<CallRoom>> take(); ///< E0601
  /// `used`: bytes of the arena that the call took.
  void give(std::unique_ptr<CallRoom> room, size_t used);

private:
  std::shared_ptr<Device> machine, processor;
  std::mutex mutex;
  std::vector<std::unique_ptr<CallRoom>> idle;
};

} // namespace stepdown
