#include "test/unit/Requests.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

TEST_P(Requests, aloneAndTogetherDrawTheSame) {
  for (uint32_t chunk : {0u, 1u, 7u, 40u}) {
    open(1000);
    Scheduler scheduler(*session, chunk);
    std::vector<Greedy> clients(8, Greedy(12, toy.vocabulary));
    for (uint32_t i = 0; i < 8; ++i)
      scheduler.add(prompt(1 + 11 * i, i), clients[i]);
    runAll(scheduler);
    for (uint32_t i = 0; i < 8; ++i)
      EXPECT_EQ(clients[i].drawn, expected(prompt(1 + 11 * i, i), 12)) << "chunk " << chunk << ", request " << i;
    EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
  }
}

TEST_P(Requests, moreRequestsThanSequencesWaitTheirTurn) {
  open(256);
  Scheduler scheduler(*session, 0);
  std::vector<Greedy> clients(40, Greedy(3, toy.vocabulary));
  for (uint32_t i = 0; i < 40; ++i)
    scheduler.add(prompt(30, i), clients[i]);
  runAll(scheduler);
  for (uint32_t i = 0; i < 40; ++i)
    EXPECT_EQ(clients[i].drawn, expected(prompt(30, i), 3)) << i << " " << clients[i].problem;
}

TEST_P(Requests, outOfBlocksRefusesOneAndTheOthersGoOn) {
  open(64); // four blocks of 16
  Scheduler scheduler(*session, 0);
  Greedy longer(100, toy.vocabulary), shorter(10, toy.vocabulary);
  scheduler.add(prompt(20, 1), longer);
  scheduler.add(prompt(20, 2), shorter);
  runAll(scheduler);
  EXPECT_EQ(longer.problem.rfind("error E0608", 0), 0u) << longer.problem;
  EXPECT_EQ(shorter.problem, "");
  EXPECT_EQ(shorter.drawn, expected(prompt(20, 2), 10));
}

// One that waits, one within its prompt, one of three with one prompt before and one after they part, and one that
// draws.
TEST_P(Requests, whoIsCancelledHearsNothingMoreAndTheOthersGoOn) {
  for (int before : {0, 1, 3, 7}) {
    open(512);
    Scheduler scheduler(*session, 23);
    std::vector<Greedy> clients(7, Greedy(11, toy.vocabulary));
    scheduler.add(prompt(13, 1), clients[0]);
    scheduler.add(prompt(37, 2), {&clients[1], &clients[2], &clients[3]});
    scheduler.add(prompt(101, 3), clients[4]);
    scheduler.add(prompt(17, 4), clients[5]);
    for (int step = 0; step < before; ++step)
      ASSERT_TRUE(scheduler.step());
    const std::vector<size_t> gone = {1, 3, 4, 5};
    std::vector<size_t> drawn;
    for (size_t each : gone) {
      scheduler.cancel(clients[each]);
      scheduler.cancel(clients[each]); // it is not there
      drawn.push_back(clients[each].drawn.size());
    }
    scheduler.add(prompt(29, 5), clients[6]);
    runAll(scheduler);
    for (size_t i = 0; i < gone.size(); ++i) {
      EXPECT_EQ(clients[gone[i]].drawn.size(), drawn[i]) << "client " << gone[i] << " after " << before;
      EXPECT_EQ(clients[gone[i]].problem, "");
    }
    EXPECT_EQ(clients[0].drawn, expected(prompt(13, 1), 11));
    EXPECT_EQ(clients[2].drawn, expected(prompt(37, 2), 11));
    EXPECT_EQ(clients[6].drawn, expected(prompt(29, 5), 11));
    EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0)) << "after " << before;
  }
}

TEST_P(Requests, blocksOfTheLastWhoIsCancelledAreFreeAtOnce) {
  open(64);
  Scheduler scheduler(*session, 0);
  Greedy first(100, toy.vocabulary), second(100, toy.vocabulary);
  scheduler.add(prompt(20, 1), {&first, &second});
  ASSERT_TRUE(scheduler.step());
  scheduler.cancel(first);
  EXPECT_LT(session->kv().freeBlocks(0), session->kv().blocks(0));
  scheduler.cancel(second);
  EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
  auto more = scheduler.step();
  ASSERT_TRUE(more);
  EXPECT_FALSE(*more);
}

