// stepdown-run chat on a terminal of its own, as a person uses it: editing, history, interrupts.
#include "test/unit/ToyModel.h"
#include "tools/stepdown-run/LineHistory.h"
#include <cerrno>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
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
  explicit Terminal(const std::vector<std::string> &words, const std::string &state) {
    child = forkpty(&master, nullptr, nullptr, nullptr);
    if (child != 0)
      return;
    setenv("XDG_STATE_HOME", state.c_str(), 1);
    setenv("HOME", state.c_str(), 1);
    setenv("TERM", "xterm", 1);
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
    for (int left = 600; left > 0; --left, usleep(100000))
      if (termios mode; tcgetattr(master, &mode) == 0 && !(mode.c_lflag & ICANON) && waits())
        return true;
    ADD_FAILURE() << "expects the program to wait for a key";
    return false;
  }
  bool waits() const {
    const std::string status = read("/proc/" + std::to_string(child) + "/stat");
    const size_t state = status.rfind(") ");
    return state != status.npos && status.compare(state + 2, 1, "S") == 0;
  }
  /// The status that the program ends with.
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
    if (got <= 0)
      return false;
    shown.append(bytes, static_cast<size_t>(got));
    return true;
  }

  pid_t child = -1;
  int master = -1;
  std::string shown;
  size_t seen = 0;
};

struct ChatTerminal : testing::Test {
  const std::string folder = makeFolder(), saved = folder + "/saved.json";
  ToyModel toy;
  std::vector<std::string> chat() const {
    return {STEPDOWN_RUN, "chat", toy.write(), "--temperature", "0", "-n", "5", "-t", "1"};
  }
  void TearDown() override { std::system(("rm -rf " + folder).c_str()); }
};

constexpr char up[] = "\x1b[A", left[] = "\x1b[D", end[] = "\x05", interrupt[] = "\x03", endOfInput[] = "\x04";

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
