// Who goes first, who gives up blocks, and how long anyone waits.
#include "test/unit/Requests.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Tells its number whenever it draws.
struct Logged : Greedy {
  std::vector<int> &log;
  int number;
  Logged(size_t limit, size_t vocabulary, std::vector<int> &log, int number)
      : Greedy(limit, vocabulary), log(log), number(number) {}
  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override {
    log.push_back(number);
    return Greedy::draw(rows, next);
  }
};

struct Order : Requests {
  std::vector<int> log;
  Logged logged(int number, size_t limit) { return Logged(limit, toy.vocabulary, log, number); }
  void run(Scheduler &scheduler, int steps) {
    for (int i = 0; i < steps; ++i)
      ASSERT_TRUE(scheduler.step());
  }
  void expectAllFree() {
    for (size_t g = 0; g < session->kv().groupCount(); ++g)
      EXPECT_EQ(session->kv().freeBlocks(g), session->kv().blocks(g));
  }
};

// Answers that outgrow the cache together: those behind compute again what they held, in a group with a window too.
TEST_P(Order, whoGivesUpItsBlocksDrawsTheSame) {
  for (uint32_t window : {0u, 19u})
    for (uint32_t chunk : {0u, 7u}) {
      toy.window = window;
      open(112); // seven blocks of 16
      Scheduler scheduler(*session, chunk);
      std::vector<Greedy> clients(5, Greedy(43, toy.vocabulary));
      for (uint32_t i = 0; i < 5; ++i)
        scheduler.add(prompt(3 + 5 * i, i), clients[i]);
      std::vector<Greedy> branches(3, Greedy(23, toy.vocabulary));
      scheduler.add(prompt(13, 7), {&branches[0], &branches[1], &branches[2]});
      runAll(scheduler);
      for (uint32_t i = 0; i < 5; ++i) {
        EXPECT_EQ(clients[i].problem, "");
        EXPECT_EQ(clients[i].drawn, expected(prompt(3 + 5 * i, i), 43)) << "request " << i << ", chunk " << chunk;
      }
      for (const Greedy &branch : branches)
        EXPECT_EQ(branch.drawn, expected(prompt(13, 7), 23)) << branch.problem;
      EXPECT_GT(scheduler.figures().preemptions, 0u);
      EXPECT_GT(scheduler.figures().recomputed, 0u);
      expectAllFree();
    }
}

// What one had given when it lost its blocks comes back as rows after as many tokens.
TEST_P(Order, whoGuessesGivesUpItsBlocksToo) {
  open(80);
  const std::vector<int32_t> plainly = expected(prompt(11, 2), 47);
  Scheduler scheduler(*session, 0);
  Greedy first(57, toy.vocabulary);
  std::vector<Guessing> guessing(2, Guessing(plainly, toy.vocabulary, {3, 1, 5}));
  scheduler.add(prompt(5, 1), first);
  scheduler.add(prompt(11, 2), guessing[0]);
  scheduler.add(prompt(11, 2), guessing[1]);
  runAll(scheduler);
  EXPECT_EQ(first.drawn, expected(prompt(5, 1), 57));
  for (const Guessing &each : guessing) {
    EXPECT_EQ(each.problem, "");
    EXPECT_EQ(each.drawn, plainly);
  }
  EXPECT_GT(scheduler.figures().preemptions, 0u);
  expectAllFree();
}

TEST_P(Order, onlyWhoIsAloneIsRefusedForBlocks) {
  open(64);
  Scheduler scheduler(*session, 0);
  Greedy tooLong(100, toy.vocabulary), beside(30, toy.vocabulary);
  scheduler.add(prompt(20, 1), tooLong);
  scheduler.add(prompt(20, 2), beside);
  runAll(scheduler);
  EXPECT_EQ(tooLong.problem.rfind("error E0608", 0), 0u) << tooLong.problem;
  EXPECT_EQ(tooLong.drawn.size(), 64u - 20 + 1); // as many as the cache holds, and the one after
  EXPECT_EQ(beside.problem, "");
  EXPECT_EQ(beside.drawn, expected(prompt(20, 2), 30));
}

// A sequence that is the caller's is not given up: the request before it waits in vain, and is refused.
TEST_P(Order, sequencesOfTheCallersStay) {
  open(64);
  const int32_t sequence = *session->createSequence();
  Scheduler scheduler(*session, 0);
  Greedy growing(60, toy.vocabulary), borrowing(20, toy.vocabulary);
  scheduler.add(prompt(5, 1), growing);
  scheduler.resume(sequence, prompt(7, 2), borrowing);
  runAll(scheduler);
  EXPECT_EQ(borrowing.drawn, expected(prompt(7, 2), 20));
  EXPECT_EQ(session->length(sequence), 7 + 19);
  EXPECT_EQ(growing.problem.rfind("error E0608", 0), 0u) << growing.problem;
  EXPECT_EQ(scheduler.figures().preemptions, 0u);
}

