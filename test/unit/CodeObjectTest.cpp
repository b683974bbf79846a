// The matrix product's tile text as AMD code objects: what their metadata says of registers, spills and LDS, against
// budgets. Nothing of it has run on hardware.
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/ChipCode.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/Pass/PassManager.h"
#include "passes/AMD/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

MatmulParameters tiles(int64_t m, int64_t n, int64_t k, const char *element = "bf16") {
  MatmulParameters p;
  p.m = m, p.n = n, p.k = k, p.stages = 2, p.warps = 8, p.element = element;
  return p;
}

Result<KernelModule> lower(const MatmulParameters &parameters, const char *chip) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = matmulKernel(context, parameters);
  if (!module)
    return module.error();
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
  std::printf("%s %dx%dx%d: %d instructions for %d products, %d VGPRs, %d SGPRs, %d spilled, %d bytes of LDS\n", c.chip,
              int(c.parameters.m), int(c.parameters.n), int(c.parameters.k), all, products, int(kernel.vectorRegisters),
              int(kernel.scalarRegisters), int(kernel.spilled), int(kernel.ldsBytes));
  EXPECT_EQ(products, c.products);
  EXPECT_LE(100 * all, c.instructionsInHundred * products);
  if (const char *folder = std::getenv("STEPDOWN_KEEP_ASSEMBLY")) {
    std::FILE *out = std::fopen((std::string(folder) + "/" + c.chip + ".s").c_str(), "w");
    std::fputs(assembly->c_str(), out);
    std::fclose(out);
  }
}

INSTANTIATE_TEST_SUITE_P(Products, CodeObjects,
                         testing::Values(Budgeted{"gfx942", tiles(128, 256, 32), {208, 49152}, 64, 365},
                                         Budgeted{"gfx942", tiles(128, 128, 64), {176, 65536}, 64, 400},
                                         Budgeted{"gfx950", tiles(128, 256, 64), {256, 98304}, 64, 520},
                                         Budgeted{"gfx1100", tiles(128, 128, 32), {200, 32768}, 32, 675},
                                         Budgeted{"gfx1201", tiles(128, 128, 32), {192, 32768}, 32, 565}));

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

TEST(CodeObject, NamesTheLinkerThatIsMissing) {
  llvm::LLVMContext context;
  llvm::Module empty("empty", context);
  auto object = writeCodeObject(empty, "gfx942", "");
  ASSERT_FALSE(object);
  EXPECT_EQ(object.error().code, ErrorCode::CodeObject);
}
