// Adapters of a session: which requests keep one loaded, what tells two apart, and matrices of an artifact that do not
// fit each other. The toy model's kernels read no adapter, so that tokens with one draw what tokens without draw.
#include "include/stepdown/Runtime.h"
#include "lib/Checkpoint/BlockFormat.h"
#include "runtime/Session/SessionBytes.h"
#include "runtime/cpu/CpuDevice.h"
#include "test/device/CountingDevice.h"
#include "test/unit/GgufBytes.h"
#include "test/unit/Requests.h"
#include <filesystem>
#include <functional>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr uint64_t width = 4, room = 16, slots = 3; // of the toy model, of ranks, and with that of no adapter

/// A matrix of `count` slots behind those that are there: dims[0] is contiguous.
void addMatrix(ArtifactBuilder &b, const std::string &name, uint64_t columns, uint64_t rows, uint64_t count) {
  const bool after = !b.weights.empty() && b.weights.back().packing == STEPDOWN_PACKING_ADAPTERS;
  const uint64_t end = after ? b.weights.back().offset + b.weights.back().bytes : 0;
  const uint64_t bytes = columns * rows * count * sizeof(uint16_t);
  b.weights.push_back({b.string(name),
                       1,
                       STEPDOWN_PACKING_ADAPTERS,
                       3,
                       {columns, rows, count, 1},
                       (end + 63) / 64 * 64,
                       bytes,
                       width,
                       width});
}

void addLinear(ArtifactBuilder &b, const std::string &tensor, uint64_t down = slots, uint64_t up = slots) {
  addMatrix(b, tensor + ".lora_a", room, width, down);
  addMatrix(b, tensor + ".lora_b", width, room, up);
}

