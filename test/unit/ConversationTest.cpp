// A conversation: what a turn leaves behind when it goes well, when it is stopped, and when it fails.
#include "tools/stepdown-run/Conversation.h"
#include "lib/Text/ChatPrompt.h"
#include "runtime/Devices.h"
#include "test/unit/ToyModel.h"
#include "tools/stepdown-run/Console.h"
#include <cmath>
#include <csignal>
#include <gtest/gtest.h>

using namespace stepdown;
using run::Conversation;

namespace {

struct Turns : testing::Test {
  test::ToyModel toy;
  std::shared_ptr<const Model> model = *Model::load(toy.write(), *openDevice(nullptr));
  Result<Tokenizer> tokenizer = Tokenizer::create(model->metadata());
  Result<ChatTemplate> chatTemplate = chatTemplateOf(model->metadata());
  std::unique_ptr<Session> session = std::move(*Session::create(model, {}));
  Conversation conversation{*session, *tokenizer, *chatTemplate};
  GenerationOptions options, none;
  std::string heard;

  void SetUp() override {
    options.sampling.temperature = 0;
    options.sampling.logitBias = {{2, -INFINITY}}; // the end of a text
    options.maxTokens = 7;
    none = options;
    for (int32_t id = 0; id < 41; ++id)
      none.sampling.logitBias.emplace_back(id, -INFINITY);
  }
  Generation::Listener listen() {
    return [this](int32_t, const std::string &text) { return heard += text, true; };
  }
};

TEST_F(Turns, aTurnThatFailsWasNeverSaid) {
  ASSERT_TRUE(conversation.say("hello", options, listen()));
  const std::string first = heard;
  const size_t before = session->kv().freeBlocks(0);
  Status failed = conversation.say("again", none, listen());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::SamplingEmpty);
  ASSERT_EQ(conversation.messages().size(), 2u);
  EXPECT_EQ(conversation.messages()[1].content, first);
  EXPECT_EQ(session->kv().freeBlocks(0), before);
  ASSERT_FALSE(conversation.regenerate(none, listen()));
  ASSERT_EQ(conversation.messages().size(), 2u);
  EXPECT_EQ(conversation.messages()[0].content, "hello");
  EXPECT_EQ(conversation.messages()[1].content, first);
  // And the next one is answered as if nothing had been.
  heard.clear();
  ASSERT_TRUE(conversation.say("again", options, listen()));
  EXPECT_GT(conversation.lastTurn().reused, 0u);
  Conversation other(*session, *tokenizer, *chatTemplate);
  ASSERT_TRUE(other.say("hello", options, [](int32_t, const std::string &) { return true; }));
  ASSERT_TRUE(other.say("again", options, [](int32_t, const std::string &) { return true; }));
  EXPECT_EQ(other.messages()[3].content, heard);
}

TEST_F(Turns, anInterruptLeavesWhatWasDrawn) {
  run::catchInterrupts();
  options.maxTokens = 200;
  size_t tokens = 0;
  Status said = conversation.say("hello", options, [&](int32_t, const std::string &text) {
    heard += text;
    if (++tokens == 5)
      std::raise(SIGINT);
    return true;
  });
  EXPECT_TRUE(said) << said.error().text();
  EXPECT_EQ(conversation.lastTurn().drawn, 5u);
  ASSERT_EQ(conversation.messages().size(), 2u);
  EXPECT_EQ(conversation.messages()[1].content, heard);
  // One that comes before the first token leaves nothing but what was computed.
  said = conversation.say("again", options, listen());
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::Interrupted);
  EXPECT_EQ(conversation.messages().size(), 2u);
  EXPECT_EQ(conversation.lastTurn().drawn, 0u);
  run::clearInterrupt();
  EXPECT_TRUE(conversation.say("again", options, listen()));
}

} // namespace
