// The GPU behind FakeDriver.cpp: memory, streams whose work is done late, and kernels that the emulator executes.
#pragma once
#include "include/stepdown/Emulation.h"
#include "runtime/Load/ArtifactFile.h"
#include "runtime/Load/KernelParameters.h"
#include "runtime/driver/DriverRecords.h"
#include "runtime/emulated/Emulator.h"
#include "test/device/driver/FakeDriver.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <sys/mman.h>
#include <utility>

namespace stepdown::test {

constexpr int kInvalid = 1, kNoContext = 201, kNotFound = 500, kBadImage = 200, kKernelFault = 719, kCaptures = 900;
#ifdef FAKE_CUDA
constexpr const char *kGpus = "Fake H200=9.0", *kOwn = "nvidia:", *kChip = "sm_90a";
constexpr int kVersion = 13000;
#else
constexpr const char *kGpus = "Fake MI300X=gfx942:sramecc+:xnack-", *kOwn = "amd:", *kChip = "gfx942";
constexpr int kVersion = 60300000;
#endif

inline const char *fromEnvironment(const char *name, const char *otherwise) {
  const char *value = std::getenv(name);
  return value ? value : otherwise;
}

/// Whether a driver that is told no length was given the code of `image`.
inline bool sameCode(const KernelImage &image, const void *code) {
  constexpr size_t header = 64; // of machine code, which says how long it is
  if (image.operationBytes >= header && !std::memcmp(image.operations, code, header))
    return !std::memcmp(image.operations, code, image.operationBytes);
  const bool text = image.codeBytes < header || std::memcmp(image.code,
                                                            "\x7f"
                                                            "ELF",
                                                            4) != 0;
  if (text)
    return !std::strncmp(reinterpret_cast<const char *>(image.code), static_cast<const char *>(code), image.codeBytes);
  return !std::memcmp(image.code, code, header) && !std::memcmp(image.code, code, image.codeBytes);
}

struct Kernel {
  emulated::Emulator emulator;
  ImageKernel parameters;
  std::string name;
  explicit Kernel(std::shared_ptr<emulated::Workspace> workspace) : emulator(std::move(workspace)) {}
};
struct Function {
  Kernel *kernel;
  stepdown_launch launch;
  int dynamicShared = 0;
};
struct Module {
  size_t section, entry; ///< of the artifact's code for the chip
  std::list<Function> functions;
};
struct Graph { ///< or what was instantiated of one
  std::vector<std::function<int()>> work;
  uint64_t launches = 0;
};
struct Stream {
  std::deque<std::function<int()>> work;
  uint64_t asked = 0, done = 0;
  Graph *captured = nullptr; ///< that takes what is asked for, while it is made
};
struct Event {
  Stream *stream = nullptr;
  uint64_t at = 0;
  std::chrono::steady_clock::time_point time;
};
struct Reservation {
  size_t bytes;
  std::map<uint64_t, size_t> pieces; ///< mapped
  std::map<uint64_t, size_t> known;  ///< runs that emulators know
};

struct Fake {
  FakeDriverControl control = {};
  std::mutex mutex;
  bool poisoned = false;
  int contexts = 0;
  uint64_t used = 0;
  std::map<uint64_t, size_t> memory;
  std::map<uint64_t, Reservation> reservations;
  std::map<uint64_t, size_t> handles;
  uint64_t nextHandle = 1;
  std::set<Stream *> streams;
  std::set<Event *> events;
  std::set<Module *> modules;
  std::set<Graph *> graphs, executables;
  std::list<Kernel> kernels;
  std::map<std::pair<std::string, std::string>, Kernel *> byCode;
  std::shared_ptr<emulated::Workspace> workspace = emulated::makeWorkspace();
  std::unique_ptr<ArtifactFile> artifact;
  std::string opened;
  size_t own = SIZE_MAX, emulatedTarget = SIZE_MAX; ///< targets of the artifact
  std::string failName;
  std::map<std::string, uint64_t> callsOf;
  bool idles = false; ///< kernels are launched, but not executed

