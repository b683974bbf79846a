// --speculate: what guesses ahead while an answer is drawn.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "runtime/Speculation/Drafter.h"
#include "tools/stepdown-run/ModelSource.h"

namespace stepdown::run {

commandline::Option speculateOption();

/// What a command line says of it, before a model is loaded.
struct Speculate {
  enum class Kind { None, Ngram, Edit } kind = Kind::None;
  size_t longest = 0;     ///< of Ngram: tokens that are looked for
  std::string file, text; ///< of Edit: what is named, and what it says
  /// E0905, E09xx.
  static Result<Speculate> of(const commandline::Arguments &arguments);
};

/// Null for None. So many `sequences` of answers of `source` share steps, and with their guesses the rows of one.
/// E03xx.
Result<std::shared_ptr<const Speculator>> speculatorOf(const Speculate &how, const TextModel &source,
                                                       int32_t sequences);

} // namespace stepdown::run
