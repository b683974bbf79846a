// Every kernel on every chip, of types and tiles that fit and that do not: it is lowered, or refused with a number and
// a text that names the operation and the chip; and what the tables select is never refused.
#include "lib/Kernels/ChipLimits.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/Pass/PassManager.h"
#include "passes/AMD/Passes.h"
#include "passes/Kernel/PlaceKernel.h"
#include "passes/NVIDIA/Passes.h"
#include <cstring>
#include <gtest/gtest.h>
#include <map>

using namespace stepdown;

namespace {

class ChipLimits : public testing::TestWithParam<const char *> {
protected:
  ChipLimits() : context(dialects(), mlir::MLIRContext::Threading::DISABLED), chip(GetParam()) {}
  ~ChipLimits() override { std::printf("%s: %d lowered, %d refused\n", chip.c_str(), lowered, refused); }
  static mlir::DialectRegistry dialects() {
    mlir::DialectRegistry registry;
    registerKernelDialects(registry);
    return registry;
  }

  /// Lowers what `text` made; what was said where it is refused. Fails the test for a refusal that is none of ours, and
  /// for a kernel that needs more than the chip has.
  std::string lower(Result<mlir::OwningOpRef<mlir::ModuleOp>> text) {
    if (!text) { // the text itself: more than any chip has, or no form
      EXPECT_EQ(text.error().code, ErrorCode::KernelText) << text.error().text();
      EXPECT_NE(text.error().message.find("expects "), std::string::npos) << text.error().text();
      ++refused;
      return text.error().message;
    }
    std::string said;
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) { said += diagnostic.str(); });
    mlir::PassManager passes(&context);
    if (llvm::StringRef(factsOfChip(chip)->road) == "amd")
      passes.addPass(createLowerTileToROCDL({chip}));
    else
      passes.addPass(createLowerTileToNVVM({chip}));
    if (mlir::succeeded(passes.run(**text))) {
      ++lowered;
      (*text)->walk([&](mlir::LLVM::LLVMFuncOp function) {
        auto launch = function->getAttrOfType<mlir::DictionaryAttr>(tile::kLaunchAttr);
        if (!launch)
          return;
        EXPECT_LE(sharedBytes(function, launch), factsOfChip(chip)->sharedBytes);
        EXPECT_GT(sharedBytes(function, launch), 0);
        EXPECT_LE(launch.getAs<mlir::IntegerAttr>("threads").getInt(), 1024);
      });
      return "";
    }
    ++refused;
    EXPECT_NE(said.find("'tile."), std::string::npos) << said;
    EXPECT_NE(said.find(chip), std::string::npos) << said;
    EXPECT_NE(numberOf(said, ErrorCode::PhaseFailed), ErrorCode::PhaseFailed) << said;
    EXPECT_NE(said.find("op expects "), std::string::npos) << said;
    EXPECT_EQ(said.find("at most 0 bytes"), std::string::npos) << said;
    return said;
  }

  /// The number of slots that a refusal says would fit; 0 where it says nothing of them.
  static int64_t fitting(const std::string &said) {
    const size_t end = said.find(" slots in place of "), begin = said.rfind(' ', end - 1);
    return end == std::string::npos ? 0 : std::stoll(said.substr(begin + 1));
  }

  /// What a launch asks for, or, on AMD, the bytes of the LDS that is a variable of the kernel's module.
  static int64_t sharedBytes(mlir::LLVM::LLVMFuncOp function, mlir::DictionaryAttr launch) {
    int64_t bytes = launch.getAs<mlir::IntegerAttr>("shared_bytes").getInt();
    for (auto variable : function->getParentOp()->getRegion(0).getOps<mlir::LLVM::GlobalOp>())
      if (auto array = mlir::dyn_cast<mlir::LLVM::LLVMArrayType>(variable.getType());
          array && variable.getAddrSpace() == 3)
        bytes += array.getNumElements() * array.getElementType().getIntOrFloatBitWidth() / 8;
    return bytes;
  }

  /// How many of the running test's kernels the chip is to have, and how many not: a table's row that goes, or a check
  /// that no longer refuses, changes them.
  void expectCounts(std::map<std::string, std::pair<int, int>> counts) {
    EXPECT_EQ(std::pair(lowered, refused), counts[chip]) << chip << ": lowered and refused";
  }

  mlir::MLIRContext context;
  const std::string chip;
  int lowered = 0, refused = 0;
};

