// Traces the answers of an engine: how long each waited, computed its prompt, drew.
#pragma once
#include "runtime/Scheduler/StepWatcher.h"
#include "runtime/Server/Trace.h"
#include <unordered_map>

namespace stepdown {

/// Of one engine, on its thread. Tracks of answers have the spans
///   answer    from its order to its end, around all others
///   queue     until the first step that computes something of it
///   prefill   a step that computes `tokens` of its prompt
///   decode    a step that computes what was drawn, and `guesses` behind it
///   sampling  in which it drew from the rows of the step, after others
///   waiting   steps that had nothing of it: those of others, or it had given up its blocks
class StepTrace final : public StepWatcher {
public:
  explicit StepTrace(Trace &trace) : trace(trace) {}
  /// `client` draws answer `answer` to request `number`, which was ordered at `ordered`.
  void begin(const RequestClient &client, uint64_t number, size_t answer, Trace::Time ordered);
  /// It is over, or cancelled, after `tokens` drawn ones.
  void end(const RequestClient &client, size_t tokens, const char *finish);

  void takes(const RequestClient &client, size_t tokens, bool ofPrompt) override;
  void stepping() override;
  void stepped() override;
  void drew(const RequestClient &client) override;

private:
  struct Answer {
    uint64_t number;
    uint32_t track;
    Trace::Time since; ///< the end of its last span
    uint64_t step = 0; ///< its last one, from 1; 0: none
  };
  struct Taken {
    const RequestClient *client;
    size_t tokens;
    bool ofPrompt;
  };
  Trace &trace;
  std::unordered_map<const RequestClient *, Answer> answers;
  std::vector<Taken> taken; ///< of the step
  uint64_t steps = 0;
  Trace::Time begun, last;
};

} // namespace stepdown
