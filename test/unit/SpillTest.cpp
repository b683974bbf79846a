// Blocks that leave the cache for a file and come back: what is computed behind them is the toy model's, plainly
// computed, whatever happened to the file.
#include "runtime/PrefixTree/SpillFile.h"
#include "test/unit/Requests.h"
#include <fstream>
#include <map>
#include <tuple>
#include <unistd.h>

using namespace stepdown;
using test::Greedy;
using test::ToyModel;

namespace {

struct Spill : testing::TestWithParam<std::tuple<test::DeviceKind, uint32_t>> {
  ToyModel toy;
  Session::Options options;
  std::unique_ptr<Session> session;
  Spill() {
    toy.window = std::get<1>(GetParam());
    options.threads = 1;
    options.kvBlock = 16;
    options.kvPositions = 160;
    options.maxSequences = 3;
    options.prefixBlocks = 99;
    options.spillFile = test::temporaryFile({}, ".spill");
    options.spillBytes = 1 << 20;
  }
  ~Spill() override {
    session.reset();
    ::unlink(options.spillFile.c_str());
  }
  std::string open() {
    session.reset();
    auto model = Model::load(toy.write(), std::get<0>(GetParam()).make());
    EXPECT_TRUE(model);
    auto made = Session::create(*model, options);
    if (!made)
      return made.error().text();
    session = std::move(*made);
    return "";
  }
  static std::vector<int32_t> text(uint32_t seed, size_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t &t : tokens)
      t = static_cast<int32_t>((seed = seed * 1664525u + 1013904223u) >> 8) % 40;
    return tokens;
  }
  void compute(int32_t sequence, const std::vector<int32_t> &tokens, size_t from) {
    for (size_t at = from; at < tokens.size(); at += 29) { // windows pass blocks on the way, remembered before
      std::vector<Session::Token> batch;
      for (size_t i = at; i < std::min(tokens.size(), at + 29); ++i)
        batch.push_back({sequence, tokens[i], i + 1 == tokens.size()});
      ASSERT_TRUE(session->submit(batch.data(), batch.size()));
      ASSERT_TRUE(session->step());
      session->remember(sequence);
    }
  }
  /// As a request would: what is there, here or in the file, and then the rest; returns the first.
  int32_t run(const std::vector<int32_t> &tokens) {
    const int32_t sequence = *session->createSequence();
    int32_t held = 0;
    do {
      EXPECT_TRUE(session->step());
      held = session->reuse(sequence, tokens.data(), static_cast<int32_t>(tokens.size()) - 1);
    } while (session->restoresMore());
    compute(sequence, tokens, static_cast<size_t>(held));
    EXPECT_EQ(session->rows(), 1u);
    EXPECT_EQ(std::vector<float>(session->logits(0), session->logits(0) + toy.vocabulary), toy.logits(tokens));
    session->freeSequence(sequence);
    EXPECT_TRUE(session->prefixes()->isSound());
    return held;
  }
  /// Keys and values that a later token sees.
  std::vector<uint8_t> cached(const std::vector<int32_t> &tokens) {
    const int32_t sequence = *session->createSequence();
    const auto count = static_cast<int32_t>(tokens.size());
    while (session->reuse(sequence, tokens.data(), count), session->restoresMore())
      EXPECT_TRUE(session->step());
    EXPECT_EQ(session->length(sequence), count);
    std::vector<uint8_t> all;
    for (size_t g = 0; g < session->kv().groupCount(); ++g)
      for (bool values : {false, true}) {
        const int32_t first = g ? count - static_cast<int32_t>(toy.window) + 1 : 0;
        std::vector<uint8_t> part(static_cast<size_t>(count - first) * toy.width * sizeof(float));
        EXPECT_TRUE(session->readCache(sequence, {g, 0, values, first, count}, part.data()));
        all.insert(all.end(), part.begin(), part.end());
      }
    session->freeSequence(sequence);
    return all;
  }
  void damage(size_t from, size_t every) {
    std::fstream file(options.spillFile, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(0, std::ios::end);
    const auto size = static_cast<size_t>(file.tellg());
    for (size_t at = from; at < size; at += every) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put('x');
    }
  }
};

