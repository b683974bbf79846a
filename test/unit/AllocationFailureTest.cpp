// Running out of memory at any allocation: the first, the second ... of each operation fails, alone or with all behind
// it. Nothing ends the process or leaks, the error is that of memory and none that blames a file or a text, and what
// was there before still works.
#include "MadeVocabulary.h"
#include "include/stepdown/Runtime.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "runtime/Devices.h"
#include "runtime/Server/Engine.h"
#include "runtime/Session/Session.h"
#include "test/unit/Allocations.h"
#include "test/unit/ToyModel.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <set>

using namespace stepdown;
using test::Allocations;

namespace {

constexpr int memoryCode = static_cast<int>(ErrorCode::OutOfMemory);
const std::set<int> memoryCodes = {memoryCode, static_cast<int>(ErrorCode::SamplingMemory)};
constexpr uint64_t mostFailures = 2000;

/// Runs `operation`, which returns 0 or the code of an error and leaves nothing behind, until none of its allocations
/// is left to fail.
void survives(const char *name, const std::function<int()> &operation) {
  for (int i = 0; i < 2; ++i) // what is made once is made now
    ASSERT_EQ(operation(), 0) << name;
  for (bool onwards : {false, true}) {
    uint64_t refused = 0, number = 1;
    for (; number <= mostFailures; ++number) {
      const int64_t before = Allocations::live();
      Allocations::fail(number, onwards);
      int code;
      try {
        code = operation();
      } catch (const std::bad_alloc &) { // of the C++ interface; the C interface lets none out
        code = memoryCode;
      }
      const bool failed = Allocations::failed();
      Allocations::failNone();
      ASSERT_EQ(Allocations::live(), before) << name << ", allocation " << number << (onwards ? " and all behind" : "");
      if (!failed)
        break;
      if (code != 0) {
        ++refused;
        ASSERT_EQ(memoryCodes.count(code), 1u)
            << name << ", allocation " << number << (onwards ? " and all behind" : "") << ": error " << code;
      }
    }
    EXPECT_GT(refused, 0u) << name;
    ASSERT_EQ(operation(), 0) << name;
  }
}

template <typename T> int codeOf(const Result<T> &result) { return result ? 0 : static_cast<int>(result.error().code); }

TEST(AllocationFailure, ofTemplates) {
  const std::string text =
      "{% macro m(x, y='d') %}[{{ x }}{{ y|upper }}]{% endmacro %}{% set ns = namespace(a=[], s='') %}"
      "{% for k in messages recursive %}{% set ns.a = ns.a + [k.role, loop.index] %}"
      "{{ m(k.content.split('e')|join('-'), y=k|tojson(indent=2)) }}{{ loop.changed(loop, ns) }}{% endfor %}"
      "{{ ns.a|unique|sort(attribute=0)|list if false else ns.a|map('string')|list }}"
      "{{ {'a': 1, 'b': [2.5, none], 'c': 'x\\n'}|items|list }}{{ '%5s|%-8d' % ('a', 3) }}{{ '{:>9}{}'.format(1, k) }}"
      "{{ messages|groupby('role') }}{{ range(20)|batch(3)|list }}{{ 'a b c'|replace(' ', ns.s)|wordwrap(3) }}"
      "{% for i in range(12) %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ dict(ns.s|batch(2)|list|reverse) is mapping }}";
  survives("parse", [&] { return codeOf(ChatTemplate::parse(text)); });
  auto chat = ChatTemplate::parse(text);
  ASSERT_TRUE(chat) << chat.error().text();
  ChatContext context;
  context.addMessage("user", "Here there and everywhere, whatever it be, in more bytes than a small string has");
  context.addMessage("assistant", "Yes");
  RenderOptions options;
  ASSERT_TRUE(setNow(options, "2026-11-21"));
  auto rendered = chat->render(context, options);
  ASSERT_TRUE(rendered) << rendered.error().text();
  survives("render", [&] { return codeOf(chat->render(context, options)); });
  survives("messages", [] {
    return codeOf(
        ChatContext::fromJson("{\"messages\": [{\"role\": \"user\", \"content\": [1, 2.5, \"a text of more than "
                              "fifteen bytes\", {}]}], \"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4, \"e\": 5, "
                              "\"f\": 6, \"g\": 7, \"h\": 8, \"i\": 9, \"j\": 99999999999999999999}",
                              "messages"));
  });
  survives("context", [] {
    ChatContext made;
    made.set("bos_token", "a text of more than fifteen bytes");
    for (int i = 0; i < 12; ++i)
      made.addMessage("user", "what is said in more than fifteen bytes");
    ChatContext copy = made;
    return codeOf(copy.setJson("tools", "[[1, 2], {}]"));
  });
}

struct Vocabularies {
  const char *name;
  GgufBytes file;
};

std::vector<Vocabularies> vocabularies() {
  std::vector<MadeToken> letters;
  for (char c = 'a'; c <= 'z'; ++c)
    letters.push_back({std::string(1, c), -2});
  std::vector<MadeToken> some = letters;
  for (const char *text : {"th", "the", "\u2581", "\u2581the", "er", "here"})
    some.push_back({text, -1});
  std::vector<MadeToken> bytes = letters;
  for (const char *text : {"th", "the", "\u0120", "er", "\u0120the", "<|end|>"})
    bytes.push_back({text});
  bytes.back().type = controlType;
  std::vector<MadeToken> words = {{"[PAD]", 0, controlType},
                                  {"[UNK]", 0, controlType},
                                  {"[CLS]", 0, controlType},
                                  {"[SEP]", 0, controlType},
                                  {"[MASK]", 0, controlType},
                                  {"\u2581the"},
                                  {"re"}};
  words.insert(words.end(), letters.begin(), letters.end());
  std::vector<MadeToken> t5 = {{"<pad>", 0, controlType}, {"</s>", 0, controlType}, {"<unk>", 0, unknownType}};
  t5.insert(t5.end(), some.begin(), some.end());
  auto bpe = [&](const char *splitter) {
    return vocabularyBytes("gpt2", bytes)
        .text("tokenizer.ggml.pre", splitter)
        .strings("tokenizer.ggml.merges", {"t h", "th e", "e r", "\u0120 the"})
        .u32("tokenizer.ggml.unknown_token_id", 0);
  };
  return {{"spm", vocabularyBytes("llama", spmTokens(some))},
          {"bpe", bpe("gpt-2")},
          {"bpe of several patterns", bpe("deepseek-llm")},
          {"wordpiece", vocabularyBytes("bert", words)
                            .u32("tokenizer.ggml.padding_token_id", 0)
                            .u32("tokenizer.ggml.unknown_token_id", 1)
                            .u32("tokenizer.ggml.cls_token_id", 2)
                            .u32("tokenizer.ggml.seperator_token_id", 3)
                            .u32("tokenizer.ggml.mask_token_id", 4)},
          {"unigram", vocabularyBytes("t5", t5)}};
}

TEST(AllocationFailure, ofTokenizers) {
  for (const Vocabularies &v : vocabularies()) {
    MadeMetadata made(v.file);
    survives(v.name, [&] { return codeOf(Tokenizer::create(made.metadata())); });
    auto tokenizer = Tokenizer::create(made.metadata());
    ASSERT_TRUE(tokenizer) << v.name << ": " << tokenizer.error().text();
    const std::string text = "the other there e\u0301 is the <|end|> here \u00e9t\u00e9 7 123 thethethe";
    EncodeOptions options;
    options.parseSpecial = true;
    for (bool composed : {false, true}) {
      options.normalizeNfc = composed;
      auto whole = tokenizer->encode(text, options);
      ASSERT_TRUE(whole) << v.name << ": " << whole.error().text();
      survives(v.name, [&] {
        auto ids = tokenizer->encode(text, options);
        return ids && *ids != *whole ? -1 : codeOf(ids); // no others, silently
      });
      survives(v.name, [&] {
        return tokenizer->decode(*whole, true).empty() || tokenizer->controlRanges(text).empty() ? 0 : 0;
      });
    }
    const std::vector<int32_t> ids = *tokenizer->encode(text, options);
    survives(v.name, [&] {
      StreamDecoder stream(*tokenizer, true);
      std::string all;
      for (int32_t id : ids)
        all += stream.push(id);
      return (all += stream.flush()).empty() ? 1 : 0;
    });
  }
}

/// Counts what it hears, and takes no memory.
struct Told : Engine::Listener {
  std::mutex mutex;
  std::condition_variable changed;
  size_t over = 0, problems = 0;
  bool failed = false;
  size_t *left = nullptr;        ///< answers to all orders, after which nothing is to fail
  std::function<void()> atFirst; ///< on the engine's thread
  void token(size_t, int32_t, const std::string &, const LogProbabilities *) override {
    if (std::function<void()> then = std::move(atFirst); then)
      then();
  }
  void finished(size_t, const Generation &generation) override {
    std::lock_guard<std::mutex> lock(mutex);
    failed |= Allocations::failed(); // of this thread
    if (left && --*left == 0)
      Allocations::failNone();
    ++over;
    problems += generation.problem().has_value();
    changed.notify_all();
  }
  void waitFor(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return over >= count; });
    EXPECT_EQ(over, count);
  }
};

