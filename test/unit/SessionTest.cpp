#include "runtime/Session/Session.h"
#include "test/device/Kinds.h"
#include "test/unit/ToyModel.h"
#include <gtest/gtest.h>
#include <thread>

using namespace stepdown;
using test::ToyModel;

namespace {

std::vector<int32_t> someTokens(size_t count, uint32_t seed = 7) {
  std::vector<int32_t> tokens(count);
  for (int32_t &t : tokens)
    t = static_cast<int32_t>((seed = seed * 1664525u + 1013904223u) >> 8) % 40;
  return tokens;
}

struct Sessions : testing::TestWithParam<test::DeviceKind> {
  ToyModel toy;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Session> session;
  void open(Session::Options options = {}) {
    auto loaded = Model::load(toy.write(), GetParam().make());
    ASSERT_TRUE(loaded) << loaded.error().message;
    model = *loaded;
    auto created = Session::create(model, options);
    ASSERT_TRUE(created) << created.error().message;
    session = std::move(*created);
  }
  Status submit(int32_t sequence, const std::vector<int32_t> &tokens, bool wantLast = true) {
    std::vector<Session::Token> batch;
    for (size_t i = 0; i < tokens.size(); ++i)
      batch.push_back({sequence, tokens[i], wantLast && i + 1 == tokens.size()});
    return session->submit(batch.data(), batch.size());
  }
  std::vector<float> row(size_t index) {
    const float *logits = session->logits(index);
    return {logits, logits + toy.vocabulary};
  }
};

TEST_P(Sessions, logitsAreTheModels) {
  open();
  auto tokens = someTokens(50);
  int32_t s = *session->createSequence();
  ASSERT_TRUE(submit(s, tokens));
  ASSERT_TRUE(session->step());
  ASSERT_EQ(session->rows(), 1u);
  EXPECT_EQ(row(0), toy.logits(tokens));
}

TEST_P(Sessions, chunksThreadsBlocksAndWindowsGiveTheSameLogits) {
  toy.window = 21;
  toy.layers = 3;
  auto tokens = someTokens(150);
  std::vector<float> expected = toy.logits(tokens);
  for (int threads : {1, 2, 4})
    for (int block : {16, 32, 64})
      for (size_t chunk : {1, 7, 64}) {
        Session::Options options;
        options.threads = threads;
        options.kvBlock = block;
        open(options);
        int32_t s = *session->createSequence();
        for (size_t at = 0; at < tokens.size(); at += chunk) {
          size_t end = std::min(tokens.size(), at + chunk);
          ASSERT_TRUE(submit(s, {tokens.begin() + at, tokens.begin() + end}, end == tokens.size()));
          ASSERT_TRUE(session->step());
        }
        EXPECT_EQ(row(0), expected) << threads << " threads, block " << block << ", chunk " << chunk;
      }
}

TEST_P(Sessions, unequalSequencesShareAStep) {
  open();
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < 6; ++i) {
    prompts.push_back(someTokens(1 + 3 * i, static_cast<uint32_t>(i)));
    ASSERT_TRUE(submit(*session->createSequence(), prompts[i]));
  }
  ASSERT_TRUE(session->step());
  ASSERT_EQ(session->rows(), 6u);
  for (size_t i = 0; i < 6; ++i)
    EXPECT_EQ(row(i), toy.logits(prompts[i])) << i;
}

TEST_P(Sessions, aForkGoesItsOwnWay) {
  open();
  auto tokens = someTokens(37);
  int32_t parent = *session->createSequence();
  ASSERT_TRUE(submit(parent, tokens));
  ASSERT_TRUE(session->step());
  int32_t child = *session->fork(parent);
  auto left = tokens, right = tokens;
  left.push_back(3);
  right.push_back(9);
  ASSERT_TRUE(submit(parent, {3}));
  ASSERT_TRUE(submit(child, {9}));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(row(0), toy.logits(left));
  EXPECT_EQ(row(1), toy.logits(right));
  auto held = [&](int32_t sequence) {
    const int32_t *ids = session->tokens(sequence);
    return std::vector<int32_t>(ids, ids + session->length(sequence));
  };
  EXPECT_EQ(held(parent), left);
  EXPECT_EQ(held(child), right);
  ASSERT_TRUE(session->truncate(child, 7));
  ASSERT_TRUE(submit(child, {12}));
  right.resize(7);
  right.push_back(12);
  EXPECT_EQ(held(child), right);
  EXPECT_EQ(held(parent), left);
}

