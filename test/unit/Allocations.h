// What the calling thread takes from malloc and operator new: counted, and failed on request.
//
// Linked into a test program, this replaces malloc and its kin (under a sanitizer, which owns malloc, operator new
// alone). A failed malloc returns null, a failed operator new throws std::bad_alloc.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stepdown::test {

class Allocations {
public:
  /// Bytes alive that this thread has taken and not given back; negative where it gave back those of others.
  static int64_t live();
  /// The most that `live` has been since `restart`.
  static int64_t peak();
  /// Calls since `restart`.
  static uint64_t calls();
  static void restart();

  /// From now on the `number`-th call of this thread fails (1: the next), and with `onwards` all behind it.
  static void fail(uint64_t number, bool onwards);
  static void failNone();
  /// Whether one has failed since `fail`.
  static bool failed();
};

} // namespace stepdown::test
