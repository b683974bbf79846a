// Another device that keeps count of what it is asked for; where a test wants none of the numbers, its kernels are
// launched and not executed.
#pragma once
#include "runtime/Device.h"
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stepdown::test {

/// What queues were asked to launch.
struct Launched {
  uint64_t count = 0;
  std::vector<std::array<uint32_t, 3>> grids; ///< of each launch, where they are executed
};

/// Another queue that keeps count of its launches and, where it is idle, executes none.
class CountingQueue final : public Queue {
public:
  CountingQueue(std::unique_ptr<Queue> near, Launched &launched, bool idle)
      : near(std::move(near)), launched(launched), idle(idle) {}
  Status upload(uint64_t to, const void *from, size_t bytes) override { return near->upload(to, from, bytes); }
  Status download(void *to, uint64_t from, size_t bytes) override { return near->download(to, from, bytes); }
  Status copy(uint64_t to, uint64_t from, size_t bytes) override { return near->copy(to, from, bytes); }
  Status launch(const Launch *launches, size_t count) override {
    launched.count += count;
    if (idle)
      return Done{};
    for (const Launch *launch = launches; launch != launches + count; ++launch)
      launched.grids.push_back({launch->grid[0], launch->grid[1], launch->grid[2]});
    return near->launch(launches, count);
  }
  uint64_t record() override { return near->record(); }
  bool happened(uint64_t event) const override { return near->happened(event); }
  Status wait(uint64_t event) override { return near->wait(event); }
  Status sync() override { return near->sync(); }
  int width() const override { return near->width(); }

private:
  std::unique_ptr<Queue> near;
  Launched &launched;
  const bool idle;
};

class CountingDevice final : public Device {
public:
  explicit CountingDevice(std::unique_ptr<Device> near) : near(std::move(near)) {}

  struct Held {
    std::string purpose;
    size_t bytes;
  };
  std::map<uint64_t, Held> living;   ///< allocated and not released, by address
  std::map<std::string, size_t> sum; ///< bytes ever allocated for each purpose
  uint64_t calls = 0;                ///< of allocate, reserve, adopt, loadCode and kernel
  uint64_t adoptedAt = 0;
  size_t adoptedBytes = 0, codeBytes = 0;
  bool idle = false; ///< queues that are made launch nothing
  Launched launched; ///< by all queues, one at a time

  /// What lies at `address`, "weights" where they were adopted; null: nothing.
  const char *purposeAt(uint64_t address) const {
    if (address - adoptedAt < adoptedBytes)
      return "weights";
    auto after = living.upper_bound(address);
    if (after == living.begin())
      return nullptr;
    const auto &[base, held] = *std::prev(after);
    return address - base < held.bytes ? held.purpose.c_str() : nullptr;
  }

  const char *name() const override { return near->name(); }
  bool runs(const char *target) const override { return near->runs(target); }
  bool accepts(uint32_t level) const override { return near->accepts(level); }
  bool hasHost() const override { return near->hasHost(); }
  size_t alignment() const override { return near->alignment(); }
  Result<Memory> allocate(size_t bytes, const char *purpose) override {
    ++calls;
    Result<Memory> made = near->allocate(bytes, purpose);
    if (made) {
      living[made->address] = {purpose, bytes};
      sum[purpose] += bytes;
    }
    return made;
  }
  Result<Memory> reserve(const char *purpose) override { return ++calls, near->reserve(purpose); }
  void discard(Memory &memory, size_t from, size_t to) override { near->discard(memory, from, to); }
  void release(Memory &memory) override {
    living.erase(memory.address);
    near->release(memory);
  }
  size_t allocated() const override { return near->allocated(); }
  size_t memory() const override { return near->memory(); }
  size_t held() const override { return near->held(); }
  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override {
    ++calls;
    Result<uint64_t> address = near->adopt(bytes, size);
    if (address)
      adoptedAt = *address, adoptedBytes = size;
    return address;
  }
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    ++calls;
    codeBytes += size;
    return near->loadCode(bytes, size, checksum);
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    return ++calls, near->kernel(code, offset, name, launch);
  }
  Result<std::unique_ptr<Queue>> queue(int threads) override {
    Result<std::unique_ptr<Queue>> made = near->queue(threads);
    if (!made)
      return made;
    return std::unique_ptr<Queue>(std::make_unique<CountingQueue>(std::move(*made), launched, idle));
  }

private:
  std::unique_ptr<Device> near;
};

} // namespace stepdown::test
