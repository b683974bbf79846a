// The reference evaluator against another implementation: figures recorded from it for generated checkpoints, and,
// where the vectors and the checkpoints are there, the two real ones.
#include "lib/Frontend/Frontend.h"
#include "lib/Reference/Evaluator.h"
#include "test/unit/MadeModel.h"
#include <algorithm>
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
  Result<Gguf> gguf;
  mlir::OwningOpRef<mlir::ModuleOp> module;

  explicit Model(const std::string &path) : gguf(Gguf::open(path)) {
    FrontendOptions exact;
    exact.float32Cache = true;
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

TEST(ReferenceConformance, SmolLM2) {
  compareWithRecorded("smollm2.gguf", "smollm2-135m-instruct-q4_1.json", /*longest=*/64, /*greedySteps=*/4);
}

TEST(ReferenceConformance, Gemma3) {
  compareWithRecorded("gemma3.gguf", "gemma-3-270m-q4_k_m.json", /*longest=*/32, /*greedySteps=*/4);
}

} // namespace
