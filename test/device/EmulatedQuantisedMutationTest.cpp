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
  std::vector<uint8_t> weight;
  Matrix tokens, scales, out;
  Problem()
      : tokens(kTokens, kColumns, kColumns, true), scales(1, kTokens, kTokens, false),
        out(kTokens, kRows, kRows, false) {
    std::mt19937 random(7);
    const PackedBlock packed = packedBlock(kTiles16, *parameters().format);
    weight.resize(packedBytes(kTiles16, *parameters().format, kRows, kColumns));
    for (uint8_t &byte : weight)
      byte = uint8_t(random());
    for (size_t block = 0; block < weight.size(); block += packed.bytes) // scales between 2^-7 and 2^-6
      for (int row = 0; row < packed.rows; ++row)
        weight[block + packed.d.at(row) + 1] = 0x20, weight[block + packed.m.at(row) + 1] = 0xa0;
    for (uint32_t t = 0; t < kTokens; ++t) {
      scales.set(0, t, 1);
      for (uint32_t k = 0; k < kColumns; ++k) {
        const uint16_t bits = uint16_t(0x3c00 + random() % 1024);
        std::memcpy(&tokens.bytes[(t * kColumns + k) * 2], &bits, 2);
      }
    }
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr launch, uint64_t seed) {
    Matrix none(0, 0, 0, false);
    Launch made(launch, {&none, &tokens, &scales, &out}, [&](mlir::MemRefType box) {
      return blockMap(weight.data(), weight.size(), uint32_t(tilesOf(kTiles16, kRows)), box);
    });
    made.shape.grid = {1, 1, 1};
    emulator.map(weight.data(), weight.size(), false);
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 18;
    Status status = made.run(emulator, "quantised_matmul", options);
    emulator.unmap(weight.data());
    return status;
  }
};

} // namespace

TEST(EmulatedQuantisedMutation, Score) {
  scoreKernel<Problem>([](mlir::MLIRContext &context) { return quantisedMatmulKernel(context, parameters()); },
                       "quantised_matmul", equivalents, 106);
}