TEST_P(Spill, whatWasDroppedComesBackAsItWas) {
  ASSERT_EQ(open(), "");
  std::map<uint32_t, std::vector<uint8_t>> before;
  for (uint32_t seed : {1, 2, 3, 4}) {
    EXPECT_EQ(run(text(seed, 101)), 0);
    before[seed] = cached(text(seed, 96));
  }
  EXPECT_EQ(session->restored(), 0u);
  for (uint32_t seed : {1, 2, 3, 4, 1}) { // each drove out the others, but for one or two blocks
    EXPECT_EQ(run(text(seed, 101)), 96) << seed;
    EXPECT_EQ(cached(text(seed, 96)), before[seed]);
  }
  EXPECT_EQ(run(text(2, 55)), 48); // the beginning of it
  std::vector<int32_t> other = text(3, 101);
  other[65] ^= 1;
  EXPECT_EQ(run(other), 64);
  EXPECT_GT(session->restored(), 4u * 4);
  const SpillFile::Figures figures = session->spilled()->figures();
  EXPECT_EQ(figures.restored, session->restored());
  EXPECT_EQ(figures.failures + figures.dropped, 0u);
}

// Also what was never dropped: it is written when the session ends.
TEST_P(Spill, anotherProcessGoesOnWithTheFile) {
  ASSERT_EQ(open(), "");
  for (uint32_t seed : {1, 2})
    run(text(seed, 101));
  const std::vector<uint8_t> before = cached(text(2, 96));
  ASSERT_EQ(open(), "");
  EXPECT_EQ(session->prefixes()->size(), 0u);
  EXPECT_EQ(session->spilled()->figures().slots, 12u);
  EXPECT_EQ(cached(text(2, 96)), before);
  for (uint32_t seed : {1, 2})
    EXPECT_EQ(run(text(seed, 101)), 96);
  EXPECT_EQ(session->spilled()->figures().failures, 0u);
}

TEST_P(Spill, anotherModelDoesNot) {
  ASSERT_EQ(open(), "");
  run(text(1, 101));
  std::unique_ptr<Session> first = std::move(session);
  EXPECT_EQ(open(), "error E1518: " + options.spillFile + ": expects a file that no other program spills to");
  first.reset();
  options.kvBlock = 32;
  EXPECT_EQ(open().substr(0, 11), "error E1517");
  options.kvBlock = 16;
  toy.layers += 2;
  EXPECT_EQ(open().substr(0, 11), "error E1517");
  toy.layers -= 2;
  options.prefixBlocks = 0;
  EXPECT_EQ(open().substr(0, 11), "error E0602");
  options.prefixBlocks = 99;
  ASSERT_EQ(open(), "");
  EXPECT_EQ(run(text(1, 101)), 96);
}

TEST_P(Spill, whatIsDamagedIsComputedAgain) {
  for (size_t every : {50, 997, 7001, 40009}) {
    ASSERT_EQ(open(), "");
    for (uint32_t seed : {1, 2, 3})
      run(text(seed, 101));
    session->spilled()->flush();
    damage(4096 + 100, every);
    for (uint32_t seed : {1, 2, 3})
      run(text(seed, 101));
    if (every < 1000) {
      EXPECT_GT(session->spilled()->figures().failures, 0u);
    }
  }
}

