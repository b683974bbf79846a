// The thread that owns a session. Others hand it orders at any time; it runs them all in one continuous batch, tells
// each who asked what is drawn, and forgets an order within one step after it was cancelled.
//
//   any thread     submit() ─► arrivals ─┐
//                  cancel() ─► departures┤  taken between two steps
//   the engine                           └► Scheduler::step() ─► Listener
//
// What an answer is does not depend on the others (Scheduler.h).
#pragma once
#include "runtime/Generate/Generation.h"
#include "runtime/PrefixTree/SpillFile.h"
#include "runtime/Scheduler/Scheduler.h"
#include "runtime/Server/StepTrace.h"
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace stepdown {

class Engine {
public:
  struct Options {
    Session::Options session;
    Scheduler::Options steps;
    size_t waiting = 64; ///< answers that may wait for a sequence, beside those that have one
    double seconds = 0;  ///< that an order may take from submit() to its end; 0: any
    std::function<Status(Session &)> prepare =
        {};                 ///< runs once, before anything is taken; what it refuses, create() does
    Trace *trace = nullptr; ///< what it does when goes there; must outlive the engine
    std::function<void(const Error &)> warn = {}; ///< hears, on the engine's thread, once of a file that fails
  };

  /// Hears of the answers to one order. Called on the engine's thread, which waits for it: it must not block.
  class Listener {
  public:
    virtual ~Listener() = default;
    /// The order was taken as `number`. Called within submit(), before anything else.
    virtual void taken(uint64_t number) { (void)number; }
    /// Answer `answer` goes on by token `id`, which lets `text` out, often none; id -1: by text that had waited.
    /// `row` where log-probabilities are wanted and there is a token.
    virtual void token(size_t answer, int32_t id, const std::string &text, const LogProbabilities *row) = 0;
    /// The answer is over: finish() says why, problem() what went wrong. Not called after the order was cancelled.
    virtual void finished(size_t answer, const Generation &generation) = 0;
  };

  struct Order {
    std::vector<std::vector<int32_t>> prompts; ///< at least one token each
    size_t answers = 1;                        ///< to each prompt; prompt p has those from p * answers on
    GenerationOptions how;                     ///< but `answer`, which is the engine's
    int32_t priority = 0;                      ///< see Scheduler::mostPriority
    uint64_t traced = 0;                       ///< its process in the trace
    std::shared_ptr<Listener> listener;
  };

  /// Makes the session and starts the thread. `tokenizer` must outlive the engine. E0601, E0602, E1045.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Model> model, const Tokenizer &tokenizer,
                                                const Options &options);
  /// Ends what is not done with E1210.
  ~Engine();
  Engine(const Engine &) = delete;

  /// Takes an order, whose number it returns; from then on the listener is called. E0603, E0606 and E0611 for a
  /// prompt, E0605 for more answers than there are sequences and places to wait, E07xx, E1209 where too many wait,
  /// E1210.
  Result<uint64_t> submit(Order order);
  /// That it takes so many answers at all, E0605.
  Status expectRoom(size_t prompts, size_t answers) const;
  /// Nothing is called for the order from the next step on, and its blocks are free. None where it is over.
  void cancel(uint64_t number);
  /// Takes no more orders. What is not done after `seconds` ends with E1210.
  void stop(double seconds);
  /// Seconds until an answer of those that wait may begin, for who was refused: at least 1, at most 60.
  int secondsToWait() const;

  /// Runs `work` on the engine's thread, between two steps, and returns what it says; E1210 where it has ended.
  Status between(std::function<Status(Session &)> work);
  /// Names of the adapters that the session has loaded, in order of their slots.
  std::vector<std::string> adapters() const;

  /// What there is to watch.
  struct Figures {
    size_t running = 0, waiting = 0; ///< answers with a sequence, and without
    uint64_t promptTokens = 0, drawnTokens = 0;
    uint64_t guessedTokens = 0, acceptedTokens = 0; ///< see SpeculationFigures; of answers that are over
    uint64_t cancelled = 0;                         ///< orders
    Scheduler::Figures scheduler;
    std::vector<uint32_t> blocks, used, kept;  ///< of the cache, in each of its groups; kept: used for no answer
    std::optional<SpillFile::Figures> spilled; ///< where there is a file for blocks
  };
  Figures figures() const;
  bool idle() const;
  /// Positions that prompt and answer may have together.
  int32_t context() const { return session->context(); }
  int32_t sequences() const { return session->kv().sequences(); }
  const Session &of() const { return *session; }

private:
  using Clock = std::chrono::steady_clock;
  struct Work {
    uint64_t number;
    std::vector<std::unique_ptr<Generation>> answers; ///< [prompts * each]
    size_t each;
    int32_t priority;
    uint64_t traced;
    std::vector<bool> told; ///< that it is over
    std::shared_ptr<Listener> listener;
    Clock::time_point begun, deadline;
  };

  explicit Engine(const Tokenizer &tokenizer);
  Status expectPrompts(const Order &order) const;
  size_t room() const { return static_cast<size_t>(sequences()) + options.waiting; }
  Result<std::unique_ptr<Work>> workOf(Order &&order) const;
  void run();
  void turn(std::vector<std::unique_ptr<Work>> &arrived, std::vector<uint64_t> &departed);
  void failAll(const Error &error);
  /// `arrived` is empty afterwards, also where that throws, or still whole.
  void take(std::vector<std::unique_ptr<Work>> &arrived, const std::vector<uint64_t> &departed);
  void leave(Work &work);
  void endLate();
  void tellFinished();
  void publish();
  void runErrands(bool refuse);
  void tellAdapters();

  const Tokenizer &tokenizer;
  Options options;
  std::unique_ptr<Session> session;

  // Of the engine's thread.
  std::unique_ptr<StepTrace> tracing; ///< or null
  std::unique_ptr<Scheduler> scheduler;
  std::vector<std::unique_ptr<Work>> works;
  bool warned = false, warnedOfPause = false;

  // Of all.
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<Work>> arrivals;
  std::vector<uint64_t> departures;
  struct Errand {
    std::function<Status(Session &)> work;
    std::promise<Status> done;
  };
  std::vector<Errand> errands;
  std::vector<std::string> adapterNames;
  uint64_t next = 1;   ///< number of an order
  size_t inFlight = 0; ///< answers that were taken and are not over
  double mean = 1;     ///< seconds that orders took of late
  bool stopping = false, ended = false;
  Clock::time_point end; ///< when what is not done is ended
  Figures shown;
  std::thread thread;
};

} // namespace stepdown
