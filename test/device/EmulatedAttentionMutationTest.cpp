// How many mutants of attention's lowered tile text the emulator reports: each synchronisation operation that the
// compiler has written, deleted, moved and altered, one at a time.
#include "test/device/MutationScore.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

const std::vector<Equivalent> equivalents =
    ofRoles(20, 3,
            {kOtherBarrier,
             {"wgmma.wait_group.sync.aligned: operand 0 -1", 2,
              "waits for the product with V as well, which is later than it must"}});

/// One head, two tiles of queries in one block, five blocks of keys, the middle and the last ones through loops of
/// their own, in rings of two.
struct Problem {
  AttentionParameters parameters;
  Matrix q, k, v, work, out;
  Problem()
      : q(67, 64, 64, true), k(73, 64, 64, true), v(73, 64, 64, true), work(2, 5, 5, false), out(67, 64, 64, true) {
    parameters.m = 64, parameters.n = 16, parameters.d = 64, parameters.warps = 4;
    parameters.right = AttentionParameters::kUnbounded;
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (Matrix *matrix : {&q, &k, &v})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t x = 0; x < matrix->columns; ++x)
          matrix->set(r, x, normal(random));
    const std::vector<int32_t> tiles = attentionTiles(parameters, {{0, 67, 0, 73}});
    std::memcpy(work.bytes.data(), tiles.data(), work.bytes.size());
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr launch, uint64_t seed) {
    return runMutant(emulator, "attention", launch, {&q, &k, &v, &work, &out}, seed);
  }
};

} // namespace

TEST(EmulatedAttentionMutation, Score) {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return attentionKernel(context, Problem().parameters); },
                       "attention", equivalents, 81);
}

constexpr Equivalent ofWarps[] = {
    {"cp.async.wait.group: operand 0 -1", 1, "waits for the second keys and the first values as well"},
    {"cp.async.commit.group: moved down", 1, "over a read of queries: the group is the same"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 4, "all threads meet at another barrier, which nothing else uses"},
    {"barrier.cta.sync.aligned.all: moved", 2,
     "where a tile begins, over a read of the table, which nobody writes, and over a maximum in registers"},
};

// As it is lowered for sm_80: groups of copies, their waits, the barrier of a turn.
TEST(EmulatedAttentionMutation, ScoreOfWarps) {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return attentionKernel(context, Problem().parameters); },
                       "attention", ofWarps, 24, "sm_80");
}