// As little as possible between two steps: a block at a time, of each group, or what a window sees.
TEST_P(Spill, comesBackBoundedlyMuchAtOnce) {
  options.restoredAtOnce = 1;
  ASSERT_EQ(open(), "");
  for (uint32_t seed : {1, 2})
    run(text(seed, 101));
  ASSERT_EQ(open(), "");
  const std::vector<int32_t> tokens = text(2, 101);
  const int32_t sequence = *session->createSequence(), other = *session->createSequence();
  int32_t length = 0, calls = 0;
  do {
    EXPECT_EQ(session->reuse(sequence, tokens.data(), 100), length + 16);
    length += 16;
    if (session->restoresMore()) {
      EXPECT_EQ(session->reuse(sequence, tokens.data(), 100), length); // not before the next step
      EXPECT_TRUE(session->restoresMore());
      EXPECT_EQ(session->reuse(other, text(1, 101).data(), 100), 0);
      EXPECT_TRUE(session->restoresMore());
      EXPECT_TRUE(session->step());
    }
    ++calls;
  } while (length < 96);
  EXPECT_FALSE(session->reuse(sequence, tokens.data(), 100) != 96 || session->restoresMore());
  EXPECT_EQ(calls, 6);
  // What is here already is no reason to wait for more for ever.
  ASSERT_EQ(open(), "");
  const int32_t first = *session->createSequence(), second = *session->createSequence();
  EXPECT_EQ(session->reuse(first, tokens.data(), 20), 16);
  int32_t steps = 0;
  while (session->reuse(second, tokens.data(), 100) < 96 && ++steps < 20)
    ASSERT_TRUE(session->step());
  EXPECT_EQ(session->length(second), 96);
}

// A tree of fewer nodes than a prompt has blocks: no more comes back than it can hold.
TEST_P(Spill, comesBackAsFarAsTheTreeHoldsIt) {
  ASSERT_EQ(open(), "");
  for (uint32_t seed : {1, 2})
    run(text(seed, 101));
  options.prefixBlocks = 4;
  ASSERT_EQ(open(), "");
  for (uint32_t seed : {1, 2, 1})
    EXPECT_EQ(run(text(seed, 101)), 64);
  EXPECT_EQ(session->restored(), session->spilled()->figures().restored);
  EXPECT_EQ(session->spilled()->figures().failures, 0u);
}

// Where others have the blocks, as much comes back as there is room for.
TEST_P(Spill, takesNothingFromThoseWhoRun) {
  ASSERT_EQ(open(), "");
  for (uint32_t seed : {1, 2})
    run(text(seed, 101));
  const int32_t busy = *session->createSequence();
  compute(busy, text(3, 119), 0);
  EXPECT_EQ(session->length(busy), 119);
  const int32_t sequence = *session->createSequence();
  EXPECT_EQ(session->reuse(sequence, text(1, 101).data(), 100), 32);
  EXPECT_FALSE(session->restoresMore());
  session->freeSequence(sequence);
  session->freeSequence(busy);
  EXPECT_TRUE(session->prefixes()->isSound());
  EXPECT_EQ(run(text(1, 101)), 96);
}

// Requests that outgrow the cache give up their blocks, and take them back from the file.
TEST_P(Spill, preemptedRequestsTakeTheirBlocksBack) {
  for (uint64_t atOnce : {uint64_t(1), uint64_t(1) << 20}) {
    options.restoredAtOnce = atOnce;
    ASSERT_EQ(open(), "");
    Scheduler scheduler(*session, 13);
    std::vector<std::unique_ptr<Greedy>> clients;
    for (uint32_t i = 0; i < 7; ++i)
      scheduler.add(text(i, 50 + i), *clients.emplace_back(std::make_unique<Greedy>(60, toy.vocabulary)));
    for (int steps = 0; steps < 10000; ++steps)
      if (!*scheduler.step())
        break;
    for (uint32_t i = 0; i < 7; ++i) {
      std::vector<int32_t> tokens = text(i, 50 + i);
      EXPECT_EQ(clients[i]->problem, "");
      ASSERT_EQ(clients[i]->drawn.size(), 60u);
      for (int32_t drawn : clients[i]->drawn) {
        auto logits = toy.logits(tokens);
        ASSERT_EQ(drawn, test::highest(logits.data(), logits.size()));
        tokens.push_back(drawn);
      }
    }
    EXPECT_GT(scheduler.figures().preemptions, 0u);
    EXPECT_GT(scheduler.figures().restored, 0u);
    EXPECT_EQ(session->spilled()->figures().failures, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Spill,
                         testing::Combine(testing::ValuesIn(test::kDeviceKinds), testing::Values(0u, 19u)),
                         [](const auto &info) {
                           const uint32_t window = std::get<1>(info.param);
                           return std::get<0>(info.param).name + (window ? "_window" + std::to_string(window) : "");
                         });

} // namespace
