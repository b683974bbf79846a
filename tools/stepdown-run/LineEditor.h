// What a person types: on a terminal with editing over rows and lines, a history, and completion; plain from a pipe.
//
// Enter ends the text. Alt-Enter (and Shift-Enter, where the terminal tells it from Enter) puts a line break into it,
// as does a backslash before Enter; pasted text keeps its line breaks. Keys are those of emacs, as in
// shells.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::run {

class LineEditor {
public:
  /// What the text before the cursor may become by Tab: whole texts.
  using Completer = std::function<std::vector<std::string>(const std::string &text)>;

  /// `prompt` is shown on terminals only. One that says it is dumb, or not what it is, edits its lines itself.
  explicit LineEditor(const char *prompt, Completer completer = {});
  ~LineEditor();
  /// What was typed next, without its end, or nothing at the end of input. An interrupt gives an empty text.
  std::optional<std::string> next();
  /// Whether a person sits there.
  bool interactive() const { return person; }

private:
  class Terminal;
  const std::string prompt;
  bool person = false;
  std::string pending; ///< was read, and belongs to later lines
  std::unique_ptr<Terminal> terminal;
};

} // namespace stepdown::run
