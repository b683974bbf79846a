// The bytes that --explain tells of each dispatch on a device are those that the emulator sees its lanes touch:
// of weights, keys and values, and of what is written, to the byte.
#include "runtime/Session/Session.h"
#include "runtime/emulated/EmulatedDevice.h"
#include "test/device/CompiledModel.h"
#include "test/device/CountingDevice.h"
#include "test/device/TouchedBytes.h"
#include "test/unit/MadeModel.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Distinct bytes that launches touch, by what lies there.
class Counter final : public emulated::Observer {
public:
  struct Seen {
    std::string kernel;
    std::map<std::string, uint64_t> read, written; ///< by purpose
    uint64_t weightsAsked = 0;                     ///< whatever is read twice counts twice
  };
  CountingDevice *device = nullptr;
  std::vector<Seen> launched;

  void launches(const char *kernel) override {
    close();
    launched.push_back({kernel, {}, {}, 0});
  }
  void touches(const void *address, uint32_t bytes, bool write) override {
    if (!write && reinterpret_cast<uint64_t>(address) - device->adoptedAt < device->adoptedBytes)
      launched.back().weightsAsked += bytes;
    (write ? writes : reads).touch(address, bytes);
  }
  /// Ends the launch that is counted.
  void close() {
    for (bool write : {false, true}) {
      TouchedBytes &touched = write ? writes : reads;
      touched.each([&](uint64_t at) {
        if (const char *purpose = device->purposeAt(at))
          ++(write ? launched.back().written : launched.back().read)[purpose];
      });
      touched.clear();
    }
  }

private:
  TouchedBytes reads, writes;
};

uint64_t take(std::map<std::string, uint64_t> &bytes, const char *purpose) {
  const uint64_t value = bytes[purpose];
  bytes.erase(purpose);
  return value;
}

uint64_t numberOf(const std::string &options, const std::string &option) {
  const size_t at = options.find(option);
  return at == std::string::npos ? 0 : std::stoull(options.substr(at + option.size()));
}

