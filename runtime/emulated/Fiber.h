// Stacks to run lanes on, and the switch between them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stepdown::emulated {

/// A place in a computation that can be gone on with; null while it runs.
using Continuation = void *;

/// Saves the present place in `*from` and goes on at `to`.
void switchTo(Continuation *from, Continuation to);

/// Stacks of one size, each with pages below it that fault, so that one that is too deep harms nobody else's.
class FiberStacks {
public:
  /// Stacks begin at different places of their pages, so that lanes do not meet in the same sets of caches.
  static constexpr size_t stackBytes = 320 << 10, guardBytes = 64 << 10, apart = 17 * 64, places = 56;
  ~FiberStacks();
  /// Makes `count` stacks; false where the system has no addresses left. Continuations on them are lost.
  bool reserve(size_t count);
  /// A continuation that calls `body(argument)` on stack `index`; `body` must not return.
  Continuation prepare(size_t index, void (*body)(void *), void *argument);

private:
  uint8_t *bytes = nullptr;
  size_t held = 0;
};

} // namespace stepdown::emulated
