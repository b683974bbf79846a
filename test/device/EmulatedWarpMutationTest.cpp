// The synchronisation of the product as the compiler lowers it for sm_80 (groups of copies, their waits, the barrier of
// a turn), deleted, moved and altered one at a time: which of that does the emulator report?
#include "test/device/MutationScore.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Two tiles of one block, of each seven slots along k, of which three are there: all of them are filled again.
struct Problem {
  MatmulParameters parameters;
  Matrix a, b, out;
  Problem() : Problem(Matrix(61, 439, 440, true), Matrix(439, 67, 72, true), Matrix(61, 67, 67, false), 1) {}
  /// Of numbers up to `most`.
  Problem(Matrix a, Matrix b, Matrix out, float most) : a(std::move(a)), b(std::move(b)), out(std::move(out)) {
    parameters.m = parameters.n = parameters.k = 64, parameters.stages = 3, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1;
    fill({&this->a, &this->b}, -most, most);
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed, 1 << 20);
  }
};

/// The same of int8: the rows of both lie along k, a slot is as many bytes.
struct OfIntegers : Problem {
  OfIntegers()
      : Problem(Matrix(61, 877, 880, true, "i8"), Matrix(67, 877, 880, true, "i8"), Matrix(61, 67, 67, false, "i32"),
                127) {
    parameters.k = 128, parameters.transposeB = true, parameters.element = "i8", parameters.result = "i32";
  }
};

const Equivalent equivalents[] = {
    {"cp.async.wait.group: operand 0 -1", 2, "waits for a slot more than it must"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 3, "all threads meet at another barrier, which nothing else uses"},
    {"cp.async.commit.group: moved down", 2, "over a read of the slot at hand: the next copy comes a turn later"},
};

} // namespace

template <typename Of> static void score() {
  scoreKernel<Of>([](mlir::MLIRContext &context) { return matmulKernel(context, Of().parameters); }, "matmul",
                  equivalents, 17, "sm_80");
}

TEST(EmulatedWarpMutation, Sixteens) { score<Problem>(); }
TEST(EmulatedWarpMutation, Integers) { score<OfIntegers>(); }
