// --speculate: what guesses ahead while an answer is drawn.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "runtime/Speculation/DraftModel.h"
#include "tools/stepdown-run/ModelSource.h"

namespace stepdown::run {

commandline::Option speculateOption();

/// What a command line says of it, before a model is loaded.
struct Speculate {
  enum class Kind { None, Ngram, Draft, Edit } kind = Kind::None;
  size_t longest = 0;     ///< of Ngram: tokens that are looked for
  std::string file, text; ///< of Draft and Edit: what is named; of Edit: what it says
  /// E0905, E09xx.
  static Result<Speculate> of(const commandline::Arguments &arguments);
};

/// What guesses, with what it needs; must outlive the answers.
struct Guesses {
  std::shared_ptr<const Speculator> speculator; ///< null for None
  std::unique_ptr<TextModel> model;             ///< of Draft
  std::unique_ptr<Session> session;             ///< of it
  std::shared_ptr<DraftModel> draft;
  /// Makes the session of a draft model, for answers that are drawn in one of `options`; E0601, E0602, E1045.
  Status open(Session::Options options);
};

/// So many `sequences` of answers of `model` share the rows of a step: each may guess as much as leaves every other its
/// rows, and one guess at least, which has the room that others leave.
void boundGuesses(Speculator &speculator, const Model &model, int32_t sequences);

/// So many `sequences` of answers of `source` share steps, and with their guesses the rows of one. E03xx; of a draft
/// model what loading one refuses, and E1501.
Result<Guesses> guessesFor(const Speculate &how, const commandline::Arguments &arguments, const TextModel &source,
                           int32_t sequences);

} // namespace stepdown::run
