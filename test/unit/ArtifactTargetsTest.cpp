// Artifacts with code for several targets, on devices that run one of them.
#include "runtime/Devices.h"
#include "runtime/Load/Model.h"
#include "runtime/Session/Session.h"
#include "test/unit/NamedDevice.h"
#include "test/unit/ToyModel.h"
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>

using namespace stepdown;
using test::ArtifactBuilder;
using test::NamedDevice;
using test::ToyModel;

namespace {

/// A model for "cpu", and for "other" the same with entries by name, launches as a GPU has them, one CODE section
/// without a level, and a scale of the last layer of its own.
struct TwoTargets : testing::Test {
  ToyModel toy;
  ArtifactBuilder cpu = toy.build(), other = toy.build();
  void SetUp() override {
    other.target = "other";
    other.codes = {{0, other.codes.front().bytes}};
    other.code.resize(other.code.size() / 2);
    other.codeNames = std::string("entry\0", 6);
    for (size_t i = 0; i < other.launches.size(); ++i) {
      other.entries[i].name = 0;
      other.launches[i].grid[1] = {13, 3};
      other.launches[i].grid[2] = {STEPDOWN_DIM_SEQUENCES, 2};
      other.launches[i].block[0] = 32;
      other.launches[i].cluster[1] = 2;
      other.launches[i].shared_bytes = 1031;
    }
    // What both pack alike lies where the first has it; the second's own scale lies behind, and is another.
    const float scale = 5;
    cpu.weightBytes.resize(cpu.weightBytes.size() + 128);
    other.weights.back().offset = (cpu.weightBytes.size() - 64) / 64 * 64;
    std::memcpy(cpu.weightBytes.data() + other.weights.back().offset, &scale, sizeof scale);
  }
  std::string write() const { return test::temporaryFile(cpu.fileWith({&other}), ".stepdown"); }

  std::vector<float> logits(const std::shared_ptr<const Model> &model) {
    Session::Options options;
    options.threads = 1;
    options.maxSequences = 3;
    auto session = std::move(*Session::create(model, options));
    const Session::Token tokens[] = {{*session->createSequence(), 7, false}, {0, 11, true}};
    EXPECT_TRUE(session->submit(tokens, 2));
    EXPECT_TRUE(session->step());
    return {session->logits(0), session->logits(0) + toy.vocabulary};
  }
};

TEST_F(TwoTargets, eachDeviceTakesItsOwn) {
  const std::string path = write();
  auto mine = Model::load(path, *openDevice("cpu"));
  ASSERT_TRUE(mine) << mine.error().text();
  EXPECT_EQ((*mine)->target().name, "cpu");
  EXPECT_EQ(logits(*mine), toy.logits({7, 11}));

  auto device = std::make_shared<NamedDevice>("other");
  auto theirs = Model::load(path, device);
  ASSERT_TRUE(theirs) << theirs.error().text();
  EXPECT_EQ((*theirs)->target().name, "other");
  EXPECT_STREQ((*theirs)->level(), "other"); // it has no levels
  EXPECT_NE(logits(*theirs), toy.logits({7, 11})) << "the last layer has another scale";
}

TEST_F(TwoTargets, aDeviceIsToldHowKernelsAreLaunched) {
  auto device = std::make_shared<NamedDevice>("other");
  auto model = Model::load(write(), device);
  ASSERT_TRUE(model) << model.error().text();
  ASSERT_EQ(device->prepared.size(), other.entries.size());
  for (const NamedDevice::Prepared &kernel : device->prepared) {
    EXPECT_EQ(kernel.name, "entry");
    EXPECT_EQ(kernel.launch.block[0], 32u);
    EXPECT_EQ(kernel.launch.cluster[1], 2u);
    EXPECT_EQ(kernel.launch.shared_bytes, 1031u);
  }
  logits(*model);
  ASSERT_EQ(device->launched.size(), other.dispatches.size() + 2); // a kind of two dispatches runs in two layers
  for (const Launch &launch : device->launched) {
    EXPECT_EQ(launch.grid[0], 1u); // two tokens and one row, in tiles of 8 and 1
    EXPECT_EQ(launch.grid[1], 5u); // 13 by 3
    EXPECT_EQ(launch.grid[2], 2u); // 3 sequences by 2
  }
}

TEST_F(TwoTargets, anEmptyGridIsNotLaunched) {
  auto device = std::make_shared<NamedDevice>("other");
  auto model = Model::load(write(), device);
  ASSERT_TRUE(model) << model.error().text();
  auto session = std::move(*Session::create(*model, {}));
  const Session::Token token = {*session->createSequence(), 7, false};
  ASSERT_TRUE(session->submit(&token, 1));
  ASSERT_TRUE(session->step());
  EXPECT_EQ(device->launched.size(), other.dispatches.size() + 2 - 1); // all but the head, of no rows
}

// A device of its own memory copies what it adopts: not the weights of others.
TEST_F(TwoTargets, aDeviceGetsItsOwnWeightsAlone) {
  auto device = std::make_shared<NamedDevice>("cpu");
  const std::string path = write();
  auto model = Model::load(path, device);
  ASSERT_TRUE(model) << model.error().text();
  const stepdown_weight &last = (*model)->program().weights[cpu.weights.size() - 1];
  EXPECT_EQ(device->adopted.second, (last.offset + last.bytes + 63) / 64 * 64 + 64);
  EXPECT_LT(device->adopted.second, (*model)->artifact().weightBytes());
}

TEST_F(TwoTargets, refusesADeviceThatItHasNothingFor) {
  const std::string path = write();
  auto model = Model::load(path, std::make_shared<NamedDevice>("third"));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().text(),
            "error E0911: " + path + ": expects code for device third, but the artifact holds targets cpu, other");
}

