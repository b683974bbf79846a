// Artifacts of plain modules, made record by record: what the loader refuses, and what a call does with what code
// returns.
#include "include/stepdown/Runtime.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Load/Model.h"
#include "test/unit/ToyModel.h"
#include <cstring>
#include <functional>
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

/// Two functions: @none of nothing, and @one (f32 [?, 3]) -> f32 [2]. Their code is a single return.
struct Parts {
  stepdown_functions head = {};
  std::vector<stepdown_function> functions = {{0, 0, 0, 0}, {5, 0, 1, 1}};
  std::vector<stepdown_value> values = {{STEPDOWN_F32, 2, {-1, 3}}, {STEPDOWN_F32, 1, {2}}};
  std::vector<uint32_t> code = {0, 1};
  std::vector<stepdown_entry> entries = {{0, 0, 0, 0, 0, 0, 0, STEPDOWN_NO_NAME, 0},
                                         {64, 0, 1, 1, 0, 0, 0, STEPDOWN_NO_NAME, 0}};
  std::vector<stepdown_launch> launches = {{{{1, 1}, {1, 1}, {1, 1}}, {1, 1, 1}, {1, 1, 1}, 0}};
  std::vector<stepdown_value> compiled = values; // what the code was made for
  uint64_t instructions = STEPDOWN_PAGE;
  std::string strings = std::string("none\0one\0", 9);
  std::vector<uint8_t> machine = std::vector<uint8_t>(65, 0xc3); // ret
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> more;   // sections beside

  template <typename Records> static void add(std::vector<uint8_t> &out, stepdown_table &at, const Records &records) {
    out.resize((out.size() + 7) / 8 * 8);
    at.offset += static_cast<uint32_t>(out.size()); // what a test put there moves it
    at.count += static_cast<uint32_t>(records.size());
    const auto *bytes = reinterpret_cast<const uint8_t *>(records.data());
    out.insert(out.end(), bytes, bytes + records.size() * sizeof(records[0]));
  }

  std::vector<uint8_t> table() const {
    std::vector<uint8_t> out(sizeof head);
    stepdown_functions header = head;
    add(out, header.functions, functions);
    add(out, header.values, values);
    add(out, header.code, code);
    add(out, header.strings, strings);
    std::memcpy(out.data(), &header, sizeof header);
    return out;
  }

  std::vector<uint8_t> codeSection() const {
    stepdown_code index = {};
    index.instructions = instructions;
    std::vector<uint8_t> out(sizeof index);
    std::vector<stepdown_entry> placed = entries;
    for (stepdown_entry &entry : placed)
      entry.offset += STEPDOWN_PAGE;
    add(out, index.entries, placed);
    add(out, index.values, compiled);
    add(out, index.launches, launches);
    index.alignment = 64;
    std::memcpy(out.data(), &index, sizeof index);
    out.resize(STEPDOWN_PAGE);
    out.insert(out.end(), machine.begin(), machine.end());
    return out;
  }

  std::string write() const {
    stepdown_header header = {};
    std::memcpy(header.magic, STEPDOWN_ARTIFACT_MAGIC, sizeof header.magic);
    header.abi_version = STEPDOWN_ABI_VERSION;
    header.targets[header.target_count++] = {"cpu", 64};
    std::vector<uint8_t> out(STEPDOWN_PAGE);
    auto section = [&](uint32_t kind, uint32_t level, const std::vector<uint8_t> &bytes) {
      const bool shared =
          kind != STEPDOWN_SECTION_FUNCTIONS && kind != STEPDOWN_SECTION_CODE && kind != STEPDOWN_SECTION_PROGRAM;
      const uint16_t target = shared ? STEPDOWN_ALL_TARGETS : 0;
      header.sections[header.section_count++] = {uint16_t(kind), target, level, out.size(), bytes.size(), 0};
      out.insert(out.end(), bytes.begin(), bytes.end());
      out.resize((out.size() + STEPDOWN_PAGE - 1) / STEPDOWN_PAGE * STEPDOWN_PAGE);
    };
    section(STEPDOWN_SECTION_FUNCTIONS, 0, table());
    section(STEPDOWN_SECTION_CODE, STEPDOWN_LEVEL_X86_64_V3, codeSection());
    for (const auto &[kind, bytes] : more)
      section(kind, 0, bytes);
    header.file_size = out.size();
    std::memcpy(out.data(), &header, sizeof header);
    test::seal(out);
    return test::temporaryFile(out, ".stepdown");
  }
};

