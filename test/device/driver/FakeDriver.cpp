// A driver without a GPU: libcuda.so.1 (FAKE_CUDA) or libamdhip64.so.7, put in front of the real one by
// LD_LIBRARY_PATH. Memory is the host's. What a stream is asked for is done late, when somebody waits for it. A module
// is looked up in an artifact: where the file has the same code for the real chip, the emulator executes the kernel
// that the file has for the emulated one, with all its checks; a report is an error that the GPU does not survive.
//
// It is strict where drivers are: calls want a context that is current in their thread and handles that were made.
// Environment, for programs that no test links: FAKE_DRIVER_ARTIFACT, FAKE_DRIVER_GPUS, FAKE_DRIVER_MEMORY,
// FAKE_DRIVER_VERSION, FAKE_DRIVER_FAIL=NAME:ERROR or NUMBER:ERROR, FAKE_DRIVER_IDLE (no kernel is executed),
// FAKE_DRIVER_REPORT=FILE (how often each function was called).
#include "test/device/driver/FakeGpu.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

thread_local bool current = false;
thread_local int capturing = 0; ///< streams that this thread captures

#ifdef FAKE_CUDA
thread_local char message[64];
#endif

/// A task of a stream.
int later(void *stream, std::function<int()> task) {
  Stream *to = static_cast<Stream *>(stream);
  if (!fake().streams.count(to))
    return kInvalid;
  if (to->captured) {
    to->captured->work.push_back(std::move(task));
    return 0;
  }
  to->work.push_back(std::move(task));
  ++to->asked;
  return 0;
}

/// One launch, with a copy of its parameters.
int launch(void *handle, std::array<uint32_t, 3> grid, std::array<uint32_t, 3> block, uint32_t cluster, uint32_t shared,
           void *stream, void **parameters) {
  auto *function = static_cast<Function *>(handle);
  const ImageKernel &kernel = function->kernel->parameters;
  emulated::LaunchShape shape;
  shape.grid = grid, shape.block = block, shape.cluster = cluster, shape.sharedBytes = shared;
  if (int(shared) > 49152 && int(shared) > function->dynamicShared && function->dynamicShared >= 0)
    return kInvalid;
  const std::vector<size_t> places = parameterPlaces(kernel);
  std::vector<uint8_t> bytes(parameterBytes(kernel));
  for (size_t i = 0; i < places.size(); ++i) {
    const size_t end = i + 1 < places.size() ? places[i + 1] : bytes.size();
    size_t size = end - places[i];
    switch (kernel.parameters[i].holds) {
    case STEPDOWN_HOLDS_MAP:
      size = 128;
      break;
    case STEPDOWN_HOLDS_SIZE:
      size = 4;
      break;
    case STEPDOWN_HOLDS_VALUE:
      size = kernel.parameters[i].dimension;
      break;
    default:
      size = 8;
    }
    std::memcpy(bytes.data() + places[i], parameters[i], size);
  }
  Kernel *what = function->kernel;
  if (Status good = what->emulator.check(what->name.c_str(), shape, bytes.size()); !good) {
    std::fprintf(stderr, "fake driver: %s\n", good.error().text().c_str());
    return kInvalid;
  }
  auto *to = static_cast<Stream *>(stream);
  if (fake().streams.count(to))
    ++(to->captured ? to->captured->launches : fake().control.launches);
  if (fake().idles)
    return later(stream, [] { return 0; });
  return later(stream, [what, shape, bytes] {
    Status ran = what->emulator.launch(what->name.c_str(), shape, bytes.data(), bytes.size());
    if (!ran)
      std::fprintf(stderr, "fake driver: %s\n", ran.error().text().c_str());
    return ran ? 0 : kKernelFault;
  });
}

} // namespace

extern "C" __attribute__((visibility("default"))) FakeDriverControl *fakeDriverControl() {
  fake().count();
  return &fake().control;
}

// What every call begins with: its count, its wish to fail, and that of the functions behind ENTER_GPU a context.
#define ENTER(NAME)                                                                                                    \
  std::lock_guard<std::mutex> lock(fake().mutex);                                                                      \
  if (int wish = fake().enter(NAME))                                                                                   \
    return wish;
