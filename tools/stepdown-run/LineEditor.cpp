// The text is drawn whole after each key, or burst of keys. Rows that are full are left to the terminal to wrap: then a
// terminal that changes its size can put the row together again, and text that somebody copies has no line breaks that
// nobody typed. After a change of size the cursor is taken to be where the text, laid out anew, has it.
#include "tools/stepdown-run/LineEditor.h"

#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/EditedText.h"
#include "tools/stepdown-run/Keys.h"
#include "tools/stepdown-run/LineHistory.h"
#include "tools/stepdown-run/RawTerminal.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace stepdown::run {

class LineEditor::Terminal {
public:
  Terminal(const char *prompt, Completer completer) : prompt(prompt), completer(std::move(completer)) {
    history = kept.load();
  }

  std::optional<std::string> edit() {
    if (!raw.enter())
      return std::nullopt;
    auto typed = editRaw();
    raw.leave();
    return typed;
  }

private:
  std::optional<std::string> editRaw() {
    text = {};
    place = history.size();
    draft.clear();
    shownRow = shownTop = 0;
    draw();
    while (true) {
      Key key;
      if (!read(key)) {
        leave("");
        return std::nullopt;
      }
      if (key.kind == KeyKind::Interrupt) {
        leave("^C");
        return "";
      }
      if (key.kind == KeyKind::EndOfInput && text.empty())
        return std::nullopt;
      if (key.kind == KeyKind::Enter && !continues()) {
        leave("");
        remember();
        return text.text();
      }
      if (key.kind == KeyKind::Search ? !search() : !apply(key)) {
        leave("");
        return std::nullopt;
      }
      if (bytes.empty()) // else more is to come
        draw();
    }
  }

  static void write(std::string_view text) {
    std::fflush(stdout);
    while (!text.empty()) {
      const ssize_t some = ::write(STDOUT_FILENO, text.data(), text.size());
      if (some < 0 && errno != EINTR)
        return;
      text.remove_prefix(some > 0 ? static_cast<size_t>(some) : 0);
    }
  }

