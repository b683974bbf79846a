// One wgmma of each element type, operands written by lanes, against float64 of the decoded elements.
#include "runtime/emulated/Products.h"
#include "test/device/EmulatedKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;
using emulated::ElementType;

namespace {

struct TypeCase {
  const char *name, *sum;
  ElementType type;
};

/// Unswizzled operands: 16-byte chunks of 8 rows together; A[64, 32 bytes] at 0, B[8, 32 bytes] at 2048.
std::string text(const TypeCase &c, uint32_t k, bool fence) {
  const std::string sum = c.sum, structure = "!llvm.struct<(" + sum + ", " + sum + ", " + sum + ", " + sum + ")>";
  std::string body;
  for (int i = 0; i < 4; ++i) {
    const std::string n = std::to_string(i);
    body += "%e" + n + " = llvm.extractvalue %d[" + n + "] : " + structure + "\n%i" + n + " = arith.constant " + n +
            " : i32\n%a" + n + " = arith.addi %t4, %i" + n + " : i32\n%p" + n + " = llvm.getelementptr %out[%a" + n +
            "] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\nllvm.store %e" + n + ", %p" + n + " : " + sum +
            ", !llvm.ptr<1>\n";
  }
  return "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
         "llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>\n"
         "llvm.func @k(%out: !llvm.ptr<1>, %from: !llvm.ptr<1>) attributes {nvvm.kernel} {\n"
         "%tid = nvvm.read.ptx.sreg.tid.x : i32\n%smem = llvm.mlir.addressof @smem : !llvm.ptr<3>\n"
         "%c16 = arith.constant 16 : i32\n%c4 = arith.constant 4 : i32\n%t4 = arith.muli %tid, %c4 : i32\n"
         "%at = arith.muli %tid, %c16 : i32\n%f = llvm.getelementptr %from[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, "
         "i8\n"
         "%to = llvm.getelementptr %smem[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n"
         "%x = llvm.load %f {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>\n"
         "llvm.store %x, %to {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>\n"
         "%low = arith.cmpi ult, %tid, %c16 : i32\nscf.if %low {\n"
         "%f2 = llvm.getelementptr %f[2048] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8\n"
         "%to2 = llvm.getelementptr %to[2048] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8\n"
         "%x2 = llvm.load %f2 {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>\n"
         "llvm.store %x2, %to2 {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>\n}\n" +
         std::string(fence
                         ? "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}\n"
                         : "") +
         "nvvm.barrier0\n%base = llvm.ptrtoint %smem : !llvm.ptr<3> to i64\n%m = arith.constant 262143 : i64\n"
         "%four = arith.constant 4 : i64\n%b0 = arith.andi %base, %m : i64\n%b1 = arith.shrui %b0, %four : i64\n"
         "%ha = arith.constant " +
         std::to_string(1024ull / 16 << 16 | 128ull / 16 << 32) + " : i64\n%hb = arith.constant " +
         std::to_string((128ull / 16 << 16 | 128ull / 16 << 32) + 2048 / 16) +
         " : i64\n"
         "%da = arith.addi %b1, %ha : i64\n%db = arith.addi %b1, %hb : i64\n%u = llvm.mlir.undef : " +
         structure + "\nnvvm.wgmma.fence.aligned\n%d = nvvm.wgmma.mma_async %da, %db, %u, <m = 64, n = 8, k = " +
         std::to_string(k) + ">, D [<" + (sum == "i32" ? "s32" : "f32") + ">, <zero>], A [<" + c.name +
         ">, <one>, <row>], B [<" + c.name + ">, <one>, <col>] : " + structure + " -> " + structure +
         "\nnvvm.wgmma.commit.group.sync.aligned\nnvvm.wgmma.wait.group.sync.aligned 0\n" + body +
         "llvm.return\n}\n}\n}\n";
}

class EmulatedTypes : public testing::TestWithParam<TypeCase> {};

} // namespace

