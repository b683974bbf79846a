#include "lib/CommandLine/CommandLine.h"

#include "lib/Base/Suggestion.h"
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace stepdown::commandline {
namespace {

Error usageError(const Tool &tool, const Command &command, const std::string &problem) {
  const std::string name = command.name, typed = tool.name + (name.empty() ? "" : " " + name);
  return fail(ErrorCode::Usage, "%s%s; see %s --help", name.empty() ? "" : (name + ": ").c_str(), problem.c_str(),
              typed.c_str());
}

std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

std::string join(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// The option that a word like --name, --name=value, -n or -nvalue names, and the value in it.
const Option *findOption(const Command &command, const std::string &word, std::optional<std::string> &value) {
  const bool isLong = word[1] == '-';
  std::string name = word.substr(isLong ? 2 : 1);
  if (size_t equals = name.find('='); isLong && equals != std::string::npos) {
    value = name.substr(equals + 1);
    name.resize(equals);
  } else if (!isLong && name.size() > 1) {
    value = name.substr(1); // -n32
    name.resize(1);
  }
  for (const Option &option : command.options)
    if (!option.isHeading() && (isLong ? !name.empty() && name == option.name : name[0] == option.letter))
      return &option;
  return nullptr;
}

std::string unknownOption(const Command &command, const std::string &word) {
  std::vector<std::string> names = {"help"};
  for (const Option &option : command.options)
    if (!option.isHeading())
      names.push_back(option.name);
  std::string typed = word.substr(word.find_first_not_of('-'));
  return "expects an option that it knows, but got " + word +
         (word[1] == '-' ? suggestion(typed.substr(0, typed.find('=')), names, "--") : "");
}

} // namespace

std::optional<int64_t> parseInteger(const std::string &text) {
  char *end = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) || end != text.c_str() + text.size() || errno)
    return std::nullopt;
  return value;
}

std::optional<double> parseReal(const std::string &text) {
  char *end = nullptr;
  errno = 0;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) || end != text.c_str() + text.size() ||
      value != value)
    return std::nullopt;
  return value;
}

std::string problemWith(const Option &option, const std::string &value) {
  const std::string name = std::string("--") + option.name, got = ", but got \"" + value + "\"";
  const bool numbers = option.kind == ValueKind::Whole || option.kind == ValueKind::Real;
  if (!numbers && option.kind != ValueKind::Name) {
    const bool path = option.kind == ValueKind::File || option.kind == ValueKind::Folder;
    return path && value.empty() ? "expects " + std::string(option.argument) + " for " + name + ", but it is empty"
                                 : "";
  }
  for (const std::string &part : option.list ? split(value) : std::vector<std::string>{value}) {
    if (option.kind == ValueKind::Whole) {
      std::optional<int64_t> number = parseInteger(part);
      if (!number || *number < option.low || *number > option.high)
        return (option.list ? "expects whole numbers from " : "expects a whole number from ") +
               std::to_string(option.low) + " to " + std::to_string(option.high) +
               (option.list ? " with commas between for " : " for ") + name + got;
    } else if (option.kind == ValueKind::Real) {
      if (!parseReal(part))
        return "expects a number for " + name + got;
    } else if (!option.open && std::find(option.names.begin(), option.names.end(), part) == option.names.end()) {
      return "expects " + std::string(option.names.size() > 1 ? "one of " : "") + join(option.names) +
             (option.list ? " with commas between for " : " for ") + name + got + suggestion(part, option.names);
    }
  }
  return "";
}

const Command *Tool::find(const std::string &wanted) const {
  for (const Command &command : commands)
    if (wanted == command.name)
      return &command;
  return nullptr;
}

Result<Arguments> Arguments::parse(const Tool &tool, const Command &command, int argc, const char *const *argv) {
  Arguments result;
  result.owner = &tool;
  result.definition = &command;
  bool onlyWords = false;
  for (int i = 0; i < argc; ++i) {
    std::string word = argv[i];
    if (onlyWords || word.size() < 2 || word[0] != '-' || (word.size() == 2 && std::isdigit(word[1]))) {
      result.words.push_back(word);
      continue;
    }
    if (word == "--") {
      onlyWords = true;
      continue;
    }
    if (word == "--help" || word == "-h") {
      result.wantsHelp = true;
      continue;
    }
    std::optional<std::string> value;
    const Option *found = findOption(command, word, value);
    if (!found)
      return usageError(tool, command, unknownOption(command, word));
    if (!found->argument && value)
      return usageError(tool, command, "expects no value for --" + std::string(found->name) + ", but got " + word);
    if (found->argument && !value && !found->bare.empty())
      value = found->bare;
    if (found->argument && !value) {
      if (i + 1 >= argc)
        return usageError(tool, command,
                          "expects " + std::string(found->argument) + " after " + word + ", but nothing follows");
      value = argv[++i];
    }
    if (std::string problem = problemWith(*found, value.value_or("")); found->argument && !problem.empty())
      return usageError(tool, command, problem);
    result.given.push_back({found, value.value_or("")});
  }
  return result;
}

const Arguments::Given *Arguments::last(const char *name) const {
  const Given *found = nullptr;
  for (const Given &g : given)
    if (!std::strcmp(g.option->name, name))
      found = &g;
  return found;
}

// A name that the table lacks is a mistake of the tool, and so found by its first test.
const Option &Arguments::declared(const char *name) const {
  for (const Option &option : definition->options)
    if (!option.isHeading() && !std::strcmp(option.name, name))
      return option;
  std::abort();
}

std::optional<std::string> Arguments::text(const char *name) const {
  const Given *g = last(name);
  return g ? std::optional(g->value) : std::nullopt;
}

std::string Arguments::value(const char *name) const {
  const Given *g = last(name);
  return g ? g->value : declared(name).fallback;
}

std::vector<std::string> Arguments::all(const char *name) const {
  std::vector<std::string> values;
  for (const Given &g : given)
    if (!std::strcmp(g.option->name, name))
      values.push_back(g.value);
  return values;
}

int64_t Arguments::integer(const char *name, int64_t absent) const {
  return parseInteger(value(name)).value_or(absent);
}

double Arguments::real(const char *name, double absent) const { return parseReal(value(name)).value_or(absent); }

std::vector<int64_t> Arguments::integers(const char *name) const {
  std::vector<int64_t> numbers;
  if (const std::string list = value(name); !list.empty())
    for (const std::string &part : split(list))
      numbers.push_back(parseInteger(part).value_or(0));
  return numbers;
}

Result<std::vector<std::string>> Arguments::positionals(size_t count) const {
  if (words.size() != count)
    return usage("expects " + std::string(definition->positionals) + ", but got " +
                 (words.empty() ? std::string("nothing") : std::to_string(words.size()) + " words"));
  return words;
}

Result<std::vector<std::string>> Arguments::somePositionals() const {
  if (words.empty())
    return usage("expects " + std::string(definition->positionals) + ", but got nothing");
  return words;
}

Error Arguments::usage(const std::string &problem) const { return usageError(*owner, *definition, problem); }

} // namespace stepdown::commandline
