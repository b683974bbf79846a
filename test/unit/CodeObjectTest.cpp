// The matrix product's tile text as AMD code objects: what their metadata says of registers, spills and LDS, against
// budgets. Nothing of it has run on hardware.
#include "lib/CodeGen/CodeObject.h"
#include "dialects/Tile/IR/TileOps.h"
#include "lib/CodeGen/ChipCode.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "passes/AMD/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

MatmulParameters tiles(int64_t m, int64_t n, int64_t k, bool transposeB = false) {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = k, p.stages = 2, p.warps = std::max<int64_t>(8, m * n / 4096), p.transposeB = transposeB;
  p.registerFile = 131072;
  return p;
}

AttentionParameters attention(int64_t d, int64_t m, int64_t n) {
  AttentionParameters p;
  p.d = d, p.m = m, p.n = n, p.warps = m / 16, p.registerFile = 131072;
  return p;
}

AttentionParameters sinking(AttentionParameters p) {
  p.sinks = true;
  return p;
}

/// Of fp8 with scales.
struct Scaled {
  MatmulParameters parameters;
};

using Module = Result<mlir::OwningOpRef<mlir::ModuleOp>>;
Module textOf(mlir::MLIRContext &context, const MatmulParameters &p) { return matmulKernel(context, p); }
Module textOf(mlir::MLIRContext &context, const QuantisedMatmulParameters &p) {
  return quantisedMatmulKernel(context, p);
}
Module textOf(mlir::MLIRContext &context, const Scaled &p) { return scaledMatmulKernel(context, p.parameters); }
Module textOf(mlir::MLIRContext &context, const AttentionParameters &p) { return attentionKernel(context, p); }

/// What stands in C is added to the product before that is stored, through gelu's exponential and quotient.
void addEpilogue(mlir::ModuleOp module) {
  module.walk([](tile::StoreOp store) {
    mlir::ImplicitLocOpBuilder b(store.getLoc(), store);
    const auto type = store.getValue().getType();
    mlir::Value read = tile::ReadOp::create(b, type, store.getTo(), store.getRow(), store.getColumn());
    auto map = tile::MapOp::create(b, type, mlir::ValueRange{store.getValue(), read});
    mlir::Block &body = map.getBody().emplaceBlock();
    mlir::Value x = body.addArgument(b.getF32Type(), store.getLoc()), y = body.addArgument(b.getF32Type(), x.getLoc());
    b.setInsertionPointToEnd(&body);
    mlir::Value sum = mlir::arith::AddFOp::create(b, x, y);
    mlir::Value power = mlir::math::Exp2Op::create(b, sum);
    tile::YieldOp::create(b, mlir::arith::DivFOp::create(b, sum, power));
    store.getValueMutable().assign(map.getResult());
  });
}

template <typename Parameters>
Result<KernelModule> lower(const Parameters &parameters, const char *chip, bool epilogue = false) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  Module module = textOf(context, parameters);
  if (!module)
    return module.error();
  if (epilogue)
    addEpilogue(**module);
  mlir::PassManager passes(&context);
  passes.addPass(createLowerTileToROCDL({chip}));
  if (failed(passes.run(**module)))
    return fail(ErrorCode::KernelTranslation, "lower-tile-to-rocdl");
  return translateKernels(*(*module)->getOps<mlir::gpu::GPUModuleOp>().begin(), chip);
}

struct Budgeted {
  const char *chip;
  MatmulParameters parameters;
  KernelBudget budget;
  int products;              ///< matrix instructions of two turns of the loop over k
  int instructionsInHundred; ///< at most, for each hundred of these
};

/// The loop with the fewest instructions for each matrix instruction, which is that over k: from a label to the branch
/// back to it.
void loopOf(llvm::StringRef assembly, int &products, int &all) {
  products = all = 0;
  std::map<std::string, std::pair<int, int>> at; // label -> matrix instructions and instructions in front of it
  int matrix = 0, count = 0;
  for (llvm::StringRef line : llvm::split(assembly, '\n')) {
    line = line.take_until([](char c) { return c == ';'; }).trim();
    if (line.ends_with(":")) {
      at[line.drop_back().str()] = {matrix, count};
      continue;
    }
    if (line.empty() || line.starts_with("."))
      continue;
    ++count;
    matrix += line.starts_with("v_mfma") || line.starts_with("v_wmma");
    if (!line.starts_with("s_cbranch") && !line.starts_with("s_branch"))
      continue;
    auto back = at.find(line.rsplit(' ').second.str());
    if (back == at.end())
      continue;
    const int inside = matrix - back->second.first, length = count - back->second.second;
    if (inside && (!products || length * products < all * inside)) {
      products = inside;
      all = length;
    }
  }
}

class CodeObjects : public testing::TestWithParam<Budgeted> {};

} // namespace

