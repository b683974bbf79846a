// Guessing ahead: how many guesses are given, and that no answer is another for it.
#include "lib/Grammar/Constraint.h"
#include "runtime/Devices.h"
#include "runtime/Generate/Generate.h"
#include "runtime/Speculation/EditDrafter.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "test/device/Kinds.h"
#include "test/unit/Distributions.h"
#include "test/unit/ToyModel.h"
#include <gtest/gtest.h>
#include <random>
#include <utility>

using namespace stepdown;
using test::ToyModel;
using Tokens = std::vector<int32_t>;

namespace {

/// Guesses 9 each time.
struct Nine final : Drafter {
  void read(const int32_t *, size_t) override {}
  void heard(int32_t) override {}
  Status draft(size_t most, Tokens &guesses) override { return guesses.insert(guesses.end(), most, 9), Done{}; }
};

/// Steps of an answer of `tokens` tokens of which each guess is right as `right` says of its number, where a step of n
/// tokens takes `seconds[n]`; the time it takes, in `time`.
template <typename Right> SpeculationFigures simulate(size_t tokens, double perToken, double &time, Right right) {
  Speculation guessing(std::make_unique<Nine>(), Speculation::limit, 10);
  size_t drawn = 1, number = 0;
  time = 0;
  while (drawn < tokens) {
    Tokens next = {0};
    guessing.guess(tokens - drawn - 1, next);
    EXPECT_LT(next.size(), tokens - drawn + 1);
    const double seconds = 1 + perToken * static_cast<double>(next.size() - 1);
    time += seconds;
    size_t checked = 0, accepted = 0;
    while (checked + 1 < next.size()) {
      ++checked;
      if (!right(number++))
        break;
      ++accepted;
    }
    drawn += 1 + accepted;
    guessing.verified(checked, accepted, seconds);
  }
  return guessing.figures();
}

TEST(Speculation, adaptsToWhatGuessesAreWorth) {
  double time;
  // All right, and cheap: as many as a step may have, after those that show what steps take.
  SpeculationFigures all = simulate(1609, 0.1, time, [](size_t) { return true; });
  EXPECT_LE(all.steps, 120u);
  EXPECT_EQ(all.accepted, all.guessed);
  // All wrong: hardly any, and next to nothing lost.
  SpeculationFigures none = simulate(1609, 0.4, time, [](size_t) { return false; });
  EXPECT_LE(none.guessed, 25u);
  EXPECT_EQ(none.accepted, 0u);
  EXPECT_LE(time, 1.01 * 1608);
  // Half of them right, which pays for a cheap token and not for a dear one.
  auto half = [](size_t number) { return (number * 2654435761u >> 16) % 2 == 0; };
  EXPECT_GE(simulate(1609, 0.02, time, half).guessed, 1000u);
  EXPECT_LE(time, 0.65 * 1608);
  EXPECT_LE(simulate(1609, 0.9, time, half).guessed, 80u);
  EXPECT_LE(time, 1.03 * 1608);
  // All right, and dearer than tokens one by one: each size is measured now and then.
  EXPECT_LE(simulate(1609, 1.2, time, [](size_t) { return true; }).guessed, 200u);
  EXPECT_LE(time, 1.03 * 1608);
  // What begins to repeat is noticed, and what ceases to.
  auto late = [](size_t number) { return number >= 12; };
  EXPECT_LE(simulate(1609, 0.1, time, late).steps, 700u);
}

// A step in which the drafter read a prompt is no measure of steps: guesses go on, however long it took.
TEST(Speculation, whatReadingTakesIsNoMeasureOfGuesses) {
  struct Reader final : Drafter {
    void read(const int32_t *, size_t) override {}
    void heard(int32_t) override {}
    Status draft(size_t most, Tokens &guesses) override {
      return ++calls, guesses.insert(guesses.end(), most, 9), Done{};
    }
    bool reads() const override { return calls == 1; }
    size_t calls = 0;
  };
  Speculation guessing(std::make_unique<Reader>(), 4, 10);
  bool read = false;
  for (int step = 0; step < 23; ++step) {
    Tokens next;
    guessing.guess(4, next);
    const bool reads = !next.empty() && !std::exchange(read, true);
    guessing.verified(next.size(), next.size(), reads ? 1000 : 1.1);
  }
  EXPECT_TRUE(read);
  EXPECT_GE(guessing.figures().guessed, 80u); // four each, but in the two that show what one token takes
}

TEST(Speculation, guessesNothingThatIsNoTokenAndNothingAfterAnError) {
  struct Wild final : Drafter {
    void read(const int32_t *, size_t) override {}
    void heard(int32_t) override {}
    Status draft(size_t, Tokens &guesses) override {
      if (++calls == 3)
        return fail(ErrorCode::CacheFull, "no room");
      guesses = {3, 4, calls == 1 ? 10 : -1, 5};
      return Done{};
    }
    int calls = 0;
  };
  auto owned = std::make_unique<Wild>();
  const Wild &wild = *owned;
  Speculation guessing(std::move(owned), 4, 10);
  for (int step = 0; step < 30; ++step) {
    Tokens next;
    guessing.guess(4, next);
    for (int32_t id : next)
      EXPECT_TRUE(id == 3 || id == 4) << id;
    guessing.verified(next.size(), next.size(), 1);
  }
  EXPECT_EQ(wild.calls, 3);
  ASSERT_TRUE(guessing.problem());
  EXPECT_EQ(guessing.problem()->code, ErrorCode::CacheFull);
}

/// Guesses that are right four times in five, of answers that are known.
struct Knowing final : Speculator {
  struct Of final : Drafter {
    explicit Of(const Tokens &truth, uint32_t seed) : truth(truth), random(seed) {}
    void read(const int32_t *, size_t) override {}
    void heard(int32_t id) override {
      EXPECT_EQ(id, at < truth.size() ? truth[at] : id) << at;
      ++at;
    }
    Status draft(size_t most, Tokens &guesses) override {
      for (size_t i = at; i < std::min(truth.size(), at + most); ++i)
        guesses.push_back(random() % 5 ? truth[i] : static_cast<int32_t>(random() % 41));
      return Done{};
    }
    const Tokens &truth;
    size_t at = 0;
    std::mt19937 random;
  };
  Knowing() { most = 7, adapts = false; }
  std::vector<Tokens> truths; ///< of each answer
  Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &options) const override {
    return std::unique_ptr<Drafter>(new Of(truths[options.answer], static_cast<uint32_t>(options.answer)));
  }
};

