#include "runtime/emulated/EmulatedDevice.h"

#include "include/stepdown/Emulation.h"
#include "runtime/AddressSpace.h"
#include "runtime/Checksum.h"
#include "runtime/Load/KernelParameters.h"
#include "runtime/cpu/Processor.h"
#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace stepdown {
namespace {

using ull = unsigned long long;

/// What stands for a CUtensorMap in the emulator.
Status encodeMap(const TensorMapShape &shape, void *to) {
  stepdown_tensor_map map = {};
  map.rank = uint8_t(shape.rank);
  map.element_type = uint8_t(shape.elementType);
  map.element_bytes = uint8_t(shape.elementBytes);
  map.swizzle = uint8_t(shape.swizzle);
  map.check = STEPDOWN_EMULATION_MAGIC;
  map.address = shape.address;
  for (uint32_t i = 0; i < shape.rank; ++i) {
    map.sizes[i] = shape.sizes[i];
    map.box[i] = uint16_t(shape.box[i]);
    map.step[i] = 1;
    if (i)
      map.strides[i - 1] = uint32_t(shape.strides[i] / 16);
  }
  std::memcpy(to, &map, sizeof map);
  return Done{};
}

class EmulatedDevice final : public Device {
public:
  EmulatedDevice(const char *name, const emulated::Options &options, const EmulatedMachine &machine)
      : named(name), options(options), machine(machine) {}
  ~EmulatedDevice() override {
    for (auto &[address, range] : ranges)
      if (range.owned)
        munmap(reinterpret_cast<void *>(address), range.bytes + slack);
  }
  const char *name() const override { return named; }
  bool runs(const char *target) const override { return !std::strcmp(target, name()); }
  bool accepts(uint32_t level) const override { return level == 0 || processorHas(level); }
  bool hasHost() const override { return true; }
  size_t alignment() const override { return slack; } // pages are aligned to more

