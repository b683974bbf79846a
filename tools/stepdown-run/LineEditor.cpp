#include "tools/stepdown-run/LineEditor.h"

#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/LineHistory.h"
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

namespace stepdown::run {

struct LineEditor::Terminal {
  EditLine *editor = nullptr;
  History *history = nullptr;
  std::string prompt;
  LineHistory kept = LineHistory::ofUser();
  ~Terminal() {
    if (history)
      history_end(history);
    if (editor)
      el_end(editor);
  }
};

LineEditor::LineEditor(const char *prompt) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
    return;
  // Models read UTF-8, and the editor takes what it cannot read for nothing typed.
  if (!std::setlocale(LC_CTYPE, "") || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  auto t = std::make_unique<Terminal>();
  t->prompt = prompt;
  t->editor = el_init("stepdown-run", stdin, stdout, stderr);
  t->history = history_init();
  if (!t->editor || !t->history)
    return;
  HistEvent event;
  history(t->history, &event, H_SETSIZE, static_cast<int>(LineHistory::mostLines));
  history(t->history, &event, H_SETUNIQUE, 1);
  for (const std::string &line : t->kept.load())
    history(t->history, &event, H_ENTER, line.c_str());
  auto show = +[](EditLine *editor) -> char * {
    void *data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<Terminal *>(data)->prompt.data();
  };
  el_set(t->editor, EL_CLIENTDATA, t.get());
  el_set(t->editor, EL_PROMPT, show);
  el_set(t->editor, EL_EDITOR, "emacs");
  el_set(t->editor, EL_SIGNAL, 1); // a window that changes its size, and a program that was stopped and goes on
  el_set(t->editor, EL_HIST, history, t->history);
  el_set(t->editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(t->editor, nullptr); // the user's own ~/.editrc
  terminal = std::move(t);
}

LineEditor::~LineEditor() = default;

bool LineEditor::interactive() const { return terminal != nullptr; }

std::optional<std::string> LineEditor::next() {
  std::string line;
  if (terminal) {
    int length = 0;
    const char *text = el_gets(terminal->editor, &length);
    if (!text || length <= 0) {
      if (length < 0 && interrupted()) {
        std::printf("\n");
        return "";
      }
      return std::nullopt;
    }
    line.assign(text, length);
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) {
      HistEvent event;
      history(terminal->history, &event, H_ENTER, text);
      terminal->kept.add(line.substr(0, line.find_last_not_of("\r\n") + 1));
    }
  } else {
    int c;
    errno = 0;
    while ((c = std::getchar()) != EOF && c != '\n')
      line += static_cast<char>(c);
    if (c == EOF && line.empty())
      return std::nullopt;
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
    line.pop_back();
  return line;
}

} // namespace stepdown::run
