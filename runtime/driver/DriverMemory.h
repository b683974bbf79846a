// Addresses of a GPU that become memory piece by piece, where the driver maps memory (CUDA's virtual memory
// management); elsewhere a part of what is free, taken at once.
#pragma once
#include "runtime/Device.h"
#include "runtime/driver/Context.h"
#include <map>

namespace stepdown::driver {

class ReservedMemory {
public:
  explicit ReservedMemory(const Context &context) : context(context) {}
  ~ReservedMemory();
  ReservedMemory(const ReservedMemory &) = delete;
  /// `slack`: bytes behind the end that may be read. E0601.
  Result<Memory> reserve(const char *purpose, size_t slack);
  Status commit(const Memory &memory, size_t from, size_t to, size_t slack);
  void discard(const Memory &memory, size_t from, size_t to);
  /// False where the addresses are none of these.
  bool release(uint64_t address);
  /// Bytes of memory behind the addresses.
  size_t committed() const;

private:
  struct Piece {
    size_t bytes;
    uint64_t handle;
  };
  struct Range {
    size_t bytes = 0, granule = 0;    ///< granule 0: one allocation
    std::map<uint64_t, Piece> pieces; ///< by address
  };
  Status map(Range &range, uint64_t address, size_t bytes);
  void unmap(uint64_t address, const Piece &piece) const;
  void end(uint64_t address, Range &range) const;

  const Context &context;
  mutable std::mutex mutex;
  std::map<uint64_t, Range> ranges; // by address
};

} // namespace stepdown::driver