MatmulParameters tiles(int64_t m, int64_t n, int64_t k, int64_t stages, int64_t warps) {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = k, p.stages = stages, p.warps = warps, p.registers = warps == 4 ? 168 : 232;
  if (warps == 16)
    p.registerFile = 131072;
  return p;
}
} // namespace

TEST_P(ChipLimits, ProductsAreLoweredOrRefused) {
  const MatmulParameters all[] = {tiles(64, 64, 64, 2, 4),    tiles(128, 256, 64, 4, 8), tiles(128, 128, 32, 2, 8),
                                  tiles(256, 256, 32, 2, 16), tiles(96, 64, 64, 2, 4),   tiles(64, 72, 64, 3, 4),
                                  tiles(64, 64, 128, 12, 4),  tiles(128, 128, 48, 2, 8), tiles(64, 64, 64, 1, 4)};
  const std::pair<const char *, const char *> types[] = {{"bf16", "f32"},   {"f16", "f16"}, {"f8E4M3FN", "bf16"},
                                                         {"f8E5M2", "f32"}, {"i8", "i32"},  {"f32", "f32"},
                                                         {"i32", "i32"}};
  for (MatmulParameters p : all)
    for (auto [element, result] : types)
      for (bool transposed : {false, true}) {
        p.element = element, p.result = result, p.transposeB = transposed;
        SCOPED_TRACE(std::string(element) + " " + std::to_string(p.m) + "x" + std::to_string(p.n) + "x" +
                     std::to_string(p.k) + (transposed ? " transposed" : ""));
        const int64_t fit = fitting(lower(matmulKernel(context, p)));
        if (transposed)
          lower(scaledMatmulKernel(context, p));
        if (MatmulParameters fewer = p; fit) {
          fewer.stages = fit;
          EXPECT_EQ(lower(matmulKernel(context, fewer)), "");
        }
      }
  expectCounts({{"sm_80", {13, 181}},
                {"sm_90a", {15, 174}},
                {"gfx90a", {20, 169}},
                {"gfx942", {24, 165}},
                {"gfx950", {24, 165}},
                {"gfx1100", {20, 169}},
                {"gfx1201", {28, 161}}});
}

// A tile whose sums fill the registers of its threads, and half of it. On sm_90a roles have what they state, and on
// AMD's chips so many sums find no room for their factors in LDS.
struct RegistersOfThreads : ChipLimits {};
INSTANTIATE_TEST_SUITE_P(Chips, RegistersOfThreads, testing::Values("sm_80"));
TEST_P(RegistersOfThreads, HoldMoreThanSums) {
  MatmulParameters p = tiles(256, 256, 64, 2, 16);
  EXPECT_EQ(lower(matmulKernel(context, p)),
            "'tile.mma' op expects sums that leave some of the 128 registers of a thread on sm_80, but got "
            "'!tile.accumulator<256x256xf32>': 128 for each of 512 threads");
  p.m = 128;
  EXPECT_EQ(lower(matmulKernel(context, p)), "");
}

TEST_P(ChipLimits, AttentionIsLoweredOrRefused) {
  for (int64_t d : {64, 128, 256, 96})
    for (int64_t n : {16, 64, 128})
      for (int64_t warps : {4, 8})
        for (const char *element : {"bf16", "f32"}) {
          AttentionParameters p;
          p.d = d, p.n = n, p.warps = warps, p.m = warps * 16, p.element = p.result = element;
          SCOPED_TRACE(std::to_string(d) + " columns, " + std::to_string(n) + " keys, " + element);
          lower(attentionKernel(context, p));
        }
  expectCounts({{"sm_80", {12, 36}},
                {"sm_90a", {16, 32}},
                {"gfx90a", {6, 42}},
                {"gfx942", {6, 42}},
                {"gfx950", {10, 38}},
                {"gfx1100", {6, 42}},
                {"gfx1201", {8, 40}}});
}

