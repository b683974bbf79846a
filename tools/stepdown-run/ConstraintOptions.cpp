#include "tools/stepdown-run/ConstraintOptions.h"

#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/JsonText.h"
#include <algorithm>

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;
using grammar::Notation;
using nlohmann::json;

std::vector<Option> constraintOptions(const char *grammarName) {
  return {{nullptr, 0, nullptr, "What the text has to be (one of)"},
          Option(grammarName, 0, "FILE", "a text of this grammar, in GBNF").file(),
          Option("json-schema", 0, "FILE|TEXT",
                 "JSON for which this JSON Schema (draft 2020-12) holds, from a file or, beginning with {, as it is")
              .file(),
          {"regex", 0, "RE", "a text that this regular expression (RE2's syntax) matches as a whole"},
          {"choices", 0, "A,B", "one of these texts; a comma in one is \\,"}};
}

Result<std::shared_ptr<const grammar::Network>> readConstraint(const Arguments &arguments, const char *grammarName) {
  const std::pair<const char *, Notation> notations[] = {{grammarName, Notation::Gbnf},
                                                         {"json-schema", Notation::JsonSchema},
                                                         {"regex", Notation::Regex},
                                                         {"choices", Notation::Choices}};
  const char *given = nullptr;
  Notation notation = Notation::Gbnf;
  for (auto [name, means] : notations)
    if (arguments.has(name)) {
      if (given)
        return arguments.usage(std::string("expects --") + given + " or --" + name + ", but got both");
      given = name;
      notation = means;
    }
  if (!given)
    return std::shared_ptr<const grammar::Network>();
  std::string text = arguments.value(given);
  const bool inPlace = notation == Notation::JsonSchema && text.find_first_not_of(" \t\r\n") != text.npos &&
                       text[text.find_first_not_of(" \t\r\n")] == '{';
  const std::string file = inPlace ? std::string("--json-schema") : text;
  if (!inPlace && (notation == Notation::Gbnf || notation == Notation::JsonSchema)) {
    Result<std::string> read = readText(text);
    if (!read)
      return read.error();
    text = std::move(*read);
  }
  if (notation == Notation::JsonSchema)
    if (Status ok = checkJson(text, file); !ok)
      return ok.error();
  return grammar::compileConstraint(notation, text);
}

std::shared_ptr<Constraint> Constraints::of(const std::shared_ptr<const grammar::Network> &grammar) {
  if (!grammar)
    return nullptr;
  if (!vocabulary)
    vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer, columns);
  std::shared_ptr<Constraint> &constraint = made[grammar];
  if (!constraint)
    constraint = std::make_shared<Constraint>(grammar, vocabulary);
  return constraint;
}

std::optional<Notation> constraintField(const std::string &name) {
  if (name == "grammar")
    return Notation::Gbnf;
  if (name == "json_schema")
    return Notation::JsonSchema;
  if (name == "regex")
    return Notation::Regex;
  if (name == "choices")
    return Notation::Choices;
  return std::nullopt;
}

std::optional<std::string> constraintText(Notation notation, const json &value) {
  if (value.is_string())
    return value.get<std::string>();
  if (notation == Notation::JsonSchema && value.is_object())
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (notation != Notation::Choices || !value.is_array())
    return std::nullopt;
  std::string text;
  for (size_t i = 0; i < value.size(); ++i) {
    if (!value[i].is_string())
      return std::nullopt;
    text += i ? "," : "";
    for (char c : value[i].get<std::string>())
      text += c == ',' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return text;
}

} // namespace stepdown::run