TEST_P(Sessions, truncateTakesTokensBack) {
  open();
  auto tokens = someTokens(40);
  int32_t s = *session->createSequence();
  ASSERT_TRUE(submit(s, tokens));
  ASSERT_TRUE(session->step());
  ASSERT_TRUE(session->truncate(s, 20));
  EXPECT_EQ(session->length(s), 20);
  tokens.resize(20);
  tokens.push_back(5);
  ASSERT_TRUE(submit(s, {5}));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(row(0), toy.logits(tokens));
}

TEST_P(Sessions, aStepWithoutRowsComputesNoLogits) {
  open();
  int32_t s = *session->createSequence();
  ASSERT_TRUE(submit(s, {1, 2}, false));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(session->rows(), 0u);
  ASSERT_TRUE(submit(s, {3}));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(row(0), toy.logits({1, 2, 3}));
}

TEST_P(Sessions, refusalsQueueNothing) {
  toy.maxContext = 48;
  open();
  int32_t s = *session->createSequence();
  auto refused = [&](Status status) { return status ? ErrorCode{} : status.error().code; };
  EXPECT_EQ(refused(submit(s, {1, 41})), ErrorCode::StepTokenRange);
  EXPECT_EQ(refused(submit(s, {-1})), ErrorCode::StepTokenRange);
  EXPECT_EQ(refused(submit(99, {1})), ErrorCode::SequenceUnknown);
  EXPECT_EQ(refused(submit(s, someTokens(49))), ErrorCode::ContextFull);
  EXPECT_EQ(session->length(s), 0);
  ASSERT_TRUE(submit(s, someTokens(40)));
  int32_t other = *session->createSequence();
  EXPECT_EQ(refused(submit(other, someTokens(25))), ErrorCode::StepFull);
  EXPECT_EQ(refused(submit(other, someTokens(17))), ErrorCode::CacheFull);
  EXPECT_EQ(refused(session->truncate(s, 1)), ErrorCode::TokensQueued);
  ASSERT_TRUE(session->step());
  EXPECT_EQ(row(0), toy.logits(someTokens(40)));
  EXPECT_EQ(refused(session->truncate(s, 41)), ErrorCode::TruncateRange);
  for (int i = 2; i < 16; ++i)
    ASSERT_TRUE(session->createSequence());
  EXPECT_EQ(session->createSequence().error().code, ErrorCode::SequenceLimit);
}

TEST_P(Sessions, aFreedSequenceLeavesAfterItsQueuedTokensAreWritten) {
  Session::Options options;
  options.kvPositions = 32;
  open(options);
  int32_t s = *session->createSequence();
  ASSERT_TRUE(submit(s, someTokens(10)));
  session->freeSequence(s);
  EXPECT_EQ(session->length(s), -1);
  int32_t other = *session->createSequence();
  EXPECT_NE(other, s);
  EXPECT_FALSE(submit(other, {1})); // the only block is still in use
  ASSERT_TRUE(session->step());
  ASSERT_TRUE(submit(other, {1}));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(row(0), toy.logits({1}));
}

TEST_P(Sessions, optionsOutOfRangeAreRefused) {
  open();
  for (Session::Options bad : {Session::Options{-1, 0, 0, 0}, Session::Options{0, 48, 0, 0},
                               Session::Options{0, 0, -5, 0}, Session::Options{0, 0, 0, -1}})
    EXPECT_EQ(Session::create(model, bad).error().code, ErrorCode::SessionOption);
}