TEST_P(ChipLimits, QuantisedProductsAreLoweredOrRefused) {
  for (const char *type : {"q4_0", "q4_k", "q8_0", "mxfp4"})
    for (int64_t tokens : {8, 16, 64})
      for (int64_t stages : {4, 8}) {
        QuantisedMatmulParameters p;
        p.format = blockFormat(type, std::strlen(type)), p.n = tokens, p.tokenStages = stages;
        SCOPED_TRACE(std::string(type) + ", " + std::to_string(tokens) + " tokens");
        if (const int64_t fit = fitting(lower(quantisedMatmulKernel(context, p)))) {
          p.tokenStages = fit;
          EXPECT_EQ(lower(quantisedMatmulKernel(context, p)), "");
        }
      }
  expectCounts({{"sm_80", {18, 6}},
                {"sm_90a", {18, 6}},
                {"gfx90a", {6, 18}},
                {"gfx942", {6, 18}},
                {"gfx950", {6, 18}},
                {"gfx1100", {6, 18}},
                {"gfx1201", {6, 18}}});
}

TEST_P(ChipLimits, WhatTheTablesSelectIsLowered) {
  constexpr int64_t kAny = mlir::ShapedType::kDynamic;
  mlir::Builder b(&context);
  const mlir::Type f32 = b.getF32Type(), bf16 = b.getBF16Type(), f16 = b.getF16Type(), i8 = b.getI8Type(),
                   i32 = b.getI32Type(), e4m3 = b.getType<mlir::Float8E4M3FNType>();
  for (auto [element, result] : {std::pair(bf16, f32), {bf16, bf16}, {f16, f16}, {i8, i32}, {e4m3, f32}, {f32, f32}})
    for (auto [rows, columns] : {std::pair<int64_t, int64_t>(61, 61), {61, 257}, {257, 61}, {509, 257}, {kAny, kAny}})
      for (bool transposed : {false, true})
        if (auto kernel = selectMatmul(chip, element, result, rows, columns, transposed)) {
          SCOPED_TRACE(kernel->name);
          EXPECT_EQ(lower(matmulKernel(context, kernel->parameters)), "");
          EXPECT_TRUE(multiplies(chip, element));
        }
  for (int64_t rows : {int64_t(61), kAny})
    if (auto kernel = selectScaledMatmul(chip, e4m3, rows, mlir::Float32Type::get(&context))) {
      SCOPED_TRACE(kernel->name);
      EXPECT_EQ(lower(scaledMatmulKernel(context, kernel->parameters)), "");
    }
  for (int64_t head : {64, 128, 256})
    for (int64_t queries : {int64_t(1), kAny})
      for (bool sinks : {false, true}) {
        std::string reason;
        if (auto p = selectAttention(chip, {bf16, bf16, head, head, queries, sinks}, reason)) {
          SCOPED_TRACE("heads of " + std::to_string(head) + (sinks ? ", sinks" : ""));
          EXPECT_EQ(p->sinks, sinks);
          EXPECT_EQ(lower(attentionKernel(context, *p)), "");
        } else {
          EXPECT_NE(reason, "");
        }
      }
  for (int64_t tokens : {1, 9, 65})
    if (auto p = quantisedMatmulOn(chip, tokens))
      for (const char *type : {"q4_0", "q6_k", "q8_0"}) {
        p->format = blockFormat(type, std::strlen(type));
        SCOPED_TRACE(type);
        EXPECT_EQ(lower(quantisedMatmulKernel(context, *p)), "");
      }
  expectCounts({{"sm_80", {56, 0}},
                {"sm_90a", {63, 0}},
                {"gfx90a", {56, 0}},
                {"gfx942", {63, 0}},
                {"gfx950", {63, 0}},
                {"gfx1100", {56, 0}},
                {"gfx1201", {63, 0}}});
}

