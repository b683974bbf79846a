// Products with experts on matrix units (passes/Packing/MatrixExperts.cpp) as they are lowered for chips: executed with
// all checks beside float64, from the grouping of tokens on, and what ptxas and LLVM say of them.
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/Ptx.h"
#include "lib/Pipeline/Phases.h"
#include "lib/Target/Chips.h"
#include "lib/Target/WarpFragments.h"
#include "mlir/Parser/Parser.h"
#include "test/device/MutationScore.h"
#include "test/device/RoundedWeight.h"
#include "llvm/Support/MathExtras.h"

using namespace stepdown;
using namespace stepdown::test;

namespace {

struct Shape {
  const char *type;
  uint32_t columns, rows, experts, ranks; ///< rows of one expert
  bool byRank = false, gated = false;     ///< gated: a second product is multiplied with the first
};

/// The gpu.modules of a model that is one product with experts: of each bucket what groups tokens, and the product.
class Experts {
public:
  Experts(const Shape &s, const char *chip) : context(dialects(), mlir::MLIRContext::Threading::DISABLED), chip(chip) {
    const BlockFormat &format = *blockFormat(s.type, std::strlen(s.type));
    const std::string rows = std::to_string(s.ranks * s.rows), ranks = std::to_string(s.ranks);
    const std::string read = std::to_string(s.columns / 32 * (s.byRank ? s.ranks : 1));
    const std::string a = "tensor<?x" + read + "x!transformer.activation<f32>>", ids = "tensor<?x" + ranks + "xi32>",
                      y = "tensor<?x" + rows + "xf32>",
                      w = "tensor<" + std::to_string(s.experts * s.rows) + "x" +
                          std::to_string(s.columns / format.elements) + "x!transformer.block<" + s.type + ">>";
    const std::string of = std::string(s.byRank ? " by_rank" : "") + " {experts = " + std::to_string(s.experts) +
                           " : i64} : (" + a + ", " + ids + ", " + w + ") -> " + y + "\n";
    std::string text = "#each = affine_map<(d0, d1) -> (d0, d1)>\nfunc.func @experts(%x: " + a + ", %i: " + ids +
                       ", %w: " + w + ", %v: " + w + ") -> " + y +
                       " {\n%0 = transformer.kernel \"experts\" (%a = %x : " + a + ", %j = %i : " + ids +
                       ", %m = %w : " + w + ", %n = %v : " + w + ") -> (" + y + ") {\n" +
                       "%1 = transformer.expert_linear %a, %j, %m" + of;
    if (s.gated)
      text += "%2 = transformer.expert_linear %a, %j, %n" + of + "%c0 = arith.constant 0 : index\n" +
              "%t = tensor.dim %a, %c0 : " + a + "\n%o = tensor.empty(%t) : " + y +
              "\n%3 = linalg.generic {indexing_maps = [#each, #each, #each], iterator_types = [\"parallel\", "
              "\"parallel\"]} ins(%1, %2 : " +
              y + ", " + y + ") outs(%o : " + y +
              ") {\n^bb0(%p: f32, %q: f32, %old: f32):\n%r = arith.mulf %p, %q : f32\nlinalg.yield %r : f32\n} -> " +
              y + "\n";
    text += std::string("transformer.yield ") + (s.gated ? "%3" : "%1") + " : " + y + "\n}\nreturn %0 : " + y + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context), "experts.mlir");
    if (!module) {
      error = "expects a module";
      return;
    }
    PhaseOptions options;
    options.target = findTarget(factsOfChip(chip)->own);
    const Road &road = *roadOf(Input::Model, *options.target);
    mlir::PassManager passes(&context);
    for (const char *phase : {"packing", "tiles", "buffers", "vector", options.target->road})
      buildPhase(road, *road.find(phase), passes, options);
    if (failed(passes.run(*module)))
      error = "the road of models";
  }

  KernelModule translate(const std::string &name) {
    mlir::Operation *found = nullptr;
    module->walk([&](mlir::gpu::GPUModuleOp each) { found = each.getName() == name ? each.getOperation() : found; });
    if (!found) {
      ADD_FAILURE() << "expects @" << name;
      return {};
    }
    Result<KernelModule> made = translateKernels(found, chip);
    EXPECT_TRUE(made) << made.error().text();
    return made ? std::move(*made) : KernelModule();
  }
  std::string error;

