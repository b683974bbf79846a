#include "tools/stepdown-run/Serve/Metrics.h"

#include <algorithm>
#include <cstdio>

namespace stepdown::run {
namespace {

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

} // namespace

void Histogram::add(double seconds) {
  const size_t range = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
  std::lock_guard<std::mutex> lock(mutex);
  ++counts[range];
  sum += seconds;
}

std::string Histogram::text(const std::string &name, const std::string &labels) const {
  std::lock_guard<std::mutex> lock(mutex);
  std::string out;
  uint64_t before = 0;
  for (size_t i = 0; i < counts.size(); ++i) { // each range counts those below it, too
    before += counts[i];
    const std::string bound = i < bounds.size() ? shown(bounds[i]) : "+Inf";
    out += metricLine(name + "_bucket", labels + (labels.empty() ? "" : ",") + metricLabel("le", bound), before);
  }
  const std::string braces = labels.empty() ? "" : "{" + labels + "}";
  out += name + "_sum" + braces + " " + shown(sum) + "\n";
  return out + metricLine(name + "_count", labels, before);
}

void RequestCounts::add(const std::string &path, int status) {
  std::lock_guard<std::mutex> lock(mutex);
  ++counts[{path, status}];
}

std::string RequestCounts::text() const {
  std::lock_guard<std::mutex> lock(mutex);
  std::string out;
  for (const auto &[which, count] : counts)
    out +=
        metricLine("stepdown_requests_total",
                   metricLabel("path", which.first) + "," + metricLabel("status", std::to_string(which.second)), count);
  return out;
}

std::string metricHead(const char *name, const char *type, const char *help) {
  return std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

std::string metricLine(const std::string &name, const std::string &labels, uint64_t value) {
  return name + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(value) + "\n";
}

std::string metricLabel(const char *name, const std::string &value) {
  std::string out = std::string(name) + "=\"";
  for (char c : value) {
    if (c == '\\' || c == '"')
      out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + "\"";
}

} // namespace stepdown::run
