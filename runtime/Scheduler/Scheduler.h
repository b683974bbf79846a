// Continuous batching: many requests share steps, each step being the next ragged batch of tokens.
//
// A step first takes the tokens that every request has drawn, one or several, then fills up, in the order in which
// requests came, with pieces of prompts (chunked prefill), so that a long prompt never stops the others. A request
// enters when a sequence and the blocks of its whole prompt are free. One that runs out of blocks while others hold
// them is refused with E0608, and the others go on. What a request computes does not depend on the company it keeps.
//
// A request may have several clients: its prompt is computed once, each client draws its first token from the same row,
// and from there on each goes its own way on a fork that shares the prompt's blocks.
#pragma once
#include "runtime/Scheduler/RequestClient.h"
#include "runtime/Session/Session.h"
#include <deque>
#include <vector>

namespace stepdown {

class Scheduler {
public:
  /// `chunk`: prompt tokens that one step takes at most, over all requests; 0: what fits.
  Scheduler(Session &session, uint32_t chunk);
  ~Scheduler();

  /// Queues a request: prompt `tokens` (at least one), then what each client draws. Before anything is computed the
  /// clients are told E0603, E0605, E0606 or E0611.
  void add(std::vector<int32_t> tokens, RequestClient &client) { add(std::move(tokens), std::vector{&client}); }
  void add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients);
  /// The same, behind what `sequence` holds. It stays the caller's, and keeps what the request has brought in; E0604.
  void resume(int32_t sequence, std::vector<int32_t> tokens, RequestClient &client);
  /// Forgets what `client` wants, between two steps: it is asked and told nothing more, and blocks that no other client
  /// needs are free again. A client that no request has is none to forget.
  void cancel(const RequestClient &client);
  /// Runs one step; false when no request is left. An error concerns the device, and all requests.
  Result<bool> step();
  size_t waiting() const { return entering.size(); }
  size_t active() const { return requests.size(); }
  /// Clients of the requests that have a sequence.
  size_t answering() const;

private:
  struct Request {
    std::vector<int32_t> tokens;          ///< the prompt
    std::vector<RequestClient *> clients; ///< one from the first drawn token on
    int32_t sequence = -1;
    bool borrowed = false;          ///< the sequence is the caller's
    size_t submitted = 0;           ///< of the prompt
    std::vector<int32_t> next = {}; ///< drawn and not yet submitted
    bool finished = false;
    bool refused = false; ///< its sequence was freed already
  };
  /// Rows of the step that belong to one request.
  struct Rows {
    size_t owner, first, count;
  };
  void queue(Request &&request);
  void enter();
  bool fits(size_t tokens) const;
  void submitDrawn();
  void submitPrompts();
  bool give(Request &request, const int32_t *ids, size_t count, size_t wanted);
  void drawAll();
  void draw(Request &request, const LogitRows &rows);
  void leave(const Request &request);
  void refuse(Request &request, const Error &error);
  Status expectPrompt(const Request &request) const;

  Session &session;
  uint32_t chunk;
  std::deque<Request> entering;
  std::vector<Request> requests; ///< in the order in which they came
  std::vector<Session::Token> batch;
  std::vector<Rows> owned; ///< the rows of the step, in their order
};

} // namespace stepdown
