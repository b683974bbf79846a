// The barriers and fences of the product as the compiler lowers it for gfx942, deleted and moved one at a time: which
// of that does the emulator report? Emulated, never run on hardware.
#include "test/device/KernelMutation.h"
#include "test/device/TileKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Two tiles of one block, of each seven slots along k: the first, two pairs, one that is whole and a part of one. So
/// the last is where the first was.
struct Problem {
  MatmulParameters parameters;
  Matrix a, b, c;
  Problem() : a(61, 199, 200, true), b(199, 67, 72, true), c(61, 67, 67, false) {
    parameters.m = parameters.n = 64, parameters.k = 32, parameters.stages = 2, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1;
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (Matrix *matrix : {&a, &b})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < matrix->columns; ++x)
          matrix->set(r, x, uniform(random));
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr launch, uint64_t seed) {
    Launch made(launch, {&a, &b, &c});
    made.shape.grid = {1, 1, 1};
    for (Matrix *matrix : {&a, &b, &c})
      emulator.map(matrix->bytes.data(), matrix->bytes.size(), matrix == &c);
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 20;
    Status status = emulator.launch("matmul", made.shape, made.parameters.data(), made.parameters.size(), options);
    for (Matrix *matrix : {&a, &b, &c})
      emulator.unmap(matrix->bytes.data());
    return status;
  }
};

} // namespace

TEST(AmdMutation, EveryOneIsReported) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = matmulKernel(context, Problem().parameters);
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module, /*load=*/false, "gfx942");
  ASSERT_EQ(lowered.error, "");
  llvm::Module &kernel = *lowered.translated->module;
  auto copy = mutate(kernel, "matmul", {Mutation::Keep, 0, 0, 0, ""});
  EmulatedKernel whole(*copy, /*quickly=*/true);
  ASSERT_EQ(whole.error, "");
  const Status good = Problem().run(whole.emulator, lowered.launch(), 0);
  ASSERT_TRUE(good) << good.error().text();
  int all = 0, same = 0;
  for (const Mutation &mutation : mutations(kernel, "matmul")) {
    auto mutant = mutate(kernel, "matmul", mutation);
    if (!mutant)
      continue;
    EmulatedKernel emulated(*mutant, /*quickly=*/true);
    ASSERT_EQ(emulated.error, "") << mutation.description;
    ++all;
    bool found = false;
    for (uint64_t seed : {0, 1, 2})
      found = found || !Problem().run(emulated.emulator, lowered.launch(), seed);
    // Between the two turns of a pair: over a load of a matrix, which nobody writes, so that it means the same.
    if (!found && mutation.description.find("fence. acquire: moved down") != std::string::npos)
      ++same;
    else
      EXPECT_TRUE(found) << mutation.description << ": not reported";
  }
  std::printf("%d mutants, %d of which mean the same\n", all, same);
  EXPECT_EQ(same, 1);
  EXPECT_GE(all, 40);
}
