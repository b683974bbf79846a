// The memory of one call of a function: a range of addresses, whose pages the system fills as they are touched.
//
// A function's intermediate arrays depend on the shapes it is called with, so their sum is not known before. Reserving
// addresses for as much as the machine has costs nothing, and spares functions an allocator: they move one number.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace stepdown {

class Arena {
public:
  /// Reserves as many bytes as the machine has memory, or as many as the system grants; E0601 where that is next to
  /// none.
  static Result<std::unique_ptr<Arena>> reserve();
  ~Arena();
  Arena(const Arena &) = delete;

  uint64_t begin() const { return reinterpret_cast<uint64_t>(base); } ///< a multiple of 4096
  uint64_t end() const { return begin() + size; }
  /// Gives pages back that a call used beyond `used` bytes or a bound.
  void trim(size_t used);

private:
  Arena(uint8_t *base, size_t size) : base(base), size(size) {}
  uint8_t *base;
  size_t size;
};

/// Arenas between calls: a call takes one, and its results give it back. Any thread.
class ArenaPool {
public:
  Result<std::unique_ptr<Arena>> take(); ///< E0601
  /// `used`: bytes that the call took.
  void give(std::unique_ptr<Arena> arena, size_t used);

private:
  std::mutex mutex;
  std::vector<std::unique_ptr<Arena>> idle;
};

} // namespace stepdown
