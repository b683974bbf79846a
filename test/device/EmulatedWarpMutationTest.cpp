// The synchronisation of the product as the compiler lowers it for sm_80 (groups of copies, their waits, the barrier of
// a turn), deleted, moved and altered one at a time: which of that does the emulator report?
#include "test/device/MutationScore.h"
#include <random>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Two tiles of one block, of each seven slots along k, of which three are there: all of them are filled again.
struct Problem {
  MatmulParameters parameters;
  Matrix a, b, out;
  Problem() : a(61, 439, 440, true), b(439, 67, 72, true), out(61, 67, 67, false) {
    parameters.m = parameters.n = parameters.k = 64, parameters.stages = 3, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1;
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (Matrix *matrix : {&a, &b})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < matrix->columns; ++x)
          matrix->set(r, x, uniform(random));
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr launch, uint64_t seed) {
    Launch made(launch, {&a, &b, &out});
    made.shape.grid = {1, 1, 1};
    for (Matrix *matrix : {&a, &b, &out})
      emulator.map(matrix->bytes.data(), matrix->bytes.size(), matrix == &out);
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 20;
    Status status = emulator.launch("matmul", made.shape, made.parameters.data(), made.parameters.size(), options);
    for (Matrix *matrix : {&a, &b, &out})
      emulator.unmap(matrix->bytes.data());
    return status;
  }
};

const Equivalent equivalents[] = {
    {"cp.async.wait.group: operand 0 -1", 2, "waits for a slot more than it must"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 3, "all threads meet at another barrier, which nothing else uses"},
    {"cp.async.commit.group: moved down", 2, "over a read of the slot at hand: the next copy comes a turn later"},
};

} // namespace

TEST(EmulatedWarpMutation, EveryOneThatMattersIsReported) {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return matmulKernel(context, Problem().parameters); }, "matmul",
                       equivalents, 17, "sm_80");
}