TEST_P(Order, higherPrioritiesEnterFirst) {
  open(0, 1); // one sequence
  Scheduler scheduler(*session, 0);
  std::vector<Logged> clients;
  for (int i = 0; i < 6; ++i)
    clients.push_back(logged(i, 2));
  const int32_t priorities[] = {0, -4, 0, 3, 99, 3}; // 99: the highest
  for (int i = 0; i < 6; ++i)
    scheduler.add(prompt(5, uint32_t(i)), {&clients[i]}, priorities[i]);
  runAll(scheduler);
  EXPECT_EQ(log, (std::vector<int>{4, 4, 3, 3, 5, 5, 0, 0, 2, 2, 1, 1}));
}

// It takes the blocks of those that run, last first, and no more than it needs.
TEST_P(Order, higherPrioritiesTakeTheBlocksOfOthers) {
  open(160); // ten blocks
  Scheduler scheduler(*session, 0);
  std::vector<Logged> clients;
  for (int i = 0; i < 4; ++i)
    clients.push_back(logged(i, 9));
  for (int i = 0; i < 3; ++i)
    scheduler.add(prompt(33, uint32_t(i)), clients[i]); // three blocks each
  run(scheduler, 3);
  log.clear();
  scheduler.add(prompt(30, 3), {&clients[3]}, 1);
  run(scheduler, 1);
  EXPECT_EQ(log, (std::vector<int>{3, 0, 1}));
  EXPECT_EQ(scheduler.figures().preemptions, 1u);
  EXPECT_EQ(scheduler.waiting(), 1u);
  runAll(scheduler);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(clients[i].drawn, expected(prompt(i < 3 ? 33 : 30, uint32_t(i)), 9)) << i;
  // One that cannot have enough takes nothing.
  log.clear();
  Logged first = logged(5, 20), whole = logged(6, 1);
  scheduler.add(prompt(33, 5), {&first}, 2);
  run(scheduler, 1);
  scheduler.add(prompt(150, 6), {&whole}, 1);
  Logged behind = logged(7, 3);
  scheduler.add(prompt(5, 7), behind);
  runAll(scheduler);
  EXPECT_EQ(scheduler.figures().preemptions, 1u);
  EXPECT_EQ(std::find(log.begin(), log.end(), 6) - log.begin(), 20); // after all of 5, before all of 7
}

// Guesses take no blocks from those behind, and do not hold up who has room for the token that is no guess.
TEST_P(Order, guessesTakeNobodysBlocks) {
  open(48); // three blocks
  const std::vector<int32_t> plainly = expected(prompt(10, 1), 20);
  Scheduler scheduler(*session, 0);
  Guessing first(plainly, toy.vocabulary, {10});
  Greedy behind(3, toy.vocabulary);
  scheduler.add(prompt(10, 1), first);
  scheduler.add(prompt(30, 2), behind); // two blocks, which it has left when the first one needs a second
  runAll(scheduler);
  EXPECT_EQ(first.drawn, plainly);
  EXPECT_EQ(behind.drawn, expected(prompt(30, 2), 3));
  EXPECT_EQ(scheduler.figures().preemptions, 0u);

  Greedy ahead(12, toy.vocabulary); // two blocks
  Guessing last(plainly, toy.vocabulary, {10});
  scheduler.add(prompt(20, 3), ahead);
  scheduler.add(prompt(10, 1), last);
  run(scheduler, 3);
  EXPECT_GE(last.drawn.size(), 3u);
  runAll(scheduler);
  EXPECT_EQ(last.drawn, plainly);
  EXPECT_EQ(ahead.drawn, expected(prompt(20, 3), 12));
  EXPECT_EQ(scheduler.figures().preemptions, 0u);
}

// Blocks that one who is preempted shares with who comes in its place are not there twice.
TEST_P(Order, sharedBlocksOfThoseWhoLeaveAreCountedOnce) {
  open(224, 0, 99); // fourteen blocks
  Scheduler scheduler(*session, 0);
  Logged ahead = logged(0, 12), behind = logged(1, 10), comes = logged(2, 3);
  const std::vector<int32_t> begin = prompt(80, 1);
  auto with = [&](size_t more, uint32_t seed) {
    std::vector<int32_t> all = begin, tail = prompt(more, seed);
    all.insert(all.end(), tail.begin(), tail.end());
    return all;
  };
  scheduler.add(prompt(97, 2), {&ahead}, 4); // seven blocks
  scheduler.add(with(5, 3), {&behind}, 0);   // six
  run(scheduler, 3);
  EXPECT_EQ(behind.drawn.size(), 1u);
  scheduler.add(with(70, 4), {&comes}, 1); // ten: more than there are, if those of `behind` became free
  runAll(scheduler);
  EXPECT_EQ(scheduler.figures().preemptions, 0u);
  EXPECT_EQ(ahead.drawn, expected(prompt(97, 2), 12));
  EXPECT_EQ(behind.drawn, expected(with(5, 3), 10));
  EXPECT_EQ(comes.drawn, expected(with(70, 4), 3));
}

