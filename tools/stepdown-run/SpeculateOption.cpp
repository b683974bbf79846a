#include "tools/stepdown-run/SpeculateOption.h"

#include "runtime/Speculation/EditDrafter.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "tools/stepdown-run/Console.h"
#include <algorithm>

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;

Option speculateOption() {
  return Option("speculate", 0, "ngram[:N]|draft:MODEL|edit:FILE",
                "guess ahead, and compute several tokens in a step: what followed the last N tokens before (4 where N "
                "is not given), what a smaller model with the same tokens draws, or the text of a file of which the "
                "answer is an edition")
      .otherwiseIt("a token in each step");
}

Result<Speculate> Speculate::of(const Arguments &arguments) {
  Speculate how;
  const std::optional<std::string> given = arguments.text("speculate");
  if (!given)
    return how;
  const size_t colon = given->find(':');
  const std::string kind = given->substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : given->substr(colon + 1);
  if (kind == "ngram") {
    const auto number =
        colon == std::string::npos ? std::optional<int64_t>(NgramDrafter::usual) : commandline::parseInteger(rest);
    if (!number || *number < 1 || *number > int64_t(NgramDrafter::limit))
      return arguments.usage("expects 1 to " + std::to_string(NgramDrafter::limit) +
                             " tokens for --speculate=ngram:N, " + "but got \"" + rest + "\"");
    how.kind = Kind::Ngram;
    how.longest = static_cast<size_t>(*number);
    return how;
  }
  if ((kind != "edit" && kind != "draft") || rest.empty())
    return arguments.usage("expects ngram, ngram:N, draft:MODEL or edit:FILE for --speculate, but got \"" + *given +
                           "\"");
  how.kind = kind == "edit" ? Kind::Edit : Kind::Draft;
  how.file = rest;
  if (how.kind == Kind::Draft)
    return how;
  Result<std::string> text = readText(rest);
  if (!text)
    return text.error();
  how.text = std::move(*text);
  return how;
}

void boundGuesses(Speculator &speculator, const Model &model, int32_t sequences) {
  speculator.most =
      std::min<size_t>(speculator.most, std::max(2u, model.head().max_step_rows / uint32_t(sequences)) - 1);
}

Result<Guesses> guessesFor(const Speculate &how, const Arguments &arguments, const TextModel &source,
                           int32_t sequences) {
  Guesses guesses;
  std::shared_ptr<Speculator> made;
  if (how.kind == Speculate::Kind::Ngram) {
    made = std::make_shared<NgramSpeculator>(how.longest);
  } else if (how.kind == Speculate::Kind::Edit) {
    EncodeOptions plain;
    plain.addSpecial = false;
    Result<std::vector<int32_t>> tokens = source.tokenizer.encode(how.text, plain);
    if (!tokens)
      return tokens.error();
    made = std::make_shared<EditSpeculator>(std::move(*tokens));
  } else if (how.kind == Speculate::Kind::Draft) {
    auto opened = TextModel::open(arguments, how.file);
    if (!opened)
      return opened.error();
    guesses.model = std::move(*opened);
    if (Status same = expectSameTokens(source.tokenizer, guesses.model->tokenizer); !same)
      return same.error();
    made = guesses.draft = std::make_shared<DraftModel>(nullptr, guesses.model->tokenizer);
  }
  if (made)
    boundGuesses(*made, *source.model, sequences);
  guesses.speculator = std::move(made);
  return guesses;
}

Status Guesses::open(Session::Options options) {
  if (!draft)
    return Done{};
  const int32_t each = DraftModel::sequencesEach(*model->model);
  options.maxSequences *= each;
  options.kvPositions *= each;
  auto made = Session::create(model->model, options);
  if (!made)
    return made.error();
  session = std::move(*made);
  draft->use(*session);
  return Done{};
}

} // namespace stepdown::run
