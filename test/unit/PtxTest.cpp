// The tile texts of the matrix products and of attention as PTX, and as machine code where ptxas is at hand: what it
// says is all that can be known of a kernel's registers without a GPU.
#include "lib/CodeGen/Ptx.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Kernels/KernelText.h"
#include "lib/Target/Chips.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Kernel/KernelTable.h"
#include "passes/NVIDIA/Passes.h"
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <variant>

using namespace stepdown;

namespace {
struct Lowered {
  std::string ptx;
  int64_t threads = 0, sharedBytes = 0;
};

/// Of fp8 with scales.
struct Scaled {
  MatmulParameters parameters;
};

using Parameters = std::variant<MatmulParameters, Scaled, AttentionParameters, QuantisedMatmulParameters>;

Result<mlir::OwningOpRef<mlir::ModuleOp>> kernelOf(mlir::MLIRContext &context, const Parameters &parameters) {
  if (const auto *product = std::get_if<MatmulParameters>(&parameters))
    return matmulKernel(context, *product);
  if (const auto *scaled = std::get_if<Scaled>(&parameters))
    return scaledMatmulKernel(context, scaled->parameters);
  if (const auto *quantised = std::get_if<QuantisedMatmulParameters>(&parameters))
    return quantisedMatmulKernel(context, *quantised);
  return attentionKernel(context, std::get<AttentionParameters>(parameters));
}

Lowered lower(const Parameters &parameters, const std::string &chip = "sm_90a") {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  Lowered lowered;
  auto module = kernelOf(context, parameters);
  if (!module) {
    ADD_FAILURE() << module.error().text();
    return lowered;
  }
  mlir::PassManager passes(&context);
  passes.addPass(createLowerTileToNVVM({chip}));
  if (failed(passes.run(**module))) {
    ADD_FAILURE() << "lower-tile-to-nvvm";
    return lowered;
  }
  auto kernels = *(*module)->getOps<mlir::gpu::GPUModuleOp>().begin();
  auto function = *kernels.getOps<mlir::LLVM::LLVMFuncOp>().begin();
  auto launch = function->getAttrOfType<mlir::DictionaryAttr>("tile.launch");
  lowered.threads = launch.getAs<mlir::IntegerAttr>("threads").getInt();
  lowered.sharedBytes = launch.getAs<mlir::IntegerAttr>("shared_bytes").getInt();
  auto translated = translateKernels(kernels, chip);
  if (!translated) {
    ADD_FAILURE() << translated.error().text();
    return lowered;
  }
  auto ptx = writePtx(*translated->module, chip);
  if (ptx)
    lowered.ptx = *ptx;
  else
    ADD_FAILURE() << ptx.error().text();
  return lowered;
}

size_t count(const std::string &text, const std::string &word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++found;
  return found;
}

/// Expects one kernel that ptxas takes, whose block an SM can hold.
void expectBudget(const Lowered &lowered, const std::string &ptxas, const char *chip = "sm_90a") {
  auto assembled = assemblePtx(lowered.ptx, chip, ptxas);
  ASSERT_TRUE(assembled) << assembled.error().text();
  ASSERT_EQ(assembled->kernels.size(), 1u);
  std::printf("%s, %s: %d registers of %d threads, %d bytes of shared memory\n", chip,
              assembled->kernels[0].name.c_str(), int(assembled->kernels[0].registers), int(lowered.threads),
              int(lowered.sharedBytes));
  EXPECT_LE(assembled->kernels[0].registers * lowered.threads, 65536);
  EXPECT_EQ(assembled->kernels[0].sharedBytes, 0) << "a launch says how much";
  EXPECT_LE(lowered.sharedBytes, factsOfChip(chip)->sharedBytes);
}
} // namespace

