// How many mutants of the products of 8 bits the emulator reports, as they are lowered for sm_90a: that of int8, whose
// product of one slot runs while the next is waited for, and that of fp8 with scales, which ends its sums in each slot.
#include "test/device/MutationScore.h"
#include <random>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Two tiles of rows in one block, of each nine slots along k, of which three are there: the first, two rounds of
/// three, and two behind them.
struct Eights {
  MatmulParameters parameters;
  Matrix a, b, scalesA, scalesB, out;
  explicit Eights(const char *element, const char *result)
      : a(67, 1097, 1104, true, element), b(61, 1097, 1104, true, element), scalesA(67, 9, 9, false),
        scalesB(1, 9, 9, false), out(67, 61, 61, false, result) {
    parameters.m = parameters.n = 64, parameters.k = 128, parameters.stages = 3, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1, parameters.transposeB = true;
    parameters.element = element, parameters.result = *result ? result : "f32";
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(1, 127);
    for (Matrix *matrix : {&a, &b, &scalesA, &scalesB})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < matrix->columns; ++x)
          matrix->set(r, x, uniform(random));
  }
  Status launch(emulated::Emulator &emulator, const char *name, mlir::DictionaryAttr launch,
                std::vector<Matrix *> matrices, uint64_t seed) {
    Launch made(launch, matrices);
    made.shape.grid = {1, 1, 1};
    for (Matrix *matrix : matrices)
      emulator.map(matrix->bytes.data(), matrix->bytes.size(), matrix == &out);
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 18;
    Status status = emulator.launch(name, made.shape, made.parameters.data(), made.parameters.size(), options);
    for (Matrix *matrix : matrices)
      emulator.unmap(matrix->bytes.data());
    return status;
  }
};

struct Integers : Eights {
  Integers() : Eights("i8", "i32") {}
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr shape, uint64_t seed) {
    return launch(emulator, "matmul", shape, {&a, &b, &out}, seed);
  }
};

struct Scaled : Eights {
  Scaled() : Eights("f8E4M3FN", "") {}
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr shape, uint64_t seed) {
    return launch(emulator, "scaled_matmul", shape, {&a, &b, &scalesA, &scalesB, &out}, seed);
  }
};

constexpr Equivalent ofScaled[] = {
    {"mbarrier.init.shared: moved", 12, "initialisations of different barriers, and what follows them, commute"},
    {"fence.mbarrier_init.release.cluster", 3, "the proxy fence beside it orders the same initialisations"},
    {"fence.proxy.async.shared_cta: deleted", 1, "so does the fence of initialisations beside it"},
    {"fence.proxy.async.shared_cta: moved up", 1, "the last initialisation is ordered by that fence"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 1, "another number, free at that time"},
    {"setmaxnreg.dec.sync.aligned.u32: deleted", 2,
     "with one warpgroup that multiplies, no role takes what others give"},
    {"setmaxnreg.dec.sync.aligned.u32: moved down", 1, "the same"},
    {"mbarrier.arrive.expect.tx.scope.cta.space.cta: moved down", 1,
     "bytes may arrive before they are expected, in one phase"},
};
constexpr Equivalent inFlight[] = {
    // of int8 as well, in the loop's three copies and the loop behind it
    {"wgmma.wait_group.sync.aligned: operand 0 -1", 4, "waits for one product more, which is later than it must"},
    {"wgmma.fence.sync.aligned: deleted", 4, "products of one shape in a chain need no fence for their accumulators"},
    {"wgmma.fence.sync.aligned: moved down", 4, "the same"},
};

} // namespace

TEST(EmulatedEightsMutation, Integers) {
  std::vector<Equivalent> equivalents(std::begin(ofScaled), std::end(ofScaled));
  equivalents.insert(equivalents.end(), std::begin(inFlight), std::end(inFlight));
  scoreKernel<Integers>([](mlir::MLIRContext &context) { return matmulKernel(context, Integers().parameters); },
                        "matmul", equivalents, 69);
}

TEST(EmulatedEightsMutation, Fp8WithScales) {
  scoreKernel<Scaled>([](mlir::MLIRContext &context) { return scaledMatmulKernel(context, Scaled().parameters); },
                      "scaled_matmul", ofScaled, 34);
}
