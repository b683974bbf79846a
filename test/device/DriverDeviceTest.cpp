// GPUs behind drivers that are none: the whole of runtime/driver, with kernels that the emulator executes, and with
// every call of the driver failing in turn.
#include "runtime/driver/DriverDevice.h"
#include "include/stepdown/Compiler.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/driver/DriverRecords.h"
#include "runtime/driver/LaunchGraphs.h"
#include "test/device/Kinds.h"
#include "test/device/ProductFunction.h"
#include "test/device/driver/FakeDrivers.h"
#include "test/unit/ToyModel.h"
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>

using namespace stepdown;

namespace {

constexpr const char *kModule = STEPDOWN_PRODUCT_FUNCTION
    R"(func.func @tiles(%a: tensor<131x72xf16>, %b: tensor<72x136xf16>) -> tensor<131x136xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<131x136xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<131x136xf32>) -> tensor<131x136xf32>
  %c = linalg.matmul ins(%a, %b : tensor<131x72xf16>, tensor<72x136xf16>) outs(%start : tensor<131x136xf32>) -> tensor<131x136xf32>
  return %c : tensor<131x136xf32>
}
)";
/// Every kind of work with as few calls of the driver as may be.
constexpr const char *kSmall = R"(
func.func @choose(%a: tensor<?xf32>, %i: index) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %x = tensor.extract %a[%i] : tensor<?xf32>
  %less = arith.cmpf olt, %x, %zero : f32
  %r = scf.if %less -> tensor<?xf32> {
    %e = tensor.empty(%n) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    scf.yield %f : tensor<?xf32>
  } else {
    scf.yield %a : tensor<?xf32>
  }
  return %r : tensor<?xf32>
}
)";

struct Kind {
  const char *device, *library, *emulated;
  const driver::Vendor *vendor;
};
const Kind kKinds[] = {{"nvidia:sm_90a", "libcuda.so.1", "emulated:sm_90a", &driver::kNvidia},
                       {"amd:gfx942", "libamdhip64.so.7", "emulated:gfx942", &driver::kAmd}};

/// Code of `module` for a chip and for the emulated one, compiled once.
const std::string &artifactOf(const Kind &kind, const char *module = kModule) {
  static std::map<std::pair<const char *, const char *>, std::string> paths;
  std::string &path = paths[{kind.device, module}];
  if (!path.empty())
    return path;
  path = test::temporaryFile({}, ".stepdown");
  const std::string targets = std::string(kind.device) + "," + kind.emulated;
  stepdown_compile_options options = {};
  options.size = sizeof options;
  options.targets = targets.c_str();
  const stepdown_status compiled =
      stepdown_compile_module(module, std::strlen(module), "device.mlir", path.c_str(), &options);
  EXPECT_EQ(compiled.code, 0) << compiled.text;
  return path;
}

struct DriverDevices : testing::TestWithParam<int> {
  const Kind &kind = kKinds[GetParam()];
  FakeDriverControl &fake = test::fakeDriver(kind.library);
  const FakeDriverControl before = fake;
  DriverDevices() { fake.artifact = artifactOf(kind).c_str(); }
  ~DriverDevices() override {
    const uint64_t calls = fake.calls;
    const uint64_t leaked = fake.leaked;
    fake = before;
    fake.calls = calls;
    fake.leaked = leaked;
  }
  Result<std::shared_ptr<Device>> open() { return openDriverDevice(*kind.vendor, kind.device); }
  /// What the fake holds now, and in how many bytes: calls that failed on purpose may have left something.
  uint64_t held() {
    const FakeDriverControl &now = test::fakeDriver(kind.library);
    return now.held + now.leaked;
  }
  uint64_t used() { return test::fakeDriver(kind.library).used; }

