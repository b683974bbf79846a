#include "runtime/Load/ArtifactFile.h"
#include "lib/Base/MappingGuard.h"
#include "runtime/Devices.h"
#include "runtime/Load/Model.h"
#include "runtime/Session/Session.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <stepdown/CacheDims.h>
#include <unistd.h>

using namespace stepdown;
using test::ArtifactBuilder;
using test::ToyModel;

namespace {

int codeOf(const std::vector<uint8_t> &bytes) {
  auto file = ArtifactFile::open(test::temporaryFile(bytes, ".stepdown"));
  return file ? 0 : static_cast<int>(file.error().code);
}

stepdown_header &headerOf(std::vector<uint8_t> &bytes) { return *reinterpret_cast<stepdown_header *>(bytes.data()); }

TEST(ArtifactFile, opensWhatWasWritten) {
  ToyModel toy;
  std::string path = toy.write();
  EXPECT_TRUE(isArtifact(path));
  auto file = ArtifactFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->targets().size(), 1u);
  const FileTarget &target = file->targets().front();
  EXPECT_EQ(target.name, "cpu");
  EXPECT_EQ(target.alignment, 64u);
  EXPECT_EQ(target.program.layers.count, 2u);
  EXPECT_EQ(target.code.size(), 2u);
  EXPECT_EQ(file->provenance(), "{}");
  EXPECT_STREQ(target.program.string(target.program.weights[0].name), "token_embd.weight");
}

TEST(ArtifactFile, refusesADamagedHeader) {
  const std::vector<uint8_t> good = ToyModel().build().file();
  auto spoil = [&](bool sealed, const std::function<void(std::vector<uint8_t> &)> &change) {
    std::vector<uint8_t> bytes = good;
    change(bytes);
    if (sealed)
      test::seal(bytes, false);
    return codeOf(bytes);
  };
  EXPECT_EQ(spoil(false, [](auto &b) { b.clear(); }), 501);
  EXPECT_EQ(spoil(false, [](auto &b) { b.resize(4095); }), 501);
  EXPECT_EQ(spoil(false, [](auto &b) { b.pop_back(); }), 501);
  EXPECT_EQ(spoil(false, [](auto &b) { b.push_back(0); }), 501);
  EXPECT_EQ(spoil(false, [](auto &b) { b[0] = 'G'; }), 502);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).abi_version = STEPDOWN_ABI_VERSION + 1; }), 503);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).abi_version = STEPDOWN_ABI_VERSION - 1; }), 503);
  EXPECT_EQ(spoil(false, [](auto &b) { headerOf(b).sections[0].level = 9; }), 504);
  EXPECT_EQ(spoil(false, [](auto &b) { b[4000] = 1; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).section_count = 65; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).target_count = 0; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).target_count = STEPDOWN_MAX_TARGETS + 1; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).targets[0].name[0] = 0; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).targets[0].name[1] = '\n'; }), 504);
  EXPECT_EQ(spoil(true, [](auto &b) { headerOf(b).targets[0].name[59] = 'x'; }), 504);
  EXPECT_EQ(spoil(true,
                  [](auto &b) {
                    headerOf(b).targets[1] = headerOf(b).targets[0];
                    headerOf(b).target_count = 2;
                  }),
            504);
  for (uint32_t alignment : {0u, 48u, 2 * STEPDOWN_PAGE})
    EXPECT_EQ(spoil(true, [&](auto &b) { headerOf(b).targets[0].alignment = alignment; }), 504) << alignment;
}

// Files of earlier releases have another header; what they say beyond its first words is not looked at.
TEST(ArtifactFile, saysHowToCompileAnEarlierVersionAgain) {
  for (uint32_t version : {1u, 2u}) {
    std::vector<uint8_t> bytes(2 * STEPDOWN_PAGE, 0x5a);
    std::memcpy(bytes.data(), STEPDOWN_ARTIFACT_MAGIC, 8);
    std::memcpy(bytes.data() + 8, &version, sizeof version);
    const std::string path = test::temporaryFile(bytes, ".stepdown");
    auto file = ArtifactFile::open(path);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().text(), "error E0503: " + path + ": offset 8: expects ABI version 5, but got " +
                                       std::to_string(version) +
                                       ", which another release wrote; compile the model again: stepdown-compile MODEL "
                                       "-o " +
                                       path);
  }
}

