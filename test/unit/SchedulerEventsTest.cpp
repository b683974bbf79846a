// Random events, one after another: requests that come, clients that leave, answers that end, sequences beside the
// scheduler's that fork and take blocks away. After each event every block is owned as often as the tables say and
// every sequence is somebody's. Each row of logits that a request gets is, in its bytes, that of its tokens alone,
// which plainly computed sums say (EventClients.h), not a session. Answers as a server draws them (Generation), which
// sample, guess and stop, are those that are drawn alone from such rows.
//
// In some worlds what the session gives up goes to a file, of which some are damaged again and again.
//
// STEPDOWN_EVENTS is the number of events where it is not 20,000.
#include "runtime/Devices.h"
#include "runtime/PrefixTree/SpillFile.h"
#include "runtime/Scheduler/Scheduler.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "test/unit/EventClients.h"
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <unistd.h>

using namespace stepdown;
using test::Answer;
using test::Client;
using test::Counts;
using test::Party;
using test::Plain;
using test::ToyModel;

namespace {

/// A session, its scheduler, and sequences beside it.
class World {
public:
  struct Shape {
    uint32_t window, chunk, stepTokens;
    int64_t positions;
    uint32_t prefixBlocks;
    uint32_t spilled = 0; ///< blocks that the file has room for; 0: there is none
    bool damaged = false; ///< again and again
  };
  World(const Shape &shape, uint32_t seed, Counts &counts) : counts(counts), random(seed) {
    toy.window = shape.window;
    auto model = Model::load(toy.write(), *openDevice(nullptr));
    Session::Options options;
    options.threads = 1;
    options.kvBlock = 16;
    options.kvPositions = shape.positions;
    options.maxSequences = 7;
    options.prefixBlocks = shape.prefixBlocks;
    damages = shape.damaged;
    if (shape.spilled) {
      spillFile = options.spillFile = test::temporaryFile({}, ".spill");
      options.spillBytes = 4096 + uint64_t(shape.spilled) * slotBytes;
      options.restoredAtOnce = seed % 2 ? 3000 : 1 << 20;
    }
    tokenizer.emplace(std::move(*Tokenizer::create((*model)->metadata())));
    session = std::move(*Session::create(*model, options));
    Scheduler::Options how;
    how.chunk = shape.chunk;
    how.stepTokens = shape.stepTokens;
    how.patience = 17;
    scheduler = std::make_unique<Scheduler>(*session, how);
    for (size_t length : {0, 16, 31, 67})
      prefixes.push_back(tokens(length));
  }
  void event() {
    ++counts.events;
    const uint32_t kind = below(100);
    if (kind < 60)
      step();
    else if (kind < 80)
      arrive();
    else if (kind < 84)
      leave(false);
    else if (kind < 87)
      leave(true);
    else if (kind < 92)
      takeBeside();
    else if (kind < 95)
      forkBeside();
    else
      freeBeside();
    if (session->spilled()) {
      session->spilled()->flush(); // so that the same events come to the same
      if (damages && below(7) == 0)
        damage();
    }
    clients.remove_if([](const auto &client) { return client->over; });
    expectSound();
  }
  /// Everybody is answered or refused, and nothing is left.
  void end() {
    while (!beside.empty())
      freeBeside();
    for (int steps = 0; !clients.empty(); ++steps) {
      ASSERT_LT(steps, 10000) << "it never ends";
      step();
      clients.remove_if([](const auto &client) { return client->over; });
    }
    expectSound();
    for (size_t g = 0; g < session->kv().groupCount(); ++g)
      EXPECT_EQ(session->kv().freeBlocks(g) + session->kv().idleBlocks(g), session->kv().blocks(g));
  }
  const Scheduler::Figures &figures() const { return scheduler->figures(); }
  SpillFile::Figures spilled() const {
    return session->spilled() ? session->spilled()->figures() : SpillFile::Figures();
  }

private:
  uint32_t below(uint32_t count) { return static_cast<uint32_t>(random() % count); }
  std::vector<int32_t> tokens(size_t count) {
    std::vector<int32_t> all(count);
    for (int32_t &token : all)
      token = static_cast<int32_t>(below(40));
    return all;
  }
  void step() {
    auto stepped = scheduler->step();
    ASSERT_TRUE(stepped) << stepped.error().text();
    for (const auto &client : clients) { // only blocks and sequences beside the scheduler's can be in the way
      EXPECT_TRUE(client->problem.empty() || !beside.empty()) << client->problem;
      EXPECT_TRUE(client->problem.empty() || client->problem.rfind("error E0605", 0) == 0 ||
                  client->problem.rfind("error E0608", 0) == 0)
          << client->problem;
    }
  }
  void arrive() {
    if (clients.size() > 19)
      return;
    std::vector<int32_t> prompt = prefixes[below(4)], tail = tokens(1 + below(17));
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    Plain plain(toy);
    for (int32_t token : prompt)
      plain.add(token);
    std::vector<RequestClient *> together;
    const uint32_t salt = below(1000), number = ++requests;
    const bool asServed = below(5) == 0;
    GenerationOptions how;
    how.maxTokens = 1 + below(29);
    how.sampling.temperature = below(2) ? 9999.0f : 0; // rows go up to 50,000
    how.sampling.seed = salt;
    if (below(2)) {
      auto guesses = std::make_shared<NgramSpeculator>(3);
      guesses->adapts = false; // to how long steps take
      how.speculator = guesses;
    }
    if (below(2))
      how.stops = {"e"};
    for (uint32_t count = 1 + below(5) / 4 * (1 + below(2)); count; --count) {
      how.answer = count;
      if (asServed)
        clients.push_back(std::make_unique<Answer>(plain, counts, prompt, how, *tokenizer, session->context()));
      else
        clients.push_back(std::make_unique<Client>(plain, counts, salt + count, 1 + below(29)));
      together.push_back(clients.back().get());
      requestOf[clients.back().get()] = number;
      ++counts.arrived;
    }
    scheduler->add(prompt, together, static_cast<int32_t>(below(9)) - Scheduler::mostPriority);
  }
  /// One client is cancelled, or all of its request.
  void leave(bool disconnects) {
    if (clients.empty())
      return;
    auto one = std::next(clients.begin(), below(static_cast<uint32_t>(clients.size())));
    const uint32_t number = requestOf[one->get()];
    for (const auto &client : clients)
      if (disconnects ? requestOf[client.get()] == number : client == *one) {
        scheduler->cancel(*client);
        client->over = true;
        ++counts.cancelled;
      }
  }
  void damage() {
    const int fd = ::open(spillFile.c_str(), O_WRONLY);
    ASSERT_GE(fd, 0);
    const off_t end = ::lseek(fd, 0, SEEK_END);
    const std::string noise(1 + below(999), static_cast<char>(below(256)));
    // Within a slot's header and blocks, which have far fewer bytes than it.
    const auto slot = static_cast<off_t>(below(static_cast<uint32_t>(end / slotBytes))), at = slot * slotBytes;
    if (slot)
      ASSERT_EQ(::pwrite(fd, noise.data(), noise.size(), at + static_cast<off_t>(below(999))),
                static_cast<ssize_t>(noise.size()));
    if (slot && below(29) == 0)
      ASSERT_EQ(::ftruncate(fd, at), 0);
    ::close(fd);
  }
  void takeBeside() {
    if (beside.size() > 1)
      return;
    auto sequence = session->createSequence();
    if (!sequence)
      return;
    beside.push_back(*sequence);
    grow(*sequence, 1 + below(60));
  }
  void grow(int32_t sequence, uint32_t count) {
    std::vector<Session::Token> batch;
    for (int32_t token : tokens(count))
      batch.push_back({sequence, token, false});
    if (Status submitted = session->submit(batch.data(), batch.size()); submitted)
      ASSERT_TRUE(session->step());
    else
      ASSERT_EQ(submitted.error().code, ErrorCode::CacheFull);
  }
  void forkBeside() {
    if (beside.size() != 1)
      return;
    auto sequence = session->fork(beside[0]);
    if (!sequence)
      return;
    beside.push_back(*sequence);
    ++counts.forks;
    grow(*sequence, 1 + below(20));
    const int32_t length = session->length(*sequence), cut = std::min(length, static_cast<int32_t>(below(3)));
    if (Status truncated = session->truncate(*sequence, length - cut); !truncated) {
      ASSERT_TRUE(session->kv().groupCount() > 1 && truncated.error().code == ErrorCode::TruncateRange); // of a window
    }
  }
  void freeBeside() {
    if (beside.empty())
      return;
    session->freeSequence(beside.back());
    beside.pop_back();
  }
  // What rows of the tables have is what is counted, the rest is free, each once, and each sequence is somebody's.
  void expectSound() {
    const KVCache &cache = session->kv();
    size_t live = 0;
    for (int32_t s = 0; s < cache.sequences(); ++s)
      live += session->length(s) >= 0;
    ASSERT_EQ(live, scheduler->active() + beside.size());
    ASSERT_TRUE(!session->prefixes() || session->prefixes()->isSound());
    for (size_t g = 0; g < cache.groupCount(); ++g) {
      std::vector<uint32_t> owners(cache.blocks(g), 0), listed(cache.blocks(g), 0);
      for (int32_t s = 0; s < cache.sequences(); ++s)
        for (int32_t i = 0; i < cache.tableWidth(); ++i)
          if (const int32_t block = cache.entry(g, s, i); block >= 0) {
            ASSERT_GE(session->length(s), 0) << "a sequence that was freed has block " << block;
            ++owners[block];
          }
      const std::vector<uint32_t> rows = owners;
      if (session->prefixes())
        session->prefixes()->countReferences(g, owners);
      for (int32_t block : cache.unused(g))
        ++listed[block];
      uint32_t idle = 0;
      for (uint32_t block = 0; block < cache.blocks(g); ++block) {
        ASSERT_EQ(cache.references(g, static_cast<int32_t>(block)), owners[block]) << "block " << block;
        ASSERT_EQ(listed[block], owners[block] == 0) << "block " << block;
        ASSERT_LE(owners[block] - rows[block], 1u) << "block " << block << " is remembered twice";
        idle += owners[block] && !rows[block];
      }
      ASSERT_EQ(cache.idleBlocks(g), idle);
    }
  }