  /// Arguments, a kernel, an element that the processor asks for, a result; and memory of the device's own.
  Status work() {
    fake.artifact = artifactOf(kind, kSmall).c_str();
    Result<std::shared_ptr<Device>> device = open();
    if (!device)
      return device.error();
    Result<Memory> some = (*device)->allocate(1009, "some");
    if (!some)
      return some.error();
    (*device)->release(*some);
    auto library = FunctionLibrary::load(artifactOf(kind, kSmall), *device);
    return library ? choose(**library) : library.error();
  }
  Status product(const FunctionLibrary &library) {
    constexpr int64_t m = 7, k = 13, n = 19;
    std::vector<float> a(m * k), b(k * n);
    for (size_t i = 0; i < a.size(); ++i)
      a[i] = static_cast<float>(i % 11) - 5;
    for (size_t i = 0; i < b.size(); ++i)
      b[i] = static_cast<float>(i % 17) - 8;
    auto results =
        library.call(*library.find("product"), {{STEPDOWN_F32, {m, k}, a.data()}, {STEPDOWN_F32, {k, n}, b.data()}});
    if (!results)
      return results.error();
    const auto *c = static_cast<const float *>((*results)->arrays()[0].data);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0; // whole numbers: float32 holds every partial sum
        for (int64_t l = 0; l < k; ++l)
          sum += a[i * k + l] * b[l * n + j];
        EXPECT_EQ(c[i * n + j], sum) << i << ", " << j;
      }
    return Done{};
  }
  Status choose(const FunctionLibrary &library) {
    const float a[] = {1, -2, 3, 5, 7};
    for (int64_t i : {2, 1}) {
      auto results = library.call(*library.find("choose"), {{STEPDOWN_F32, {5}, a}, {STEPDOWN_INDEX, {}, &i}});
      if (!results)
        return results.error();
      const auto *r = static_cast<const float *>((*results)->arrays()[0].data);
      for (int e = 0; e < 5; ++e)
        EXPECT_EQ(r[e], i == 1 ? 0 : a[e]);
    }
    return Done{};
  }
};

TEST_P(DriverDevices, RunFunctionsAndGiveEverythingBack) {
  const uint64_t launches = fake.launches;
  const uint64_t before = held();
  Status done = work();
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_GT(fake.launches, launches);
  EXPECT_EQ(held(), before);
}

// Tile kernels: of sm_90a with tensor maps and more shared memory than a kernel has unasked. Within the rounding of
// float32 sums of exact products.
TEST_P(DriverDevices, RunTileKernels) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  constexpr int64_t m = 131, k = 72, n = 136;
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::vector<_Float16> a(m * k), b(k * n);
  for (auto *list : {&a, &b})
    for (_Float16 &value : *list)
      value = static_cast<_Float16>(normal(random));
  auto results = (*library)->call(*(*library)->find("tiles"),
                                  {{STEPDOWN_F16, {m, k}, a.data()}, {STEPDOWN_F16, {k, n}, b.data()}});
  ASSERT_TRUE(results) << results.error().text();
  const auto *c = static_cast<const float *>((*results)->arrays()[0].data);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double term = double(a[i * k + l]) * double(b[l * n + j]);
        sum += term, size += std::fabs(term);
      }
      ASSERT_LE(std::fabs(c[i * n + j] - sum), size * k * 0x1p-24) << i << ", " << j;
    }
}

// Whatever call fails, with whatever error: a number, nothing lost, and the next attempt is as good as the first.
TEST_P(DriverDevices, SayANumberWhicheverCallFails) {
  std::set<int> codes;
  std::set<std::string> failed;
  const bool contexts = kind.vendor == &driver::kNvidia; // HIP has nothing that ends with its last user
  for (int error : {driver::kOutOfMemory, 1, 719}) {
    if (error == 719 && !contexts)
      continue;
    for (uint64_t k = 1;; ++k) {
      const uint64_t calls = fake.calls;
      fake.failError = error;
      fake.failAt = calls + k;
      fake.lastFailed = nullptr;
      Status done = work();
      fake.failAt = 0;
      if (!fake.lastFailed)
        break;
      failed.insert(fake.lastFailed);
      if (!done) {
        codes.insert(int(done.error().code));
        EXPECT_NE(done.error().message.find("expects"), std::string::npos) << done.error().text();
        EXPECT_EQ(done.error().message.find('\n'), std::string::npos) << done.error().text();
        if (error == 719) {
          EXPECT_TRUE(done.error().code == ErrorCode::DeviceLost || done.error().code == ErrorCode::DriverMissing)
              << fake.lastFailed << ": " << done.error().text();
        }
      }
      ASSERT_LT(k, 5000u);
    }
  }
  for (int code : {601, 922, 1012, 1013, 1015})
    EXPECT_TRUE(codes.count(code)) << code;
  for (const char *name : {"allocate", "toDevice", "toHost", "launch", "loadModule", "waitForStream", "makeStream"})
    EXPECT_TRUE(failed.count(name)) << name;
  Status done = work();
  EXPECT_TRUE(done) << done.error().text();
}

