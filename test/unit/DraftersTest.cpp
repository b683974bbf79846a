// What drafters guess: of the text so far, of a text that is edited, and of a smaller model, which reads prompts.
#include "runtime/Devices.h"
#include "runtime/Generate/GenerationOptions.h"
#include "runtime/Speculation/DraftModel.h"
#include "runtime/Speculation/EditDrafter.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "test/unit/ToyModel.h"
#include <gtest/gtest.h>
#include <random>
#include <utility>

using namespace stepdown;
using test::ToyModel;
using Tokens = std::vector<int32_t>;

namespace {

Tokens guessesOf(Drafter &drafter, size_t most) {
  Tokens guesses;
  EXPECT_TRUE(drafter.draft(most, guesses));
  return guesses;
}

TEST(NgramDrafter, guessesWhatFollowedTheLongestRun) {
  NgramDrafter drafter(3);
  EXPECT_EQ(guessesOf(drafter, 5), Tokens());
  const Tokens text = {1, 2, 3, 4, 9, 2, 3, 5, 8, 2, 3};
  drafter.read(text.data(), text.size());
  EXPECT_EQ(guessesOf(drafter, 3), (Tokens{5, 8, 2})); // the latest of two
  drafter.heard(4);
  EXPECT_EQ(guessesOf(drafter, 2), (Tokens{9, 2})); // "2 3 4", though nothing shorter came later
  drafter.heard(7);
  EXPECT_EQ(guessesOf(drafter, 2), Tokens());
  drafter.heard(8);
  EXPECT_EQ(guessesOf(drafter, 2), Tokens()); // one token is not enough
}

TEST(NgramDrafter, ofOneTokenLooksForOne) {
  NgramDrafter drafter(1);
  const Tokens text = {5, 6, 7, 5};
  drafter.read(text.data(), text.size());
  EXPECT_EQ(guessesOf(drafter, 2), (Tokens{6, 7}));
}

TEST(NgramDrafter, aShortPeriodGoesOn) {
  NgramDrafter drafter(4);
  const Tokens text = {1, 2, 1, 2, 1};
  drafter.read(text.data(), text.size());
  EXPECT_EQ(guessesOf(drafter, 7), (Tokens{2, 1, 2, 1, 2, 1, 2}));
}

// Answers to one prompt guess as if each had read it alone, over runs that begin in it and end in the answer.
TEST(NgramDrafter, answersToOnePromptShareWhatIsKnownOfIt) {
  std::mt19937 random(7);
  auto some = [&](size_t count) {
    Tokens ids(count);
    for (int32_t &id : ids)
      id = static_cast<int32_t>(random() % 3);
    return ids;
  };
  const NgramSpeculator speculator(5);
  const Tokens prompt = some(53), other = some(53);
  std::vector<std::unique_ptr<Drafter>> answers;
  for (int i = 0; i < 3; ++i) {
    answers.push_back(std::move(*speculator.drafter({})));
    answers.back()->read(nullptr, 0);
    answers.back()->read(prompt.data(), prompt.size());
  }
  auto sharedOf = [](const Drafter &drafter) { return static_cast<const NgramDrafter &>(drafter).shared(); };
  ASSERT_NE(sharedOf(*answers[0]), nullptr);
  EXPECT_EQ(sharedOf(*answers[0]), sharedOf(*answers[1]));
  EXPECT_EQ(sharedOf(*answers[0]), sharedOf(*answers[2]));
  auto stranger = std::move(*speculator.drafter({}));
  stranger->read(other.data(), other.size());
  EXPECT_NE(sharedOf(*stranger), sharedOf(*answers[0]));
  for (auto &answer : answers) {
    NgramDrafter alone(5);
    alone.read(prompt.data(), prompt.size());
    for (int32_t id : some(211)) {
      EXPECT_EQ(guessesOf(*answer, 7), guessesOf(alone, 7));
      answer->heard(id), alone.heard(id);
    }
  }
}

// A prompt of 1,003 tokens, of two answers that ask in turns: so many tokens are computed between two steps, the second
// answer has what the first computed, and guesses are those of the model.
TEST(DraftModel, aPromptIsReadInPieces) {
  ToyModel toy;
  toy.maxContext = 2048;
  for (uint32_t window : {0u, 7u}) {
    toy.window = window;
    auto model = Model::load(toy.write(), *openDevice(nullptr));
    ASSERT_TRUE(model);
    auto tokenizer = Tokenizer::create((*model)->metadata());
    Session::Options size;
    size.maxSequences = 4;
    size.kvPositions = 2 * 2048;
    size.prefixBlocks = UINT32_MAX;
    auto session = std::move(*Session::create(*model, size));
    const size_t piece = 131;
    DraftModel draft(session.get(), *tokenizer);
    draft.readInPieces(piece);
    GenerationOptions how;
    how.sampling.temperature = 0;
    Tokens text(1003);
    for (size_t i = 0; i < text.size(); ++i)
      text[i] = static_cast<int32_t>(4 + i * i % 29);
    std::unique_ptr<Drafter> answers[] = {std::move(*draft.drafter(how)), std::move(*draft.drafter(how))};
    for (auto &answer : answers)
      answer->read(text.data(), text.size());
    const auto block = static_cast<size_t>(session->kv().blockSize());
    size_t steps = 0, held = 0; // blocks of all positions
    Tokens guesses[2];
    for (; guesses[0].empty() && steps < 50; ++steps) {
      for (size_t i = 0; i < 2; ++i)
        guesses[i] = guessesOf(*answers[i], 3);
      EXPECT_TRUE(answers[0]->reads()); // in the step of the last piece too, which has guesses
      const size_t before = std::exchange(held, session->kv().blocks(0) - session->kv().freeBlocks(0));
      EXPECT_LE(held - before, piece / block + 3) << steps;
    }
    EXPECT_EQ(steps, (text.size() + piece - 1) / piece);
    EXPECT_LE(held, text.size() / block + 3) << "the two have the prompt once";
    Tokens expected;
    for (Tokens all = text; expected.size() < 3;) {
      const std::vector<float> row = toy.logits(all);
      all.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
      expected.push_back(all.back());
    }
    expected.resize(guesses[0].size()); // an end of the text ends them
    EXPECT_EQ(guesses[0], expected);
    EXPECT_EQ(guesses[1], expected);
    EXPECT_FALSE(answers[1]->reads()) << "the first had read it";
    answers[0]->heard(expected[0]);
    EXPECT_FALSE(guessesOf(*answers[0], 1).empty());
    EXPECT_FALSE(answers[0]->reads());
    // Where nobody waits it is read at once.
    const auto fresh = std::move(*Session::create(*model, size));
    auto alone = std::move(*DraftModel(fresh.get(), *tokenizer).drafter(how));
    alone->read(text.data(), text.size());
    EXPECT_EQ(guessesOf(*alone, 3), expected);
    EXPECT_TRUE(alone->reads());
    alone->heard(expected[0]);
    EXPECT_FALSE(guessesOf(*alone, 1).empty());
    EXPECT_FALSE(alone->reads());
  }
}

/// How many tokens of `answer` an edit of `original` guesses right, one guess at a time.
size_t rightOf(const Tokens &original, const Tokens &answer) {
  EditDrafter drafter(std::make_shared<const EditedText>(original));
  size_t right = 0;
  for (int32_t id : answer) {
    const Tokens guess = guessesOf(drafter, 1);
    right += !guess.empty() && guess[0] == id;
    drafter.heard(id);
  }
  EXPECT_LE(guessesOf(drafter, 1000).size(), original.size());
  return right;
}

TEST(EditDrafter, followsTheTextThroughItsChanges) {
  Tokens original(101);
  for (size_t i = 0; i < original.size(); ++i)
    original[i] = static_cast<int32_t>(i * 7 % 101);
  EXPECT_EQ(rightOf(original, original), 101u);
  Tokens replaced = original;
  replaced[50] = 500;
  EXPECT_EQ(rightOf(original, replaced), 100u); // all but the new one
  Tokens longer = original;
  longer.insert(longer.begin() + 50, {500, 501, 502});
  EXPECT_GE(rightOf(original, longer), 99u); // one more is lost where the two meet again
  Tokens shorter = original;
  shorter.erase(shorter.begin() + 20, shorter.begin() + 43);
  EXPECT_EQ(rightOf(original, shorter), shorter.size() - 1);
  Tokens moved(original.begin() + 60, original.end());
  moved.insert(moved.end(), original.begin(), original.begin() + 60);
  EXPECT_GE(rightOf(original, moved), 97u);
  EXPECT_EQ(rightOf({}, {1, 2}), 0u);
  EXPECT_EQ(rightOf({3}, {3, 3, 3}), 1u);
}

} // namespace
