// What a parsing or a rendering may still use, and how it is refused when it asks for more.
//
// A template is hostile until it has ended, so nothing in this folder works or allocates on credit:
//
//   - Memory: every object and every container of this folder takes its bytes through the Budget (String, Vector,
//     Charged, Counted), which refuses before they are taken. A std::string or std::vector here would escape it; the
//     few that stay hold messages of bounded length.
//   - Work: a node evaluated is a step, bytes taken are steps, and whatever reads without taking (search, comparison,
//     classes of characters) pays in steps for what it reads, before it reads it or a few kilobytes behind.
//
// A step is priced so that it takes less than about 50 ns. TemplateBudgetTest goes through every filter, test, method
// and function and measures both.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::jinja {

struct MutableObject;

/// A refusal on its way out of the interpreter. The interpreter is a recursive walk in which any node may refuse, so
/// inside it errors are exceptions; ChatTemplate turns them into values, and none leaves this folder. Its texts are of
/// bounded length and outside the budget, for they are written when that is used up.
struct Refusal {
  ErrorCode code;
  std::string message;
  int line = 0;          ///< 0: not yet known
  std::string construct; ///< "filter 'items'", "{% for %}"
};

/// The template asks for something that fails: E0403 with Python's own words for it (their first 4096 bytes).
[[noreturn]] void raise(std::string_view message);
[[noreturn]] void refuse(ErrorCode code, std::string_view message);

/// What changes, and so may take part in a cycle of references; a Budget holds a ring of them and clears them at its
/// end. Links lie in the objects, so that joining and leaving the ring needs no memory.
struct Ring {
  Ring *before = this, *behind = this;
  Ring() = default;
  Ring(const Ring &) = delete;
  ~Ring() { leave(); }
  void join(Ring &other) {
    leave();
    before = &other;
    behind = other.behind;
    other.behind->before = this;
    other.behind = this;
  }
  void leave() {
    before->behind = behind;
    behind->before = before;
    before = behind = this;
  }
};

/// One at a time is current on a thread; what is made meanwhile is charged to it. Without one nothing is counted.
class Budget {
public:
  Budget(size_t memoryBytes, uint64_t steps);
  ~Budget();
  Budget(const Budget &) = delete;

  static Budget *current() { return active; }

  /// Counts work in steps; E0404 beyond the limit. No current budget: does nothing.
  static void spend(uint64_t steps) {
    if (Budget *b = active)
      if ((b->used += steps) > b->stepLimit)
        b->refuseSteps();
  }
  /// For bytes that are compared or copied: a step each 64.
  static void spendBytes(size_t bytes) { spend(1 + bytes / 64); }
  /// For text whose code points are looked at one by one: a step each 16 bytes for decoding, each 4 where their
  /// classes or cases are looked up.
  static void spendDecoding(size_t bytes) { spend(1 + bytes / 16); }
  static void spendLookups(size_t bytes) { spend(1 + bytes / 4); }
  /// E0407 before `bytes` are taken that would pass the limit, for what is known to be too large from the start.
  static void require(size_t bytes) {
    if (Budget *b = active)
      if (bytes > b->memoryLimit || b->live > b->memoryLimit - bytes)
        b->refuseMemory();
  }

  /// Memory of values and containers; E0407, E0404, std::bad_alloc. `release` takes the same number of bytes.
  static void *take(size_t bytes) {
    Budget *b = active;
    if (b) {
      spend(1 + bytes / 256);
      require(priced(bytes));
    }
    void *place = ::operator new(bytes);
    if (b && (b->live += priced(bytes)) > b->peak)
      b->peak = b->live;
    return place;
  }
  static void release(void *place, size_t bytes) noexcept {
    if (Budget *b = active)
      b->live -= b->live < priced(bytes) ? b->live : priced(bytes);
    ::operator delete(place);
  }

  void watch(Ring &changing) { changing.join(ring); }
  uint64_t steps() const { return used; }
  size_t peakBytes() const { return peak; }

private:
  /// What malloc takes for `bytes`: a word in front, multiples of 16, at least 32.
  static size_t priced(size_t bytes) {
    return bytes < 24 ? 32 : bytes > SIZE_MAX - 32 ? bytes : (bytes + 23) / 16 * 16;
  }
  [[noreturn]] void refuseSteps() const;
  [[noreturn]] void refuseMemory() const;

  inline static thread_local Budget *active = nullptr;
  size_t memoryLimit, live = 0, peak = 0;
  uint64_t stepLimit, used = 0;
  Budget *outer;
  Ring ring; ///< of MutableObjects
};

/// Allocator of the budget, for containers.
template <typename T> struct Charged {
  using value_type = T;
  Charged() = default;
  template <typename U> Charged(const Charged<U> &) {}
  T *allocate(size_t count) {
    if (count > SIZE_MAX / sizeof(T))
      throw std::bad_alloc();
    return static_cast<T *>(Budget::take(count * sizeof(T)));
  }
  void deallocate(T *place, size_t count) noexcept { Budget::release(place, count * sizeof(T)); }
  friend bool operator==(const Charged &, const Charged &) { return true; }
  friend bool operator!=(const Charged &, const Charged &) { return false; }
};

using String = std::basic_string<char, std::char_traits<char>, Charged<char>>;
template <typename T> using Vector = std::vector<T, Charged<T>>;

/// The digits of an integer.
String decimal(int64_t number);

/// Base of what is made with `new`.
struct Counted {
  static void *operator new(size_t bytes) { return Budget::take(bytes); }
  static void operator delete(void *place, size_t bytes) { Budget::release(place, bytes); }
};

/// Pays for text of which it shows only on the way how much is looked at: `seen` as it goes, `settle` at the end.
class Meter {
public:
  explicit Meter(size_t bytesPerStep) : bytesPerStep(bytesPerStep) {}
  void seen(size_t bytes) {
    if ((owed += bytes) >= 1024)
      settle();
  }
  void settle() {
    Budget::spend(1 + owed / bytesPerStep);
    owed = 0;
  }

private:
  size_t bytesPerStep, owed = 0;
};

/// Guards recursion over nested values (printing, comparing, JSON): E0405 beyond 500 levels.
class Nesting {
public:
  Nesting();
  ~Nesting();
};

} // namespace stepdown::jinja