TEST_P(DriverDevices, SayWhatMemoryWasWantedAndWhatIsFree) {
  fake.memory = used() + (1 << 20);
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  Result<Memory> kept = (*device)->allocate(1000000, "first");
  ASSERT_TRUE(kept) << kept.error().text();
  Result<Memory> none = (*device)->allocate(50000, "logits");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text(), std::string("error E0601: logits: expects 50000 bytes of memory of device ") +
                                     kind.device + ", but 48320 of its " + std::to_string(fake.memory) + " are free");
  (*device)->release(*kept);
  EXPECT_TRUE((*device)->allocate(50000, "logits"));
  EXPECT_EQ((*device)->allocated(), 50000u);
}

// Arrays that a call makes: where addresses become memory by and by as much as there is, elsewhere a part of it.
TEST_P(DriverDevices, FillTheArenaUntilMemoryIsFull) {
  const uint64_t before = held(), inUse = used() / (2 << 20) * (2 << 20);
  for (int maps : {1, 0}) {
    fake.mapsMemory = maps;
    fake.memory = used() + (96 << 20);
    auto device = open();
    ASSERT_TRUE(device) << device.error().text();
    Result<Memory> made = (*device)->reserve("arena");
    ASSERT_TRUE(made) << made.error().text();
    Allocation arena(**device, *made);
    const bool grows = maps && kind.vendor == &driver::kNvidia;
    EXPECT_EQ(arena->bytes, grows ? inUse + (96u << 20) : 24u << 20);
    const size_t empty = (*device)->allocated();
    EXPECT_EQ(empty, grows ? 0 : arena->bytes);
    Status some = arena.commit(0, 5000), more = arena.commit(4000, 10 << 20), again = arena.commit(0, 9 << 20);
    ASSERT_TRUE(some && more && again);
    if (!grows)
      continue;
    EXPECT_EQ((*device)->allocated(), 12u << 20); // whole pieces, with what may be read behind the end
    auto queue = std::move(*(*device)->queue(1));
    std::vector<uint8_t> sent(9 << 20, 7), got(9 << 20);
    ASSERT_TRUE(queue->upload(arena->address + 1000, sent.data(), sent.size()));
    ASSERT_TRUE(queue->download(got.data(), arena->address + 1000, got.size()));
    ASSERT_TRUE(queue->sync());
    EXPECT_EQ(sent, got);
    Result<Memory> other = (*device)->allocate(60 << 20, "other");
    ASSERT_TRUE(other) << other.error().text();
    Status full = arena.commit(0, 64 << 20);
    ASSERT_FALSE(full);
    EXPECT_NE(full.error().text().find("error E0601: arena: expects "), std::string::npos) << full.error().text();
    (*device)->release(*other);
    EXPECT_TRUE(arena.commit(0, 64 << 20));
    arena.discard(4 << 20, arena->bytes);
    EXPECT_LE((*device)->allocated(), 12u << 20);
    EXPECT_TRUE(arena.commit(0, 20 << 20));
  }
  EXPECT_EQ(held(), before);
}

TEST_P(DriverDevices, AreRefusedInALine) {
  struct Case {
    const char *gpus;
    int version, code;
    const char *text;
  };
  const bool cuda = kind.vendor == &driver::kNvidia;
  const Case cases[] = {
      {"", 0, 922, "finds none"},
      {cuda ? "Fake A100=8.0,Fake B200=10.0" : "Fake MI250X=gfx90a:xnack-", 0, 1011,
       cuda ? "this machine has Fake A100 (sm_80), Fake B200 (sm_100)" : "this machine has Fake MI250X (gfx90a)"}};
  for (const Case &each : cases) {
    fake.gpus = each.gpus;
    auto device = open();
    ASSERT_FALSE(device);
    EXPECT_EQ(int(device.error().code), each.code);
    EXPECT_NE(device.error().message.find(each.text), std::string::npos) << device.error().text();
  }
  fake.gpus = cuda ? "Fake A100=8.0,Fake H100=9.0" : "Fake MI250X=gfx90a,Fake MI300X=gfx942";
  auto second = open();
  EXPECT_TRUE(second) << second.error().text();
}