// Shares where tiles leave most of a chip idle and each has eight slots; the last has one at least.
TEST(SharesOfSums, AreSelectedWhereTheyPay) {
  const MatmulParameters p = tiles(64, 64, 64, 2, 4);
  for (auto [rows, columns, k, shares] : {std::tuple<int64_t, int64_t, int64_t, int64_t>(61, 61, 4099, 8),
                                          {61, 61, 2053, 4},
                                          {61, 61, 1031, 2},
                                          {61, 61, 953, 1},
                                          {0, 61, 4099, 1},
                                          {61, 0, 4099, 1},
                                          {61, 251, 4099, 8},
                                          {61, 509, 4099, 4},
                                          {61, 1021, 4099, 2},
                                          {61, 4099, 4099, 1},
                                          {mlir::ShapedType::kDynamic, 61, 4099, 1},
                                          {61, 61, mlir::ShapedType::kDynamic, 1}})
    EXPECT_EQ(sharesOfSum(p, rows, columns, k), shares) << rows << " x " << columns << " x " << k;
  for (int64_t k = 1; k < 70000; k += 61) {
    const int64_t shares = sharesOfSum(p, 61, 61, k), slots = (k + 63) / 64, each = (slots + shares - 1) / shares;
    EXPECT_LT(each * (shares - 1), slots) << k;
  }
}

// Pairs where both blocks have rows, or hardly any has none.
TEST(ChipLimitsOfClusters, AreSelectedWhereTheyPay) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  mlir::Builder b(&context);
  auto cluster = [&](const char *chip, int64_t rows, int64_t columns) {
    return selectMatmul(chip, b.getBF16Type(), b.getF32Type(), rows, columns, false)->parameters.cluster;
  };
  for (auto [rows, blocks] : {std::pair<int64_t, int64_t>(127, 1),
                              {129, 2},
                              {257, 1},
                              {509, 2},
                              {1021, 2},
                              {1031, 2},
                              {769, 1},
                              {mlir::ShapedType::kDynamic, 1}})
    EXPECT_EQ(cluster("sm_90a", rows, 257), blocks) << rows;
  EXPECT_EQ(cluster("sm_90a", 509, 127), 1) << "of tiles of 128 x 128";
  for (const char *chip : {"sm_80", "gfx942", "gfx1201"})
    EXPECT_EQ(cluster(chip, 509, 257), 1) << chip;
}

TEST_P(ChipLimits, SayWhatWouldFit) {
  MatmulParameters p = tiles(64, 64, 64, 2, 4);
  for (int64_t blocks : {2, 16}) {
    p.cluster = blocks;
    const std::string clusters = lower(matmulKernel(context, p));
    if (chip != "sm_90a")
      EXPECT_NE(clusters.find("'tile.kernel' op expects no clusters of blocks on " + chip + ", but got clusters of " +
                              std::to_string(blocks)),
                std::string::npos)
          << clusters;
    else if (blocks == 16)
      EXPECT_NE(clusters.find("expects clusters of at most 8 blocks on sm_90a, but got clusters of 16"),
                std::string::npos)
          << clusters;
    else
      EXPECT_EQ(clusters, "");
  }
  p.n = 8, p.transposeB = true, p.cluster = 2; // B has eight rows, a pattern of the swizzle
  if (chip == "sm_90a")
    EXPECT_NE(lower(matmulKernel(context, p)).find("'tile.copy' op expects a multiple of 8 rows for each of 2 blocks"),
              std::string::npos);
  p = tiles(64, 64, 64, 2, 4);
  p.element = "f32";
  EXPECT_NE(lower(matmulKernel(context, p)).find("'tile.mma' op expects tiles of bf16"), std::string::npos);
  p.element = "i8", p.result = "i32", p.k = 128, p.transposeB = true;
  const std::string integers = lower(matmulKernel(context, p));
  EXPECT_EQ(integers, "");
  p.transposeB = false, p.n = 128;
  const std::string along = lower(matmulKernel(context, p));
  EXPECT_NE(along, "");
  if (chip != "sm_90a")
    EXPECT_NE(along.find("expects tiles of B with rows along k where elements have 8 bits on " + chip),
              std::string::npos)
        << along;
  p.element = "f8E4M3FN", p.result = "f32", p.transposeB = true, p.n = 64;
  const std::string eights = lower(matmulKernel(context, p));
  if (chip != "sm_90a" && chip != "gfx942" && chip != "gfx950" && chip != "gfx1201")
    EXPECT_NE(eights.find("but got 'memref<64x128xf8E4M3FN, 3>', which sm_90a, gfx942, gfx950 or gfx1201 multiplies"),
              std::string::npos)
        << eights;
  else
    EXPECT_EQ(eights, "");
}