void compare(const std::string &model, const char *chip, const std::string &more) {
  const std::string options = std::string("--target=") + chip + " " + more;
  const auto told = nlohmann::json::parse(
      outputOf(std::string(STEPDOWN_COMPILE) + " " + makeModel(model) + " --explain=json " + options))["devices"][0];
  ASSERT_EQ(told["device"], chip);
  Counter counter;
  emulated::Options watched;
  watched.observer = &counter;
  auto device = std::make_shared<CountingDevice>(makeEmulatedDevice(chip, watched));
  counter.device = device.get();
  auto loaded = Model::load(compiledModel(model, options), device);
  ASSERT_TRUE(loaded) << loaded.error().text();
  for (const char *load : {"one_token", "prompt"}) {
    auto session = Session::create(*loaded, {});
    ASSERT_TRUE(session) << session.error().text();
    const int vocabulary = int((*loaded)->program().head.vocabulary);
    const int tokens = told[load]["tokens"], positions = told[load]["positions"];
    const int32_t sequence = *(*session)->createSequence();
    auto step = [&](int first, int count) {
      std::vector<Session::Token> batch;
      for (int i = first; i < first + count; ++i)
        batch.push_back({sequence, (5 + 7 * i) % vocabulary, i + 1 == positions}); // each another token
      ASSERT_TRUE((*session)->submit(batch.data(), batch.size()));
      const Status done = (*session)->step();
      ASSERT_TRUE(done) << done.error().text();
    };
    if (tokens < positions)
      step(0, positions - tokens);
    counter.close();
    counter.launched.clear();
    device->launched.grids.clear();
    step(positions - tokens, tokens);
    counter.close();
    ASSERT_EQ(device->launched.grids.size(), counter.launched.size());

    // Dispatches in the order of the step: the entry, each layer's, the exit.
    std::vector<nlohmann::json> expected, entry, exit;
    std::vector<std::pair<std::string, std::vector<nlohmann::json>>> layers; // by kind
    for (const auto &dispatch : told["dispatches"]) {
      EXPECT_FALSE(dispatch["whole_operands"]) << dispatch["kernel"];
      if (dispatch["function"] == "step") {
        (dispatch["by_rows"] ? exit : entry).push_back(dispatch);
        continue;
      }
      if (layers.empty() || layers.back().first != dispatch["function"])
        layers.push_back({dispatch["function"], {}});
      layers.back().second.push_back(dispatch);
    }
    size_t at = 0;
    auto functionOf = [&](const nlohmann::json &dispatch) {
      return std::string(dispatch["kernel"]) + "_b" + std::to_string(int(dispatch[load]["variant"]));
    };
    auto check = [&](const nlohmann::json &dispatch) {
      ASSERT_LT(at, counter.launched.size());
      const auto grid = device->launched.grids[at];
      Counter::Seen &seen = counter.launched[at++];
      ASSERT_EQ(seen.kernel, functionOf(dispatch));
      const auto &traffic = dispatch[load];
      const std::string where = model + ", " + chip + ", " + load + ", " + seen.kernel;
      EXPECT_EQ(traffic["grid"], nlohmann::json({grid[0], grid[1]})) << where;
      EXPECT_EQ(grid[2], 1u) << where;
      const uint64_t weights = take(seen.read, "weights");
      if (tokens > 1 && !dispatch["by_rows"] && seen.kernel.find("expert") != std::string::npos) {
        // Tokens have the same experts, or, as is told, each others while there are any.
        const uint64_t experts = numberOf(model, "--experts "), used = numberOf(model, "--used ");
        const uint64_t alone = dispatch["one_token"]["weights_read"];
        EXPECT_GE(traffic["weights_read"], weights) << where;
        EXPECT_EQ(traffic["weights_read"].get<uint64_t>() * used, alone * std::min(tokens * used, experts)) << where;
      } else {
        EXPECT_EQ(traffic["weights_read"], weights) << where;
      }
      if (dispatch["tiles"]) { // once for each tile of tokens; lanes of AMD's that have a row all read its scales, at
                               // once
        const uint64_t once = traffic["weights_read"].get<uint64_t>() * int(traffic["grid"][1]);
        EXPECT_GE(seen.weightsAsked, once) << where;
        EXPECT_LE(seen.weightsAsked, std::string(chip).find("gfx") != std::string::npos ? once * 3 / 2 : once) << where;
      }
      EXPECT_EQ(traffic["cache_read"], take(seen.read, "cache")) << where;
      EXPECT_EQ(traffic["cache_written"], take(seen.written, "cache")) << where;
      uint64_t read = 0, written = 0;
      for (const auto &[purpose, bytes] : seen.read)
        read += bytes;
      for (const auto &[purpose, bytes] : seen.written)
        written += bytes;
      // An index that depends on a comparison is widened: by two numbers of each token and rotation, of which what
      // fills the cache may have two.
      const int rotations = seen.kernel.find("rope_append") != std::string::npos ? 2 : 1;
      EXPECT_GE(traffic["other_read"], read) << where;
      EXPECT_LE(traffic["other_read"], read + 8 * rotations * (dispatch["by_rows"] ? 1 : tokens)) << where;
      EXPECT_EQ(traffic["other_written"], written) << where;
    };
    for (const auto &dispatch : entry)
      check(dispatch);
    const Program &program = (*loaded)->program();
    for (size_t layer = 0; layer < program.layers.count; ++layer) {
      // Of the function that its launches are of: kinds differ in their attention or in what the last leaves out.
      const auto kind = std::find_if(layers.begin(), layers.end(), [&](const auto &candidate) {
        for (size_t i = 0; i < candidate.second.size(); ++i)
          if (at + i >= counter.launched.size() || counter.launched[at + i].kernel != functionOf(candidate.second[i]))
            return false;
        return true;
      });
      ASSERT_NE(kind, layers.end()) << "layer " << layer;
      for (const auto &dispatch : kind->second)
        check(dispatch);
    }
    for (const auto &dispatch : exit)
      check(dispatch);
    EXPECT_EQ(at, counter.launched.size());
    EXPECT_EQ(told["launches"][load], at);
  }
}

TEST(DeviceTraffic, llama) {
  compare("--family llama --type Q4_1 --layers 2 --width 96 --heads 3 --kv-heads 1 --ffn 160 --vocab 389 --context 43",
          "emulated:sm_90a", "");
}

