// Orders from several threads to the thread that owns a session.
#include "runtime/Server/Engine.h"
#include "runtime/Devices.h"
#include "test/unit/ToyModel.h"
#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <utility>

using namespace stepdown;
using test::ToyModel;

namespace {

/// Keeps what it hears, and lets others wait for it.
struct Heard : Engine::Listener {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<size_t, std::vector<int32_t>> tokens;
  std::map<size_t, std::string> texts;
  std::map<size_t, std::string> over; ///< the problem, or ""
  uint64_t number = 0;
  std::function<void()> atFirstToken;   ///< or none
  std::vector<Heard *> *ends = nullptr; ///< gets those that are over, in order; of the engine's thread
  void taken(uint64_t taken) override { number = taken; }
  void token(size_t answer, int32_t id, const std::string &text, const LogProbabilities *) override {
    if (atFirstToken)
      std::exchange(atFirstToken, nullptr)();
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_NE(number, 0u);
    if (id >= 0)
      tokens[answer].push_back(id);
    texts[answer] += text;
    changed.notify_all();
  }
  void finished(size_t answer, const Generation &generation) override {
    std::lock_guard<std::mutex> lock(mutex);
    if (ends)
      ends->push_back(this);
    over[answer] = generation.problem() ? generation.problem()->text() : "";
    EXPECT_EQ(generation.text(), texts[answer]);
    changed.notify_all();
  }
  void waitForEnds(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return over.size() == count; });
  }
  void waitForTokens(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return tokens[0].size() >= count; });
  }
};

struct Engines : testing::Test {
  ToyModel toy;
  std::shared_ptr<const Model> model = *Model::load(toy.write(), *openDevice(nullptr));
  Result<Tokenizer> tokenizer = Tokenizer::create(model->metadata());
  Engine::Options options;
  Engines() {
    options.session.threads = 1;
    options.session.kvBlock = 16;
    options.session.kvPositions = 2048;
    options.session.maxSequences = 7;
    options.steps.chunk = 13;
  }
  std::unique_ptr<Engine> engine() {
    auto made = Engine::create(model, *tokenizer, options);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  Engine::Order order(std::shared_ptr<Heard> heard, uint32_t seed, int64_t most = 17, size_t answers = 1) {
    Engine::Order order;
    std::vector<int32_t> prompt(1 + seed % 61);
    for (int32_t &id : prompt)
      id = static_cast<int32_t>((seed = seed * 1664525u + 1013904223u) >> 8) % 40;
    order.prompts = {prompt};
    order.answers = answers;
    order.how.maxTokens = most;
    order.how.ignoreEnd = true;
    order.how.sampling.temperature = 0.9f;
    order.how.sampling.seed = seed;
    order.listener = std::move(heard);
    return order;
  }
  void expectAllFree(const Engine &engine) {
    while (!engine.idle() || engine.figures().used[0])
      std::this_thread::yield(); // until it has told so
    EXPECT_EQ(engine.figures().running, 0u);
    EXPECT_EQ(engine.figures().waiting, 0u);
  }
};

TEST_F(Engines, answerOrdersOfManyThreadsAsEachAlone) {
  constexpr size_t threads = 5, each = 7;
  std::vector<std::shared_ptr<Heard>> together(threads * each);
  {
    auto shared = engine();
    std::vector<std::thread> pool;
    for (size_t t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        for (size_t i = t * each; i < (t + 1) * each; ++i) {
          together[i] = std::make_shared<Heard>();
          auto number = shared->submit(order(together[i], uint32_t(i), 17, 1 + i % 3));
          ASSERT_TRUE(number) << number.error().message;
          EXPECT_EQ(*number, together[i]->number);
        }
      });
    for (std::thread &thread : pool)
      thread.join();
    for (size_t i = 0; i < together.size(); ++i)
      together[i]->waitForEnds(1 + i % 3);
    expectAllFree(*shared);
    uint64_t drawn = 0;
    for (const auto &heard : together)
      for (const auto &[answer, tokens] : heard->tokens)
        drawn += tokens.size();
    EXPECT_EQ(shared->figures().drawnTokens, drawn);
  }
  auto single = engine();
  for (size_t i = 0; i < together.size(); ++i) {
    auto alone = std::make_shared<Heard>();
    ASSERT_TRUE(single->submit(order(alone, uint32_t(i), 17, 1 + i % 3)));
    alone->waitForEnds(1 + i % 3);
    EXPECT_EQ(alone->tokens, together[i]->tokens) << i;
    EXPECT_EQ(alone->texts, together[i]->texts) << i;
  }
}

