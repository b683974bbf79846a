#include "lib/Driver/CompileProcess.h"
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"
#include "lib/Driver/CompileChannel.h"
#include "lib/Driver/Provenance.h"
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace stepdown {
namespace {

constexpr int kChannel = 3; ///< the program's descriptor
constexpr char kName[] = "stepdown-compile";
constexpr uint64_t kMostAnswer = 1 << 20; ///< bytes of a frame of the program
constexpr uint64_t kMostCall = uint64_t(1) << 33;
constexpr size_t kMostSaid = 1 << 16; ///< of what the program wrote to stderr, its end is kept

/// What both ends must agree on, and how they speak.
std::string versions() { return versionText() + ", calls 1"; }

/// A descriptor that is closed, and that no other program inherits. Above those that a program is given by number.
class Descriptor {
public:
  explicit Descriptor(int fd) : fd(fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10)) {
    if (fd >= 0)
      ::close(fd);
  }
  Descriptor(const Descriptor &) = delete;
  ~Descriptor() { close(); }
  void close() {
    if (fd >= 0)
      ::close(fd);
    fd = -1;
  }
  int fd;
};

/// Where a build or an installation has the program, seen from this library (or from a program that has it inside).
std::string findProgram() {
  Dl_info info = {};
  char real[PATH_MAX];
  if (!dladdr(reinterpret_cast<const void *>(&compileByProgram), &info) || !info.dli_fname)
    return kName;
  const char *self = std::strchr(info.dli_fname, '/') ? info.dli_fname : "/proc/self/exe";
  const std::string path = realpath(self, real) ? real : info.dli_fname;
  const std::string folder = path.substr(0, path.rfind('/'));
  const std::string places[] = {folder + "/" STEPDOWN_PROGRAMS_FROM_LIBRARY "/" + kName, folder + "/" + kName,
                                folder + "/bin/" + kName};
  for (const std::string &place : places)
    if (access(place.c_str(), X_OK) == 0)
      return realpath(place.c_str(), real) ? real : place;
  return places[0];
}

/// A process of the program, and what it says.
class Child {
public:
  explicit Child(const std::string &program) : program(program) {}
  ~Child() {
    if (pid > 0) { // something failed on the way: it is of no use
      channel.close();
      kill(pid, SIGTERM);
      wait();
    }
  }

  Status start() {
    int ends[2] = {-1, -1}, pipe[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return cannot("a socket for it", errno);
    Descriptor other(ends[1]);
    Descriptor mine(ends[0]);
    if (pipe2(pipe, O_CLOEXEC) != 0)
      return cannot("a pipe for it", errno);
    Descriptor write(pipe[1]);
    Descriptor read(pipe[0]);
    if (mine.fd < 0 || other.fd < 0 || read.fd < 0 || write.fd < 0)
      return cannot("descriptors for it", EMFILE);
    std::swap(channel.fd, mine.fd);
    std::swap(errors.fd, read.fd);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, other.fd, kChannel);
    posix_spawn_file_actions_adddup2(&actions, write.fd, STDERR_FILENO);
    // The host's masks are its own; what it ignores on purpose (SIGINT, SIGHUP) stays ignored.
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    for (int signal : {SIGPIPE, SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM})
      sigaddset(&usual, signal);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char *arguments[] = {const_cast<char *>(kName), const_cast<char *>(kForLibrary), nullptr};
    const int problem = posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (problem != 0) {
      pid = -1;
      return cannot("it", problem);
    }
    return Done{};
  }

  /// The next frame; false where the program has ended, or speaks otherwise.
  bool receive(Frame &frame) {
    for (;;) {
      pollfd both[] = {{channel.fd, POLLIN, 0}, {errors.fd, POLLIN, 0}};
      if (poll(both, 2, -1) < 0) {
        if (errno != EINTR)
          return false;
        continue;
      }
      if (both[1].revents)
        listen();
      if (both[0].revents)
        return receiveFrame(channel.fd, frame, kMostAnswer);
    }
  }
  bool send(FrameKind kind, const std::string &bytes) { return sendFrame(channel.fd, kind, bytes); }

  /// Waits for the end; how it was: "status 3", "signal 9 (Killed)".
  std::string end() {
    channel.close();
    while (errors.fd >= 0)
      listen();
    wait();
    if (!known)
      return "a status that someone else took";
    if (WIFSIGNALED(status))
      return "signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
    return "status " + std::to_string(WEXITSTATUS(status));
  }
  bool ranIntoFault() const {
    if (!known || !WIFSIGNALED(status))
      return false;
    const int signal = WTERMSIG(status);
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGABRT;
  }

  const std::string &said() const { return errorText; }

private:
  Status cannot(const char *what, int reason) {
    return fail(ErrorCode::CompilerProgram, "%s: expects to start the program, but cannot have %s: %s", program.c_str(),
                what, std::strerror(reason));
  }

  /// Reads some of stderr, or closes it at its end.
  void listen() {
    char buffer[4096];
    const ssize_t some = read(errors.fd, buffer, sizeof buffer);
    if (some > 0)
      errorText.append(buffer, size_t(some));
    else if (some == 0 || errno != EINTR)
      errors.close();
    if (errorText.size() > 2 * kMostSaid)
      errorText.erase(0, errorText.size() - kMostSaid);
  }

  void wait() { // a host that ignores SIGCHLD, or waits for all its children, may have taken the status
    while (pid > 0) {
      const pid_t ended = waitpid(pid, &status, 0);
      if (ended < 0 && errno == EINTR)
        continue;
      known = ended == pid;
      pid = -1;
    }
  }

  const std::string &program;
  pid_t pid = -1;
  int status = 0;
  bool known = false;
  Descriptor channel{-1}, errors{-1};
  std::string errorText;
};

/// The refusal "stepdown-compile: error E0835: TEXT" that handlers of signals print, the last of them.
bool readRefusal(const std::string &said, Error &error) {
  const std::string mark = std::string(kName) + ": error E";
  const size_t at = said.rfind(mark);
  if (at == std::string::npos)
    return false;
  const size_t digits = at + mark.size(), text = digits + 6; // "0835: "
  if (said.size() < text || said.compare(digits + 4, 2, ": ") != 0)
    return false;
  const int code = std::atoi(said.substr(digits, 4).c_str());
  if (code <= 0)
    return false;
  error = {ErrorCode(code), said.substr(text, said.find('\n', text) - text)};
  const size_t fatal = said.find("LLVM ERROR: ");
  if (fatal != std::string::npos)
    error.message += " (" + said.substr(fatal, said.find('\n', fatal) - fatal) + ")";
  return true;
}

std::string firstLine(const std::string &text) {
  return text.empty() ? std::string("it said nothing") : text.substr(0, std::min<size_t>(text.find('\n'), 300));
}

/// Why a program that said its versions gives no outcome.
Error endOf(Child &child, const std::string &program, const CompileCall &call) {
  const std::string how = child.end();
  Error error{ErrorCode::CompilerEnded, ""};
  if (readRefusal(child.said(), error))
    return error;
  if (child.ranIntoFault())
    return fail(ErrorCode::CompilerFault,
                "%s: expects an input that the compiler takes, but compiling it ended in a fault, %s",
                call.input.c_str(), how.c_str());
  return fail(ErrorCode::CompilerEnded, "%s: expects an outcome from %s, but it ended with %s: %s", call.input.c_str(),
              program.c_str(), how.c_str(), firstLine(child.said()).c_str());
}

} // namespace

