#include "tools/stepdown-device-check/Recording.h"

namespace stepdown::devicecheck {
namespace {

class RecordingQueue final : public Queue {
public:
  RecordingQueue(std::unique_ptr<Queue> real, Recording &recording, const std::map<uint64_t, std::string> &names)
      : real(std::move(real)), recording(recording), names(names) {}
  Status upload(uint64_t to, const void *from, size_t bytes) override { return real->upload(to, from, bytes); }
  Status download(void *to, uint64_t from, size_t bytes) override {
    recording.downloads.push_back({from, bytes});
    return real->download(to, from, bytes);
  }
  Status copy(uint64_t to, uint64_t from, size_t bytes) override { return real->copy(to, from, bytes); }
  Status launch(const Launch *launches, size_t count) override {
    recording.queue = real.get();
    for (size_t i = 0; i < count; ++i) {
      const Launch &one = launches[i];
      const uint64_t *words = one.values;
      recording.launches.push_back({names.at(one.kernel),
                                    words ? std::vector<uint64_t>(words, words + one.words) : std::vector<uint64_t>(),
                                    one});
      recording.launches.back().launch.values = nullptr;
    }
    return real->launch(launches, count);
  }
  uint64_t record() override { return real->record(); }
  bool happened(uint64_t event) const override { return real->happened(event); }
  Status wait(uint64_t event) override { return real->wait(event); }
  Status sync() override { return real->sync(); }
  int width() const override { return real->width(); }

private:
  std::unique_ptr<Queue> real;
  Recording &recording;
  const std::map<uint64_t, std::string> &names;
};

} // namespace

Result<uint64_t> RecordingDevice::kernel(uint64_t code, uint64_t offset, const char *name,
                                         const stepdown_launch &launch) {
  Result<uint64_t> made = real->kernel(code, offset, name, launch);
  if (made)
    names[*made] = name ? name : "";
  return made;
}

Result<std::unique_ptr<Queue>> RecordingDevice::queue(int threads) {
  Result<std::unique_ptr<Queue>> made = real->queue(threads);
  if (!made)
    return made;
  return std::unique_ptr<Queue>(new RecordingQueue(std::move(*made), recording, names));
}

} // namespace stepdown::devicecheck
