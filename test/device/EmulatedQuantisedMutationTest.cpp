// How many mutants of the quantised product's lowered tile text the emulator reports.
#include "test/device/MutationScore.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

const std::vector<Equivalent> equivalents = ofRoles(
    20, 5,
    {kOtherBarrier,
     {"bar.warp.sync: moved up", 1, "what stands before it computes with what was read, and reads nothing"},
     {"wgmma.commit_group.sync.aligned: moved down", 1, "what stands behind it is no product"},
     {"wgmma.wait_group.sync.aligned: operand 0 -1", 3, "waits for one product more, which is later than it must"}});

// On chips whose warps copy and multiply.
constexpr Equivalent equivalentsOfWarps[] = {
    {"cp.async.wait.group: operand 0 -1", 4, "waits for a group more than it must"},
    {"cp.async.wait.group: moved up", 3, "what stands before it unpacks what has come already"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 5, "all threads meet at another barrier, which nothing else uses"},
    {"barrier.cta.sync.aligned.all: moved down", 1,
     "over a copy of blocks, which were unpacked before the last step met"},
    {"cp.async.commit.group: moved down", 6,
     "over a read of the slot at hand, the next copy coming a step later; or a copy of the next group goes with this"},
};

QuantisedMatmulParameters parameters() {
  QuantisedMatmulParameters p;
  p.weightStages = 2, p.tokenStages = 3;
  p.format = blockFormat("q5_1", 4);
  return p;
}

/// Two tiles of tokens in one block, 608 columns: weights of three slots and tokens of twelve, in rings of two and
/// three.
struct Problem {
  static constexpr uint32_t kRows = 61, kTokens = 11, kColumns = 608;
  Matrix weight; // of words of 8 bytes, a row a tile of rows
  Matrix tokens, scales, out;
  Problem()
      : weight(uint32_t(tilesOf(kTiles16, kRows)), 0, 0, false), tokens(kTokens, kColumns, kColumns, true),
        scales(1, kTokens, kTokens, false), out(kTokens, kRows, kRows, false) {
    std::mt19937 random(7);
    const PackedBlock packed = packedBlock(kTiles16, *parameters().format);
    std::vector<uint8_t> &bytes = weight.bytes;
    bytes.resize(packedBytes(kTiles16, *parameters().format, kRows, kColumns));
    weight.columns = weight.stride = uint32_t(bytes.size() / weight.rows / 8);
    for (uint8_t &byte : bytes)
      byte = uint8_t(random());
    for (size_t block = 0; block < bytes.size(); block += packed.bytes) // scales between 2^-7 and 2^-6
      for (int row = 0; row < packed.rows; ++row)
        bytes[block + packed.d.at(row) + 1] = 0x20, bytes[block + packed.m.at(row) + 1] = 0xa0;
    for (uint32_t t = 0; t < kTokens; ++t) {
      scales.set(0, t, 1);
      for (uint32_t k = 0; k < kColumns; ++k) {
        const uint16_t bits = uint16_t(0x3c00 + random() % 1024);
        std::memcpy(&tokens.bytes[(t * kColumns + k) * 2], &bits, 2);
      }
    }
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr launch, uint64_t seed) {
    Launch made(launch, {&weight, &tokens, &scales, &out}, [&](mlir::MemRefType box) {
      return blockMap(weight.bytes.data(), weight.bytes.size(), weight.rows, box);
    });
    made.shape.grid = {1, 1, 1};
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 18;
    return made.run(emulator, "quantised_matmul", options);
  }
};

} // namespace

TEST(EmulatedQuantisedMutation, Score) {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return quantisedMatmulKernel(context, parameters()); },
                       "quantised_matmul", equivalents, 106);
}

// With five slots of tokens beside two of blocks, the most: the last step of a tile is in one that the next tile fills
// first. With as many as a turn has steps, or a part of them, it is not, and nothing needs the barrier between tiles.
TEST(EmulatedQuantisedMutation, ScoreOfWarps) {
  QuantisedMatmulParameters p = parameters();
  p.tokenStages = 5;
  scoreKernel<Problem>([&](mlir::MLIRContext &context) { return quantisedMatmulKernel(context, p); },
                       "quantised_matmul", equivalentsOfWarps, 33, "sm_80");
}