TEST_F(TwoTargets, refusesAnAlignmentThatTheDeviceHasNot) {
  auto model = Model::load(write(), std::make_shared<NamedDevice>("other", 32));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::LaunchUnsupported);
  EXPECT_NE(model.error().message.find("target other: expects addresses in multiples of at most 32 bytes"),
            std::string::npos)
      << model.error().message;
}

// A launch that is wrong for the processor is refused before anything runs.
TEST_F(TwoTargets, theProcessorRefusesLaunchesThatAreNotItsOwn) {
  cpu.launches[3].shared_bytes = 7;
  auto model = Model::load(write(), *openDevice("cpu"));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::LaunchUnsupported);
}

TEST_F(TwoTargets, messagesNameTheTarget) {
  ++other.head.vocabulary;
  const std::string path = write();
  auto file = ArtifactFile::open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message.substr(0, path.size() + 15), path + ": target other:");
}

// Every section belongs to a target that the header lists, and every target has what it needs.
TEST_F(TwoTargets, refusesSectionsOfNoOrTheWrongTarget) {
  const std::vector<uint8_t> good = cpu.fileWith({&other});
  auto spoil = [&](auto change) {
    std::vector<uint8_t> bytes = good;
    change(*reinterpret_cast<stepdown_header *>(bytes.data()));
    test::seal(bytes, false);
    auto file = ArtifactFile::open(test::temporaryFile(bytes, ".stepdown"));
    return file ? std::string() : file.error().text();
  };
  auto contains = [](const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; };
  // 0 metadata, 1 program, 2 and 3 code of "cpu", 4 program and 5 code of "other", 6 provenance, 7 weights
  EXPECT_EQ(spoil([](auto &) {}), "");
  std::string said = spoil([](auto &h) { h.sections[5].target = 2; });
  const size_t at = offsetof(stepdown_header, sections) + 5 * sizeof(stepdown_section) + 2;
  EXPECT_TRUE(contains(said, "error E0505")) << said;
  EXPECT_TRUE(contains(said, "offset " + std::to_string(at) +
                                 ": section 5 (code): expects one of the 2 targets of the "
                                 "header, but got number 2"))
      << said;
  said = spoil([](auto &h) { h.sections[4].target = 0; });
  EXPECT_TRUE(contains(said, "expects one program or functions section of target cpu, but section 1 is one too"))
      << said;
  said = spoil([](auto &h) { h.sections[5].target = 0; });
  EXPECT_TRUE(contains(said, "expects one code section of target cpu for each level")) << said;
  said = spoil([](auto &h) { h.sections[4].kind = STEPDOWN_SECTION_FUNCTIONS; });
  EXPECT_TRUE(contains(said, "error E0505")) << said;
  said = spoil([](auto &h) { h.target_count = 1; });
  EXPECT_TRUE(contains(said, "expects one of the 1 targets")) << said;
}

} // namespace
