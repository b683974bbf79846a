// What /metrics tells, in the text format of Prometheus (exposition format 0.0.4).
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace stepdown::run {

/// Seconds, counted in ranges.
class Histogram {
public:
  static constexpr std::array<double, 14> bounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                    0.25,  0.5,    1,     2.5,  5,     10,   60};
  void add(double seconds);
  /// Lines NAME_bucket{LABELS,le="..."}, NAME_sum and NAME_count.
  std::string text(const std::string &name, const std::string &labels) const;

private:
  mutable std::mutex mutex;
  std::array<uint64_t, bounds.size() + 1> counts = {};
  double sum = 0;
};

/// Replies, by path and status.
class RequestCounts {
public:
  void add(const std::string &path, int status);
  std::string text() const;

private:
  mutable std::mutex mutex;
  std::map<std::pair<std::string, int>, uint64_t> counts;
};

/// "# HELP" and "# TYPE" of a metric.
std::string metricHead(const char *name, const char *type, const char *help);
/// `NAME{LABELS} VALUE`
std::string metricLine(const std::string &name, const std::string &labels, uint64_t value);
/// `name="value"`, escaped.
std::string metricLabel(const char *name, const std::string &value);

} // namespace stepdown::run