Status compileByProgram(const std::string &given, const CompileCall &call, const CompileProgress &progress) {
  const std::string program = given.empty() ? findProgram() : given;
  Child child(program);
  if (Status started = child.start(); !started)
    return started;
  Frame frame;
  if (!child.receive(frame) || frame.kind != FrameKind::Hello) {
    const std::string how = child.end();
    return fail(ErrorCode::CompilerProgram, "%s: expects stepdown-compile of %s, but it ended with %s: %s",
                program.c_str(), versions().c_str(), how.c_str(), firstLine(child.said()).c_str());
  }
  if (frame.bytes != versions())
    return fail(ErrorCode::CompilerProgram, "%s: expects stepdown-compile of %s, but got %s", program.c_str(),
                versions().c_str(), frame.bytes.c_str());
  // Where it does not take the call it has ended, and receive says so.
  (void)child.send(FrameKind::Call, callToBytes(call));
  while (child.receive(frame)) {
    FrameReader reader(frame.bytes);
    if (frame.kind == FrameKind::Progress) {
      const std::string what = reader.text();
      const uint64_t done = reader.number(), total = reader.number();
      if (progress && reader.whole())
        progress(what, done, total);
    } else if (frame.kind == FrameKind::Outcome) {
      const uint64_t code = reader.number();
      const std::string text = reader.text();
      if (!reader.whole())
        break;
      (void)child.end();
      if (code == 0)
        return Done{};
      return Error{ErrorCode(code), text};
    }
  }
  return endOf(child, program, call);
}

int answerLibrary() {
  prctl(PR_SET_PDEATHSIG, SIGTERM); // nobody waits for the artifact any longer
  std::signal(SIGPIPE, SIG_IGN);
  CompileCall call;
  Frame frame;
  if (!sendFrame(kChannel, FrameKind::Hello, versions()) || !receiveFrame(kChannel, frame, kMostCall) ||
      frame.kind != FrameKind::Call || !callFromBytes(frame.bytes, call))
    return 2;
  std::string().swap(frame.bytes);
  static std::string input; // signal handlers read it
  input = call.input;
  explainFaults(input.c_str());
  std::mutex one;
  Status compiled = compileHere(call, [&](const std::string &what, uint64_t done, uint64_t total) {
    FrameWriter writer;
    writer.text(what);
    writer.number(done);
    writer.number(total);
    std::lock_guard<std::mutex> lock(one);
    if (!sendFrame(kChannel, FrameKind::Progress, writer.bytes))
      std::raise(SIGTERM); // removes what was begun
  });
  FrameWriter writer;
  writer.number(compiled ? 0 : uint64_t(compiled.error().code));
  writer.text(compiled ? std::string() : compiled.error().message.substr(0, kMostAnswer / 2));
  return sendFrame(kChannel, FrameKind::Outcome, writer.bytes) ? 0 : 2;
}

} // namespace stepdown
