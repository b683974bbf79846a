// The processor under another name: a device that runs code of a target of that name, finds kernels by name, and keeps
// what it was told of each launch.
#pragma once
#include "runtime/cpu/CpuDevice.h"
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stepdown::test {

class NamedDevice final : public Device {
public:
  explicit NamedDevice(std::string target, size_t alignment = 64) : target(std::move(target)), aligned(alignment) {}

  struct Prepared {
    std::string name; ///< empty: by offset
    stepdown_launch launch;
  };
  std::vector<Prepared> prepared;             ///< of each kernel()
  std::vector<Launch> launched;               ///< by every queue
  std::pair<const uint8_t *, size_t> adopted; ///< the last

  const char *name() const override { return target.c_str(); }
  bool runs(const char *other) const override { return target == other; }
  bool accepts(uint32_t) const override { return true; } // the toy kernels are for every processor
  size_t alignment() const override { return aligned; }
  Result<Memory> allocate(size_t bytes, const char *purpose) override { return near->allocate(bytes, purpose); }
  Result<Memory> reserve(const char *purpose) override { return near->reserve(purpose); }
  void discard(Memory &memory, size_t from, size_t to) override { near->discard(memory, from, to); }
  void release(Memory &memory) override { near->release(memory); }
  size_t allocated() const override { return near->allocated(); }
  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override {
    adopted = {bytes, size};
    return near->adopt(bytes, size);
  }
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    return near->loadCode(bytes, size, checksum);
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    prepared.push_back({name ? name : "", launch});
    return code + offset;
  }
  Result<std::unique_ptr<Queue>> queue(int threads) override {
    Result<std::unique_ptr<Queue>> made = near->queue(threads);
    return made ? std::unique_ptr<Queue>(new Listener(std::move(*made), launched)) : std::move(made);
  }

private:
  class Listener final : public Queue {
  public:
    Listener(std::unique_ptr<Queue> near, std::vector<Launch> &heard) : near(std::move(near)), heard(heard) {}
    Status upload(uint64_t to, const void *from, size_t bytes) override { return near->upload(to, from, bytes); }
    Status download(void *to, uint64_t from, size_t bytes) override { return near->download(to, from, bytes); }
    Status copy(uint64_t to, uint64_t from, size_t bytes) override { return near->copy(to, from, bytes); }
    Status launch(const Launch *launches, size_t count) override {
      heard.insert(heard.end(), launches, launches + count);
      return near->launch(launches, count);
    }
    uint64_t record() override { return near->record(); }
    bool happened(uint64_t event) const override { return near->happened(event); }
    Status wait(uint64_t event) override { return near->wait(event); }
    Status sync() override { return near->sync(); }
    int width() const override { return near->width(); }

  private:
    std::unique_ptr<Queue> near;
    std::vector<Launch> &heard;
  };

  std::string target;
  size_t aligned;
  std::unique_ptr<Device> near = makeCpuDevice();
};

} // namespace stepdown::test
