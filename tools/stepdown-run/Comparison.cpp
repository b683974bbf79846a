#include "tools/stepdown-run/Comparison.h"
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stepdown::run {

/// log of the sum of e^x, which the highest number keeps from overflow.
static double logSum(const float *row, size_t vocabulary) {
  const double highest = *std::max_element(row, row + vocabulary);
  double sum = 0;
  for (size_t i = 0; i < vocabulary; ++i)
    sum += std::exp(row[i] - highest);
  return std::log(sum) + highest;
}

double surprise(const float *row, size_t vocabulary, int32_t id) { return logSum(row, vocabulary) - row[id]; }

void Comparison::add(const float *row, const float *reference, int32_t next) {
  const double ours = logSum(row, vocabulary), theirs = logSum(reference, vocabulary);
  double divergence = 0;
  for (size_t i = 0; i < vocabulary; ++i) {
    const double likely = reference[i] - theirs; // a logit of minus infinity: never, which adds nothing
    if (const double p = std::exp(likely); p > 0)
      divergence += p * (likely - (row[i] - ours));
  }
  divergences.push_back(std::max(divergence, 0.0)); // rounding alone goes below
  same +=
      std::max_element(row, row + vocabulary) - row == std::max_element(reference, reference + vocabulary) - reference;
  if (next >= 0)
    sum += theirs - reference[next], ++predicted;
}

nlohmann::json Comparison::json() const {
  std::vector<double> sorted = divergences;
  std::sort(sorted.begin(), sorted.end());
  const double count = double(sorted.size());
  auto share = [&](double part) { return sorted[size_t(std::ceil(part * count)) - 1]; };
  double mean = 0, squares = 0;
  for (double each : sorted)
    mean += each / count;
  for (double each : sorted)
    squares += (each - mean) * (each - mean);
  nlohmann::json told = {{"kl_mean", mean},       {"kl_standard_error", nullptr}, {"kl_median", share(0.5)},
                         {"kl_p99", share(0.99)}, {"kl_max", sorted.back()},      {"same_top", double(same) / count},
                         {"mean_nll", nullptr},   {"perplexity", nullptr}};
  if (sorted.size() > 1)
    told["kl_standard_error"] = std::sqrt(squares / (count - 1) / count);
  if (predicted) {
    told["mean_nll"] = sum / double(predicted);
    told["perplexity"] = std::exp(sum / double(predicted));
  }
  return told;
}

std::string Comparison::text() const {
  const nlohmann::json told = json();
  auto number = [&](const char *name) { return told[name].is_null() ? 0 : told[name].get<double>(); };
  char line[400];
  std::snprintf(line, sizeof line,
                "divergence from the reference: mean %.6f +- %.6f, median %.6f, 99%% %.6f, most %.6f nats\n"
                "the same likeliest token: %.3f %% of %zu\n",
                number("kl_mean"), number("kl_standard_error"), number("kl_median"), number("kl_p99"), number("kl_max"),
                100 * number("same_top"), divergences.size());
  std::string text = line;
  if (predicted) {
    std::snprintf(line, sizeof line, "reference: mean negative log-likelihood %.6f, perplexity %.4f\n",
                  number("mean_nll"), number("perplexity"));
    text += line;
  }
  return text;
}

} // namespace stepdown::run
