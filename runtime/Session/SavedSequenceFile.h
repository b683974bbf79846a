// Saved sequences under a name: files, and pipes that have one.
#pragma once
#include "runtime/Session/SavedSequence.h"

namespace stepdown {

/// Saves a sequence as the file `path`, whole or not at all; a pipe has its bytes at once. E0903, E0960 where `path` is
/// the model's own or one of `inputs`, and what saveSequence refuses.
Status saveSequenceFile(Session &session, int32_t sequence, const SavedSequence &saved, const std::string &path,
                        std::vector<std::string> inputs = {});

/// A file or pipe that is read from its beginning.
class SequenceFile {
public:
  /// E0901.
  static Result<SequenceFile> open(const std::string &path);
  /// For SavedSequenceReader::open; lives as long as anyone keeps it. E0902, E1511.
  ReadBytes reader() const;
  /// E1511 where a file goes on; of a pipe that is not known.
  Status expectEnd() const;

private:
  struct Open;
  std::shared_ptr<const Open> file;
};

} // namespace stepdown