TEST(ArtifactFile, refusesWrongSections) {
  const std::vector<uint8_t> good = ToyModel().build().file();
  auto spoil = [&](const std::function<void(stepdown_header &)> &change) {
    std::vector<uint8_t> bytes = good;
    change(headerOf(bytes));
    test::seal(bytes, false);
    return codeOf(bytes);
  };
  EXPECT_EQ(spoil([](auto &h) { h.sections[0].kind = 77; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[0].offset += 1; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[0].offset = 0; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[0].offset = ~uint64_t(4095); }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[4].size = ~uint64_t(0); }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[1].offset = h.sections[0].offset; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[0].kind = STEPDOWN_SECTION_PROGRAM; }), 505);
  EXPECT_EQ(spoil([](auto &h) { --h.section_count; }), 505); // no weights
  EXPECT_EQ(spoil([](auto &h) { h.sections[3].level = h.sections[2].level; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[2].level = 0; }), 505);
  EXPECT_EQ(spoil([](auto &h) { h.sections[1].level = h.sections[2].level; }), 505);
  for (int i : {1, 2, 3}) // program and code, of a target that the header has not
    for (uint16_t target : {uint16_t(1), uint16_t(STEPDOWN_ALL_TARGETS)})
      EXPECT_EQ(spoil([&](auto &h) { h.sections[i].target = target; }), 505) << i;
  for (int i : {0, 4, 5}) // metadata, provenance and weights, as if they were one target's
    EXPECT_EQ(spoil([&](auto &h) { h.sections[i].target = 0; }), 505) << i;
  EXPECT_EQ(spoil([](auto &h) { h.sections[1].kind = STEPDOWN_SECTION_FUNCTIONS; }), 505);
  EXPECT_EQ(spoil([](auto &h) { // a target of which there is a name alone
              h.targets[h.target_count++] = {"other", 64};
            }),
            505);
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(spoil([&](auto &h) { h.sections[i].checksum ^= 1; }), 506) << i;
}

TEST(ArtifactFile, refusesAnEmptyProgram) {
  std::vector<uint8_t> bytes = ToyModel().build().file();
  for (stepdown_section &section : headerOf(bytes).sections)
    if (section.kind == STEPDOWN_SECTION_PROGRAM)
      section.size = 0;
  test::seal(bytes);
  EXPECT_EQ(codeOf(bytes), 507);
}

TEST(ArtifactFile, everyChangedByteOfASectionIsSeen) {
  std::vector<uint8_t> bytes = ToyModel().build().file();
  stepdown_header header = headerOf(bytes);
  for (uint32_t i = 0; i < header.section_count; ++i) {
    uint64_t last = header.sections[i].offset + header.sections[i].size - 1;
    bytes[last] ^= 0x10;
    EXPECT_EQ(codeOf(bytes), 506) << i;
    bytes[last] ^= 0x10;
  }
  EXPECT_EQ(codeOf(bytes), 0);
}

struct BadRecord {
  const char *name;
  std::function<void(ArtifactBuilder &)> change;
};

