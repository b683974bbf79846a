#include "tools/stepdown-run/Options.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace stepdown::run {
namespace {

std::string spelled(const Option &option) {
  std::string text = option.letter ? std::string("-") + option.letter + (std::strlen(option.name) ? ", " : "") : "    ";
  if (std::strlen(option.name))
    text += std::string("--") + option.name;
  if (option.argument)
    text += std::string(" ") + option.argument;
  return text;
}

const char *nameOf(const Option &option) { return *option.name ? option.name : &option.letter; }

Error usage(const Command &command, const std::string &problem) {
  return fail(ErrorCode::Usage, "%s: %s; see stepdown-run %s --help", command.name, problem.c_str(), command.name);
}

} // namespace

std::optional<int64_t> parseInteger(const std::string &text) {
  char *end = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) || *end || errno)
    return std::nullopt;
  return value;
}

std::optional<double> parseReal(const std::string &text) {
  char *end = nullptr;
  errno = 0;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) || *end || value != value)
    return std::nullopt;
  return value;
}

Result<Arguments> Arguments::parse(const Command &command, int argc, char **argv) {
  Arguments result;
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
    bool isLong = word[1] == '-';
    std::string name = word.substr(isLong ? 2 : 1);
    std::optional<std::string> value;
    if (size_t equals = name.find('='); isLong && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (!isLong && name.size() > 1) {
      value = name.substr(1); // -n32
      name.resize(1);
    }
    const Option *found = nullptr;
    for (const Option &option : command.options)
      if (option.name && (isLong ? name == option.name : name[0] == option.letter))
        found = &option;
    if (!found)
      return usage(command, "expects an option that it knows, but got " + word);
    if (!found->argument && value)
      return usage(command, "expects no value for " + std::string(nameOf(*found)) + ", but got " + word);
    if (found->argument && !value) {
      if (i + 1 >= argc)
        return usage(command, "expects " + std::string(found->argument) + " after " + word + ", but nothing follows");
      value = argv[++i];
    }
    result.given.push_back({found, value.value_or("")});
  }
  return result;
}

const Arguments::Given *Arguments::last(const char *name) const {
  const Given *found = nullptr;
  for (const Given &g : given)
    if (!std::strcmp(g.option->name, name) || (!name[1] && g.option->letter == name[0]))
      found = &g;
  return found;
}

std::optional<std::string> Arguments::text(const char *name) const {
  const Given *g = last(name);
  return g ? std::optional(g->value) : std::nullopt;
}

std::vector<std::string> Arguments::all(const char *name) const {
  std::vector<std::string> values;
  for (const Given &g : given)
    if (!std::strcmp(g.option->name, name))
      values.push_back(g.value);
  return values;
}

Result<int64_t> Arguments::integer(const char *name, int64_t fallback, int64_t low, int64_t high) const {
  const Given *g = last(name);
  if (!g)
    return fallback;
  std::optional<int64_t> value = parseInteger(g->value);
  if (!value || *value < low || *value > high)
    return usage(*definition, "expects a whole number from " + std::to_string(low) + " to " + std::to_string(high) +
                                  " for " + name + ", but got \"" + g->value + "\"");
  return *value;
}

Result<std::vector<int64_t>> Arguments::integers(const char *name, int64_t low, int64_t high) const {
  std::vector<int64_t> values;
  const Given *g = last(name);
  for (size_t at = 0; g && at <= g->value.size();) {
    size_t comma = std::min(g->value.find(',', at), g->value.size());
    std::optional<int64_t> value = parseInteger(g->value.substr(at, comma - at));
    if (!value || *value < low || *value > high)
      return usage(*definition, "expects whole numbers from " + std::to_string(low) + " to " + std::to_string(high) +
                                    " with commas between for " + name + ", but got \"" + g->value + "\"");
    values.push_back(*value);
    at = comma + 1;
  }
  return values;
}

Result<double> Arguments::real(const char *name, double fallback) const {
  const Given *g = last(name);
  if (!g)
    return fallback;
  std::optional<double> value = parseReal(g->value);
  if (!value)
    return usage(*definition, "expects a number for " + std::string(name) + ", but got \"" + g->value + "\"");
  return *value;
}

Result<std::vector<std::string>> Arguments::positionals(size_t count) const {
  if (words.size() != count)
    return usage(*definition, "expects " + std::string(definition->positionals) + ", but got " +
                                  (words.empty() ? std::string("nothing") : std::to_string(words.size()) + " words"));
  return words;
}

std::string helpText(const Command &command) {
  std::string text = "stepdown-run " + std::string(command.name) + " " + command.positionals + " [options]\n  " +
                     command.summary + "\n";
  size_t width = 0;
  for (const Option &option : command.options)
    if (option.name)
      width = std::max(width, spelled(option).size());
  for (const Option &option : command.options) {
    if (!option.name) {
      text += "\n" + std::string(option.help) + "\n";
      continue;
    }
    std::string left = spelled(option);
    text += "  " + left + std::string(width - left.size() + 2, ' ') + option.help + "\n";
  }
  return text + "\nExample\n  " + command.example + "\n";
}

} // namespace stepdown::run