#define ENTER_GPU(NAME)                                                                                                \
  ENTER(NAME)                                                                                                          \
  if (!current)                                                                                                        \
    return kNoContext;                                                                                                 \
  if (fake().poisoned)                                                                                                 \
    return kKernelFault;

extern "C" {

int fake_init(unsigned flags) {
  ENTER("init")
  return flags ? kInvalid : 0;
}
int fake_version(int *version) {
  ENTER("version")
  *version = fake().control.version;
  return 0;
}
int fake_deviceCount(int *count) {
  ENTER("deviceCount")
  *count = int(fake().gpus().size());
  return 0;
}
int fake_device(int *device, int ordinal) {
  ENTER("device")
  *device = ordinal;
  return size_t(ordinal) < fake().gpus().size() ? 0 : kInvalid;
}
int fake_deviceName(char *name, int length, int device) {
  ENTER("deviceName")
  std::snprintf(name, size_t(length), "%s", fake().gpus()[size_t(device)].first.c_str());
  return 0;
}
int fake_memory(size_t *free, size_t *total) {
  ENTER_GPU("memory")
  *total = fake().control.memory;
  *free = fake().control.memory - fake().used;
  return 0;
}
int fake_allocate(uint64_t *address, size_t bytes) {
  ENTER_GPU("allocate")
  if (bytes == 0 || capturing)
    return capturing ? kCaptures : kInvalid;
  if (bytes > fake().control.memory - fake().used)
    return driver::kOutOfMemory;
  void *made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED)
    return driver::kOutOfMemory;
  *address = reinterpret_cast<uint64_t>(made);
  fake().memory[*address] = bytes;
  fake().used += bytes;
  fake().show(*address, bytes);
  if (bytes < 1 << 20) // what was there before
    std::memset(made, 0xa5, bytes);
  return 0;
}
int fake_release(uint64_t address) {
  ENTER_GPU("release")
  auto at = fake().memory.find(address);
  if (at == fake().memory.end())
    return kInvalid;
  for (Stream *stream : fake().streams) // as cuMemFree and hipFree: not in front of what is under way
    if (int error = fake().run(*stream, stream->asked))
      return error;
  fake().hide(address);
  munmap(reinterpret_cast<void *>(address), at->second);
  fake().used -= at->second;
  fake().memory.erase(at);
  return 0;
}
int fake_fill(uint64_t address, unsigned char value, size_t bytes, void *stream) {
  ENTER_GPU("fill")
  if (!fake().holds(address, bytes))
    return kInvalid;
  return later(stream, [=] { return std::memset(reinterpret_cast<void *>(address), value, bytes), 0; });
}
int fake_toDevice(uint64_t to, const void *from, size_t bytes, void *stream) {
  ENTER_GPU("toDevice")
  if (!fake().holds(to, bytes))
    return kInvalid;
  return later(stream, [=] { return std::memcpy(reinterpret_cast<void *>(to), from, bytes), 0; });
}
int fake_toHost(void *to, uint64_t from, size_t bytes, void *stream) {
  ENTER_GPU("toHost")
  if (!fake().holds(from, bytes))
    return kInvalid;
  return later(stream, [=] { return std::memcpy(to, reinterpret_cast<const void *>(from), bytes), 0; });
}
int fake_between(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  ENTER_GPU("between")
  if (!fake().holds(to, bytes) || !fake().holds(from, bytes))
    return kInvalid;
  return later(stream, [=] {
    return std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes), 0;
  });
}
int fake_makeStream(void **stream, unsigned flags) {
  ENTER_GPU("makeStream")
  if (flags != driver::kOwnOrder)
    return kInvalid;
  *stream = *fake().streams.insert(new Stream).first;
  return 0;
}
int fake_endStream(void *stream) {
  ENTER_GPU("endStream")
  auto *ended = static_cast<Stream *>(stream);
  if (!fake().streams.erase(ended))
    return kInvalid;
  const int error = fake().run(*ended, ended->asked);
  delete ended;
  return error;
}
// What fails by wish has waited all the same, as drivers do: nothing is on its way afterwards.
int fake_waitForStream(void *stream) {
  auto *waited = static_cast<Stream *>(stream);
  std::lock_guard<std::mutex> lock(fake().mutex);
  const int wish = fake().enter("waitForStream");
  if (!current)
    return kNoContext;
  if (capturing)
    return kCaptures;
  const int error = fake().streams.count(waited) ? fake().run(*waited, waited->asked) : kInvalid;
  return wish ? wish : error;
}
int fake_makeEvent(void **event, unsigned flags) {
  ENTER_GPU("makeEvent")
  if (flags & ~driver::kNoTime)
    return kInvalid;
  *event = *fake().events.insert(new Event).first;
  return 0;
}
int fake_endEvent(void *event) {
  ENTER_GPU("endEvent")
  if (!fake().events.erase(static_cast<Event *>(event)))
    return kInvalid;
  delete static_cast<Event *>(event);
  return 0;
}
int fake_recordEvent(void *event, void *stream) {
  ENTER_GPU("recordEvent")
  auto *marked = static_cast<Event *>(event);
  if (!fake().events.count(marked) || !fake().streams.count(static_cast<Stream *>(stream)))
    return kInvalid;
  if (int error = later(stream, [marked] { return marked->time = std::chrono::steady_clock::now(), 0; }))
    return error;
  marked->stream = static_cast<Stream *>(stream);
  marked->at = marked->stream->asked;
  return 0;
}
// A query lets one more piece of work be done.
int fake_queryEvent(void *event) {
  ENTER_GPU("queryEvent")
  auto *marked = static_cast<Event *>(event);
  if (!fake().events.count(marked) || !marked->stream)
    return kInvalid;
  if (marked->stream->done >= marked->at)
    return 0;
  if (int error = fake().run(*marked->stream, marked->stream->done + 1))
    return error;
  return marked->stream->done >= marked->at ? 0 : driver::kNotReady;
}
int fake_waitForEvent(void *event) {
  ENTER_GPU("waitForEvent")
  auto *marked = static_cast<Event *>(event);
  return fake().events.count(marked) && marked->stream ? fake().run(*marked->stream, marked->at) : kInvalid;
}
// The event is the one that was recorded last when this is asked for.
int fake_waitInStream(void *stream, void *event, unsigned flags) {
  ENTER_GPU("waitInStream")
  auto *marked = static_cast<Event *>(event);
  if (!fake().events.count(marked) || flags)
    return kInvalid;
  return later(stream, [from = marked->stream, at = marked->at] { return from ? fake().run(*from, at) : 0; });
}
int fake_betweenEvents(float *milliseconds, void *from, void *to) {
  ENTER_GPU("betweenEvents")
  auto *first = static_cast<Event *>(from), *second = static_cast<Event *>(to);
  if (first->stream->done < first->at || second->stream->done < second->at)
    return driver::kNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(second->time - first->time).count();
  return 0;
}
int fake_loadModule(void **module, const void *image, unsigned count, int *options, void **values) {
  ENTER_GPU("loadModule")
  Module *found = fake().find(image);
  for (unsigned i = 0; !found && i + 1 < count; ++i)
    if (options[i] == driver::kErrorLog && options[i + 1] == driver::kErrorLogBytes)
      std::snprintf(static_cast<char *>(values[i]), reinterpret_cast<size_t>(values[i + 1]), "no code of the artifact");
  if (!found)
    return kBadImage;
  *module = *fake().modules.insert(found).first;
  return 0;
}
int fake_endModule(void *module) {
  ENTER_GPU("endModule")
  if (!fake().modules.erase(static_cast<Module *>(module)))
    return kInvalid;
  delete static_cast<Module *>(module);
  return 0;
}
int fake_function(void **function, void *module, const char *name) {
  ENTER_GPU("function")
  auto *held = static_cast<Module *>(module);
  if (!fake().modules.count(held))
    return kInvalid;
  Kernel *kernel = fake().kernelOf(*held, name);
  if (!kernel)
    return kNotFound;
  held->functions.push_back({kernel, {}, 0});
  *function = &held->functions.back();
  return 0;
}
int fake_functionAttribute(int *value, int attribute, void *function) {
  ENTER_GPU("functionAttribute")
  *value = attribute == driver::kThreadsOfBlock ? 1024 : 0;
  return function ? 0 : kInvalid;
}
int fake_launch(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                unsigned blockZ, unsigned sharedBytes, void *stream, void **parameters, void **extra) {
  ENTER_GPU("launch")
  if (extra)
    return kInvalid;
#ifndef FAKE_CUDA
  static_cast<Function *>(function)->dynamicShared = -1; // HIP asks for no leave
#endif
  return launch(function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, 1, sharedBytes, stream, parameters);
}