private:
  static mlir::DialectRegistry dialects() {
    mlir::DialectRegistry registry;
    registerCompilerDialects(registry);
    registerKernelDialects(registry);
    return registry;
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  const char *chip;
};

// Behind the rows of binary16, which are a launch.
std::string groupsOf(int bucket) { return "experts_1_b" + std::to_string(bucket); }
std::string productOf(int bucket) { return "experts_2_b" + std::to_string(bucket); }

constexpr Shape kShape = {"q5_1", 160, 40, 5, 2};
constexpr Shape kGated = {"q4_0", 160, 24, 97, 3, false, true}; ///< nine tokens have several tiles a block
/// Of each bucket the tokens of a tile, and of a step.
constexpr uint32_t kTileTokens[] = {1, 16, 32}, kLeast[] = {1, 9, 65}, kTokens[] = {7, 41, 97};

/// A step of so many tokens, which have each its own experts, one of them twice as many as the others.
struct Problem {
  const Shape shape;
  const int bucket;
  const uint32_t count, pairs, entries;
  std::vector<int32_t> ids, table;
  Weight weight;                                                  ///< of all experts
  std::vector<uint8_t> packed = weight.packed(), second = packed; ///< the same of a second product
  Matrix rows, scales, out;

  Problem(const Shape &s, int bucket, uint32_t tokens = 0)
      : shape(s), bucket(bucket), count(tokens ? tokens : kTokens[bucket]), pairs(count * s.ranks),
        entries(std::max(llvm::divideCeil(s.ranks, 16u) + llvm::divideCeil(s.experts, 9u),
                         llvm::divideCeil(s.ranks, 32u) + llvm::divideCeil(s.experts, 65u))),
        table(count * (s.ranks + entries), -7), weight(s.type, s.experts * s.rows, s.columns),
        rows(count, s.columns * (s.byRank ? s.ranks : 1), s.columns * (s.byRank ? s.ranks : 1), true, "f16"),
        scales(count, 1, 1, false), out(count, s.ranks * s.rows, llvm::alignTo(s.ranks * s.rows, 16), false) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (uint32_t t = 0; t < count; ++t) {
      std::vector<int32_t> all(s.experts);
      for (uint32_t e = 0; e < s.experts; ++e)
        all[e] = int32_t(e);
      std::shuffle(all.begin(), all.end(), random);
      if (t % 2)
        std::swap(all[0], *std::find(all.begin(), all.end(), 1));
      ids.insert(ids.end(), all.begin(), all.begin() + s.ranks);
      scales.set(t, 0, std::ldexp(1.0f, int(t % 5) - 2));
      for (uint32_t c = 0; c < rows.columns; ++c)
        rows.set(t, c, normal(random));
    }
  }

  using Operand = std::pair<std::vector<uint8_t> *, std::vector<uint64_t>>;
  Status launch(emulated::Emulator &emulator, const std::string &name, uint32_t across, uint32_t threads, uint64_t seed,
                const std::vector<std::tuple<void *, size_t, bool, std::vector<uint64_t>>> &operands) {
    std::vector<uint64_t> words;
    for (const auto &[data, bytes, written, sizes] : operands) {
      emulator.map(data, bytes, written);
      words.push_back(reinterpret_cast<uint64_t>(data));
      words.insert(words.end(), sizes.begin(), sizes.end());
    }
    emulated::LaunchShape shape;
    shape.grid = {count, across, 1};
    shape.block = {threads, 1, 1};
    emulated::Options options;
    options.seed = seed;
    options.bound = 1 << 26;
    Status status = emulator.launch(name.c_str(), shape, words.data(), words.size() * 8, options);
    for (const auto &operand : operands)
      emulator.unmap(std::get<0>(operand));
    return status;
  }
  Status group(emulated::Emulator &emulator, uint64_t seed) {
    return launch(emulator, groupsOf(bucket), 1, bucket ? 256 : 32, seed,
                  {{ids.data(), ids.size() * 4, false, {count, shape.ranks}},
                   {table.data(), table.size() * 4, true, {count, shape.ranks + entries}}});
  }
  Status multiply(emulated::Emulator &emulator, uint32_t lanes, uint64_t seed) {
    const uint32_t blocks = bucket ? std::clamp(shape.experts / kLeast[bucket], 1u, shape.ranks) : shape.ranks;
    const uint32_t warps = std::min(shape.columns / 32, 4u) * std::min(llvm::divideCeil(shape.rows, 16u), 2u);
    const uint64_t tiles = llvm::divideCeil(shape.experts * shape.rows, 16u);
    const BlockFormat &format = *blockFormat(shape.type, std::strlen(shape.type));
    const std::vector<uint64_t> ofWeight = {tiles, shape.columns / uint64_t(format.elements)};
    std::vector<std::tuple<void *, size_t, bool, std::vector<uint64_t>>> operands = {
        {out.bytes.data(), out.bytes.size(), true, {count, out.stride}},
        {ids.data(), ids.size() * 4, false, {count, shape.ranks}},
        {table.data(), table.size() * 4, false, {count, shape.ranks + entries}},
        {packed.data(), packed.size(), false, ofWeight},
        {rows.bytes.data(), rows.bytes.size(), false, {count, rows.columns}},
        {scales.bytes.data(), scales.bytes.size(), false, {count, 1}}};
    if (shape.gated)
      operands.push_back({second.data(), second.size(), false, ofWeight});
    return launch(emulator, productOf(bucket), blocks * llvm::divideCeil(shape.rows, 32u), warps * lanes, seed,
                  operands);
  }

  /// The table as a host makes it.
  void fillTable() {
    std::vector<int32_t> order(pairs);
    for (uint32_t s = 0; s < pairs; ++s)
      order[s] = int32_t(s);
    std::sort(order.begin(), order.end(),
              [&](int32_t a, int32_t b) { return std::pair(ids[a], a) < std::pair(ids[b], b); });
    const uint32_t wide = shape.ranks + entries, tile = kTileTokens[bucket];
    for (uint32_t s = 0; s < pairs; ++s)
      table[s / shape.ranks * wide + s % shape.ranks] = order[s];
    std::vector<int32_t> firsts;
    for (uint32_t e = 0, begin = 0; e < shape.experts; ++e) {
      const auto count = uint32_t(std::count(ids.begin(), ids.end(), int32_t(e)));
      for (uint32_t i = 0; firsts.size() < (begin + count) / tile + e + 1; i += tile)
        firsts.push_back(i < count ? int32_t(begin + i) : -1);
      begin += count;
    }
    for (uint32_t e = 0; e < firsts.size(); ++e)
      table[e / entries * wide + shape.ranks + e % entries] = firsts[e];
  }

  /// Pairs in the order of their experts, each once, and tiles that begin where an expert's next ones do.
  void expectGroups() const {
    auto pairAt = [&](uint32_t s) {
      return uint32_t(table[s / shape.ranks * (shape.ranks + entries) + s % shape.ranks]);
    };
    std::vector<int> seen(pairs);
    std::vector<uint32_t> begins;
    for (uint32_t s = 0; s < pairs; ++s) {
      const uint32_t pair = pairAt(s);
      ASSERT_LT(pair, pairs) << "place " << s;
      ++seen[pair];
      if (s)
        EXPECT_LE(ids[pairAt(s - 1)], ids[pair]) << "place " << s;
      if (!s || ids[pairAt(s - 1)] != ids[pair] || s - begins.back() == kTileTokens[bucket])
        begins.push_back(s);
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), pairs);
    std::vector<uint32_t> told;
    for (uint32_t e = 0; e < pairs / kTileTokens[bucket] + shape.experts; ++e)
      if (int32_t first = table[e / entries * (shape.ranks + entries) + shape.ranks + e % entries]; first != -1)
        told.push_back(uint32_t(first));
    EXPECT_EQ(told, begins);
  }

  /// Weights are rounded to binary16 as tile.unpack does and multiplied exactly; sums are of float32. `flushes`:
  /// subnormal ones are zeros.
  void expectProducts(bool flushes) const {
    for (uint32_t t = 0; t < count; ++t)
      for (uint32_t r = 0; r < shape.ranks; ++r)
        for (uint32_t row = 0; row < shape.rows; ++row) {
          const double *w = &weight.rounded[(size_t(ids[t * shape.ranks + r]) * shape.rows + row) * shape.columns];
          double sum = 0, sizes = 0, lost = 0;
          for (uint32_t c = 0; c < shape.columns; ++c) {
            const double x = rows.get(t, (shape.byRank ? r * shape.columns : 0) + c) * scales.get(t, 0);
            sum += w[c] * x, sizes += std::fabs(w[c] * x);
            if (flushes && (std::fabs(w[c]) < 0x1p-14 || std::fabs(rows.get(t, c)) < 0x1p-14))
              lost += std::fabs(w[c] * x);
          }
          const double bound = sizes * 0x1p-20 + lost;
          ASSERT_NEAR(out.get(t, r * shape.rows + row), shape.gated ? sum * sum : sum,
                      shape.gated ? 3 * bound * (std::fabs(sum) + bound) : bound)
              << "token " << t << ", rank " << r << ", row " << row;
        }
  }
};