TEST_P(CodeObjects, KeepTheirBudgets) {
  const Budgeted &c = GetParam();
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  auto module = lower(c.parameters, c.chip);
  ASSERT_TRUE(module) << module.error().text();
  auto object = writeCodeObject(*module->module, c.chip, lld);
  ASSERT_TRUE(object) << object.error().text();
  ASSERT_EQ(object->kernels.size(), 1u);
  const CodeObjectKernel &kernel = object->kernels[0];
  EXPECT_EQ(kernel.name, "matmul");
  EXPECT_EQ(object->bytes.substr(0, 4), "\177ELF");
  const Status kept = checkBudget(*object, c.budget);
  EXPECT_TRUE(kept) << kept.error().text();
  auto assembly = emitForChip(*module->module, c.chip, llvm::CodeGenFileType::AssemblyFile, ErrorCode::CodeObject);
  ASSERT_TRUE(assembly) << assembly.error().text();
  int products, all;
  loopOf(*assembly, products, all);
  char label[64];
  std::snprintf(label, sizeof label, "%s %dx%dx%d%s", c.chip, int(c.parameters.m), int(c.parameters.n),
                int(c.parameters.k), c.parameters.transposeB ? " transposed" : "");
  std::printf("%s: %d instructions for %d products, %d VGPRs, %d SGPRs, %d spilled, %d bytes of LDS\n", label, all,
              products, int(kernel.vectorRegisters), int(kernel.scalarRegisters), int(kernel.spilled),
              int(kernel.ldsBytes));
  EXPECT_EQ(products, c.products);
  EXPECT_LE(100 * all, c.instructionsInHundred * products);
  if (const char *folder = std::getenv("STEPDOWN_KEEP_ASSEMBLY")) {
    std::FILE *out = std::fopen((std::string(folder) + "/" + label + ".s").c_str(), "w");
    std::fputs(assembly->c_str(), out);
    std::fclose(out);
  }
}

INSTANTIATE_TEST_SUITE_P(Products, CodeObjects,
                         testing::Values(Budgeted{"gfx942", tiles(256, 256, 32, true), {208, 65536}, 64, 195},
                                         Budgeted{"gfx942", tiles(256, 256, 32), {200, 65536}, 64, 255},
                                         Budgeted{"gfx942", tiles(128, 256, 32), {204, 49152}, 64, 292},
                                         Budgeted{"gfx942", tiles(128, 128, 64), {184, 65536}, 64, 322},
                                         Budgeted{"gfx90a", tiles(256, 256, 32), {192, 65536}, 64, 258},
                                         Budgeted{"gfx90a", tiles(128, 256, 32), {200, 49152}, 64, 290},
                                         Budgeted{"gfx90a", tiles(128, 128, 64), {176, 65536}, 64, 335},
                                         Budgeted{"gfx950", tiles(128, 256, 64), {256, 98304}, 64, 412},
                                         Budgeted{"gfx1100", tiles(128, 128, 32), {200, 32768}, 32, 675},
                                         Budgeted{"gfx1201", tiles(128, 128, 32), {192, 32768}, 32, 565}));

static MatmulParameters eights(int64_t m, int64_t n, int64_t k) {
  MatmulParameters p = tiles(m, n, k, true);
  p.element = "i8", p.result = "i32";
  return p;
}
static MatmulParameters floats(int64_t m, int64_t n, int64_t k) {
  MatmulParameters p = tiles(m, n, k, true);
  p.element = "f8E4M3FN";
  return p;
}
INSTANTIATE_TEST_SUITE_P(Eights, CodeObjects,
                         testing::Values(Budgeted{"gfx90a", eights(128, 256, 64), {212, 49152}, 128, 195},
                                         Budgeted{"gfx942", eights(256, 256, 64), {208, 65536}, 64, 195},
                                         Budgeted{"gfx950", eights(128, 256, 128), {256, 98304}, 64, 470},
                                         Budgeted{"gfx1100", eights(128, 128, 64), {200, 32768}, 64, 320},
                                         Budgeted{"gfx1201", eights(128, 128, 64), {192, 32768}, 64, 290}));

INSTANTIATE_TEST_SUITE_P(Floats, CodeObjects,
                         testing::Values(Budgeted{"gfx942", floats(256, 256, 64), {232, 65536}, 64, 650},
                                         Budgeted{"gfx950", floats(128, 256, 128), {272, 98304}, 32, 500},
                                         Budgeted{"gfx1201", floats(128, 128, 64), {192, 32768}, 64, 290}));