TEST(ArtifactFile, refusesEveryBadRecord) {
  constexpr uint32_t far = 0x7fffffff;
  const BadRecord cases[] = {
      {"vocabulary 0", [](auto &b) { b.head.vocabulary = 0; }},
      {"vocabulary huge", [](auto &b) { b.head.vocabulary = ~0u; }},
      {"width", [](auto &b) { b.head.width = ~0u; }},
      {"context", [](auto &b) { b.head.max_context = 0; }},
      {"step tokens", [](auto &b) { b.head.max_step_tokens = ~0u; }},
      {"more rows than tokens", [](auto &b) { b.head.max_step_rows = b.head.max_step_tokens + 1; }},
      {"exact", [](auto &b) { b.head.exact = 2; }},
      {"no buckets", [](auto &b) { b.buckets.clear(), b.code.clear(); }},
      {"first bucket", [](auto &b) { b.buckets[0].min_tokens = 2; }},
      {"buckets descend", [](auto &b) { b.buckets[2].min_tokens = 2; }},
      {"tile 0", [](auto &b) { b.buckets[1].tile = 0; }},
      {"buffer beyond the arena", [](auto &b) { b.buffers[0].bytes = b.head.arena_bytes + 1; }},
      {"buffer wraps", [](auto &b) { b.buffers[0].offset = ~uint64_t(63); }},
      {"buffer alignment", [](auto &b) { b.buffers[0] = {0, 0, 4, 4}; }},
      {"buffer name", [](auto &b) { b.buffers[0].name = far; }},
      {"weight beyond the section", [](auto &b) { b.weights[0].bytes = 1u << 30; }},
      {"weight wraps", [](auto &b) { b.weights[0].offset = ~uint64_t(63); }},
      {"weight alignment", [](auto &b) { b.weights[0].offset = 4, b.weights[0].bytes = 4; }},
      {"weight rank", [](auto &b) { b.weights[0].rank = 5; }},
      {"weight packing", [](auto &b) { b.weights[0].packing = 9; }},
      {"weight name", [](auto &b) { b.weights[0].name = far; }},
      {"weight list", [](auto &b) { b.weightLists[0] = far; }},
      {"strings end", [](auto &b) { b.strings.back() = 'x'; }},
      {"kernel name", [](auto &b) { b.kernels[0].name = far; }},
      {"logits stride", [](auto &b) { b.head.logits_stride = b.head.vocabulary - 1; }},
      {"logits stride huge", [](auto &b) { b.head.logits_stride = ~0u; }},
      {"cache blocks of 0", [](auto &b) { b.cache.smallest_block = 0; }},
      {"cache blocks huge", [](auto &b) { b.cache.largest_block = 1u << 25; }},
      {"cache blocks descend", [](auto &b) { b.cache.largest_block = 8; }},
      {"cache blocks not doubled", [](auto &b) { b.cache.largest_block = 48; }},
      {"cache lanes 0", [](auto &b) { b.cache.lanes = 0; }},
      {"cache lanes", [](auto &b) { b.cache.lanes = 7; }},
      {"cache axis twice", [](auto &b) { b.cache.keys[1] = STEPDOWN_AXIS_BLOCKS; }},
      {"cache axis missing", [](auto &b) { b.cache.keys[4] = 0; }},
      {"cache axis unknown", [](auto &b) { b.cache.values[1] = 40; }},
      {"cache axis behind the last", [](auto &b) { b.cache.values[4] = STEPDOWN_AXIS_LANES; }},
      {"cache axis behind a gap", [](auto &b) { std::swap(b.cache.values[2], b.cache.values[4]); }},
      {"cache dimension 0", [](auto &b) { b.groups[0].key_dim = 0; }},
      {"cache dimension huge", [](auto &b) { b.groups[0].kv_heads = far; }},
      {"cache element", [](auto &b) { b.groups[0].element = 2; }},
      {"cache element of 8 bits", [](auto &b) { b.groups[0].element = STEPDOWN_CACHED_E4M3 + 1; }},
      {"cache block without codes",
       [](auto &b) { b.groups[0].element = STEPDOWN_CACHED_Q8_0, b.groups[0].key_dim = 36; }},
      {"cache layers", [](auto &b) { b.groups[0].layers = 3; }},
      {"cache layers huge", [](auto &b) { b.groups[0].layers = far; }},
      {"layer kind", [](auto &b) { b.layers[0].kind = far; }},
      {"layer group", [](auto &b) { b.layers[1].cache_group = far; }},
      {"cache index twice", [](auto &b) { b.layers[1].cache_index = 0; }},
      {"layer weights", [](auto &b) { b.layers[1].weight_count = 2; }},
      {"layer weights wrap", [](auto &b) { b.layers[1].first_weight = ~0u; }},
      {"kind range", [](auto &b) { b.kinds[0].dispatch_count = far; }},
      {"code count", [](auto &b) { b.code.pop_back(); }},
      {"code entry", [](auto &b) { b.code[3] = far; }},
      {"code missing", [](auto &b) { b.code[3] = ~0u; }},
      {"entry before the instructions", [](auto &b) { b.entries[1].offset = ~uint64_t(63); }},
      {"entry behind the instructions", [](auto &b) { b.entries[1].offset = 1u << 20; }},
      {"entry of a function", [](auto &b) { b.entries[1].results = 1; }},
      {"entry's parameters", [](auto &b) { b.entries[1].first = far; }},
      {"entry's parameters wrap", [](auto &b) { b.entries[1].count = ~0u; }},
      {"entry's launch", [](auto &b) { b.entries[1].launch = far; }},
      {"entry's name", [](auto &b) { b.entries[1].name = 0; }},
      {"names of code end", [](auto &b) { b.codeNames = "x"; }},
      {"launch divisor", [](auto &b) { b.launches[1].grid[0].divisor = 0; }},
      {"launch size 0", [](auto &b) { b.launches[1].grid[2].size = 0; }},
      {"launch symbol", [](auto &b) { b.launches[1].grid[1].size = STEPDOWN_DIM_TOKEN_TILE; }},
      {"launch of a constant", [](auto &b) { b.launches[1].grid[0] = {7, 1}; }},
      {"launch of rows", [](auto &b) { b.launches[1].grid[0].size = STEPDOWN_DIM_ROWS; }},
      {"launch block", [](auto &b) { b.launches[1].block[2] = 0; }},
      {"launch cluster", [](auto &b) { b.launches[1].cluster[0] = 0; }},
      {"parameter rank", [](auto &b) { b.parameters[1].rank = 6; }},
      {"dispatch kernel", [](auto &b) { b.dispatches[1].kernel = far; }},
      {"dispatch extent", [](auto &b) { b.dispatches[1].extent = 2; }},
      {"dispatch operands", [](auto &b) { b.dispatches[1].first_operand = far; }},
      {"dispatch operand count", [](auto &b) { b.dispatches[1].operand_count = 1000; }},
      {"entry", [](auto &b) { b.head.entry_count = far; }},
      {"exit", [](auto &b) { b.head.exit_first = far; }},
      {"operand place", [](auto &b) { b.operands[0].place = 0; }},
      {"operand place high", [](auto &b) { b.operands[0].place = 12; }},
      {"operand buffer", [](auto &b) { b.operands[2].index = far; }},
      {"operand weight", [](auto &b) { b.operands[0].index = far; }},
      {"operand layer weight", [](auto &b) { b.operands[7].index = 1; }},
      {"operand rank", [](auto &b) { b.operands[0].rank = 6; }},
      {"operand symbol", [](auto &b) { b.operands[0].dims[0] = STEPDOWN_DIM_ROW_TILE - 1; }},
      {"layer's cache outside a layer", [](auto &b) { b.operands[0].place = STEPDOWN_AT_KEYS; }},
      {"layer's weight outside a layer", [](auto &b) { b.operands[0].place = STEPDOWN_AT_LAYER_WEIGHT; }},
      {"layer's blocks outside a layer", [](auto &b) { b.operands[0].dims[0] = STEPDOWN_DIM_BLOCKS; }},
  };
  EXPECT_EQ(codeOf(ToyModel().build().file()), 0);
  for (const BadRecord &bad : cases) {
    ArtifactBuilder builder = ToyModel().build();
    bad.change(builder);
    EXPECT_EQ(codeOf(builder.file()), 507) << bad.name;
  }
}

