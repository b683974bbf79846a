#include "tools/stepdown-run/Load/Load.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace stepdown::run {

std::vector<LoadRequest> poissonLoad(const LoadOptions &options) {
  std::mt19937_64 chance(options.seed); // whose numbers the standard prescribes, unlike those of its distributions
  auto below = [&](uint64_t count) { return chance() % count; };
  auto one = [&](const std::vector<int64_t> &lengths) { return static_cast<size_t>(lengths[below(lengths.size())]); };
  std::vector<LoadRequest> load;
  double at = 0;
  for (size_t i = 0; i < options.requests; ++i) {
    const size_t prompt = one(options.prompts), answer = one(options.answers);
    load.push_back({at, prompt, answer, options.firstId, options.lastId, chance()});
    const double even = (static_cast<double>(chance() >> 11) + 1) * 0x1p-53; // in (0, 1]
    at -= std::log(even) / options.rate;
  }
  return load;
}

std::vector<int32_t> promptOf(const LoadRequest &request) {
  std::mt19937_64 chance(request.seed);
  std::vector<int32_t> ids(request.prompt);
  const uint64_t count = static_cast<uint64_t>(request.lastId - request.firstId) + 1;
  for (int32_t &id : ids)
    id = request.firstId + static_cast<int32_t>(chance() % count);
  return ids;
}

double percentile(const std::vector<double> &sorted, double share) {
  if (sorted.empty())
    return 0;
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size()) - 1e-9));
  return sorted[std::min(std::max<size_t>(rank, 1), sorted.size()) - 1];
}

LoadReport reportOf(const std::vector<LoadOutcome> &outcomes) {
  LoadReport report;
  for (const LoadOutcome &outcome : outcomes) {
    if (!outcome.answered()) {
      ++(outcome.interrupted ? report.interrupted : report.failed);
      continue;
    }
    ++report.answered;
    report.tokens += outcome.tokens;
    report.seconds = std::max(report.seconds, outcome.last);
    report.toFirst.push_back(outcome.toFirst());
    if (outcome.tokens > 1)
      report.perToken.push_back(outcome.perToken());
  }
  std::sort(report.toFirst.begin(), report.toFirst.end());
  std::sort(report.perToken.begin(), report.perToken.end());
  return report;
}

} // namespace stepdown::run