// Whatever fails on the thread that serves, while orders come in: each answer is told once, and the next is drawn.
TEST(AllocationFailure, ofTheThreadThatServes) {
  test::ToyModel toy;
  auto model = *Model::load(toy.write(), *openDevice(nullptr));
  auto tokenizer = Tokenizer::create(model->metadata());
  ASSERT_TRUE(tokenizer);
  Engine::Options options;
  options.session.threads = 1;
  options.session.kvBlock = 16;
  options.session.kvPositions = 128; // some are preempted
  auto order = [](std::shared_ptr<Told> told, int32_t seed, size_t answers) {
    Engine::Order order;
    order.prompts = {std::vector<int32_t>(33, seed)};
    order.answers = answers;
    order.how.maxTokens = 19;
    order.how.ignoreEnd = true;
    order.listener = std::move(told);
    return order;
  };
  bool failed = true;
  uint64_t number = 1;
  for (; failed && number < mostFailures; ++number) {
    auto engine = Engine::create(model, *tokenizer, options);
    ASSERT_TRUE(engine);
    auto first = std::make_shared<Told>(), second = std::make_shared<Told>(), third = std::make_shared<Told>();
    size_t left = 5;
    first->left = second->left = third->left = &left;
    first->atFirst = [&] {
      EXPECT_TRUE((*engine)->submit(order(second, 5, 2)));
      EXPECT_TRUE((*engine)->submit(order(third, 7, 1)));
      Allocations::fail(number, false);
    };
    ASSERT_TRUE((*engine)->submit(order(first, 3, 2)));
    first->waitFor(2), second->waitFor(2), third->waitFor(1);
    failed = first->failed || second->failed || third->failed;
    EXPECT_EQ(first->problems + second->problems + third->problems > 0, failed) << number;
    auto last = std::make_shared<Told>();
    ASSERT_TRUE((*engine)->submit(order(last, 11, 2)));
    last->waitFor(2);
    EXPECT_EQ(last->problems, 0u) << number;
    while (!(*engine)->idle() || (*engine)->figures().used[0])
      std::this_thread::yield();
    ASSERT_FALSE(HasFailure()) << number;
  }
  EXPECT_GT(number, 20u);
  EXPECT_LT(number, mostFailures);
}