// What a kernel takes for granted is compared with what a step would give it: one change each, on either side.
TEST(ArtifactFile, refusesOperandsThatAKernelWasNotCompiledFor) {
  const BadRecord cases[] = {
      {"place", [](auto &b) { b.operands[1].place = STEPDOWN_AT_ROWS; }},
      {"tokens from a buffer", [](auto &b) { b.operands[1] = b.operands[2]; }},
      {"rank", [](auto &b) { b.operands[0].rank = 1; }},
      {"size", [](auto &b) { ++b.operands[0].dims[0]; }},
      {"symbol", [](auto &b) { b.operands[2].dims[0] = STEPDOWN_DIM_ROWS; }},
      {"extent", [](auto &b) { b.dispatches.back().extent = STEPDOWN_BY_TOKENS; }},
      {"operand count", [](auto &b) { --b.dispatches[0].operand_count; }},
      {"first operand", [](auto &b) { ++b.dispatches[0].first_operand; }},
      {"kernel", [](auto &b) { b.dispatches[1].kernel = 2; }},
      {"another kernel's code", [](auto &b) { b.code[0] = b.code[3]; }},
      {"another bucket's code", [](auto &b) { b.code[0] = b.code[1]; }},
      {"tile of a bucket", [](auto &b) { b.buckets[1].tile = 16; }},
      {"buffer too small", [](auto &b) { --b.buffers[0].bytes; }},
      {"steps too large", [](auto &b) { ++b.head.max_step_tokens; }},
      {"weight too small", [](auto &b) { --b.weights[0].bytes; }},
      {"layer weight too small", [](auto &b) { b.weights[1].bytes = 3; }},
      {"vocabulary beyond the table", [](auto &b) { ++b.head.vocabulary; }},
      {"stride of the logits", [](auto &b) { ++b.head.logits_stride; }},
      {"alignment of the target", [](auto &b) { b.alignment = 32; }},
      {"lanes of the cache", [](auto &b) { b.cache.lanes = 8; }},
      {"order of the keys", [](auto &b) { std::swap(b.cache.keys[1], b.cache.keys[2]); }},
      {"order of the values", [](auto &b) { std::swap(b.cache.values[2], b.cache.values[3]); }},
      {"heads of the cache", [](auto &b) { ++b.groups[0].kv_heads; }},
      {"keys of the cache", [](auto &b) { --b.groups[0].key_dim; }},
      {"values of the cache", [](auto &b) { ++b.groups[0].value_dim; }},
      {"element of the cache", [](auto &b) { b.groups[0].element = STEPDOWN_F16; }},
      {"window of the cache", [](auto &b) { b.groups[0].window = 64; }},
      {"context beyond the tables", [](auto &b) { b.parameters[4].bound = 255; }},
      {"element of positions", [](auto &b) { b.parameters[4].element_bytes = 8; }},
      {"element of a buffer", [](auto &b) { b.parameters[2].element_bytes = 8; }},
      {"a size beyond 64 bits",
       [](auto &b) {
         for (auto *dims : {b.operands[0].dims, b.parameters[0].dims})
           dims[0] = dims[1] = int64_t(1) << 62;
       }},
  };
  for (const BadRecord &bad : cases) {
    ArtifactBuilder builder = ToyModel().build();
    bad.change(builder);
    EXPECT_EQ(codeOf(builder.file()), 560) << bad.name;
  }
  ArtifactBuilder builder = ToyModel().build();
  builder.parameters[4].bound = 256; // positions below it: just enough
  EXPECT_EQ(codeOf(builder.file()), 0);
}

