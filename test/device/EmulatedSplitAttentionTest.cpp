// Attention of models over the paged cache, shared out among blocks of threads (passes/Packing/SplitAttention.cpp) and
// on matrix units (MatrixAttention.cpp), as it is lowered for chips: executed with all checks beside float64, and what
// ptxas says of it.
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/Ptx.h"
#include "lib/Pipeline/Phases.h"
#include "lib/Target/Chips.h"
#include "mlir/Parser/Parser.h"
#include "test/device/MutationScore.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {
/// Heads of the cache, columns of a key and a value, query heads for each of the cache's, its elements, and whether
/// threads multiply.
struct Shape {
  int heads, columns, queries;
  const char *element;
  bool exact = true;
};

/// The gpu.module called `name` of a model that is one attention, or, `multiplied`, a product of that.
class SplitAttention {
public:
  SplitAttention(const Shape &s, const std::string &name, const char *chip = "sm_90a", bool multiplied = false)
      : context(dialects(), mlir::MLIRContext::Threading::DISABLED) {
    const std::string columns = std::to_string(s.columns),
                      rows = "tensor<?x" + std::to_string(s.heads * s.queries * s.columns) + "xf32>",
                      cache = "!transformer.cache<heads = " + std::to_string(s.heads) + ", key = " + columns +
                              ", value = " + columns + ", element = " + s.element + ">";
    const std::string blocks = std::to_string(s.heads * s.queries * s.columns / 32),
                      activation = "tensor<?x" + blocks + "x!transformer.activation<f32>>",
                      weight = "tensor<48x" + blocks + "x!transformer.block<q4_1>>", product = "tensor<?x48xf32>",
                      yielded = multiplied ? activation : rows;
    std::string text = "func.func @attention(%q: " + rows + ", %b: !transformer.batch, %c: " + cache +
                       ", %w: " + weight + ") -> " + (multiplied ? product : rows) +
                       " {\n%0 = transformer.kernel \"attention\" (%x = %q : " + rows +
                       ", %batch = %b : !transformer.batch, %kv = %c : " + cache + ") -> (" + yielded +
                       ") {\n%1 = transformer.attention %x, %batch, %kv {scale = 0.25 : f64} : (" + rows +
                       ", !transformer.batch, " + cache + ") -> " + rows + "\n";
    if (multiplied)
      text += "%2 = transformer.quantize %1 : " + rows + " -> " + activation +
              "\ntransformer.yield %2 : " + activation +
              "\n}\n%3 = transformer.kernel \"linear\" (%x = %0 : " + activation + ", %m = %w : " + weight + ") -> (" +
              product + ") {\n%4 = transformer.linear %x, %m : (" + activation + ", " + weight + ") -> " + product +
              "\ntransformer.yield %4 : " + product + "\n}\nreturn %3 : " + product + "\n}\n";
    else
      text += "transformer.yield %1 : " + rows + "\n}\nreturn %0 : " + rows + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context), "attention.mlir");
    if (!module) {
      error = "expects a module";
      return;
    }
    PhaseOptions options;
    options.target = findTarget(factsOfChip(chip)->own);
    options.exact = s.exact;
    const Road &road = *roadOf(Input::Model, *options.target);
    mlir::PassManager passes(&context);
    for (const char *phase : {"linalg", "packing", "tiles", "buffers", "vector", options.target->road})
      buildPhase(road, *road.find(phase), passes, options);
    if (failed(passes.run(*module))) {
      error = "the road of models";
      return;
    }
    mlir::Operation *kernels = nullptr;
    module->walk(
        [&](mlir::gpu::GPUModuleOp each) { kernels = each.getName() == name ? each.getOperation() : kernels; });
    if (!kernels) {
      error = "expects @" + name;
      return;
    }
    Result<KernelModule> made = translateKernels(kernels, chip);
    if (made)
      translated = std::move(*made);
    else
      error = made.error().text();
  }

  std::string error;
  std::optional<KernelModule> translated;

