// GPUs behind drivers that are none, for the files of DriverDeviceTest: each chip and its emulated one, what is
// compiled for them, and a fixture that gives the fake driver back as it was.
#pragma once
#include "include/stepdown/Compiler.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/driver/Context.h"
#include "runtime/driver/DriverDevice.h"
#include "test/device/ProductFunction.h"
#include "test/device/driver/FakeDrivers.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <map>

namespace stepdown::test {

inline constexpr const char *kModule = STEPDOWN_PRODUCT_FUNCTION
    R"(func.func @tiles(%a: tensor<131x72xf16>, %b: tensor<72x136xf16>) -> tensor<131x136xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<131x136xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<131x136xf32>) -> tensor<131x136xf32>
  %c = linalg.matmul ins(%a, %b : tensor<131x72xf16>, tensor<72x136xf16>) outs(%start : tensor<131x136xf32>) -> tensor<131x136xf32>
  return %c : tensor<131x136xf32>
}
)";
/// Every kind of work with as few calls of the driver as may be.
inline constexpr const char *kSmall = R"(
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
inline const Kind kKinds[] = {{"nvidia:sm_90a", "libcuda.so.1", "emulated:sm_90a", &driver::kNvidia},
                              {"amd:gfx942", "libamdhip64.so.7", "emulated:gfx942", &driver::kAmd}};

/// Code of `module` for a chip and for the emulated one, compiled once.
inline const std::string &artifactOf(const Kind &kind, const char *module = kModule) {
  static std::map<std::pair<const char *, const char *>, std::string> paths;
  std::string &path = paths[{kind.device, module}];
  if (!path.empty())
    return path;
  path = temporaryFile({}, ".stepdown");
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
  FakeDriverControl &fake = fakeDriver(kind.library);
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
  std::unique_ptr<driver::Context> openContext() {
    const driver::Driver *opened = *driver::openDriver(*kind.vendor, kind.device);
    const driver::Gpu gpu = *driver::findGpu(*opened, kind.device, kind.device + std::strlen(kind.vendor->prefix));
    return std::move(*driver::Context::open(*opened, kind.device, gpu));
  }
  /// What the fake holds now, and in how many bytes: calls that failed on purpose may have left something.
  uint64_t held() {
    const FakeDriverControl &now = fakeDriver(kind.library);
    return now.held + now.leaked;
  }
  uint64_t used() { return fakeDriver(kind.library).used; }

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

} // namespace stepdown::test
