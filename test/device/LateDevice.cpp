#include "test/device/LateDevice.h"
#include "runtime/cpu/CpuDevice.h"
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <sys/mman.h>

namespace stepdown::test {
namespace {

/// What the device holds. Pages are shut while no work is done.
class Pages {
public:
  void add(const Memory &memory) {
    std::lock_guard<std::mutex> lock(mutex);
    held[memory.address] = memory;
    shut(memory, PROT_NONE);
  }
  Memory take(uint64_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    Memory memory = held.at(address);
    held.erase(address);
    shut(memory, PROT_READ | PROT_WRITE);
    return memory;
  }
  /// Runs `work` with every page open.
  Status open(const std::function<Status()> &work) {
    std::lock_guard<std::mutex> lock(mutex);
    for (auto &[address, memory] : held)
      shut(memory, PROT_READ | PROT_WRITE);
    Status done = work();
    for (auto &[address, memory] : held)
      shut(memory, PROT_NONE);
    return done;
  }

private:
  static void shut(const Memory &memory, int protection) { mprotect(memory.host, memory.bytes + 64, protection); }
  std::mutex mutex;
  std::map<uint64_t, Memory> held;
};

class LateQueue final : public Queue {
public:
  LateQueue(std::unique_ptr<Queue> near, Pages &pages) : near(std::move(near)), pages(pages) {}
  Status upload(uint64_t to, const void *from, size_t bytes) override {
    return later([=] { return near->upload(to, from, bytes); });
  }
  Status download(void *to, uint64_t from, size_t bytes) override {
    return later([=] { return near->download(to, from, bytes); });
  }
  Status copy(uint64_t to, uint64_t from, size_t bytes) override {
    return later([=] { return near->copy(to, from, bytes); });
  }
  Status launch(const Launch *launches, size_t count) override {
    std::vector<Launch> list(launches, launches + count);
    return later([=] { return near->launch(list.data(), list.size()); });
  }
  uint64_t record() override { return asked; }
  bool happened(uint64_t event) const override { return event <= finished; }
  Status wait(uint64_t) override { return sync(); }
  Status sync() override {
    return pages.open([&]() -> Status {
      for (; !work.empty(); work.pop_front(), ++finished)
        if (Status done = work.front()(); !done)
          return done;
      return Done{};
    });
  }
  int width() const override { return near->width(); }

private:
  Status later(std::function<Status()> what) {
    work.push_back(std::move(what));
    ++asked;
    return Done{};
  }
  std::unique_ptr<Queue> near;
  Pages &pages;
  std::deque<std::function<Status()>> work;
  uint64_t asked = 0, finished = 0;
};

class LateDevice final : public Device {
public:
  const char *name() const override { return "late"; }
  bool runs(const char *target) const override { return near->runs(target); }
  bool accepts(uint32_t level) const override { return near->accepts(level); }
  size_t alignment() const override { return near->alignment(); }
  Result<Memory> allocate(size_t bytes, const char *purpose) override { return hide(near->allocate(bytes, purpose)); }
  Result<Memory> reserve(const char *purpose) override { return hide(near->reserve(purpose)); }
  void discard(Memory &, size_t, size_t) override {}
  void release(Memory &memory) override {
    if (!memory.address)
      return;
    Memory real = pages.take(memory.address);
    near->release(real);
    memory = Memory{};
  }
  size_t allocated() const override { return near->allocated() - adoptedBytes; }
  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override {
    Result<Memory> copy = near->allocate(size, "adopted bytes");
    if (!copy)
      return copy.error();
    std::copy(bytes, bytes + size, copy->host);
    pages.add(*copy);
    adoptedBytes += size;
    adopted.emplace_back(*this, Memory{copy->address, nullptr, size});
    return copy->address;
  }
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    return near->loadCode(bytes, size, checksum);
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    return near->kernel(code, offset, name, launch);
  }
  Result<std::unique_ptr<Queue>> queue(int threads) override {
    Result<std::unique_ptr<Queue>> made = near->queue(threads);
    if (!made)
      return made;
    return std::unique_ptr<Queue>(new LateQueue(std::move(*made), pages));
  }

private:
  Result<Memory> hide(Result<Memory> memory) {
    if (!memory)
      return memory;
    pages.add(*memory);
    return Memory{memory->address, nullptr, memory->bytes};
  }
  std::unique_ptr<Device> near = makeCpuDevice();
  Pages pages;
  std::list<Allocation> adopted;
  size_t adoptedBytes = 0;
};

} // namespace

std::shared_ptr<Device> makeLateDevice() { return std::make_shared<LateDevice>(); }

} // namespace stepdown::test