TEST(Ptx, OfTheMatrixProduct) {
  const Lowered lowered = lower(MatmulParameters());
  EXPECT_EQ(lowered.threads, 384);
  EXPECT_EQ(lowered.sharedBytes, 4 * (128 * 64 + 64 * 256) * 2 + 4 * 16);
  EXPECT_EQ(count(lowered.ptx, "wgmma.mma_async"), 24u) << "of the first slot, of a round of four, of one behind it";
  EXPECT_EQ(count(lowered.ptx, "cp.async.bulk.tensor.2d"), 5u) << "one block of A, four of B";
  EXPECT_EQ(count(lowered.ptx, ".extern .shared"), 1u);
  EXPECT_GT(count(lowered.ptx, "\n\t.loc\t"), 10u) << "lines of the tile text, for profilers";
  EXPECT_EQ(count(lowered.ptx, ", debug\n"), 0u) << "ptxas would ignore setmaxnreg";
  EXPECT_EQ(count(lowered.ptx, ".local"), 0u) << "slot counters belong in registers";
}

// In pairs of blocks each copies half of B for both, and lets the other's slots go with its own.
TEST(Ptx, OfTheMatrixProductInClusters) {
  MatmulParameters p;
  p.cluster = 2;
  const Lowered lowered = lower(p);
  EXPECT_EQ(lowered.sharedBytes, 4 * (128 * 64 + 64 * 256) * 2 + 4 * 16);
  EXPECT_EQ(count(lowered.ptx, ".reqnctapercluster 2"), 1u);
  EXPECT_EQ(count(lowered.ptx, "wgmma.mma_async"), 24u);
  EXPECT_EQ(count(lowered.ptx, "cp.async.bulk.tensor.2d"), 5u);
  EXPECT_EQ(count(lowered.ptx, ".multicast::cluster"), 4u) << "of B";
  EXPECT_EQ(count(lowered.ptx, "mbarrier.arrive.release.cluster.shared::cluster"), count(lowered.ptx, "mapa.shared"));
  EXPECT_GT(count(lowered.ptx, "mapa.shared"), 0u);
  EXPECT_EQ(count(lowered.ptx, "barrier.cluster.arrive"), 2u) << "before the roles, and behind them";
  EXPECT_EQ(count(lowered.ptx, "barrier.cluster.wait"), 2u);
  EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
}

// A result of 16 bits goes out by TMA: of each warpgroup 4 boxes of 64 columns, of which two are there. Where C's rows
// are no multiple of 16 bytes its pairs go out one by one, in a whole tile, and its elements in others.
TEST(Ptx, OfAStagedResult) {
  MatmulParameters p;
  p.result = "bf16";
  const Lowered lowered = lower(p);
  EXPECT_EQ(lowered.sharedBytes, 4 * (128 * 64 + 64 * 256) * 2 + 2 * 2 * 64 * 128 + 4 * 16);
  EXPECT_EQ(count(lowered.ptx, "stmatrix.sync.aligned.m8n8.x4.shared.b16"), 16u);
  EXPECT_EQ(count(lowered.ptx, "cp.async.bulk.tensor.2d.global.shared::cta"), 4u);
  EXPECT_EQ(count(lowered.ptx, "cp.async.bulk.commit_group"), 4u);
  EXPECT_EQ(count(lowered.ptx, "cp.async.bulk.wait_group.read"), 4u)
      << "before the first, the third and the fourth, and at the end";
  EXPECT_EQ(count(lowered.ptx, "bar.sync") + count(lowered.ptx, "barrier.sync"), 1 + 7u);
  EXPECT_EQ(count(lowered.ptx, "fence.proxy.async"), 1 + 4u);
  EXPECT_EQ(count(lowered.ptx, "cvt.rn.bf16x2.f32"), 64u) << "once for all ways";
  EXPECT_EQ(count(lowered.ptx, "st.global.b32"), 64u);
  EXPECT_EQ(count(lowered.ptx, "st.global.b16"), 128u);
  // Where the rings leave no room for boxes the result goes out from registers.
  p.m = 192, p.n = 128, p.stages = 5, p.warps = 12, p.registers = 128, p.loadRegisters = 24;
  EXPECT_EQ(count(lower(p).ptx, "stmatrix"), 0u);
}

