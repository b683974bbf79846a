// Continuous batching: many requests share steps, each step being the next ragged batch of tokens.
//
// A step first takes one token from every request that is generating, then fills up, in the order in which requests
// came, with pieces of prompts (chunked prefill), so that a long prompt never stops the others. A request enters when a
// sequence and the blocks of its whole prompt are free. One that runs out of blocks while others hold them is refused
// with E0608, and the others go on. What a request computes does not depend on the company it keeps.
//
// A request may have several clients: its prompt is computed once, each client draws its first token from the same row,
// and from there on each goes its own way on a fork that shares the prompt's blocks.
#pragma once
#include "runtime/Session/Session.h"
#include <deque>
#include <vector>

namespace stepdown {

/// What a request does with its logits. Called on the thread that steps, in order of the requests' rows.
class RequestClient {
public:
  virtual ~RequestClient() = default;
  /// The next token from `logits` (float32 [vocabulary]), or -1 when the request is done.
  virtual int32_t draw(const float *logits) = 0;
  /// The request cannot go on; nothing is called after it.
  virtual void failed(const Error &error) = 0;
};

class Scheduler {
public:
  /// `chunk`: prompt tokens that one step takes at most, over all requests; 0: what fits.
  Scheduler(Session &session, uint32_t chunk);
  ~Scheduler();

  /// Queues a request: prompt `tokens` (at least one, else E0611 to the clients), then what each client draws.
  void add(std::vector<int32_t> tokens, RequestClient &client) { add(std::move(tokens), std::vector{&client}); }
  void add(std::vector<int32_t> tokens, std::vector<RequestClient *> clients);
  /// Runs one step; false when no request is left. An error concerns the device, and all requests.
  Result<bool> step();
  size_t waiting() const { return entering.size(); }
  size_t active() const { return requests.size(); }
  /// Tokens of prompts and answers that steps have computed.
  uint64_t computedTokens() const { return computed; }

private:
  struct Request {
    std::vector<int32_t> tokens;          ///< the prompt
    std::vector<RequestClient *> clients; ///< one from the first drawn token on
    int32_t sequence;
    size_t submitted; ///< of the prompt
    int32_t next;     ///< drawn and not yet submitted, or -1
    bool finished;
    bool refused; ///< its sequence was freed already
  };
  void enter();
  bool fits(size_t tokens) const;
  void submitDrawn();
  void submitPrompts();
  bool give(Request &request, const int32_t *ids, size_t count, bool wantLogits);
  void drawAll();
  void refuse(Request &request, const Error &error);
  Status expectPrompt(const std::vector<int32_t> &tokens, size_t clients) const;

  Session &session;
  uint32_t chunk;
  std::deque<Request> entering;
  std::vector<Request> requests; ///< in the order in which they came
  std::vector<Session::Token> batch;
  std::vector<size_t> rowOwners; ///< request of each row of the step
  uint64_t computed = 0;
};

} // namespace stepdown