TEST_P(Requests, anImpossiblePromptIsRefused) {
  open(64);
  Scheduler scheduler(*session, 0);
  Greedy huge(1, toy.vocabulary), tooLong(1, toy.vocabulary), empty(1, toy.vocabulary), good(2, toy.vocabulary);
  scheduler.add(prompt(100, 1), huge);
  scheduler.add(prompt(300, 1), tooLong);
  scheduler.add({}, empty);
  scheduler.add({1}, good);
  runAll(scheduler);
  EXPECT_EQ(huge.problem.rfind("error E0608", 0), 0u) << huge.problem;
  EXPECT_EQ(tooLong.problem.rfind("error E0606", 0), 0u) << tooLong.problem;
  EXPECT_EQ(empty.problem.rfind("error E0611", 0), 0u) << empty.problem;
  EXPECT_EQ(good.drawn, expected({1}, 2));
}

// Several rows are taken and several tokens given; what guesses turn out wrong is forgotten, in windows too.
TEST_P(Requests, guessesDrawTheSameInFewerSteps) {
  for (uint32_t window : {0u, 19u}) {
    toy.window = window;
    open(1000);
    const std::vector<int32_t> plainly = expected(prompt(37, 1), 41);
    for (const std::vector<size_t> &guesses : std::vector<std::vector<size_t>>{{2, 1}, {0, 5, 1}, {13}}) {
      Scheduler scheduler(*session, 7);
      Guessing guessing(plainly, toy.vocabulary, guesses);
      Greedy beside(31, toy.vocabulary);
      scheduler.add(prompt(37, 1), guessing);
      scheduler.add(prompt(11, 2), beside);
      runAll(scheduler);
      EXPECT_EQ(guessing.problem, "");
      EXPECT_EQ(guessing.drawn, plainly);
      EXPECT_LT(guessing.rowsSeen.size(), plainly.size());
      EXPECT_EQ(beside.drawn, expected(prompt(11, 2), 31));
      EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
    }
  }
}

// Three rows come, and two tokens are given in return.
TEST_P(Requests, rowsAreThoseOfTheTokensGiven) {
  open();
  const std::vector<int32_t> plainly = expected(prompt(5, 3), 11);
  Scheduler scheduler(*session, 0);
  Guessing guessing(plainly, toy.vocabulary, {2, 1});
  scheduler.add(prompt(5, 3), guessing);
  runAll(scheduler);
  EXPECT_EQ(guessing.drawn, plainly);
  // Guesses of places 1, 2; 3; 5, 6; 6; 8, 9; 9, of which those of 2, 5 and 8 are wrong, and with them what is behind.
  EXPECT_EQ(guessing.rowsSeen, (std::vector<size_t>{1, 3, 2, 3, 2, 3, 2}));
}

TEST_P(Requests, eachForkGuessesForItself) {
  open();
  const std::vector<int32_t> plainly = expected(prompt(29, 4), 17);
  Scheduler scheduler(*session, 0);
  std::vector<Guessing> guessing;
  for (size_t guesses : {3, 0, 2})
    guessing.emplace_back(plainly, toy.vocabulary, std::vector<size_t>{guesses});
  scheduler.add(prompt(29, 4), {&guessing[0], &guessing[1], &guessing[2]});
  runAll(scheduler);
  for (const Guessing &each : guessing)
    EXPECT_EQ(each.drawn, plainly);
  EXPECT_EQ(session->kv().freeBlocks(0), session->kv().blocks(0));
}

// Guesses have the rows that are left: of a step, or of its budget.
TEST_P(Requests, moreGuessesThanAStepHoldsAreCut) {
  for (uint32_t stepTokens : {0u, 3u}) {
    open(1000);
    Scheduler::Options options;
    options.stepTokens = stepTokens;
    Scheduler scheduler(*session, options);
    Greedy first(20, toy.vocabulary), last(20, toy.vocabulary);
    Guessing guessing(expected(prompt(5, 1), 40), toy.vocabulary, {toy.maxStepRows}); // and one that it knows
    scheduler.add(prompt(5, 2), first);
    scheduler.add(prompt(5, 1), guessing);
    scheduler.add(prompt(5, 3), last);
    runAll(scheduler);
    EXPECT_EQ(guessing.problem, "");
    EXPECT_EQ(guessing.drawn, expected(prompt(5, 1), 40));
    EXPECT_EQ(first.drawn, expected(prompt(5, 2), 20));
    EXPECT_EQ(last.drawn, expected(prompt(5, 3), 20));
    const size_t most = *std::max_element(guessing.rowsSeen.begin(), guessing.rowsSeen.end());
    EXPECT_EQ(most, stepTokens ? stepTokens : toy.maxStepRows - 2) << "when it is alone, and when all draw";
    EXPECT_LE(scheduler.figures().steps, guessing.rowsSeen.size() + 5); // it draws in all but those of the prompts
  }
}