constexpr Equivalent kOthers[] = {
    {"barrier.cta.sync.aligned.all: operand 0 +1", 2, "all threads meet at another barrier, which nothing else uses"}};
constexpr Equivalent kOthersOfProduct[] = {
    {"barrier.cta.sync.aligned.all: moved down", 1, "over the load of a weight, which nobody writes"},
    {"barrier.cta.sync.aligned.all: operand 0 +1", 5, "all threads meet at another barrier, which nothing else uses"}};

constexpr Equivalent kOnAmd[] = {
    {"fence. release: moved up", 1, "over the store of a joined sum, which only its own thread reads"},
    {"fence. acquire: moved down", 1, "over the load of a weight, which nobody writes"}};

} // namespace

struct EachChip : testing::TestWithParam<const char *> {
  uint32_t lanes() const { return uint32_t(WarpFragments::of(*factsOfChip(GetParam()))->lanes); }
};
INSTANTIATE_TEST_SUITE_P(EmulatedExperts, EachChip,
                         testing::Values("sm_80", "sm_90a", "gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"),
                         [](auto &each) { return std::string(each.param); });

// In each bucket: with tokens that share an expert, with experts that nobody has, and rows that are no whole tiles.
TEST_P(EachChip, EqualFloat64) {
  for (const Shape &shape :
       {kShape, Shape{"q8_0", 64, 24, 97, 3, /*byRank=*/true}, Shape{"q4_k", 256, 32, 7, 3}, kGated}) {
    Experts experts(shape, GetParam());
    ASSERT_EQ(experts.error, "");
    for (int bucket : {0, 1, 2}) {
      SCOPED_TRACE(std::string(shape.type) + ", bucket " + std::to_string(bucket));
      KernelModule groups = experts.translate(groupsOf(bucket)), product = experts.translate(productOf(bucket));
      ASSERT_TRUE(groups.module && product.module);
      EmulatedKernel grouping(*groups.module), multiplying(*product.module);
      ASSERT_EQ(grouping.error + multiplying.error, "");
      Problem p(shape, bucket);
      Status status = p.group(grouping.emulator, uint64_t(bucket));
      ASSERT_TRUE(status) << status.error().text();
      if (bucket)
        p.expectGroups();
      status = p.multiply(multiplying.emulator, lanes(), uint64_t(bucket));
      ASSERT_TRUE(status) << status.error().text();
      p.expectProducts(factsOfChip(GetParam())->flushes);
      const emulated::Statistics &counted = multiplying.emulator.statistics();
      std::printf("%s, %s, bucket %d: %d of %d passes over shared memory are of conflicts\n", GetParam(), shape.type,
                  bucket, int(counted.bankConflicts), int(counted.sharedAccesses));
    }
  }
}

