#include "tools/stepdown-device-check/Timer.h"

#include <algorithm>

namespace stepdown::devicecheck {

Timer::~Timer() {
  if (from)
    driver.endEvent(from);
  if (to)
    driver.endEvent(to);
}

double Timer::once(const std::function<bool()> &work) {
  if (!from && (driver.makeEvent(&from, 0) || driver.makeEvent(&to, 0)))
    return -1;
  // While this runs the host puts what comes next into the stream, so no launch is waited for between the events.
  if (driver.fill(flush, ++value, flushBytes, stream) || driver.recordEvent(from, stream))
    return -1;
  if (!work() || driver.recordEvent(to, stream) || driver.waitForEvent(to))
    return -1;
  float milliseconds = 0;
  return driver.betweenEvents(&milliseconds, from, to) ? -1 : 1000.0 * double(milliseconds);
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const size_t half = times.size() / 2;
  return times.size() % 2 ? times[half] : (times[half - 1] + times[half]) / 2;
}

} // namespace stepdown::devicecheck