struct Guessed : testing::TestWithParam<test::DeviceKind> {
  ToyModel toy;
  std::shared_ptr<const Model> model;
  std::optional<Result<Tokenizer>> tokenizer;
  GenerationOptions options;
  SpeculationFigures figures;

  void open(uint32_t window) {
    toy.window = window;
    auto loaded = Model::load(toy.write(), GetParam().make());
    ASSERT_TRUE(loaded) << loaded.error().message;
    model = *loaded;
    tokenizer.emplace(Tokenizer::create(model->metadata()));
    options.maxTokens = 150;
  }
  /// What three answers to one prompt and one to another came to, together, over blocks of 16 positions.
  std::string drawAll(std::shared_ptr<const Speculator> speculator, std::vector<Tokens> *tokens = nullptr) {
    Session::Options size;
    size.kvBlock = 16;
    size.kvPositions = 4 * toy.maxContext;
    auto session = std::move(*Session::create(model, size));
    std::string all;
    std::vector<std::unique_ptr<Generation>> answers;
    {
      Scheduler scheduler(*session, 7);
      GenerationOptions how = options;
      how.speculator = std::move(speculator);
      for (how.answer = 0; how.answer < 4; ++how.answer) {
        const Tokens prompt = how.answer < 3 ? Tokens{11, 8, 15, 15, 18, 3, 11, 8, 15} : Tokens(31, 17);
        answers.push_back(std::move(*Generation::create(how, prompt, **tokenizer, {41, toy.maxContext})));
      }
      scheduler.add(answers[0]->prompt(), {answers[0].get(), answers[1].get(), answers[2].get()});
      scheduler.add(answers[3]->prompt(), *answers[3]);
      std::vector<Generation *> each;
      for (auto &answer : answers)
        each.push_back(answer.get());
      for (bool more = true; more;) {
        auto stepped = stepAnswers(scheduler, each);
        if (!stepped)
          return stepped.error().text();
        more = *stepped;
      }
    }
    EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
    figures = {};
    for (auto &answer : answers) {
      all += std::to_string(static_cast<int>(answer->finish())) + " " + answer->text();
      for (size_t i = 0; i < answer->tokens().size(); ++i)
        all += " " + std::to_string(answer->tokens()[i]) + ":" +
               (options.logProbabilities ? std::to_string(answer->logProbabilities()[i].chosen) : "");
      all += answer->problem() ? answer->problem()->text() + "\n" : "\n";
      if (tokens)
        tokens->push_back(answer->tokens());
      if (answer->speculation()) {
        figures.guessed += answer->speculation()->figures().guessed;
        figures.accepted += answer->speculation()->figures().accepted;
      }
    }
    return all;
  }
  void expectTheSame(const std::string &what) {
    auto knowing = std::make_shared<Knowing>();
    const std::string plainly = drawAll(nullptr, &knowing->truths);
    EXPECT_EQ(drawAll(knowing), plainly) << what;
    EXPECT_GT(figures.accepted, 0u) << what;
    EXPECT_GT(figures.guessed, figures.accepted) << what;
    EXPECT_EQ(drawAll(std::make_shared<NgramSpeculator>(2)), plainly) << what;
    EXPECT_EQ(drawAll(std::make_shared<EditSpeculator>(knowing->truths[1])), plainly) << what;
  }
};

