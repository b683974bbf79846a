// How many mutants of the products of 8 bits the emulator reports, as they are lowered for sm_90a: those of int8 and of
// fp8, whose product of one slot runs while the next is waited for, and that of fp8 with scales, which ends its sums in
// each slot.
#include "test/device/MutationScore.h"

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
    fill({&a, &b, &scalesA, &scalesB}, 1, 127);
  }
};

struct Integers : Eights {
  Integers() : Eights("i8", "i32") {}
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed);
  }
};

struct Fp8 : Eights {
  Fp8() : Eights("f8E4M3FN", "") {}
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed);
  }
};

struct Scaled : Eights {
  Scaled() : Eights("f8E4M3FN", "") {}
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "scaled_matmul", how, {&a, &b, &scalesA, &scalesB, &out}, seed);
  }
};

const std::vector<Equivalent> ofScaled = ofRoles(12, 1, {kOtherBarrier}),
                              ofPlain = ofRoles( // in the loop's three copies and the loop behind it
                                  12, 1,
                                  {kOtherBarrier,
                                   {"wgmma.wait_group.sync.aligned: operand 0 -1", 4,
                                    "waits for one product more, which is later than it must"},
                                   {"wgmma.fence.sync.aligned: deleted", 4,
                                    "products of one shape in a chain need no fence for their accumulators"},
                                   {"wgmma.fence.sync.aligned: moved down", 4, "the same"}});

} // namespace

template <typename Problem> static void scorePlain() {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return matmulKernel(context, Problem().parameters); }, "matmul",
                       ofPlain, 69);
}

TEST(EmulatedEightsMutation, Integers) { scorePlain<Integers>(); }
TEST(EmulatedEightsMutation, Fp8) { scorePlain<Fp8>(); }

TEST(EmulatedEightsMutation, Fp8WithScales) {
  scoreKernel<Scaled>([](mlir::MLIRContext &context) { return scaledMatmulKernel(context, Scaled().parameters); },
                      "scaled_matmul", ofScaled, 34);
}