TEST(ChipLimitsOfMemory, SayWhatWouldFit) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = matmulKernel(context, tiles(64, 64, 64, 2, 4));
  ASSERT_TRUE(module);
  auto kernel = *(*module)->getOps<tile::KernelOp>().begin();
  auto said = [&](const char *chip, int64_t bytes, SlotsOfKernel slots) {
    std::string text;
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) { text = diagnostic.str(); });
    const bool fits = mlir::succeeded(checkMemory(kernel, *factsOfChip(chip), bytes, slots));
    EXPECT_EQ(fits, text.empty());
    return text;
  };
  EXPECT_EQ(said("gfx942", 65536, {2, 32768}), "");
  EXPECT_EQ(said("gfx942", 65537, {2, 32768}),
            "'tile.kernel' op [E1017] expects at most 65536 bytes of LDS on gfx942, but its slots take 65536, and its "
            "other rings 1: slots of at most 32767 bytes in place of 32768 would fit");
  EXPECT_EQ(
      said("sm_80", 196608, {4, 49152, true}),
      "'tile.kernel' op [E1017] expects at most 166912 bytes of shared memory on sm_80, but its slots take 196608: "
      "3 slots in place of 4 would fit");
  // Where their number is what the kernel is made of, that of fewer would not help.
  EXPECT_EQ(
      said("gfx942", 131072, {8, 16384}),
      "'tile.kernel' op [E1017] expects at most 65536 bytes of LDS on gfx942, but its slots take 131072: slots of at "
      "most 8192 bytes in place of 16384 would fit");
  // Nothing is said to fit beside what leaves no room.
  EXPECT_EQ(said("gfx1100", 98304, {2, 16384, false, "queries"}),
            "'tile.kernel' op [E1017] expects at most 65536 bytes of LDS on gfx1100, but its slots take 32768, and its "
            "queries 65536");
  EXPECT_EQ(said("gfx950", 1 << 20, {0, 0}),
            "'tile.kernel' op [E1017] expects at most 163840 bytes of LDS on gfx950, but its slots take 0, and its "
            "other rings 1048576");
  std::string none = "expects more";
  EXPECT_EQ(numberOf(none, ErrorCode::PhaseFailed), ErrorCode::PhaseFailed);
  EXPECT_EQ(none, "expects more");
}

TEST(KernelPlace, TellsTheNumberOfATextThatIsNoKernel) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  KernelPlace place(*module);
  std::string said;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) { said = diagnostic.str(); });
  EXPECT_TRUE(failed(place.product({"none", tiles(64, 64, 64, 64, 4)}, Epilogue(), module->getLoc())));
  EXPECT_EQ(said.find("[E561] Matmul.mlir: expects a kernel, but "), 0u) << said;
  EXPECT_EQ(numberOf(said, ErrorCode::PhaseFailed), ErrorCode::KernelText);
  EXPECT_EQ(said.find("Matmul.mlir: "), 0u) << said;
  AttentionParameters negative;
  negative.scale = -1;
  EXPECT_TRUE(failed(place.attention(negative, module->getLoc())));
  EXPECT_EQ(said, "[E561] Attention.mlir: expects a positive scale, but got -1");
}

INSTANTIATE_TEST_SUITE_P(Chips, ChipLimits,
                         testing::Values("sm_80", "sm_90a", "gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"),
                         [](const auto &info) { return info.param; });