private:
  static mlir::DialectRegistry dialects() {
    mlir::DialectRegistry registry;
    registerCompilerDialects(registry);
    registerKernelDialects(registry);
    return registry;
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

constexpr Shape kShape = {1, 16, 2, "f16"};
constexpr Shape kMatrix = {1, 32, 3, "f16", false};
constexpr const char *kSplit = "attention_0_b0";

/// The first split of the tokens from `first` to position 2105, which has chunks 0 and 16: what the second finds in
/// shared memory is the first one's. Blocks of 32 positions lie in the reverse of their order; behind the last position
/// are no numbers. Queries are binary16, but on matrix units one component of each, whose keys are small, is beyond it.
struct Problem {
  static constexpr uint32_t kPosition = 2105, kBlockSize = 32, kBlocks = kPosition / kBlockSize + 1;
  static constexpr uint32_t kBeyond = 7;
  const uint32_t kColumns, kQueries, kTokens, kNumbers;
  Matrix query, keys, values, out;
  std::vector<int32_t> table, sequence, position;
  explicit Problem(const Shape &shape = kShape, uint32_t first = 2103)
      : kColumns(shape.columns), kQueries(shape.queries), kTokens(kPosition + 1 - first),
        kNumbers(16 * kQueries * (kColumns + 2)), query(kTokens, kQueries * kColumns, kQueries * kColumns, false),
        keys(kBlocks, kBlockSize * kColumns, kBlockSize * kColumns, true, "f16"),
        values(kBlocks, kBlockSize * kColumns, kBlockSize * kColumns, true, "f16"),
        out(kTokens, kNumbers, kNumbers, false), sequence(kTokens, 0) {
    for (uint32_t t = 0; t < kTokens; ++t)
      position.push_back(int32_t(first + t));
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (Matrix *matrix : {&query, &keys, &values})
      for (uint32_t r = 0; r < matrix->rows; ++r)
        for (uint32_t c = 0; c < matrix->columns; ++c)
          matrix->set(r, c, matrix == &query ? std::round(64 * normal(random)) / 64 : normal(random));
    if (!shape.exact) {
      for (uint32_t t = 0; t < kTokens; ++t)
        for (uint32_t g = 0; g < kQueries; ++g)
          query.set(t, g * kColumns + kBeyond, g % 2 ? -1e30f : 65520);
      for (uint32_t i = 0; i < kBlocks; ++i)
        for (uint32_t p = 0; p < kBlockSize; ++p)
          keys.set(i, placeOfKey(p, kBeyond), std::round(8 * normal(random)) / 0x1p18f);
    }
    for (uint32_t i = 0; i < kBlocks; ++i)
      table.push_back(int32_t(kBlocks - 1 - i));
    for (uint32_t p = kPosition + 1; p < kBlocks * kBlockSize; ++p)
      for (uint32_t c = 0; c < kColumns; ++c) {
        keys.set(uint32_t(table.back()), placeOfKey(p, c), NAN);
        values.set(uint32_t(table.back()), p % kBlockSize * kColumns + c, NAN);
      }
  }
  uint32_t placeOfKey(uint32_t p, uint32_t c) const { // [groups, columns, 16]
    return (p % kBlockSize / 16 * kColumns + c) * 16 + p % 16;
  }
  /// Of position p, the number of its block's first element and its place there.
  double key(uint32_t p, uint32_t c) const { return keys.get(uint32_t(table[p / kBlockSize]), placeOfKey(p, c)); }
  double value(uint32_t p, uint32_t c) const {
    return values.get(uint32_t(table[p / kBlockSize]), p % kBlockSize * kColumns + c);
  }

  Status run(emulated::Emulator &emulator, uint64_t seed) {
    std::vector<uint64_t> words;
    auto operand = [&](void *data, size_t bytes, bool written, std::initializer_list<uint64_t> sizes) {
      emulator.map(data, bytes, written);
      words.push_back(reinterpret_cast<uint64_t>(data));
      words.insert(words.end(), sizes);
    };
    operand(out.bytes.data(), out.bytes.size(), true, {kTokens, kNumbers});
    operand(keys.bytes.data(), keys.bytes.size(), false, {kBlocks, 1, kBlockSize / 16, kColumns, 16});
    operand(values.bytes.data(), values.bytes.size(), false, {kBlocks, 1, kBlockSize, kColumns});
    operand(table.data(), table.size() * 4, false, {1, kBlocks});
    operand(position.data(), 4 * kTokens, false, {kTokens});
    operand(sequence.data(), 4 * kTokens, false, {kTokens});
    operand(query.bytes.data(), query.bytes.size(), false, {kTokens, kQueries * kColumns});
    emulated::LaunchShape shape;
    shape.grid = {kTokens, 1, 1};
    shape.block = {128, 1, 1};
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 26;
    Status status = emulator.launch(kSplit, shape, words.data(), words.size() * 8, options);
    for (void *data : {static_cast<void *>(out.bytes.data()), static_cast<void *>(keys.bytes.data()),
                       static_cast<void *>(values.bytes.data()), static_cast<void *>(table.data()),
                       static_cast<void *>(sequence.data()), static_cast<void *>(position.data()),
                       static_cast<void *>(query.bytes.data())})
      emulator.unmap(data);
    return status;
  }
};

constexpr Equivalent equivalents[] = {
    {"barrier.cta.sync.aligned.all: operand 0 +1", 5, "all threads meet at another barrier, which nothing else uses"},
    {"barrier.cta.sync.aligned.all: moved up", 1, "over a power of two, in registers"},
    {"barrier.cta.sync.aligned.all: moved down", 1, "over a difference of numbers"},
};

} // namespace

