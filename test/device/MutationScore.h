// How many mutants of a kernel as the compiler lowers it the emulator reports: each of its synchronisation operations
// deleted, moved and altered, one at a time.
#pragma once
#include "test/device/KernelMutation.h"
#include "test/device/TileKernel.h"
#include <cstdio>
#include <gtest/gtest.h>
#include <random>

namespace stepdown::test {

/// Mutants that mean the same in the configuration that is scored, and why; `count` of them are not reported.
struct Equivalent {
  const char *text;
  int count;
  const char *why;
};

/// Of a kernel of sm_90a with a role that copies and one warpgroup that computes: `inits` changes of barriers' places
/// mean the same, and `expects` of bytes that are expected; and `more`.
inline std::vector<Equivalent> ofRoles(int inits, int expects, std::initializer_list<Equivalent> more) {
  std::vector<Equivalent> all = {
      {"mbarrier.init.shared: moved", inits, "initialisations of different barriers, and what follows them, commute"},
      {"fence.mbarrier_init.release.cluster", 3, "the proxy fence beside it orders the same initialisations"},
      {"fence.proxy.async.shared_cta: deleted", 1, "so does the fence of initialisations beside it"},
      {"fence.proxy.async.shared_cta: moved up", 1, "the last initialisation is ordered by that fence"},
      {"setmaxnreg.dec.sync.aligned.u32: deleted", 2,
       "with one warpgroup that computes, no role takes what others give"},
      {"setmaxnreg.dec.sync.aligned.u32: moved down", 1, "the same"},
      {"mbarrier.arrive.expect.tx.scope.cta.space.cta: moved down", expects,
       "bytes may arrive before they are expected, in one phase"},
  };
  all.insert(all.end(), more);
  return all;
}
/// Where all threads meet before the roles begin, alone or in clusters that have a barrier of their own for it.
constexpr Equivalent kOtherBarrier = {"barrier.cta.sync.aligned.all: operand 0 +1", 1,
                                      "another number, free at that time"};

/// Numbers from `least` to `most`, the same each time.
inline void fill(std::initializer_list<Matrix *> matrices, float least = -1, float most = 1) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(least, most);
  for (Matrix *matrix : matrices)
    for (uint32_t r = 0; r < matrix->rows; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x)
        matrix->set(r, x, uniform(random));
}

/// One block, or one cluster of them, executes the kernel `name`; the last matrix is the result. `bound`: a mutant may
/// never end.
inline Status runMutant(emulated::Emulator &emulator, const char *name, mlir::DictionaryAttr how,
                        std::vector<Matrix *> matrices, uint64_t seed, uint64_t bound = 1 << 18) {
  Launch made(how, std::move(matrices));
  made.shape.grid = {made.shape.cluster, 1, 1};
  emulated::Options options;
  options.seed = seed;
  options.bound = bound;
  return made.run(emulator, name, options);
}

/// "64 x 128", the rows and columns that a turn of the schedule goes over; "of none" where there is no schedule.
inline std::string tilesOf(TileKernel &lowered) {
  auto tile = lowered.launch().getAs<mlir::DenseI64ArrayAttr>("tile");
  return tile ? std::to_string(tile[0]) + " x " + std::to_string(tile[1]) : "of none";
}

/// Fails the running test where a mutant of `kernel`, a module with the function `name` that is not loaded, is neither
/// reported nor one of `equivalents`, or fewer than `least` are reported. A Problem has the matrix `out`, which
/// `run(problem, emulator, seed)` fills. `configuration` is printed with the score.
template <typename Problem>
void scoreMutants(llvm::Module &kernel, const std::string &name, llvm::ArrayRef<Equivalent> equivalents, int least,
                  const std::string &configuration,
                  llvm::function_ref<Status(Problem &, emulated::Emulator &, uint64_t)> run) {
  Problem whole;
  {
    auto copy = mutate(kernel, name, {Mutation::Keep, 0, 0, 0, ""});
    EmulatedKernel emulated(*copy, /*quickly=*/true);
    ASSERT_EQ(emulated.error, "");
    Status status = run(whole, emulated.emulator, 0);
    ASSERT_TRUE(status) << status.error().text();
  }
  std::vector<int> counts(equivalents.size());
  int reported = 0, all = 0, unexplained = 0;
  for (const Mutation &mutation : mutations(kernel, name)) {
    auto mutant = mutate(kernel, name, mutation);
    if (!mutant)
      continue;
    EmulatedKernel emulated(*mutant, /*quickly=*/true);
    ASSERT_EQ(emulated.error, "") << mutation.description;
    ++all;
    bool found = false, wrong = false;
    for (uint64_t seed : {0, 1, 2}) {
      Problem problem;
      if (found || !run(problem, emulated.emulator, seed))
        found = true;
      else
        wrong |= problem.out.bytes != whole.out.bytes;
    }
    reported += found;
    if (found)
      continue;
    EXPECT_FALSE(wrong) << mutation.description << ": not reported";
    bool explained = false;
    for (size_t i = 0; i < counts.size(); ++i)
      if (mutation.description.find(equivalents[i].text) != std::string::npos)
        ++counts[i], explained = true;
    unexplained += !explained;
    EXPECT_TRUE(explained) << mutation.description << ": not reported";
  }
  // Not "at most": an explanation that stands for more mutants than it was written for explains nothing.
  for (size_t i = 0; i < counts.size(); ++i)
    EXPECT_EQ(counts[i], equivalents[i].count) << equivalents[i].text << ": " << equivalents[i].why;
  std::printf("%s, %s: %d mutants, %d reported (%.0f %% of all), %d mean the same there, %d of the others are not "
              "reported\n",
              name.c_str(), configuration.c_str(), all, reported, 100.0 * reported / all, all - reported - unexplained,
              unexplained);
  EXPECT_GE(reported, 0.98 * (reported + unexplained));
  EXPECT_GE(reported, least);
}

/// The same of a tile kernel, which is not loaded; a Problem has `run(emulator, launch, seed)`.
template <typename Problem>
void scoreMutants(TileKernel &lowered, const std::string &name, llvm::ArrayRef<Equivalent> equivalents, int least) {
  const std::string threads = std::to_string(lowered.launch().getAs<mlir::IntegerAttr>("threads").getInt());
  scoreMutants<Problem>(*lowered.translated->module, name, equivalents, least,
                        threads + " threads, tiles " + tilesOf(lowered),
                        [&](Problem &problem, emulated::Emulator &emulator, uint64_t seed) {
                          return problem.run(emulator, lowered.launch(), seed);
                        });
}

/// The same of the kernel @`name` that `make(context)` makes, as it is lowered for `chip`.
template <typename Problem, typename Make>
void scoreKernel(Make make, const std::string &name, llvm::ArrayRef<Equivalent> equivalents, int least,
                 const std::string &chip = "sm_90a") {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = make(context);
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module, /*load=*/false, chip);
  ASSERT_EQ(lowered.error, "");
  scoreMutants<Problem>(lowered, name, equivalents, least);
}

} // namespace stepdown::test
