#include "include/stepdown/Runtime.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <thread>

extern "C" int greedy_c99(const char *path, const int32_t *prompt, int promptCount, int32_t *out, int outCount);

using stepdown::test::ToyModel;

namespace {

TEST(RuntimeApi, aC99ProgramGenerates) {
  ToyModel toy;
  std::vector<int32_t> tokens = {4, 8, 15, 16, 23}, drawn(10);
  ASSERT_EQ(greedy_c99(toy.write().c_str(), tokens.data(), 5, drawn.data(), 10), 10);
  for (int32_t id : drawn) {
    auto logits = toy.logits(tokens);
    EXPECT_EQ(id, std::max_element(logits.begin(), logits.end()) - logits.begin());
    tokens.push_back(id);
  }
}

TEST(RuntimeApi, errorsAreValuesOfTheCallingThread) {
  stepdown_model *model = nullptr;
  stepdown_status here = stepdown_model_load("/no/such/file.stepdown", nullptr, &model);
  EXPECT_EQ(here.code, 901);
  EXPECT_EQ(model, nullptr);
  std::string before = here.text;
  EXPECT_NE(before.find("/no/such/file.stepdown"), std::string::npos);
  std::thread([&] {
    stepdown_status there = stepdown_model_load("/neither/this", nullptr, &model);
    EXPECT_NE(std::string(there.text), before);
  }).join();
  EXPECT_EQ(here.text, before);
}

TEST(RuntimeApi, describesModelAndSession) {
  ToyModel toy;
  stepdown_model *model;
  stepdown_session *session;
  stepdown_load_options load = {"x86-64-v3"};
  if (stepdown_status status = stepdown_model_load(toy.write().c_str(), &load, &model); status.code == 508)
    GTEST_SKIP() << status.text;
  stepdown_model_info info;
  stepdown_model_describe(model, &info);
  EXPECT_STREQ(info.architecture, "toy");
  EXPECT_STREQ(info.name, "Toy");
  EXPECT_EQ(info.vocabulary, 40);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.kv_bytes_per_position, 2u * 2 * 4 * 4); // layers, keys and values, width, float32
  stepdown_session_options options = {2, 64, 100, 3};
  ASSERT_EQ(stepdown_session_create(model, &options, &session).code, 0);
  stepdown_session_info chosen;
  stepdown_session_describe(session, &chosen);
  EXPECT_EQ(chosen.threads, 2);
  EXPECT_EQ(chosen.kv_block, 64);
  EXPECT_EQ(chosen.kv_positions, 128);
  EXPECT_EQ(chosen.kv_bytes, 128 * info.kv_bytes_per_position);
  EXPECT_STREQ(chosen.isa, "x86-64-v3");
  stepdown_sequence a, b, c, d;
  EXPECT_EQ(stepdown_sequence_create(session, &a).code, 0);
  EXPECT_EQ(stepdown_sequence_create(session, &b).code, 0);
  EXPECT_EQ(stepdown_sequence_fork(session, a, &c).code, 0);
  EXPECT_EQ(stepdown_sequence_create(session, &d).code, 605);
  EXPECT_EQ(d, -1);
  stepdown_sequence_free(session, b);
  EXPECT_EQ(stepdown_sequence_length(session, b), -1);
  EXPECT_EQ(stepdown_session_logits(session, 0), nullptr);
  std::vector<stepdown_token> many(65, stepdown_token{a, 1, 0});
  EXPECT_EQ(stepdown_session_submit(session, many.data(), many.size()).code, 607);
  EXPECT_EQ(stepdown_session_submit(session, many.data(), 64).code, 0);
  EXPECT_EQ(stepdown_session_step(session).code, 0);
  EXPECT_EQ(stepdown_session_logits_count(session), 0u);
  stepdown_session_free(session);
  stepdown_model_free(model);
}

} // namespace
