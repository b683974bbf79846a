#include "runtime/driver/DriverDevice.h"

#include "runtime/cpu/Processor.h"
#include "runtime/driver/DriverMemory.h"
#include "runtime/driver/DriverQueue.h"
#include <cstring>
#include <vector>

namespace stepdown {
namespace {

using driver::Context;

class DriverDevice final : public Device {
public:
  explicit DriverDevice(std::unique_ptr<Context> opened)
      : context(std::move(opened)), reserved(*context), kernels(*context) {}
  ~DriverDevice() override {
    if (!context->enter())
      return;
    for (uint64_t address : adopted)
      context->driver.release(address);
    if (setup)
      context->driver.endStream(setup);
  }
  Status prepare() {
    return context->check(context->driver.makeStream(&setup, 1), ErrorCode::DriverRefused, "a stream");
  }

  const char *name() const override { return context->device; }
  bool runs(const char *target) const override { return !std::strcmp(target, name()); }
  bool accepts(uint32_t level) const override { return level == 0 || processorHas(level); }
  bool hasHost() const override { return true; }
  bool readsOperands() const override { return false; }
  size_t alignment() const override { return slack; } // drivers align to as much

  Result<Memory> allocate(size_t bytes, const char *purpose) override {
    if (bytes > SIZE_MAX / 2)
      return context->noMemory(2, purpose, bytes);
    Result<uint64_t> made = take(bytes, purpose);
    if (!made)
      return made.error();
    const driver::Driver &calls = context->driver;
    std::lock_guard<std::mutex> lock(mutex);
    int error = calls.fill(*made, 0, bytes + slack, setup);
    if (error == 0)
      error = calls.waitForStream(setup);
    if (error) {
      calls.release(*made);
      return context->refused(error, ErrorCode::DriverRefused, std::string(purpose) + ": zeros in its memory");
    }
    used += bytes;
    return Memory{*made, nullptr, bytes};
  }
  Result<Memory> reserve(const char *purpose) override { return reserved.reserve(purpose, slack); }
  Status commit(const Memory &memory, size_t from, size_t to) override {
    return reserved.commit(memory, from, to, slack);
  }
  void discard(Memory &memory, size_t from, size_t to) override { reserved.discard(memory, from, to); }
  void release(Memory &memory) override {
    if (!memory.address)
      return;
    if (!reserved.release(memory.address)) {
      std::lock_guard<std::mutex> lock(mutex);
      used -= memory.bytes;
      if (context->enter())
        context->driver.release(memory.address);
    }
    memory = Memory{};
  }
  size_t allocated() const override {
    std::lock_guard<std::mutex> lock(mutex);
    return used + reserved.committed();
  }
  size_t memory() const override {
    size_t free = 0, total = 0;
    return context->enter() && context->driver.memory(&free, &total) == 0 ? total : 0;
  }
  size_t held() const override { // by other processes, too
    size_t free = 0, total = 0;
    return context->enter() && context->driver.memory(&free, &total) == 0 ? total - free : allocated();
  }

  // Bytes are copied anew each time: an address of the host says nothing of what lies there later.
  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override {
    Result<uint64_t> made = take(size, "weights");
    if (!made)
      return made.error();
    const driver::Driver &calls = context->driver;
    std::lock_guard<std::mutex> lock(mutex);
    int error = size ? calls.toDevice(*made, bytes, size, setup) : 0;
    if (error == 0)
      error = calls.waitForStream(setup);
    if (error) {
      calls.release(*made);
      return context->refused(error, ErrorCode::DriverRefused, "weights: a copy to the GPU");
    }
    adopted.push_back(*made);
    return made;
  }
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    return kernels.addCode(bytes, size, checksum);
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    return kernels.add(code, offset, name, launch);
  }
  Result<std::unique_ptr<Queue>> queue(int) override {
    Result<std::unique_ptr<driver::DriverQueue>> made = driver::DriverQueue::create(*context, kernels);
    if (!made)
      return made.error();
    return std::unique_ptr<Queue>(std::move(*made));
  }

private:
  static constexpr size_t slack = 256; // readable behind every allocation

  /// The address of `bytes` and what may be read behind them; E0601.
  Result<uint64_t> take(size_t bytes, const char *purpose) {
    if (Status entered = context->enter(); !entered)
      return entered.error();
    uint64_t address = 0;
    if (int error = context->driver.allocate(&address, bytes + slack))
      return context->noMemory(error, purpose, bytes);
    return address;
  }

  const std::unique_ptr<Context> context; // first: the others end before it
  driver::ReservedMemory reserved;
  driver::Kernels kernels;
  mutable std::mutex mutex;
  void *setup = nullptr; // the stream of what is done before sessions begin
  size_t used = 0;
  std::vector<uint64_t> adopted;
};

} // namespace

Result<std::shared_ptr<Device>> openDriverDevice(const driver::Vendor &vendor, const char *name) {
  Result<const driver::Driver *> opened = driver::openDriver(vendor, name);
  if (!opened)
    return opened.error();
  Result<driver::Gpu> gpu = driver::findGpu(**opened, name, name + std::strlen(vendor.prefix));
  if (!gpu)
    return gpu.error();
  Result<std::unique_ptr<Context>> context = Context::open(**opened, name, *gpu);
  if (!context)
    return context.error();
  auto device = std::make_shared<DriverDevice>(std::move(*context));
  if (Status ready = device->prepare(); !ready)
    return ready.error();
  return std::shared_ptr<Device>(std::move(device));
}

} // namespace stepdown
