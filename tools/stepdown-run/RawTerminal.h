// The terminal as an editor needs it: every key at once, nothing echoed, pasted text marked, and told of a change of
// size; and as it was again when the editor is done, or a signal ends the program.
#pragma once
#include <csignal>
#include <termios.h>

namespace stepdown::run {

class RawTerminal {
public:
  RawTerminal() = default;
  ~RawTerminal() { leave(); }
  RawTerminal(const RawTerminal &) = delete;
  RawTerminal &operator=(const RawTerminal &) = delete;

  /// False where standard input is no terminal. What was typed before stays to be read.
  bool enter();
  void leave();
  /// A descriptor that can be read from once the size has changed, until takeResize.
  int resizes() const;
  void takeResize();

private:
  bool entered = false;
  struct sigaction resizeBefore = {};
};

} // namespace stepdown::run