// Rows that somebody has queued before are not those of the requests.
TEST_P(Requests, rowsOfOthersAreNotTheirs) {
  open();
  const int32_t sequence = *session->createSequence();
  const Session::Token beside[] = {{sequence, 7, true}, {sequence, 5, true}};
  ASSERT_TRUE(session->submit(beside, 2));
  Scheduler scheduler(*session, 0);
  Greedy client(9, toy.vocabulary), other(9, toy.vocabulary);
  scheduler.add(prompt(5, 1), client);
  scheduler.add(prompt(7, 2), other);
  runAll(scheduler);
  EXPECT_EQ(client.drawn, expected(prompt(5, 1), 9));
  EXPECT_EQ(other.drawn, expected(prompt(7, 2), 9));
}

// What a caller brought in may have been computed elsewhere: others do not begin with it.
TEST_P(Requests, sequencesOfTheCallersAreNotRemembered) {
  open(1000, 0, 99);
  const int32_t sequence = *session->createSequence();
  Scheduler scheduler(*session, 0);
  Greedy client(9, toy.vocabulary), other(9, toy.vocabulary);
  scheduler.resume(sequence, prompt(53, 1), client);
  runAll(scheduler);
  EXPECT_EQ(session->prefixes()->size(), 0u);
  scheduler.add(prompt(53, 1), other);
  runAll(scheduler);
  EXPECT_EQ(session->prefixes()->size(), 3u);
  EXPECT_EQ(scheduler.figures().hits, 0u);
  EXPECT_EQ(other.drawn, client.drawn);
}

TEST_P(Requests, goOnWithASequenceThatStaysTheCallers) {
  open();
  const int32_t sequence = *session->createSequence();
  const std::vector<int32_t> whole = prompt(31, 5);
  const std::vector<int32_t> plainly = expected(whole, 13);
  for (size_t begin : {0, 17}) {
    Scheduler scheduler(*session, 0);
    Guessing guessing(begin ? plainly : expected({whole.begin(), whole.begin() + 17}, 1), toy.vocabulary, {4});
    scheduler.resume(sequence, {whole.begin() + begin, begin ? whole.end() : whole.begin() + 17}, guessing);
    runAll(scheduler);
    EXPECT_EQ(guessing.problem, "");
    EXPECT_EQ(guessing.drawn, guessing.truth);
    // All but the last token drawn, and no guess.
    EXPECT_EQ(session->length(sequence), begin ? 31 + 12 : 17);
  }
}

TEST_P(Requests, anImpossiblePromptOfASequenceIsRefusedBeforeItComesIn) {
  open();
  const int32_t sequence = *session->createSequence();
  Greedy first(1, toy.vocabulary), tooLong(1, toy.vocabulary), unknown(1, toy.vocabulary), none(1, toy.vocabulary);
  std::vector<int32_t> wrong = prompt(100, 1); // which one step does not hold
  wrong[99] = 41;
  Scheduler scheduler(*session, 0);
  scheduler.resume(sequence, prompt(3, 1), first);
  runAll(scheduler);
  scheduler.resume(sequence, prompt(254, 1), tooLong);
  scheduler.resume(sequence, wrong, unknown);
  scheduler.resume(sequence + 1, prompt(3, 1), none);
  runAll(scheduler);
  EXPECT_EQ(first.problem, "");
  EXPECT_EQ(tooLong.problem.rfind("error E0606", 0), 0u) << tooLong.problem;
  EXPECT_EQ(unknown.problem.rfind("error E0603", 0), 0u) << unknown.problem;
  EXPECT_EQ(none.problem.rfind("error E0604", 0), 0u) << none.problem;
  EXPECT_EQ(session->length(sequence), 3);
}

INSTANTIATE_ON_DEVICES(Requests);

} // namespace