TEST_P(Sessions, memoryThatIsNotThereIsAnError) {
  ToyModel large;
  test::ArtifactBuilder builder = large.build();
  builder.head.arena_bytes = uint64_t(1) << 62;
  auto loaded = Model::load(test::temporaryFile(builder.file(), ".stepdown"), GetParam().make());
  ASSERT_TRUE(loaded) << loaded.error().message;
  auto created = Session::create(*loaded, {});
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::OutOfMemory);
}

TEST_P(Sessions, twoModelsAndEightThreadsWorkTogether) {
  ToyModel other;
  other.layers = 3;
  auto first = *Model::load(toy.write(), GetParam().make()), second = *Model::load(other.write(), GetParam().make());
  auto tokens = someTokens(30);
  std::vector<float> results[8];
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      Session::Options options;
      options.threads = 2;
      auto own = std::move(*Session::create(i % 2 ? second : first, options));
      int32_t s = *own->createSequence();
      for (size_t t = 0; t < tokens.size(); ++t) {
        Session::Token token{s, tokens[t], t + 1 == tokens.size()};
        if (!own->submit(&token, 1) || !own->step())
          return;
      }
      results[i].assign(own->logits(0), own->logits(0) + toy.vocabulary);
    });
  for (std::thread &t : threads)
    t.join();
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(results[i], (i % 2 ? other : toy).logits(tokens)) << i;
}

// The memory plan that inspect shows is what a session takes, to the byte.
TEST_P(Sessions, allocatesWhatThePlanSays) {
  toy.window = 40;
  Session::Options options;
  options.kvBlock = 16;
  options.kvPositions = 128;
  options.maxSequences = 3;
  open(options);
  const stepdown_program &head = model->head();
  uint64_t cache = 128 * model->cacheBytesPerPosition();
  uint64_t tables = 2 * 3 * (toy.maxContext / 16) * sizeof(int32_t); // groups, sequences, entries
  uint64_t inputs = 4 * toy.maxStepTokens * sizeof(int32_t);         // tokens, positions, sequences, rows
  uint64_t logits = uint64_t(toy.maxStepRows) * 48 * sizeof(float);  // 41 columns in whole vectors
  // An address and the dimensions of each operand of the entry, of every layer and of the exit.
  uint64_t operands = 0;
  const Program &p = model->program();
  auto count = [&](uint32_t first, uint32_t dispatches) {
    for (uint32_t d = first; d < first + dispatches; ++d)
      for (uint32_t i = 0; i < p.dispatches[d].operand_count; ++i)
        operands += (1 + p.operands[p.dispatches[d].first_operand + i].rank) * sizeof(uint64_t);
  };
  count(head.entry_first, head.entry_count);
  for (const stepdown_layer &layer : p.layers)
    count(p.kinds[layer.kind].first_dispatch, p.kinds[layer.kind].dispatch_count);
  count(head.exit_first, head.exit_count);
  EXPECT_EQ(session->kv().bytes(), cache);
  EXPECT_EQ(model->device().allocated(), head.arena_bytes + cache + tables + inputs + logits + operands);
  session.reset();
  EXPECT_EQ(model->device().allocated(), 0u);
}

TEST_P(Sessions, forcedLevelsRunTheSameProgram) {
  for (const char *isa : {"x86-64-v3", "x86-64-v4-vnni"}) {
    auto loaded = Model::load(toy.write(), GetParam().make(), isa);
    if (!loaded && loaded.error().code == ErrorCode::ArtifactLevel) {
      std::printf("skipped %s: %s\n", isa, loaded.error().message.c_str());
      continue;
    }
    ASSERT_TRUE(loaded);
    EXPECT_STREQ((*loaded)->level(), isa);
    session = std::move(*Session::create(*loaded, {}));
    ASSERT_TRUE(submit(*session->createSequence(), {1, 2, 3}));
    ASSERT_TRUE(session->step());
    EXPECT_EQ(row(0), toy.logits({1, 2, 3}));
  }
}

INSTANTIATE_ON_DEVICES(Sessions);

} // namespace
