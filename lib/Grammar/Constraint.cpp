#include "lib/Grammar/Constraint.h"

#include "lib/Grammar/Gbnf.h"
#include "lib/Grammar/Matcher.h"
#include "lib/Grammar/Regex.h"
#include "lib/Grammar/Schema/Schema.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include <set>

namespace stepdown::grammar {
namespace {

constexpr size_t maxText = size_t(16) << 20;

Status checkText(const std::string &text) {
  if (text.size() > maxText)
    return fail(ErrorCode::GrammarText, "grammar: expects at most %zu bytes, but got %zu", maxText, text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = characterLength(rest);
    if (!length)
      return fail(ErrorCode::GrammarText, "grammar: offset %zu: expects UTF-8, but it is not",
                  text.size() - rest.size());
    rest.remove_prefix(length);
  }
  return Done{};
}

Result<Grammar> readChoices(const std::string &text) {
  std::set<std::string> choices;
  std::string choice;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == '\\')) {
      choice += text[++i];
      continue;
    }
    if (i < text.size() && text[i] != ',') {
      choice += text[i];
      continue;
    }
    if (choice.empty())
      return fail(ErrorCode::ChoiceList, "choices: offset %zu: expects a choice that is not empty", i);
    if (!choices.insert(choice).second)
      return fail(ErrorCode::ChoiceList, "choices: expects each choice once, but \"%.100s\" is there twice",
                  choice.c_str());
    choice.clear();
  }
  Grammar grammar;
  Nfa &nfa = grammar.rules[grammar.add("choices")].nfa;
  for (const std::string &each : choices)
    nfa.text(Nfa::start, each, Nfa::end);
  return grammar;
}

Result<Grammar> readRegex(const std::string &text) {
  Result<Dfa> language = matchingTexts(text);
  if (!language)
    return language.error();
  Grammar grammar;
  Nfa &nfa = grammar.rules[grammar.add("regular expression")].nfa;
  Speller(nfa, Spelling::Utf8).language(Nfa::start, *language, Nfa::end);
  if (Status ok = nfa.checkSize(); !ok)
    return ok.error();
  return grammar;
}

Result<std::shared_ptr<const Network>> compileAll(Result<Grammar> grammar) {
  if (!grammar)
    return grammar.error();
  Result<std::shared_ptr<const Network>> network = compile(std::move(*grammar));
  if (network && Configurations(*network).begin() == Configurations::tooMany)
    return fail(ErrorCode::ConstraintParses, "constraint: expects a text that begins in at most %zu ways at once",
                Configurations::maxStacks);
  return network;
}

} // namespace

Result<std::shared_ptr<const Network>> compileConstraint(Notation notation, const std::string &text) {
  if (Status ok = checkText(text); !ok)
    return ok.error();
  return compileAll(notation == Notation::Gbnf         ? readGbnf(text)
                    : notation == Notation::JsonSchema ? readSchema(text)
                    : notation == Notation::Regex      ? readRegex(text)
                                                       : readChoices(text));
}

Result<std::shared_ptr<const Network>> compileGbnf(const std::string &gbnf, const std::vector<SchemaRule> &schemas) {
  std::vector<OtherRule> others;
  SchemaWork spent;
  for (const SchemaRule &rule : schemas)
    others.push_back({rule.name, rule.where, [&spent, schema = &rule.schema]() -> Result<Grammar> {
                        if (Status good = checkText(*schema); !good)
                          return good.error();
                        return readSchema(*schema, &spent);
                      }});
  if (Status ok = checkText(gbnf); !ok)
    return ok.error();
  return compileAll(readGbnf(gbnf, others));
}

} // namespace stepdown::grammar
