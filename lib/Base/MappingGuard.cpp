// The table of mappings is read by a signal handler: fixed slots, claimed and published with atomics, never freed.
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace stepdown {
namespace {

struct Slot {
  std::atomic<bool> claimed{false};
  std::atomic<uintptr_t> begin{0}; // 0: not published
  uintptr_t end = 0;
  char path[512] = {};
};
Slot slots[64];
const char *programName = "";

void write(const char *text) {
  // Nothing can be done about a failed write here.
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0)
    return;
}

void onBusError(int signal, siginfo_t *info, void *) {
  uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Slot &slot : slots) {
    uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= slot.end)
      continue;
    removePartFiles();
    write(programName);
    write(": error E0902: ");
    write(slot.path);
    write(": expects the file to keep its size while it is in use, but it was cut short\n");
    _exit(1);
  }
  std::signal(signal, SIG_DFL); // not ours: the same fault again, without this handler
}
static_assert(static_cast<int>(ErrorCode::FileRead) == 902, "the handler prints the number as text");

} // namespace

void guardMappings(const char *program) {
  programName = program;
  struct sigaction action = {};
  action.sa_sigaction = onBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

void noteMapping(const void *begin, unsigned long size, const char *path) {
  for (Slot &slot : slots) {
    if (slot.claimed.exchange(true, std::memory_order_acquire))
      continue;
    slot.end = reinterpret_cast<uintptr_t>(begin) + size;
    std::snprintf(slot.path, sizeof slot.path, "%s", path);
    slot.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    return;
  }
}

void forgetMapping(const void *begin) {
  for (Slot &slot : slots)
    if (slot.begin.load(std::memory_order_acquire) == reinterpret_cast<uintptr_t>(begin)) {
      slot.begin.store(0, std::memory_order_relaxed);
      slot.claimed.store(false, std::memory_order_release);
      return;
    }
}

} // namespace stepdown