/// The C interface: a failure never leaves it as an exception.
struct AllocationFailureOfApi : testing::Test {
  test::ToyModel toy;
  std::string path;
  stepdown_model *model = nullptr;
  stepdown_session *session = nullptr;
  stepdown_session_options sessions = {};

  void SetUp() override {
    path = toy.write();
    sessions.size = sizeof sessions;
    sessions.threads = 1; // what other threads take is not failed
    ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
    ASSERT_EQ(stepdown_session_create(model, &sessions, &session).code, 0);
  }
  void TearDown() override {
    stepdown_session_free(session);
    stepdown_model_free(model);
  }
};

TEST_F(AllocationFailureOfApi, loadsAndCreates) {
  for (int copy : {0, 1}) {
    stepdown_load_options options = {};
    options.size = sizeof options;
    options.copy = copy;
    survives("load", [&] {
      stepdown_model *loaded = nullptr;
      int code = stepdown_model_load(path.c_str(), &options, &loaded).code;
      EXPECT_EQ(loaded == nullptr, code != 0);
      stepdown_model_free(loaded);
      return code;
    });
  }
  survives("session", [&] {
    stepdown_session *created = nullptr;
    int code = stepdown_session_create(model, &sessions, &created).code;
    EXPECT_EQ(created == nullptr, code != 0);
    stepdown_session_free(created);
    return code;
  });
}

TEST_F(AllocationFailureOfApi, steps) {
  const stepdown_token batch[3] = {{0, 5, 0}, {0, 7, 1}, {0, 9, 1}};
  auto whole = [&](bool fresh) {
    stepdown_session *own = session;
    if (fresh)
      if (int code = stepdown_session_create(model, &sessions, &own).code)
        return code;
    stepdown_sequence sequence = -1, fork = -1;
    int code = stepdown_sequence_create(own, &sequence).code;
    if (!code)
      code = stepdown_session_submit(own, batch, 3).code;
    if (!code)
      code = stepdown_session_step(own).code;
    if (!code)
      EXPECT_NE(stepdown_session_logits(own, 1), nullptr);
    if (!code)
      code = stepdown_sequence_fork(own, sequence, &fork).code;
    if (!code)
      code = stepdown_sequence_truncate(own, fork, 1).code;
    stepdown_sequence_free(own, fork);
    stepdown_sequence_free(own, sequence);
    if (fresh)
      stepdown_session_free(own);
    return code;
  };
  survives("steps", [&] { return whole(true); });
  // A session that is there needs no memory for its steps.
  ASSERT_EQ(whole(false), 0);
  Allocations::fail(1, true);
  const int code = whole(false);
  Allocations::failNone();
  EXPECT_EQ(code, 0);
  EXPECT_FALSE(Allocations::failed());
}