TEST(Ptx, AssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  std::vector<MatmulParameters> all;
  // What the table has for each size, each result once, to 16 bits and to float32.
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  mlir::Builder b(&context);
  const mlir::Type f16 = b.getF16Type(), bf16 = b.getBF16Type(), f32 = b.getF32Type(), i8 = b.getI8Type();
  auto select = [&](mlir::Type element, mlir::Type result, int64_t rows, int64_t columns, bool transposeB) {
    auto kernel = selectMatmul("sm_90a", element, result, rows, columns, transposeB);
    ASSERT_TRUE(kernel);
    all.push_back(kernel->parameters);
  };
  select(f16, f16, 64, 64, true);
  select(bf16, f32, 64, 64, false);
  all.back().shares = 4;
  select(bf16, bf16, 64, 1000, false);
  select(f16, f16, 1000, 128, false);
  select(bf16, bf16, 1000, 1000, false);
  select(bf16, f32, 1000, 1000, true);
  select(i8, b.getI32Type(), 64, 1000, true);
  EXPECT_EQ(all[4].cluster, 2);
  MatmulParameters wide, deep, eights; // of 8 bits
  wide.m = 256, wide.n = 128;          // two instructions along the rows of each warpgroup
  deep.k = 128, deep.stages = 2;       // two blocks of A's columns
  eights.k = 128, eights.transposeB = true, eights.element = "f8E4M3FN", eights.result = "bf16";
  for (const MatmulParameters &each : {wide, deep, eights})
    all.push_back(each);
  for (const MatmulParameters &parameters : all) {
    SCOPED_TRACE(std::to_string(parameters.m) + " x " + std::to_string(parameters.n) + " of " + parameters.element +
                 " to " + parameters.result);
    expectBudget(lower(parameters), ptxas);
  }
}

// Of fp8 with scales: a thread of a tile of 128 x 128 reads two rows' scales and one of B, multiplies 64 sums of a slot
// by their row's, and adds them, times B's, to its own.
TEST(Ptx, OfTheProductWithScales) {
  Scaled scaled;
  MatmulParameters &p = scaled.parameters;
  p.n = p.k = 128, p.stages = 6, p.transposeB = true, p.element = "f8E4M3FN", p.result = "bf16";
  const Lowered lowered = lower(scaled);
  EXPECT_EQ(lowered.threads, 384);
  EXPECT_EQ(lowered.sharedBytes, 6 * 2 * 128 * 128 + 2 * 2 * 64 * 128 + 6 * 16);
  EXPECT_EQ(count(lowered.ptx, "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3"), 4u);
  EXPECT_EQ(count(lowered.ptx, "ld.global"), 3u);
  EXPECT_EQ(count(lowered.ptx, "mul.rn.f32") + count(lowered.ptx, "mul.f32"), 64u);
  EXPECT_EQ(count(lowered.ptx, "fma.rn.f32"), 64u);
  EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
}

TEST(Ptx, ProductWithScalesAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  Scaled large, wide, small;
  large.parameters.n = large.parameters.k = 128, large.parameters.stages = 6, large.parameters.transposeB = true;
  large.parameters.element = "f8E4M3FN";
  wide = large, wide.parameters.m = 64, wide.parameters.warps = 4, wide.parameters.registers = 168;
  wide.parameters.stages = 8, wide.parameters.result = "bf16", wide.parameters.element = "f8E5M2";
  small = wide, small.parameters.n = 64;
  for (const Scaled &each : {large, wide, small})
    expectBudget(lower(each), ptxas);
}

