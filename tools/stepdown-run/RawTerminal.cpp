#include "tools/stepdown-run/RawTerminal.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace stepdown::run {
namespace {

constexpr char pasteOn[] = "\x1b[?2004h", pasteOff[] = "\x1b[?2004l";

// What handlers of signals see. A flag would not do: a signal between the look at it and the wait for a key were lost.
int resizePipe[2] = {-1, -1};
termios modeBefore;
struct sigaction endHandlers[2]; ///< of SIGHUP and SIGTERM, before ours

void onResize(int) {
  const int before = errno;
  (void)!::write(resizePipe[1], "", 1); // full: there is enough to read
  errno = before;
}

void onEnd(int signal) {
  (void)!::write(STDOUT_FILENO, pasteOff, std::strlen(pasteOff));
  tcsetattr(STDIN_FILENO, TCSANOW, &modeBefore);
  sigaction(signal, &endHandlers[signal == SIGTERM], nullptr);
  raise(signal); // once this one returns
}

} // namespace

bool RawTerminal::enter() {
  if (entered || tcgetattr(STDIN_FILENO, &modeBefore) != 0)
    return entered;
  if (resizePipe[0] < 0 && pipe2(resizePipe, O_CLOEXEC | O_NONBLOCK) != 0)
    return false;
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = onResize;
  sigaction(SIGWINCH, &action, &resizeBefore);
  action.sa_handler = onEnd;
  sigaction(SIGHUP, &action, &endHandlers[0]);
  sigaction(SIGTERM, &action, &endHandlers[1]);
  termios mode = modeBefore;
  mode.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN);
  mode.c_iflag &= ~tcflag_t(ICRNL | INLCR | IGNCR | IXON | ISTRIP);
  mode.c_cc[VMIN] = 1, mode.c_cc[VTIME] = 0;
  entered = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0;
  (void)!::write(STDOUT_FILENO, pasteOn, std::strlen(pasteOn));
  return entered;
}

void RawTerminal::leave() {
  if (!entered)
    return;
  entered = false;
  (void)!::write(STDOUT_FILENO, pasteOff, std::strlen(pasteOff));
  tcsetattr(STDIN_FILENO, TCSADRAIN, &modeBefore);
  sigaction(SIGWINCH, &resizeBefore, nullptr);
  sigaction(SIGHUP, &endHandlers[0], nullptr);
  sigaction(SIGTERM, &endHandlers[1], nullptr);
}

int RawTerminal::resizes() const { return resizePipe[0]; }

void RawTerminal::takeResize() {
  char some[64];
  while (::read(resizePipe[0], some, sizeof some) > 0)
    ;
}

} // namespace stepdown::run
