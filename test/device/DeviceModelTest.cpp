// A model's memory on a device: the plan is what is allocated, nothing is allocated by steps, too little memory is
// refused with what fits, and a device that is lost takes its own sessions with it and no others.
#include "runtime/Devices.h"
#include "runtime/Session/Session.h"
#include "runtime/Session/SessionBytes.h"
#include "runtime/driver/DriverDevice.h"
#include "runtime/emulated/EmulatedDevice.h"
#include "test/device/CompiledModel.h"
#include "test/device/CountingDevice.h"
#include "test/device/driver/FakeDrivers.h"
#include <cstring>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr const char *kChip = "emulated:sm_90a";
constexpr const char *kTiny = "--family llama --type Q8_0 --layers 1 --width 32 --heads 2 --kv-heads 1 --head-dim 16 "
                              "--ffn 32 --vocab 263 --context 1024";
constexpr const char *kExperts = "--family qwen3moe --type Q4_1 --layers 2 --head-dim 32 --experts 13 --used 3 "
                                 "--expert-ffn 32 --vocab 389 --context 67";
constexpr const char *kWindows = "--family gemma3 --type Q8_0 --layers 3 --pattern 1,0,1 --window 19 --width 64 "
                                 "--heads 2 --kv-heads 1 --ffn 96 --vocab 389 --context 151";

std::shared_ptr<CountingDevice> device(const char *chip = kChip, const EmulatedMachine &machine = {}) {
  return std::make_shared<CountingDevice>(makeEmulatedDevice(chip, {}, machine));
}

std::shared_ptr<const Model> load(const std::string &path, std::shared_ptr<Device> on) {
  auto model = Model::load(path, std::move(on));
  EXPECT_TRUE(model) << model.error().text();
  return model ? *model : nullptr;
}

/// A step of one token, which wants its logits.
Status stepOf(Session &session, int32_t sequence, int32_t id) {
  const Session::Token token = {sequence, id, true};
  if (Status submitted = session.submit(&token, 1); !submitted)
    return submitted;
  return session.step();
}

void planIsWhatIsAllocated(const char *made, const char *chip, const Session::Options &options) {
  const std::string path = compiledModel(made, std::string("--target=") + chip);
  auto counting = device(chip);
  EXPECT_EQ(counting->held(), 0u);
  auto model = load(path, counting);
  ASSERT_TRUE(model);
  const CodeSection &code = model->target().code.front();
  EXPECT_EQ(counting->allocated(), 0u);
  EXPECT_EQ(counting->adoptedBytes, model->weightBytes());
  EXPECT_EQ(counting->held(), model->weightBytes() + code.size);
  auto shape = Session::shapeOf(model->program(), options);
  ASSERT_TRUE(shape);
  const SessionBytes plan = sessionBytes(model->program(), model->target().alignment, *shape);
  auto session = Session::create(model, options);
  ASSERT_TRUE(session) << session.error().text();
  const std::map<std::string, size_t> expected = {{"tokens of a step", plan.inputs},
                                                  {"activations", plan.activations},
                                                  {"logits", plan.logits},
                                                  {"cache", plan.cache},
                                                  {"operands of a step", plan.operands},
                                                  {"block table", plan.tables}};
  EXPECT_EQ(counting->sum, expected);
  EXPECT_EQ(counting->allocated(), plan.total());
  EXPECT_EQ(counting->held(), model->weightBytes() + code.size + plan.total());
  EXPECT_EQ((*session)->kv().bytes(), plan.cache);
}

TEST(DeviceModel, thePlanIsWhatIsAllocated) {
  planIsWhatIsAllocated(kTiny, kChip, {});
  Session::Options options;
  options.kvBlock = 16;
  options.kvPositions = 331;
  options.maxSequences = 3;
  planIsWhatIsAllocated(kWindows, "emulated:gfx942", options);
  planIsWhatIsAllocated(kExperts, kChip, {});
}