TEST_F(AllocationFailureOfApi, makesTokenizerAndTemplateAgain) {
  // Failing while they are made must not be what the model remembers.
  survives("first use of tokenizer and template", [&] {
    stepdown_model *own = nullptr;
    int code = stepdown_model_load(path.c_str(), nullptr, &own).code;
    int32_t ids[64];
    size_t count = 0;
    if (!code)
      code = stepdown_model_tokenize(own, "hello there", 11, STEPDOWN_ADD_SPECIAL, ids, 64, &count).code;
    const stepdown_message message = {"user", "hello"};
    if (!code)
      code = stepdown_model_chat_tokens(own, &message, 1, nullptr, ids, 64, &count).code;
    if (code && own) {
      Allocations::failNone();
      if (stepdown_model_tokenize(own, "hello there", 11, STEPDOWN_ADD_SPECIAL, ids, 64, &count).code ||
          stepdown_model_chat_tokens(own, &message, 1, nullptr, ids, 64, &count).code)
        code = -1;
    }
    stepdown_model_free(own);
    return code;
  });
}

TEST_F(AllocationFailureOfApi, speaks) {
  int32_t ids[256];
  char text[512];
  size_t count = 0, length = 0;
  survives("tokenize", [&] {
    return stepdown_model_tokenize(model, "hello there", 11, STEPDOWN_ADD_SPECIAL, ids, 256, &count).code;
  });
  const size_t some = count;
  survives("detokenize", [&] {
    return stepdown_model_detokenize(model, ids, some, STEPDOWN_KEEP_SPECIAL, text, sizeof text, &length).code;
  });
  survives("token text", [&] { return stepdown_model_token_text(model, 7, text, sizeof text, &length).code; });
  const stepdown_message messages[] = {{"user", "hello"}, {"assistant", "there"}};
  stepdown_chat_options options = {};
  options.size = sizeof options;
  options.variables = "{\"tools\": [1, 2, {\"a\": null}]}";
  int32_t prompt[256];
  survives("chat tokens",
           [&] { return stepdown_model_chat_tokens(model, messages, 2, &options, prompt, 256, &count).code; });
  survives("chat text",
           [&] { return stepdown_model_chat_text(model, messages, 2, &options, text, sizeof text, &length).code; });
}

TEST_F(AllocationFailureOfApi, savesAndLoadsSequences) {
  stepdown_sequence sequence;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  const int32_t ids[] = {11, 8, 15, 15, 18};
  stepdown_generate_options options = {};
  options.size = sizeof options;
  options.max_tokens = 3;
  ASSERT_EQ(stepdown_sequence_generate(session, sequence, ids, 5, &options, nullptr).code, 0);
  const std::string path = stepdown::test::temporaryFile({}, ".sequence");
  survives("save", [&] { return stepdown_sequence_save(session, sequence, path.c_str()).code; });
  survives("load", [&] {
    stepdown_sequence loaded;
    const int code = stepdown_sequence_load(session, path.c_str(), &loaded).code;
    EXPECT_EQ(loaded < 0, code != 0);
    stepdown_sequence_free(session, loaded);
    return code;
  });
}

TEST_F(AllocationFailureOfApi, draws) {
  const int32_t biased[] = {3, 5};
  const float bias[] = {1, -INFINITY};
  stepdown_sampling sampling = {};
  sampling.size = sizeof sampling;
  sampling.temperature = 1;
  sampling.top_k = 5;
  sampling.top_p = 0.9f;
  sampling.repetition_penalty = 1.1f;
  sampling.dry_multiplier = 1;
  sampling.bias_ids = biased;
  sampling.bias = bias;
  sampling.bias_count = 2;
  std::vector<float> logits(41, 0.5f);
  survives("sampler", [&] {
    stepdown_sampler *sampler = nullptr;
    int code = stepdown_sampler_create(model, &sampling, &sampler).code;
    EXPECT_EQ(sampler == nullptr, code != 0);
    int32_t id;
    for (int i = 0; i < 9 && !code; ++i)
      if (!(code = stepdown_sampler_draw(sampler, logits.data(), i, &id).code))
        code = stepdown_sampler_accept(sampler, id, 1).code;
    stepdown_sampler_free(sampler);
    return code;
  });
  const char *stops[] = {"a text that never comes"};
  stepdown_generate_options options = {};
  options.size = sizeof options;
  options.sampling = &sampling;
  options.max_tokens = 9;
  options.stops = stops;
  options.stop_count = 1;
  survives("generate", [&] { return stepdown_generate(session, "hello", &options, nullptr).code; });
  stepdown_speculation speculation = {sizeof speculation, nullptr, nullptr, 2, 0};
  options.speculation = &speculation;
  survives("guesses", [&] { return stepdown_generate(session, "hello hello", &options, nullptr).code; });
}

} // namespace
