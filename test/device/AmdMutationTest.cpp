// The barriers and fences of kernels as the compiler lowers them for AMD's chips, by MFMA and by WMMA, deleted and
// moved one at a time: which of that does the emulator report? Emulated, never run on hardware.
//
// Waits for counters are no synchronisation of ours: LLVM puts them where a register or LDS is used and where a fence
// stands, from what the kernel reads and writes. Each kernel is scored on one or two chips; on all of them where the
// environment has STEPDOWN_ALL_MUTANTS.
#include "test/device/MutationScore.h"
#include <cstdlib>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr uint64_t kBound = 1 << 20;

/// Two tiles of one block, of each seven slots along k: the first, two pairs, one that is whole and a part of one. So
/// the last is where the first was.
struct Product {
  MatmulParameters parameters;
  Matrix a, b, out;
  Product() : a(61, 199, 200, true), b(199, 67, 72, true), out(61, 67, 67, false) {
    parameters.m = parameters.n = 64, parameters.k = 32, parameters.stages = 2, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1;
    fill({&a, &b});
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed, kBound);
  }
};

/// The same of int8: the rows of both lie along k, a slot is as many bytes.
struct Integers : Product {
  Integers() {
    a = Matrix(61, 397, 400, true, "i8"), b = Matrix(67, 397, 400, true, "i8"), out = Matrix(61, 67, 67, false, "i32");
    parameters.k = 64, parameters.transposeB = true, parameters.element = "i8", parameters.result = "i32";
    fill({&a, &b}, -127, 127);
  }
};

/// The same of fp8, in slots of 128 columns.
struct Floats : Product {
  Floats() {
    a = Matrix(61, 797, 800, true, "f8E4M3FN"), b = Matrix(67, 797, 800, true, "f8E4M3FN");
    parameters.k = 128, parameters.transposeB = true, parameters.element = "f8E4M3FN";
    fill({&a, &b});
  }
};

/// One head; four tiles of queries in one block, of one block of keys, of three each, in rings of two, and of one
/// again. gfx1100 has queries of heads of 128 columns in LDS, those of 64 are in registers.
template <uint32_t kWidth> struct Attention {
  static constexpr uint32_t kQueries = 5 + 67 + 3, kKeys = 29 + 73 + 11;
  AttentionParameters parameters;
  Matrix q, k, v, work, out;
  Attention()
      : q(kQueries, kWidth, kWidth, true), k(kKeys, kWidth, kWidth, true), v(kKeys, kWidth, kWidth, true),
        work(4, 5, 5, false), out(kQueries, kWidth, kWidth, true) {
    parameters.m = 64, parameters.n = 32, parameters.d = kWidth, parameters.warps = 4;
    parameters.right = AttentionParameters::kUnbounded;
    fill({&q, &k, &v});
    const std::vector<int32_t> tiles = attentionTiles(parameters, {{0, 5, 0, 29}, {5, 67, 29, 73}, {72, 3, 102, 11}});
    EXPECT_EQ(tiles.size() * 4, work.bytes.size());
    std::memcpy(work.bytes.data(), tiles.data(), work.bytes.size());
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "attention", how, {&q, &k, &v, &work, &out}, seed, kBound);
  }
};

/// Two tiles of tokens in one block, 608 columns: three turns, the last of a part of 256 columns.
struct Quantised {
  static constexpr uint32_t kRows = 61, kTokens = 19, kColumns = 608;
  QuantisedMatmulParameters parameters;
  Matrix weight, tokens, scales, out; ///< the weight of words of 8 bytes, a row a tile of rows
  Quantised()
      : weight(uint32_t(tilesOf(kTiles16, kRows)), 0, 0, false), tokens(kTokens, kColumns, kColumns, true, "f16"),
        scales(1, kTokens, kTokens, false), out(kTokens, kRows, kRows, false) {
    parameters.m = 64, parameters.n = 16, parameters.weightStages = 2, parameters.tokenStages = 8;
    parameters.format = blockFormat("q4_0", 4);
    std::mt19937 random(7);
    weight.bytes.resize(packedBytes(kTiles16, *parameters.format, kRows, kColumns));
    for (uint8_t &byte : weight.bytes)
      byte = uint8_t(random());
    const PackedBlock packed = packedBlock(kTiles16, *parameters.format);
    for (size_t block = 0; block < weight.bytes.size(); block += packed.bytes) // scales between 2^-7 and 2^-6
      for (int row = 0; row < packed.rows; ++row)
        weight.bytes[block + packed.d.at(row) + 1] = 0x20;
    weight.columns = weight.stride = uint32_t(weight.bytes.size() / weight.rows / 8);
    fill({&tokens});
    for (uint32_t t = 0; t < kTokens; ++t)
      scales.set(0, t, 1);
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "quantised_matmul", how, {&weight, &tokens, &scales, &out}, seed, kBound);
  }
};