/// The toy model as an artifact of a llama, with a second program to which `add` adds matrices of adapters.
std::string write(ToyModel toy, const std::function<void(ArtifactBuilder &)> &add) {
  toy.architecture = "llama";
  ArtifactBuilder plain = toy.build(), adapted = toy.build();
  plain.pair("llama.context_length", toy.maxContext);
  plain.pair("llama.embedding_length", toy.width);
  plain.pair("llama.block_count", toy.layers);
  plain.pair("llama.feed_forward_length", toy.width);
  plain.pair("llama.attention.head_count", 1u);
  plain.pair("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  adapted.target = std::string("cpu") + STEPDOWN_ADAPTED;
  add(adapted);
  return temporaryFile(plain.fileWith({&adapted}), ".stepdown");
}

// Of both programs, the larger arena and the words of each, and what adapters lie in.
TEST(AdapterPlan, isWhatIsAllocated) {
  auto counting = std::make_shared<CountingDevice>(makeCpuDevice());
  auto model = Model::load(write({}, [](ArtifactBuilder &b) { addLinear(b, "blk.0.attn_q.weight"); }), counting);
  ASSERT_TRUE(model) << model.error().message;
  Session::Options options;
  options.kvBlock = 16;
  options.kvPositions = 331;
  auto shape = Session::shapeOf((*model)->program(), options);
  ASSERT_TRUE(shape);
  const FileTarget &adapted = *(*model)->adapted()->target;
  const SessionBytes plan = sessionBytes((*model)->program(), 64, *shape, counting->readsOperands(), &adapted);
  EXPECT_GT(plan.adapters, 0u);
  auto session = Session::create(*model, options);
  ASSERT_TRUE(session) << session.error().message;
  std::map<std::string, size_t> sum = counting->sum;
  EXPECT_EQ(sum["tokens of a step"], plan.inputs);
  EXPECT_EQ(sum["activations"], plan.activations);
  EXPECT_EQ(sum["operands of a step"], plan.operands);
  EXPECT_EQ(sum["adapters"], plan.adapters);
}

struct Named : Greedy {
  std::string name;
  Named(size_t limit, size_t vocabulary, std::string name) : Greedy(limit, vocabulary), name(std::move(name)) {}
  const std::string &adapter() const override { return name; }
};

/// An adapter of rank 3.
std::string adapterBytes() {
  return GgufBytes()
      .text("general.type", "adapter")
      .text("general.architecture", "llama")
      .text("adapter.type", "lora")
      .f32("adapter.lora.alpha", 3)
      .tensor("blk.0.attn_q.weight.lora_a", {width, 3})
      .tensor("blk.0.attn_q.weight.lora_b", {3, width})
      .bytes();
}

struct AdapterSetTest : Requests {
  const GgufBytes::File file{adapterBytes()};
  void SetUp() override {
    auto model =
        Model::load(write(toy, [](ArtifactBuilder &b) { addLinear(b, "blk.0.attn_q.weight"); }), GetParam().make());
    ASSERT_TRUE(model) << model.error().message;
    Session::Options options;
    options.kvBlock = 16;
    options.kvPositions = 64; // four blocks
    auto made = Session::create(*model, options);
    ASSERT_TRUE(made) << made.error().message;
    session = std::move(*made);
  }
  int load(const std::string &name, double scale = 1) {
    const Result<int32_t> loaded = session->loadAdapter(name, file.path, scale);
    return loaded ? 0 : static_cast<int>(loaded.error().code);
  }
  int unload(const std::string &name) {
    const Status done = session->unloadAdapter(name);
    return done ? 0 : static_cast<int>(done.error().code);
  }
};

// What it drew so far is to be computed again with the same adapter: neither may that go, nor another take its name.
TEST_P(AdapterSetTest, aRequestThatWaitsKeepsItsAdapter) {
  ASSERT_EQ(load("a"), 0);
  Scheduler scheduler(*session, 0);
  Greedy first(41, toy.vocabulary);
  Named second(19, toy.vocabulary, "a");
  scheduler.add(prompt(20, 1), first);
  scheduler.add(prompt(20, 2), second);
  EXPECT_EQ(unload("a"), 1478) << "before it has a sequence";
  while (scheduler.figures().preemptions == 0)
    ASSERT_TRUE(*scheduler.step());
  ASSERT_EQ(scheduler.waiting(), 1u);
  ASSERT_GT(second.drawn.size(), 0u);
  EXPECT_EQ(unload("a"), 1478) << "while it has gone back to wait";
  EXPECT_EQ(load("a"), 1478);
  EXPECT_EQ(load("b"), 0);
  EXPECT_EQ(unload("b"), 0);
  runAll(scheduler);
  EXPECT_EQ(first.drawn, expected(prompt(20, 1), 41));
  EXPECT_EQ(second.drawn, expected(prompt(20, 2), 19)) << second.problem;
  EXPECT_EQ(unload("a"), 0) << "once it is over";
  Named late(1, toy.vocabulary, "a");
  scheduler.add(prompt(3, 3), late);
  EXPECT_EQ(late.problem.rfind("error E1478", 0), 0u) << late.problem;
}

// Of several answers to a prompt each keeps it, until the last is over, is cancelled, or the scheduler is gone.
TEST_P(AdapterSetTest, whoIsCancelledKeepsNone) {
  for (int before : {0, 1, 3}) {
    ASSERT_EQ(load("a"), 0);
    {
      Scheduler scheduler(*session, 0);
      Named one(9, toy.vocabulary, "a"), other(9, toy.vocabulary, "a"), waiting(9, toy.vocabulary, "a");
      scheduler.add(prompt(17, 1), {&one, &other});
      scheduler.add(prompt(50, 2), waiting);
      for (int step = 0; step < before; ++step)
        ASSERT_TRUE(scheduler.step());
      scheduler.cancel(waiting);
      scheduler.cancel(one);
      EXPECT_EQ(unload("a"), 1478) << before;
      scheduler.cancel(other);
      EXPECT_EQ(unload("a"), 0) << before;
      ASSERT_EQ(load("a"), 0);
      scheduler.add(prompt(17, 3), one);
      scheduler.add(prompt(50, 2), waiting);
      for (int step = 0; step < before; ++step)
        ASSERT_TRUE(scheduler.step());
    }
    EXPECT_EQ(unload("a"), 0) << before;
  }
}

TEST_P(AdapterSetTest, otherNumbersAreAnotherAdapter) {
  for (const auto &[scale, other] : {std::pair(1e-7, 4e-7), std::pair(1.0, 1.001), std::pair(5000.0, 5004.0)}) {
    ASSERT_EQ(load("a", scale), 0);
    ASSERT_EQ(load("b", other), 0);
    const uint64_t identity = session->adapters()->identity(1);
    EXPECT_NE(identity, session->adapters()->identity(2)) << scale << " " << other;
    ASSERT_EQ(unload("b"), 0);
    ASSERT_EQ(load("again", scale), 0);
    EXPECT_EQ(identity, session->adapters()->identity(2)) << scale;
    ASSERT_EQ(unload("again"), 0);
    ASSERT_EQ(unload("a"), 0);
  }
}

// A transposed, and s B transposed, of every slot where its matrix has it, with zeros for the ranks that it lacks.
TEST_P(AdapterSetTest, aSlotHasTheNumbersOfTheFile) {
  const Model &model = session->of();
  auto set = AdapterSet::create(model);
  ASSERT_TRUE(set) << set.error().message;
  auto queue = model.device().queue(1);
  ASSERT_TRUE(queue) << queue.error().message;
  for (int32_t slot : {1, 2}) {
    auto loaded = (*set)->load("a" + std::to_string(slot), file.path, slot, **queue);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(*loaded, slot);
  }
  for (uint64_t slot : {1, 2}) {
    std::vector<uint16_t> down(width * room), up(width * room);
    const uint64_t bytes = down.size() * sizeof(uint16_t), first = (*set)->address();
    ASSERT_TRUE((*queue)->download(down.data(), first + slot * bytes, bytes));
    ASSERT_TRUE((*queue)->download(up.data(), first + (slots + slot) * bytes, bytes));
    ASSERT_TRUE((*queue)->sync());
    // Elements of a tensor count up; s is alpha / rank, 1. All are whole numbers that float16 holds, times a power of
    // two for each rank, which makes those of A and of B of one size and leaves their products.
    for (uint64_t rank = 0; rank < room; ++rank) {
      float ofDown = 0, ofUp = 0;
      for (uint64_t i = 0; i < width; ++i) {
        ofDown = std::max(ofDown, f16ToF32(down[i * room + rank])),
        ofUp = std::max(ofUp, f16ToF32(up[rank * width + i]));
        for (uint64_t j = 0; j < width; ++j)
          EXPECT_EQ(f16ToF32(down[i * room + rank]) * f16ToF32(up[rank * width + j]),
                    rank < 3 ? float((rank * width + i) * slot * (j * 3 + rank)) : 0)
              << slot << rank << i << j;
      }
      EXPECT_EQ(ofDown > 0, rank < 3);
      EXPECT_LE(std::max(ofDown, ofUp), 4 * std::min(ofDown, ofUp)) << slot << rank;
    }
  }
}

// A file that can be none, such as a model, is not read into memory to say so.
TEST_P(AdapterSetTest, aFileThatIsFarTooLargeIsNotRead) {
  const std::string path = temporaryFile({}, ".gguf");
  std::filesystem::resize_file(path, uint64_t(1) << 40); // all of it a hole
  auto set = AdapterSet::create(session->of());
  ASSERT_TRUE(set) << set.error().message;
  auto queue = session->of().device().queue(1);
  ASSERT_TRUE(queue) << queue.error().message;
  auto loaded = (*set)->load("a", path, 1, **queue);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::AdapterRoom) << loaded.error().message;
  std::filesystem::remove(path);
}