// Barriers between what threads leave for each other: which change of one does the emulator report?
TEST_P(EachChip, MutantsThatMatterAreReported) {
  const std::string chip = GetParam();
  if (chip != "sm_80" && chip != "gfx942" && !std::getenv("STEPDOWN_ALL_MUTANTS"))
    GTEST_SKIP() << "set STEPDOWN_ALL_MUTANTS";
  struct Grouping : Problem {
    Grouping() : Problem(kGated, 1, 9) {}
  };
  struct Multiplying : Problem {
    Multiplying() : Problem(kGated, 1, 9) { fillTable(); }
  };
  Experts experts(kGated, GetParam());
  ASSERT_EQ(experts.error, "");
  KernelModule groups = experts.translate(groupsOf(1)), product = experts.translate(productOf(1));
  ASSERT_TRUE(groups.module && product.module);
  const bool amd = llvm::StringRef(chip).starts_with("gfx"); // barriers have no number
  scoreMutants<Grouping>(*groups.module, groupsOf(1), amd ? llvm::ArrayRef<Equivalent>() : kOthers, amd ? 16 : 3,
                         "256 threads, 9 tokens of 97 experts",
                         [](Grouping &p, emulated::Emulator &emulator, uint64_t seed) {
                           Status status = p.group(emulator, seed);
                           p.out.bytes.assign(p.table.size() * 4, 0);
                           std::memcpy(p.out.bytes.data(), p.table.data(), p.out.bytes.size());
                           return status;
                         });
  const llvm::ArrayRef<Equivalent> same = lanes() == 64 ? llvm::ArrayRef(kOnAmd)
                                          : amd         ? llvm::ArrayRef<Equivalent>()
                                                        : llvm::ArrayRef(kOthersOfProduct);
  scoreMutants<Multiplying>(
      *product.module, productOf(1), same,
      lanes() == 64 ? 40
      : amd         ? 38
                    : 8,
      "9 tokens, two products with 97 experts",
      [&](Multiplying &p, emulated::Emulator &emulator, uint64_t seed) { return p.multiply(emulator, lanes(), seed); });
}

