// Lines from a person: with editing and a history on a terminal (libedit), plain from a pipe.
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace stepdown::run {

class LineEditor {
public:
  /// `prompt` is shown on terminals only.
  explicit LineEditor(const char *prompt);
  ~LineEditor();
  /// The next line without its end, or nothing at the end of input. An interrupt gives an empty line.
  std::optional<std::string> next();
  bool interactive() const;

private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal;
};

} // namespace stepdown::run