INSTANTIATE_ON_DEVICES(AdapterSetTest);

TEST(AdapterApi, loadsChoosesAndUnloads) {
  const GgufBytes::File file(adapterBytes());
  const std::string path = write({}, [](ArtifactBuilder &b) { addLinear(b, "blk.0.attn_q.weight"); });
  stepdown_model *model = nullptr;
  stepdown_session *session = nullptr;
  ASSERT_EQ(stepdown_model_load(path.c_str(), nullptr, &model).code, 0);
  ASSERT_EQ(stepdown_session_create(model, nullptr, &session).code, 0);
  EXPECT_EQ(stepdown_session_adapter_slots(session), slots - 1);
  EXPECT_EQ(stepdown_session_load_adapter(session, "a", file.path.c_str(), 1).code, 0);
  EXPECT_EQ(stepdown_session_load_adapter(session, "a", file.path.c_str(), 1).code, 1478);
  EXPECT_EQ(stepdown_session_load_adapter(session, "b", path.c_str(), 1).code, 102);
  EXPECT_STREQ(stepdown_session_adapter_name(session, 0), "a");
  EXPECT_STREQ(stepdown_session_adapter_name(session, 1), "");
  EXPECT_EQ(stepdown_session_adapter_name(session, 2), nullptr);
  stepdown_sequence sequence, fork;
  ASSERT_EQ(stepdown_sequence_create(session, &sequence).code, 0);
  EXPECT_EQ(stepdown_sequence_set_adapter(session, sequence, "b").code, 1478);
  EXPECT_EQ(stepdown_sequence_set_adapter(session, sequence, "a").code, 0);
  const stepdown_token token = {sequence, 5, 1};
  ASSERT_EQ(stepdown_session_submit(session, &token, 1).code, 0);
  ASSERT_EQ(stepdown_session_step(session).code, 0);
  EXPECT_EQ(stepdown_sequence_set_adapter(session, sequence, nullptr).code, 611);
  ASSERT_EQ(stepdown_sequence_fork(session, sequence, &fork).code, 0);
  stepdown_sequence_free(session, sequence);
  EXPECT_EQ(stepdown_session_unload_adapter(session, "a").code, 1478) << "the fork has it";
  stepdown_sequence_free(session, fork);
  EXPECT_EQ(stepdown_session_unload_adapter(session, "a").code, 0);
  EXPECT_EQ(stepdown_session_unload_adapter(session, "a").code, 1478);
  stepdown_session_free(session);
  stepdown_model_free(model);
}

