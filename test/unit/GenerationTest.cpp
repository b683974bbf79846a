// An answer in the making, on rows that a test makes: what ends it, and what its listener hears.
#include "lib/Grammar/Constraint.h"
#include "runtime/Devices.h"
#include "runtime/Generate/Generate.h"
#include "test/unit/ToyModel.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace stepdown;
using test::ToyModel;

namespace {

constexpr int32_t endOfText = 2, letter = 4, euro = 30; // "a"; the first of the three bytes of the euro sign

struct OneAnswer : testing::Test {
  ToyModel toy;
  std::shared_ptr<const Model> model = *Model::load(toy.write(), *openDevice(nullptr));
  Result<Tokenizer> tokenizer = Tokenizer::create(model->metadata());
  GenerationOptions options;
  Generation::Place place = {41, 256, 0};
  std::vector<std::pair<int32_t, std::string>> heard;
  std::unique_ptr<Generation> answer;

  OneAnswer() { options.sampling.temperature = 0; }
  void begin(std::vector<int32_t> prompt = {11, 8}) {
    auto made = Generation::create(options, std::move(prompt), *tokenizer, place);
    ASSERT_TRUE(made) << made.error().message;
    answer = std::move(*made);
    answer->listener = [this](int32_t id, const std::string &text) { return heard.emplace_back(id, text), true; };
  }
  /// Has it draw `id`, and returns whether it wants to go on.
  bool draw(int32_t id, float other = 0) {
    std::vector<float> row(48, other);
    row[static_cast<size_t>(id)] = 1;
    std::vector<int32_t> next;
    EXPECT_EQ(answer->draw({row.data(), 1, row.size()}, next), 1u);
    if (!next.empty()) {
      EXPECT_EQ(next, std::vector<int32_t>{id});
    }
    EXPECT_EQ(next.empty(), answer->done());
    return !next.empty();
  }
};
using Heard = std::vector<std::pair<int32_t, std::string>>;

TEST_F(OneAnswer, hearsEachTokenWithTheTextThatItCompletes) {
  begin();
  for (int32_t id : {letter, euro, euro + 1, euro + 2})
    EXPECT_TRUE(draw(id));
  EXPECT_FALSE(draw(endOfText));
  EXPECT_EQ(answer->finish(), Finish::End);
  EXPECT_EQ(heard, (Heard{{letter, "a"}, {euro, ""}, {euro + 1, ""}, {euro + 2, "\u20ac"}}));
  EXPECT_EQ(answer->tokens(), (std::vector<int32_t>{letter, euro, euro + 1, euro + 2, endOfText}));
  EXPECT_EQ(answer->text(), "a\u20ac");
}

// What waited is told whatever ends the answer: the model, the length, an interrupt, an error, or somebody from
// outside.
TEST_F(OneAnswer, tellsWhatWaitedHoweverItEnds) {
  options.stops = {"abc"};
  options.maxTokens = 3;
  for (Finish how : {Finish::End, Finish::Length, Finish::Interrupted, Finish::Error, Finish::Stop}) {
    heard.clear();
    begin();
    EXPECT_TRUE(draw(letter));
    EXPECT_TRUE(draw(letter + 1));
    Heard expected = {{letter, ""}, {letter + 1, ""}, {-1, "ab"}};
    if (how == Finish::End) {
      draw(endOfText);
    } else if (how == Finish::Length) {
      draw(letter);
      expected = {{letter, ""}, {letter + 1, ""}, {letter, "ab"}, {-1, "a"}};
    } else if (how == Finish::Interrupted) {
      answer->interrupted = [] { return true; };
      draw(letter);
    } else if (how == Finish::Error) {
      draw(letter, NAN);
      ASSERT_TRUE(answer->problem());
      EXPECT_EQ(answer->problem()->code, ErrorCode::SamplingLogits);
    } else {
      draw(letter + 2);
      expected = {{letter, ""}, {letter + 1, ""}, {letter + 2, ""}};
    }
    EXPECT_EQ(answer->finish(), how);
    EXPECT_EQ(heard, expected) << static_cast<int>(how);
    std::string told;
    for (const auto &each : heard)
      told += each.second;
    EXPECT_EQ(answer->text(), told);
  }
}

TEST_F(OneAnswer, aListenerThatEndsItHearsNoMore) {
  options.stops = {"abc"};
  begin();
  answer->listener = [this](int32_t id, const std::string &text) {
    heard.emplace_back(id, text);
    return id != letter + 1;
  };
  EXPECT_TRUE(draw(letter));
  EXPECT_FALSE(draw(letter + 1));
  EXPECT_EQ(answer->finish(), Finish::Listener);
  EXPECT_EQ(heard, (Heard{{letter, ""}, {letter + 1, ""}}));
  EXPECT_EQ(answer->text(), "ab");
}

TEST_F(OneAnswer, endsWhereTheContextDoes) {
  const std::vector<int32_t> before = {4, 5, 6, 7, 8, 9, 10, 11};
  place = {41, 13, 8, before.data()};
  options.ignoreEnd = true;
  begin({11, 8, 5});
  EXPECT_TRUE(draw(endOfText));
  EXPECT_FALSE(draw(letter)); // at the thirteenth place
  EXPECT_EQ(answer->finish(), Finish::Length);
}

TEST_F(OneAnswer, ofNoTokensIsDoneAtOnce) {
  options.maxTokens = 0;
  begin();
  EXPECT_EQ(answer->finish(), Finish::Length);
  EXPECT_FALSE(answer->prompted());
  EXPECT_EQ(answer->promptSeconds(), 0);
  EXPECT_EQ(answer->tokensPerSecond(), 0);
}

// Penalties, text and stop strings are those of one answer, wherever it was broken off; what waited then is told once.
TEST_F(OneAnswer, goesOnAsIfItHadNotBeenBrokenOff) {
  std::vector<int32_t> wanted;
  auto drawAll = [&](size_t first) {
    std::vector<int32_t> drawn;
    for (size_t i = first; i < wanted.size() && !answer->done(); ++i) {
      std::vector<float> row(48);
      row[static_cast<size_t>(wanted[i])] = 1;
      std::vector<int32_t> next;
      answer->draw({row.data(), 1, row.size()}, next);
    }
    return answer->tokens();
  };
  constexpr int32_t a = letter, b = letter + 1, c = letter + 2;
  const std::vector<int32_t> various = {a, b, c, a, b, euro, euro + 1, a, a};
  struct Case {
    const char *stop;
    float penalty;
    std::vector<int32_t> wanted;
  };
  for (const Case &each : {Case{"abc", 0, various}, Case{"aa", 2, various}, Case{"aab", 0, {a, a, a, c, a, a, a, b}},
                           Case{"aab", 0, {a, a, a, a, c, a, euro, euro + 1, euro + 2, a, a, c}}}) {
    wanted = each.wanted;
    options.stops = {each.stop};
    options.sampling.presencePenalty = each.penalty;
    options.maxTokens = 256;
    place = {41, 256, 0};
    begin();
    const std::vector<int32_t> whole = drawAll(0);
    const std::string text = answer->text();
    const Finish finish = answer->finish();
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      options.maxTokens = static_cast<int64_t>(cut);
      place = {41, 256, 0};
      begin();
      drawAll(0);
      const std::string before = answer->text();
      options.maxTokens = 256;
      std::vector<int32_t> prompt = {11, 8};
      prompt.insert(prompt.end(), whole.begin(), whole.begin() + static_cast<ptrdiff_t>(cut));
      place.drawn = static_cast<int64_t>(cut);
      begin(prompt);
      std::vector<int32_t> all(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(cut));
      for (int32_t id : drawAll(cut))
        all.push_back(id);
      EXPECT_EQ(all, whole) << cut;
      EXPECT_EQ(answer->finish(), finish) << cut;
      // What had waited stays with the part before, even where a stop string would have taken it back.
      std::string joined = before + answer->text();
      if (joined != text) {
        const bool takenBack = finish == Finish::Stop && joined == before && joined.rfind(text, 0) == 0;
        EXPECT_TRUE(takenBack || joined.find("\uFFFD") != joined.npos) << cut << ": " << joined << " for " << text;
      }
    }
  }
}