  Result<Memory> allocate(size_t bytes, const char *purpose) override {
    if (Status room = expectRoom(bytes, purpose); !room)
      return room.error();
    if (uint64_t address = bytes <= SIZE_MAX / 2 ? map(bytes, 0) : 0)
      return Memory{address, nullptr, bytes};
    return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of memory, but the system has no room for them", purpose,
                bytes);
  }
  Result<Memory> reserve(const char *purpose) override {
    uint64_t address = 0;
    if (const size_t size = reserveMost([&](size_t bytes) { return (address = map(bytes, MAP_NORESERVE)) != 0; }))
      return Memory{address, nullptr, size};
    return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of addresses, but the system has no room for them",
                purpose, kFewestReservedBytes);
  }
  void discard(Memory &memory, size_t from, size_t to) override {
    from = (from + 4095) / 4096 * 4096, to = std::min(memory.bytes, (to + 4095) / 4096 * 4096);
    if (from < to)
      madvise(reinterpret_cast<void *>(memory.address + from), to - from, MADV_DONTNEED);
  }
  void release(Memory &memory) override {
    if (!memory.address)
      return;
    std::lock_guard<std::mutex> lock(mutex);
    for (Image &image : images)
      image.emulator.unmap(reinterpret_cast<void *>(memory.address));
    ranges.erase(memory.address);
    munmap(reinterpret_cast<void *>(memory.address), memory.bytes + slack);
    used -= memory.bytes;
    memory = Memory{};
  }
  size_t allocated() const override {
    std::lock_guard<std::mutex> lock(mutex);
    return used;
  }
  size_t memory() const override { return machine.memory; }
  size_t held() const override {
    std::lock_guard<std::mutex> lock(mutex);
    return taken();
  }

  Result<uint64_t> adopt(const uint8_t *bytes, size_t size) override {
    if (Status room = expectRoom(size, "weights"); !room)
      return room.error();
    std::lock_guard<std::mutex> lock(mutex);
    add(reinterpret_cast<uint64_t>(bytes), {size, false});
    return reinterpret_cast<uint64_t>(bytes);
  }

  Result<uint64_t> loadCode(const uint8_t *bytes, size_t size, uint64_t checksum) override {
    if (Status room = expectRoom(size, "code"); !room)
      return room.error();
    std::vector<uint8_t> copy(bytes, bytes + size);
    if (checksumOf(copy.data(), size) != checksum)
      return fail(ErrorCode::ArtifactChecksum,
                  "code: expects checksum %016llx, but the bytes changed while being loaded", (ull)checksum);
    std::lock_guard<std::mutex> lock(mutex);
    sections.push_back(std::move(copy));
    return sections.size();
  }
  Result<uint64_t> kernel(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) override {
    std::lock_guard<std::mutex> lock(mutex);
    if (!name)
      return fail(ErrorCode::LaunchUnsupported,
                  "code: expects entries of device %s by name, but the one at offset %llu has none", this->name(),
                  (ull)offset);
    Result<Image *> image = imageAt(code, offset);
    if (!image)
      return image.error();
    const ImageKernel *found = (*image)->tables.find(name);
    if (!found)
      return fail(ErrorCode::LaunchUnsupported, "code: expects a kernel %s in the image at offset %llu", name,
                  (ull)offset);
    Prepared prepared{*image, found, {}};
    std::copy(launch.block, launch.block + 3, prepared.shape.block.begin());
    prepared.shape.cluster = launch.cluster[0];
    prepared.shape.sharedBytes = launch.shared_bytes;
    prepared.shape.grid = {launch.cluster[0], 1, 1};
    for (int d = 1; d < 3; ++d)
      if (launch.cluster[d] != 1)
        return fail(ErrorCode::LaunchUnsupported,
                    "%s: expects clusters along x for device %s, but got %u blocks in dimension %d", name, this->name(),
                    launch.cluster[d], d);
    if (Status good = (*image)->emulator.check(name, prepared.shape, parameterBytes(*found)); !good)
      return fail(ErrorCode::LaunchUnsupported, "%s", good.error().message.c_str());
    kernels.push_back(prepared);
    return kernels.size();
  }

  Result<std::unique_ptr<Queue>> queue(int threads) override;

  Status run(const Launch &launch) {
    std::lock_guard<std::mutex> lock(mutex);
    if (launched < machine.launches)
      ++launched;
    else
      lost = true;
    if (Status here = expectThere(); !here)
      return here;
    if (launch.kernel - 1 >= kernels.size())
      return fail(ErrorCode::KernelLaunch, "launch: expects one of %zu kernels, but got %llu", kernels.size(),
                  (ull)launch.kernel);
    Prepared &prepared = kernels[launch.kernel - 1];
    const std::string name(prepared.kernel->name);
    const uint32_t words = prepared.kernel->words();
    if (launch.words != words)
      return fail(ErrorCode::KernelLaunch, "%s: expects operands of %u words, but got %u", name.c_str(), words,
                  launch.words);
    if (Status held = expectHeld(launch.operands, words * sizeof(uint64_t), false, "operands"); !held)
      return held;
    std::vector<uint64_t> operands(words);
    if (words)
      std::memcpy(operands.data(), reinterpret_cast<const void *>(launch.operands), words * sizeof(uint64_t));
    std::vector<uint8_t> parameters(parameterBytes(*prepared.kernel));
    if (Status encoded = encodeParameters(*prepared.kernel, operands.data(), encodeMap, parameters.data()); !encoded)
      return encoded;
    std::copy(launch.grid, launch.grid + 3, prepared.shape.grid.begin());
    return prepared.image->emulator.launch(name.c_str(), prepared.shape, parameters.data(), parameters.size(), options);
  }

  /// E1004 where `bytes` from `address` on are not this device's memory. Reads may go on into the bytes behind it.
  Status copyBetween(void *to, uint64_t toDevice, const void *from, uint64_t fromDevice, size_t bytes) {
    if (bytes == 0)
      return Done{};
    std::lock_guard<std::mutex> lock(mutex);
    if (Status here = expectThere(); !here)
      return here;
    if (!to) {
      if (Status held = expectHeld(toDevice, bytes, true, "copy"); !held)
        return held;
      to = reinterpret_cast<void *>(toDevice);
    }
    if (!from) {
      if (Status held = expectHeld(fromDevice, bytes, false, "copy"); !held)
        return held;
      from = reinterpret_cast<const void *>(fromDevice);
    }
    std::memmove(to, from, bytes);
    return Done{};
  }

