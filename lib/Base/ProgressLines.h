// What a program is doing, in lines for a log: how long it has run, the work, and how much of it is done.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>

namespace stepdown {

/// "stepdown-compile: 12.3 s: packing weights, 37 %" on stderr: once for each kind of work, at its end, and in between
/// once a second. Any number of threads may report.
class ProgressLines {
public:
  /// `program` begins each line. Where not `on`, nothing is printed.
  ProgressLines(const char *program, bool on);
  /// `done` of `total` of the work `what`; a total of 0 is not known.
  void report(const std::string &what, uint64_t done = 0, uint64_t total = 0);

private:
  const char *program;
  const bool on;
  const double begin; ///< seconds
  std::mutex mutex;
  std::string shown;
  double shownAt = 0;
};

} // namespace stepdown
