// Clients of a scheduler, and a session of the toy model for them.
#pragma once
#include "runtime/Scheduler/Scheduler.h"
#include "test/device/Kinds.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <gtest/gtest.h>

namespace stepdown::test {

inline int32_t highest(const float *logits, size_t count) {
  return static_cast<int32_t>(std::max_element(logits, logits + count) - logits);
}

struct Greedy : RequestClient {
  size_t limit, vocabulary;
  std::vector<int32_t> drawn;
  std::string problem;
  Greedy(size_t limit, size_t vocabulary) : limit(limit), vocabulary(vocabulary) {}
  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override {
    EXPECT_EQ(rows.count, 1u);
    drawn.push_back(highest(rows[0], vocabulary));
    if (drawn.size() < limit)
      next = {drawn.back()};
    return 1;
  }
  void failed(const Error &error) override { problem = error.text(); }
};

/// Draws as Greedy does, but gives guesses of what comes behind each token that it knows. It knows the truth, and
/// guesses wrongly at every third place.
struct Guessing : RequestClient {
  std::vector<int32_t> truth, drawn, given;
  size_t vocabulary, limit;
  std::vector<size_t> guesses;  ///< how many in each round, over and over
  std::vector<size_t> rowsSeen; ///< in each round
  std::string problem;
  Guessing(std::vector<int32_t> truth, size_t vocabulary, std::vector<size_t> guesses)
      : truth(std::move(truth)), vocabulary(vocabulary), limit(this->truth.size()), guesses(std::move(guesses)) {}
  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override {
    EXPECT_GE(rows.count, 1u);
    EXPECT_LE(rows.count, given.empty() ? 1 : given.size());
    EXPECT_TRUE(next.empty());
    size_t kept = 0;
    do
      drawn.push_back(highest(rows[kept++], vocabulary));
    while (kept < rows.count && given[kept] == drawn.back() && drawn.size() < limit);
    given.clear();
    if (drawn.size() < limit) {
      given = {drawn.back()};
      const size_t count = guesses[rowsSeen.size() % guesses.size()];
      for (size_t at = drawn.size(); at < std::min(limit, drawn.size() + count); ++at)
        given.push_back(at % 3 == 2 ? (truth[at] + 1) % 40 : truth[at]);
    }
    rowsSeen.push_back(rows.count);
    next = given;
    return kept;
  }
  void failed(const Error &error) override { problem = error.text(); }
};

struct Requests : testing::TestWithParam<test::DeviceKind> {
  ToyModel toy;
  std::unique_ptr<Session> session;
  void open(int64_t positions = 0, int32_t sequences = 0, uint32_t prefixBlocks = 0) {
    auto model = Model::load(toy.write(), GetParam().make());
    ASSERT_TRUE(model) << model.error().message;
    Session::Options options;
    options.kvBlock = 16;
    options.kvPositions = positions;
    options.maxSequences = sequences;
    options.prefixBlocks = prefixBlocks;
    session = std::move(*Session::create(*model, options));
  }
  std::vector<int32_t> prompt(size_t length, uint32_t seed) {
    std::vector<int32_t> tokens(length);
    for (int32_t &t : tokens)
      t = static_cast<int32_t>((seed = seed * 1664525u + 1013904223u) >> 8) % 40;
    return tokens;
  }
  std::vector<int32_t> expected(std::vector<int32_t> tokens, size_t limit) {
    std::vector<int32_t> drawn;
    while (drawn.size() < limit) {
      auto logits = toy.logits(tokens);
      drawn.push_back(highest(logits.data(), logits.size()));
      tokens.push_back(drawn.back());
    }
    return drawn;
  }
  void runAll(Scheduler &scheduler) {
    for (int steps = 0; steps < 10000; ++steps) {
      auto more = scheduler.step();
      ASSERT_TRUE(more) << more.error().message;
      if (!*more)
        return;
    }
    FAIL() << "the scheduler never ends";
  }
};

} // namespace stepdown::test
