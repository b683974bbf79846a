// The names of part files are read by a signal handler: fixed slots, claimed and published with atomics.
#include "lib/Base/PartFile.h"
#include "lib/Base/FaultDetail.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace stepdown {
namespace {

struct Slot {
  std::atomic<bool> claimed{false}, published{false};
  char path[PATH_MAX] = {};
};
Slot slots[16];
const char *programName = "";

void say(const char *text) {
  // Nothing can be done about a failed write here.
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0)
    return;
}

void onSignal(int signal) {
  removePartFiles();
  say(programName);
  say(": error E0907: interrupted; nothing was written\n");
  std::signal(signal, SIG_DFL); // the shell sees which signal it was
  raise(signal);
}
static_assert(static_cast<int>(ErrorCode::Interrupted) == 907, "the handler prints the number as text");

const char *inputName = "";
char diagnostic[1024] = {};            // ends with a zero
alignas(16) char faultStack[64 << 10]; // the fault may be that the stack is full
thread_local char work[512] = {};      // ends with a zero; of the thread that comes to the fault
void (*describeFault)(char *text, size_t size) = nullptr;

void onFault(int) {
  removePartFiles();
  say(programName);
  if (*diagnostic) {
    say(": error E0833: ");
    say(diagnostic);
    say("\n");
    _exit(1);
  }
  say(": error E0835: ");
  say(inputName);
  say(": expects a module that the compiler takes, but reading or lowering it ended in a fault");
  if (*work) {
    say(" in ");
    say(work);
  }
  if (describeFault) {
    static char more[512];
    describeFault(more, sizeof more);
    say(more);
  }
  say("; nothing was written\n");
  _exit(1);
}
static_assert(static_cast<int>(ErrorCode::CompilerFault) == 835 && static_cast<int>(ErrorCode::ModuleSyntax) == 833,
              "the handler prints the numbers as text");

Error cannot(const std::string &path, const char *what, int reason) {
  return fail(ErrorCode::FileWrite, "%s: cannot %s: %s", path.c_str(), what, std::strerror(reason));
}

constexpr size_t digits = 16;
constexpr char infix[] = ".part-";

/// Folder and beginning of the name of the part files of `target`; names that are as long as can be are cut.
std::pair<std::string, std::string> partsOf(const std::string &target) {
  const size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : target.substr(0, slash);
  return {folder,
          target.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, NAME_MAX - sizeof infix - digits) +
              infix};
}

std::string randomDigits() {
  unsigned char bytes[digits / 2] = {};
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) { // as good as the clock, where a sandbox forbids it
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t number = uint64_t(now.tv_nsec) * 0x9e3779b97f4a7c15u ^ uint64_t(now.tv_sec) ^ uint64_t(getpid());
    std::memcpy(bytes, &number, sizeof number);
  }
  std::string text;
  for (unsigned char byte : bytes)
    for (int shift : {4, 0})
      text += "0123456789abcdef"[byte >> shift & 15];
  return text;
}

/// Removes part files that no living process holds locked: what kill -9 left.
void removeStale(const std::string &folder, const std::string &prefix) {
  DIR *entries = opendir(folder.c_str());
  if (!entries)
    return;
  while (const dirent *entry = readdir(entries)) {
    const char *name = entry->d_name;
    if (std::strncmp(name, prefix.c_str(), prefix.size()) != 0 ||
        std::strspn(name + prefix.size(), "0123456789abcdef") != digits || std::strlen(name) != prefix.size() + digits)
      continue;
    const int fd = openat(dirfd(entries), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info;
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
      unlinkat(dirfd(entries), name, 0);
    if (fd >= 0)
      close(fd);
  }
  closedir(entries);
}

/// Where `path` leads: links followed, also one to a file that is not there yet.
std::string followLinks(std::string path) {
  if (char *real = realpath(path.c_str(), nullptr)) {
    path = real;
    std::free(real);
    return path;
  }
  for (int links = 0; links < 40; ++links) {
    char text[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), text, sizeof text);
    if (length <= 0 || length == ssize_t(sizeof text))
      break;
    const std::string next(text, size_t(length));
    const size_t slash = path.rfind('/');
    path = next[0] == '/' || slash == std::string::npos ? next : path.substr(0, slash + 1) + next;
  }
  return path;
}