  Fake() {
    control.memory = std::strtoull(fromEnvironment("FAKE_DRIVER_MEMORY", "4294967296"), nullptr, 10);
    control.version = std::atoi(fromEnvironment("FAKE_DRIVER_VERSION", std::to_string(kVersion).c_str()));
    control.gpus = fromEnvironment("FAKE_DRIVER_GPUS", kGpus);
    control.artifact = fromEnvironment("FAKE_DRIVER_ARTIFACT", nullptr);
    control.mapsMemory = 1;
    idles = std::getenv("FAKE_DRIVER_IDLE") != nullptr;
    if (std::getenv("FAKE_DRIVER_REPORT"))
      std::atexit(report);
    if (const char *wish = std::getenv("FAKE_DRIVER_FAIL")) {
      const char *colon = std::strchr(wish, ':');
      control.failError = colon ? std::atoi(colon + 1) : kKernelFault;
      failName.assign(wish, colon ? size_t(colon - wish) : std::strlen(wish));
      if ((control.failAt = std::strtoull(failName.c_str(), nullptr, 10)) == 0)
        control.failName = failName.c_str();
    }
  }

  /// How often each function was called, as "NAME COUNT" a line, into the file that FAKE_DRIVER_REPORT names.
  static void report();

  /// Of each call: 0, or the error that it is to fail with.
  int enter(const char *name) {
    ++control.calls;
    ++callsOf[name];
    if (control.calls == control.failAt || (control.failName && !std::strcmp(control.failName, name))) {
      control.lastFailed = name;
      control.failName = nullptr;
      if (std::find(std::begin(driver::kLost), std::end(driver::kLost), control.failError) != std::end(driver::kLost))
        poisoned = true;
      return control.failError;
    }
    return 0;
  }
  std::vector<std::pair<std::string, std::string>> gpus() const {
    std::vector<std::pair<std::string, std::string>> list;
    for (const char *at = control.gpus; *at;) {
      const char *end = std::strchr(at, ','), *equal = std::strchr(at, '=');
      const size_t size = end ? size_t(end - at) : std::strlen(at);
      list.emplace_back(std::string(at, equal), std::string(equal + 1, at + size));
      at += size + (end != nullptr);
    }
    return list;
  }

  void show(uint64_t address, size_t bytes) {
    for (Kernel &kernel : kernels)
      kernel.emulator.map(reinterpret_cast<void *>(address), bytes, true);
  }
  void hide(uint64_t address) {
    for (Kernel &kernel : kernels)
      kernel.emulator.unmap(reinterpret_cast<void *>(address));
  }
  void showRuns(Reservation &range) {
    for (auto [begin, bytes] : range.known)
      hide(begin);
    range.known.clear();
    for (auto [begin, bytes] : range.pieces) {
      auto last = range.known.empty() ? range.known.end() : std::prev(range.known.end());
      if (last != range.known.end() && last->first + last->second == begin)
        last->second += bytes;
      else
        range.known[begin] = bytes;
    }
    for (auto [begin, bytes] : range.known)
      show(begin, bytes);
  }
  /// Whether all of it is memory of the GPU.
  bool holds(uint64_t address, size_t bytes) const {
    auto in = [&](const std::map<uint64_t, size_t> &ranges) {
      auto after = ranges.upper_bound(address);
      return after != ranges.begin() && address + bytes <= std::prev(after)->first + std::prev(after)->second;
    };
    if (in(memory))
      return true;
    for (const auto &[base, range] : reservations)
      if (in(range.known))
        return true;
    return false;
  }

