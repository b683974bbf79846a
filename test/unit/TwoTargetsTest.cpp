// What the writer makes of programs for several targets: weights that two pack alike are in the file once, those that
// they pack differently side by side, and each device loads its own.
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Driver/Compilation.h"
#include "runtime/Devices.h"
#include "runtime/Load/Model.h"
#include "test/unit/ArtifactBuilder.h"
#include "test/unit/MadeModel.h"
#include "test/unit/NamedDevice.h"
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

/// 8 rows in a block, where tiles16 has 16.
const Layout kTiles8 = {"tiles8", STEPDOWN_PACKING_TILES16, 8, 64};

/// Writes `targets` of `checkpoint`; the path of the artifact.
std::string write(const Checkpoint &checkpoint, std::vector<TargetParts> targets) {
  const std::string path = test::temporaryFile({}, ".stepdown");
  Result<PartFile> file = PartFile::create(path);
  EXPECT_TRUE(file);
  Status written = writeArtifact(*file, {&checkpoint, std::move(targets), "{}"}, 2, {});
  EXPECT_TRUE(written) << written.error().text();
  EXPECT_TRUE(file->commit());
  return path;
}

TEST(TwoTargets, shareWhatTheyPackAlike) {
  const std::string made =
      makeModel("--family llama --type Q4_1 --layers 2 --width 96 --heads 3 --kv-heads 1 --ffn 160 "
                "--vocab 304 --context 320");
  CompileOptions options;
  options.targets = {findTarget("x86-64-v3")};
  Compilation c(made, options);
  ASSERT_TRUE(c.openCheckpoint());
  Result<BuiltProgram> program = c.plan();
  ASSERT_TRUE(program) << program.error().text();
  Result<std::vector<TargetCode>> code = c.generate();
  ASSERT_TRUE(code) << code.error().text();

  auto alone = ArtifactFile::open(write(*c.checkpoint, {{"cpu", *program, *code}}));
  ASSERT_TRUE(alone) << alone.error().text();
  auto alike = ArtifactFile::open(write(*c.checkpoint, {{"cpu", *program, *code}, {"other", *program, *code}}));
  ASSERT_TRUE(alike) << alike.error().text();
  ASSERT_EQ(alike->targets().size(), 2u);
  EXPECT_EQ(alike->weightBytes(), alone->weightBytes());
  const Records<stepdown_weight> &before = alone->targets()[0].program.weights;
  for (const FileTarget &target : alike->targets())
    for (uint32_t i = 0; i < before.count; ++i)
      EXPECT_EQ(target.program.weights[i].offset, before[i].offset) << target.name << ", weight " << i;

  // One weight of the second target in another packing: the file has both, and all others once.
  BuiltProgram different = *program;
  uint32_t changed = 0;
  while (!different.weights[changed].layout)
    ++changed;
  different.weights[changed].layout = &kTiles8;
  const std::string path = write(*c.checkpoint, {{"cpu", *program, *code}, {"other", different, *code}});
  auto both = ArtifactFile::open(path);
  ASSERT_TRUE(both) << both.error().text();
  const FileTarget &cpu = both->targets()[0], &other = both->targets()[1];
  const uint64_t bytes = other.program.weights[changed].bytes;
  EXPECT_EQ(both->weightBytes(), alone->weightBytes() + (bytes + 63) / 64 * 64);
  for (uint32_t i = 0; i < before.count; ++i)
    if (i == changed)
      EXPECT_NE(cpu.program.weights[i].offset, other.program.weights[i].offset);
    else
      EXPECT_EQ(cpu.program.weights[i].offset, other.program.weights[i].offset) << i;
  // The first target's own lie first, the last one's last: neither is given the other's.
  EXPECT_EQ(cpu.program.weights[changed].offset, 0u);
  EXPECT_EQ(cpu.firstWeight, 0u);
  EXPECT_GT(other.firstWeight, 0u);
  EXPECT_LT(cpu.endOfWeights, other.endOfWeights);
  // Both packings are of the same tensor, so each is what the layout makes of its rows.
  const StoredTensor *tensor = c.checkpoint->tensor(different.weights[changed].tensor);
  ASSERT_NE(tensor, nullptr);
  for (const auto &[target, layout] : {std::pair{&cpu, &kTiles16}, {&other, &kTiles8}}) {
    const stepdown_weight &weight = target->program.weights[changed];
    const size_t columns = weight.dims[0], rows = weight.dims[1];
    ASSERT_EQ(rows, tensor->dims[1]); // so that nothing of it is padding
    std::vector<uint8_t> expected(weight.bytes);
    packTiles(*layout, *blockFormat(tensor->storage), tensor->data, rows, columns, 0, tilesOf(*layout, rows),
              expected.data());
    EXPECT_EQ(std::memcmp(both->weights() + weight.offset, expected.data(), weight.bytes), 0) << layout->name;
  }
  auto mine = Model::load(path, *openDevice("cpu"), "x86-64-v3");
  ASSERT_TRUE(mine) << mine.error().text();
  EXPECT_EQ((*mine)->target().name, "cpu");
  auto theirs = Model::load(path, std::make_shared<test::NamedDevice>("other"));
  ASSERT_TRUE(theirs) << theirs.error().text();
  EXPECT_EQ((*theirs)->target().name, "other");
}

WeightEntry entry(const char *tensor, const Layout *layout = &kTiles16, int64_t firstRow = 0) {
  WeightEntry e;
  e.tensor = tensor;
  e.firstRow = firstRow;
  e.dims = {64, 11};
  e.layout = layout;
  return e;
}

TEST(SharedWeights, lieBetweenThoseOfOneTarget) {
  const SharedWeights shared =
      shareWeights({{entry("a"), entry("b"), entry("c")}, {entry("c"), entry("b", &kTiles8), entry("d"), entry("a")}});
  std::vector<std::string> order;
  for (const WeightEntry &weight : shared.entries)
    order.push_back(weight.tensor + (weight.layout == &kTiles8 ? "8" : ""));
  EXPECT_EQ(order, (std::vector<std::string>{"b", "a", "c", "b8", "d"}));
  EXPECT_EQ(shared.places, (std::vector<std::vector<uint32_t>>{{1, 0, 2}, {2, 3, 4, 1}}));
}

TEST(SharedWeights, differInRowsPaddingStorageAndValues) {
  WeightEntry padded = entry("a"), stored = entry("a"), other = entry("a", &kTiles16, 1), vector = entry("a", nullptr);
  padded.padding.columns = 96;
  stored.storage = 8;
  WeightEntry table = entry("rope_table.3", nullptr), same = table, values = table;
  table.table = same.table = values.table = std::vector<float>(64 * 11, 0.5f);
  same.tensor = "rope_table.5"; // tables are named by where they stand in a program
  values.table.back() = 0.25f;
  const SharedWeights shared =
      shareWeights({{entry("a"), table}, {padded, stored, other, vector, entry("a"), same, values}});
  EXPECT_EQ(shared.entries.size(), 7u);
  EXPECT_EQ(shared.places[1][4], shared.places[0][0]);
  EXPECT_EQ(shared.places[1][5], shared.places[0][1]);
}

} // namespace