// A layer's cache gives blocks back that lie before its window: a kernel that looks further back must not read there.
TEST(ArtifactFile, refusesACacheThatForgetsWhatAKernelReads) {
  ToyModel toy;
  toy.window = 48;
  ArtifactBuilder builder = toy.build();
  EXPECT_EQ(codeOf(builder.file()), 0);
  builder.groups[1].window = 47;
  EXPECT_EQ(codeOf(builder.file()), 560);
  builder.groups[1].window = 49;
  EXPECT_EQ(codeOf(builder.file()), 0);
}

TEST(ArtifactFile, refusesTablesOutsideTheProgram) {
  ArtifactBuilder builder = ToyModel().build();
  std::vector<uint8_t> good = builder.file();
  uint64_t at = headerOf(good).sections[1].offset;
  for (size_t field = offsetof(stepdown_program, buckets); field < offsetof(stepdown_program, entry_first); field += 8)
    for (stepdown_table table : {stepdown_table{1u << 20, 1}, stepdown_table{0, ~0u}, stepdown_table{~0u, ~0u}}) {
      std::vector<uint8_t> bytes = good;
      std::memcpy(bytes.data() + at + field, &table, sizeof table);
      test::seal(bytes);
      EXPECT_EQ(codeOf(bytes), 507) << "field at " << field;
    }
}

// A thousand random single changes, sealed so that only the checks of records can catch them: whatever still opens must
// also load and make a session or refuse, and never crash (the sanitizers watch).
TEST(ArtifactFile, randomChangesNeverCrash) {
  ToyModel toy;
  std::vector<uint8_t> good = toy.build().file();
  stepdown_section program = headerOf(good).sections[1];
  uint32_t state = 12345;
  auto random = [&](uint32_t n) { return (state = state * 1664525u + 1013904223u) % 0x7fffffff % n; };
  int opened = 0;
  for (int i = 0; i < 1000; ++i) {
    std::vector<uint8_t> bytes = good;
    bytes[program.offset + random(static_cast<uint32_t>(program.size))] ^= 1u << random(8);
    test::seal(bytes);
    std::string path = test::temporaryFile(bytes, ".stepdown");
    if (auto model = Model::load(path, *openDevice(nullptr))) {
      ++opened;
      Session::Options options;
      options.threads = 1;
      (void)static_cast<bool>(Session::create(*model, options));
    }
    unlink(path.c_str());
  }
  EXPECT_LT(opened, 1000);
}

