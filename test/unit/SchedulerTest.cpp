#include "runtime/Scheduler/Scheduler.h"
#include "test/device/Kinds.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <gtest/gtest.h>

using namespace stepdown;
using test::ToyModel;

namespace {

int32_t highest(const float *logits, size_t count) {
  return static_cast<int32_t>(std::max_element(logits, logits + count) - logits);
}

struct Greedy : RequestClient {
  size_t limit, vocabulary;
  std::vector<int32_t> drawn;
  std::string problem;
  Greedy(size_t limit, size_t vocabulary) : limit(limit), vocabulary(vocabulary) {}
  int32_t draw(const float *logits) override {
    drawn.push_back(highest(logits, vocabulary));
    return drawn.size() == limit ? -1 : drawn.back();
  }
  void failed(const Error &error) override { problem = error.text(); }
};

struct Requests : testing::TestWithParam<test::DeviceKind> {
  ToyModel toy;
  std::unique_ptr<Session> session;
  void open(int64_t positions = 0) {
    auto model = Model::load(toy.write(), GetParam().make());
    ASSERT_TRUE(model) << model.error().message;
    Session::Options options;
    options.kvBlock = 16;
    options.kvPositions = positions;
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

TEST_P(Requests, aloneAndTogetherDrawTheSame) {
  for (uint32_t chunk : {0u, 1u, 7u, 40u}) {
    open(1000);
    Scheduler scheduler(*session, chunk);
    std::vector<Greedy> clients(8, Greedy(12, toy.vocabulary));
    for (uint32_t i = 0; i < 8; ++i)
      scheduler.add(prompt(1 + 11 * i, i), clients[i]);
    runAll(scheduler);
    for (uint32_t i = 0; i < 8; ++i)
      EXPECT_EQ(clients[i].drawn, expected(prompt(1 + 11 * i, i), 12)) << "chunk " << chunk << ", request " << i;
    EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
  }
}

TEST_P(Requests, moreRequestsThanSequencesWaitTheirTurn) {
  open(256);
  Scheduler scheduler(*session, 0);
  std::vector<Greedy> clients(40, Greedy(3, toy.vocabulary));
  for (uint32_t i = 0; i < 40; ++i)
    scheduler.add(prompt(30, i), clients[i]);
  runAll(scheduler);
  for (uint32_t i = 0; i < 40; ++i)
    EXPECT_EQ(clients[i].drawn, expected(prompt(30, i), 3)) << i << " " << clients[i].problem;
}

TEST_P(Requests, outOfBlocksRefusesOneAndTheOthersGoOn) {
  open(64); // four blocks of 16
  Scheduler scheduler(*session, 0);
  Greedy longer(100, toy.vocabulary), shorter(10, toy.vocabulary);
  scheduler.add(prompt(20, 1), longer);
  scheduler.add(prompt(20, 2), shorter);
  runAll(scheduler);
  EXPECT_EQ(longer.problem.rfind("error E0608", 0), 0u) << longer.problem;
  EXPECT_EQ(shorter.problem, "");
  EXPECT_EQ(shorter.drawn, expected(prompt(20, 2), 10));
}

TEST_P(Requests, anImpossiblePromptIsRefused) {
  open(64);
  Scheduler scheduler(*session, 0);
  Greedy huge(1, toy.vocabulary), tooLong(1, toy.vocabulary), empty(1, toy.vocabulary), good(2, toy.vocabulary);
  scheduler.add(prompt(100, 1), huge);
  scheduler.add(prompt(300, 1), tooLong);
  scheduler.add({}, empty);
  scheduler.add({1}, good);
  runAll(scheduler);
  EXPECT_EQ(huge.problem.rfind("error E0608", 0), 0u) << huge.problem;
  EXPECT_EQ(tooLong.problem.rfind("error E0606", 0), 0u) << tooLong.problem;
  EXPECT_EQ(empty.problem.rfind("error E0611", 0), 0u) << empty.problem;
  EXPECT_EQ(good.drawn, expected({1}, 2));
}

INSTANTIATE_ON_DEVICES(Requests);

} // namespace
