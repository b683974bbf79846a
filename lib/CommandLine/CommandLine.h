// The option table of a program: each command and option is declared once, with its meaning, values, limits and
// default. From the table follow parsing and its refusals, --help, the completion of shells, and the manual page.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::commandline {

enum class ValueKind : uint8_t {
  None,   ///< a flag
  Text,   ///< anything
  File,   ///< a path that shells complete
  Folder, ///< the same of a folder
  Whole,  ///< a whole number from `low` to `high`
  Real,   ///< a number that is not NaN; its limits are checked where it is used
  Name,   ///< one of `names`
};

struct Option {
  Option(const char *name, char letter, const char *argument, std::string meaning)
      : name(name), letter(letter), argument(argument), meaning(std::move(meaning)),
        kind(argument ? ValueKind::Text : ValueKind::None) {}

  const char *name;     ///< "max-tokens", without the dashes; null for a heading
  char letter;          ///< 'n', or 0
  const char *argument; ///< "N", or null for a flag
  std::string meaning;  ///< what it does, without default and limits; the heading's text
  ValueKind kind;
  bool list = false;       ///< several values with commas between
  bool open = false;       ///< of Name: another value is refused where it is used, by who knows more than the table
  bool repeatable = false; ///< each one counts, not the last alone
  int64_t low = 0, high = 0;
  std::vector<std::string> names;
  std::string fallback;  ///< the value where the option is not given, as it would be typed; empty for none
  std::string otherwise; ///< what happens where the option is not given, where that is no value
  std::string bare;      ///< the value of the option without one, which then takes it after = alone

  // How a table says the rest: Option("threads", 't', "N", "threads").whole(1, 1024).otherwiseIt("one per core").
  Option &file() { return as(ValueKind::File); }
  Option &folder() { return as(ValueKind::Folder); }
  Option &real() { return as(ValueKind::Real); }
  Option &whole(int64_t least, int64_t most) {
    low = least, high = most;
    return as(ValueKind::Whole);
  }
  Option &oneOf(std::vector<std::string> values) {
    names = std::move(values);
    return as(ValueKind::Name);
  }
  Option &among(std::vector<std::string> values) {
    open = true;
    return oneOf(std::move(values));
  }
  Option &lists() { return list = true, *this; }
  Option &repeats() { return repeatable = true, *this; }
  Option &by(std::string value) { return fallback = std::move(value), *this; }
  Option &otherwiseIt(std::string text) { return otherwise = std::move(text), *this; }
  Option &orBare(std::string value) { return bare = std::move(value), *this; }

  bool isHeading() const { return !name; }

private:
  Option &as(ValueKind wanted) { return kind = wanted, *this; }
};

class Arguments;

struct Command {
  const char *name;        ///< empty where the tool is one command
  const char *positionals; ///< "MODEL"
  const char *summary;     ///< one sentence
  std::vector<Option> options;
  const char *example; ///< what to type; one line each
  Status (*run)(const Arguments &);
  const char *description = ""; ///< what else --help and the manual page tell
};

struct Tool {
  const char *name;    ///< as it is typed
  const char *summary; ///< "runs ...", for the manual page's first line
  const char *description;
  const char *version; ///< "stepdown 0.1.0"
  std::vector<Command> commands;

  const Command *find(const std::string &name) const;
};

/// The words of one command line, checked against the command's table.
class Arguments {
public:
  /// E0905 for an unknown option, a missing value, a value for a flag, or one outside the table's limits or names.
  static Result<Arguments> parse(const Tool &tool, const Command &command, int argc, const char *const *argv);

  bool has(const char *name) const { return last(name) != nullptr; }
  /// As given, or nothing.
  std::optional<std::string> text(const char *name) const;
  /// As given, or the table's default.
  std::string value(const char *name) const;
  std::vector<std::string> all(const char *name) const;
  /// As given, or the table's default, or `absent` where there is none.
  int64_t integer(const char *name, int64_t absent = 0) const;
  double real(const char *name, double absent = 0) const;
  /// "1,2,3" as numbers, in their order.
  std::vector<int64_t> integers(const char *name) const;
  /// Exactly `count` positional words, of which the first are named in the command; E0905.
  Result<std::vector<std::string>> positionals(size_t count) const;
  /// All positional words, at least one; E0905.
  Result<std::vector<std::string>> somePositionals() const;
  /// All positional words, of a command that takes any number.
  const std::vector<std::string> &allPositionals() const { return words; }
  bool help() const { return wantsHelp; }
  const Command &command() const { return *definition; }
  const Tool &tool() const { return *owner; }
  /// An E0905 about this command line: "generate: PROBLEM; see stepdown-run generate --help".
  Error usage(const std::string &problem) const;

private:
  struct Given {
    const Option *option;
    std::string value;
  };
  const Given *last(const char *name) const;
  const Option &declared(const char *name) const;
  const Tool *owner = nullptr;
  const Command *definition = nullptr;
  std::vector<Given> given;
  std::vector<std::string> words;
  bool wantsHelp = false;
};

/// Why `value` is none that `option` takes: "expects ..., but got ...", or empty.
std::string problemWith(const Option &option, const std::string &value);

/// "stepdown-run generate MODEL [options]".
std::string synopsis(const Tool &tool, const Command &command);
/// What `command --help` prints; of a tool with several commands, what `PROGRAM --help` prints.
std::string helpText(const Tool &tool, const Command &command);
std::string overviewText(const Tool &tool);
/// "meaning (1 to 1024; default 256)", as help, completion and manual page tell it.
std::string fullMeaning(const Option &option);

/// Completion for a shell, "bash" or "zsh": a script that it reads.
std::string completionScript(const Tool &tool, const std::string &shell);
/// The manual page, in roff's man macros.
std::string manualPage(const Tool &tool);

/// A whole or real number that fills all of `text`; none otherwise.
std::optional<int64_t> parseInteger(const std::string &text);
std::optional<double> parseReal(const std::string &text);

} // namespace stepdown::commandline