// Of a driver's device, whose queues stage uploads; what graphs take is the driver's own, and in no plan.
TEST(DeviceModel, thePlanOfADriverIsWhatIsAllocated) {
  struct Kind {
    const char *library, *device, *emulated;
    const driver::Vendor *vendor;
  };
  for (const Kind &kind : {Kind{"libcuda.so.1", "nvidia:sm_90a", "emulated:sm_90a", &driver::kNvidia},
                           Kind{"libamdhip64.so.7", "amd:gfx942", "emulated:gfx942", &driver::kAmd}}) {
    const std::string path = compiledModel(kTiny, std::string("--target=") + kind.device + "," + kind.emulated);
    FakeDriverControl &fake = fakeDriver(kind.library);
    fake.artifact = path.c_str();
    auto opened = openDriverDevice(*kind.vendor, kind.device);
    ASSERT_TRUE(opened) << opened.error().text();
    auto model = load(path, *opened);
    ASSERT_TRUE(model);
    for (int32_t sequences : {1, 16, 997}) { // small, and so large a block table that no slot takes it
      Session::Options options;
      options.maxSequences = sequences;
      const size_t before = (*opened)->allocated();
      auto session = Session::create(model, options);
      ASSERT_TRUE(session) << session.error().text();
      const SessionBytes plan = sessionBytes(model->program(), model->target().alignment,
                                             *Session::shapeOf(model->program(), options), false);
      EXPECT_GT(plan.uploads, 0u);
      EXPECT_EQ(plan.operands, 0u);
      EXPECT_EQ((*opened)->allocated() - before, plan.total()) << kind.device << ", " << sequences;
      const int32_t sequence = *(*session)->createSequence();
      for (int i = 0; i < 4; ++i) // a graph is captured and replayed
        ASSERT_TRUE(stepOf(**session, sequence, 3 + i));
      EXPECT_EQ((*opened)->allocated() - before, plan.total()) << kind.device << ", " << sequences;
    }
    fake.artifact = nullptr;
  }
}

// Of a session of no options, for each target of a file.
TEST(DeviceModel, inspectShowsThePlan) {
  const std::string path = compiledModel(kWindows, "--target=cpu,emulated:sm_90a,emulated:gfx942");
  const auto told = nlohmann::json::parse(outputOf(std::string(STEPDOWN_RUN) + " inspect --json " + path));
  size_t devices = 0;
  for (const auto &target : told["targets"]) {
    const std::string name = target["target"];
    if (name == "cpu")
      continue;
    auto counting = device(name.c_str());
    auto model = load(path, counting);
    ASSERT_TRUE(model);
    EXPECT_EQ(target["weight_bytes"], counting->adoptedBytes);
    EXPECT_EQ(target["code_bytes"], counting->codeBytes);
    auto session = Session::create(model, {});
    ASSERT_TRUE(session) << session.error().text();
    const auto &bytes = target["session_bytes"];
    EXPECT_EQ(bytes["total"], counting->allocated());
    EXPECT_EQ(bytes["keys_and_values"], counting->sum["cache"]);
    EXPECT_EQ(bytes["block_tables"], counting->sum["block table"]);
    EXPECT_EQ(bytes["activations"], counting->sum["activations"]);
    EXPECT_EQ(bytes["logits"], counting->sum["logits"]);
    EXPECT_EQ(bytes["inputs"], counting->sum["tokens of a step"]);
    EXPECT_EQ(bytes["operands"], counting->sum["operands of a step"]);
    ++devices;
  }
  EXPECT_EQ(devices, 2u);
}

TEST(DeviceModel, aThousandStepsAllocateNothing) {
  auto counting = device();
  counting->idle = true; // a kernel allocates nothing, whatever it computes
  auto model = load(compiledModel(kTiny, std::string("--target=") + kChip), counting);
  ASSERT_TRUE(model);
  Session::Options options;
  options.maxSequences = 2;
  auto made = Session::create(model, options);
  ASSERT_TRUE(made) << made.error().text();
  Session &session = **made;
  const int32_t first = *session.createSequence();
  int32_t second = *session.createSequence();
  const uint64_t calls = counting->calls;
  const size_t bytes = counting->held();
  ASSERT_GT(calls, 0u);
  for (int i = 0; i < 1000; ++i) {
    if (i % 97 == 96) { // sequences come and go, and copy the blocks that they share
      session.freeSequence(second);
      if (i % 194 == 193)
        ASSERT_TRUE(session.truncate(first, 11));
      auto fork = session.fork(first);
      ASSERT_TRUE(fork);
      second = *fork;
    } else if (session.length(first) > 40) { // short, so that attention is
      ASSERT_TRUE(session.truncate(first, 3));
    }
    const uint64_t launched = counting->launched.count;
    const Status done = stepOf(session, i % 3 ? first : second, i % 89);
    ASSERT_TRUE(done) << i << ": " << done.error().text();
    ASSERT_GT(counting->launched.count, launched) << i;
    if (session.length(second) > 40)
      ASSERT_TRUE(session.truncate(second, 5));
  }
  EXPECT_EQ(counting->calls, calls);
  EXPECT_EQ(counting->held(), bytes);
}