// One GPU is lost in the middle of a call: it says so from then on, everything else goes on, and once nobody holds it
// any more it can be opened anew.
TEST_P(DriverDevices, AreLostAlone) {
  if (kind.vendor != &driver::kNvidia)
    GTEST_SKIP() << "a process of HIP has one context for its life";
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  auto queue = std::move(*(*device)->queue(1));
  Result<Memory> memory = (*device)->allocate(1000, "some");
  ASSERT_TRUE(memory);
  fake.failName = "launch";
  fake.failError = 700;
  Status lost = product(**library);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::DeviceLost);
  EXPECT_NE(lost.error().message.find("error 700 (fake error 700): the GPU is lost"), std::string::npos)
      << lost.error().text();
  uint32_t word = 0;
  for (Status after :
       {product(**library), queue->upload(memory->address, &word, 4), queue->sync(), queue->wait(queue->record())}) {
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code, ErrorCode::DeviceLost);
    EXPECT_NE(after.error().message.find("was lost before: error 700"), std::string::npos) << after.error().text();
  }
  EXPECT_FALSE((*device)->allocate(1, "more"));
  EXPECT_FALSE((*device)->queue(1));
  auto emulated = FunctionLibrary::load(artifactOf(kind), *openDevice(kind.emulated));
  ASSERT_TRUE(emulated) << emulated.error().text();
  EXPECT_TRUE(product(**emulated)) << "another device";
  queue.reset();
  (*device)->release(*memory);
  device = fail(ErrorCode::DeviceLost, "closed");
  library = fail(ErrorCode::DeviceLost, "closed");
  Status again = work();
  EXPECT_TRUE(again) << again.error().text();
}

// Lists are told apart by every word, captured when they come for the second time, and replayed from then on.
TEST_P(DriverDevices, ReplayListsThatComeAgain) {
  using driver::LaunchGraphs;
  const uint64_t before = held();
  {
    const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
    const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
    auto context = std::move(*driver::Context::open(*opened, kind.device, gpu));
    void *stream = nullptr;
    ASSERT_EQ(opened->makeStream(&stream, driver::kOwnOrder), 0);
    LaunchGraphs graphs(*context);
    uint64_t words[LaunchGraphs::kShortest][2] = {};
    size_t made = 0;
    auto launch = [&](uint64_t word, size_t count = LaunchGraphs::kShortest) {
      std::vector<Launch> list;
      words[count - 1][1] = word; // the last one
      for (size_t i = 0; i < count; ++i)
        list.push_back({7, 0, 2, {1, 1, 1}, words[i]});
      made = 0;
      return graphs.launch(list.data(), count, stream, [&](const Launch &) { return ++made, Status(Done{}); });
    };
    for (size_t expected : {8, 8, 0, 0}) { // launched, captured, replayed
      ASSERT_TRUE(launch(1));
      EXPECT_EQ(made, expected);
    }
    for (size_t expected : {8, 8, 0}) {
      ASSERT_TRUE(launch(2));
      EXPECT_EQ(made, expected);
    }
    for (int round = 0; round < 3; ++round) { // too short
      ASSERT_TRUE(launch(1, 7));
      EXPECT_EQ(made, 7u);
    }
    for (uint64_t word = 3; word <= LaunchGraphs::kMost; ++word)
      for (size_t expected : {8, 8, 0}) {
        ASSERT_TRUE(launch(word));
        EXPECT_EQ(made, expected);
      }
    // No graph is free, and the first was used not long ago.
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(launch(99));
      EXPECT_EQ(made, 8u);
    }
    for (uint64_t round = 0; round < LaunchGraphs::kKept; ++round)
      ASSERT_TRUE(launch(2));
    for (size_t expected : {8, 0}) {
      ASSERT_TRUE(launch(99));
      EXPECT_EQ(made, expected);
    }
    ASSERT_TRUE(launch(1)); // whose place it has
    EXPECT_EQ(made, 8u);
    opened->waitForStream(stream);
    graphs.clear();
    opened->endStream(stream);
  }
  EXPECT_EQ(held(), before);
}

