// The tables of lib/Pipeline/Phases.cpp, held against the targets and against what the phases leave.
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/PlainModule.h"
#include "lib/Pipeline/Phases.h"
#include "test/unit/MadeModel.h"
#include <gtest/gtest.h>
#include <map>

using namespace stepdown;

namespace {

using Module = mlir::OwningOpRef<mlir::ModuleOp>;

/// What the frontend makes of a small input.
Result<Module> makeInput(mlir::MLIRContext &context, Input input) {
  if (input == Input::Functions)
    return parsePlainModule(context,
                            "func.func @f(%a: tensor<7x13xf32>, %b: tensor<13x37xf32>, %c: tensor<7x37xf32>) -> "
                            "tensor<7x37xf32> {\n"
                            "  %0 = linalg.matmul ins(%a, %b : tensor<7x13xf32>, tensor<13x37xf32>) "
                            "outs(%c : tensor<7x37xf32>) -> tensor<7x37xf32>\n"
                            "  return %0 : tensor<7x37xf32>\n"
                            "}\n"
                            "!cache = !transformer.cache<heads = 1, key = 256, value = 256, element = bf16>\n"
                            "func.func @g(%q: tensor<7x256xbf16>, %batch: !transformer.batch, %cache: !cache) -> "
                            "tensor<7x256xbf16> {\n"
                            "  %0 = transformer.attention %q, %batch, %cache {scale = 0.0625 : f64} : "
                            "(tensor<7x256xbf16>, !transformer.batch, !cache) -> tensor<7x256xbf16>\n"
                            "  return %0 : tensor<7x256xbf16>\n"
                            "}\n",
                            "f.mlir");
  Result<Checkpoint> gguf = Checkpoint::open(makeModel("--family llama --type Q4_0 --layers 1"));
  if (!gguf)
    return gguf.error();
  return buildModule(context, *gguf, {});
}

std::string textOf(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream(text) << module;
  return text;
}

/// The IR after each phase that has something to run, by name.
std::vector<std::pair<std::string, std::string>> goDown(const Road &road, const Target &target) {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry);
  Result<Module> module = makeInput(context, road.input);
  if (!module) {
    ADD_FAILURE() << module.error().text();
    return {};
  }
  std::vector<std::pair<std::string, std::string>> left;
  PhaseOptions options;
  options.target = &target;
  for (const Phase &phase : road.phases) {
    mlir::PassManager manager(&context);
    buildPhase(road, phase, manager, options);
    if (mlir::failed(manager.run(**module))) {
      ADD_FAILURE() << phase.name << " fails";
      return {};
    }
    if (phase.build)
      left.push_back({phase.name, textOf(**module)});
  }
  return left;
}

TEST(Roads, LeadFromEveryInputToEveryTarget) {
  for (const Target &target : targets())
    for (Input input : {Input::Model, Input::Functions}) {
      const Road *found = roadOf(input, target);
      ASSERT_NE(found, nullptr) << target.name;
      const Road &road = *found;
      EXPECT_EQ(road.input, input);
      EXPECT_STREQ(road.target, target.road);
      ASSERT_FALSE(road.phases.empty());
      EXPECT_EQ(road.phases.front().build, nullptr) << "the frontend makes what the first phase leaves";
      ASSERT_NE(road.find(road.fork), nullptr) << road.fork;
      EXPECT_FALSE(road.isShared(*road.find(road.fork)));
      EXPECT_FALSE(road.isShared(road.phases.back())) << "machine code is a target's own";
    }
}

// --compile-to and --compile-from find a phase by its name.
TEST(Roads, HaveEveryNameOnceAndInTheSameOrder) {
  const std::vector<std::string> names = phaseNames();
  for (const Road &road : roads()) {
    size_t last = 0;
    for (const Phase &phase : road.phases) {
      EXPECT_EQ(road.find(phase.name), &phase) << phase.name;
      const size_t at = llvm::find(names, phase.name) - names.begin();
      ASSERT_LT(at, names.size()) << phase.name;
      EXPECT_TRUE(&phase == road.phases.begin() || at > last) << phase.name;
      last = at;
    }
  }
  EXPECT_EQ(roads().front().find("packing-of-another-house"), nullptr);
}

// The driver runs what lies before the fork once for all targets of one layout and one list of buckets; a model goes to
// each device by itself, whose chips may pack otherwise. From there on some target differs from the first in what a
// phase leaves; two whose vectors and blocks are alike need not.
TEST(Roads, PartWhereTargetsBeginToDiffer) {
  for (const Road &road : roads()) {
    const Target *first = nullptr;
    std::vector<std::pair<std::string, std::string>> a; // of the first
    std::map<std::string, bool> differ;                 // by phase
    for (const Target &target : targets()) {
      if (llvm::StringRef(target.road) != road.target)
        continue;
      if (!first) {
        first = &target;
        a = goDown(road, target);
        continue;
      }
      if (target.layout != first->layout || target.buckets.data() != first->buckets.data() ||
          (road.input == Input::Model && llvm::StringRef(target.device) != first->device))
        continue;
      SCOPED_TRACE(std::string(road.unit) + " for " + first->name + " and " + target.name);
      const auto b = goDown(road, target);
      ASSERT_EQ(a.size(), b.size());
      if (target.chip && llvm::StringRef(target.chip) == first->chip) { // one runs and one is emulated
        EXPECT_EQ(a, b);
        continue;
      }
      for (size_t i = 0; i < a.size(); ++i)
        differ[a[i].first] |= a[i].second != b[i].second;
    }
    for (auto [phase, parted] : differ)
      EXPECT_EQ(parted, !road.isShared(*road.find(phase))) << road.unit << ": " << phase;
  }
}

} // namespace
