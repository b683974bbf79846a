#include "tools/stepdown-run/KeptSession.h"
#include "lib/Base/PartFile.h"
#include "tools/stepdown-run/ModelSource.h"

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;

std::vector<Option> keptSessionOptions() {
  return {Option("save-session", 0, "FILE", "write tokens, keys and values, from which another run goes on").file(),
          Option("load-session", 0, "FILE",
                 "go on behind them: with a prompt, or without one where the answer was broken off; on any device")
              .file()};
}

Result<KeptSession> KeptSession::of(const Arguments &arguments, const std::string &guessing, bool single) {
  KeptSession kept;
  kept.loads = arguments.text("load-session");
  kept.saves = arguments.text("save-session");
  if (kept.wanted() && !single)
    return arguments.usage(std::string("expects one prompt and one answer for --") +
                           (kept.loads ? "load-session" : "save-session"));
  if (!kept.saves)
    return kept;
  kept.inputs = inputsOf(arguments, guessing);
  struct stat info;
  if (::stat(kept.saves->c_str(), &info) == 0)
    if (Status free = expectNoInput(*kept.saves, info, kept.inputs); !free)
      return free.error();
  return kept;
}

Status KeptSession::open(const Model &model) {
  if (!loads)
    return Done{};
  Result<SequenceFile> opened = SequenceFile::open(*loads);
  if (!opened)
    return opened.error();
  file = std::move(*opened);
  Result<SavedSequenceReader> head = SavedSequenceReader::open(model, *loads, file->reader());
  if (!head)
    return head.error();
  reader = std::move(*head);
  saved = reader->saved();
  return Done{};
}

Result<std::vector<int32_t>> KeptSession::prompt(const std::optional<std::vector<int32_t>> &given,
                                                 Generation::Place &place) const {
  std::vector<int32_t> prompt(saved.tokens.begin() + saved.held, saved.tokens.end());
  place.first = saved.held;
  place.before = saved.tokens.data();
  if (given) {
    prompt.insert(prompt.end(), given->begin(), given->end());
  } else {
    place.drawn = saved.drawn;
    place.surprise = saved.surprise;
  }
  if (prompt.empty())
    return fail(ErrorCode::RequestField, "prompt: expects at least one token behind those of %s, but got none",
                loads->c_str());
  return prompt;
}

Result<int32_t> KeptSession::sequence(Session &session, const std::string &adapter) {
  Result<int32_t> slot = session.adapterNamed(adapter);
  if (!slot)
    return slot;
  Result<int32_t> made = reader ? reader->restore(session) : session.createSequence(*slot);
  if (!made)
    return made;
  const auto identity = [&](int32_t which) { return which ? session.adapters()->identity(which) : 0; };
  if (identity(session.adapterOf(*made)) != identity(*slot)) // one may have several names
    return fail(ErrorCode::SavedSequenceModel,
                "%s: expects the adapter that it was saved with, %s, but answers have %s", loads->c_str(),
                session.adapterOf(*made) ? "which is another" : "none", *slot ? adapter.c_str() : "none");
  kept = *made;
  if (file)
    if (Status ended = file->expectEnd(); !ended)
      return ended.error();
  return made;
}

Status KeptSession::save(Session &session, const Generation &answer) const {
  if (!saves || answer.problem())
    return Done{};
  SavedSequence now;
  now.tokens.assign(saved.tokens.begin(), saved.tokens.begin() + saved.held);
  now.tokens.insert(now.tokens.end(), answer.prompt().begin(), answer.prompt().end());
  now.tokens.insert(now.tokens.end(), answer.tokens().begin(), answer.tokens().end());
  now.held = session.length(kept);
  // Where nothing waits to be computed, the last token does once more: what comes next is drawn from its row.
  if (now.held > 0 && static_cast<size_t>(now.held) == now.tokens.size())
    if (Status cut = session.truncate(kept, --now.held); !cut)
      return cut;
  now.drawn = static_cast<int32_t>(answer.tokens().size() + static_cast<size_t>(answer.drawnBefore()));
  now.surprise = answer.drawnWith().surprise();
  return saveSequenceFile(session, kept, now, *saves, inputs);
}

} // namespace stepdown::run
