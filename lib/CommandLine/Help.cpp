// --help of a command and of a tool, from their tables.
#include "lib/Base/Suggestion.h"
#include "lib/CommandLine/CommandLine.h"
#include <algorithm>
#include <cstdint>

namespace stepdown::commandline {
namespace {

constexpr size_t lineWidth = 110, widestOption = 28;

std::string spelling(const Option &option) {
  std::string text = (option.letter ? std::string("-") + option.letter + ", " : "    ") + "--" + option.name;
  if (!option.argument)
    return text;
  return text + (option.bare.empty() ? " " + std::string(option.argument) : "[=" + std::string(option.argument) + "]");
}

/// `text` in lines of at most `lineWidth` columns, all but the first behind `indent` blanks.
std::string wrapped(const std::string &text, size_t indent) {
  std::string out;
  size_t column = indent;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of(" \n", at), text.size());
    if (column > indent && column + 1 + (end - at) > lineWidth)
      out += "\n" + std::string(column = indent, ' ');
    else if (column > indent)
      out += " ", ++column;
    out.append(text, at, end - at);
    column += end - at;
    if (end < text.size() && text[end] == '\n')
      out += "\n" + std::string(column = indent, ' ');
    at = end + 1;
  }
  return out;
}

std::string indented(const std::string &text) {
  std::string out = "  ";
  for (char c : text)
    out += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return out;
}

} // namespace

std::string fullMeaning(const Option &option) {
  std::string text = option.meaning, more;
  const bool told = std::all_of(option.names.begin(), option.names.end(),
                                [&](const std::string &name) { return text.find(name) != text.npos; });
  if (!told)
    text += ": " + alternatives(option.names);
  if (option.kind == ValueKind::Whole && option.high < INT32_MAX)
    more = std::to_string(option.low) + " to " + std::to_string(option.high);
  if (option.repeatable)
    more += (more.empty() ? "" : "; ") + std::string("repeatable");
  if (!option.fallback.empty() || !option.otherwise.empty())
    more += (more.empty() ? "" : "; ") + std::string("default") + (option.fallback.empty() ? ": " : " ") +
            option.fallback + (option.fallback.empty() || option.otherwise.empty() ? "" : ": ") + option.otherwise;
  return more.empty() ? text : text + " (" + more + ")";
}

std::string synopsis(const Tool &tool, const Command &command) {
  std::string text = tool.name;
  for (std::string word : {command.name, command.positionals, command.options.empty() ? "" : "[options]"})
    text += word.empty() ? "" : " " + word;
  return text;
}

std::string helpText(const Tool &tool, const Command &command) {
  std::string text = "usage: " + synopsis(tool, command) + "\n\n" + wrapped(command.summary, 0) + "\n";
  if (*command.description)
    text += "\n" + wrapped(command.description, 0) + "\n";
  size_t width = 0;
  for (const Option &option : command.options)
    if (!option.isHeading())
      width = std::max(width, std::min(spelling(option).size(), widestOption));
  bool first = true;
  for (const Option &option : command.options) {
    if (option.isHeading()) {
      text += "\n" + option.meaning + "\n";
      first = false;
      continue;
    }
    if (first)
      text += "\n";
    first = false;
    const std::string left = spelling(option);
    text += "  " + left;
    text += left.size() > width ? "\n" + std::string(width + 4, ' ') : std::string(width - left.size() + 2, ' ');
    text += wrapped(fullMeaning(option), width + 4) + "\n";
  }
  return text + "\nExample\n" + indented(command.example) + "\n";
}

std::string overviewText(const Tool &tool) {
  size_t width = 0;
  for (const Command &command : tool.commands)
    width = std::max(width, std::string(command.name).size());
  std::string text =
      "usage: " + std::string(tool.name) + " COMMAND ... [options]\n\n" + wrapped(tool.description, 0) + "\n\n";
  for (const Command &command : tool.commands) {
    std::string name = command.name;
    text += "  " + name + std::string(width - name.size() + 2, ' ') + wrapped(command.summary, width + 4) + "\n";
  }
  return text + "\n" + tool.name + " COMMAND --help tells the options; " + tool.name + " --version what this is.\n";
}

} // namespace stepdown::commandline