// On sm_80: of each 16 along k what a warp of 64 x 64 takes is 8 loads of four matrices for 32 instructions, and a slot
// of 128 x 64 and 64 x 256 is 12 copies of 16 bytes a thread. Text of the first slot and of a turn; slots are filled in
// front of the loop, twice, and in both places.
TEST(Ptx, OfTheMatrixProductOfWarps) {
  MatmulParameters p;
  p.stages = 3;
  const Lowered lowered = lower(p, "sm_80");
  EXPECT_EQ(lowered.threads, 256);
  EXPECT_EQ(lowered.sharedBytes, 3 * (128 * 64 + 64 * 256) * 2);
  EXPECT_EQ(count(lowered.ptx, "mma.sync.aligned.m16n8k16.row.col.f32.bf16"), 2 * 4 * 32u);
  EXPECT_EQ(count(lowered.ptx, "ldmatrix.sync.aligned.m8n8.x4.shared"), 2 * 4 * 4u) << "of A";
  EXPECT_EQ(count(lowered.ptx, "ldmatrix.sync.aligned.m8n8.x4.trans"), 2 * 4 * 4u) << "of B";
  EXPECT_EQ(count(lowered.ptx, "cp.async.cg.shared.global"), 4 * 12u);
  EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
  EXPECT_EQ(count(lowered.ptx, "mbarrier"), 0u);
}

TEST(Ptx, ProductOfWarpsAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  MatmulParameters large, narrow, square, small;
  large.stages = 3;
  narrow = large, narrow.result = "bf16", narrow.element = "f16", narrow.transposeB = true;
  square.m = square.n = 128;
  small.m = small.n = 64, small.warps = 4, small.registers = 168, small.shares = 4;
  for (const MatmulParameters &parameters : {large, narrow, square, small})
    expectBudget(lower(parameters, "sm_80"), ptxas, "sm_80");
}

// Of the table's heads: of each 16 columns queries and 16 keys are a load each for two instructions.
TEST(Ptx, AttentionOfWarpsAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  const mlir::Type bf16 = mlir::Builder(&context).getBF16Type();
  for (int64_t head : {64, 128, 256})
    for (int64_t queries : {int64_t(64), mlir::ShapedType::kDynamic})
      for (bool sinks : {false, true}) {
        SCOPED_TRACE("heads of " + std::to_string(head) + (sinks ? ", sinks" : ""));
        std::string reason;
        auto p = selectAttention("sm_80", {bf16, bf16, head, head, queries, sinks}, reason);
        ASSERT_TRUE(p) << reason;
        const Lowered lowered = lower(*p, "sm_80");
        EXPECT_EQ(lowered.sharedBytes, (p->m + 4 * p->n) * head * 2);
        EXPECT_EQ(count(lowered.ptx, "mma.sync.aligned.m16n8k16.row.col.f32.bf16"), 4 * p->n / 8 * head / 16)
            << "Q K^T before and in the loop, P V in and behind it";
        EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
        if (!ptxas.empty())
          expectBudget(lowered, ptxas, "sm_80");
      }
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
}

// Of 8 bits a slot of 128 along k is four steps of 32.
TEST(Ptx, ProductOfWarpsOfIntegersAssemblesWithinItsBudget) {
  MatmulParameters large;
  large.stages = 3, large.k = 128, large.transposeB = true, large.element = "i8", large.result = "i32";
  const Lowered lowered = lower(large, "sm_80");
  EXPECT_EQ(count(lowered.ptx, "mma.sync.aligned.m16n8k32.row.col.s32.s8"), 2 * 4 * 32u);
  EXPECT_EQ(count(lowered.ptx, "ldmatrix.sync.aligned.m8n8.x4.shared"), 2 * 4 * 8u);
  EXPECT_EQ(count(lowered.ptx, "satfinite"), 0u) << "sums wrap";
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  expectBudget(lowered, ptxas, "sm_80");
}