/// The number of the open descriptor that `path` names, or -1.
int ownDescriptor(const std::string &path) {
  if (path == "/dev/stdout")
    return STDOUT_FILENO;
  if (path == "/dev/stderr")
    return STDERR_FILENO;
  for (const char *folder : {"/dev/fd/", "/proc/self/fd/"})
    if (path.compare(0, std::strlen(folder), folder) == 0) {
      const std::string number = path.substr(std::strlen(folder));
      if (!number.empty() && number.size() < 8 && number.find_first_not_of("0123456789") == std::string::npos)
        return std::atoi(number.c_str());
    }
  return -1;
}

/// A pipe whose reader is gone is an error, not the end of the process: a library must not touch its host's signals.
class QuietPipes {
public:
  QuietPipes() {
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
  }
  ~QuietPipes() {
    const timespec now = {};
    if (!was)
      sigtimedwait(&pipe, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

private:
  sigset_t pipe, before;
  bool was;
};

} // namespace

void removePartFiles() {
  for (Slot &slot : slots)
    if (slot.published.load(std::memory_order_acquire))
      unlink(slot.path);
}

Status expectNoInput(const std::string &path, const struct stat &info, const std::vector<std::string> &inputs) {
  for (const std::string &input : inputs) {
    struct stat other;
    if (stat(input.c_str(), &other) == 0 && other.st_dev == info.st_dev && other.st_ino == info.st_ino &&
        !S_ISCHR(info.st_mode))
      return fail(ErrorCode::OutputIsInput, "%s: expects an output that is no input, but it is %s", path.c_str(),
                  input.c_str());
  }
  return Done{};
}

Result<PartFile> PartFile::create(const std::string &path, const std::vector<std::string> &inputs, Order order) {
  PartFile file(path);
  struct stat info = {};
  const int own = ownDescriptor(path);
  const bool exists = (own >= 0 ? fstat(own, &info) : stat(path.c_str(), &info)) == 0;
  if (!exists && (own >= 0 || errno != ENOENT))
    return cannot(path, "create the file", errno);
  if (Status free = exists ? expectNoInput(path, info, inputs) : Status(Done{}); !free)
    return free.error();
  Status opened = Done{};
  if (own >= 0) {
    opened = file.openStream(fcntl(own, F_DUPFD_CLOEXEC, 0), order);
  } else if (exists && S_ISDIR(info.st_mode)) {
    return cannot(path, "create the file", EISDIR);
  } else if (exists && (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode))) {
    opened = file.openStream(open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC), order);
  } else if (exists && !S_ISREG(info.st_mode)) {
    return fail(ErrorCode::FileWrite, "%s: expects a regular file, a pipe or a character device, but it is a %s",
                path.c_str(), S_ISBLK(info.st_mode) ? "block device" : "socket");
  } else {
    file.target = followLinks(path);
    opened = file.openPart(exists ? info.st_mode & 0777 : 0);
  }
  if (!opened)
    return opened.error();
  return file;
}

Status PartFile::openStream(int opened, Order order) {
  if (opened < 0)
    return cannot(name, "open it for writing", errno);
  if (order == Order::forward) {
    fd = opened;
    return Done{};
  }
  stream = opened;
  // What is written at any offset is collected first, in a file without a name.
  const char *folder = std::getenv("TMPDIR");
  std::string spool = std::string(folder && *folder ? folder : "/tmp") + "/stepdown-XXXXXX";
  fd = mkostemp(spool.data(), O_CLOEXEC);
  if (fd < 0)
    return cannot(name, ("collect it in " + spool).c_str(), errno);
  unlink(spool.c_str());
  return Done{};
}