  static winsize size() {
    winsize window = {};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0)
      window.ws_col = 80;
    if (window.ws_row == 0)
      window.ws_row = 24;
    window.ws_col = std::max<unsigned short>(window.ws_col, 8);
    return window;
  }
  size_t width() const { return size().ws_col; }

  /// The next key; false at the end of input.
  bool read(Key &key) {
    while (true) {
      if (takeKey(bytes, false, key))
        return true;
      pollfd wait[] = {{STDIN_FILENO, POLLIN, 0}, {raw.resizes(), POLLIN, 0}, {interruptsToPoll(), POLLIN, 0}};
      const int ready = poll(wait, 3, patience(bytes));
      if (interrupted()) { // from elsewhere: as a key it comes with the bytes
        key.kind = KeyKind::Interrupt;
        return true;
      }
      if (ready == 0 && takeKey(bytes, true, key))
        return true;
      if (ready <= 0)
        continue;
      if (wait[1].revents) {
        raw.takeResize();
        redrawResized();
        continue;
      }
      char some[4096];
      const ssize_t got = ::read(STDIN_FILENO, some, sizeof some);
      if (got > 0)
        bytes.append(some, static_cast<size_t>(got));
      else if (got == 0 || (errno != EINTR && errno != EAGAIN))
        return false;
    }
  }

  /// A backslash at the end of the line with the cursor behind it, which becomes a line break.
  bool continues() {
    const std::string &typed = text.text();
    const size_t at = text.cursor();
    if (at == 0 || typed[at - 1] != '\\' || (at < typed.size() && typed[at] != '\n'))
      return false;
    text.eraseLeft();
    return true;
  }

  /// What `key` does to the text; false when there is nothing more to read.
  bool apply(const Key &key) {
    switch (key.kind) {
    case KeyKind::Text:
    case KeyKind::Paste:
      text.insert(key.text);
      break;
    case KeyKind::Enter: // after a backslash
    case KeyKind::NewLine:
      text.insert("\n");
      break;
    case KeyKind::Tab:
      complete();
      break;
    case KeyKind::Left:
      text.left();
      break;
    case KeyKind::Right:
      text.right();
      break;
    case KeyKind::Up:
      if (!text.rowUp(prompt, width()))
        recall(-1);
      break;
    case KeyKind::Down:
      if (!text.rowDown(prompt, width()))
        recall(1);
      break;
    case KeyKind::Home:
      text.lineBegin();
      break;
    case KeyKind::End:
      text.lineEnd();
      break;
    case KeyKind::WordLeft:
      text.wordLeft();
      break;
    case KeyKind::WordRight:
      text.wordRight();
      break;
    case KeyKind::Backspace:
      text.eraseLeft();
      break;
    case KeyKind::Delete:
    case KeyKind::EndOfInput:
      text.eraseRight();
      break;
    case KeyKind::KillWordLeft:
      killed = text.killWordLeft();
      break;
    case KeyKind::KillSpaceLeft:
      killed = text.killSpaceLeft();
      break;
    case KeyKind::KillWordRight:
      killed = text.killWordRight();
      break;
    case KeyKind::KillToBegin:
      killed = text.killToLineBegin();
      break;
    case KeyKind::KillToEnd:
      killed = text.killToLineEnd();
      break;
    case KeyKind::Yank:
      text.insert(killed);
      break;
    case KeyKind::Swap:
      text.swapLetters();
      break;
    case KeyKind::Clear:
      write("\x1b[H\x1b[2J");
      shownRow = shownTop = 0;
      break;
    case KeyKind::Suspend:
      suspend();
      break;
    default:
      break;
    }
    return true;
  }

  void suspend() {
    leave("");
    raw.leave();
    raise(SIGTSTP);
    raw.enter(); // the shell has put us into the foreground again
    shownRow = shownTop = 0;
  }

  void recall(int by) {
    if ((by < 0 && place == 0) || (by > 0 && place == history.size()))
      return;
    if (place == history.size())
      draft = text.text();
    place += static_cast<size_t>(by);
    text.set(place == history.size() ? draft : history[place]);
  }

  void remember() {
    const std::string &typed = text.text();
    if (typed.find_first_not_of(" \t\r\n") == std::string::npos)
      return;
    if (history.empty() || history.back() != typed)
      history.push_back(typed);
    if (history.size() > LineHistory::mostLines)
      history.erase(history.begin());
    kept.add(typed);
  }

  void complete() {
    const std::string before = text.text().substr(0, text.cursor());
    std::vector<std::string> found = completer ? completer(before) : std::vector<std::string>{};
    if (found.empty())
      return;
    std::string common = found[0];
    for (const std::string &other : found) {
      auto differs = std::mismatch(common.begin(), common.end(), other.begin(), other.end());
      common.erase(differs.first, common.end());
    }
    if (common.size() > before.size()) {
      const std::string behind = text.text().substr(text.cursor());
      text.set(common + (found.size() == 1 ? " " : "") + behind);
      text.moveTo(text.text().size() - behind.size());
    } else if (found.size() > 1) {
      leave("");
      std::string list;
      for (const std::string &each : found)
        list += each + "\r\n";
      write(list);
    }
  }

  /// Looks for what is typed in the history, newest first; the key that ends it is done. False at the end of input.
  bool search() {
    const EditedText before = text;
    EditedText wanted;
    size_t at = history.size();
    auto find = [&](size_t below) {
      for (size_t i = below; i-- > 0;)
        if (history[i].find(wanted.text()) != std::string::npos) {
          text.set(history[i]);
          at = i;
          return;
        }
    };
    for (Key key;;) {
      draw("(search: " + wanted.text() + ") ");
      if (!read(key))
        return false;
      if (key.kind == KeyKind::Text) {
        wanted.insert(key.text);
        find(std::min(at + 1, history.size()));
      } else if (key.kind == KeyKind::Search) {
        find(at);
      } else if (key.kind == KeyKind::Backspace && !wanted.empty()) {
        wanted.eraseLeft();
        text = before;
        at = history.size();
        if (!wanted.empty())
          find(at);
      } else if (key.kind == KeyKind::Cancel || key.kind == KeyKind::Interrupt) {
        text = before;
        return true;
      } else {
        if (at < history.size())
          place = at;
        if (key.kind == KeyKind::Enter) // ends the text as well
          bytes.insert(0, "\r");
        return key.kind == KeyKind::Enter || apply(key);
      }
    }
  }

  /// Draws everything: from the first of the rows that are there, with what of the text goes on the screen.
  void draw(const std::string &shownPrompt) {
    const winsize window = size();
    const TextLayout layout = text.layout(shownPrompt, window.ws_col);
    const size_t most = window.ws_row, count = layout.rows.size();
    size_t top = std::min(shownTop, layout.cursorRow);
    if (layout.cursorRow >= top + most)
      top = layout.cursorRow + 1 - most;
    if (count <= most)
      top = 0;
    const size_t end = std::min(count, top + most);
    std::string out = "\r";
    if (shownRow > shownTop)
      out += "\x1b[" + std::to_string(shownRow - shownTop) + "A";
    out += "\x1b[J";
    for (size_t row = top; row < end; ++row) {
      out += layout.rows[row].bytes;
      // A full row goes on by itself, once there is something to go on with.
      if (row + 1 < end && (!layout.rows[row].broken || layout.rows[row + 1].bytes.empty()))
        out += "\r\n";
    }
    if (end - 1 > layout.cursorRow)
      out += "\x1b[" + std::to_string(end - 1 - layout.cursorRow) + "A";
    out += "\r";
    if (layout.cursorColumn > 0)
      out += "\x1b[" + std::to_string(layout.cursorColumn) + "C";
    write(out);
    shownRow = layout.cursorRow;
    shownTop = top;
    drawnPrompt = shownPrompt;
    ownRow = hasOwnRow(layout);
  }
  void draw() { draw(prompt); }

  /// Whether the cursor is below a row that is full, on one that holds nothing.
  static bool hasOwnRow(const TextLayout &layout) {
    return layout.cursorRow > 0 && layout.rows[layout.cursorRow - 1].broken &&
           layout.rows[layout.cursorRow].bytes.empty();
  }

  // A row for the cursor alone was begun by us, so it is there with any width; where the text only now fills its row,
  // the cursor is still behind it.
  void redrawResized() {
    const TextLayout layout = text.layout(drawnPrompt, width());
    shownRow = layout.cursorRow - hasOwnRow(layout) + ownRow;
    shownTop = 0;
    draw(drawnPrompt);
  }

  /// Puts the cursor on the row behind the text, after `mark`.
  void leave(const char *mark) {
    const size_t cursor = text.cursor();
    text.moveTo(text.text().size());
    draw();
    write(std::string(mark) + "\r\n");
    text.moveTo(cursor);
    shownRow = shownTop = 0;
  }

  RawTerminal raw;
  const std::string prompt;
  const Completer completer;
  const LineHistory kept = LineHistory::ofUser();
  std::vector<std::string> history; ///< oldest first
  size_t place = 0;                 ///< in the history; behind it for what is new
  std::string draft;                ///< what is new, while something of the history is shown
  EditedText text;
  std::string killed, bytes;
  std::string drawnPrompt;
  bool ownRow = false;               ///< as drawn, the cursor has one
  size_t shownRow = 0, shownTop = 0; ///< of the layout: the cursor's row, and the first that is on the screen
};