TEST_F(Engines, answerEachOfSeveralPrompts) {
  auto shared = engine();
  auto heard = std::make_shared<Heard>(), first = std::make_shared<Heard>(), second = std::make_shared<Heard>();
  Engine::Order both = order(heard, 3, 11, 2);
  both.prompts.push_back({7, 5, 3});
  ASSERT_TRUE(shared->submit(both));
  Engine::Order one = both, other = both;
  one.prompts.pop_back(), one.listener = first;
  other.prompts.erase(other.prompts.begin()), other.listener = second;
  ASSERT_TRUE(shared->submit(one));
  ASSERT_TRUE(shared->submit(other));
  heard->waitForEnds(4), first->waitForEnds(2), second->waitForEnds(2);
  EXPECT_EQ(heard->tokens[0], first->tokens[0]);
  EXPECT_EQ(heard->tokens[1], first->tokens[1]);
  EXPECT_EQ(heard->tokens[2], second->tokens[0]);
  EXPECT_EQ(heard->tokens[3], second->tokens[1]);
}

// All at once with one beginning: who waits for a part of the step finds what the first has computed by then.
TEST_F(Engines, computeACommonBeginningOnce) {
  std::map<uint32_t, std::map<size_t, std::vector<int32_t>>> plainly;
  for (uint32_t blocks : {0u, 1000u}) {
    options.session.prefixBlocks = blocks;
    auto shared = engine();
    std::vector<std::shared_ptr<Heard>> heard;
    for (uint32_t i = 0; i < 13; ++i) {
      Engine::Order wanted = order(heard.emplace_back(std::make_shared<Heard>()), i, 19, 1 + i % 2);
      std::vector<int32_t> begin(128, 5);
      begin.insert(begin.end(), wanted.prompts[0].begin(), wanted.prompts[0].end());
      wanted.prompts[0] = begin;
      ASSERT_TRUE(shared->submit(wanted));
    }
    for (uint32_t i = 0; i < 13; ++i) {
      heard[i]->waitForEnds(1 + i % 2);
      if (!blocks)
        plainly[i] = heard[i]->tokens;
      EXPECT_EQ(heard[i]->tokens, plainly[i]) << i;
    }
    expectAllFree(*shared);
    const Scheduler::Figures figures = shared->figures().scheduler;
    EXPECT_EQ(figures.prompts, blocks ? 13u : 0);
    EXPECT_EQ(figures.hits, blocks ? 12u : 0);
    // But for what is left of a step that ends the first one's prompt, which goes to the second.
    EXPECT_GT(figures.reused + options.steps.chunk, blocks ? 12u * 128 : 0);
  }
}

// Together they outgrow the cache by far; alone each fits.
TEST_F(Engines, answerWhatOutgrowsTheCacheAsEachAlone) {
  options.session.kvPositions = 256;
  auto shared = engine();
  std::vector<std::shared_ptr<Heard>> together;
  for (uint32_t i = 0; i < 7; ++i)
    ASSERT_TRUE(shared->submit(order(together.emplace_back(std::make_shared<Heard>()), i, 150, 1 + i % 3)));
  for (uint32_t i = 0; i < 7; ++i) {
    together[i]->waitForEnds(1 + i % 3);
    for (const auto &[answer, problem] : together[i]->over)
      EXPECT_EQ(problem, "");
  }
  EXPECT_GT(shared->figures().scheduler.preemptions, 0u);
  expectAllFree(*shared);
  for (uint32_t i = 0; i < 7; ++i) {
    auto alone = std::make_shared<Heard>();
    ASSERT_TRUE(shared->submit(order(alone, i, 150, 1 + i % 3)));
    alone->waitForEnds(1 + i % 3);
    EXPECT_EQ(alone->tokens, together[i]->tokens) << i;
  }
}