// A slot is written in every matrix, whose sizes are found by the linear's name.
TEST(AdapterMatrices, thatDoNotFitEachOtherAreRefused) {
  const auto said = [](const std::function<void(ArtifactBuilder &)> &add) {
    auto opened = ArtifactFile::open(write({}, add));
    return opened ? std::string() : opened.error().text();
  };
  EXPECT_EQ(said([](auto &b) { addLinear(b, "x"), addLinear(b, "y"); }), "");
  for (const std::vector<uint64_t> &of :
       std::vector<std::vector<uint64_t>>{{1, 5, 5}, {5, 1, 5}, {5, 5, 1}, {2, 3, 2}}) {
    const std::string error = said([&](auto &b) { addLinear(b, "x", of[0], of[1]), addLinear(b, "y", of[2], of[2]); });
    EXPECT_NE(error.find("slots, which others of adapters have"), std::string::npos)
        << of[0] << of[1] << of[2] << error;
  }
  for (const auto &add : std::initializer_list<std::function<void(ArtifactBuilder &)>>{
           [](auto &b) { addMatrix(b, "x.lora_a", room, 2 * width, slots); },
           [](auto &b) { addMatrix(b, "x.lora_b", 2 * width, room, slots); }, [](auto &b) { addLinear(b, "x"); }}) {
    const std::string error = said([&](auto &b) { addLinear(b, "x"), add(b); });
    EXPECT_NE(error.find("expects no other weight with the name x.lora_"), std::string::npos) << error;
  }
}

} // namespace