namespace {
struct Attending {
  const char *chip;
  AttentionParameters parameters;
  KernelBudget budget;
};
struct Finishing {
  const char *chip;
  MatmulParameters parameters;
  int64_t vectorRegisters;
};
class AttentionObjects : public testing::TestWithParam<Attending> {};
class EpilogueObjects : public testing::TestWithParam<Finishing> {};

/// Expects a code object within `budget`.
void expectBudget(const Result<KernelModule> &module, const char *chip, const KernelBudget &budget) {
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  ASSERT_TRUE(module) << module.error().text();
  auto object = writeCodeObject(*module->module, chip, lld);
  ASSERT_TRUE(object) << object.error().text();
  auto assembly = emitForChip(*module->module, chip, llvm::CodeGenFileType::AssemblyFile, ErrorCode::CodeObject);
  ASSERT_TRUE(assembly) << assembly.error().text();
  int products, all;
  loopOf(*assembly, products, all);
  const CodeObjectKernel &kernel = object->kernels[0];
  std::printf("%s: %d instructions for %d products, %d VGPRs, %d spilled, %d bytes of LDS\n", chip, all, products,
              int(kernel.vectorRegisters), int(kernel.spilled), int(kernel.ldsBytes));
  const Status kept = checkBudget(*object, budget);
  EXPECT_TRUE(kept) << kept.error().text();
}
} // namespace

TEST_P(AttentionObjects, KeepTheirBudgets) {
  expectBudget(lower(GetParam().parameters, GetParam().chip), GetParam().chip, GetParam().budget);
}

INSTANTIATE_TEST_SUITE_P(Attention, AttentionObjects,
                         testing::Values(Attending{"gfx942", attention(64, 128, 64), {512, 32768}},
                                         Attending{"gfx942", attention(128, 128, 64), {320, 65536}},
                                         Attending{"gfx942", attention(256, 128, 32), {384, 65536}},
                                         Attending{"gfx950", attention(64, 64, 64), {512, 32768}},
                                         Attending{"gfx950", attention(64, 128, 64), {512, 32768}},
                                         Attending{"gfx950", attention(128, 128, 64), {320, 65536}},
                                         Attending{"gfx950", attention(256, 128, 32), {384, 65536}},
                                         Attending{"gfx90a", attention(64, 128, 64), {512, 32768}},
                                         Attending{"gfx90a", attention(128, 128, 64), {320, 65536}},
                                         Attending{"gfx90a", attention(256, 128, 32), {384, 65536}},
                                         Attending{"gfx1100", attention(64, 64, 32), {256, 16384}},
                                         Attending{"gfx1100", attention(64, 128, 64), {256, 32768}},
                                         Attending{"gfx1100", attention(128, 128, 32), {256, 65536}},
                                         Attending{"gfx1100", attention(256, 64, 16), {256, 65536}},
                                         Attending{"gfx942", sinking(attention(64, 128, 64)), {512, 32768}},
                                         Attending{"gfx1100", sinking(attention(64, 128, 64)), {256, 32768}},
                                         Attending{"gfx1201", sinking(attention(256, 64, 16)), {256, 65536}},
                                         Attending{"gfx1201", attention(64, 64, 64), {256, 32768}},
                                         Attending{"gfx1201", attention(64, 128, 64), {256, 32768}},
                                         Attending{"gfx1201", attention(128, 128, 32), {256, 32768}},
                                         Attending{"gfx1201", attention(256, 64, 16), {256, 65536}}));

// Decoding and a product of 64 columns at a time, of each storage type that has a form.
TEST(QuantisedObjects, KeepTheirBudgets) {
  struct On {
    const char *chip;
    int64_t m, n, vectorRegisters;
    std::vector<const char *> types;
  };
  const std::vector<const char *> all = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0",   "q2_k",
                                         "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"};
  for (const On &on : {On{"gfx942", 32, 16, 256, all},
                       {"gfx942", 32, 64, 256, {"q4_0", "q6_k"}},
                       {"gfx90a", 32, 16, 256, {"q4_0", "q2_k"}},
                       {"gfx950", 32, 16, 256, {"q4_0", "q2_k"}},
                       {"gfx1100", 64, 16, 256, {"q4_0", "q2_k"}},
                       {"gfx1201", 64, 16, 256, {"q4_0", "q2_k"}}})
    for (const char *type : on.types) {
      SCOPED_TRACE(std::string(on.chip) + " " + type);
      QuantisedMatmulParameters p;
      p.format = blockFormat(type, std::strlen(type));
      p.m = on.m, p.n = on.n, p.weightStages = 2, p.tokenStages = 8;
      for (bool addend : {false, true}) {
        p.addend = addend;
        std::printf("%s, %d tokens%s:\n", type, int(on.n), addend ? ", an addend" : "");
        expectBudget(lower(p, on.chip), on.chip, {on.vectorRegisters, on.n * 1024});
      }
    }
}

