// Guessing ahead, and sequences that leave their session, in the C API.
#include "include/stepdown/Runtime.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

using stepdown::test::ToyModel;

namespace {

struct Loaded {
  stepdown_model *model = nullptr;
  stepdown_session *session = nullptr;
  explicit Loaded(const ToyModel &toy) : Loaded(toy.write()) {}
  explicit Loaded(const std::string &path) {
    EXPECT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
    EXPECT_EQ(stepdown_session_create(model, nullptr, &session).code, 0);
  }
  ~Loaded() {
    stepdown_session_free(session);
    stepdown_model_free(model);
  }
};

struct LeavingApi : testing::Test {
  ToyModel toy;
  Loaded loaded{toy};
  stepdown_sampling sampling = {};
  stepdown_generate_options options = {};
  stepdown_generation result = {};
  std::vector<int32_t> drawn;

  void SetUp() override {
    sampling.size = sizeof sampling;
    options.size = sizeof options;
    result.size = sizeof result;
    options.sampling = &sampling;
    options.max_tokens = 61;
    options.ignore_end = 1;
    options.context = &drawn;
    options.on_text = [](void *context, int32_t id, const char *, size_t) {
      if (id >= 0)
        static_cast<std::vector<int32_t> *>(context)->push_back(id);
      return 0;
    };
  }
  std::vector<int32_t> draw() {
    drawn.clear();
    stepdown_status status = stepdown_generate(loaded.session, "hello hello", &options, &result);
    EXPECT_EQ(status.code, 0) << status.text;
    return drawn;
  }
};

TEST_F(LeavingApi, guessesChangeNoAnswer) {
  ToyModel small;
  small.window = 7;
  Loaded draft(small), itself(toy);
  for (float temperature : {0.0f, 3000.0f}) {
    sampling.temperature = temperature;
    options.speculation = nullptr;
    const std::vector<int32_t> plainly = draw();
    EXPECT_EQ(result.guessed, 0);
    stepdown_speculation ngram = {sizeof ngram, nullptr, nullptr, 2, 0}, few = {sizeof few, nullptr, nullptr, 1, 3};
    stepdown_speculation edited = {sizeof edited, "hello there", nullptr, 0, 0};
    stepdown_speculation drafted = {sizeof drafted, nullptr, draft.session, 0, 0};
    stepdown_speculation same = {sizeof same, nullptr, itself.session, 0, 0};
    for (const stepdown_speculation *each : {&ngram, &few, &edited, &drafted, &same}) {
      options.speculation = each;
      EXPECT_EQ(draw(), plainly);
      EXPECT_LE(result.accepted, result.guessed);
    }
    // It draws as the model itself does, so every guess was right.
    EXPECT_GT(result.guessed, 0);
    EXPECT_EQ(result.accepted, result.guessed);
  }
}

TEST_F(LeavingApi, speculationThatIsNoneIsRefused) {
  ToyModel other;
  other.chatTemplate = "";
  Loaded draft(other);
  auto refusal = [&](stepdown_speculation wanted) {
    options.speculation = &wanted;
    return stepdown_generate(loaded.session, "hello", &options, nullptr).code;
  };
  constexpr size_t size = sizeof(stepdown_speculation);
  EXPECT_EQ(refusal({size, nullptr, nullptr, 0, 0}), 611);
  EXPECT_EQ(refusal({size, "a", nullptr, 1, 0}), 611);
  EXPECT_EQ(refusal({size, nullptr, nullptr, 17, 0}), 611);
  EXPECT_EQ(refusal({size, nullptr, nullptr, -1, 0}), 611);
  EXPECT_EQ(refusal({size, nullptr, nullptr, 1, -1}), 611);
  EXPECT_EQ(refusal({size, nullptr, loaded.session, 0, 0}), 611);
  EXPECT_EQ(refusal({0, nullptr, nullptr, 1, 0}), 613);
  EXPECT_EQ(refusal({size, nullptr, draft.session, 0, 0}), 0); // the same tokens
}

/// Bytes on their way.
struct Stream {
  std::string bytes;
  size_t at = 0, refusesAt = SIZE_MAX;
  static int32_t write(void *context, const void *from, size_t size) {
    auto &stream = *static_cast<Stream *>(context);
    stream.bytes.append(static_cast<const char *>(from), size);
    return stream.bytes.size() > stream.refusesAt ? 5 : 0;
  }
  static int32_t read(void *context, void *to, size_t size) {
    auto &stream = *static_cast<Stream *>(context);
    if (stream.bytes.size() - stream.at < size)
      return 7;
    if (size)
      std::memcpy(to, stream.bytes.data() + stream.at, size);
    stream.at += size;
    return 0;
  }
};

TEST_F(LeavingApi, aSequenceGoesOnInAnotherSession) {
  Loaded other(toy);
  stepdown_sequence from, byFile = 77, byStream = 77;
  const std::vector<int32_t> prompt = {11, 8, 15, 15, 18}, more = {4, 5};
  ASSERT_EQ(stepdown_sequence_create(loaded.session, &from).code, 0);
  options.max_tokens = 23;
  ASSERT_EQ(stepdown_sequence_generate(loaded.session, from, prompt.data(), prompt.size(), &options, nullptr).code, 0);
  const std::string path = stepdown::test::temporaryFile({}, ".sequence");
  ASSERT_EQ(stepdown_sequence_save(loaded.session, from, path.c_str()).code, 0);
  Stream stream;
  ASSERT_EQ(stepdown_sequence_export(loaded.session, from, Stream::write, &stream).code, 0);
  ASSERT_EQ(stepdown_sequence_load(other.session, path.c_str(), &byFile).code, 0);
  ASSERT_EQ(stepdown_sequence_import(other.session, Stream::read, &stream, &byStream).code, 0);
  EXPECT_EQ(stream.at, stream.bytes.size());
  EXPECT_EQ(stepdown_sequence_length(other.session, byFile), 5 + 22);
  auto onward = [&](const Loaded &in, stepdown_sequence sequence) {
    drawn.clear();
    EXPECT_EQ(stepdown_sequence_generate(in.session, sequence, more.data(), more.size(), &options, nullptr).code, 0);
    return drawn;
  };
  const std::vector<int32_t> expected = onward(loaded, from);
  EXPECT_EQ(onward(other, byFile), expected);
  EXPECT_EQ(onward(other, byStream), expected);
  // What goes wrong leaves no sequence, and one that is not there is told.
  stream.at = 1;
  EXPECT_EQ(stepdown_sequence_import(other.session, Stream::read, &stream, &byStream).code, 1510);
  EXPECT_EQ(byStream, -1);
  stream.at = 0;
  stream.bytes.resize(stream.bytes.size() - 1);
  EXPECT_EQ(stepdown_sequence_import(other.session, Stream::read, &stream, &byStream).code, 1514);
  Stream full;
  full.refusesAt = 200;
  EXPECT_EQ(stepdown_sequence_export(loaded.session, from, Stream::write, &full).code, 1514);
  EXPECT_EQ(stepdown_sequence_export(loaded.session, 12, Stream::write, &full).code, 604);
  EXPECT_EQ(stepdown_sequence_save(loaded.session, from, "/nowhere/file").code, 903);
  EXPECT_EQ(stepdown_sequence_load(other.session, "/nowhere/file", &byFile).code, 901);
  const std::string own = toy.write(), linked = stepdown::test::temporaryFile({}, ".link");
  Loaded third(own);
  stepdown_sequence there = -1;
  ASSERT_EQ(stepdown_sequence_load(third.session, path.c_str(), &there).code, 0);
  ASSERT_EQ(unlink(linked.c_str()), 0);
  ASSERT_EQ(symlink(own.c_str(), linked.c_str()), 0);
  EXPECT_EQ(stepdown_sequence_save(third.session, there, own.c_str()).code, 960);
  EXPECT_EQ(stepdown_sequence_save(third.session, there, linked.c_str()).code, 960);
  stepdown_token token = {from, 3, 0};
  ASSERT_EQ(stepdown_session_submit(loaded.session, &token, 1).code, 0);
  EXPECT_EQ(stepdown_sequence_save(loaded.session, from, path.c_str()).code, 610);
}

} // namespace