// While a stream is captured, nothing may be waited for or allocated in the thread that does it.
int fake_beginCapture(void *stream, int mode) {
  ENTER_GPU("beginCapture")
  auto *to = static_cast<Stream *>(stream);
  if (!fake().streams.count(to) || to->captured || mode != driver::kOwnThread)
    return kInvalid;
  to->captured = new Graph;
  ++capturing;
  return 0;
}
int fake_endCapture(void *stream, void **graph) {
  auto *from = static_cast<Stream *>(stream);
  std::lock_guard<std::mutex> lock(fake().mutex);
  const int wish = fake().enter("endCapture"); // what fails by wish has ended the capture all the same
  if (!fake().streams.count(from) || !from->captured)
    return kInvalid;
  Graph *made = std::exchange(from->captured, nullptr);
  --capturing;
  if (wish) {
    delete made;
    return wish;
  }
  *graph = *fake().graphs.insert(made).first;
  return 0;
}
int fake_instantiate(void **executable, void *graph, unsigned long long flags) {
  ENTER_GPU("instantiate")
  auto *from = static_cast<Graph *>(graph);
  if (!fake().graphs.count(from) || flags)
    return kInvalid;
  *executable = *fake().executables.insert(new Graph(*from)).first;
  return 0;
}
int fake_launchGraph(void *executable, void *stream) {
  ENTER_GPU("launchGraph")
  auto *from = static_cast<Graph *>(executable);
  auto *to = static_cast<Stream *>(stream);
  if (!fake().executables.count(from) || !fake().streams.count(to) || to->captured)
    return kInvalid;
  for (const auto &task : from->work)
    if (int error = later(stream, task))
      return error;
  fake().control.launches += from->launches;
  return 0;
}
int fake_endGraph(void *graph) {
  ENTER_GPU("endGraph")
  if (!fake().graphs.erase(static_cast<Graph *>(graph)))
    return kInvalid;
  delete static_cast<Graph *>(graph);
  return 0;
}
int fake_endExecutable(void *executable) {
  ENTER_GPU("endExecutable")
  if (!fake().executables.erase(static_cast<Graph *>(executable)))
    return kInvalid;
  delete static_cast<Graph *>(executable);
  return 0;
}

