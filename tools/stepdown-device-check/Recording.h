// A device that notes what a call asks of another: its launches, to be made again and timed, and where results came
// from.
#pragma once
#include "runtime/Device.h"
#include <map>
#include <string>
#include <vector>

namespace stepdown::devicecheck {

struct RecordedLaunch {
  std::string kernel;
  std::vector<uint64_t> words;
  Launch launch; ///< without `values`
};
struct RecordedDownload {
  uint64_t from;
  size_t bytes;
};
struct Recording {
  std::vector<RecordedLaunch> launches;
  std::vector<RecordedDownload> downloads;
  Queue *queue = nullptr; ///< that they went to
};

class RecordingDevice final : public Device {
public:
  explicit RecordingDevice(std::shared_ptr<Device> real) : real(std::move(real)) {}
  Recording recording; ///< since it was last cleared
  const char *name() const override { return real->name(); }
  bool runs(const char *target) const override { return real->runs(target); }
  bool accepts(uint32_t level) const override { return real->accepts(level); }
  bool hasHost() const override { return real->hasHost(); }
  bool readsOperands() const override { return real->readsOperands(); }
  size_t alignment() const override { return real->alignment(); }
  Result<Memory> allocate(size_t bytes, const char *purpose) override { return real->allocate(bytes, purpose); }
  Result<Memory> reserve(const char *purpose) override { return real->reserve(purpose); }
  Status commit(const Memory &memory, size_t from, size_t to) override { return real->commit(memory, from, to); }
  void discard(Memory &memory, size_t from, size_t to) override { real->discard(memory, from, to); }
  void release(Memory &memory) override { real->release(memory); }
  size_t allocated() const override { return real->allocated(); }
  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override { return real->adopt(bytes, size); }
  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    return real->loadCode(bytes, size, checksum);
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override;
  Result<std::unique_ptr<Queue>> queue(int threads) override;

private:
  std::shared_ptr<Device> real;
  std::map<uint64_t, std::string> names; // of kernels
};

} // namespace stepdown::devicecheck