TEST(Ptx, OfAttention) {
  AttentionParameters full;
  full.right = AttentionParameters::kUnbounded;
  const Lowered lowered = lower(full);
  EXPECT_EQ(lowered.threads, 384);
  EXPECT_EQ(lowered.sharedBytes, (128 + 4 * 128) * 128 * 2 + 5 * 16);
  EXPECT_EQ(count(lowered.ptx, "wgmma.mma_async"), 6 * 8u) << "Q K^T before and in two loops, P V in and behind them";
  EXPECT_EQ(count(lowered.ptx, "ex2.approx.ftz.f32"), 3 * 64 + 2 * 2u) << "weights of three blocks, two rows' ratios";
  EXPECT_EQ(count(lowered.ptx, "cvt.rn.bf16x2.f32"), 3 * 32 + 32u) << "weights of three blocks, and the result";
  EXPECT_EQ(count(lowered.ptx, "shfl.sync.bfly"), 4 * 2 * 2u) << "three blocks' maxima and one sum, of two rows";
  EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
  EXPECT_EQ(count(lowered.ptx, "div.rn"), 0u);
}

TEST(Ptx, AttentionAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  AttentionParameters causal, full, window, narrow, wide, capped, sinks;
  full.n = 176, full.right = AttentionParameters::kUnbounded;
  window.left = 511, window.right = 0;
  narrow.d = 64, narrow.m = 192, narrow.warps = 12, narrow.registers = 160, narrow.loadRegisters = 32;
  wide.d = 256, wide.n = 80, wide.loadRegisters = 32; // more boxes to copy
  capped.cap = 50;
  sinks = narrow, sinks.sinks = true, sinks.left = 511; // as gpt-oss has them
  for (const AttentionParameters &parameters : {causal, full, window, narrow, wide, capped, sinks}) {
    SCOPED_TRACE("head " + std::to_string(parameters.d) + ", " + std::to_string(parameters.n) + " keys, cap " +
                 std::to_string(parameters.cap) + (parameters.sinks ? ", sinks" : ""));
    const Lowered lowered = lower(parameters);
    expectBudget(lowered, ptxas);
  }
}

