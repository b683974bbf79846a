#include "runtime/cpu/CpuDevice.h"

#include "runtime/AddressSpace.h"
#include "runtime/Checksum.h"
#include "runtime/cpu/Processor.h"
#include "runtime/cpu/ThreadPool.h"
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace stepdown {
namespace {

// A kernel has no type information in front of it, which UBSan's check of calls through pointers would read.
__attribute__((no_sanitize("function"))) void call(const Launch &launch, int64_t thread, int64_t threads) {
  using Function = void (*)(const uint64_t *operands, int64_t thread, int64_t threads);
  reinterpret_cast<Function>(launch.kernel)(reinterpret_cast<const uint64_t *>(launch.operands), thread, threads);
}

class CpuQueue final : public Queue {
public:
  explicit CpuQueue(int threads) : pool(threads) {}
  Status upload(uint64_t to, const void *from, size_t bytes) override {
    std::memcpy(reinterpret_cast<void *>(to), from, bytes);
    return Done{};
  }
  Status download(void *to, uint64_t from, size_t bytes) override {
    std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
    return Done{};
  }
  Status copy(uint64_t to, uint64_t from, size_t bytes) override {
    std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
    return Done{};
  }

  // The threads enter once and work through the whole list: a stage for each kernel, a part for each thread.
  Status launch(const Launch *launches, size_t count) override {
    pool.run([](void *context, size_t stage, int part,
                int parts) { call(static_cast<const Launch *>(context)[stage], part, parts); },
             const_cast<Launch *>(launches), count);
    ++events;
    return Done{};
  }

  // Work is done when launch returns, so every event has happened.
  uint64_t record() override { return events; }
  bool happened(uint64_t event) const override { return event <= events; }
  Status wait(uint64_t) override { return Done{}; }
  Status sync() override { return Done{}; }
  int width() const override { return pool.size(); }

private:
  ThreadPool pool;
  uint64_t events = 0;
};

class CpuDevice final : public Device {
public:
  ~CpuDevice() override {
    for (auto [base, bytes] : code)
      munmap(base, bytes);
  }
  const char *name() const override { return "cpu"; }
  bool runs(const char *target) const override { return !std::strcmp(target, name()); }
  bool accepts(uint32_t level) const override { return processorHas(level); }
  size_t alignment() const override { return slack; } // pages are aligned to more

  Result<Memory> allocate(size_t bytes, const char *purpose) override {
    void *map = MAP_FAILED;
    if (bytes <= SIZE_MAX / 2)
      map = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
      return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of memory, but the system has no room for them",
                  purpose, bytes);
    used += bytes;
    return Memory{reinterpret_cast<uint64_t>(map), static_cast<uint8_t *>(map), bytes};
  }
  Result<Memory> reserve(const char *purpose) override {
    void *map = nullptr;
    const size_t size = reserveMost([&](size_t bytes) {
      map = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      return map != MAP_FAILED;
    });
    used += size;
    if (size)
      return Memory{reinterpret_cast<uint64_t>(map), static_cast<uint8_t *>(map), size};
    return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of addresses, but the system has no room for them",
                purpose, kFewestReservedBytes);
  }
  void discard(Memory &memory, size_t from, size_t to) override {
    static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)); // 64 KiB on some systems of AArch64
    from = (from + page - 1) / page * page, to = std::min(memory.bytes, (to + page - 1) / page * page);
    if (from < to)
      madvise(memory.host + from, to - from, MADV_DONTNEED);
  }
  void release(Memory &memory) override {
    if (!memory.host)
      return;
    munmap(memory.host, memory.bytes + slack);
    used -= memory.bytes;
    memory = Memory{};
  }
  size_t allocated() const override { return used; }

  Result<uint64_t> adopt(const uint8_t *bytes, size_t) override { return reinterpret_cast<uint64_t>(bytes); }

  // The copy is private, checked after it was made, and never writable and executable at once: whatever happens to
  // the file later, only bytes that were verified run.
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    void *map = mmap(nullptr, size + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
      return fail(ErrorCode::OutOfMemory, "code: expects %zu bytes of memory, but the system has no room for them",
                  size);
    std::memcpy(map, bytes, size);
    if (checksumOf(map, size) != checksum) {
      munmap(map, size + 64);
      return fail(ErrorCode::ArtifactChecksum,
                  "code: expects checksum %016llx, but the bytes changed while being loaded",
                  (unsigned long long)checksum);
    }
    // Nothing on x86-64; elsewhere instructions are fetched past the data cache.
    __builtin___clear_cache(static_cast<char *>(map), static_cast<char *>(map) + size);
    if (mprotect(map, size + 64, PROT_READ | PROT_EXEC) != 0) {
      int reason = errno;
      munmap(map, size + 64);
      return fail(ErrorCode::CodeNotExecutable,
                  "code: expects the system to make %zu bytes executable, but it refused: %s", size,
                  std::strerror(reason));
    }
    std::lock_guard<std::mutex> lock(codeMutex);
    code.emplace_back(map, size + 64);
    return reinterpret_cast<uint64_t>(map);
  }
  // Threads divide the grid among each other, so the record has nothing else to say.
  Result<uint64_t> kernel(uint64_t base, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    if (name)
      return fail(ErrorCode::LaunchUnsupported,
                  "code: expects entries of device cpu by offset, but one has the name %s", name);
    for (int d = 0; d < 3; ++d)
      if (launch.block[d] != 1 || launch.cluster[d] != 1)
        return fail(
            ErrorCode::LaunchUnsupported,
            "code: expects blocks and clusters of 1 for device cpu, but the entry at offset %llu has a block of "
            "%u and a cluster of %u in dimension %d",
            (unsigned long long)offset, launch.block[d], launch.cluster[d], d);
    if (launch.shared_bytes)
      return fail(ErrorCode::LaunchUnsupported,
                  "code: expects no shared memory for device cpu, but the entry at offset %llu asks for %u bytes",
                  (unsigned long long)offset, launch.shared_bytes);
    return base + offset;
  }

  Result<std::unique_ptr<Queue>> queue(int threads) override {
    return std::unique_ptr<Queue>(new CpuQueue(threads > 0 ? threads : processorCores()));
  }

private:
  static constexpr size_t slack = 64; // readable behind every allocation
  std::atomic<size_t> used{0};
  std::mutex codeMutex;
  std::vector<std::pair<void *, size_t>> code;
};

} // namespace

std::unique_ptr<Device> makeCpuDevice() { return std::make_unique<CpuDevice>(); }

} // namespace stepdown
