// The part of include/stepdown/Runtime.h that saves and loads sequences.
#include "runtime/ApiHandles.h"
#include "runtime/Session/SavedSequenceFile.h"

using namespace stepdown;
using namespace stepdown::api;

namespace {

/// All that the sequence holds; E0604.
Result<SavedSequence> heldBy(const Session &session, int32_t sequence) {
  SavedSequence saved;
  saved.held = session.length(sequence);
  if (saved.held < 0)
    return fail(ErrorCode::SequenceUnknown, "sequence: expects one that was created, but got %d", sequence);
  saved.tokens.assign(session.tokens(sequence), session.tokens(sequence) + saved.held);
  return saved;
}

Status streamEnds(const char *what, int32_t answer) {
  return fail(ErrorCode::SavedSequenceStream, "sequence: expects 0 from the function that %s, but got %d", what,
              answer);
}

Status load(Session &session, const std::string &name, const ReadBytes &read, int32_t &sequence) {
  Result<SavedSequenceReader> reader = SavedSequenceReader::open(session.of(), name, read);
  if (!reader)
    return reader.error();
  Result<int32_t> restored = reader->restore(session);
  if (!restored)
    return restored.error();
  sequence = *restored;
  return Done{};
}

} // namespace

stepdown_status stepdown_sequence_save(stepdown_session *session, stepdown_sequence sequence, const char *path) {
  return guarded([&]() -> Status {
    Result<SavedSequence> saved = heldBy(*session->session, sequence);
    return saved ? saveSequenceFile(*session->session, sequence, *saved, path) : saved.error();
  });
}

stepdown_status stepdown_sequence_export(stepdown_session *session, stepdown_sequence sequence,
                                         stepdown_write_callback write, void *context) {
  return guarded([&]() -> Status {
    Result<SavedSequence> saved = heldBy(*session->session, sequence);
    if (!saved)
      return saved.error();
    return saveSequence(*session->session, sequence, *saved, [&](const void *bytes, size_t size) -> Status {
      const int32_t answer = write(context, bytes, size);
      return answer ? streamEnds("writes", answer) : Status(Done{});
    });
  });
}

stepdown_status stepdown_sequence_load(stepdown_session *session, const char *path, stepdown_sequence *sequence) {
  *sequence = -1;
  return guarded([&]() -> Status {
    Result<SequenceFile> file = SequenceFile::open(path);
    if (!file)
      return file.error();
    int32_t loaded = -1;
    if (Status ok = load(*session->session, path, file->reader(), loaded); !ok)
      return ok;
    if (Status end = file->expectEnd(); !end) {
      session->session->freeSequence(loaded);
      return end;
    }
    *sequence = loaded;
    return Done{};
  });
}

stepdown_status stepdown_sequence_import(stepdown_session *session, stepdown_read_callback read, void *context,
                                         stepdown_sequence *sequence) {
  *sequence = -1;
  return guarded([&]() -> Status {
    return load(
        *session->session, "sequence",
        [&](void *bytes, size_t size) -> Status {
          const int32_t answer = read(context, bytes, size);
          return answer ? streamEnds("reads", answer) : Status(Done{});
        },
        *sequence);
  });
}