private:
  static constexpr size_t slack = 256; // readable behind every allocation

  struct Range {
    size_t bytes;
    bool owned; ///< else adopted: read only
  };
  struct Image {
    explicit Image(std::shared_ptr<emulated::Workspace> workspace) : emulator(std::move(workspace)) {}
    uint64_t code = 0, offset = 0;
    KernelImage tables;
    emulated::Emulator emulator;
  };
  struct Prepared {
    Image *image;
    const ImageKernel *kernel;
    emulated::LaunchShape shape;
  };

  /// Bytes of memory that are taken: a chip has its own of what is adopted.
  size_t taken() const {
    size_t bytes = used;
    for (const auto &[address, range] : ranges)
      bytes += range.owned ? 0 : range.bytes;
    for (const std::vector<uint8_t> &section : sections)
      bytes += section.size();
    return bytes;
  }
  /// E1045 where the memory that it was made with has no room.
  Status expectRoom(size_t bytes, const char *purpose) const {
    std::lock_guard<std::mutex> lock(mutex);
    const size_t now = taken();
    if (!machine.memory || (now <= machine.memory && bytes <= machine.memory - now))
      return Done{};
    return fail(ErrorCode::DeviceMemory, "%s: expects %zu bytes of device %s, but %zu of its %zu are taken", purpose,
                bytes, name(), now, machine.memory);
  }
  Status expectThere() const {
    if (!lost)
      return Done{};
    return fail(ErrorCode::DeviceLost, "device %s: expects to be there, but was lost after %llu launches", name(),
                (ull)launched);
  }

  /// Zeroed bytes; 0 where there are none.
  uint64_t map(size_t bytes, int flags) {
    void *made = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (made == MAP_FAILED)
      return 0;
    std::lock_guard<std::mutex> lock(mutex);
    add(reinterpret_cast<uint64_t>(made), {bytes, true});
    used += bytes;
    return reinterpret_cast<uint64_t>(made);
  }
  void add(uint64_t address, Range range) {
    for (auto at = ranges.begin(); at != ranges.end();) {
      const auto [base, other] = *at;
      if (other.owned || base >= address + range.bytes || address >= base + other.bytes) {
        ++at;
        continue;
      }
      // Adopted bytes are adopted again, or in part; or their owner has unmapped them since, and the system gives the
      // addresses again.
      for (Image &image : images)
        image.emulator.unmap(reinterpret_cast<void *>(base));
      at = ranges.erase(at);
      if (!range.owned) {
        const uint64_t first = std::min(base, address);
        range.bytes = std::max(base + other.bytes, address + range.bytes) - first;
        address = first;
      }
    }
    ranges[address] = range;
    for (Image &image : images)
      image.emulator.map(reinterpret_cast<void *>(address), range.bytes, range.owned);
  }
  Status expectHeld(uint64_t address, size_t bytes, bool write, const char *what) const {
    if (bytes == 0)
      return Done{};
    auto after = ranges.upper_bound(address);
    if (after != ranges.begin()) {
      const auto &[base, range] = *std::prev(after);
      const size_t readable = range.bytes + (range.owned && !write ? slack : 0), at = address - base;
      if (at <= readable && bytes <= readable - at && (range.owned || !write))
        return Done{};
    }
    return fail(ErrorCode::KernelFault, "%s: expects %zu bytes of %smemory of device %s, but got address %llx", what,
                bytes, write ? "writable " : "", name(), (ull)address);
  }
  Result<Image *> imageAt(uint64_t code, uint64_t offset) {
    for (Image &image : images)
      if (image.code == code && image.offset == offset)
        return &image;
    const std::vector<uint8_t> *section = code - 1 < sections.size() ? &sections[code - 1] : nullptr;
    if (!section || offset > section->size() || offset % 8)
      return fail(ErrorCode::LaunchUnsupported,
                  "code: expects an image at a multiple of 8 of a loaded section, but got "
                  "offset %llu",
                  (ull)offset);
    Result<KernelImage> tables = locateImage(section->data() + offset, section->size() - offset);
    if (!tables)
      return tables.error();
    images.emplace_back(workspace);
    Image &image = images.back();
    image.code = code;
    image.offset = offset;
    image.tables = std::move(*tables);
    if (Status loaded = image.emulator.load(image.tables.code, image.tables.codeBytes, image.tables.operations,
                                            image.tables.operationBytes);
        !loaded) {
      images.pop_back();
      return loaded.error();
    }
    for (const auto &[address, range] : ranges)
      image.emulator.map(reinterpret_cast<void *>(address), range.bytes, range.owned);
    return &image;
  }

  const char *const named;
  const emulated::Options options;
  const EmulatedMachine machine;
  uint64_t launched = 0;
  bool lost = false;
  const std::shared_ptr<emulated::Workspace> workspace = emulated::makeWorkspace(); // one launch at a time
  mutable std::mutex mutex;
  size_t used = 0;
  std::map<uint64_t, Range> ranges;           // by address
  std::vector<std::vector<uint8_t>> sections; // code - 1
  std::list<Image> images;
  std::vector<Prepared> kernels; // kernel - 1
};

class EmulatedQueue final : public Queue {
public:
  explicit EmulatedQueue(EmulatedDevice &device) : device(device) {}
  Status upload(uint64_t to, const void *from, size_t bytes) override {
    return did(device.copyBetween(nullptr, to, from, 0, bytes));
  }
  Status download(void *to, uint64_t from, size_t bytes) override {
    return did(device.copyBetween(to, 0, nullptr, from, bytes));
  }
  Status copy(uint64_t to, uint64_t from, size_t bytes) override {
    return did(device.copyBetween(nullptr, to, nullptr, from, bytes));
  }
  Status launch(const Launch *launches, size_t count) override {
    for (size_t i = 0; i < count; ++i)
      if (Status ran = did(device.run(launches[i])); !ran)
        return ran;
    return Done{};
  }
  // Work is done in the call that asks for it, so every event has happened.
  uint64_t record() override { return events; }
  bool happened(uint64_t event) const override { return event <= events; }
  Status wait(uint64_t) override { return Done{}; }
  Status sync() override { return Done{}; }
  int width() const override { return 1; }

private:
  Status did(Status status) {
    ++events;
    return status;
  }
  EmulatedDevice &device;
  uint64_t events = 0;
};

Result<std::unique_ptr<Queue>> EmulatedDevice::queue(int) { return std::unique_ptr<Queue>(new EmulatedQueue(*this)); }

} // namespace

std::unique_ptr<Device> makeEmulatedDevice(const char *name, const emulated::Options &options,
                                           const EmulatedMachine &machine) {
  return std::make_unique<EmulatedDevice>(name, options, machine);
}

} // namespace stepdown
