// --save-session and --load-session: an answer that goes on in another run.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "runtime/Generate/Generation.h"
#include "runtime/Session/SavedSequenceFile.h"
#include <optional>

namespace stepdown::run {

std::vector<commandline::Option> keptSessionOptions();

class KeptSession {
public:
  /// What the options say. `single`: one answer is drawn; E0905 where it is not. E0960 for a file to save that is one
  /// of the model's, of `guessing` (a file of --speculate, or empty), of the prompt or of the constraint: before any
  /// work.
  static Result<KeptSession> of(const commandline::Arguments &arguments, const std::string &guessing, bool single);
  /// Whether the sequence is loaded or saved, and has to be kept for that.
  bool wanted() const { return loads || saves; }
  /// Reads what is known of a saved one, but its keys and values; E0901, E0902, E151x.
  Status open(const Model &model);
  /// What was loaded; empty where nothing is.
  const SavedSequence &before() const { return saved; }
  /// The prompt of an answer behind it, and where that is drawn. `given`: new tokens, or none at all, for the answer
  /// that was broken off goes on; E0611 where there is none.
  Result<std::vector<int32_t>> prompt(const std::optional<std::vector<int32_t>> &given, Generation::Place &place) const;
  /// The sequence, with what was loaded. E0605, E0606, E0608, E1511.
  Result<int32_t> sequence(Session &session, const std::string &adapter);
  /// Saves it behind `answer`, where that is wanted and nothing went wrong. E0903, E0960.
  Status save(Session &session, const Generation &answer) const;

private:
  std::optional<std::string> loads, saves;
  std::vector<std::string> inputs; ///< which `saves` must not name
  std::optional<SequenceFile> file;
  std::optional<SavedSequenceReader> reader;
  SavedSequence saved;
  int32_t kept = -1;
};

} // namespace stepdown::run