// Where those behind draw as many tokens as a step may have, the prompt of the first has one of each step, not none.
TEST_P(Order, aPromptHasATokenOfEachStepWhateverOthersDraw) {
  open(2048, 16);
  Scheduler::Options options;
  options.stepTokens = 16;
  Scheduler scheduler(*session, options);
  std::vector<Greedy> others(15, Greedy(180, toy.vocabulary));
  for (uint32_t i = 0; i < 15; ++i)
    scheduler.add(prompt(3, i), others[i]);
  run(scheduler, 20); // their prompts, and some of their answers
  Greedy first(1, toy.vocabulary);
  scheduler.add(prompt(101, 77), {&first}, Scheduler::mostPriority);
  run(scheduler, 100);
  EXPECT_TRUE(first.drawn.empty());
  run(scheduler, 1);
  EXPECT_EQ(first.drawn, expected(prompt(101, 77), 1));
  for (const Greedy &each : others)
    EXPECT_GE(each.drawn.size(), 101u);
}

// A stream of requests of the highest priority, as many as the sequences hold: one of the lowest is answered after the
// bound that Scheduler.h states, and not before it without ageing.
TEST_P(Order, nobodyWaitsLongerThanTheBound) {
  for (uint32_t patience : {3u, 1000000u}) {
    open(160, 2);
    Scheduler::Options options;
    options.patience = patience;
    Scheduler scheduler(*session, options);
    log.clear();
    std::deque<Logged> others;
    Logged last = logged(-1, 3);
    constexpr size_t each = 5; // steps that each of them takes: its prompt's, and four more
    const int spread = 2 * Scheduler::mostPriority * static_cast<int>(std::min(patience, 3u));
    int steps = 0, ahead = 0;
    for (int i = 0; i < 3; ++i, ++ahead)
      scheduler.add(prompt(7, 1), {&others.emplace_back(logged(1, each))}, Scheduler::mostPriority);
    scheduler.add(prompt(7, 2), {&last}, -Scheduler::mostPriority);
    for (; last.drawn.empty() && steps < 1000; ++steps) {
      if (steps > 0 && steps < spread)
        ++ahead; // that are before it in the order
      scheduler.add(prompt(7, 3), {&others.emplace_back(logged(1, each))}, Scheduler::mostPriority);
      run(scheduler, 1);
    }
    // Two at a time, each of those ahead takes its steps; nothing is computed twice.
    if (patience == 3) {
      EXPECT_LE(steps, static_cast<int>((ahead + 1) * each));
      EXPECT_GT(steps, spread);
      EXPECT_EQ(last.drawn.size(), 1u);
    } else {
      EXPECT_EQ(last.drawn.size(), 0u);
    }
  }
}

TEST_P(Order, aStepTakesNoMoreThanItsBudget) {
  open(1000);
  Scheduler::Options options;
  options.chunk = 13;
  options.stepTokens = 11;
  Scheduler scheduler(*session, options);
  std::vector<Logged> clients;
  for (int i = 0; i < 8; ++i)
    clients.push_back(logged(i, i == 7 ? 1 : 60));
  for (int i = 0; i < 7; ++i)
    scheduler.add(prompt(1, uint32_t(i)), clients[i]);
  run(scheduler, 1);
  log.clear();
  scheduler.add(prompt(41, 7), clients[7]);
  run(scheduler, 11); // 7 tokens that were drawn, and 4 of the prompt: the eleventh step ends it
  EXPECT_EQ(log.size(), 11u * 7 + 1);
  EXPECT_EQ(log.back(), 7);
}

TEST_P(Order, ofThoseWhoDrawAStepTakesItsBudget) {
  open(1000);
  Scheduler::Options options;
  options.chunk = 13;
  options.stepTokens = 3;
  Scheduler narrow(*session, options);
  std::vector<Logged> more;
  for (int i = 0; i < 5; ++i)
    more.push_back(logged(i, 4));
  for (int i = 0; i < 5; ++i)
    narrow.add(prompt(1, uint32_t(i)), more[i]);
  for (size_t before = 0; narrow.active() + narrow.waiting(); before = log.size()) {
    run(narrow, 1);
    EXPECT_LE(log.size() - before, 3u);
  }
  EXPECT_EQ(log.size(), 20u);
}

TEST_P(Order, theSameArrivalsMakeTheSameSteps) {
  std::vector<std::vector<int>> logs;
  for (int run = 0; run < 2; ++run) {
    open(160, 5);
    Scheduler scheduler(*session, 7);
    log.clear();
    std::deque<Logged> clients;
    for (int i = 0; i < 40; ++i) {
      scheduler.add(prompt(1 + i * 7 % 50, uint32_t(i)), {&clients.emplace_back(logged(i, 1 + i % 19))}, i % 5 - 2);
      if (i % 3 == 0)
        scheduler.cancel(clients[size_t(i) / 2]);
      ASSERT_TRUE(scheduler.step());
      log.push_back(-1);
    }
    runAll(scheduler);
    EXPECT_GT(scheduler.figures().preemptions, 0u);
    logs.push_back(log);
  }
  EXPECT_EQ(logs[0], logs[1]);
}

INSTANTIATE_ON_DEVICES(Order);

} // namespace