/// Two tiles of one block, of each four slots along k, the last a part of one.
struct Scaled {
  MatmulParameters parameters;
  Matrix a, b, scalesA, scalesB, out;
  Scaled()
      : a(61, 439, 448, true, "f8E4M3FN"), b(67, 439, 448, true, "f8E4M3FN"), scalesA(61, 4, 4, false),
        scalesB(1, 4, 4, false), out(61, 67, 67, false) {
    parameters.m = parameters.n = 64, parameters.k = 128, parameters.stages = 2, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1, parameters.element = "f8E4M3FN", parameters.transposeB = true;
    fill({&a, &b, &scalesA, &scalesB});
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "scaled_matmul", how, {&a, &b, &scalesA, &scalesB, &out}, seed, kBound);
  }
};

const Equivalent ofProduct[] = {
    {"fence. acquire: moved down", 1, "between the turns of a pair: over a load of a matrix, which nobody writes"},
};

/// A chip, and whether each kernel is scored there without being asked to.
struct OfChip {
  const char *chip;
  bool product, integers, attention, quantised;
};
class AmdMutation : public testing::TestWithParam<OfChip> {
protected:
  template <typename Problem, typename Make>
  void score(Make make, const char *name, llvm::ArrayRef<Equivalent> equivalents, int least, bool always) {
    if (!always && !std::getenv("STEPDOWN_ALL_MUTANTS"))
      GTEST_SKIP() << "set STEPDOWN_ALL_MUTANTS";
    scoreKernel<Problem>([&](mlir::MLIRContext &context) { return make(context, Problem().parameters); }, name,
                         equivalents, least, GetParam().chip);
  }
};

} // namespace

TEST_P(AmdMutation, Product) {
  const bool wmma = llvm::StringRef(GetParam().chip).starts_with("gfx1"); // whose turns load through other buffers
  score<Product>(matmulKernel, "matmul", wmma ? llvm::ArrayRef(ofProduct) : llvm::ArrayRef<Equivalent>(),
                 wmma ? 40 : 41, GetParam().product);
}
TEST_P(AmdMutation, Integers) { score<Integers>(matmulKernel, "matmul", {}, 41, GetParam().integers); }
TEST_P(AmdMutation, Attention) { score<Attention<64>>(attentionKernel, "attention", {}, 25, GetParam().attention); }
/// The one chip that has queries in LDS.
class AmdMutationOfQueriesInLds : public AmdMutation {};
TEST_P(AmdMutationOfQueriesInLds, Attention) {
  score<Attention<128>>(attentionKernel, "attention", {}, 25, GetParam().attention);
}
TEST_P(AmdMutation, Quantised) {
  score<Quantised>(quantisedMatmulKernel, "quantised_matmul", {}, 16, GetParam().quantised);
}
/// The chips that multiply fp8.
class AmdMutationOfFloats : public AmdMutation {};
TEST_P(AmdMutationOfFloats, Plain) { score<Floats>(matmulKernel, "matmul", {}, 41, GetParam().product); }
TEST_P(AmdMutationOfFloats, Scaled) { score<Scaled>(scaledMatmulKernel, "scaled_matmul", {}, 24, GetParam().product); }
INSTANTIATE_TEST_SUITE_P(, AmdMutationOfFloats,
                         testing::Values(OfChip{"gfx942", false, false, false, false},
                                         OfChip{"gfx950", true, false, false, false},
                                         OfChip{"gfx1201", false, false, false, false}),
                         [](auto &info) { return std::string(info.param.chip); });
INSTANTIATE_TEST_SUITE_P(, AmdMutation,
                         testing::Values(OfChip{"gfx90a", false, false, false, false},
                                         OfChip{"gfx942", true, false, true, false},
                                         OfChip{"gfx950", false, true, false, true},
                                         OfChip{"gfx1100", true, false, false, false},
                                         OfChip{"gfx1201", false, true, true, false}),
                         [](auto &info) { return std::string(info.param.chip); });
INSTANTIATE_TEST_SUITE_P(, AmdMutationOfQueriesInLds, testing::Values(OfChip{"gfx1100", false, false, true, false}),
                         [](auto &info) { return std::string(info.param.chip); });
