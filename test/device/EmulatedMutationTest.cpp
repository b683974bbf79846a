// How many mutants of the hand-written product the emulator reports.
#include "test/device/EmulatedKernel.h"
#include "test/device/KernelMutation.h"
#include "llvm/ADT/ArrayRef.h"
#include <cstdio>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Mutants that mean the same, and why; `count` of them are not reported.
struct Equivalent {
  const char *text;
  int count;
  const char *why;
};

constexpr Equivalent always[] = {
    {"mbarrier.init.shared: moved", 7, "initialisations of different barriers, and what follows them, commute"},
    {"fence.mbarrier_init.release.cluster: moved up", 1, "the last initialisation is of a barrier that only lanes use"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 1, "another number, free at that time"},
    {"mbarrier.arrive.expect.tx.scope.cta.space.cta: moved down", 1,
     "bytes may arrive before they are expected, in one phase"},
    {"wgmma.wait_group.sync.aligned: operand 0 -1", 1, "waits for more than it has to"},
    {"mbarrier.arrive.shared: deleted", 1, "releases the last step's memory, which is not used again"},
    {"fence.proxy.async.shared_cta: moved down", 1, "a proxy fence may lie on either side of the barrier"},
};
constexpr Equivalent inShared[] = {
    {"wgmma.fence.sync.aligned: deleted", 1, "products of one shape in a chain need no fence for their accumulators"},
    {"wgmma.fence.sync.aligned: moved down", 1, "the same"},
    {"barrier.cta.sync.aligned.count: moved up", 1, "the barrier comes before the proxy fence"},
    {"barrier.cta.sync.aligned.count: operand 0", 2, "another number, free at that time"},
};
constexpr Equivalent inRegisters[] = {
    {"barrier.cta.sync.aligned.count: deleted", 1,
     "orders reads before the release of the last step, which is not used again"},
    {"barrier.cta.sync.aligned.count: moved up", 3, "comes before a wait or proxy fence that need not come first"},
    {"wgmma.wait_group.sync.aligned: moved down", 2, "still in front of the release"},
    {"barrier.cta.sync.aligned.count: operand 0", 6, "another number, free at that time"},
};

void score(bool registersA, llvm::ArrayRef<Equivalent> more) {
  ProductKernel kernel;
  kernel.n = 16;
  kernel.stages = 2;
  kernel.registersA = registersA;
  auto module = translateKernels(kernel.text(), "kernel.mlir", "sm_90a");
  ASSERT_TRUE(module) << module.error().text();
  std::vector<std::pair<Equivalent, int>> equivalent;
  for (llvm::ArrayRef<Equivalent> part : {llvm::ArrayRef<Equivalent>(always), more})
    for (const Equivalent &row : part)
      equivalent.push_back({row, 0});
  int reported = 0, all = 0, unexplained = 0;
  for (const Mutation &mutation : mutations(*module->module, "product")) {
    auto mutant = mutate(*module->module, "product", mutation);
    if (!mutant)
      continue;
    EmulatedKernel emulated(*mutant);
    ASSERT_EQ(emulated.error, "") << mutation.description;
    ++all;
    bool found = false;
    std::string wrong;
    for (uint64_t seed : {0, 1, 2}) {
      ProductProblem problem(67, 31, 331);
      if (!problem.run(emulated.emulator, kernel, seed, 1 << 18))
        found = true;
      else if (wrong.empty())
        wrong = problem.wrong();
    }
    reported += found;
    if (found)
      continue;
    EXPECT_EQ(wrong, "") << mutation.description << ": not reported";
    bool explained = false;
    for (auto &[row, count] : equivalent)
      if (mutation.description.find(row.text) != std::string::npos)
        ++count, explained = true;
    unexplained += !explained;
    EXPECT_TRUE(explained) << mutation.description << ": not reported";
  }
  // Not "at most": an explanation that stands for more mutants than it was written for explains nothing.
  for (auto &[row, count] : equivalent)
    EXPECT_EQ(count, row.count) << row.text << ": " << row.why;
  std::printf("%d mutants, %d reported, %d mean the same, %d of the others are not reported\n", all, reported,
              all - reported - unexplained, unexplained);
  EXPECT_GE(reported, 0.98 * (reported + unexplained));
  EXPECT_GT(reported, 40);
}

} // namespace

TEST(EmulatedMutation, OperandsInSharedMemory) { score(false, inShared); }
TEST(EmulatedMutation, OperandAInRegisters) { score(true, inRegisters); }