  ToyModel toy;
  Counts &counts;
  std::mt19937 random;
  std::unique_ptr<Session> session;
  std::unique_ptr<Scheduler> scheduler;
  std::vector<std::vector<int32_t>> prefixes;
  std::list<std::unique_ptr<Party>> clients;
  std::map<const Party *, uint32_t> requestOf;
  std::optional<Tokenizer> tokenizer;
  std::string spillFile;
  static constexpr uint32_t slotBytes = 4096;
  bool damages = false;
  uint32_t requests = 0;
  std::vector<int32_t> beside; ///< sequences of others
};

TEST(SchedulerEvents, plainSumsAreTheToysLogits) {
  for (uint32_t window : {0u, 19u}) {
    ToyModel toy;
    toy.window = window;
    ASSERT_EQ(toy.width, test::toyWidth);
    ASSERT_EQ(toy.vocabulary, test::toyVocabulary);
    Plain plain(toy);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 53; ++i) {
      tokens.push_back(i * 7 % 40);
      plain.add(tokens.back());
      const std::array<float, test::toyVocabulary> row = plain.logits();
      EXPECT_EQ(std::vector<float>(row.begin(), row.end()), toy.logits(tokens));
    }
  }
}

TEST(SchedulerEvents, noBlockIsLostAndEveryRowIsThatOfItsTokensAlone) {
  const char *asked = std::getenv("STEPDOWN_EVENTS");
  const uint64_t events = asked ? std::strtoull(asked, nullptr, 10) : 20000;
  const World::Shape shapes[] = {{0, 7, 0, 160, 0},      {19, 0, 0, 160, 0},           {0, 7, 0, 160, 99},
                                 {0, 0, 11, 128, 99},    {19, 13, 0, 1024, 0},         {19, 13, 0, 1024, 99},
                                 {19, 13, 0, 1024, 11},  {40, 29, 23, 144, 99},        {0, 13, 0, 1024, 7},
                                 {0, 0, 0, 128, 99},     {0, 7, 0, 160, 99, 50},       {19, 13, 0, 160, 99, 50},
                                 {19, 0, 11, 256, 5, 7}, {0, 0, 0, 128, 99, 50, true}, {19, 13, 0, 160, 99, 50, true}};
  constexpr size_t kinds = std::size(shapes);
  Counts counts;
  Scheduler::Figures all;
  SpillFile::Figures file;
  for (size_t i = 0; i < kinds && !HasFatalFailure(); ++i) {
    World world(shapes[i], static_cast<uint32_t>(i + 1), counts);
    while (counts.events < events * (i + 1) / kinds && !HasFatalFailure() && !counts.different)
      world.event();
    if (!HasFatalFailure())
      world.end();
    all.steps += world.figures().steps;
    all.preemptions += world.figures().preemptions;
    all.recomputed += world.figures().recomputed;
    all.prompts += world.figures().prompts;
    all.hits += world.figures().hits;
    all.reused += world.figures().reused;
    all.restored += world.figures().restored;
    const SpillFile::Figures spilled = world.spilled();
    EXPECT_EQ(spilled.failures > 0, shapes[i].damaged) << i;
    file.spilled += spilled.spilled;
    file.restored += spilled.restored;
    file.failures += spilled.failures;
  }
  EXPECT_EQ(counts.different, 0u) << "of " << counts.rows << " rows, after " << counts.events << " events";
  EXPECT_EQ(counts.answered + counts.cancelled + counts.refused, counts.arrived);
  EXPECT_GT(all.preemptions, counts.events / 1000);
  EXPECT_GT(counts.answered, counts.events / 100);
  EXPECT_GT(all.hits, all.prompts / 3);
  EXPECT_GT(file.restored, counts.events / 100);
  EXPECT_GT(all.restored, counts.events / 500);
  EXPECT_GT(counts.guessed, 0u);
  for (Finish end : {Finish::End, Finish::Stop, Finish::Length})
    EXPECT_GT(counts.ends[static_cast<size_t>(end)], 0u);
  std::printf("%llu events: %llu clients came, %llu were answered, %llu left, %llu lacked blocks; %llu forks beside, "
              "%llu steps, %llu rows, %llu preemptions of %llu tokens; of %llu prompts %llu began as others, with %llu "
              "tokens\n",
              (unsigned long long)counts.events, (unsigned long long)counts.arrived,
              (unsigned long long)counts.answered, (unsigned long long)counts.cancelled,
              (unsigned long long)counts.refused, (unsigned long long)counts.forks, (unsigned long long)all.steps,
              (unsigned long long)counts.rows, (unsigned long long)all.preemptions, (unsigned long long)all.recomputed,
              (unsigned long long)all.prompts, (unsigned long long)all.hits, (unsigned long long)all.reused);
  std::printf(
      "%llu were answers as a server draws them, with %llu right guesses; %llu blocks went to a file, %llu came "
      "back, for %llu prompts, %llu were damaged\n",
      (unsigned long long)counts.generations, (unsigned long long)counts.guessed, (unsigned long long)file.spilled,
      (unsigned long long)file.restored, (unsigned long long)all.restored, (unsigned long long)file.failures);
}

} // namespace