/// Numbers of each token from `first` on beside float64: scores within 2^-18 of the sizes of their products; weights,
/// and sums of them by values, within `bound` of the sums of their sizes.
static void equalsFloat64(const Shape &shape, const char *chip, uint32_t first, double bound) {
  SplitAttention attention(shape, kSplit, chip);
  ASSERT_EQ(attention.error, "");
  // Matrix units of some chips take subnormal numbers of binary16, as the smallest keys are, as zeros.
  const double least = factsOfChip(chip)->flushes && !shape.exact ? 0x1p-14 : 0;
  auto taken = [&](double x) { return std::fabs(x) < least ? 0 : x; };
  EmulatedKernel emulated(*attention.translated->module);
  ASSERT_EQ(emulated.error, "");
  for (uint64_t seed : {0, 3}) {
    Problem p(shape, first);
    const Status status = p.run(emulated.emulator, seed);
    ASSERT_TRUE(status) << status.error().text();
    const emulated::Statistics &counted = emulated.emulator.statistics();
    if (!shape.exact)
      // On gfx12 halves of a wave leave scores eight rows apart, which lie in the same banks.
      EXPECT_LE(counted.bankConflicts * (chip == std::string("gfx1201") ? 12 : 16), counted.sharedAccesses)
          << "lanes meet in banks";
    for (uint32_t t = 0; t < p.kTokens; ++t)
      for (uint32_t g = 0; g < p.kQueries; ++g) {
        std::vector<std::pair<uint32_t, double>> scores;
        double top = -1e30, products = 0, weights = 0, magnitude = 0;
        for (uint32_t at = 0; at <= uint32_t(p.position[t]); ++at) {
          if (at / 128 % 16 != 0)
            continue;
          double score = 0, size = 0;
          for (uint32_t c = 0; c < p.kColumns; ++c) {
            const double query = std::clamp(p.query.get(t, g * p.kColumns + c), -65504.0, 65504.0);
            const double product = taken(query) * taken(p.key(at, c));
            score += product * 0.25, size += std::fabs(product) * 0.25;
          }
          scores.emplace_back(at, score);
          if (score > top)
            top = score, products = size;
        }
        for (auto [at, score] : scores)
          weights += std::exp(score - top);
        // Behind the sums of the splits: of each head of each split the largest score and the sum of weights.
        const uint32_t sums = 16 * p.kQueries * p.kColumns;
        EXPECT_NEAR(p.out.get(t, sums + 2 * g), top, products * 0x1p-18);
        EXPECT_NEAR(p.out.get(t, sums + 2 * g + 1), weights, weights * bound);
        for (uint32_t c = 0; c < p.kColumns; ++c) {
          double sum = 0;
          magnitude = 0;
          for (auto [at, score] : scores) {
            const double value = taken(p.value(at, c));
            sum += std::exp(score - top) * value;
            magnitude += std::exp(score - top) * std::fabs(value);
          }
          ASSERT_NEAR(p.out.get(t, g * p.kColumns + c), sum, magnitude * bound) << t << ", " << g << ", " << c;
        }
      }
  }
}

