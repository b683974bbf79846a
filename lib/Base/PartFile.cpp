// The names of part files are read by a signal handler: fixed slots, claimed and published with atomics.
#include "lib/Base/PartFile.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {
namespace {

struct Slot {
  std::atomic<bool> claimed{false}, published{false};
  char path[PATH_MAX] = {};
};
Slot slots[8];
const char *programName = "";

void say(const char *text) {
  // Nothing can be done about a failed write here.
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0)
    return;
}

void onSignal(int signal) {
  for (Slot &slot : slots)
    if (slot.published.load(std::memory_order_acquire))
      unlink(slot.path);
  say(programName);
  say(": error E0907: interrupted; nothing was written\n");
  std::signal(signal, SIG_DFL); // the shell sees which signal it was
  raise(signal);
}
static_assert(static_cast<int>(ErrorCode::Interrupted) == 907, "the handler prints the number as text");

const char *inputName = "";
char diagnostic[1024] = {};            // ends with a zero
alignas(16) char faultStack[64 << 10]; // the fault may be that the stack is full

void onFault(int) {
  for (Slot &slot : slots)
    if (slot.published.load(std::memory_order_acquire))
      unlink(slot.path);
  say(programName);
  if (*diagnostic) {
    say(": error E0833: ");
    say(diagnostic);
    say("\n");
    _exit(1);
  }
  say(": error E0835: ");
  say(inputName);
  say(": expects a module that the compiler takes, but reading or lowering it ended in a fault; nothing was written\n");
  _exit(1);
}
static_assert(static_cast<int>(ErrorCode::CompilerFault) == 835 && static_cast<int>(ErrorCode::ModuleSyntax) == 833,
              "the handler prints the numbers as text");

Error cannot(const std::string &path, const char *what, int reason) {
  return fail(ErrorCode::FileWrite, "%s: cannot %s: %s", path.c_str(), what, std::strerror(reason));
}

/// Removes "<path>.part<process>" of processes that are gone: what kill -9 left.
void removeStale(const std::string &folder, const std::string &prefix) {
  DIR *entries = opendir(folder.c_str());
  if (!entries)
    return;
  while (const dirent *entry = readdir(entries)) {
    const char *name = entry->d_name;
    if (std::strncmp(name, prefix.c_str(), prefix.size()) != 0)
      continue;
    char *end = nullptr;
    const long process = std::strtol(name + prefix.size(), &end, 10);
    if (*end == 0 && process > 0 && kill(pid_t(process), 0) != 0 && errno == ESRCH)
      unlink((folder + "/" + name).c_str());
  }
  closedir(entries);
}

} // namespace

Result<PartFile> PartFile::create(const std::string &path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return cannot(path, "create the file", EISDIR);
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  removeStale(folder, path.substr(slash == std::string::npos ? 0 : slash + 1) + ".part");
  const std::string part = path + ".part" + std::to_string(getpid());
  int slot = -1;
  if (part.size() < sizeof slots[0].path)
    for (int i = 0; i < int(std::size(slots)) && slot < 0; ++i)
      if (!slots[i].claimed.exchange(true))
        slot = i;
  if (slot >= 0) { // before the file exists, so that no signal finds a file without a slot
    std::strcpy(slots[slot].path, part.c_str());
    slots[slot].published.store(true, std::memory_order_release);
  }
  const int fd = open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    const int reason = errno;
    if (slot >= 0)
      slots[slot].published.store(false), slots[slot].claimed.store(false);
    return cannot(path, "create the file", reason);
  }
  return PartFile(path, part, fd, slot);
}

PartFile::PartFile(PartFile &&other)
    : target(std::move(other.target)), part(std::move(other.part)), fd(other.fd), slot(other.slot) {
  other.fd = other.slot = -1;
}

PartFile::~PartFile() {
  if (fd < 0)
    return;
  close(fd);
  if (!part.empty())
    unlink(part.c_str());
  if (slot >= 0)
    slots[slot].published.store(false), slots[slot].claimed.store(false);
}

Status PartFile::reserve(uint64_t bytes) {
  if (int reason = posix_fallocate(fd, 0, off_t(bytes)))
    return cannot(target, ("reserve " + std::to_string(bytes) + " bytes").c_str(), reason);
  return Done{};
}

Status PartFile::write(const void *data, uint64_t size, uint64_t offset) {
  for (uint64_t done = 0; done < size;) {
    const ssize_t some = pwrite(fd, static_cast<const char *>(data) + done, size - done, off_t(offset + done));
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0)
      return cannot(target, ("write " + std::to_string(size) + " bytes").c_str(), some < 0 ? errno : ENOSPC);
    done += some;
  }
  return Done{};
}

Status PartFile::commit() {
  if (rename(part.c_str(), target.c_str()) != 0)
    return cannot(target, "rename the finished file", errno);
  if (slot >= 0)
    slots[slot].published.store(false);
  part.clear();
  return Done{};
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