// What guesses ahead hears the tokens of the answer as its own, wherever it was broken off.
TEST_F(OneAnswer, hasItsDrafterHearWhatWasDrawnBefore) {
  struct Recorder final : Drafter {
    explicit Recorder(std::string &told) : told(told) {}
    void read(const int32_t *ids, size_t count) override {
      for (size_t i = 0; i < count; ++i)
        told += std::to_string(ids[i]) + " ";
    }
    void heard(int32_t id) override { told += "!" + std::to_string(id) + " "; }
    Status draft(size_t, std::vector<int32_t> &) override { return Done{}; }
    std::string &told;
  };
  struct Recorders final : Speculator {
    mutable std::string told;
    Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
      return std::unique_ptr<Drafter>(new Recorder(told));
    }
  };
  const std::vector<int32_t> before = {11, 8, 5};
  for (auto [drawn, told] : {std::pair(0, "11 8 5 6 7 "), std::pair(1, "11 8 5 6 !7 "), std::pair(2, "11 8 5 !6 !7 "),
                             std::pair(4, "11 !8 !5 !6 !7 ")}) {
    auto recorders = std::make_shared<Recorders>();
    options.speculator = recorders;
    place = {41, 256, 3, before.data(), drawn};
    begin({6, 7});
    EXPECT_EQ(recorders->told.find('6'), std::string::npos) << "nothing of a prompt is held before its row comes";
    std::vector<float> row(41);
    row[9] = 1000;
    std::vector<int32_t> next;
    answer->draw({row.data(), 1, row.size()}, next);
    EXPECT_EQ(recorders->told, std::string(told) + "!9 ");
  }
}

