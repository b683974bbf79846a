// Generated checkpoints of every family become modules that verify, with as many kinds of layer as they really have.
#include "lib/Frontend/Frontend.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "test/unit/MadeModel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::transformer;

namespace {

class FrontendTest : public ::testing::Test {
protected:
  mlir::OwningOpRef<mlir::ModuleOp> build(const std::string &options, FrontendOptions frontend = {}) {
    std::string path = makeModel(options);
    Result<Checkpoint> gguf = Checkpoint::open(path);
    EXPECT_TRUE(bool(gguf)) << gguf.error().text();
    if (!gguf)
      return {};
    Result<mlir::OwningOpRef<mlir::ModuleOp>> module = buildModule(context, *gguf, frontend);
    EXPECT_TRUE(bool(module)) << module.error().text();
    return module ? std::move(*module) : mlir::OwningOpRef<mlir::ModuleOp>();
  }
  template <typename Op> static std::vector<Op> all(mlir::ModuleOp module) {
    std::vector<Op> found;
    module.walk([&](Op op) { found.push_back(op); });
    return found;
  }
  mlir::MLIRContext context;
};

TEST_F(FrontendTest, LlamaHasOneKindForEqualLayers) {
  auto module = build("--family llama --type Q8_0 --layers 6");
  ASSERT_TRUE(module);
  auto layers = all<LayersOp>(*module).front();
  EXPECT_EQ(layers.getKinds().size(), 1u);
  EXPECT_EQ(layers.getOrder(), (llvm::ArrayRef<int64_t>{0, 0, 0, 0, 0, 0}));
  for (RopeOp rope : all<RopeOp>(*module))
    EXPECT_EQ(rope.getPairs(), Pairs::Adjacent);
}

TEST_F(FrontendTest, DepthAddsNoOperation) {
  auto shallow = build("--family qwen3 --layers 2"), deep = build("--family qwen3 --layers 16");
  ASSERT_TRUE(shallow && deep);
  EXPECT_EQ(all<mlir::Operation *>(*shallow).size(), all<mlir::Operation *>(*deep).size());
}

TEST_F(FrontendTest, Gemma3AlternatesWindowAndGlobalLayers) {
  auto module = build("--family gemma3 --layers 7 --window 16");
  ASSERT_TRUE(module);
  EXPECT_EQ(all<LayersOp>(*module).front().getOrder(), (llvm::ArrayRef<int64_t>{0, 0, 0, 0, 0, 1, 0}));
  auto attention = all<AttentionOp>(*module);
  ASSERT_EQ(attention.size(), 2u);
  EXPECT_EQ(attention[0].getWindow(), 16u);
  EXPECT_EQ(attention[1].getWindow(), 0u);
  EXPECT_EQ(all<EmbeddingOp>(*module).front().getScale().convertToDouble(), 8); // sqrt of width 64
}

TEST_F(FrontendTest, Gemma2CapsScoresAndLogits) {
  auto module = build("--family gemma2 --layers 3 --window 16");
  ASSERT_TRUE(module);
  EXPECT_EQ(all<LayersOp>(*module).front().getOrder(), (llvm::ArrayRef<int64_t>{0, 1, 0}));
  auto attention = all<AttentionOp>(*module);
  ASSERT_EQ(attention.size(), 2u);
  EXPECT_EQ(attention[0].getWindow(), 16u);
  EXPECT_EQ(attention[1].getWindow(), 0u);
  EXPECT_EQ(attention[1].getSoftcap().convertToDouble(), 7);
  EXPECT_EQ(all<LogitsOp>(*module).front().getSoftcap().convertToDouble(), 23);
}

TEST_F(FrontendTest, GraniteMultipliesEmbeddingBranchesScoresAndLogits) {
  auto module = build("--family granite");
  ASSERT_TRUE(module);
  auto sums = all<AddOp>(*module);
  ASSERT_EQ(sums.size(), 2u);
  for (AddOp sum : sums)
    EXPECT_EQ(sum.getScale().convertToDouble(), 0.61f);
  EXPECT_EQ(all<EmbeddingOp>(*module).front().getScale().convertToDouble(), 1.7f);
  EXPECT_EQ(all<AttentionOp>(*module).front().getScale().convertToDouble(), 0.29f);
  EXPECT_EQ(all<LogitsOp>(*module).front().getScale().convertToDouble(), 1.0 / 1.3f);
}

TEST_F(FrontendTest, Olmo2NormsWholeRowsAndWhatBranchesGive) {
  auto module = build("--family olmo2");
  ASSERT_TRUE(module);
  std::vector<int64_t> sizes;
  for (RMSNormOp norm : all<RMSNormOp>(*module))
    sizes.push_back(norm.getWeight().getType().getDimSize(0));
  EXPECT_EQ(sizes, (std::vector<int64_t>{64, 32, 64, 64, 64})); // q, k, two branches, and the last
}

TEST_F(FrontendTest, LayersWithoutPositionsAreAKind) {
  auto module = build("--family smollm3 --layers 6");
  ASSERT_TRUE(module);
  EXPECT_EQ(all<LayersOp>(*module).front().getOrder(), (llvm::ArrayRef<int64_t>{0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(all<RopeOp>(*module).size(), 2u); // of the first kind alone
  EXPECT_EQ(all<KVAppendOp>(*module).size(), 2u);
}

TEST_F(FrontendTest, Gpt2AddsLearnedPositions) {
  auto module = build("--family gpt2 --kv-heads 4 --layers 3 --context 48");
  ASSERT_TRUE(module);
  EXPECT_EQ(all<PositionsOp>(*module).size(), 1u);
  EXPECT_EQ(all<RopeOp>(*module).size(), 0u);
  EXPECT_EQ(all<RMSNormOp>(*module).size(), 0u);
  auto norms = all<LayerNormOp>(*module);
  ASSERT_EQ(norms.size(), 3u); // two of a layer, and the last
  for (LayerNormOp norm : norms)
    EXPECT_TRUE(norm.getBias());
  FrontendOptions longer;
  longer.context = 49;
  Result<Checkpoint> gguf = Checkpoint::open(makeModel("--family gpt2 --kv-heads 4 --context 48"));
  ASSERT_TRUE(bool(gguf));
  auto refused = buildModule(context, *gguf, longer);
  ASSERT_FALSE(bool(refused));
  EXPECT_EQ(refused.error().code, ErrorCode::CompileOption);
}

TEST_F(FrontendTest, Cohere2AddsAttentionAndMlpOfOneNorm) {
  auto module = build("--family cohere2 --layers 5 --window 16");
  ASSERT_TRUE(module);
  EXPECT_EQ(all<LayersOp>(*module).front().getOrder(), (llvm::ArrayRef<int64_t>{0, 0, 0, 1, 0}));
  EXPECT_EQ(all<RopeOp>(*module).size(), 2u); // of the kind with a window
  auto norms = all<LayerNormOp>(*module);
  ASSERT_EQ(norms.size(), 3u); // one of each kind, and the last
  for (LayerNormOp norm : norms)
    EXPECT_FALSE(norm.getBias());
  EXPECT_FLOAT_EQ(all<LogitsOp>(*module).front().getScale().convertToDouble(), 0.7f);
}

TEST_F(FrontendTest, ASharedExpertIsWeighedByItsOwnNumber) {
  auto module = build("--family qwen2moe --layers 1 --experts 5 --used 2 --expert-ffn 48 --shared-ffn 80");
  ASSERT_TRUE(module);
  auto shares = all<ActivationOp>(*module);
  ASSERT_EQ(shares.size(), 1u);
  EXPECT_EQ(shares[0].getKind(), Gate::Sigmoid);
  auto sums = all<CombineExpertsOp>(*module);
  ASSERT_EQ(sums.size(), 2u);
  EXPECT_EQ(sums[0].getRanks() + sums[1].getRanks(), 3); // two of the routed, and one
  EXPECT_FALSE(all<RouteOp>(*module).front().getNormalised());
}

TEST_F(FrontendTest, StorageTypesThatDifferMakeKinds) {
  auto module = build("--family llama --type Q4_0 --layers 4 --mix blk.2.ffn_down=Q8_0");
  ASSERT_TRUE(module);
  auto layers = all<LayersOp>(*module).front();
  EXPECT_EQ(layers.getOrder(), (llvm::ArrayRef<int64_t>{0, 0, 1, 0}));
}

TEST_F(FrontendTest, FusedTensorsAreReadByRows) {
  auto module = build("--family phi3 --layers 2");
  ASSERT_TRUE(module);
  std::vector<std::vector<int64_t>> ranges;
  for (WeightOp weight : all<WeightOp>(*module))
    if (auto rows = weight.getRows())
      ranges.push_back(rows->vec());
  EXPECT_EQ(ranges, (std::vector<std::vector<int64_t>>{{0, 64}, {64, 96}, {96, 128}, {0, 128}, {128, 256}}));
}

TEST_F(FrontendTest, ExpertsAreOneMatrixAndReadByRank) {
  auto module = build("--family qwen3moe --layers 1 --experts 7 --used 3 --expert-ffn 29");
  ASSERT_TRUE(module);
  auto routes = all<RouteOp>(*module);
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_EQ(routes[0].getExperts(), 7u);
  EXPECT_EQ(routes[0].getUsed(), 3u);
  EXPECT_TRUE(routes[0].getNormalised());
  std::vector<std::pair<int64_t, bool>> products; // rows, and whether each rank has columns of its own
  for (ExpertLinearOp product : all<ExpertLinearOp>(*module))
    products.emplace_back(product.getWeight().getType().getDimSize(0), product.getByRank());
  EXPECT_EQ(products, (std::vector<std::pair<int64_t, bool>>{{7 * 29, false}, {7 * 29, false}, {7 * 64, true}}));
  EXPECT_EQ(all<CombineExpertsOp>(*module).size(), 1u);
}

TEST_F(FrontendTest, CacheElementFollowsTheOption) {
  FrontendOptions exact;
  exact.kvType = "f32";
  for (auto [options, isFloat32] : {std::pair(FrontendOptions(), false), std::pair(exact, true)}) {
    auto module = build("--family llama", options);
    ASSERT_TRUE(module);
    for (KVAppendOp append : all<KVAppendOp>(*module))
      EXPECT_EQ(append.getCache().getType().getElement().isF32(), isFloat32);
  }
}

TEST_F(FrontendTest, ContextIsThatOfTheOptionOrOfTheFile) {
  FrontendOptions shorter;
  shorter.context = 100;
  for (auto [options, positions] : {std::pair(FrontendOptions(), 512), std::pair(shorter, 100)}) {
    auto module = build("--family llama --context 512", options);
    ASSERT_TRUE(module);
    EXPECT_EQ((*module)->getAttrOfType<ModelAttr>(modelAttrName).getPositions(), positions);
  }
}

TEST_F(FrontendTest, BiasesAreReadWhereTheFileHasThem) {
  auto with = build("--family qwen2"), without = build("--family qwen3");
  ASSERT_TRUE(with && without);
  auto biases = [](mlir::ModuleOp module) {
    size_t count = 0;
    for (LinearOp linear : all<LinearOp>(module))
      count += bool(linear.getBias());
    return count;
  };
  EXPECT_EQ(biases(*with), 3u);
  EXPECT_EQ(biases(*without), 0u);
}

TEST_F(FrontendTest, RopeReadsTheFactorsOfTheFile) {
  auto plain = build("--family llama"), scaled = build("--family llama --rope llama3:8");
  ASSERT_TRUE(plain && scaled);
  auto last = [](mlir::ModuleOp module) { return all<RopeOp>(module).front().getInverseFrequencies().back(); };
  EXPECT_NEAR(last(*scaled) / last(*plain), 1.0 / 8, 1e-6);
}

} // namespace