/// Graphs in a stream of their own, asked for lists of eight launches that differ in a word of the last.
struct ListsOfLaunches {
  driver::LaunchGraphs graphs;
  const driver::Driver &opened;
  void *stream = nullptr;
  size_t made = 0, failAt = 0; ///< launches for the last list; which of them fails, from 1, or 0
  ListsOfLaunches(const driver::Context &context) : graphs(context), opened(context.driver) {
    EXPECT_EQ(opened.makeStream(&stream, driver::kOwnOrder), 0);
  }
  ~ListsOfLaunches() {
    opened.waitForStream(stream);
    graphs.clear();
    opened.endStream(stream);
  }
  Status launch(uint64_t word) {
    uint64_t words[driver::LaunchGraphs::kShortest] = {};
    words[driver::LaunchGraphs::kShortest - 1] = word;
    std::vector<Launch> list;
    for (uint64_t &each : words)
      list.push_back({7, 0, 1, {1, 1, 1}, &each});
    made = 0;
    return graphs.launch(list.data(), list.size(), stream, [&](const Launch &) {
      return ++made == failAt ? Status(fail(ErrorCode::LaunchFailed, "wished")) : Status(Done{});
    });
  }
};

// Whatever of a graph's functions fails: the list is launched all the same, no other is captured, and a graph that
// there was goes on. Nothing is left behind.
TEST_P(DriverDevices, LaunchWhereGraphsFail) {
  const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
  const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
  auto context = std::move(*driver::Context::open(*opened, kind.device, gpu));
  for (const char *name : {"beginCapture", "each", "endCapture", "instantiate", "launchGraph"}) {
    const uint64_t before = held();
    {
      ListsOfLaunches lists(*context);
      for (size_t expected : {8, 8, 0}) { // a good one
        ASSERT_TRUE(lists.launch(1));
        ASSERT_EQ(lists.made, expected);
      }
      ASSERT_TRUE(lists.launch(2));
      const bool fails = !std::strcmp(name, "each");
      fake.failName = fails ? nullptr : name;
      fake.failError = std::strcmp(name, "launchGraph") ? 801 : driver::kOutOfMemory;
      lists.failAt = fails ? 3 : 0;
      Status again = lists.launch(2); // captured in vain, and launched
      EXPECT_EQ(fake.failName, nullptr) << name;
      ASSERT_TRUE(again) << name << ": " << again.error().text();
      EXPECT_EQ(lists.made, fails ? 11u : std::strcmp(name, "beginCapture") ? 16u : 8u) << name;
      lists.failAt = 0;
      for (size_t expected : {8, 8}) {
        ASSERT_TRUE(lists.launch(2));
        EXPECT_EQ(lists.made, expected) << name;
      }
      ASSERT_TRUE(lists.launch(1));
      EXPECT_EQ(lists.made, 0u) << name;
    }
    EXPECT_EQ(held(), before) << name;
  }
  { // of a graph that was replayed before: it goes, and the list is launched
    const uint64_t before = held();
    {
      ListsOfLaunches lists(*context);
      for (size_t expected : {8, 8, 0}) {
        ASSERT_TRUE(lists.launch(1));
        ASSERT_EQ(lists.made, expected);
      }
      fake.failName = "launchGraph";
      fake.failError = 1;
      for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(lists.launch(1));
        EXPECT_EQ(lists.made, 8u);
      }
    }
    EXPECT_EQ(held(), before);
  }
}