// Two come while one is drawn: that of higher priority takes its place for a while.
TEST_F(Engines, answerWhatHasPriorityFirst) {
  options.session.maxSequences = 1;
  auto shared = engine();
  std::vector<Heard *> ends;
  const auto usual = std::make_shared<Heard>(), low = std::make_shared<Heard>(), high = std::make_shared<Heard>();
  for (const auto &each : {usual, low, high})
    each->ends = &ends;
  auto submit = [&](const std::shared_ptr<Heard> &heard, int64_t most, int32_t priority) {
    Engine::Order wanted = order(heard, 3, most);
    wanted.priority = priority;
    ASSERT_TRUE(shared->submit(wanted));
  };
  usual->atFirstToken = [&] { submit(low, 5, -2), submit(high, 5, 2); };
  submit(usual, 190, 0);
  for (const auto &each : {usual, low, high}) {
    each->waitForEnds(1);
    EXPECT_EQ(each->over[0], "");
  }
  EXPECT_EQ(ends, (std::vector<Heard *>{high.get(), usual.get(), low.get()}));
  EXPECT_EQ(usual->tokens[0].size(), 190u);
  EXPECT_EQ(shared->figures().scheduler.preemptions, 1u);
}

TEST_F(Engines, forgetAnOrderThatWasCancelled) {
  auto shared = engine();
  auto gone = std::make_shared<Heard>(), waiting = std::make_shared<Heard>();
  Result<uint64_t> number = shared->submit(order(gone, 5, 200, 7)), second = shared->submit(order(waiting, 7, 200, 2));
  ASSERT_TRUE(number && second);
  gone->waitForTokens(3);
  shared->cancel(*number);
  shared->cancel(*second);
  shared->cancel(*number); // it is not there
  shared->cancel(77);
  expectAllFree(*shared);
  EXPECT_EQ(shared->figures().cancelled, 2u);
  EXPECT_TRUE(gone->over.empty());
  EXPECT_TRUE(waiting->over.empty());
}

TEST_F(Engines, refuseWhatTheyCannotDo) {
  options.waiting = 3;
  auto shared = engine();
  auto heard = std::make_shared<Heard>(), busy = std::make_shared<Heard>();
  auto code = [&](const Engine::Order &wanted) {
    auto number = shared->submit(wanted);
    return number ? 0 : int(number.error().code);
  };
  Engine::Order wanted = order(heard, 1);
  wanted.prompts = {{}};
  EXPECT_EQ(code(wanted), 611);
  wanted.prompts = {{1, 41}};
  EXPECT_EQ(code(wanted), 603);
  wanted.prompts = {std::vector<int32_t>(257, 1)};
  EXPECT_EQ(code(wanted), 606);
  EXPECT_EQ(code(order(heard, 1, 17, 8)), 605);
  wanted.prompts.assign(11, {1});
  EXPECT_EQ(code(wanted), 605);
  wanted.prompts.resize(1);
  wanted.how.sampling.topP = 2;
  EXPECT_EQ(code(wanted), 701);

  ASSERT_TRUE(shared->submit(order(busy, 2, 200, 7)));
  ASSERT_TRUE(shared->submit(order(heard, 2, 7, 3)));
  EXPECT_EQ(code(order(heard, 3)), 1209);
  EXPECT_GE(shared->secondsToWait(), 1);
  EXPECT_LE(shared->secondsToWait(), 60);
  heard->waitForEnds(3);
}

