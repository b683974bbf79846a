// What a rendering may still use, and how it is refused when it asks for more.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown::jinja {

struct MutableObject;

/// A refusal on its way out of the interpreter. The interpreter is a recursive walk in which any node may refuse, so
/// inside it errors are exceptions; ChatTemplate turns them into values, and none leaves this folder.
struct Refusal {
  ErrorCode code;
  std::string message;
  int line = 0;          ///< 0: not yet known
  std::string construct; ///< "filter 'items'", "{% for %}"
};

/// The template asks for something that fails: E0403 with Python's own words for it.
[[noreturn]] void raise(std::string message);
[[noreturn]] void refuse(ErrorCode code, std::string message);

/// One at a time is current on a thread; values made meanwhile are charged to it. Without one nothing is counted.
class Budget {
public:
  Budget(size_t memoryBytes, uint64_t steps);
  ~Budget();
  Budget(const Budget &) = delete;

  static Budget *current();
  /// Counts work in steps (a node, or 64 bytes handled); E0404 beyond the limit. No current budget: does nothing.
  static void spend(uint64_t steps);
  static void spendBytes(size_t bytes) { spend(1 + bytes / 64); }
  /// E0407 before `bytes` are allocated that would pass the limit.
  static void require(size_t bytes);

  void charge(size_t bytes);
  void release(size_t bytes) { live -= bytes; }
  size_t enlist(MutableObject *object);
  void forget(size_t place);

private:
  size_t memoryLimit, live = 0;
  uint64_t stepLimit, used = 0;
  Budget *outer;
  std::vector<MutableObject *> changing; ///< alive, may form cycles
  std::vector<size_t> vacant;
};

/// Guards recursion over nested values (printing, comparing, JSON): E0405 beyond 500 levels.
class Nesting {
public:
  Nesting();
  ~Nesting();
};

} // namespace stepdown::jinja
