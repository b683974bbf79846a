// Compiled functions on every device: arguments that only the host has, results that lie in memory of the call, in an
// argument or in the code, and checks that fail on the device.
#include "include/stepdown/Compiler.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "test/device/Kinds.h"
#include "test/device/ProductFunction.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <thread>

using namespace stepdown;

namespace {

constexpr const char *kModule = STEPDOWN_PRODUCT_FUNCTION
    R"(func.func @second(%a: tensor<?xi32>, %b: tensor<?xf64>) -> (tensor<?xf64>, tensor<3xi32>) {
  %constant = arith.constant dense<[5, 7, 11]> : tensor<3xi32>
  return %b, %constant : tensor<?xf64>, tensor<3xi32>
}
func.func @room(%n: index) -> tensor<?xf64> {
  %one = arith.constant 1.0 : f64
  %empty = tensor.empty(%n) : tensor<?xf64>
  %filled = linalg.fill ins(%one : f64) outs(%empty : tensor<?xf64>) -> tensor<?xf64>
  return %filled : tensor<?xf64>
}
)";

struct Functions : testing::TestWithParam<test::DeviceKind> {
  std::shared_ptr<const FunctionLibrary> library;
  void SetUp() override {
    const std::string path = test::temporaryFile({}, ".stepdown");
    const stepdown_status compiled =
        stepdown_compile_module(kModule, std::strlen(kModule), "device.mlir", path.c_str(), nullptr);
    ASSERT_EQ(compiled.code, 0) << compiled.text;
    auto loaded = FunctionLibrary::load(path, GetParam().make());
    ASSERT_TRUE(loaded) << loaded.error().message;
    library = *loaded;
  }
  Result<std::unique_ptr<CallResults>> call(const char *name, const std::vector<Array> &arguments) {
    return library->call(*library->find(name), arguments);
  }
};

// Whole numbers: float32 holds every partial sum, so the closed form is exact.
TEST_P(Functions, aProductOfPrimeSizes) {
  constexpr int64_t m = 7, k = 13, n = 19;
  std::vector<float> a(m * k), b(k * n);
  for (size_t i = 0; i < a.size(); ++i)
    a[i] = static_cast<float>(i % 11) - 5;
  for (size_t i = 0; i < b.size(); ++i)
    b[i] = static_cast<float>(i % 17) - 8;
  for (int round = 0; round < 3; ++round) { // the second finds the room of the first
    auto results = call("product", {{STEPDOWN_F32, {m, k}, a.data()}, {STEPDOWN_F32, {k, n}, b.data()}});
    ASSERT_TRUE(results) << results.error().message;
    const Array &c = (*results)->arrays()[0];
    ASSERT_EQ(c.dims, (std::vector<int64_t>{m, n}));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += a[i * k + l] * b[l * n + j];
        EXPECT_EQ(static_cast<const float *>(c.data)[i * n + j], sum) << i << ", " << j;
      }
  }
}

TEST_P(Functions, anArgumentAndAConstantAsResults) {
  std::vector<double> b = {1.5, -2.25, 1e300, 0, 3};
  std::vector<uint8_t> odd(sizeof(double) * b.size() + 1); // at an address that is no multiple of 8
  std::memcpy(odd.data() + 1, b.data(), sizeof(double) * b.size());
  auto results = call("second", {{STEPDOWN_I32, {0}, nullptr}, {STEPDOWN_F64, {5}, odd.data() + 1}});
  ASSERT_TRUE(results) << results.error().message;
  odd.assign(odd.size(), 0);
  const auto &arrays = (*results)->arrays();
  EXPECT_EQ(std::memcmp(arrays[0].data, b.data(), sizeof(double) * b.size()), 0);
  const int32_t *constant = static_cast<const int32_t *>(arrays[1].data);
  EXPECT_EQ(std::vector<int32_t>(constant, constant + 3), (std::vector<int32_t>{5, 7, 11}));
}

TEST_P(Functions, failedChecksNameTheirPlace) {
  const float x[6] = {};
  auto results = call("product", {{STEPDOWN_F32, {2, 3}, x}, {STEPDOWN_F32, {2, 3}, x}});
  ASSERT_FALSE(results);
  EXPECT_EQ(static_cast<int>(results.error().code), 623);
  EXPECT_NE(results.error().message.find("linalg.matmul"), std::string::npos) << results.error().message;
  const int64_t many = int64_t(1) << 50;
  results = call("room", {{STEPDOWN_INDEX, {}, &many}});
  ASSERT_FALSE(results);
  EXPECT_EQ(static_cast<int>(results.error().code), 624);
}

TEST_P(Functions, fourThreadsCallAtOnce) {
  std::vector<std::thread> threads;
  for (int64_t t = 1; t <= 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t round = 0; round < 20; ++round) {
        const int64_t n = 1009 * t + round;
        auto results = call("room", {{STEPDOWN_INDEX, {}, &n}});
        ASSERT_TRUE(results) << results.error().message;
        EXPECT_EQ((*results)->arrays()[0].dims[0], n);
        EXPECT_EQ(static_cast<const double *>((*results)->arrays()[0].data)[n - 1], 1.0);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

INSTANTIATE_ON_DEVICES(Functions);

TEST(Devices, anUnknownOneIsRefusedWithTheList) {
  auto device = openDevice("abacus");
  ASSERT_FALSE(device);
  EXPECT_EQ(static_cast<int>(device.error().code), 911);
  for (const std::string &name : deviceNames())
    EXPECT_NE(device.error().message.find(name), std::string::npos) << device.error().message;
}

} // namespace
