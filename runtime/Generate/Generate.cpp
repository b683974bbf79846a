#include "runtime/Generate/Generate.h"

namespace stepdown {

Result<bool> stepAnswers(Scheduler &scheduler, const std::vector<Generation *> &answers) {
  Result<bool> more = scheduler.step();
  bool left = false;
  for (Generation *answer : answers) {
    if (more)
      answer->heedInterrupt();
    else if (!answer->done())
      answer->failed(more.error());
    left |= !answer->done();
  }
  return more ? Result<bool>(left) : more;
}

Status continueSequence(Session &session, int32_t sequence, std::vector<int32_t> tokens, Generation &answer) {
  const uint32_t most = session.of().head().max_step_tokens;
  if (session.roomForTokens() != most)
    return fail(ErrorCode::TokensQueued, "session: expects no queued tokens, but %u wait for a step",
                most - session.roomForTokens());
  Scheduler scheduler(session, 0);
  if (!answer.done()) // it wants a token
    scheduler.resume(sequence, std::move(tokens), answer);
  const std::vector<Generation *> alone = {&answer};
  while (!answer.done())
    if (Result<bool> more = stepAnswers(scheduler, alone); !more)
      return more.error();
  return answer.problem() ? Status(*answer.problem()) : Status(Done{});
}

} // namespace stepdown
