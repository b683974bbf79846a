// Continuous batching: many requests share steps, each step being the next ragged batch of tokens.
//
// Requests have one order: by rank, which is the step in which a request came less `patience` steps for each level of
// its priority, and where that is the same by arrival. A step takes, within its budget, first the token that every
// request has drawn, then pieces of prompts (chunked prefill), so that a long prompt never stops the others, then
// guesses; each in that order. The first in order always gets something: of its prompt, one token is set aside.
//
// A request enters when a sequence and the blocks of its whole prompt are free; none overtakes the first that waits.
// One that lacks blocks lets its guesses go, then takes blocks from the last in order behind itself: that is preempted,
// waits again at its place, and later computes again what it held (its tokens, not what was drawn from them). One with
// nobody behind it waits for a later step, keeping what it has. Sequences that are the callers' are never preempted;
// one that waits takes no blocks of those before such a one. Only the first in order is refused for blocks, with E0608,
// where nobody behind it has any to give.
//
// A session that spills to a file reads back what a prompt has in common with earlier ones, so much before each step. A
// request of which there is more waits for it: the step computes nothing of its prompt, which costs more than reading.
//
// What a request is given does not depend on the company it keeps, nor on preemption: the rows are the same bytes. The
// batches depend on nothing but the requests, the step in which each came or was cancelled, what they draw and what
// they guess; how much they guess may follow the seconds that steps take (Speculation.h), and what comes back from a
// file how fast it was written.
//
// Fairness. Ranks never change: ahead of a request are those of smaller rank, and of those that come
// `patience * (mostPriority - its priority)` steps later or after, none. The first in order is never preempted, and
// computes a piece of its prompt, or reads one back, or computes what it drew in every step. That piece has at least
// one token, and as many as `chunk`, the prompt and the step, less a token for each request that draws, allow: where
// those who draw fill a step, a prompt of 1,000 tokens takes the first in order 1,000 steps. So a request is first
// itself after at most the sum, over those ahead of it, of such steps: one for each token of its answer, and one for
// each piece of what is computed before: of its prompt, and again of all it held for each request that came ahead of
// it.
//
// What throws (no memory is left) leaves the requests in no good state: each client is to be cancelled then.
//
// A request may have several clients: its prompt is computed once, each client draws its first token from the same row,
// and from there on each goes its own way on a fork that shares the prompt's blocks.
#pragma once
#include "runtime/Scheduler/RequestClient.h"
#include "runtime/Scheduler/StepWatcher.h"
#include "runtime/Session/Session.h"
#include <deque>
#include <memory>
#include <vector>

namespace stepdown {

class Scheduler {
public:
  struct Options {
    uint32_t chunk = 0;      ///< prompt tokens that one step takes at most, over all requests; 0: what fits
    uint32_t stepTokens = 0; ///< tokens of a step, drawn ones and those of prompts; 0: what it holds
    uint32_t patience = 256; ///< steps of waiting that weigh as much as a level of priority
  };
  /// Levels go from -mostPriority to mostPriority; the higher ones first.
  static constexpr int32_t mostPriority = 4;

  Scheduler(Session &session, const Options &options);
  Scheduler(Session &session, uint32_t chunk) : Scheduler(session, Options{chunk}) {}
  ~Scheduler();

  /// Queues a request: prompt `tokens` (at least one), then what each client draws. Before anything is computed the
  /// clients are told E0603, E0605, E0606 or E0611; E1477 or E1478 of an adapter.
  void add(std::vector<int32_t> tokens, RequestClient &client) { add(std::move(tokens), std::vector{&client}); }
  void add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients, int32_t priority = 0);
  /// The same, behind what `sequence` holds. It stays the caller's, is not preempted, and keeps what the request has
  /// brought in; E0604.
  void resume(int32_t sequence, std::vector<int32_t> tokens, RequestClient &client);
  /// Forgets what `client` wants, between two steps: it is asked and told nothing more, and blocks that no other client
  /// needs are free again. A client that no request has is none to forget.
  void cancel(const RequestClient &client);
  /// Runs one step; false when no request is left. An error concerns the device, and all requests.
  Result<bool> step();
  /// Requests that have no sequence, preempted ones among them.
  size_t waiting() const { return entering.size(); }
  size_t active() const { return requests.size(); }
  /// Clients of the requests that have a sequence.
  size_t answering() const;

  /// Who looks on, or null; must outlive the scheduler, or be taken away.
  void watch(StepWatcher *by) { watcher = by; }

  /// Since the scheduler was made.
  struct Figures {
    uint64_t steps = 0;
    uint64_t preemptions = 0; ///< requests that gave up their blocks
    uint64_t recomputed = 0;  ///< tokens that these held
    uint64_t prompts = 0;     ///< of which something was sought among what the session remembers
    uint64_t hits = 0;        ///< and found
    uint64_t reused = 0;      ///< their tokens that were not computed
    uint64_t restored = 0;    ///< prompts, sought for the first time or again, of which something came from a file
  };
  const Figures &figures() const { return counted; }

private:
  struct Request {
    std::vector<int32_t> tokens;          ///< the prompt; of one that was preempted all that it held
    std::vector<RequestClient *> clients; ///< one from the first drawn token on
    int32_t sequence = -1;
    bool borrowed = false;              ///< the sequence is the caller's
    int64_t rank = 0;                   ///< with the next two its place in the order
    uint64_t arrival = 0;               ///< how many came before
    uint32_t branch = 0;                ///< of the clients that came together
    size_t submitted = 0;               ///< of `tokens`
    std::vector<int32_t> next = {};     ///< drawn, and to be submitted after `tokens`
    size_t share = 0;                   ///< tokens that this step takes of it
    size_t known = 0;                   ///< of what it holds, tokens that the session need not be told to remember
    bool sought = false, found = false; ///< see Figures::prompts and hits
    bool again = false;                 ///< it was preempted
    bool restoring = false;             ///< more of its prompt can be read back: this step computes nothing of it
    bool restored = false;              ///< see Figures::restored
    bool finished = false;
    bool refused = false; ///< its sequence was freed already
    /// The slot of its adapter, or null: the same from when it came until it is over, also while it has no sequence.
    std::shared_ptr<const int32_t> adapter = {};
    int32_t slot() const { return adapter ? *adapter : 0; }
    bool inPrompt() const { return submitted < tokens.size(); }
    bool before(const Request &other) const;
  };
  /// Rows of the step that belong to one request.
  struct Rows {
    size_t owner, first, count;
  };
  // Admission.cpp
  void queue(Request &&request, int32_t priority);
  Status expectPrompt(const Request &request) const;
  void enter();
  bool makeRoom();
  bool fits(const Request &request, size_t staying) const;
  void preempt(size_t index);
  void wait(Request &&request);
  void join(Request &&request);
  // Scheduler.cpp
  void reuse();
  void remember(Request &request);
  void share();
  bool preemptBehind(size_t index);
  Status queue(const Request &request, size_t rows);
  void give(size_t index);
  void drawAll();
  void draw(Request &request, const LogitRows &rows);
  void leave(const Request &request);
  void refuse(Request &request, const Error &error);

  Session &session;
  Options options;
  StepWatcher *watcher = nullptr;
  uint64_t arrivals = 0;
  Figures counted;
  std::deque<Request> entering;  ///< in order
  std::vector<Request> requests; ///< in order, with a sequence each
  std::vector<Session::Token> batch;
  std::vector<Rows> owned;       ///< the rows of the step, in their order
  std::vector<Request> branches; ///< of the step
};

} // namespace stepdown