TEST(EmulatedSplitAttention, EqualsFloat64) { equalsFloat64(kShape, "sm_90a", 2103, 0x1p-16); }

// Weights of binary16 leave 2^-11 of each open. Of 13 tokens seven share a block and six the next; 80 columns are five
// tiles, so warps have one or two.
struct EmulatedMatrixAttention : testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, EmulatedMatrixAttention,
                         testing::Values("sm_80", "sm_90a", "gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"),
                         [](auto &each) { return std::string(each.param); });
TEST_P(EmulatedMatrixAttention, EqualsFloat64) {
  equalsFloat64({1, 80, 3, "f16", false}, GetParam(), 2093, 0x1p-11 + 0x1p-16);
}

// The barriers between the parts of a chunk: which change of one does the emulator report?
TEST(EmulatedSplitAttention, MutantsThatMatterAreReported) {
  SplitAttention attention(kShape, kSplit);
  ASSERT_EQ(attention.error, "");
  scoreMutants<Problem>(*attention.translated->module, kSplit, equivalents, 8, "128 threads, a head of 16, 2 queries",
                        [](Problem &p, emulated::Emulator &emulator, uint64_t seed) { return p.run(emulator, seed); });
}

// So of attention on matrix units: with AMD's chips barriers have fences beside them, and no numbers.
TEST_P(EmulatedMatrixAttention, MutantsThatMatterAreReported) {
  const std::string chip = GetParam();
  if (chip != "sm_80" && chip != "gfx942" && !std::getenv("STEPDOWN_ALL_MUTANTS"))
    GTEST_SKIP() << "set STEPDOWN_ALL_MUTANTS";
  struct OfMatrices : Problem {
    OfMatrices() : Problem(kMatrix) {}
  };
  SplitAttention attention(kMatrix, kSplit, GetParam());
  ASSERT_EQ(attention.error, "");
  const bool amd = llvm::StringRef(chip).starts_with("gfx");
  scoreMutants<OfMatrices>(
      *attention.translated->module, kSplit,
      amd ? llvm::ArrayRef<Equivalent>() : llvm::ArrayRef(equivalents).take_front(), amd ? 36 : 6,
      "128 threads, a head of 32, 3 queries",
      [](OfMatrices &p, emulated::Emulator &emulator, uint64_t seed) { return p.run(emulator, seed); });
}

// Both functions of heads as models have them, and those with the most sums; shared memory of a split is static.
const Shape shapes[] = {{3, 64, 3, "f16"},         {1, 256, 4, "f16"},        {2, 128, 8, "f32"},
                        {3, 64, 3, "f16", false},  {1, 80, 3, "f16", false},  {1, 128, 4, "f16", false},
                        {1, 128, 8, "f16", false}, {1, 256, 4, "f16", false}, {1, 304, 2, "f16", false},
                        {1, 512, 16, "f16", false}};

/// `expects(attention, what)` of each function as it is lowered for `chip`; `threads`: where threads multiply, too.
static void eachFunction(const char *chip, bool threads,
                         llvm::function_ref<void(SplitAttention &, const std::string &)> expects) {
  for (const Shape &shape : shapes)
    for (const char *name : {"attention_0_b0", "attention_1_b0"}) {
      if (shape.exact ? !threads : name != std::string(kSplit)) // joined alike
        continue;
      const std::string what = std::string(name) + ", heads of " + std::to_string(shape.columns) + ", " +
                               std::to_string(shape.queries) + " queries" + (shape.exact ? "" : " on matrix units");
      SCOPED_TRACE(what);
      SplitAttention attention(shape, name, chip);
      ASSERT_EQ(attention.error, "");
      expects(attention, what);
    }
}

// What joins the shares and makes rows of the product behind: a block of 1024 threads, each with one column of a row or
// with eight, of which it joins one behind the other.
const Shape rowsOf[] = {{2, 128, 4, "f16", false}, {8, 128, 8, "f16", false}};
constexpr int kRowsThreads = 1024;

struct PtxOfSplitAttention : testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, PtxOfSplitAttention, testing::Values("sm_80", "sm_90a"),
                         [](auto &each) { return std::string(each.param); });
