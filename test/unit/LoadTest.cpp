// Loads for a server: requests that come by chance, and what is told of them.
#include "tools/stepdown-run/Load/Load.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace stepdown::run;

namespace {

LoadOptions some(size_t requests, double rate) {
  LoadOptions options;
  options.requests = requests, options.rate = rate, options.seed = 7;
  options.prompts = {3, 7, 11}, options.answers = {2, 5};
  options.firstId = 3, options.lastId = 23;
  return options;
}

// Times between requests of a Poisson process have mean 1 / rate and as large a standard deviation, and a part e^-x of
// them is longer than x means; each within five standard errors.
TEST(Load, comesAsAPoissonProcess) {
  const size_t count = 100003;
  const double rate = 37;
  const std::vector<LoadRequest> load = poissonLoad(some(count, rate));
  double sum = 0, squares = 0;
  size_t longer[3] = {};
  for (size_t i = 1; i < count; ++i) {
    const double gap = (load[i].at - load[i - 1].at) * rate;
    ASSERT_GE(gap, 0);
    sum += gap, squares += gap * gap;
    for (size_t x = 1; x <= 3; ++x)
      longer[x - 1] += gap > double(x);
  }
  const double n = double(count - 1), error = 5 / std::sqrt(n);
  EXPECT_NEAR(sum / n, 1, error);
  EXPECT_NEAR(squares / n, 2, error * std::sqrt(20)); // of x^2, whose variance is 24 - 4
  for (size_t x = 1; x <= 3; ++x) {
    const double part = std::exp(-double(x));
    EXPECT_NEAR(double(longer[x - 1]) / n, part, error * std::sqrt(part * (1 - part))) << x;
  }
  EXPECT_EQ(load[0].at, 0);
}

TEST(Load, isTheSameForASeedAndHasAllLengthsAndIds) {
  const std::vector<LoadRequest> load = poissonLoad(some(307, 5)), again = poissonLoad(some(307, 5));
  std::set<size_t> prompts, answers;
  std::set<int32_t> ids;
  for (size_t i = 0; i < load.size(); ++i) {
    EXPECT_EQ(load[i].at, again[i].at);
    const std::vector<int32_t> prompt = promptOf(load[i]);
    EXPECT_EQ(prompt, promptOf(again[i]));
    prompts.insert(prompt.size());
    answers.insert(load[i].answer);
    ids.insert(prompt.begin(), prompt.end());
  }
  EXPECT_EQ(prompts, (std::set<size_t>{3, 7, 11}));
  EXPECT_EQ(answers, (std::set<size_t>{2, 5}));
  EXPECT_TRUE(*ids.begin() == 3 && *ids.rbegin() == 23 && ids.size() == 21);
  LoadOptions other = some(307, 5);
  other.seed = 8;
  EXPECT_NE(poissonLoad(other)[1].at, load[1].at);
}

// The nearest rank: the smallest value that so large a part does not exceed.
TEST(Load, isToldInPercentiles) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  for (size_t n : {1, 2, 3, 7, 19, 20, 100, 101}) {
    std::vector<double> sorted;
    for (size_t i = 0; i < n; ++i)
      sorted.push_back(double(i * i));
    for (int share : {1, 50, 90, 95, 99, 100}) {
      const double value = percentile(sorted, share / 100.0);
      const auto upTo = size_t(std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
      EXPECT_GE(upTo * 100, n * size_t(share)) << n << " " << share;
      EXPECT_LT((upTo - 1) * 100, n * size_t(share)) << n << " " << share;
    }
  }
}

TEST(Load, isReportedWithoutWhatFailed) {
  std::vector<LoadOutcome> outcomes(5);
  outcomes[0] = {1, 1.5, 3.5, 5, ""};
  outcomes[1] = {2, 2.25, 2.25, 1, ""}; // one token has no time to the next
  outcomes[2] = {2, 3, 9, 4, "cut"};
  outcomes[3] = {4, 5, 9, 4, "stopped", true};
  outcomes[4] = {4, {}, 0, 4, ""}; // a number of tokens, but none came
  const LoadReport report = reportOf(outcomes);
  EXPECT_EQ(report.answered, 2u);
  EXPECT_EQ(report.failed, 2u);
  EXPECT_EQ(report.interrupted, 1u);
  EXPECT_EQ(report.toFirst, (std::vector<double>{0.25, 0.5}));
  EXPECT_EQ(report.perToken, (std::vector<double>{0.5}));
  EXPECT_EQ(report.seconds, 3.5);
  EXPECT_DOUBLE_EQ(report.tokensPerSecond(), 6 / 3.5);
  EXPECT_DOUBLE_EQ(report.costOfMillion(2), 2 / (6 / 3.5 * 3600) * 1e6);
  for (const std::string &plot : {plotOf(report, "a < b & c"), plotOf(LoadReport(), "")}) {
    EXPECT_EQ(plot.compare(0, 5, "<svg "), 0);
    EXPECT_EQ(plot.substr(plot.size() - 7), "</svg>\n");
    EXPECT_EQ(plot.find("nan"), std::string::npos);
    EXPECT_EQ(plot.find("inf"), std::string::npos);
  }
  EXPECT_NE(plotOf(report, "a < b & c").find("a &lt; b &amp; c"), std::string::npos);
}

} // namespace