// The registers and the memory of shapes that models have: no spill, and two blocks of 8 warps an SM.
const Shape kModels[] = {{"q4_k", 2048, 768, 128, 8, false, true},
                         {"q4_k", 768, 2048, 128, 8, true, false},
                         {"q6_k", 4096, 14336, 8, 2, false, true}};

TEST_P(EachChip, KeepTheirBudgets) {
  const bool amd = llvm::StringRef(GetParam()).starts_with("gfx");
  const std::string tool = amd ? findLld() : findPtxas(STEPDOWN_PTXAS_DIR);
  if (tool.empty())
    GTEST_SKIP() << (amd ? "no ld.lld in the PATH (package lld-22)" : "no ptxas: tools/fetch-ptxas.sh");
  std::vector<Shape> shapes(std::begin(kModels), std::end(kModels));
  if (!amd) // ptxas is quick, and what spills is refused when a model is compiled
    for (const char *type : {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q5_k", "iq4_nl", "iq4_xs"})
      shapes.push_back({type, 2048, 768, 128, 8, false, true});
  for (const Shape &shape : shapes) {
    Experts experts(shape, GetParam());
    ASSERT_EQ(experts.error, "");
    for (const std::string &name : {groupsOf(1), productOf(0), productOf(1), productOf(2)}) {
      SCOPED_TRACE(std::string(shape.type) + ", " + name);
      KernelModule kernel = experts.translate(name);
      ASSERT_TRUE(kernel.module);
      if (amd) {
        auto object = writeCodeObject(*kernel.module, GetParam(), tool);
        ASSERT_TRUE(object) << object.error().text();
        ASSERT_EQ(object->kernels.size(), 1u);
        std::printf("%s, %s, %s: %d VGPRs, %d spilled, %d bytes of LDS\n", GetParam(), shape.type, name.c_str(),
                    int(object->kernels[0].vectorRegisters), int(object->kernels[0].spilled),
                    int(object->kernels[0].ldsBytes));
        const Status kept = checkBudget(*object, {208, 48 << 10});
        EXPECT_TRUE(kept) << kept.error().text();
        continue;
      }
      auto ptx = writePtx(*kernel.module, GetParam());
      ASSERT_TRUE(ptx) << ptx.error().text();
      auto assembled = assemblePtx(*ptx, GetParam(), tool); // refuses what spills
      ASSERT_TRUE(assembled) << assembled.error().text();
      ASSERT_EQ(assembled->kernels.size(), 1u);
      std::printf("%s, %s, %s: %d registers, %d bytes of shared memory\n", GetParam(), shape.type, name.c_str(),
                  assembled->kernels[0].registers, assembled->kernels[0].sharedBytes);
      EXPECT_LE(assembled->kernels[0].registers, 128);
      EXPECT_LE(assembled->kernels[0].sharedBytes, 48 << 10);
    }
  }
}