int codeOf(const Parts &parts) {
  auto library = FunctionLibrary::load(parts.write(), *openDevice(nullptr));
  return library ? 0 : static_cast<int>(library.error().code);
}

TEST(Functions, loadsWhatWasWritten) {
  auto library = FunctionLibrary::load(Parts().write(), *openDevice(nullptr));
  ASSERT_TRUE(library) << library.error().message;
  ASSERT_EQ((*library)->functions().size(), 2u);
  EXPECT_STREQ((*library)->functions()[1].name, "one");
  EXPECT_EQ(describe((*library)->functions()[1].arguments[0]), "f32 [?, 3]");
  EXPECT_EQ(describe((*library)->functions()[1].results[0]), "f32 [2]");
  EXPECT_EQ(*(*library)->find("one"), 1u);
  EXPECT_EQ(static_cast<int>((*library)->find("two").error().code), 620);
}

TEST(Functions, refusesWrongRecords) {
  auto spoil = [](const std::function<void(Parts &)> &change) {
    Parts parts;
    change(parts);
    return codeOf(parts);
  };
  EXPECT_EQ(spoil([](Parts &) {}), 0);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].name = 9; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].name = 0; }), 507) << "two functions of one name";
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].first_value = 1; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].first_value = 0xffffffff; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].argument_count = 0xffffffff; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].result_count = 2; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].element = STEPDOWN_F8E5M2 + 1; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].rank = 9; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].dims[1] = -2; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.code[1] = 2; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.code[0] = ~0u; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.code.pop_back(); }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.code.push_back(0); }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.entries[1].offset = 65; }), 507) << "behind the instructions";
  EXPECT_EQ(spoil([](Parts &p) { p.entries[0].offset = ~uint64_t(0); }), 507) << "before the instructions";
  EXPECT_EQ(spoil([](Parts &p) { p.entries[1].first = 1; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.entries[1].count = ~0u; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.entries[1].launch = 1; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.launches.clear(); }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.compiled[1].rank = 9; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.instructions = 8; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.instructions = 2 * STEPDOWN_PAGE; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.instructions = ~uint64_t(STEPDOWN_PAGE - 1); }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.strings.pop_back(); }), 507) << "a name without an end";
  EXPECT_EQ(spoil([](Parts &p) { p.strings.clear(); }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.head.values.offset = 4; }), 507) << "not aligned";
  EXPECT_EQ(spoil([](Parts &p) { p.head.functions.offset = 1 << 20; }), 507);
  EXPECT_EQ(spoil([](Parts &p) { p.head.functions.count = 0x10000000; }), 507);
}

// Code reads its arguments by their ranks, and as many bytes as elements and sizes say.
TEST(Functions, refusesOtherArgumentsThanTheCodeWasCompiledFor) {
  auto spoil = [](const std::function<void(Parts &)> &change) {
    Parts parts;
    change(parts);
    return codeOf(parts);
  };
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].element = STEPDOWN_I8; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].rank = 1; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].dims[1] = 2; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.values[0].dims[1] = -1; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.values[1].dims[0] = 3; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].argument_count = 0; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.functions[1].argument_count = 2, p.functions[1].result_count = 0; }), 560);
  EXPECT_EQ(spoil([](Parts &p) { p.code[1] = 0; }), 560) << "another function's code";
}

TEST(Functions, refusesSectionsOfAModelBesideFunctions) {
  for (uint32_t kind :
       {STEPDOWN_SECTION_METADATA, STEPDOWN_SECTION_PROGRAM, STEPDOWN_SECTION_WEIGHTS, STEPDOWN_SECTION_FUNCTIONS}) {
    Parts parts;
    parts.more = {{kind, {0, 0, 0, 0, 0, 0, 0, 0}}};
    EXPECT_EQ(codeOf(parts), 505) << kind;
  }
}