TEST(ArtifactFile, refusesALevelThatIsNotThere) {
  ToyModel toy;
  ArtifactBuilder builder = toy.build();
  auto file = ArtifactFile::open(toy.write());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->chooseCode(**openDevice(nullptr), "sparc").error().code, ErrorCode::ArtifactLevel);
  builder.codes.pop_back();
  builder.code.resize(builder.code.size() / 2);
  auto single = ArtifactFile::open(test::temporaryFile(builder.file(), ".stepdown"));
  ASSERT_TRUE(single) << single.error().message;
  EXPECT_EQ(single->chooseCode(**openDevice(nullptr), "x86-64-v4-vnni").error().code, ErrorCode::ArtifactLevel);
  builder.codes.clear();
  builder.code.clear();
  auto none = ArtifactFile::open(test::temporaryFile(builder.file(), ".stepdown"));
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(none->chooseCode(**openDevice(nullptr), nullptr).error().code, ErrorCode::ArtifactLevel);
}

/// A FUNCTIONS section of functions without values, whose names begin at `names` in `strings`.
std::vector<uint8_t> functionsSection(const std::vector<uint32_t> &names, const std::string &strings) {
  stepdown_functions head = {};
  std::vector<stepdown_function> functions;
  for (uint32_t name : names)
    functions.push_back({name, 0, 0, 0});
  const size_t records = functions.size() * sizeof(stepdown_function);
  head.functions = {sizeof head, static_cast<uint32_t>(functions.size())};
  head.strings = {static_cast<uint32_t>(sizeof head + records), static_cast<uint32_t>(strings.size() + 1)};
  std::vector<uint8_t> bytes(sizeof head + records + strings.size() + 1);
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, functions.data(), records);
  std::memcpy(bytes.data() + sizeof head + records, strings.data(), strings.size());
  return bytes;
}

// Compared one with each other, names that are ends of one long text would keep a loader busy for hours.
TEST(FunctionCheck, namesAreShortAndTheirOwn) {
  auto codeOfNames = [](const std::vector<uint32_t> &names, const std::string &strings) {
    std::vector<uint8_t> bytes = functionsSection(names, strings);
    auto table = locateFunctions("file", bytes.data(), bytes.size());
    EXPECT_TRUE(table);
    Status checked = checkFunctions("file", *table, {});
    return checked ? std::string() : checked.error().text();
  };
  EXPECT_EQ(codeOfNames({0, 2, 4}, std::string("a\0b\0c", 5)), "");
  EXPECT_NE(codeOfNames({0, 2, 0}, std::string("a\0b", 3)).find("function 2: name: expects a name of its own"),
            std::string::npos);
  std::vector<uint32_t> ends(200000);
  for (uint32_t i = 0; i < ends.size(); ++i)
    ends[i] = i;
  EXPECT_NE(codeOfNames(ends, std::string(ends.size(), 'a')).find("at most 1024 bytes"), std::string::npos);
  for (uint32_t i = 0; i < ends.size(); ++i)
    ends[i] = 200000 - i % 1024;
  EXPECT_NE(codeOfNames(ends, std::string(200000, 'a')).find("function 1024: name: expects a name of its own"),
            std::string::npos);
}

/// Opens an artifact, cuts the file to its header, and reads the last weight.
void readShrunken(const std::string &path) {
  guardMappings("program");
  auto file = ArtifactFile::open(path);
  if (!file || truncate(path.c_str(), STEPDOWN_PAGE) != 0)
    _exit(7);
  volatile uint8_t last = file->weights()[file->weightBytes() - 1];
  _exit(8 + last % 2);
}

using ArtifactFileDeathTest = testing::Test;

TEST(ArtifactFileDeathTest, theGuardNamesAnArtifactThatShrank) {
  ToyModel toy;
  std::string path = toy.write();
  EXPECT_EXIT(readShrunken(path), testing::ExitedWithCode(1), "error E0902: " + path + ": .*cut short");
}

} // namespace