TEST(DeviceModel, tooLittleMemoryForTheModelIsRefused) {
  const std::string path = compiledModel(kTiny, std::string("--target=") + kChip);
  auto all = device();
  ASSERT_TRUE(load(path, all));
  const size_t needed = all->held();
  auto refused = Model::load(path, device(kChip, {needed - 1}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::DeviceMemory);
  EXPECT_NE(refused.error().message.find("weights: expects"), std::string::npos) << refused.error().text();
  EXPECT_TRUE(Model::load(path, device(kChip, {needed})));
}

TEST(DeviceModel, tooLittleMemoryForASessionIsRefusedWithWhatFits) {
  const std::string path = compiledModel(kTiny, std::string("--target=") + kChip);
  auto all = device();
  auto model = load(path, all);
  ASSERT_TRUE(model);
  const size_t weights = all->held();
  Session::Options options;
  options.maxSequences = 5;
  auto bytesOf = [&](int64_t positions, int32_t sequences) {
    Session::Options other = options;
    other.kvPositions = positions;
    other.maxSequences = sequences;
    return sessionBytes(model->program(), model->target().alignment, *Session::shapeOf(model->program(), other))
        .total();
  };
  // Room for 7 blocks of 32 positions, not for an eighth.
  const size_t room = weights + bytesOf(8 * 32, 5) - 1;
  auto small = device(kChip, {room});
  auto there = load(path, small);
  ASSERT_TRUE(there);
  auto refused = Session::create(there, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::DeviceMemory);
  EXPECT_NE(refused.error().message.find("what fits is 224 positions over 5 sequences, or "), std::string::npos)
      << refused.error().text();
  EXPECT_EQ(small->allocated(), 0u) << "refused before anything is allocated";
  options.kvPositions = 225;
  EXPECT_FALSE(Session::create(there, options));
  options.kvPositions = 224;
  auto fits = Session::create(there, options);
  ASSERT_TRUE(fits) << fits.error().text();
  EXPECT_TRUE(stepOf(**fits, *(*fits)->createSequence(), 7));
  // What is left is what the next may have.
  auto second = Session::create(there, options);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("no context"), std::string::npos) << second.error().text();
}

TEST(DeviceModel, aLostDeviceFailsItsSessionsAndNoOthers) {
  const std::string path = compiledModel(kTiny, std::string("--target=cpu,") + kChip);
  auto whole = load(path, device());
  ASSERT_TRUE(whole);
  auto session = std::move(*Session::create(whole, {}));
  const int32_t sequence = *session->createSequence();
  ASSERT_TRUE(stepOf(*session, sequence, 7));
  ASSERT_TRUE(stepOf(*session, sequence, 11));
  const std::vector<float> expected(session->logits(0), session->logits(0) + 263);

  // Lost in the middle of the second step.
  const uint64_t launches = session->dispatches() + session->dispatches() / 2;
  auto bad = load(path, device(kChip, {0, launches})), good = load(path, device()),
       cpu = load(path, *openDevice("cpu"));
  ASSERT_TRUE(bad && good && cpu);
  auto failing = std::move(*Session::create(bad, {})), beside = std::move(*Session::create(bad, {})),
       going = std::move(*Session::create(good, {})), host = std::move(*Session::create(cpu, {}));
  for (Session *each : {failing.get(), beside.get(), going.get(), host.get()})
    ASSERT_EQ(*each->createSequence(), sequence);
  for (Session *each : {failing.get(), going.get(), host.get()})
    ASSERT_TRUE(stepOf(*each, sequence, 7));
  const Status lost = stepOf(*failing, sequence, 11);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::DeviceLost);
  EXPECT_EQ(failing->rows(), 0u);
  for (int round = 0; round < 2; ++round) { // it stays so
    const Status after = stepOf(*failing, sequence, 13);
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code, ErrorCode::SessionFailed);
    EXPECT_NE(after.error().message.find("E1014"), std::string::npos) << after.error().text();
  }
  EXPECT_FALSE(stepOf(*beside, sequence, 7)) << "it is on the lost device";
  ASSERT_TRUE(stepOf(*going, sequence, 11));
  EXPECT_EQ(std::vector<float>(going->logits(0), going->logits(0) + 263), expected);
  ASSERT_TRUE(stepOf(*host, sequence, 11));
  failing.reset(); // gives its memory back
  EXPECT_LT(bad->device().allocated(), good->device().allocated() * 2);
}

// Tiles of products are wider from bucket to bucket: no result may show in which a token was.
struct EachVendor : testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(DeviceModel, EachVendor, testing::Values("emulated:sm_90a", "emulated:gfx942"),
                         [](auto &each) { return std::string(each.param).substr(9); });

