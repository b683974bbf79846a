// stepdown-run chat on a terminal of its own, as a person uses it: editing, history, interrupts, and what is on the
// screen.
#include "test/unit/Screen.h"
#include "test/unit/ToyModel.h"
#include "tools/stepdown-run/LineHistory.h"
#include <cerrno>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <poll.h>
#include <pty.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

using stepdown::run::LineHistory;
using stepdown::test::ToyModel;

namespace {

std::string read(const std::string &path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string makeFolder() {
  std::string pattern = testing::TempDir() + "/stepdown-chat-XXXXXX";
  return mkdtemp(pattern.data()) ? pattern : "";
}

/// A program on a pseudo terminal: what it shows, and keys for it.
class Terminal {
public:
  explicit Terminal(const std::vector<std::string> &words, const std::string &state, unsigned short columns = 80,
                    const char *kind = "xterm")
      : screen(columns, rows) {
    winsize size = {rows, columns, 0, 0};
    child = forkpty(&master, nullptr, nullptr, &size);
    if (child != 0)
      return;
    setenv("XDG_STATE_HOME", state.c_str(), 1);
    setenv("HOME", state.c_str(), 1);
    setenv("TERM", kind, 1);
    setenv("LC_ALL", "C", 1); // what is typed is UTF-8 all the same
    std::vector<char *> arguments;
    for (const std::string &word : words)
      arguments.push_back(const_cast<char *>(word.c_str()));
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  ~Terminal() {
    if (child > 0) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    close(master);
  }
  void type(const std::string &keys) { ASSERT_EQ(write(master, keys.data(), keys.size()), ssize_t(keys.size())); }
  /// Waits until `text` is shown after what was waited for before.
  bool shows(const std::string &text) {
    for (int left = 600; left > 0; --left) {
      size_t at = shown.find(text, seen);
      if (at != shown.npos) {
        seen = at + text.size();
        return true;
      }
      if (!receive(100))
        break;
    }
    ADD_FAILURE() << "expects '" << text << "' after '" << shown.substr(0, seen) << "', but got '" << shown.substr(seen)
                  << "'";
    return false;
  }
  /// Waits until the program shows its prompt and waits for a key; what is typed earlier, the terminal itself would
  /// edit.
  bool prompts() {
    if (!shows("> "))
      return false;
    for (int left = 6000; left > 0; --left, usleep(10000))
      if (waits())
        return true;
    ADD_FAILURE() << "expects the program to wait for a key";
    return false;
  }
  /// Types, and waits until the last rows that hold something are `rows`, and the program waits for the next key.
  testing::AssertionResult after(const std::string &keys, const std::string &expected,
                                 std::optional<size_t> column = {}) {
    type(keys);
    return becomes(expected, column);
  }
  /// The same of what comes by itself. `column`: where the cursor must be, too.
  testing::AssertionResult becomes(const std::string &expected, std::optional<size_t> column = {}) {
    const size_t count = static_cast<size_t>(std::count(expected.begin(), expected.end(), '\n'));
    std::string last;
    for (int left = 600; left > 0; --left) {
      const bool quiet = waits(); // before the look at what it wrote: it writes, then waits
      const size_t before = shown.size();
      if (!receive(0) && ended)
        break;
      last = screen.lastRows(count);
      if (quiet && shown.size() == before && last == expected &&
          screen.cursorColumn() == column.value_or(screen.cursorColumn()))
        return testing::AssertionSuccess();
      receive(50);
    }
    return testing::AssertionFailure() << "expects\n"
                                       << expected << "on the screen, but got\n"
                                       << last << "with the cursor in column " << screen.cursorColumn();
  }
  /// Another width, as when somebody drags the window.
  void resize(unsigned short columns) {
    screen.resize(columns);
    winsize size = {rows, columns, 0, 0};
    ioctl(master, TIOCSWINSZ, &size);
  }
  stepdown::test::Screen screen;
  static constexpr unsigned short rows = 23;

  /// Whether it has the terminal, and sleeps.
  bool waits() const {
    termios mode;
    if (tcgetattr(master, &mode) != 0 || (mode.c_lflag & ICANON))
      return false;
    const std::string status = read("/proc/" + std::to_string(child) + "/stat");
    const size_t state = status.rfind(") ");
    return state != status.npos && status.compare(state + 2, 1, "S") == 0;
  }
  /// Whether lines are edited by the terminal, and echoed.
  bool isOrdinary() const {
    termios mode;
    return tcgetattr(master, &mode) == 0 && (mode.c_lflag & ICANON) && (mode.c_lflag & ECHO);
  }
  void send(int signal) const { kill(child, signal); }
  const std::string &everything() const { return shown; }
  /// The status that the program ends with; -1 where a signal ended it.
  int ends() {
    while (receive(60000))
      ;
    int status = -1;
    waitpid(child, &status, 0);
    child = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

private:
  bool receive(int milliseconds) {
    pollfd wait = {master, POLLIN, 0};
    if (poll(&wait, 1, milliseconds) <= 0)
      return milliseconds < 1000; // nothing yet
    char bytes[4096];
    ssize_t got = ::read(master, bytes, sizeof bytes);
    ended = got <= 0;
    if (ended)
      return false;
    shown.append(bytes, static_cast<size_t>(got));
    screen.feed({bytes, static_cast<size_t>(got)});
    return true;
  }

  pid_t child = -1;
  int master = -1;
  std::string shown;
  size_t seen = 0;
  bool ended = false;
};

struct ChatTerminal : testing::Test {
  const std::string folder = makeFolder(), saved = folder + "/saved.json";
  ToyModel toy;
  std::vector<std::string> chat() const {
    return {STEPDOWN_RUN, "chat", toy.write(), "--temperature", "0", "-n", "5", "-t", "1"};
  }
  void TearDown() override { std::system(("rm -rf " + folder).c_str()); }
};

constexpr char up[] = "\x1b[A", left[] = "\x1b[D", right[] = "\x1b[C", end[] = "\x05", interrupt[] = "\x03",
               endOfInput[] = "\x04";

TEST_F(ChatTerminal, whatIsTypedCanBeEditedAndIsRecalledAnotherDay) {
  {
    Terminal terminal(chat(), folder);
    ASSERT_TRUE(terminal.prompts());
    terminal.type("gr\xc3\xbc\xc3\x9f" + std::string(left) + "\x7f" + end + "e\r"); // a letter of two bytes goes
    ASSERT_TRUE(terminal.shows("tokens/s]") && terminal.prompts());
    terminal.type("/save " + saved + "\r");
    ASSERT_TRUE(terminal.shows("2 messages") && terminal.prompts());
    terminal.type(" not for others\r");
    ASSERT_TRUE(terminal.shows("tokens/s]") && terminal.prompts());
    terminal.type(endOfInput);
    EXPECT_EQ(terminal.ends(), 0);
  }
  EXPECT_NE(read(saved).find("\"gr\xc3\x9f"
                             "e\""),
            std::string::npos)
      << read(saved);
  const std::string history = folder + "/stepdown/history";
  EXPECT_EQ(read(history), "gr\xc3\x9f"
                           "e\n/save " +
                               saved + "\n");
  struct stat info;
  ASSERT_EQ(stat(history.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  unlink(saved.c_str());

  Terminal terminal(chat(), folder);
  ASSERT_TRUE(terminal.prompts());
  terminal.type(std::string(up) + up + "!\r");
  ASSERT_TRUE(terminal.shows("tokens/s]") && terminal.prompts());
  terminal.type(std::string(up) + up + "\r"); // past what was just said: the line that saves
  ASSERT_TRUE(terminal.shows("2 messages"));
  EXPECT_NE(read(saved).find("\"gr\xc3\x9f"
                             "e!\""),
            std::string::npos)
      << read(saved);
}

TEST_F(ChatTerminal, anInterruptStopsTheAnswerAndALineButNotTheProgram) {
  toy.maxContext = 1 << 16;
  std::vector<std::string> words = {STEPDOWN_RUN, "chat", toy.write(), "-t", "1", "--logit-bias", "2=-inf"}; // no end
  Terminal terminal(words, folder);
  ASSERT_TRUE(terminal.prompts());
  terminal.type("hello\r");
  ASSERT_TRUE(terminal.shows("w3")); // of the answer
  terminal.type(interrupt);
  ASSERT_TRUE(terminal.shows("[stopped; "));
  ASSERT_TRUE(terminal.prompts());
  terminal.type("half a line");
  ASSERT_TRUE(terminal.shows("half a line"));
  while (!terminal.waits())
    usleep(1000);
  terminal.type(interrupt);
  ASSERT_TRUE(terminal.prompts());
  terminal.type("/help\r");
  ASSERT_TRUE(terminal.shows("forget the conversation"));
  terminal.type("/quit\r");
  EXPECT_EQ(terminal.ends(), 0);
}

TEST_F(ChatTerminal, aWrappedLineCanBeEdited) {
  Terminal terminal(chat(), folder, 23);
  ASSERT_TRUE(terminal.prompts());
  const std::string typed = "abcdefghij klmnopqrst uvwxyz 0123456789";
  EXPECT_TRUE(terminal.after(typed, "> abcdefghij klmnopqrst\n uvwxyz 0123456789\n"));
  std::string keys;
  for (int i = 0; i < 19; ++i)
    keys += left; // onto the last letter of the first row
  EXPECT_TRUE(terminal.after(keys + "XY", "> abcdefghij klmnopqrsX\nYt uvwxyz 0123456789\n"));
  EXPECT_TRUE(terminal.after("\x7f\x7f\x7f\x7f", "> abcdefghij klmnopqt u\nvwxyz 0123456789\n"));
  EXPECT_TRUE(terminal.after(std::string("\x01") + "\x0b", ">\n")) << "Ctrl-A, Ctrl-K";
  EXPECT_TRUE(terminal.after("\x19", "> abcdefghij klmnopqt u\nvwxyz 0123456789\n")) << "Ctrl-Y";
  // Exactly as wide as the terminal: the cursor has a row of its own.
  EXPECT_TRUE(terminal.after(std::string("\x15") + "123456789012345678901", "> 123456789012345678901\n", 0));
  EXPECT_TRUE(terminal.after("2", "> 123456789012345678901\n2\n"));
  EXPECT_TRUE(terminal.after("\x7f\x7f", "> 12345678901234567890\n"));
  // A letter of two columns does not part.
  EXPECT_TRUE(terminal.after("\xe6\xbc\xa2!", "> 12345678901234567890\n\xe6\xbc\xa2!\n"));
  EXPECT_TRUE(terminal.after(std::string(left) + left + "1", "> 123456789012345678901\n\xe6\xbc\xa2!\n"));
}

TEST_F(ChatTerminal, aChangeOfWidthLeavesNothingBehind) {
  Terminal terminal(chat(), folder, 41);
  ASSERT_TRUE(terminal.prompts());
  ASSERT_TRUE(terminal.after("one two three four five six seven eight nine ten eleven",
                             "> one two three four five six seven eight\n nine ten eleven\n"));
  terminal.resize(19);
  EXPECT_TRUE(terminal.becomes("leaves.\n> one two three fou\nr five six seven ei\nght nine ten eleven\n"));
  EXPECT_TRUE(
      terminal.after(std::string(up) + "_", "> one two three fou\nr five six seven ei\n_ght nine ten eleve\nn\n"));
  terminal.resize(67);
  EXPECT_TRUE(terminal.becomes(
      "/help tells what can be typed; Ctrl-D leaves.\n> one two three four five six seven ei_ght nine ten eleven\n"));
  // A row that is full, below which the cursor has one of its own.
  const std::string full(65, 'x'), help = "/help tells what can be typed; Ctrl-D leaves.";
  EXPECT_TRUE(terminal.after(std::string(end) + "\x15" + full, help + "\n> " + full + "\n", 0));
  terminal.resize(41);
  EXPECT_TRUE(terminal.becomes(help.substr(0, 41) + "\n" + help.substr(41) + "\n> " + full.substr(0, 39) + "\n" +
                               full.substr(39) + "\n"));
  terminal.resize(67);
  EXPECT_TRUE(terminal.becomes(help + "\n> " + full + "\n", 0));
}

TEST_F(ChatTerminal, severalLinesAreOneMessage) {
  Terminal terminal(chat(), folder, 41);
  ASSERT_TRUE(terminal.prompts());
  // Line ends come from terminals as Enter does; what a paste says is text, not keys.
  EXPECT_TRUE(terminal.after("\x1b[200~first\rsecond \x03\tof three\rthird\x1b[201~",
                             "> first\n  second     of three\n  third\n"));
  EXPECT_TRUE(terminal.after(std::string(up) + up + end + "!", "> first!\n  second     of three\n  third\n"));
  EXPECT_TRUE(terminal.after("\x1b\r"
                             "more\\\rand",
                             "> first!\n  more\n  and\n  second     of three\n  third\n"));
  terminal.type("\r");
  ASSERT_TRUE(terminal.shows("tokens/s]") && terminal.prompts());
  terminal.type("/save " + saved + "\r");
  ASSERT_TRUE(terminal.shows("2 messages") && terminal.prompts());
  EXPECT_NE(read(saved).find("\"first!\\nmore\\nand\\nsecond \\tof three\\nthird\""), std::string::npos) << read(saved);
  EXPECT_EQ(read(folder + "/stepdown/history"), "/save " + saved + "\n") << "one line each";
}

TEST_F(ChatTerminal, moreThanTheScreenHoldsIsScrolled) {
  Terminal terminal(chat(), folder, 41);
  ASSERT_TRUE(terminal.prompts());
  std::string text;
  for (int i = 0; i < 53; ++i)
    text += (i ? "\r" : "") + ("line " + std::to_string(i));
  terminal.type("\x1b[200~" + text + "\x1b[201~");
  EXPECT_TRUE(terminal.becomes("  line 51\n  line 52\n"));
  EXPECT_TRUE(terminal.after("\x7f\x7f"
                             "60",
                             "  line 51\n  line 60\n"));
  std::string ups;
  for (int i = 0; i < 52; ++i)
    ups += up;
  std::string top = "> line 0!\n";
  for (int i = 1; i < Terminal::rows; ++i)
    top += "  line " + std::to_string(i) + "\n";
  EXPECT_TRUE(terminal.after(ups + end + "!", top));
}

/// One letter of the alphabet below, and its columns.
struct Letter {
  const char *bytes;
  size_t columns;
};
// One that is wide, one with an accent of its own, and a flag of two code points.
constexpr Letter letters[] = {
    {"a", 1}, {"7", 1}, {"\xe6\xbc\xa2", 2}, {"e\xcc\x81", 1}, {"\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", 2}};

/// What a terminal of `width` columns shows of `text` behind the prompt, and the column of the cursor before letter
/// `at`.
std::pair<std::string, size_t> shownOf(const std::vector<size_t> &text, size_t at, size_t width) {
  std::string rows = "> ";
  size_t column = 2, cursor = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    const size_t columns = end ? 1 : letters[text[i]].columns;
    if (column + columns > width && (!end || at == i))
      rows += end ? "" : "\n", column = 0;
    if (at == i)
      cursor = column;
    if (!end)
      rows += letters[text[i]].bytes, column += columns;
  }
  if (text.empty())
    rows = ">";
  return {rows + "\n", cursor};
}

TEST_F(ChatTerminal, anyEditingLeavesOnTheScreenWhatIsInTheText) {
  constexpr size_t width = 11;
  Terminal terminal(chat(), folder, width);
  ASSERT_TRUE(terminal.prompts());
  std::mt19937 random(23);
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  std::vector<size_t> text;
  size_t at = 0;
  for (int burst = 0; burst < 211; ++burst) {
    std::string keys;
    for (size_t i = 0, n = 1 + below(5); i < n; ++i)
      switch (below(text.size() < 29 ? 12 : 6)) {
      case 0:
        keys += left, at -= at > 0;
        break;
      case 1:
        keys += right, at += at < text.size();
        break;
      case 2:
        keys += "\x7f"; // backspace
        if (at > 0)
          text.erase(text.begin() + static_cast<long>(--at));
        break;
      case 3:
        keys += "\x1b[3~"; // delete
        if (at < text.size())
          text.erase(text.begin() + static_cast<long>(at));
        break;
      case 4:
        keys += "\x01", at = 0;
        break;
      case 5:
        keys += end, at = text.size();
        break;
      default: {
        const size_t letter = below(std::size(letters));
        keys += letters[letter].bytes;
        text.insert(text.begin() + static_cast<long>(at++), letter);
      }
      }
    const auto [rows, column] = shownOf(text, at, width);
    ASSERT_TRUE(terminal.after(keys, rows, column)) << "burst " << burst;
  }
}

TEST_F(ChatTerminal, aDumbTerminalEditsItsLinesItself) {
  for (const char *kind : {"dumb", ""}) {
    Terminal terminal(chat(), folder, 80, kind);
    ASSERT_TRUE(terminal.shows("> "));
    terminal.type("hello\n");
    ASSERT_TRUE(terminal.shows("tokens/s]") && terminal.shows("> "));
    terminal.type(interrupt);
    ASSERT_TRUE(terminal.shows("> "));
    terminal.type("/quit\n");
    EXPECT_EQ(terminal.ends(), 0);
    EXPECT_EQ(terminal.everything().find('\x1b'), std::string::npos) << "no sequences";
  }
}

TEST_F(ChatTerminal, anInterruptAsThePromptIsShownIsSeen) {
  Terminal terminal(chat(), folder, 80, "dumb");
  for (int round = 0; round < 2003; ++round) {
    ASSERT_TRUE(terminal.shows("> ")) << "round " << round;
    terminal.type(interrupt); // it has yet to begin to wait
  }
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/quit\n");
  EXPECT_EQ(terminal.ends(), 0);
}

TEST_F(ChatTerminal, aSignalThatEndsItGivesTheTerminalBack) {
  Terminal terminal(chat(), folder);
  ASSERT_TRUE(terminal.prompts());
  EXPECT_FALSE(terminal.isOrdinary());
  EXPECT_TRUE(terminal.after("half", "> half\n"));
  terminal.send(SIGTERM);
  ASSERT_TRUE(terminal.shows("\x1b[?2004l"));
  EXPECT_EQ(terminal.ends(), -1);
  EXPECT_TRUE(terminal.isOrdinary());
}

TEST_F(ChatTerminal, endOfInputErasesWhereThereIsTextAndLeavesWhereThereIsNone) {
  Terminal terminal(chat(), folder);
  ASSERT_TRUE(terminal.prompts());
  EXPECT_TRUE(terminal.after(std::string("abc\x01") + endOfInput, "> bc\n"));
  EXPECT_TRUE(terminal.after(std::string(interrupt), "> bc^C\n>\n"));
  terminal.type(endOfInput);
  EXPECT_EQ(terminal.ends(), 0);
  EXPECT_TRUE(terminal.isOrdinary());
}

TEST_F(ChatTerminal, searchesAndCompletes) {
  Terminal terminal(chat(), folder, 61);
  ASSERT_TRUE(terminal.prompts());
  ASSERT_TRUE(terminal.after("/set temperature 0.25\r", "> /set temperature 0.25\ntemperature 0.25\n>\n"));
  ASSERT_TRUE(terminal.after("/set top-k 7\r", "> /set top-k 7\ntop-k 7\n>\n"));
  EXPECT_TRUE(terminal.after("\x12"
                             "temp",
                             "(search: temp) /set temperature 0.25\n"));
  EXPECT_TRUE(terminal.after("\x7f\x7f", "(search: te) /set temperature 0.25\n"));
  EXPECT_TRUE(terminal.after("\x7f\x7f", "(search: )\n"));
  EXPECT_TRUE(terminal.after("temperature 0.25", "(search: temperature 0.25) /set temperature 0.25\n"));
  EXPECT_TRUE(terminal.after(std::string(end), "> /set temperature 0.25\n"));
  EXPECT_TRUE(terminal.after(std::string("\x15") + "/reg\t", "> /regenerate\n"));
  EXPECT_TRUE(terminal.after(std::string("\x15") + "/set temp\t0", "> /set temperature 0\n"));
  EXPECT_TRUE(terminal.after("\x15/sa\t", "> /save\n"));
  ASSERT_TRUE(terminal.after("\x15/set   top-k   3  \r", "> /set   top-k   3\ntop-k   3\n>\n"));
  terminal.type("/set device cpu\r"); // it was chosen when the model was loaded
  ASSERT_TRUE(terminal.shows("E0905") && terminal.prompts());
  terminal.type("/qu\t\r"); // with the blank that completion puts behind it
  EXPECT_EQ(terminal.ends(), 0);
}

TEST(LineHistory, keepsTheLastLinesAndCutsWhatHasGrown) {
  const std::string folder = makeFolder(), path = folder + "/history";
  const LineHistory history(path);
  EXPECT_TRUE(history.load().empty());
  for (size_t i = 0; i <= 2 * LineHistory::mostLines; ++i)
    history.add("line " + std::to_string(i));
  history.add("");
  history.add(" hidden");
  history.add("two\nlines");
  history.add(std::string(LineHistory::mostBytes + 1, 'x'));
  std::vector<std::string> lines = history.load();
  ASSERT_EQ(lines.size(), LineHistory::mostLines);
  EXPECT_EQ(lines.back(), "line " + std::to_string(2 * LineHistory::mostLines));
  const std::string file = read(path);
  EXPECT_EQ(size_t(std::count(file.begin(), file.end(), '\n')), LineHistory::mostLines);
  EXPECT_EQ(history.load(), lines);
  std::ofstream(path, std::ios::app) << "half";
  EXPECT_EQ(history.load(), lines) << "a line without its end is still being written";
  std::system(("rm -r " + folder).c_str());
}

TEST(LineHistory, leavesLinksAlone) {
  const std::string folder = makeFolder(), path = folder + "/history";
  std::ofstream(folder + "/victim") << "mine\n";
  ASSERT_EQ(symlink((folder + "/victim").c_str(), path.c_str()), 0);
  const LineHistory history(path);
  history.add("line");
  EXPECT_TRUE(history.load().empty());
  EXPECT_EQ(read(folder + "/victim"), "mine\n");
  LineHistory("").add("nowhere");
  std::system(("rm -r " + folder).c_str());
}

} // namespace