// Decoding and a product of 64 columns at a time, of each storage type that has a form, in the tiles of each bucket of
// tokens: with 256 tokens registers are spilled.
TEST(Ptx, QuantisedProductAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  for (const char *type :
       {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"})
    for (const Bucket &bucket : findTarget("nvidia:sm_90a")->buckets) {
      QuantisedMatmulParameters p = *quantisedMatmulOn("sm_90a", bucket.minTokens);
      p.format = blockFormat(type, std::strlen(type));
      for (bool addend : {false, true}) {
        p.addend = addend;
        SCOPED_TRACE(type + (", " + std::to_string(p.n)) + " tokens" + (addend ? ", an addend" : ""));
        const Lowered lowered = lower(p);
        expectBudget(lowered, ptxas);
        EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
      }
    }
}

// The same of warps: of 64 columns a warp of 16 rows has 16 instructions for 16 tokens, and 4 loads of four matrices.
TEST(Ptx, QuantisedProductOfWarpsAssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  for (const char *type :
       {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"})
    for (const Bucket &bucket : findTarget("nvidia:sm_80")->buckets) {
      QuantisedMatmulParameters p = *quantisedMatmulOn("sm_80", bucket.minTokens);
      p.format = blockFormat(type, std::strlen(type));
      for (bool addend : {false, true}) {
        p.addend = addend;
        SCOPED_TRACE(type + (", " + std::to_string(p.n)) + " tokens" + (addend ? ", an addend" : ""));
        const Lowered lowered = lower(p, "sm_80");
        EXPECT_EQ(lowered.threads, p.warps * 32);
        EXPECT_EQ(count(lowered.ptx, "mma.sync.aligned.m16n8k16.row.col.f32.f16"), 4 * 4 * p.n / 8) << "of a turn";
        EXPECT_EQ(count(lowered.ptx, "ldmatrix.sync.aligned.m8n8.x4.shared"), 4 * 2 * p.n / 8);
        EXPECT_EQ(count(lowered.ptx, ".local"), 0u);
        if (!ptxas.empty())
          expectBudget(lowered, ptxas, "sm_80");
      }
    }
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
}

TEST(Ptx, RefusesWhatSpillsAndWhatIsNotPtx) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  std::string ptx = lower(MatmulParameters()).ptx;
  const size_t at = ptx.find(".maxntid");
  ASSERT_NE(at, std::string::npos);
  auto spills = assemblePtx(ptx.substr(0, at) + ".maxnreg 64\n" + ptx.substr(at), "sm_90a", ptxas);
  ASSERT_FALSE(spills);
  EXPECT_EQ(spills.error().code, ErrorCode::PtxAssembly);
  auto nonsense = assemblePtx("no ptx", "sm_90a", ptxas);
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::PtxAssembly);
}

// Programs that say what ptxas of that release says.
TEST(Ptx, TakesNoneFromThePathThatIsOlderThan13_1) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "stepdown-ptxas-of-the-path";
  fs::create_directories(folder);
  const fs::path program = folder / "ptxas";
  const std::string path = std::getenv("PATH");
  const char *named = std::getenv("STEPDOWN_PTXAS");
  const std::string kept = named ? named : "";
  unsetenv("STEPDOWN_PTXAS");
  setenv("PATH", (folder.string() + ":" + path).c_str(), 1);
  for (auto [release, taken] :
       {std::pair("12.8, V12.8.93", false), std::pair("13.0, V13.0.48", false), std::pair("9.2, V9.2.1", false),
        std::pair("13.1, V13.1.80", true), std::pair("13.5, V13.5.37", true), std::pair("14.0, V14.0.1", true)}) {
    std::ofstream(program) << "#!/bin/sh\n[ \"$1\" = --version ] || exit 1\necho 'ptxas: NVIDIA (R) Ptx optimizing "
                              "assembler'\necho 'Cuda compilation tools, release "
                           << release << "'\n";
    fs::permissions(program, fs::perms::owner_all);
    EXPECT_EQ(findPtxas((folder / "nothing").string()), taken ? program.string() : "") << release;
  }
  std::ofstream(program) << "#!/bin/sh\necho no version\n";
  EXPECT_EQ(findPtxas((folder / "nothing").string()), "");
  setenv("PATH", path.c_str(), 1);
  if (named)
    setenv("STEPDOWN_PTXAS", kept.c_str(), 1);
  fs::remove_all(folder);
}

TEST(Ptx, RefusesWhatIsNotThere) {
  const char *declared[] = {"llvm.func @elsewhere(f32) -> f32",
                            "llvm.mlir.global external @elsewhere() {addr_space = 1 : i32} : f32",
                            "llvm.mlir.global external @elsewhere() {addr_space = 4 : i32} : f32"};
  const char *used[] = {"llvm.call @elsewhere(%x) : (f32) -> f32",
                        "llvm.mlir.addressof @elsewhere : !llvm.ptr<1>\n %y = llvm.load %e : !llvm.ptr<1> -> f32",
                        "llvm.mlir.addressof @elsewhere : !llvm.ptr<4>\n %y = llvm.load %e : !llvm.ptr<4> -> f32"};
  for (int i = 0; i < 3; ++i) {
    auto module = translateKernels(std::string("gpu.module @k {\n") + declared[i] + R"(
      llvm.func @caller(%p: !llvm.ptr<1>) attributes {nvvm.kernel} {
        %x = llvm.load %p : !llvm.ptr<1> -> f32
        )" + (i ? "%e = " : "%y = ") + used[i] +
                                       R"(
        llvm.store %y, %p : f32, !llvm.ptr<1>
        llvm.return
      }
    })",
                                   "caller.mlir", "sm_90a");
    ASSERT_TRUE(module) << module.error().text();
    auto ptx = writePtx(*module->module, "sm_90a");
    ASSERT_FALSE(ptx) << declared[i] << *ptx;
    EXPECT_EQ(ptx.error().code, ErrorCode::PtxCode);
    EXPECT_NE(ptx.error().message.find("elsewhere"), std::string::npos) << ptx.error().message;
  }
}