// A GPU that is lost in any of them says so.
TEST_P(DriverDevices, AreLostInAGraph) {
  if (kind.vendor != &driver::kNvidia)
    GTEST_SKIP() << "a process of HIP has one context for its life";
  for (const char *name : {"beginCapture", "endCapture", "instantiate", "launchGraph", "waitForStream"}) {
    const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
    const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
    auto context = std::move(*driver::Context::open(*opened, kind.device, gpu));
    ListsOfLaunches lists(*context);
    const bool evicts = !std::strcmp(name, "waitForStream"); // of a graph that goes for another
    for (uint64_t word = 1; evicts && word <= driver::LaunchGraphs::kMost; ++word)
      for (int round = 0; round < 2; ++round)
        ASSERT_TRUE(lists.launch(word));
    for (uint64_t round = 0; evicts && round < driver::LaunchGraphs::kKept; ++round)
      ASSERT_TRUE(lists.launch(2));
    ASSERT_TRUE(lists.launch(99));
    fake.failName = name;
    fake.failError = 700;
    Status lost = lists.launch(99);
    ASSERT_FALSE(lost) << name;
    EXPECT_EQ(lost.error().code, ErrorCode::DeviceLost) << name;
    EXPECT_NE(lost.error().message.find("error 700"), std::string::npos) << lost.error().text();
    EXPECT_FALSE(context->enter()) << name;
  }
  Status again = work();
  EXPECT_TRUE(again) << again.error().text();
}

// A list whose operands are missing is another than one that has them.
TEST_P(DriverDevices, TellListsWithoutOperandsApart) {
  const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
  const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
  auto context = std::move(*driver::Context::open(*opened, kind.device, gpu));
  ListsOfLaunches lists(*context);
  const uint64_t word = 7;
  std::vector<Launch> list(driver::LaunchGraphs::kShortest, {7, 0, 1, {1, 1, 1}, &word});
  size_t made = 0;
  auto launch = [&] {
    made = 0;
    return lists.graphs.launch(list.data(), list.size(), lists.stream,
                               [&](const Launch &) { return ++made, Status(Done{}); });
  };
  for (size_t expected : {8, 8, 0}) {
    ASSERT_TRUE(launch());
    EXPECT_EQ(made, expected);
  }
  list.back().values = nullptr;
  ASSERT_TRUE(launch());
  EXPECT_EQ(made, 8u);
}

// Two threads capture at once, each in a stream of its own.
TEST_P(DriverDevices, CaptureInTwoThreads) {
  const uint64_t before = held();
  {
    const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
    const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
    auto context = std::move(*driver::Context::open(*opened, kind.device, gpu));
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&] {
        ASSERT_TRUE(context->enter());
        ListsOfLaunches lists(*context);
        for (uint64_t word = 1; word <= 17; ++word)
          for (size_t expected : {8, 8, 0}) {
            ASSERT_TRUE(lists.launch(word));
            EXPECT_EQ(lists.made, expected);
          }
      });
    for (std::thread &thread : threads)
      thread.join();
  }
  EXPECT_EQ(held(), before);
}

TEST_P(DriverDevices, RefuseLaunchesThatTheyCannotMake) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  const uint8_t bytes[16] = {};
  Result<uint64_t> none = (*device)->kernel(99, 0, "k", {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::LaunchUnsupported);
  none = (*device)->kernel(1, 0, nullptr, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::LaunchUnsupported);
  EXPECT_FALSE((*device)->loadCode(bytes, sizeof bytes, 1));
  auto queue = std::move(*(*device)->queue(1));
  const Launch launch = {7, 0, 0};
  Status launched = queue->launch(&launch, 1);
  ASSERT_FALSE(launched);
  EXPECT_EQ(launched.error().code, ErrorCode::KernelLaunch);
  // Code that the driver does not take.
  fake.artifact = nullptr;
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::DriverCode);
}

TEST_P(DriverDevices, ServeFourThreadsAtOnce) {
  auto device = open();
  ASSERT_TRUE(device) << device.error().text();
  auto library = FunctionLibrary::load(artifactOf(kind), *device);
  ASSERT_TRUE(library) << library.error().text();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        Status done = product(**library);
        ASSERT_TRUE(done) << done.error().text();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

INSTANTIATE_TEST_SUITE_P(Kinds, DriverDevices, testing::Values(0, 1),
                         [](const auto &info) { return info.param ? "amd" : "nvidia"; });

} // namespace