TEST_P(Guessed, answersAreTheSameBytes) {
  for (uint32_t window : {0u, 5u}) {
    open(window);
    options.logProbabilities = true;
    for (float temperature : {0.0f, 0.9f, 40.0f}) {
      options.sampling = {};
      options.sampling.temperature = temperature * 1000; // the toy's logits are large
      options.sampling.seed = 77;
      const std::string what = "window " + std::to_string(window) + ", temperature " + std::to_string(temperature);
      options.ignoreEnd = true;
      expectTheSame(what);
      options.sampling.repetitionPenalty = 1.3f;
      options.sampling.frequencyPenalty = 700;
      options.sampling.penaltyWindow = 23;
      options.sampling.dryMultiplier = 900;
      expectTheSame(what + ", penalties");
      options.sampling.topK = 13;
      options.sampling.xtcProbability = 0.5f;
      expectTheSame(what + ", kept");
      options.ignoreEnd = false;
      options.stops = {"ga", "w35w"};
      expectTheSame(what + ", stops");
      options.stops.clear();
      options.sampling = {};
      options.sampling.temperature = 100;
      options.sampling.mirostatTau = 2;
      expectTheSame(what + ", mirostat");
    }
  }
}

TEST_P(Guessed, answersUnderAConstraintAreTheSameBytes) {
  open(5);
  options.sampling.temperature = 3000;
  auto network = grammar::compileConstraint(grammar::Notation::Regex, "([a-f]{3} )*[x-z](w3[3-9]|euro)*");
  ASSERT_TRUE(network) << network.error().message;
  options.constraint =
      std::make_shared<Constraint>(*network, std::make_shared<const ConstraintVocabulary>(**tokenizer, 41));
  expectTheSame("constraint");
}

// Steps with fewer rows than all guesses want: some are not computed, nor counted.
TEST_P(Guessed, answersAreTheSameBytesWhereRowsAreFew) {
  toy.maxStepRows = 6;
  open(5);
  options.sampling.temperature = 900;
  options.ignoreEnd = true;
  expectTheSame("six rows");
  const uint64_t some = figures.guessed;
  toy.maxStepRows = 4;
  open(5);
  expectTheSame("four rows");
  EXPECT_LT(figures.guessed, some);
}

// A listener may end it within the guesses, and one token or none may be wanted.
TEST_P(Guessed, answersEndWhereTheyEndWithoutGuesses) {
  open(0);
  options.ignoreEnd = true;
  for (int64_t tokens : {1, 2, 3, 7, 8, 9, 17, 1000}) { // 1000: the context ends it
    options.maxTokens = tokens;
    auto knowing = std::make_shared<Knowing>();
    const std::string plainly = drawAll(nullptr, &knowing->truths);
    EXPECT_EQ(drawAll(knowing), plainly) << tokens;
  }
  Session::Options size;
  auto session = std::move(*Session::create(model, size));
  for (size_t after : {1, 2, 5, 11, 12, 13, 40}) {
    int32_t lengths[2];
    Tokens drawn[2];
    for (bool guessing : {false, true}) {
      GenerationOptions how = options;
      auto knowing = std::make_shared<Knowing>();
      knowing->truths = {drawn[0]};
      if (guessing)
        how.speculator = knowing;
      how.answer = 0;
      auto answer = std::move(*Generation::create(how, {11, 8}, **tokenizer, {41, toy.maxContext}));
      size_t heard = 0;
      answer->listener = [&](int32_t, const std::string &) { return ++heard < after; };
      const int32_t sequence = *session->createSequence();
      ASSERT_TRUE(continueSequence(*session, sequence, {11, 8}, *answer));
      EXPECT_EQ(answer->finish(), Finish::Listener);
      lengths[guessing] = session->length(sequence);
      drawn[guessing] = answer->tokens();
      session->freeSequence(sequence);
    }
    EXPECT_EQ(drawn[0], drawn[1]) << after;
    EXPECT_EQ(lengths[0], lengths[1]) << after;
    EXPECT_EQ(lengths[0], 2 + int32_t(after) - 1);
  }
}