TEST_P(PtxOfSplitAttention, AssemblesWithinItsBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  eachFunction(GetParam(), true, [&](SplitAttention &attention, const std::string &what) {
    auto ptx = writePtx(*attention.translated->module, GetParam());
    ASSERT_TRUE(ptx) << ptx.error().text();
    auto assembled = assemblePtx(*ptx, GetParam(), ptxas);
    ASSERT_TRUE(assembled) << assembled.error().text();
    ASSERT_EQ(assembled->kernels.size(), 1u);
    const auto &kernel = assembled->kernels[0];
    std::printf("%s, %s: %d registers, %d bytes of shared memory\n", GetParam(), what.c_str(), kernel.registers,
                kernel.sharedBytes);
    EXPECT_LE(kernel.registers, 168) << "three blocks of 128 threads an SM";
    EXPECT_LE(kernel.sharedBytes, 48 << 10);
  });
}
TEST_P(PtxOfSplitAttention, JoinedRowsAssembleWithinTheirBudget) {
  const std::string ptxas = findPtxas(STEPDOWN_PTXAS_DIR);
  if (ptxas.empty())
    GTEST_SKIP() << "no ptxas: tools/fetch-ptxas.sh";
  for (const Shape &shape : rowsOf) {
    SplitAttention attention(shape, "attention_1_b0", GetParam(), true);
    ASSERT_EQ(attention.error, "");
    auto ptx = writePtx(*attention.translated->module, GetParam());
    ASSERT_TRUE(ptx) << ptx.error().text();
    EXPECT_NE(ptx->find(".maxntid " + std::to_string(kRowsThreads)), std::string::npos);
    auto assembled = assemblePtx(*ptx, GetParam(), ptxas); // refuses what spills
    ASSERT_TRUE(assembled) << shape.heads << " heads: " << assembled.error().text();
    ASSERT_EQ(assembled->kernels.size(), 1u);
    std::printf("%s, joined rows of %d heads: %d registers\n", GetParam(), shape.heads * shape.queries,
                assembled->kernels[0].registers);
    EXPECT_LE(assembled->kernels[0].registers * kRowsThreads, 65536);
  }
}

// On AMD: no spilled register, neither on matrix units nor where threads multiply (`--exact`).
struct ObjectsOfSplitAttention : testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(, ObjectsOfSplitAttention, testing::Values("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"),
                         [](auto &each) { return std::string(each.param); });
TEST_P(ObjectsOfSplitAttention, KeepTheirBudgets) {
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  eachFunction(GetParam(), true, [&](SplitAttention &attention, const std::string &what) {
    auto object = writeCodeObject(*attention.translated->module, GetParam(), lld);
    ASSERT_TRUE(object) << object.error().text();
    ASSERT_EQ(object->kernels.size(), 1u);
    const CodeObjectKernel &kernel = object->kernels[0];
    std::printf("%s, %s: %d VGPRs, %d spilled, %d bytes of LDS\n", GetParam(), what.c_str(),
                int(kernel.vectorRegisters), int(kernel.spilled), int(kernel.ldsBytes));
    const bool threads = what.find("on matrix units") == std::string::npos;
    const Status kept = checkBudget(*object, {threads ? 256 : 208, 48 << 10});
    EXPECT_TRUE(kept) << kept.error().text();
  });
}
TEST_P(ObjectsOfSplitAttention, JoinedRowsKeepTheirBudgets) {
  const std::string lld = findLld();
  if (lld.empty())
    GTEST_SKIP() << "no ld.lld in the PATH (package lld-22)";
  for (const Shape &shape : rowsOf) {
    SplitAttention attention(shape, "attention_1_b0", GetParam(), true);
    ASSERT_EQ(attention.error, "");
    auto object = writeCodeObject(*attention.translated->module, GetParam(), lld);
    ASSERT_TRUE(object) << object.error().text();
    ASSERT_EQ(object->kernels.size(), 1u);
    std::printf("%s, joined rows of %d heads: %d VGPRs, %d spilled\n", GetParam(), shape.heads * shape.queries,
                int(object->kernels[0].vectorRegisters), int(object->kernels[0].spilled));
    const Status kept = checkBudget(*object, {128, 48 << 10}); // 1024 threads are 16 waves of 64, four a SIMD of 512
    EXPECT_TRUE(kept) << kept.error().text();
  }
}
