// The options of a command: declared once in a table, from which both parsing and --help follow.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::run {

struct Option {
  const char *name;     ///< "max-tokens", without the dashes; null for a heading
  char letter;          ///< 'n', or 0
  const char *argument; ///< "N", or null for a flag
  const char *help;     ///< one line, what it does and the default; the heading's text
};

class Arguments;

struct Command {
  const char *name;
  const char *positionals; ///< "MODEL"
  const char *summary;     ///< one sentence
  std::vector<Option> options;
  const char *example; ///< what to type; one line each
  Status (*run)(const Arguments &);
};

/// The words of one command line, checked against the command's table.
class Arguments {
public:
  /// E0905 for an unknown option, a missing value or a value for a flag.
  static Result<Arguments> parse(const Command &command, int argc, char **argv);

  bool has(const char *name) const { return last(name) != nullptr; }
  std::optional<std::string> text(const char *name) const;
  std::vector<std::string> all(const char *name) const;
  /// A whole number from `low` to `high`, or `fallback` where the option was not given; E0905.
  Result<int64_t> integer(const char *name, int64_t fallback, int64_t low, int64_t high) const;
  /// "1,2,3" as numbers from `low` to `high`; E0905.
  Result<std::vector<int64_t>> integers(const char *name, int64_t low, int64_t high) const;
  Result<double> real(const char *name, double fallback) const;
  /// Exactly `count` positional words, of which the first are named in the command; E0905.
  Result<std::vector<std::string>> positionals(size_t count) const;
  bool help() const { return wantsHelp; }
  const Command &command() const { return *definition; }

private:
  struct Given {
    const Option *option;
    std::string value;
  };
  const Given *last(const char *name) const;
  const Command *definition = nullptr;
  std::vector<Given> given;
  std::vector<std::string> words;
  bool wantsHelp = false;
};

/// What `command --help` prints.
std::string helpText(const Command &command);

/// A whole or real number that fills all of `text`; none otherwise.
std::optional<int64_t> parseInteger(const std::string &text);
std::optional<double> parseReal(const std::string &text);

} // namespace stepdown::run