INSTANTIATE_ON_DEVICES(Guessed);

// 10^6 tokens of a chain whose rows are known, with guesses from another distribution. Guesses stay as often as the
// rejection rule has it (binomial, five standard deviations), and pairs of neighbours follow the chain: chi-square
// below its mean plus five standard deviations. The same seed without guesses gives the same tokens.
TEST(Rejection, sampledTokensFollowTheModel) {
  constexpr int32_t vocabulary = 41;
  constexpr size_t count = 1000000;
  struct Guesses final : Speculator {
    Guesses() { most = 3, adapts = false; }
    struct Of final : Drafter {
      std::mt19937 random{5};
      void read(const int32_t *, size_t) override {}
      void heard(int32_t) override {}
      Status draft(size_t most, Tokens &guesses) override {
        for (size_t i = 0; i < most; ++i)
          guesses.push_back(static_cast<int32_t>(random() % 7 ? random() % 11 : random() % vocabulary));
        return Done{};
      }
    };
    Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
      return std::unique_ptr<Drafter>(new Of);
    }
  };
  ToyModel toy;
  auto model = *Model::load(toy.write(), *openDevice(nullptr));
  auto tokenizer = Tokenizer::create(model->metadata());
  std::vector<std::vector<float>> rows;
  std::vector<test::Distribution> chain;
  for (uint32_t i = 0; i < vocabulary; ++i) {
    rows.push_back(test::someLogits(vocabulary, i + 1, 1.5));
    chain.push_back(test::softmax(rows.back(), 0.8));
  }
  GenerationOptions options;
  options.maxTokens = count;
  options.ignoreEnd = true;
  options.sampling.temperature = 0.8f;
  options.sampling.seed = 4;
  std::vector<Tokens> drawn;
  size_t accepted = 0;
  double expected = 0, variance = 0;
  for (bool guesses : {true, false}) {
    if (guesses)
      options.speculator = std::make_shared<Guesses>();
    else
      options.speculator = nullptr;
    auto answer = std::move(*Generation::create(options, {3}, *tokenizer, {vocabulary, INT64_MAX}));
    Tokens given = {3}, next;
    std::vector<float> logits;
    while (!answer->done()) {
      logits.clear();
      for (int32_t id : given)
        logits.insert(logits.end(), rows[static_cast<size_t>(id)].begin(), rows[static_cast<size_t>(id)].end());
      next.clear();
      const size_t kept = answer->draw({logits.data(), given.size(), vocabulary}, next);
      accepted += kept - 1;
      for (size_t i = 0; i < std::min(kept, given.size() - 1); ++i) { // guesses that were put to the test
        const double p = chain[static_cast<size_t>(given[i])][static_cast<size_t>(given[i + 1])];
        expected += p;
        variance += p * (1 - p);
      }
      given = next;
    }
    drawn.push_back(answer->tokens());
  }
  EXPECT_EQ(drawn[0], drawn[1]);
  EXPECT_GT(accepted, count / 100);
  EXPECT_LE(std::abs(double(accepted) - expected), 5 * std::sqrt(variance)) << accepted << " of " << expected;
  std::vector<std::vector<double>> pairs(vocabulary, std::vector<double>(vocabulary));
  std::vector<double> from(vocabulary);
  for (size_t i = 1; i < count; ++i) {
    ++pairs[static_cast<size_t>(drawn[0][i - 1])][static_cast<size_t>(drawn[0][i])];
    ++from[static_cast<size_t>(drawn[0][i - 1])];
  }
  double chi = 0, freedom = 0;
  for (size_t i = 0; i < vocabulary; ++i)
    for (size_t j = 0; j < vocabulary; ++j) {
      const double wanted = from[i] * chain[i][j];
      if (wanted < 5)
        continue;
      chi += (pairs[i][j] - wanted) * (pairs[i][j] - wanted) / wanted;
      ++freedom;
    }
  EXPECT_GT(freedom, 1000);
  EXPECT_LE(chi, freedom + 5 * std::sqrt(2 * freedom));
  RecordProperty("accepted", static_cast<int>(accepted));
}

} // namespace
