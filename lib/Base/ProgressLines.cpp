#include "lib/Base/ProgressLines.h"

#include <chrono>
#include <cstdio>

namespace stepdown {

static double clockSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProgressLines::ProgressLines(const char *program, bool on) : program(program), on(on), begin(clockSeconds()) {}

void ProgressLines::report(const std::string &what, uint64_t done, uint64_t total) {
  if (!on)
    return;
  const std::lock_guard<std::mutex> one(mutex);
  const double now = clockSeconds();
  if (what == shown && now < shownAt + 1 && (total == 0 || done < total))
    return;
  shown = what, shownAt = now;
  if (total)
    std::fprintf(stderr, "%s: %.1f s: %s, %.0f %%\n", program, now - begin, what.c_str(),
                 100.0 * static_cast<double>(done) / static_cast<double>(total));
  else
    std::fprintf(stderr, "%s: %.1f s: %s\n", program, now - begin, what.c_str());
}

} // namespace stepdown
