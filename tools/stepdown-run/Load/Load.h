// A load for a server: requests that come by chance, as those of many people do, and what became of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::run {

struct LoadOptions {
  double rate = 1; ///< requests a second, on average
  size_t requests = 1;
  std::vector<int64_t> prompts; ///< tokens; each request has one of these
  std::vector<int64_t> answers; ///< tokens; the same
  uint64_t seed = 0;
  int32_t firstId = 0, lastId = 0; ///< of which prompts are made, both included
};

struct LoadRequest {
  double at;             ///< seconds from the beginning
  size_t prompt, answer; ///< tokens
  int32_t firstId, lastId;
  uint64_t seed; ///< of the prompt's ids
};

/// Made when it is sent: all prompts of a load may be more than memory holds.
std::vector<int32_t> promptOf(const LoadRequest &request);

/// The same for the same options: times between two requests are exponentially distributed, so that requests form a
/// Poisson process; lengths and ids are drawn evenly.
std::vector<LoadRequest> poissonLoad(const LoadOptions &options);

/// What became of a request. Times are seconds from the beginning, as `LoadRequest::at`.
struct LoadOutcome {
  double at = 0;               ///< when it came, whether the client was ready to send it or not
  std::optional<double> first; ///< when its first token came
  double last = 0;             ///< and its last
  size_t tokens = 0;
  std::string problem;      ///< why there is no answer, or no whole one
  bool interrupted = false; ///< which is that the whole load was
  bool answered() const { return problem.empty() && tokens && first; }
  // Of what is answered.
  double toFirst() const { return *first - at; }
  /// Between two tokens, the mean; none where there are fewer than two.
  double perToken() const { return (last - *first) / static_cast<double>(tokens - 1); }
};

/// The value that a part `share` of `sorted` does not exceed: its nearest rank. 0 for none.
double percentile(const std::vector<double> &sorted, double share);

struct LoadReport {
  std::vector<double> toFirst, perToken; ///< seconds, ascending
  size_t answered = 0, failed = 0, interrupted = 0, tokens = 0;
  double seconds = 0; ///< from the first request to the last token
  double tokensPerSecond() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  /// Of a million tokens of answers, where an hour of the machine costs `perHour`.
  double costOfMillion(double perHour) const { return perHour / (tokensPerSecond() * 3600) * 1e6; }
};
LoadReport reportOf(const std::vector<LoadOutcome> &outcomes);

/// Two curves, each the part of requests that had no more than so many milliseconds to the first token, and between
/// tokens. SVG 1.1.
std::string plotOf(const LoadReport &report, const std::string &title);

} // namespace stepdown::run
