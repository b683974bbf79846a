// Answers and samplers of the C API, against the toy model's logits computed plainly.
#include "include/stepdown/Runtime.h"
#include "runtime/Sampler/Sampler.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/resource.h>

using namespace stepdown;
using stepdown::test::ToyModel;

namespace {

/// What a callback saw, and what it answers.
struct Heard {
  std::vector<int32_t> ids;
  std::string text;
  size_t stopAfter = 1000;
  static int32_t hear(void *context, int32_t id, const char *text, size_t length) {
    auto &heard = *static_cast<Heard *>(context);
    EXPECT_EQ(text[length], 0);
    heard.text.append(text, length);
    if (id >= 0)
      heard.ids.push_back(id);
    return heard.ids.size() >= heard.stopAfter;
  }
};

struct GenerateApi : testing::Test {
  ToyModel toy;
  stepdown_model *model = nullptr;
  stepdown_session *session = nullptr;
  Heard heard;
  stepdown_generate_options options = {};
  stepdown_sampling sampling = {};
  stepdown_generation result = {};
  const std::vector<int32_t> hello = {11, 8, 15, 15, 18};

  void SetUp() override {
    ASSERT_EQ(stepdown_model_load(toy.write().c_str(), nullptr, &model).code, 0);
    ASSERT_EQ(stepdown_session_create(model, nullptr, &session).code, 0);
    options.size = sizeof options;
    options.sampling = &sampling;
    sampling.size = sizeof sampling;
    result.size = sizeof result;
    options.max_tokens = 9;
    options.ignore_end = 1;
    options.on_text = Heard::hear;
    options.context = &heard;
  }
  void TearDown() override {
    stepdown_session_free(session);
    stepdown_model_free(model);
  }
  /// The `count` most likely tokens after `tokens`, one after the other; ids for which `allowed` says no are left out.
  template <typename Allowed>
  std::vector<int32_t> greedy(std::vector<int32_t> tokens, size_t count, Allowed allowed) const {
    std::vector<int32_t> drawn;
    for (; drawn.size() < count; tokens.push_back(drawn.back())) {
      std::vector<float> row = toy.logits(tokens);
      for (size_t id = 0; id < row.size(); ++id)
        if (!allowed(static_cast<int32_t>(id)))
          row[id] = -INFINITY;
      drawn.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    return drawn;
  }
  std::vector<int32_t> greedy(std::vector<int32_t> tokens, size_t count) const {
    return greedy(std::move(tokens), count, [](int32_t) { return true; });
  }
};

TEST_F(GenerateApi, aNullOfOptionsAndResultIsEnough) {
  EXPECT_EQ(stepdown_generate(session, "hello", nullptr, nullptr).code, 0);
}

TEST_F(GenerateApi, drawsTheMostLikelyTokens) {
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(heard.ids, greedy(hello, 9));
  EXPECT_EQ(result.prompt_tokens, 5);
  EXPECT_EQ(result.tokens, 9);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_LENGTH);
  EXPECT_GT(result.prompt_seconds, 0);
}

TEST_F(GenerateApi, theTextIsThatOfTheTokens) {
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  char text[256];
  size_t length = 0;
  ASSERT_EQ(stepdown_model_detokenize(model, heard.ids.data(), heard.ids.size(), 0, text, sizeof text, &length).code,
            0);
  EXPECT_EQ(heard.text, std::string(text, length));
  EXPECT_EQ(stepdown_model_detokenize(model, heard.ids.data(), heard.ids.size(), 0, text, 1, &length).code, 612);
  EXPECT_EQ(length, heard.text.size());
  int32_t unknown = 41;
  EXPECT_EQ(stepdown_model_detokenize(model, &unknown, 1, 0, text, sizeof text, &length).code, 324);
}

TEST_F(GenerateApi, endsWithTheTokenThatEndsATextUnlessIgnored) {
  // The end token is made the most likely one.
  const int32_t end = 2;
  const float strong = 1e6f;
  ASSERT_EQ(stepdown_model_ends_text(model, end), 1);
  sampling.bias_ids = &end;
  sampling.bias = &strong;
  sampling.bias_count = 1;
  options.ignore_end = 0;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_END);
  EXPECT_EQ(result.tokens, 1);
  EXPECT_TRUE(heard.ids.empty());
  options.ignore_end = 1;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_LENGTH);
  EXPECT_EQ(heard.ids, std::vector<int32_t>(9, end));
}

TEST_F(GenerateApi, biasForbidsTokens) {
  const int32_t first = greedy(hello, 1)[0];
  const float never = -INFINITY;
  sampling.bias_ids = &first;
  sampling.bias = &never;
  sampling.bias_count = 1;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(heard.ids, greedy(hello, 9, [&](int32_t id) { return id != first; }));
}

TEST_F(GenerateApi, stopsAtAText) {
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  ASSERT_GE(heard.text.size(), 3u);
  const std::string whole = heard.text, stop = whole.substr(whole.size() / 2, 1);
  const char *stops[] = {stop.c_str()};
  options.stops = stops;
  options.stop_count = 1;
  heard = {};
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_STOP);
  EXPECT_EQ(heard.text, whole.substr(0, whole.find(stop)));
}

TEST_F(GenerateApi, stopsWhereTheCallbackAsks) {
  heard.stopAfter = 3;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_CALLBACK);
  EXPECT_EQ(result.tokens, 3);
}

TEST_F(GenerateApi, minusOneFillsTheContext) {
  options.max_tokens = -1;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(result.finish, STEPDOWN_FINISH_LENGTH);
  EXPECT_EQ(result.prompt_tokens + result.tokens, 256);
}

TEST_F(GenerateApi, aSequenceGoesOn) {
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  options.max_tokens = 4;
  ASSERT_EQ(stepdown_sequence_generate(session, sequence, hello.data(), 5, &options, &result).code, 0);
  EXPECT_EQ(stepdown_sequence_length(session, sequence), 5 + 4 - 1);
  std::vector<int32_t> all = hello;
  all.insert(all.end(), heard.ids.begin(), heard.ids.end());
  const std::vector<int32_t> next = {heard.ids.back(), 20, 21};
  all.insert(all.end(), {20, 21});
  heard = {};
  ASSERT_EQ(stepdown_sequence_generate(session, sequence, next.data(), 3, &options, &result).code, 0);
  EXPECT_EQ(heard.ids, greedy(all, 4));
}

TEST_F(GenerateApi, aPromptLongerThanAStepIsComputedInPieces) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 150; ++i) // a step takes 64
    prompt.push_back(4 + i * 7 % 26);
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  ASSERT_EQ(stepdown_sequence_generate(session, sequence, prompt.data(), prompt.size(), &options, &result).code, 0);
  EXPECT_EQ(heard.ids, greedy(prompt, 9));
}

TEST_F(GenerateApi, refusesAndGoesOn) {
  options.max_tokens = -2;
  EXPECT_EQ(stepdown_generate(session, "hello", &options, &result).code, 611);
  options.max_tokens = 3;
  sampling.temperature = 1;
  sampling.top_p = 2;
  EXPECT_EQ(stepdown_generate(session, "hello", &options, &result).code, 701);
  sampling.top_p = 0;
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  EXPECT_EQ(stepdown_sequence_generate(session, sequence, nullptr, 0, &options, &result).code, 611);
  EXPECT_EQ(stepdown_sequence_generate(session, 77, hello.data(), 5, &options, &result).code, 604);
  stepdown_token token = {sequence, 4, 0};
  ASSERT_EQ(stepdown_session_submit(session, &token, 1).code, 0);
  EXPECT_EQ(stepdown_generate(session, "hello", &options, &result).code, 610);
  ASSERT_EQ(stepdown_session_step(session).code, 0);
  for (int i = 0; i < 40; ++i) // a sequence each, of the 16 there are, is given back
    ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
}

TEST_F(GenerateApi, whatIsRefusedLeavesTheSequenceAsItWas) {
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  std::vector<int32_t> longer(257, 4), wrong(150, 4); // a step takes 64
  wrong.back() = 41;
  EXPECT_EQ(stepdown_sequence_generate(session, sequence, longer.data(), longer.size(), &options, &result).code, 606);
  EXPECT_EQ(stepdown_sequence_generate(session, sequence, wrong.data(), wrong.size(), &options, &result).code, 603);
  EXPECT_EQ(stepdown_sequence_length(session, sequence), 0);
  EXPECT_EQ(result.prompt_tokens, 0);
}

// Another sequence holds most of the cache, and text waits for more of a stop text.
TEST_F(GenerateApi, anErrorInTheMiddleTellsWhatWaited) {
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  const std::string whole = heard.text;
  stepdown_session_options small = {};
  small.size = sizeof small;
  small.kv_positions = 64;
  stepdown_session *other;
  ASSERT_EQ(stepdown_session_create(model, &small, &other).code, 0);
  stepdown_sequence first, second;
  ASSERT_EQ(stepdown_sequence_create(other, &first).code, 0);
  ASSERT_EQ(stepdown_sequence_create(other, &second).code, 0);
  const std::vector<int32_t> most(32, 4);
  options.max_tokens = 1;
  ASSERT_EQ(stepdown_sequence_generate(other, first, most.data(), most.size(), &options, &result).code, 0);
  options.max_tokens = 100;
  const std::string never = "\x01", begun = whole + never;
  const char *stops[] = {begun.c_str()};
  options.stops = stops;
  options.stop_count = 1;
  heard = {};
  EXPECT_EQ(stepdown_sequence_generate(other, second, hello.data(), 5, &options, &result).code, 608);
  EXPECT_EQ(result.finish, 0);
  EXPECT_EQ(result.tokens, 32 - 5 + 1);
  EXPECT_EQ(heard.ids.size(), 28u);
  char text[1024];
  size_t length = 0;
  ASSERT_EQ(stepdown_model_detokenize(model, heard.ids.data(), heard.ids.size(), 0, text, sizeof text, &length).code,
            0);
  EXPECT_EQ(heard.text, std::string(text, length));
  stepdown_session_free(other);
}

TEST_F(GenerateApi, aSessionOutlivesTheHandleOfItsModel) {
  stepdown_model_free(model);
  model = nullptr;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(heard.ids, greedy(hello, 9));
}

TEST_F(GenerateApi, aSamplerDrawsAsTheAnswerDoes) {
  sampling.temperature = 2;
  sampling.top_k = 8;
  sampling.repetition_penalty = 1.3f;
  sampling.seed = 42;
  stepdown_sampler *sampler;
  ASSERT_EQ(stepdown_sampler_create(model, &sampling, &sampler).code, 0);
  std::vector<int32_t> tokens = hello, drawn;
  for (int32_t id : hello)
    ASSERT_EQ(stepdown_sampler_accept(sampler, id, 0).code, 0);
  for (int i = 0; i < 9; ++i) {
    int32_t id;
    ASSERT_EQ(stepdown_sampler_draw(sampler, toy.logits(tokens).data(), tokens.size(), &id).code, 0);
    ASSERT_EQ(stepdown_sampler_accept(sampler, id, 1).code, 0);
    drawn.push_back(id);
    tokens.push_back(id);
  }
  EXPECT_EQ(stepdown_sampler_accept(sampler, 41, 1).code, 603);
  std::vector<float> none(41, -INFINITY);
  int32_t id;
  EXPECT_EQ(stepdown_sampler_draw(sampler, none.data(), 0, &id).code, 704);
  EXPECT_EQ(id, -1);
  stepdown_sampler_free(sampler);
  options.sampling = &sampling;
  ASSERT_EQ(stepdown_generate(session, "hello", &options, &result).code, 0);
  EXPECT_EQ(heard.ids, drawn);
  EXPECT_NE(heard.ids, greedy(hello, 9));
}

// Every number that requests may give, said by C's structure and in C++, draws the same tokens.
TEST_F(GenerateApi, everySamplingOptionIsHeard) {
  constexpr int rows = 60, vocabulary = 41;
  std::vector<float> logits(rows * vocabulary);
  std::mt19937 random(7);
  for (float &l : logits)
    l = static_cast<float>(random() % 1000) / 250;
  auto drawC = [&] {
    stepdown_sampler *sampler;
    EXPECT_EQ(stepdown_sampler_create(model, &sampling, &sampler).code, 0);
    std::vector<int32_t> ids(rows);
    for (int i = 0; i < rows; ++i) {
      EXPECT_EQ(stepdown_sampler_draw(sampler, &logits[i * vocabulary], i, &ids[i]).code, 0);
      EXPECT_EQ(stepdown_sampler_accept(sampler, ids[i], 1).code, 0);
    }
    stepdown_sampler_free(sampler);
    return ids;
  };
  auto draw = [&](const SamplingOptions &options) {
    auto sampler = Sampler::create(options, vocabulary);
    EXPECT_TRUE(sampler) << sampler.error().message;
    std::vector<int32_t> ids;
    for (int i = 0; i < rows; ++i) {
      auto id = sampler->draw(&logits[i * vocabulary], 0, i);
      EXPECT_TRUE(id) << id.error().message;
      sampler->accept(ids.emplace_back(*id));
    }
    return ids;
  };
  // Some value that is not the default.
  auto another = [](double none, double high) {
    return none != 0   ? none < high ? none + 0.25 * std::min(none, high - none) + (none >= 2) : 0.75
           : high == 1 ? 0.4
                       : 3;
  };
  for (bool mirostat : {false, true}) {
    stepdown_sampling base = {};
    SamplingOptions options, same;
    base.size = sizeof base;
    base.seed = options.seed = 5;
    base.temperature = options.temperature = 1.5f;
    base.dry_multiplier = options.dryMultiplier = 2;
    if (mirostat)
      base.mirostat_tau = options.mirostatTau = 3;
    sampling = base;
    const std::vector<int32_t> plain = drawC();
    EXPECT_EQ(plain, draw(options));
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                     \
  sampling = base;                                                                                                     \
  same = options;                                                                                                      \
  sampling.NAME = same.FIELD = static_cast<decltype(same.FIELD)>(another(DEFAULT, HIGH));                              \
  EXPECT_EQ(drawC(), draw(same)) << #NAME;
#define STEPDOWN_SAMPLING_WHOLE STEPDOWN_SAMPLING_REAL
#include "runtime/Sampler/SamplingOptions.def"
    // Their zeros are values of their own.
    sampling = base;
    same = options;
    sampling.mirostat_eta = -1, same.mirostatEta = 0;
    EXPECT_EQ(drawC(), draw(same));
    EXPECT_EQ(drawC() != plain, mirostat);
    sampling = base;
    same = options;
    sampling.dry_allowed_length = -1, same.dryAllowedLength = 0;
    EXPECT_EQ(drawC(), draw(same));
    EXPECT_NE(drawC(), plain);
    sampling = base;
    same = options;
    sampling.sampling_order = "top-k";
    same.order = {SamplingStep::TopK};
    EXPECT_EQ(drawC(), draw(same));
    EXPECT_NE(drawC(), plain);
  }
  sampling.sampling_order = "top-k,tempreature";
  stepdown_sampler *none;
  EXPECT_EQ(stepdown_sampler_create(model, &sampling, &none).code, 701);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif

#ifndef UNDER_SANITIZER // which need more address space than the limit
TEST_F(GenerateApi, outOfMemoryIsAnErrorValue) {
  GTEST_FLAG_SET(death_test_style, "threadsafe"); // a fork would lack the session's threads
  const std::string text(64 << 20, 'a');
  auto runOut = [&] {
    int32_t id;
    size_t count;
    (void)stepdown_model_tokenize(model, "a", 1, 0, &id, 1, &count); // makes the tokenizer
    rlimit limit;
    limit.rlim_cur = limit.rlim_max = 200 << 20;
    setrlimit(RLIMIT_AS, &limit);
    stepdown_status status = stepdown_model_tokenize(model, text.data(), text.size(), 0, &id, 1, &count);
    bool told = status.code == 601 && std::string(status.text).find("memory") != std::string::npos;
    stepdown_session_options huge = {sizeof huge, int64_t(1) << 24, 1, 0, 0, 0};
    stepdown_session *none;
    status = stepdown_session_create(model, &huge, &none);
    told = told && status.code == 601 && none == nullptr;
    // What was there still works.
    told = told && stepdown_generate(session, "hello", &options, &result).code == 0;
    std::_Exit(told ? 7 : 1);
  };
  EXPECT_EXIT(runOut(), testing::ExitedWithCode(7), "");
}
#endif

} // namespace
