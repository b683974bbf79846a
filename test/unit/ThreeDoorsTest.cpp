// The command line, the C API and chats draw answers by one loop: what one of them says, the others say too.
#include "include/stepdown/Runtime.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

using nlohmann::json;
using stepdown::test::temporaryFile;
using stepdown::test::ToyModel;

namespace {

/// What is wanted: once as words of the command line, once as the C API has it.
struct Way {
  const char *name;
  std::string words;
  int32_t most;
  float temperature, topP, repetition, presence, dry;
  uint64_t seed;
  const char *stop;
  std::vector<std::pair<int32_t, float>> bias;
};

/// What came: text, drawn tokens, and what ended it, as far as a door tells; or the number of an error.
struct Came {
  std::string text;
  int64_t tokens = -1;
  std::string finish;
  int code = 0;
};

std::string textOf(const std::string &path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string fileOf(const std::string &text, const char *suffix) {
  return temporaryFile({text.begin(), text.end()}, suffix);
}

struct ThreeDoors : testing::Test {
  ToyModel toy;
  std::string path;
  stepdown_model *model = nullptr;
  stepdown_session *session = nullptr;
  stepdown_sequence sequence = -1;
  std::vector<int32_t> held; ///< ids of `sequence`

  void open(int64_t positions = 0) {
    close();
    path = toy.write();
    ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
    stepdown_session_options options = {};
    options.size = sizeof options;
    options.kv_positions = positions;
    ASSERT_EQ(stepdown_session_create(model, &options, &session).code, 0);
    ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
    held.clear();
  }
  void close() {
    stepdown_session_free(session);
    stepdown_model_free(model);
  }
  void TearDown() override { close(); }

  static std::pair<std::string, std::string> run(const std::string &words) {
    const std::string out = temporaryFile({}, ".out"), err = temporaryFile({}, ".err");
    const int status = std::system((STEPDOWN_RUN " " + words + " >" + out + " 2>" + err).c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2) << words << textOf(err);
    return {textOf(out), textOf(err)};
  }
  static int codeIn(const std::string &err) {
    const size_t at = err.find("error E0");
    return at == std::string::npos ? 0 : std::stoi(err.substr(at + 7));
  }

  /// `stepdown-run generate` after the whole of `messages`.
  Came generate(const std::vector<stepdown_message> &messages, const Way &way) const {
    size_t length;
    char text[4096];
    EXPECT_EQ(
        stepdown_model_chat_text(model, messages.data(), messages.size(), nullptr, text, sizeof text, &length).code, 0);
    const json request = {{"prompt", std::string(text, length)}};
    auto [out, err] = run("generate " + path + " --json --requests " + fileOf(request.dump() + "\n", ".jsonl") +
                          way.words + " -n " + std::to_string(way.most));
    const json answer = json::parse(out);
    const int code = answer.contains("error") ? answer["error"]["code"].get<int>() : 0;
    return {answer["text"], int64_t(answer["tokens"].size()), answer["finish_reason"], code};
  }

  /// The C API on `sequence`, which computes what it does not hold yet.
  Came answer(const std::vector<stepdown_message> &messages, const Way &way) {
    std::vector<int32_t> ids(4096);
    size_t count;
    EXPECT_EQ(
        stepdown_model_chat_tokens(model, messages.data(), messages.size(), nullptr, ids.data(), ids.size(), &count)
            .code,
        0);
    ids.resize(count);
    size_t shared = std::mismatch(held.begin(), held.end(), ids.begin(), ids.end()).first - held.begin();
    shared = std::min(shared, std::max<size_t>(count, 1) - 1);
    EXPECT_EQ(stepdown_sequence_truncate(session, sequence, int32_t(shared)).code, 0);
    stepdown_sampling sampling = {};
    sampling.size = sizeof sampling;
    sampling.temperature = way.temperature;
    sampling.top_p = way.topP;
    sampling.repetition_penalty = way.repetition;
    sampling.presence_penalty = way.presence;
    sampling.dry_multiplier = way.dry;
    sampling.seed = way.seed;
    std::vector<int32_t> biased;
    std::vector<float> bias;
    for (auto [id, by] : way.bias) {
      biased.push_back(id);
      bias.push_back(by);
    }
    sampling.bias_ids = biased.data();
    sampling.bias = bias.data();
    sampling.bias_count = bias.size();
    stepdown_generate_options options = {};
    options.size = sizeof options;
    options.max_tokens = way.most;
    options.sampling = &sampling;
    options.stops = &way.stop;
    options.stop_count = way.stop != nullptr;
    struct Heard {
      std::string text;
      std::vector<int32_t> ids;
    } heard;
    options.context = &heard;
    options.on_text = [](void *context, int32_t id, const char *text, size_t length) {
      auto &heard = *static_cast<Heard *>(context);
      heard.text.append(text, length);
      if (id >= 0)
        heard.ids.push_back(id);
      return int32_t(0);
    };
    stepdown_generation result = {};
    result.size = sizeof result;
    const int code =
        stepdown_sequence_generate(session, sequence, ids.data() + shared, count - shared, &options, &result).code;
    ids.insert(ids.end(), heard.ids.begin(), heard.ids.end());
    ids.resize(size_t(stepdown_sequence_length(session, sequence)));
    held = ids;
    const char *const finishes[] = {"error", "stop", "stop", "length", "callback"};
    return {heard.text, result.tokens, finishes[result.finish], code};
  }

  /// `stepdown-run chat`, told one message after the other; what it answers to each.
  std::vector<Came> chat(const std::vector<std::string> &said, const Way &way, const std::string &words = "") const {
    std::string typed;
    for (const std::string &line : said)
      typed += line + "\n";
    auto [out, err] =
        run("chat " + path + way.words + words + " -n " + std::to_string(way.most) + " <" + fileOf(typed, ".txt"));
    std::vector<Came> all;
    for (size_t at = 0, told = 0; at < out.size(); at = out.find('\n', at) + 1) {
      Came came = {out.substr(at, out.find('\n', at) - at), -1, "", 0};
      told = err.find_first_of("[", told);
      if (told != std::string::npos)
        came.tokens = std::stoi(err.substr(++told));
      came.code = codeIn(err);
      all.push_back(came);
    }
    return all;
  }
};

const std::vector<Way> &ways() {
  static const std::vector<Way> all = {
      {"greedy", " --temperature 0 --top-p 1", 11, 0, 0, 0, 0, 0, 0, nullptr, {}},
      {"random", " --temperature 30 --top-p 0.9 --seed 7", 23, 30, 0.9f, 0, 0, 0, 7, nullptr, {}},
      {"penalised",
       " --temperature 30 --top-p 1 --seed 3 --repetition-penalty 4 --presence-penalty 50",
       23,
       30,
       0,
       4,
       50,
       0,
       3,
       nullptr,
       {}},
      {"dry",
       " --temperature 0 --top-p 1 --dry-multiplier 1000 --logit-bias 2=-inf",
       41,
       0,
       0,
       0,
       0,
       1000,
       0,
       nullptr,
       {{2, -INFINITY}}},
      {"ended", " --temperature 0 --top-p 1 --logit-bias 2=1e6", 11, 0, 0, 0, 0, 0, 0, nullptr, {{2, 1e6f}}},
      {"stopped",
       " --temperature 30 --top-p 1 --seed 5 --logit-bias 2=-inf --stop w3",
       101,
       30,
       0,
       0,
       0,
       0,
       5,
       "w3",
       {{2, -INFINITY}}},
  };
  return all;
}

// The second message goes on with what the first left in the cache, and the penalties know that too.
TEST_F(ThreeDoors, drawTheSame) {
  for (const Way &way : ways()) {
    SCOPED_TRACE(way.name);
    open();
    const std::vector<Came> chats = chat({"hello", "again hello"}, way);
    ASSERT_EQ(chats.size(), 2u);
    std::vector<stepdown_message> messages = {{"user", "hello"}};
    for (size_t turn = 0; turn < 2; ++turn) {
      const Came one = generate(messages, way), two = answer(messages, way), &three = chats[turn];
      EXPECT_EQ(one.code, 0);
      EXPECT_EQ(two.code, 0);
      EXPECT_EQ(one.text, two.text);
      EXPECT_EQ(one.text, three.text);
      EXPECT_EQ(one.tokens, two.tokens);
      EXPECT_EQ(one.tokens, three.tokens);
      EXPECT_EQ(one.finish, two.finish);
      if (!std::strcmp(way.name, "stopped")) {
        EXPECT_EQ(one.finish, "stop");
        EXPECT_LT(one.tokens, way.most);
      }
      messages.push_back({"assistant", three.text.c_str()});
      messages.push_back({"user", "again hello"});
    }
  }
}

TEST_F(ThreeDoors, refuseAPromptOfNothing) {
  toy.chatTemplate = "{{ '' }}";
  open();
  const std::vector<stepdown_message> messages = {{"user", "hello"}};
  const Way &way = ways()[0];
  for (const Came &came : {generate(messages, way), answer(messages, way), chat({"hello"}, way).at(0)}) {
    EXPECT_EQ(came.code, 611);
    EXPECT_EQ(came.text, "");
  }
}

// An answer ends where the context does, and where the cache does.
TEST_F(ThreeDoors, endWithTheContextOrTheCache) {
  Way endless = ways()[5];
  endless.words = " --temperature 30 --top-p 1 --seed 5 --logit-bias 2=-inf";
  endless.stop = nullptr;
  endless.most = 1000;
  const std::vector<stepdown_message> messages = {{"user", "hello"}};
  toy.maxContext = 64;
  open();
  const Came whole = generate(messages, endless);
  EXPECT_EQ(whole.finish, "length");
  EXPECT_EQ(whole.tokens, 64 - 10);
  toy.maxContext = 256;
  for (int64_t positions : {0, 64}) {
    toy.maxContext = positions ? 256 : 64;
    open(positions);
    const Came two = answer(messages, endless);
    const Came three = chat({"hello"}, endless, positions ? " --context 64" : "").at(0);
    EXPECT_EQ(two.code, 0);
    EXPECT_EQ(two.finish, "length");
    for (const Came &came : {two, three}) {
      EXPECT_EQ(came.tokens, whole.tokens) << positions;
      EXPECT_EQ(came.text, whole.text) << positions;
    }
  }
}

// No token can be drawn. The prompt is computed, and the error is that of the row.
TEST_F(ThreeDoors, tellTheSameError) {
  Way none = ways()[0];
  for (int32_t id = 0; id < 41; ++id) {
    none.bias.emplace_back(id, -INFINITY);
    none.words += " --logit-bias " + std::to_string(id) + "=-inf";
  }
  open();
  const std::vector<stepdown_message> messages = {{"user", "hello"}};
  EXPECT_EQ(generate(messages, none).code, 704);
  EXPECT_EQ(answer(messages, none).code, 704);
  EXPECT_EQ(chat({"hello"}, none).at(0).code, 704);
}

} // namespace