// Of a launch whose threads do different things each does one: a number of queries and keys is rotated, by the cosine
// and the sine of a sum of two angles (3 operations each), two products, a sum and the sine's sign (4); one of values
// is copied, and there are as many of them as of keys.
TEST(DeviceTraffic, operationsAreCountedOnce) {
  const int queries = 6 * 16, keys = 2 * 16;
  const auto told = nlohmann::json::parse(
      outputOf(std::string(STEPDOWN_COMPILE) + " " +
               makeModel("--family llama --type Q8_0 --layers 1 --width 96 --heads 6 --kv-heads 2 --ffn 64 --vocab 389 "
                         "--context 43") +
               " --explain=json --target=emulated:sm_90a"))["devices"][0];
  int rotations = 0;
  for (const auto &dispatch : told["dispatches"]) {
    if (std::string(dispatch["kernel"]).find("rope_append") == std::string::npos)
      continue;
    ++rotations;
    for (const char *load : {"one_token", "prompt"}) {
      const int tokens = told[load]["tokens"];
      EXPECT_EQ(dispatch["columns"], queries + 2 * keys);
      EXPECT_EQ(dispatch[load]["operations"], tokens * 10 * (queries + keys)) << dispatch["kernel"] << ", " << load;
    }
  }
  EXPECT_EQ(rotations, 1);
}

// A window, norms of heads, a super-block type, float32 caches.
TEST(DeviceTraffic, gemma3) {
  compare("--family gemma3 --type Q4_K --layers 3 --pattern 1,0,1 --window 13 --width 256 --heads 2 --kv-heads 1 "
          "--head-dim 32 --ffn 256 --vocab 389 --context 41",
          "emulated:gfx942", "--exact");
}

// A prompt whose products have the widest tiles; weights of more rows than one has. Rows that 128 threads do not
// divide.
TEST(DeviceTraffic, longPrompt) {
  compare("--family llama --type Q8_0 --layers 1 --width 64 --heads 2 --kv-heads 1 --head-dim 16 --ffn 608 --vocab 521 "
          "--context 512",
          "emulated:sm_90a", "");
}

// Contexts of several chunks, whole and seen through a window that begins within one.
TEST(DeviceTraffic, splits) {
  compare("--family gemma3 --type Q5_0 --layers 2 --pattern 1,0 --window 149 --width 64 --heads 4 --kv-heads 1 "
          "--head-dim 16 --ffn 64 --vocab 521 --context 311",
          "emulated:gfx942", "");
}

// Attention whose joining launch makes a product's rows: 144 numbers of each, by 192 threads, and over several chunks;
// and 1056 numbers, of which a thread has two.
TEST(DeviceTraffic, joinedRows) {
  compare(
      "--family llama --type Q4_1 --layers 2 --width 160 --heads 9 --kv-heads 3 --head-dim 16 --ffn 160 --vocab 389 "
      "--context 291",
      "emulated:gfx942", "");
  compare("--family llama --type Q8_0 --layers 1 --width 32 --heads 66 --kv-heads 6 --head-dim 16 --ffn 32 --vocab 389 "
          "--context 37",
          "emulated:sm_90a", "");
}

// Experts: of the stacks a token alone reads those that it has. Of the shared one's share of one column, too.
TEST(DeviceTraffic, experts) {
  compare("--family qwen2moe --type Q4_0 --layers 2 --experts 7 --used 3 --expert-ffn 96 --shared-ffn 160 --vocab 389 "
          "--context 41",
          "emulated:sm_90a", "");
  compare("--family gpt-oss --type MXFP4 --layers 2 --heads 6 --kv-heads 2 --head-dim 16 --experts 7 --used 3 "
          "--expert-ffn 96 --window 11 --vocab 389 --context 37",
          "emulated:gfx942", "--exact");
  const std::string many = "--family qwen3moe --type Q4_1 --layers 2 --head-dim 32 --experts 13 --used 3 "
                           "--expert-ffn 96 --vocab 389 --context ";
  compare(many + "41", "emulated:sm_90a", ""); // tiles of 16 tokens
  compare(many + "97", "emulated:gfx942", ""); // and of 32
}

// Sizes that no tile divides.
TEST(DeviceTraffic, primeSizes) {
  compare("--family llama --type F32 --layers 1 --width 53 --heads 1 --kv-heads 1 --head-dim 14 --ffn 37 --vocab 389 "
          "--context 37",
          "emulated:sm_90a", "");
}

} // namespace
