#include "lib/Grammar/Sample.h"
#include "runtime/Grammar/Constraint.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace stepdown::run {
namespace {

/// Whether the whole of `text` is one of the grammar's; a line's end behind it, which editors leave, is not counted.
std::string checked(const std::shared_ptr<const grammar::Network> &network, const std::string &file,
                    const std::string &text) {
  grammar::Matcher matcher(network);
  size_t taken = matcher.accept(text);
  const bool whole = taken == text.size();
  std::string why;
  if (whole && matcher.mayEnd())
    return "accepted " + file + "\n";
  if (!whole && text.substr(taken) == "\n") { // all of it was taken but for the end of the last line
    grammar::Matcher again(network);
    again.accept(std::string_view(text).substr(0, taken));
    if (again.mayEnd())
      return "accepted " + file + "\n";
    matcher = std::move(again);
    why = "the text ends too early";
  } else if (whole) {
    why = "the text ends too early";
  } else {
    char byte[8];
    std::snprintf(byte, sizeof byte, "%02x", static_cast<uint8_t>(text[taken]));
    why = "the byte " + std::string(byte) + " cannot follow";
  }
  return "refused " + file + ": offset " + std::to_string(taken) + ": " + why + "\n";
}

Status sample(const Arguments &arguments, const std::shared_ptr<const grammar::Network> &network) {
  const grammar::RandomTexts texts(network);
  const size_t budget = static_cast<size_t>(arguments.integer("length"));
  std::mt19937_64 random(static_cast<uint64_t>(arguments.integer("seed")));
  std::optional<MetadataSource> source;
  std::optional<ConstraintVocabulary> vocabulary;
  std::optional<grammar::TokenMasks> masks;
  if (auto model = arguments.text("vocabulary")) {
    auto opened = MetadataSource::open(*model);
    if (!opened)
      return opened.error();
    source.emplace(std::move(*opened));
    auto tokenizer = openTokenizer(source->metadata());
    if (!tokenizer)
      return tokenizer.error();
    vocabulary.emplace(*tokenizer, tokenizer->vocabularySize());
    masks.emplace(network, vocabulary->tree());
  }
  for (int64_t i = 0; i < arguments.integer("sample"); ++i) {
    auto text = masks ? texts.tokens(random, budget, *masks, vocabulary->all()) : texts.bytes(random, budget);
    if (!text)
      return text.error();
    if (Status printed = print((arguments.has("json") ? nlohmann::json(*text).dump() : *text) + "\n"); !printed)
      return printed;
  }
  return Done{};
}

Status runGrammar(const Arguments &arguments) {
  std::vector<std::string> files = arguments.all("check");
  files.insert(files.end(), arguments.allPositionals().begin(), arguments.allPositionals().end());
  if (files.size() > arguments.all("check").size() && !arguments.has("check"))
    return arguments.usage("expects options, but got \"" + files[0] + "\"");
  if (arguments.has("check") && arguments.has("sample"))
    return arguments.usage("expects --check or --sample, but got both");
  auto network = readConstraint(arguments, "gbnf");
  if (!network)
    return network.error();
  if (!*network)
    return arguments.usage("expects one of --gbnf, --json-schema, --regex and --choices");
  for (const std::string &file : files) {
    Result<std::string> text = readText(file);
    if (!text)
      return text.error();
    if (Status printed = print(checked(*network, file, *text)); !printed)
      return printed;
  }
  if (!files.empty())
    return Done{};
  if (arguments.has("sample"))
    return sample(arguments, *network);
  const size_t rules = static_cast<size_t>(
      std::count_if((*network)->starts.begin(), (*network)->starts.end(), [](int32_t start) { return start >= 0; }));
  return print(std::to_string((*network)->states.size()) + " states in " + std::to_string(rules) +
               (rules == 1 ? " rule\n" : " rules\n"));
}

} // namespace

Command grammarCommand() {
  Command command{"grammar",
                  "[FILE...]",
                  "Compiles a constraint and tells how large it is, checks texts against it, or prints random ones.",
                  constraintOptions("gbnf"),
                  "stepdown-run grammar --regex '[0-9]{4}-[0-9]{2}' --sample 3",
                  runGrammar};
  for (const Option &option : std::vector<Option>{
           {nullptr, 0, nullptr, "What to do with it (its size is told where neither is given)"},
           Option("check", 0, "FILE", "tell whether the text of this file, and of those named behind, is allowed")
               .file()
               .repeats(),
           Option("sample", 0, "N", "print N random texts that it allows").whole(1, 1000000),
           Option("length", 0, "N", "with --sample: after N bytes take the shortest way to the end")
               .whole(0, 1 << 20)
               .by("200"),
           Option("seed", 0, "S", "with --sample: of the random numbers").whole(INT64_MIN, INT64_MAX).by("0"),
           Option("vocabulary", 0, "MODEL", "with --sample: draw tokens of this model, as an answer would be").file(),
           {"json", 0, nullptr, "with --sample: print the texts as JSON strings, one a line"}})
    command.options.push_back(option);
  return command;
}

} // namespace stepdown::run