  bool openArtifact() {
    if (!control.artifact)
      return false;
    if (artifact && opened == control.artifact)
      return true;
    Result<ArtifactFile> file = ArtifactFile::open(control.artifact, FileUse::copied);
    if (!file) {
      std::fprintf(stderr, "fake driver: %s\n", file.error().text().c_str());
      return false;
    }
    artifact = std::make_unique<ArtifactFile>(std::move(*file));
    opened = control.artifact;
    own = emulatedTarget = SIZE_MAX;
    for (size_t t = 0; t < artifact->targets().size(); ++t) {
      const std::string &name = artifact->targets()[t].name;
      if (name == std::string(kOwn) + kChip)
        own = t;
      if (name == std::string("emulated:") + kChip)
        emulatedTarget = t;
    }
    return own != SIZE_MAX && emulatedTarget != SIZE_MAX;
  }
  /// Where the artifact has `code` for the chip.
  Module *find(const void *code) {
    if (!openArtifact())
      return nullptr;
    const FileTarget &target = artifact->targets()[own];
    for (size_t s = 0; s < target.code.size(); ++s) {
      const CodeSection &section = target.code[s];
      for (size_t e = 0; e < section.index.entries.count; ++e) {
        const stepdown_entry &entry = section.index.entries[e];
        if (entry.name == STEPDOWN_NO_NAME)
          continue;
        Result<KernelImage> image = locateImage(section.bytes + entry.offset, section.size - entry.offset);
        if (image && sameCode(*image, code))
          return new Module{s, e, {}};
      }
    }
    return nullptr;
  }
  /// The emulated kernel beside entry `entry`.
  Kernel *kernelOf(const Module &module, const char *name) {
    const CodeSection &section = artifact->targets()[emulatedTarget].code[module.section];
    const stepdown_entry &entry = section.index.entries[module.entry];
    if (!section.index.name(entry) || std::strcmp(section.index.name(entry), name))
      return nullptr;
    Result<KernelImage> image = locateImage(section.bytes + entry.offset, section.size - entry.offset);
    const ImageKernel *found = image ? image->find(name) : nullptr;
    if (!found)
      return nullptr;
    Kernel *&kernel = byCode[{opened + std::to_string(entry.offset), name}];
    if (kernel)
      return kernel;
    kernels.emplace_back(workspace);
    kernel = &kernels.back();
    kernel->parameters = *found;
    kernel->name = name;
    kernel->parameters.name = kernel->name;
    if (!kernel->emulator.load(image->code, image->codeBytes, image->operations, image->operationBytes))
      return nullptr;
    for (auto [address, bytes] : memory)
      kernel->emulator.map(reinterpret_cast<void *>(address), bytes, true);
    for (const auto &[address, range] : reservations)
      for (auto [begin, bytes] : range.known)
        kernel->emulator.map(reinterpret_cast<void *>(begin), bytes, true);
    return kernel;
  }
  /// Everything that a context has is gone; what streams were asked for is never done.
  void end() {
    poisoned = false;
    count();
    control.leaked += control.held;
    for (Stream *stream : streams) {
      delete stream->captured;
      delete stream;
    }
    for (Event *event : events)
      delete event;
    for (Module *module : modules)
      delete module;
    for (auto *all : {&graphs, &executables}) {
      for (Graph *graph : *all)
        delete graph;
      all->clear();
    }
    streams.clear(), events.clear(), modules.clear();
    for (auto [address, bytes] : memory) {
      hide(address);
      munmap(reinterpret_cast<void *>(address), bytes);
    }
    for (auto &[address, range] : reservations) {
      for (auto [begin, bytes] : range.known)
        hide(begin);
      munmap(reinterpret_cast<void *>(address), range.bytes);
    }
    memory.clear(), reservations.clear(), handles.clear();
    used = 0;
  }
  void count() {
    size_t pieces = 0;
    for (const auto &[address, range] : reservations)
      pieces += 1 + range.pieces.size();
    control.used = used;
    control.held = memory.size() + pieces + handles.size() + streams.size() + events.size() + modules.size() +
                   graphs.size() + executables.size();
  }
  /// Work of `stream` up to `until`.
  int run(Stream &stream, uint64_t until) {
    for (; stream.done < until && !stream.work.empty(); ++stream.done) {
      const std::function<int()> task = std::move(stream.work.front());
      stream.work.pop_front();
      if (int error = poisoned ? kKernelFault : task()) {
        poisoned = true;
        return error;
      }
    }
    return poisoned ? kKernelFault : 0;
  }
};

inline Fake &fake() {
  static Fake *one = new Fake; // as drivers, never unloaded
  return *one;
}

inline void Fake::report() {
  if (std::FILE *file = std::fopen(std::getenv("FAKE_DRIVER_REPORT"), "w")) {
    for (const auto &[name, count] : fake().callsOf)
      std::fprintf(file, "%s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    std::fclose(file);
  }
}
} // namespace stepdown::test