#ifdef FAKE_CUDA
#include "test/device/driver/FakeCudaAlone.h"
#else
int fake_useDevice(int device) {
  ENTER("useDevice")
  current = size_t(device) < fake().gpus().size();
  return current ? 0 : kNoContext;
}
// The chip's name stands somewhere in a record of which only that is known.
int fake_properties(void *properties, int device) {
  ENTER("properties")
  const auto [name, chip] = fake().gpus()[size_t(device)];
  std::snprintf(static_cast<char *>(properties), 256, "%s", name.c_str());
  std::snprintf(static_cast<char *>(properties) + 1160, 256, "%s", chip.c_str());
  return 0;
}
int fake_oldProperties(void *, int) { return kInvalid; } // another record
__attribute__((visibility("default"))) const char *hipGetErrorString(int) { return "fake error"; }
#endif

// The vendors' names of all of them.
#define STEPDOWN_ALIAS(FIELD, NAME, PARAMETERS)                                                                        \
  __attribute__((visibility("default"), alias("fake_" #FIELD))) int NAME PARAMETERS;
#ifdef FAKE_CUDA
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) STEPDOWN_ALIAS(FIELD, CUDA, PARAMETERS)
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS) STEPDOWN_ALIAS(FIELD, CUDA, PARAMETERS)
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS)
#else
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) STEPDOWN_ALIAS(FIELD, HIP, PARAMETERS)
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS)
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS) STEPDOWN_ALIAS(FIELD, HIP, PARAMETERS)
#endif
#include "runtime/driver/DriverFunctions.def"
}
