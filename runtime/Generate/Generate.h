// The one loop that feeds prompts, draws, stops and streams. The command line runs many answers at once, the C API and
// chats one that goes on with a sequence of theirs.
#pragma once
#include "runtime/Generate/Generation.h"
#include "runtime/Scheduler/Scheduler.h"

namespace stepdown {

/// Steps `scheduler` once, which was given `answers`; false when all of them are done. What concerns one answer is its
/// problem(); an error of the device is one of all, and returned.
Result<bool> stepAnswers(Scheduler &scheduler, const std::vector<Generation *> &answers);

/// Appends `tokens`, at least one, to `sequence`, and draws `answer`; afterwards the sequence holds all but the last
/// token drawn, which a caller may not have wanted, and on an error whatever came in before it. E0610 while tokens of
/// the session are queued; E0604, E0606, E0608, E0611, E0703, E0704.
Status continueSequence(Session &session, int32_t sequence, std::vector<int32_t> tokens, Generation &answer);

} // namespace stepdown
