// The manual page of a tool, from its option table, in the man macros of roff.
#include "lib/CommandLine/CommandLine.h"
#include <cctype>

namespace stepdown::commandline {
namespace {

/// Text that roff must not read: backslashes, dashes that are typed as such, and dots and quotes at a line's beginning.
std::string escaped(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((i == 0 || text[i - 1] == '\n') && (c == '.' || c == '\''))
      out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\'')
      out += "\\(aq";
    else if (c == '~')
      out += "\\(ti";
    else if (c == '^')
      out += "\\(ha";
    else if (c == '`')
      out += "\\(ga";
    else
      out += c;
  }
  return out;
}

std::string upper(std::string text) {
  for (char &c : text)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// A word of a macro's line, in which quotes would end it.
std::string argument(const std::string &text) {
  std::string out = "\"";
  for (char c : escaped(text))
    out += c == '"' ? std::string("\\(dq") : std::string(1, c);
  return out + "\"";
}

std::string optionEntry(const Option &option) {
  std::string tag;
  if (option.letter)
    tag = "\\fB\\-" + std::string(1, option.letter) + "\\fR";
  tag += (tag.empty() ? "" : ", ") + std::string("\\fB\\-\\-") + escaped(option.name) + "\\fR";
  if (option.argument) {
    const std::string value = "\\fI" + escaped(option.argument) + "\\fR";
    tag += option.bare.empty() ? " " + value : "[=" + value + "]";
  }
  return ".TP\n" + tag + "\n" + escaped(fullMeaning(option)) + "\n";
}

std::string examples(const Command &command) { return ".PP\n.EX\n" + escaped(command.example) + "\n.EE\n"; }

std::string optionEntries(const Command &command) {
  std::string text;
  for (const Option &option : command.options)
    text += option.isHeading() ? ".PP\n\\fI" + escaped(option.meaning) + "\\fR\n" : optionEntry(option);
  return text;
}

} // namespace

std::string manualPage(const Tool &tool) {
  const std::string name = tool.name;
  const bool single = !*tool.commands.front().name;
  std::string text = ".\\\" Written from the option table of " + name + ".\n.TH " + argument(upper(name)) + " 1 \"\" " +
                     argument(tool.version) + " \"User Commands\"\n.SH NAME\n" + escaped(name) + " \\- " +
                     escaped(tool.summary) + "\n.SH SYNOPSIS\n";
  for (const Command &command : tool.commands)
    text += (&command == &tool.commands.front() ? "" : ".br\n") + escaped(synopsis(tool, command)) + "\n";
  text += ".SH DESCRIPTION\n" + escaped(tool.description) + "\n";
  if (single) {
    const Command &command = tool.commands.front();
    text += ".SH OPTIONS\n" + optionEntries(command) + ".SH EXAMPLES\n" + examples(command);
  } else {
    text += ".SH COMMANDS\n";
    for (const Command &command : tool.commands) {
      text += ".SS " + argument(command.name) + "\n" + escaped(command.summary) + "\n";
      if (*command.description)
        text += ".PP\n" + escaped(command.description) + "\n";
      text += optionEntries(command);
      text += examples(command);
    }
  }
  return text + ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nRefused or failed, with one message on the standard error "
                "stream: its number is explained in docs/errors.md.\n.TP\n2\nWrong usage.\n";
}

} // namespace stepdown::commandline