// Of fp8 with scales, in the tiles of the table: sums of a slot and of all are held beside each other.
TEST(ScaledObjects, KeepTheirBudgets) {
  struct On {
    const char *chip;
    int64_t m, n, warps, vectorRegisters;
  };
  for (const On &on : {On{"gfx942", 64, 128, 4, 512},
                       {"gfx942", 128, 128, 8, 512},
                       {"gfx950", 64, 128, 4, 512},
                       {"gfx950", 128, 128, 8, 512},
                       {"gfx1201", 64, 64, 4, 256},
                       {"gfx1201", 128, 128, 8, 256}}) {
    SCOPED_TRACE(std::string(on.chip) + " " + std::to_string(on.m) + "x" + std::to_string(on.n));
    Scaled scaled;
    scaled.parameters = floats(on.m, on.n, 128);
    scaled.parameters.warps = on.warps;
    std::printf("%dx%d:\n", int(on.m), int(on.n));
    expectBudget(lower(scaled, on.chip), on.chip, {on.vectorRegisters, (on.m + on.n) * 256});
  }
}

TEST_P(EpilogueObjects, SpillNothing) {
  const Finishing &c = GetParam();
  expectBudget(lower(c.parameters, c.chip, /*epilogue=*/true), c.chip, {c.vectorRegisters, 98304});
}

INSTANTIATE_TEST_SUITE_P(Epilogues, EpilogueObjects,
                         testing::Values(Finishing{"gfx90a", tiles(128, 256, 32), 256},
                                         Finishing{"gfx942", tiles(256, 256, 32), 256},
                                         Finishing{"gfx950", tiles(128, 256, 64), 512},
                                         Finishing{"gfx1100", tiles(128, 128, 32), 256},
                                         Finishing{"gfx1201", tiles(128, 128, 32), 256}));

TEST(CodeObject, RefusesSpilledRegisters) {
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  auto module = lower(tiles(128, 256, 32), "gfx942");
  ASSERT_TRUE(module) << module.error().text();
  for (llvm::Function &function : *module->module)
    if (!function.isDeclaration())
      function.addFnAttr("amdgpu-flat-work-group-size", "1024,1024"); // four waves share the registers of one
  auto object = writeCodeObject(*module->module, "gfx942", lld);
  ASSERT_TRUE(object) << object.error().text();
  const Status kept = checkBudget(*object, {256, 65536});
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::KernelBudget);
  EXPECT_NE(kept.error().message.find("matmul: expects at most 0 spilled registers, but got"), std::string::npos)
      << kept.error().message;
}

TEST(CodeObject, RefusesMoreThanItsBudget) {
  CodeObject object;
  object.kernels.push_back({"product", 257, 40, 0, 65536, 0});
  EXPECT_TRUE(checkBudget(object, {257, 65536}));
  EXPECT_EQ(checkBudget(object, {256, 65536}).error().message,
            "product: expects at most 256 vector registers, but got 257");
  EXPECT_EQ(checkBudget(object, {257, 65535}).error().message,
            "product: expects at most 65535 bytes of LDS, but got 65536");
  object.kernels[0].spilled = 3;
  EXPECT_EQ(checkBudget(object, {257, 65536}).error().message,
            "product: expects at most 0 spilled registers, but got 3");
  object.kernels[0].spilled = 0, object.kernels[0].stackBytes = 16;
  EXPECT_EQ(checkBudget(object, {257, 65536}).error().message, "product: expects at most 0 bytes of stack, but got 16");
}

TEST(CodeObject, RefusesWhatIsNotThere) {
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  for (const char *chip : {"gfx942", "gfx1100"}) {
    auto module = lower(tiles(128, 128, 32, true), chip);
    ASSERT_TRUE(module) << module.error().text();
    llvm::Module &llvm = *module->module;
    llvm::Type *type = llvm::Type::getInt32Ty(llvm.getContext());
    auto *elsewhere = new llvm::GlobalVariable(llvm, type, /*isConstant=*/false, llvm::GlobalValue::ExternalLinkage,
                                               nullptr, "elsewhere", nullptr, llvm::GlobalValue::NotThreadLocal, 1);
    for (llvm::Function &function : llvm)
      if (!function.isDeclaration()) {
        llvm::IRBuilder<> b(&function.getEntryBlock(), function.getEntryBlock().getFirstInsertionPt());
        b.CreateStore(b.getInt32(7), elsewhere);
      }
    auto object = writeCodeObject(llvm, chip, lld);
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, ErrorCode::CodeObject);
    EXPECT_NE(object.error().message.find("elsewhere"), std::string::npos) << object.error().message;
  }
}

TEST(CodeObject, NamesTheLinkerThatIsMissing) {
  llvm::LLVMContext context;
  llvm::Module empty("empty", context);
  auto object = writeCodeObject(empty, "gfx942", "");
  ASSERT_FALSE(object);
  EXPECT_EQ(object.error().code, ErrorCode::CodeObject);
}