TEST_P(EmulatedTypes, ProductEqualsFloat64) {
  const TypeCase c = GetParam();
  const uint32_t bytes = emulated::elementBytes(c.type), k = 32 / bytes;
  std::vector<uint8_t> image(2048 + 256);
  std::mt19937 random(5);
  // Codes of moderate size in every type: no exponent near its ends.
  for (size_t i = 0; i < image.size(); i += bytes) {
    uint32_t code = uint32_t(random());
    if (c.type == ElementType::BF16 || c.type == ElementType::TF32) {
      const float x = std::uniform_real_distribution<float>(-2, 2)(random);
      std::memcpy(&code, &x, 4);
      code >>= 32 - 8 * bytes;
    } else if (c.type == ElementType::F16) {
      code = (code & 0x83ff) | (12 + code / 65536 % 6) << 10;
    } else if (c.type == ElementType::E4M3 || c.type == ElementType::E5M2) {
      code &= 0xb7; // below the infinities and NaNs
    }
    std::memcpy(&image[i], &code, bytes);
  }
  std::vector<uint32_t> out(512);
  struct {
    void *out;
    const void *from;
  } parameters = {out.data(), image.data()};
  emulated::LaunchShape shape;
  shape.block = {128, 1, 1};
  shape.sharedBytes = 4096;
  for (bool fence : {true, false}) {
    EmulatedKernel kernel(text(c, k, fence));
    ASSERT_EQ(kernel.error, "");
    kernel.emulator.map(out.data(), out.size() * 4);
    kernel.emulator.map(image.data(), image.size(), false);
    const Status status = kernel.emulator.launch("k", shape, &parameters, sizeof parameters);
    if (!fence) {
      ASSERT_FALSE(status);
      EXPECT_NE(status.error().message.find("missing proxy fence: "), std::string::npos) << status.error().message;
      continue;
    }
    ASSERT_TRUE(status) << status.error().text();
  }
  auto element = [&](uint32_t base, uint32_t leading, uint32_t row, uint32_t depth) {
    float value;
    const uint32_t at = depth * bytes;
    toFloats(c.type, &image[base + row / 8 * 128 + at / 16 * leading + row % 8 * 16 + at % 16], 1, &value);
    return double(value);
  };
  for (uint32_t thread = 0; thread < 128; ++thread)
    for (uint32_t i = 0; i < 4; ++i) { // PTX ISA, figure of the accumulator fragment of wgmma .m64nNk16
      const uint32_t row = thread / 32 * 16 + thread % 32 / 4 + (i >= 2 ? 8 : 0), column = thread % 4 * 2 + i % 2;
      double sum = 0, magnitude = 0;
      for (uint32_t x = 0; x < k; ++x) {
        const double p = element(0, 1024, row, x) * element(2048, 128, column, x);
        sum += p;
        magnitude += std::fabs(p);
      }
      if (c.type == ElementType::S8 || c.type == ElementType::U8) {
        EXPECT_EQ(int32_t(out[thread * 4 + i]), int32_t(sum));
        continue;
      }
      float got;
      std::memcpy(&got, &out[thread * 4 + i], 4);
      EXPECT_NEAR(got, sum, magnitude * k * 0x1p-24) << thread << " " << i;
    }
}

// Of 14 bits: what lies 14 places below the largest of all numbers is cut off, towards zero.
TEST(EmulatedTypes, NarrowSumsAreCutOff) {
  auto sum = [](float before, std::vector<float> products) {
    std::vector<float> ones(products.size() * 8, 1), sums(4 * 8, before), rows;
    for (int r = 0; r < 4; ++r)
      rows.insert(rows.end(), products.begin(), products.end());
    emulated::multiplyNarrow(sums.data(), rows.data(), ones.data(), 4, 8, uint32_t(products.size()), 14);
    for (float each : sums)
      EXPECT_EQ(std::isnan(each) ? 0 : each, std::isnan(sums[0]) ? 0 : sums[0]);
    return sums[0];
  };
  EXPECT_EQ(sum(0, {1, 0x1p-13}), 1 + 0x1p-13f);
  EXPECT_EQ(sum(0, {1, 0x1p-14, 0x1p-14}), 1) << "each is cut off for itself";
  EXPECT_EQ(sum(0, {0x1p-14, 0x1p-14}), 0x1p-13f);
  EXPECT_EQ(sum(-1, {-0x1.8p-13, 0}), -1 - 0x1p-13f) << "towards zero";
  EXPECT_EQ(sum(1024, {0.125, 0.0625}), 1024.125f) << "the sum counts among them";
  EXPECT_EQ(sum(1.5f, {0.5f + 0x1p-13, 0}), 2) << "and is cut off when it has grown";
  EXPECT_EQ(sum(0, {0, 0}), 0);
  EXPECT_TRUE(std::isnan(sum(0, {NAN, 1})));
}

INSTANTIATE_TEST_SUITE_P(
    Types, EmulatedTypes,
    testing::Values(TypeCase{"bf16", "f32", ElementType::BF16}, TypeCase{"f16", "f32", ElementType::F16},
                    TypeCase{"tf32", "f32", ElementType::TF32}, TypeCase{"e4m3", "f32", ElementType::E4M3},
                    TypeCase{"e5m2", "f32", ElementType::E5M2}, TypeCase{"s8", "i32", ElementType::S8}),
    [](const auto &info) { return info.param.name; });