/// Answers under a constraint; the rows make the token `wanted` the likeliest, then ids in their order.
struct ConstrainedAnswer : OneAnswer {
  void constrain(grammar::Notation notation, const std::string &text) {
    auto network = grammar::compileConstraint(notation, text);
    ASSERT_TRUE(network) << network.error().message;
    options.constraint = std::make_shared<Constraint>(
        *network, std::make_shared<const ConstraintVocabulary>(*tokenizer, place.vocabulary));
  }
  /// What was drawn where `wanted` is the likeliest each time.
  std::vector<int32_t> drawAll(int32_t wanted) {
    begin();
    for (int i = 0; i < 20 && !answer->done(); ++i) {
      std::vector<float> row(48);
      for (size_t id = 0; id < row.size(); ++id)
        row[id] = -static_cast<float>(id) / 64;
      row[static_cast<size_t>(wanted)] = 1;
      std::vector<int32_t> next;
      answer->draw({row.data(), 1, row.size()}, next);
    }
    return answer->tokens();
  }
};

TEST_F(ConstrainedAnswer, drawsWhatMayFollowAndEndsWhereItMay) {
  constrain(grammar::Notation::Regex, "a+b|ccc");
  EXPECT_EQ(drawAll(letter + 1), (std::vector<int32_t>{letter, letter + 1, endOfText})); // "b" as soon as it may come
  EXPECT_EQ(answer->finish(), Finish::End);
  EXPECT_EQ(answer->text(), "ab");
  EXPECT_EQ(drawAll(letter + 2), (std::vector<int32_t>{letter + 2, letter + 2, letter + 2, endOfText}));
  options.maxTokens = 2;
  EXPECT_EQ(drawAll(endOfText), (std::vector<int32_t>{letter, letter})); // the end may not come yet
  EXPECT_EQ(answer->finish(), Finish::Length);
}

TEST_F(ConstrainedAnswer, endsWithoutATokenWhereNoneMayEndIt) {
  constrain(grammar::Notation::Choices, "ab");
  options.ignoreEnd = true;
  EXPECT_EQ(drawAll(letter), (std::vector<int32_t>{letter, letter + 1}));
  EXPECT_EQ(answer->finish(), Finish::End);
}

TEST_F(ConstrainedAnswer, aTokenMayEndInsideALetter) {
  constrain(grammar::Notation::Regex, "[\u20a0-\u20cf]x?");
  EXPECT_EQ(drawAll(endOfText), (std::vector<int32_t>{euro, euro + 1, euro + 2, endOfText}));
  EXPECT_EQ(answer->text(), "\u20ac");
}

TEST_F(ConstrainedAnswer, penaltiesAndBiasActOnWhatMayFollow) {
  constrain(grammar::Notation::Regex, "[ab]{4}");
  options.sampling.presencePenalty = 3;
  EXPECT_EQ(drawAll(letter), (std::vector<int32_t>{letter, letter + 1, letter, letter, endOfText}));
  options.sampling.presencePenalty = 0;
  options.sampling.logitBias = {{letter, -INFINITY}, {letter + 1, -INFINITY}};
  drawAll(letter);
  ASSERT_TRUE(answer->problem());
  EXPECT_EQ(answer->problem()->code, ErrorCode::SamplingEmpty);
}

TEST_F(ConstrainedAnswer, whatNoTokenSpellsIsAnError) {
  constrain(grammar::Notation::Choices, "a!");
  drawAll(letter);
  EXPECT_EQ(answer->tokens(), std::vector<int32_t>{letter});
  ASSERT_TRUE(answer->problem());
  EXPECT_EQ(answer->problem()->code, ErrorCode::ConstraintTokens);
}

// No step of one stack exceeds the limit, but those of all of them together do.
TEST_F(ConstrainedAnswer, aTokenThatCanBeReadInTooManyWaysIsAnError) {
  constrain(grammar::Notation::Gbnf, "root ::= \"a\" root \"x\" | \"a\" root \"y\" | \"a\" root root \"z\" | \"a\"");
  drawAll(letter);
  ASSERT_TRUE(answer->problem());
  EXPECT_EQ(answer->problem()->code, ErrorCode::ConstraintParses);
}

} // namespace
