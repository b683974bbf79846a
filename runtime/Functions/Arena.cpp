#include "runtime/Functions/Arena.h"

#include <algorithm>
#include <sys/mman.h>
#include <unistd.h>

namespace stepdown {

static constexpr size_t smallest = size_t(1) << 24;
/// Pages that stay with an arena between calls, so that the next call finds them.
static constexpr size_t kept = size_t(1) << 28;

Result<std::unique_ptr<Arena>> Arena::reserve() {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  size_t size = smallest;
  if (pages > 0 && page > 0)
    size = std::max(size, static_cast<size_t>(pages) * static_cast<size_t>(page));
  for (; size >= smallest; size /= 2) {
    size = size / 4096 * 4096;
    void *range = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED)
      return std::unique_ptr<Arena>(new Arena(static_cast<uint8_t *>(range), size));
  }
  return fail(ErrorCode::OutOfMemory, "arena: expects %zu bytes of addresses, but the system has no room for them",
              smallest);
}

Arena::~Arena() { munmap(base, size); }

void Arena::trim(size_t used) {
  if (used > kept)
    madvise(base + kept, std::min(size, (used + 4095) / 4096 * 4096) - kept, MADV_DONTNEED);
}

Result<std::unique_ptr<Arena>> ArenaPool::take() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!idle.empty()) {
      std::unique_ptr<Arena> arena = std::move(idle.back());
      idle.pop_back();
      return arena;
    }
  }
  return Arena::reserve();
}

void ArenaPool::give(std::unique_ptr<Arena> arena, size_t used) {
  arena->trim(used);
  std::lock_guard<std::mutex> lock(mutex);
  if (idle.size() < 4)
    idle.push_back(std::move(arena));
}

} // namespace stepdown