// What is refused for want of room has had nothing made for it.
TEST_F(Engines, makeNothingForWhatTheyRefuse) {
  struct Counted final : Speculator {
    mutable std::atomic<size_t> made{0};
    Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
      ++made;
      return fail(ErrorCode::SamplingLogits, "drafter: there is none");
    }
  };
  options.waiting = 0;
  auto shared = engine();
  auto counted = std::make_shared<Counted>();
  auto busy = std::make_shared<Heard>();
  std::optional<Result<uint64_t>> refused;
  busy->atFirstToken = [&] { // on the engine's thread: nothing is over meanwhile
    Engine::Order more = order(std::make_shared<Heard>(), 3, 7, 1);
    more.how.speculator = counted;
    refused = shared->submit(std::move(more));
  };
  ASSERT_TRUE(shared->submit(order(busy, 2, 5, 7)));
  busy->waitForEnds(7);
  ASSERT_TRUE(refused && !*refused);
  EXPECT_EQ(refused->error().code, ErrorCode::ServerBusy);
  EXPECT_EQ(counted->made, 0u);
  expectAllFree(*shared);
  // Places of one that cannot be made are given back.
  for (int i = 0; i < 9; ++i) {
    Engine::Order more = order(std::make_shared<Heard>(), 3, 7, 7);
    more.how.speculator = counted;
    auto number = shared->submit(std::move(more));
    ASSERT_FALSE(number);
    EXPECT_EQ(number.error().code, ErrorCode::SamplingLogits);
  }
  EXPECT_EQ(counted->made, 9u);
  EXPECT_TRUE(shared->idle());
}

TEST_F(Engines, endWhatTakesTooLong) {
  options.seconds = 0.02;
  auto shared = engine();
  auto late = std::make_shared<Heard>();
  // Time passes at the first token, on the engine's thread: nothing is over meanwhile, however fast the machine is.
  late->atFirstToken = [] { std::this_thread::sleep_for(std::chrono::milliseconds(23)); };
  ASSERT_TRUE(shared->submit(order(late, 59, 200, 7)));
  late->waitForEnds(7);
  for (const auto &[answer, problem] : late->over) {
    EXPECT_EQ(problem.rfind("error E1211", 0), 0u) << answer << ": " << problem;
    EXPECT_LT(late->tokens[answer].size(), 200u);
  }
  expectAllFree(*shared);
}

TEST_F(Engines, stopAfterTheAnswersOrWhenTheirTimeIsOver) {
  for (double grace : {0.0, 100.0}) {
    auto shared = engine();
    auto heard = std::make_shared<Heard>(), none = std::make_shared<Heard>();
    heard->atFirstToken = [&] { shared->stop(grace); }; // on the engine's thread: 189 tokens are to come
    ASSERT_TRUE(shared->submit(order(heard, 3, 190)));
    heard->waitForEnds(1);
    auto refused = shared->submit(order(none, 1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::ServerStopping);
    if (grace > 0) {
      EXPECT_EQ(heard->over[0], "");
      EXPECT_EQ(heard->tokens[0].size(), 190u);
    } else {
      EXPECT_EQ(heard->over[0].rfind("error E1210", 0), 0u) << heard->over[0];
      EXPECT_LT(heard->tokens[0].size(), 190u);
    }
  }
}

TEST_F(Engines, endWithOrdersInFlight) {
  std::vector<std::shared_ptr<Heard>> all;
  {
    auto shared = engine();
    for (uint32_t i = 0; i < 20; ++i)
      ASSERT_TRUE(shared->submit(order(all.emplace_back(std::make_shared<Heard>()), i, 250)));
  }
  for (const std::shared_ptr<Heard> &heard : all) {
    EXPECT_EQ(heard.use_count(), 1);
    EXPECT_EQ(heard->over.size(), 1u);
  }
}

} // namespace
