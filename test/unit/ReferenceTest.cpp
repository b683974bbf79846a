// The reference evaluator against another implementation: figures recorded from it for generated checkpoints, and,
// where the vectors and the checkpoints are there, the two real ones.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Reference/Evaluator.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "test/unit/MadeModel.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <numeric>

using namespace stepdown;
using namespace stepdown::reference;

namespace {

std::string folder(const char *variable, const char *fallback) {
  const char *set = std::getenv(variable);
  return set ? set : std::string(STEPDOWN_SOURCE_DIR) + fallback;
}

/// A checkpoint, its module with a float32 cache, and an evaluator of both.
struct Model {
  mlir::MLIRContext context;
  Result<Checkpoint> gguf;
  mlir::OwningOpRef<mlir::ModuleOp> module;

  explicit Model(const std::string &path) : gguf(Checkpoint::open(path)) {
    FrontendOptions exact;
    exact.kvType = "f32";
    if (!gguf) {
      ADD_FAILURE() << gguf.error().text();
    } else if (auto built = buildModule(context, *gguf, exact); !built) {
      ADD_FAILURE() << built.error().text();
    } else {
      module = std::move(*built);
    }
  }
};

size_t best(const double *row, size_t size) { return std::max_element(row, row + size) - row; }

void compareWithRecorded(const char *checkpoint, const char *vectors, size_t longest, size_t greedySteps) {
  std::string path = folder("STEPDOWN_MODELS", "/../models") + "/" + checkpoint;
  std::ifstream recorded(folder("STEPDOWN_VECTORS", "/../shared/vectors") + "/models/" + vectors);
  if (!std::ifstream(path))
    GTEST_SKIP() << "no checkpoint " << checkpoint;
  if (!recorded)
    GTEST_SKIP() << "no conformance vectors models/" << vectors;
  Model model(path);
  ASSERT_TRUE(model.module);
  size_t compared = 0;
  const nlohmann::json figures = nlohmann::json::parse(recorded);
  for (const nlohmann::json &prompt : figures["prompts"]) {
    std::vector<int32_t> tokens = prompt["tokens"];
    if (tokens.size() > longest)
      continue;
    ++compared;
    SCOPED_TRACE(std::string(prompt["name"]));
    Evaluator evaluator(*model.module, *model.gguf, Precision::Float64);
    Step step{tokens, std::vector<int32_t>(tokens.size(), 0), std::vector<int32_t>(tokens.size()), {}};
    std::iota(step.positions.begin(), step.positions.end(), 0);
    step.rows = step.positions;
    Result<Logits> logits = evaluator.step(step);
    ASSERT_TRUE(bool(logits)) << logits.error().text();
    for (const nlohmann::json &pair : prompt["top"])
      EXPECT_NEAR(logits->row(tokens.size() - 1)[int(pair[0])], double(pair[1]), 1e-4) << "token " << pair[0];
    EXPECT_NEAR(meanNegativeLogLikelihood(*logits, tokens), double(prompt["mean_nll"]), 1e-5);
    size_t next = best(logits->row(tokens.size() - 1), logits->vocabulary);
    for (size_t i = 0; i < greedySteps && i < prompt["greedy"].size(); ++i) {
      ASSERT_EQ(next, size_t(prompt["greedy"][i])) << "greedy token " << i;
      logits = evaluator.step({{int32_t(next)}, {0}, {int32_t(tokens.size() + i)}, {0}});
      ASSERT_TRUE(bool(logits)) << logits.error().text();
      next = best(logits->row(0), logits->vocabulary);
    }
  }
  EXPECT_GT(compared, 1u) << "prompts compared";
}

nlohmann::json recordedFigures() {
  std::ifstream file(STEPDOWN_SOURCE_DIR "/test/data/reference/figures.json");
  return nlohmann::json::parse(file);
}

/// All logits of the recorded entries, and the likelihood, within `tolerance` of the figures.
void compareWithFigures(Precision precision, double tolerance) {
  const nlohmann::json figures = recordedFigures();
  std::vector<int32_t> tokens = figures["tokens"];
  ASSERT_GT(figures["cases"].size(), 0u);
  for (const nlohmann::json &recorded : figures["cases"]) {
    std::string options = recorded["options"];
    SCOPED_TRACE(options);
    Model model(makeModel(options));
    ASSERT_TRUE(model.module);
    Result<Logits> logits = evaluate(*model.module, *model.gguf, tokens, precision);
    ASSERT_TRUE(bool(logits)) << logits.error().text();
    ASSERT_EQ(logits->rows, tokens.size());
    double largest = 0;
    for (size_t t = 0; t < tokens.size(); ++t)
      for (size_t e = 0; e < figures["entries"].size(); ++e)
        largest = std::max(largest,
                           std::abs(logits->row(t)[size_t(figures["entries"][e])] - double(recorded["logits"][t][e])));
    EXPECT_LE(largest, tolerance);
    EXPECT_NEAR(meanNegativeLogLikelihood(*logits, tokens), double(recorded["mean_nll"]), tolerance);
  }
}

TEST(Reference, Float64EqualsTheRecordedFigures) { compareWithFigures(Precision::Float64, 1e-7); }

TEST(Reference, Float32IsCloseToTheRecordedFigures) { compareWithFigures(Precision::Float32, 1e-3); }

TEST(Reference, StepsInAnyChunksAndCompanyGiveTheSameLogits) {
  Model model(makeModel("--family gemma3 --type Q5_0 --layers 7 --window 8"));
  ASSERT_TRUE(model.module);
  std::vector<int32_t> tokens = recordedFigures()["tokens"];
  Result<Logits> alone = evaluate(*model.module, *model.gguf, tokens, Precision::Float64);
  ASSERT_TRUE(bool(alone));
  Evaluator evaluator(*model.module, *model.gguf, Precision::Float64);
  const int32_t size = tokens.size();
  int32_t done[2] = {0, 0};
  for (int32_t chunk : {5, 1, 7, 11}) { // sequence 4 runs a chunk in each step, sequence 9 two tokens beside it
    Step step;
    for (auto [sequence, count, at] : {std::tuple(9, 2, &done[1]), std::tuple(4, chunk, &done[0])})
      for (int32_t i = 0; i < count && *at < size; ++i, ++*at) {
        step.tokens.push_back(tokens[*at]);
        step.sequences.push_back(sequence);
        step.positions.push_back(*at);
      }
    step.rows = {0, int32_t(step.tokens.size()) - 1};
    Result<Logits> logits = evaluator.step(step);
    ASSERT_TRUE(bool(logits)) << logits.error().text();
    for (size_t v = 0; v < logits->vocabulary; ++v) {
      ASSERT_EQ(logits->row(0)[v], alone->row(done[1] - 2)[v]);
      ASSERT_EQ(logits->row(1)[v], alone->row(done[0] - 1)[v]);
    }
  }
}

TEST(Reference, AKernelMeansWhatItsBodyMeans) {
  Model model(makeModel("--family llama --type Q8_0"));
  ASSERT_TRUE(model.module);
  Result<Logits> plain = evaluate(*model.module, *model.gguf, {3, 4, 5}, Precision::Float64);
  std::vector<transformer::RMSNormOp> norms;
  model.module->walk([&](transformer::RMSNormOp norm) { norms.push_back(norm); });
  for (transformer::RMSNormOp norm : norms) {
    mlir::OpBuilder builder(norm);
    auto kernel = transformer::KernelOp::create(builder, norm.getLoc(), norm->getResultTypes(),
                                                builder.getStringAttr("norm"), norm->getOperands());
    norm.replaceAllUsesWith(kernel.getResult(0));
    mlir::Block &body = kernel.getBody().emplaceBlock();
    for (mlir::Value operand : norm->getOperands())
      body.addArgument(operand.getType(), norm.getLoc());
    norm->setOperands(body.getArguments());
    norm->moveBefore(&body, body.end());
    builder.setInsertionPointToEnd(&body);
    transformer::YieldOp::create(builder, norm.getLoc(), norm->getResults());
  }
  ASSERT_TRUE(mlir::succeeded(mlir::verify(*model.module)));
  Result<Logits> fused = evaluate(*model.module, *model.gguf, {3, 4, 5}, Precision::Float64);
  ASSERT_TRUE(plain && fused);
  EXPECT_EQ(plain->values, fused->values);
}

TEST(Reference, QuantizedActivationsStayCloseAndAreNotTheSame) {
  Model model(makeModel("--family llama --type F32"));
  ASSERT_TRUE(model.module);
  Result<Logits> plain = evaluate(*model.module, *model.gguf, {3, 4, 5}, Precision::Float64);
  std::vector<transformer::LinearOp> linears;
  model.module->walk([&](transformer::LinearOp linear) { linears.push_back(linear); });
  for (transformer::LinearOp linear : linears) {
    mlir::OpBuilder builder(linear);
    auto from = linear.getX().getType();
    auto block = transformer::ActivationType::get(&model.context, "q8", 1, 32);
    auto type = mlir::RankedTensorType::get({from.getDimSize(0), from.getDimSize(1) / 32}, block);
    linear.getXMutable().assign(transformer::QuantizeOp::create(builder, linear.getLoc(), type, linear.getX()));
  }
  ASSERT_TRUE(mlir::succeeded(mlir::verify(*model.module)));
  Result<Logits> quantised = evaluate(*model.module, *model.gguf, {3, 4, 5}, Precision::Float64);
  ASSERT_TRUE(plain && quantised);
  double largest = 0;
  for (size_t i = 0; i < plain->values.size(); ++i)
    largest = std::max(largest, std::abs(plain->values[i] - quantised->values[i]));
  EXPECT_GT(largest, 1e-5);
  EXPECT_LT(largest, 0.2);
}

TEST(Reference, RefusesWhatIsOutOfRange) {
  Model model(makeModel("--family llama --type F32"));
  ASSERT_TRUE(model.module);
  Evaluator evaluator(*model.module, *model.gguf, Precision::Float32);
  for (const Step &step : {Step{{389}, {0}, {0}, {0}}, Step{{-1}, {0}, {0}, {0}}, Step{{3}, {0}, {0}, {1}},
                           Step{{3, 4}, {0}, {0, 1}, {1}}}) {
    Result<Logits> logits = evaluator.step(step);
    ASSERT_FALSE(bool(logits));
    EXPECT_EQ(logits.error().code, ErrorCode::ReferenceInput) << logits.error().text();
  }
}

TEST(Reference, RefusesWeightsOfAnotherCheckpoint) {
  Model one(makeModel("--family llama --type Q8_0")), other(makeModel("--family llama --type Q4_0"));
  ASSERT_TRUE(one.module && other.module);
  Result<Logits> logits = evaluate(*one.module, *other.gguf, {3}, Precision::Float32);
  ASSERT_FALSE(bool(logits));
  EXPECT_EQ(logits.error().code, ErrorCode::ReferenceWeight) << logits.error().text();
}

TEST(ReferenceConformance, SmolLM2) {
  compareWithRecorded("smollm2.gguf", "smollm2-135m-instruct-q4_1.json", /*longest=*/64, /*greedySteps=*/4);
}

TEST(ReferenceConformance, Gemma3) {
  compareWithRecorded("gemma3.gguf", "gemma-3-270m-q4_k_m.json", /*longest=*/32, /*greedySteps=*/4);
}

} // namespace
