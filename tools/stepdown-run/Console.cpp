#include "tools/stepdown-run/Console.h"

#include "lib/Base/PartFile.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace stepdown::run {
namespace {

volatile std::sig_atomic_t interrupts = 0;
// For those who wait: between the look at a flag and the wait, or in another thread's handler, a signal were lost.
int interruptPipe[2] = {-1, -1};

void onInterrupt(int) {
  interrupts = interrupts + 1;
  if (interrupts > 1) {
    removePartFiles();
    _exit(1);
  }
  const int before = errno;
  (void)!::write(interruptPipe[1], "", 1);
  errno = before;
}

} // namespace

Result<std::string> readText(const std::string &path) {
  std::FILE *file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (!file)
    return fail(ErrorCode::FileOpen, "%s: cannot open: %s", path.c_str(), std::strerror(errno));
  std::string text;
  char chunk[65536];
  errno = 0;
  while (size_t n = std::fread(chunk, 1, sizeof chunk, file))
    text.append(chunk, n);
  bool bad = std::ferror(file);
  int reason = errno;
  if (file != stdin)
    std::fclose(file);
  if (bad)
    return fail(ErrorCode::FileRead, "%s: cannot read: %s", path.c_str(), std::strerror(reason));
  return text;
}

Status print(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return fail(ErrorCode::FileWrite, "stdout: cannot write: %s", std::strerror(errno));
  return Done{};
}

void catchInterrupts() {
  if (interruptPipe[0] < 0 && pipe2(interruptPipe, O_CLOEXEC | O_NONBLOCK) != 0)
    interruptPipe[0] = interruptPipe[1] = -1; // then only what asks interrupted() sees them
  struct sigaction action = {};
  action.sa_handler = onInterrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return interrupts > 0; }
int interruptsToPoll() { return interruptPipe[0]; }

void clearInterrupt() {
  char some[64];
  while (::read(interruptPipe[0], some, sizeof some) > 0)
    ;
  interrupts = 0;
}

double milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace stepdown::run
