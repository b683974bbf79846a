// Two models and eight threads in one process, through the C API. Its place is a build with STEPDOWN_SANITIZE=thread;
// without one it still checks that no thread's text depends on the company it keeps.
#include "include/stepdown/Runtime.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>

using stepdown::test::ToyModel;

namespace {

constexpr int kThreads = 8, kRounds = 6, kTokens = 12;

std::vector<int32_t> greedy(const ToyModel &toy, std::vector<int32_t> tokens) {
  std::vector<int32_t> drawn;
  for (; drawn.size() < kTokens; tokens.push_back(drawn.back())) {
    std::vector<float> row = toy.logits(tokens);
    drawn.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  return drawn;
}

int32_t keep(void *context, int32_t id, const char *, size_t) {
  if (id >= 0)
    static_cast<std::vector<int32_t> *>(context)->push_back(id);
  return 0;
}

/// kTokens of the likeliest, each of which is appended to `drawn`.
stepdown_generate_options keptIn(std::vector<int32_t> &drawn) {
  stepdown_generate_options options = {};
  options.size = sizeof options;
  options.max_tokens = kTokens;
  options.ignore_end = 1;
  options.on_text = keep;
  options.context = &drawn;
  return options;
}

/// All threads wait for each other, so that first uses really meet.
struct Gate {
  std::atomic<int> waiting{kThreads};
  void pass() {
    --waiting;
    while (waiting > 0)
      std::this_thread::yield();
  }
};

TEST(Concurrency, twoModelsAndEightThreads) {
  ToyModel toys[2];
  toys[1].layers = 3;
  toys[1].window = 16;
  stepdown_model *models[2];
  for (int m = 0; m < 2; ++m)
    ASSERT_EQ(stepdown_model_load(toys[m].write().c_str(), nullptr, &models[m]).code, 0);
  Gate begin;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const ToyModel &toy = toys[t % 2];
      const std::string prompt(static_cast<size_t>(3 + t), static_cast<char>('a' + t));
      const std::vector<int32_t> expected = greedy(toy, std::vector<int32_t>(prompt.size(), 4 + t));
      begin.pass();
      stepdown_session_options size = {sizeof size, 64, 1 + t % 3, 16, 2, 0};
      stepdown_session *session;
      ASSERT_EQ(stepdown_session_create(models[t % 2], &size, &session).code, 0);
      for (int round = 0; round < kRounds; ++round) {
        int32_t ids[32];
        size_t count;
        ASSERT_EQ(stepdown_model_tokenize(models[t % 2], prompt.data(), prompt.size(), 0, ids, 32, &count).code, 0);
        ASSERT_EQ(count, prompt.size());
        std::vector<int32_t> drawn;
        stepdown_generate_options options = keptIn(drawn);
        ASSERT_EQ(stepdown_generate(session, prompt.c_str(), &options, nullptr).code, 0);
        EXPECT_EQ(drawn, expected) << "thread " << t << ", round " << round;
        // Each thread has the text of its own error.
        options.max_tokens = -2 - t;
        stepdown_status status = stepdown_generate(session, prompt.c_str(), &options, nullptr);
        EXPECT_EQ(status.code, 611);
        EXPECT_NE(std::string(status.text).find(std::to_string(-2 - t)), std::string::npos) << status.text;
      }
      stepdown_session_free(session);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (stepdown_model *model : models)
    stepdown_model_free(model);
}

TEST(Concurrency, modelsComeAndGoWhileOthersRun) {
  ToyModel toy;
  const std::string path = toy.write();
  Gate begin;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const std::vector<int32_t> expected = greedy(toy, {4 + t});
      const char prompt[] = {static_cast<char>('a' + t), 0};
      begin.pass();
      for (int round = 0; round < kRounds; ++round) {
        stepdown_model *model;
        stepdown_session *session;
        stepdown_session_options size = {sizeof size, 64, 1, 16, 1, 0};
        ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
        ASSERT_EQ(stepdown_session_create(model, &size, &session).code, 0);
        stepdown_model_free(model); // the session keeps what it needs
        std::vector<int32_t> drawn;
        stepdown_generate_options options = keptIn(drawn);
        ASSERT_EQ(stepdown_generate(session, prompt, &options, nullptr).code, 0);
        EXPECT_EQ(drawn, expected);
        stepdown_session_free(session);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace
