#include "include/stepdown/Runtime.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

extern "C" int greedy_c99(const char *path, const int32_t *prompt, int promptCount, int32_t *out, int outCount);
extern "C" int chat_c99(const char *path, const char *said, int32_t *ids, size_t capacity, size_t *count);
extern "C" int constrained_c99(const char *path, int notation, const char *what, char *answer, size_t capacity,
                               int *finish);

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

TEST(RuntimeApi, aC99ProgramConstrainsAnswers) {
  const std::string path = ToyModel().write();
  const struct {
    int notation;
    const char *what;
    std::vector<std::string> allowed;
  } cases[] = {
      {STEPDOWN_CONSTRAINT_GRAMMAR, "root ::= \"ab\" [x-z]", {"abx", "aby", "abz"}},
      {STEPDOWN_CONSTRAINT_REGEX, "\xe2\x82\xac{2}", {"\xe2\x82\xac\xe2\x82\xac"}}, // in tokens of a byte each
      {STEPDOWN_CONSTRAINT_CHOICES, "yes,no way", {"yes", "no way"}},
  };
  char answer[256];
  int finish = 0;
  for (const auto &each : cases) {
    ASSERT_EQ(constrained_c99(path.c_str(), each.notation, each.what, answer, sizeof answer, &finish), 0) << each.what;
    EXPECT_EQ(finish, STEPDOWN_FINISH_END);
    EXPECT_TRUE(std::count(each.allowed.begin(), each.allowed.end(), answer)) << each.what << ": " << answer;
  }
  // Of JSON its tokens can spell none: they have no quote and no digit alone.
  EXPECT_EQ(constrained_c99(path.c_str(), STEPDOWN_CONSTRAINT_JSON_SCHEMA, "{\"type\": \"string\"}", answer,
                            sizeof answer, &finish),
            1315);
  ASSERT_EQ(constrained_c99(path.c_str(), STEPDOWN_CONSTRAINT_JSON_SCHEMA, "{\"enum\": [null, true]}", answer,
                            sizeof answer, &finish),
            0);
  EXPECT_TRUE(!std::strcmp(answer, "null") || !std::strcmp(answer, "true")) << answer;
  EXPECT_EQ(constrained_c99(path.c_str(), 9, "x", answer, sizeof answer, &finish), 611);
  EXPECT_EQ(constrained_c99(path.c_str(), STEPDOWN_CONSTRAINT_GRAMMAR, "root ::=(", answer, sizeof answer, &finish),
            1302);
}

TEST(RuntimeApi, aConstraintIsOfItsModel) {
  const std::string path = ToyModel().write();
  stepdown_model *one, *other;
  stepdown_session *session;
  stepdown_constraint *constraint;
  ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &one).code, 0);
  ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &other).code, 0);
  ASSERT_EQ(stepdown_session_create(one, nullptr, &session).code, 0);
  ASSERT_EQ(stepdown_constraint_create(other, STEPDOWN_CONSTRAINT_CHOICES, "a,b", &constraint).code, 0);
  stepdown_generate_options options = {};
  options.size = sizeof options;
  options.constraint = constraint;
  EXPECT_EQ(stepdown_generate(session, "hello", &options, nullptr).code, 611);
  stepdown_constraint_free(constraint);
  stepdown_session_free(session);
  stepdown_model_free(other);
  stepdown_model_free(one);
}

TEST(RuntimeApi, aModelThatContinuesTextsEmbedsNone) {
  stepdown_model *model;
  stepdown_embedder *embedder = reinterpret_cast<stepdown_embedder *>(1);
  ASSERT_EQ(stepdown_model_load(ToyModel().write().c_str(), nullptr, &model).code, 0);
  EXPECT_EQ(stepdown_embedder_create(model, nullptr, &embedder).code, 1425);
  EXPECT_EQ(embedder, nullptr);
  stepdown_embedder_options options = {};
  EXPECT_EQ(stepdown_embedder_create(model, &options, &embedder).code, 613);
  options.size = sizeof options;
  for (int32_t pooling : {-1, 4}) {
    options.pooling = pooling;
    EXPECT_EQ(stepdown_embedder_create(model, &options, &embedder).code, 602) << pooling;
  }
  options.pooling = STEPDOWN_POOLING_LAST;
  for (int32_t normalize : {-2, 2}) {
    options.normalize = normalize;
    EXPECT_EQ(stepdown_embedder_create(model, &options, &embedder).code, 602) << normalize;
  }
  stepdown_embedder_free(nullptr);
  stepdown_model_free(model);
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
  stepdown_load_options load = {sizeof load, "x86-64-v3", 0, 0, "cpu"};
  if (stepdown_status status = stepdown_model_load(toy.write().c_str(), &load, &model); status.code == 508)
    GTEST_SKIP() << status.text;
  stepdown_model_info info = {};
  info.size = sizeof info;
  ASSERT_EQ(stepdown_model_describe(model, &info).code, 0);
  EXPECT_STREQ(info.architecture, "toy");
  EXPECT_STREQ(info.name, "Toy");
  EXPECT_EQ(info.vocabulary, 41);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.kv_bytes_per_position, 2u * 2 * 4 * 4); // layers, keys and values, width, float32
  stepdown_session_options options = {sizeof options, 100, 2, 64, 3, 0};
  ASSERT_EQ(stepdown_session_create(model, &options, &session).code, 0);
  stepdown_session_info chosen = {};
  chosen.size = sizeof chosen;
  ASSERT_EQ(stepdown_session_describe(session, &chosen).code, 0);
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

// A program that was built with headers of another version has structures of another size.
TEST(RuntimeApi, structuresOfOlderAndNewerProgramsAreUnderstood) {
  ToyModel toy;
  stepdown_model *model;
  stepdown_session *session;
  ASSERT_EQ(stepdown_model_load(toy.write().c_str(), nullptr, &model).code, 0);
  struct {
    stepdown_session_options known;
    int32_t later[2];
  } newer = {{0, 100, 2, 64, 3, 0}, {0, 0}};
  for (size_t unset : {size_t(0), size_t(4), size_t(1) << 20}) {
    newer.known.size = unset;
    stepdown_status status = stepdown_session_create(model, &newer.known, &session);
    EXPECT_EQ(status.code, 613);
    EXPECT_NE(std::string(status.text).find(std::to_string(unset)), std::string::npos) << status.text;
  }
  newer.known.size = sizeof newer;
  newer.later[1] = 1; // which nobody here knows the meaning of
  EXPECT_EQ(stepdown_session_create(model, &newer.known, &session).code, 613);
  newer.later[1] = 0;
  ASSERT_EQ(stepdown_session_create(model, &newer.known, &session).code, 0);

  // Results are written as far as the caller's structure reaches.
  stepdown_session_info info;
  std::memset(&info, 0x55, sizeof info);
  info.size = offsetof(stepdown_session_info, isa);
  ASSERT_EQ(stepdown_session_describe(session, &info).code, 0);
  EXPECT_EQ(info.kv_positions, 128);
  EXPECT_EQ(info.threads, 0x55555555);
  EXPECT_EQ(info.size, offsetof(stepdown_session_info, isa));
  info.size = 0;
  EXPECT_EQ(stepdown_session_describe(session, &info).code, 613);
  stepdown_session_free(session);

  // An older program's options end before the later ones.
  newer.known.size = offsetof(stepdown_session_options, max_sequences);
  ASSERT_EQ(stepdown_session_create(model, &newer.known, &session).code, 0);
  info.size = sizeof info;
  ASSERT_EQ(stepdown_session_describe(session, &info).code, 0);
  EXPECT_EQ(info.threads, 2);
  EXPECT_EQ(info.max_sequences, 16);
  stepdown_session_free(session);
  stepdown_model_free(model);
}

// Room between fields would be read as a later version's field.
TEST(RuntimeApi, structuresHaveNoRoomAtTheirEnd) {
#define ENDS_WITH(type, field) EXPECT_EQ(sizeof(type), offsetof(type, field) + sizeof(type::field))
  ENDS_WITH(stepdown_load_options, device);
  ENDS_WITH(stepdown_session_options, reserved);
  ENDS_WITH(stepdown_session_info, reserved);
  ENDS_WITH(stepdown_model_info, kv_bytes_per_position);
  ENDS_WITH(stepdown_chat_options, messages);
  ENDS_WITH(stepdown_sampling, sampling_order);
  ENDS_WITH(stepdown_speculation, most);
  ENDS_WITH(stepdown_generate_options, speculation);
  ENDS_WITH(stepdown_generation, accepted);
  ENDS_WITH(stepdown_embedder_options, reserved);
#undef ENDS_WITH
}

TEST(RuntimeApi, aCopiedModelNeedsItsFileNoMore) {
  ToyModel toy;
  const std::string path = toy.write();
  stepdown_load_options options = {sizeof options, nullptr, 1, 0, nullptr};
  stepdown_model *model;
  stepdown_session *session;
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_model_load(path.c_str(), &options, &model).code, 0);
  ASSERT_EQ(truncate(path.c_str(), 0), 0); // a mapped model would raise SIGBUS below
  ASSERT_EQ(stepdown_session_create(model, nullptr, &session).code, 0);
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  stepdown_token token = {sequence, 7, 1};
  ASSERT_EQ(stepdown_session_submit(session, &token, 1).code, 0);
  ASSERT_EQ(stepdown_session_step(session).code, 0);
  std::vector<float> expected = toy.logits({7});
  EXPECT_EQ(std::vector<float>(stepdown_session_logits(session, 0), stepdown_session_logits(session, 0) + 41),
            expected);
  stepdown_session_free(session);
  stepdown_model_free(model);
}

TEST(RuntimeApi, anUnknownDeviceIsRefusedWithTheList) {
  stepdown_load_options options = {sizeof options, nullptr, 0, 0, "abacus"};
  stepdown_model *model;
  const stepdown_status status = stepdown_model_load(ToyModel().write().c_str(), &options, &model);
  EXPECT_EQ(status.code, 911);
  EXPECT_STREQ(status.text, "device: expects one of cpu, emulated:sm_80, emulated:sm_90a, emulated:gfx90a, "
                            "emulated:gfx942, emulated:gfx950, emulated:gfx1100, emulated:gfx1201, nvidia:sm_80, "
                            "nvidia:sm_90a, amd:gfx90a, amd:gfx942, amd:gfx950, amd:gfx1100, amd:gfx1201, but got "
                            "\"abacus\"");
  EXPECT_EQ(model, nullptr);
}

TEST(RuntimeApi, aPipeIsNotWaitedFor) {
  const std::string path = testing::TempDir() + "/stepdown-pipe-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  stepdown_model *model;
  stepdown_status status = stepdown_model_load(path.c_str(), nullptr, &model);
  EXPECT_EQ(status.code, 901);
  EXPECT_NE(std::string(status.text).find("regular file"), std::string::npos) << status.text;
  unlink(path.c_str());
}

TEST(RuntimeApi, messagesBecomeAPrompt) {
  ToyModel toy;
  toy.chatTemplate = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}"
                     "{% if add_generation_prompt %}<s>{% endif %}{{ extra }}";
  const std::string path = toy.write();
  int32_t ids[32];
  size_t count;
  ASSERT_EQ(chat_c99(path.c_str(), "hi", ids, 32, &count), 0);
  EXPECT_EQ(std::vector<int32_t>(ids, ids + count), (std::vector<int32_t>{1, 5, 8, 2, 1, 11, 12, 2, 1}));
  EXPECT_EQ(chat_c99(path.c_str(), "hi", ids, 8, &count), 612);
  EXPECT_EQ(count, 9u);
  // What a user writes ends no turn.
  ASSERT_EQ(chat_c99(path.c_str(), "h</s>i", ids, 32, &count), 0);
  EXPECT_EQ(std::count(ids, ids + count, 2), 2);

  stepdown_model *model;
  ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
  stepdown_message message = {"user", "a</s>"};
  stepdown_chat_options options = {sizeof options, "{\"extra\": \"xyz\"}", 1, 0, nullptr};
  char text[32];
  size_t length;
  ASSERT_EQ(stepdown_model_chat_text(model, &message, 1, &options, text, sizeof text, &length).code, 0);
  EXPECT_EQ(std::string(text, length), "<s>a</s></s>xyz");
  options.variables = "{";
  EXPECT_EQ(stepdown_model_chat_tokens(model, &message, 1, &options, ids, 32, &count).code, 409);
  EXPECT_EQ(count, 0u);
  stepdown_model_free(model);
  toy.chatTemplate.clear();
  ASSERT_EQ(stepdown_model_load(toy.write().c_str(), nullptr, &model).code, 0);
  EXPECT_EQ(stepdown_model_chat_tokens(model, &message, 1, nullptr, ids, 32, &count).code, 201);
  stepdown_model_free(model);
}

} // namespace