TEST(Functions, modelsAndFunctionsAreNotTakenForEachOther) {
  EXPECT_EQ(static_cast<int>(Model::load(Parts().write(), *openDevice(nullptr)).error().code), 510);
  EXPECT_EQ(static_cast<int>(FunctionLibrary::load(test::ToyModel().write(), *openDevice(nullptr)).error().code), 510);
}

TEST(Functions, checksArgumentsAndResults) {
  auto library = FunctionLibrary::load(Parts().write(), *openDevice(nullptr));
  ASSERT_TRUE(library) << library.error().message;
  auto call = [&](size_t index, const std::vector<Array> &arguments) {
    auto results = (*library)->call(index, arguments);
    return results ? 0 : static_cast<int>(results.error().code);
  };
  const float data[6] = {};
  EXPECT_EQ(call(0, {}), 0);
  EXPECT_EQ(call(0, {{STEPDOWN_F32, {2, 3}, data}}), 621);
  EXPECT_EQ(call(1, {}), 621);
  EXPECT_EQ(call(1, {{STEPDOWN_F64, {2, 3}, data}}), 622);
  EXPECT_EQ(call(1, {{99, {2, 3}, data}}), 622);
  EXPECT_EQ(call(1, {{STEPDOWN_F32, {3, 2}, data}}), 622);
  EXPECT_EQ(call(1, {{STEPDOWN_F32, {6}, data}}), 622);
  EXPECT_EQ(call(1, {{STEPDOWN_F32, {-1, 3}, data}}), 622);
  EXPECT_EQ(call(1, {{STEPDOWN_F32, {2, 3}, nullptr}}), 622);
  // The code fills in no result: its shape is not that of the signature, and nothing is read there.
  EXPECT_EQ(call(1, {{STEPDOWN_F32, {2, 3}, data}}), 623);
}

TEST(Functions, theCApiSaysTheSame) {
  stepdown_module *module = nullptr;
  EXPECT_EQ(stepdown_module_load(test::ToyModel().write().c_str(), nullptr, &module).code, 510);
  EXPECT_EQ(module, nullptr);
  stepdown_load_options options = {};
  options.size = sizeof options;
  options.isa = "x86-64-v3";
  options.copy = 1;
  ASSERT_EQ(stepdown_module_load(Parts().write().c_str(), &options, &module).code, 0);
  EXPECT_STREQ(stepdown_module_isa(module), "x86-64-v3");
  EXPECT_EQ(stepdown_module_function_count(module), 2u);
  stepdown_function_info info = {};
  info.size = sizeof info;
  EXPECT_EQ(stepdown_module_function(module, 1, &info).code, 0);
  EXPECT_STREQ(info.name, "one");
  EXPECT_EQ(info.arguments, 1u);
  EXPECT_EQ(stepdown_module_function(module, 2, &info).code, 620);
  stepdown_array array;
  EXPECT_EQ(stepdown_module_value(module, 1, 0, &array).code, 0);
  EXPECT_EQ(array.rank, 2);
  EXPECT_EQ(array.shape[0], -1);
  EXPECT_EQ(stepdown_module_value(module, 1, 2, &array).code, 621);
  stepdown_results *results = nullptr;
  EXPECT_EQ(stepdown_module_call(module, "two", nullptr, 0, &results).code, 620);
  array.rank = 9;
  EXPECT_EQ(stepdown_module_call(module, "one", &array, 1, &results).code, 622);
  EXPECT_EQ(results, nullptr);
  ASSERT_EQ(stepdown_module_call(module, "none", nullptr, 0, &results).code, 0);
  stepdown_module_free(module); // results live on
  EXPECT_EQ(stepdown_results_count(results), 0u);
  stepdown_results_free(results);
  stepdown_results_free(nullptr);
}

} // namespace