Status PartFile::openPart(unsigned mode) {
  const auto [folder, prefix] = partsOf(target);
  removeStale(folder, prefix);
  for (int i = 0; i < int(std::size(slots)) && slot < 0; ++i)
    if (!slots[i].claimed.exchange(true))
      slot = i;
  for (int attempt = 0; attempt < 16; ++attempt) {
    part = folder + "/" + prefix + randomDigits();
    if (slot >= 0 && part.size() < sizeof slots[0].path) { // before the file exists: no signal finds one without a slot
      std::strcpy(slots[slot].path, part.c_str());
      slots[slot].published.store(true, std::memory_order_release);
    }
    fd = open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    const int reason = fd >= 0 ? EEXIST : errno; // a name that was taken away is like one that was there
    struct stat here, there;
    // Another process may take it for stale before it is locked: then it holds the lock, or the name is gone already.
    // Where locks are unknown nobody does.
    const bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0,
               taken = fd >= 0 && !locked && errno == EWOULDBLOCK;
    if (fd >= 0 && !taken &&
        (!locked || (fstat(fd, &here) == 0 && stat(part.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
                     here.st_dev == there.st_dev))) {
      if (mode)
        fchmod(fd, mode);
      return Done{};
    }
    if (slot >= 0)
      slots[slot].published.store(false);
    if (fd >= 0)
      close(fd);
    fd = -1;
    if (reason != EEXIST) {
      part.clear();
      return cannot(name, "create the file", reason);
    }
  }
  part.clear();
  return cannot(name, "create the file", EEXIST);
}

PartFile::PartFile(PartFile &&other)
    : name(std::move(other.name)), target(std::move(other.target)), part(std::move(other.part)), fd(other.fd),
      stream(other.stream), slot(other.slot) {
  other.fd = other.stream = other.slot = -1;
  other.part.clear();
}

PartFile::~PartFile() {
  if (fd >= 0)
    close(fd);
  if (stream >= 0)
    close(stream);
  if (!part.empty())
    unlink(part.c_str());
  if (slot >= 0)
    slots[slot].published.store(false), slots[slot].claimed.store(false);
}

Status PartFile::reserve(uint64_t bytes) {
  if (int reason = posix_fallocate(fd, 0, off_t(bytes)))
    return cannot(name, ("reserve " + std::to_string(bytes) + " bytes").c_str(), reason);
  return Done{};
}

/// Writes `size` bytes in as many calls `some(first, count)` as it takes.
template <typename Some> static Status writeAll(const std::string &name, uint64_t size, Some some) {
  for (uint64_t done = 0; done < size;) {
    const ssize_t written = some(done, size - done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return cannot(name, ("write " + std::to_string(size) + " bytes").c_str(), written < 0 ? errno : ENOSPC);
    done += written;
  }
  return Done{};
}

Status PartFile::write(const void *data, uint64_t size, uint64_t offset) {
  return writeAll(name, size, [&](uint64_t first, uint64_t count) {
    return pwrite(fd, static_cast<const char *>(data) + first, count, off_t(offset + first));
  });
}

Status PartFile::append(const void *data, uint64_t size) {
  QuietPipes quiet;
  return writeAll(name, size, [&](uint64_t first, uint64_t count) {
    return ::write(fd, static_cast<const char *>(data) + first, count);
  });
}

Status PartFile::commit() {
  if (stream >= 0) { // now front to back
    std::vector<char> bytes(1 << 20);
    std::swap(fd, stream);
    for (off_t at = 0;;) {
      const ssize_t some = pread(stream, bytes.data(), bytes.size(), at);
      if (some < 0 && errno == EINTR)
        continue;
      if (some < 0)
        return cannot(name, "read what was collected", errno);
      if (some == 0)
        break;
      if (Status written = append(bytes.data(), uint64_t(some)); !written)
        return written;
      at += some;
    }
  }
  if (part.empty())
    return close(std::exchange(fd, -1)) == 0 ? Status(Done{}) : Status(cannot(name, "finish the file", errno));
  if (rename(part.c_str(), target.c_str()) != 0)
    return cannot(name, "rename the finished file", errno);
  if (slot >= 0)
    slots[slot].published.store(false);
  part.clear();
  return Done{};
}

Status writeFile(const std::string &path, std::string_view text, const std::vector<std::string> &inputs) {
  Result<PartFile> file = PartFile::create(path, inputs, PartFile::Order::forward);
  if (!file)
    return file.error();
  if (Status written = file->append(text.data(), text.size()); !written)
    return written;
  return file->commit();
}

void removePartFilesOnSignals(const char *program) {
  programName = program;
  struct sigaction action = {};
  action.sa_handler = onSignal;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) // as nohup asks
      sigaction(signal, &action, nullptr);
  }
  std::signal(SIGXFSZ, SIG_IGN);
}

void noteDiagnostic(const char *text) { std::strncpy(diagnostic, text, sizeof diagnostic - 1); }

void noteWork(const char *text) { std::strncpy(work, text, sizeof work - 1); }

void describeFaults(void (*describe)(char *text, size_t size)) { describeFault = describe; }

void explainFaults(const char *input) {
  inputName = input;
  stack_t stack = {};
  stack.ss_sp = faultStack;
  stack.ss_size = sizeof faultStack;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = onFault;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGSEGV, SIGFPE, SIGILL, SIGABRT})
    sigaction(signal, &action, nullptr);
}

} // namespace stepdown