LineEditor::LineEditor(const char *prompt, Completer completer) : prompt(prompt) {
  const char *kind = std::getenv("TERM");
  person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  if (person && kind && *kind && std::strcmp(kind, "dumb") != 0)
    terminal = std::make_unique<Terminal>(prompt, std::move(completer));
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::next() {
  if (terminal)
    return terminal->edit();
  if (person) {
    std::fputs(prompt.c_str(), stdout);
    std::fflush(stdout);
  }
  size_t end;
  while ((end = pending.find('\n')) == pending.npos) {
    pollfd wait[] = {{STDIN_FILENO, POLLIN, 0}, {interruptsToPoll(), POLLIN, 0}};
    const int ready = poll(wait, 2, -1);
    if (interrupted()) {
      pending.clear(); // as the terminal forgot the line
      std::fputs(person ? "\n" : "", stdout);
      return person ? std::optional<std::string>("") : std::nullopt;
    }
    if (ready <= 0 || !wait[0].revents)
      continue;
    char some[4096];
    const ssize_t got = ::read(STDIN_FILENO, some, sizeof some);
    if (got > 0)
      pending.append(some, static_cast<size_t>(got));
    else if (got == 0 || (errno != EINTR && errno != EAGAIN))
      break;
  }
  if (pending.empty())
    return std::nullopt;
  std::string line = pending.substr(0, end);
  pending.erase(0, end == pending.npos ? end : end + 1);
  while (!line.empty() && line.back() == '\r')
    line.pop_back();
  return line;
}

} // namespace stepdown::run