/// Logits of 131 tokens of `made`, which has 263, in steps of `all` as in one step for each.
void theSameBytesInSteps(const char *made, const char *chip, const std::vector<std::vector<int>> &all) {
  auto model = load(compiledModel(made, std::string("--target=") + chip), device(chip));
  ASSERT_TRUE(model);
  const size_t vocabulary = 263;
  constexpr int kMost = 131;
  auto tokenAt = [](int32_t sequence, int at) { return Session::Token{sequence, 3 + 11 * at % 251, true}; };
  auto single = Session::create(model, {});
  ASSERT_TRUE(single) << single.error().text();
  std::vector<std::vector<float>> alone; // logits of each position, a step each
  const int32_t first = *(*single)->createSequence();
  for (int i = 0; i < kMost; ++i) {
    const Session::Token token = tokenAt(first, i);
    ASSERT_TRUE((*single)->submit(&token, 1));
    ASSERT_TRUE((*single)->step());
    alone.emplace_back((*single)->logits(0), (*single)->logits(0) + vocabulary);
  }
  for (const std::vector<int> &chunks : all) {
    SCOPED_TRACE(testing::PrintToString(chunks));
    auto session = Session::create(model, {});
    ASSERT_TRUE(session) << session.error().text();
    const int32_t sequence = *(*session)->createSequence();
    int position = 0;
    for (int count : chunks) {
      std::vector<Session::Token> batch;
      for (int i = 0; i < count; ++i)
        batch.push_back(tokenAt(sequence, position + i));
      ASSERT_TRUE((*session)->submit(batch.data(), batch.size()));
      const Status done = (*session)->step();
      ASSERT_TRUE(done) << done.error().text();
      for (int i = 0; i < count; ++i)
        ASSERT_EQ(std::memcmp((*session)->logits(i), alone[position + i].data(), vocabulary * sizeof(float)), 0)
            << "position " << position + i;
      position += count;
    }
  }
}

TEST_P(EachVendor, theSameBytesInStepsOfEveryBucket) {
  // The last two come to tiles of every width and back.
  std::vector<std::vector<int>> all = {{7},   {8},   {9},      {63},          {64},       {65},
                                       {127}, {131}, {64, 67}, {9, 8, 65, 7}, {1, 129, 1}};
  if (std::string(GetParam()) != kChip)
    all.erase(all.begin(), all.end() - 2);
  theSameBytesInSteps(
      "--family llama --type Q4_K --layers 1 --width 256 --heads 2 --kv-heads 1 --head-dim 16 --ffn 256 "
      "--vocab 263 --context 137",
      GetParam(), all);
}

// Tokens that share an expert are brought together from step to step in other company: of five experts, which have more
// tokens than a tile, and of 97, most of which have none.
TEST_P(EachVendor, theSameBytesOfExpertsInStepsOfEveryBucket) {
  for (const char *experts : {"--experts 5 --used 2 --expert-ffn 96", "--experts 97 --used 3 --expert-ffn 32"})
    theSameBytesInSteps((std::string("--family qwen3moe --type Q5_1 --layers 1 --width 96 --heads 2 --kv-heads 1 "
                                     "--head-dim 16 --vocab 263 --context 137 ") +
                         experts)
                            .c_str(),
                        GetParam(), {{131}, {9, 8, 65, 7}});
}

// A context of three splits comes into the cache in several ways, beside another sequence, in blocks of several sizes.
TEST_P(EachVendor, theSameBytesHoweverAContextCame) {
  auto model = load(compiledModel(kTiny, std::string("--target=") + GetParam()), device(GetParam()));
  ASSERT_TRUE(model);
  constexpr int kMost = 293, kVocabulary = 263;
  auto run = [&](const std::vector<int> &chunks, int blockSize, bool beside) {
    Session::Options options;
    options.kvBlock = blockSize;
    options.maxSequences = 2;
    auto session = Session::create(model, options);
    EXPECT_TRUE(session) << session.error().text();
    const int32_t other = *(*session)->createSequence(), sequence = *(*session)->createSequence();
    int position = 0;
    for (int count : chunks) {
      std::vector<Session::Token> batch;
      if (beside)
        batch.push_back({other, 7 + position % 251, false});
      for (int i = 0; i < count; ++i, ++position)
        batch.push_back({sequence, 3 + 11 * position % 251, position + 1 == kMost});
      EXPECT_TRUE((*session)->submit(batch.data(), batch.size()));
      const Status done = (*session)->step();
      EXPECT_TRUE(done) << done.error().text();
    }
    const float *logits = (*session)->logits(0);
    return std::vector<float>(logits, logits + kVocabulary);
  };
  const std::vector<float> whole = run({kMost}, 32, false);
  for (const std::vector<int> &chunks :
       std::vector<std::vector<int>>{{kMost - 1, 1}, {37, 128, 127, 1}, {128, 128, kMost - 256}, {200, 93}})
    for (int blockSize : {16, 64}) {
      const std::vector<float> cut = run(chunks, blockSize, true);
      EXPECT_EQ(std::memcmp(cut.data(), whole.data(), cut.size() * sizeof(float)), 0)
          << testing::PrintToString(chunks) << ", blocks of " << blockSize;
    }
}

} // namespace
