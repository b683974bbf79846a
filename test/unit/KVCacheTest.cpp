#include "runtime/KVCache/KVCache.h"
#include "include/stepdown/CacheDims.h"
#include "runtime/cpu/CpuDevice.h"
#include "test/unit/ArtifactBuilder.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

struct Cache : testing::Test {
  std::unique_ptr<Device> device = makeCpuDevice();
  std::unique_ptr<Queue> queue = std::move(*device->queue(1));
  std::vector<stepdown_cache_group> groups = {{3, 2, 8, 16, 0, STEPDOWN_F16}};
  stepdown_cache layout = test::ArtifactBuilder().cache;
  KVCache::Shape shape;
  void SetUp() override {
    shape.blockSize = 16;
    shape.positions = 160;
    shape.sequences = 4;
    shape.maxContext = 160;
    shape.maxStepTokens = 32;
  }
  KVCache make() { return std::move(*tryToMake()); }
  Result<KVCache> tryToMake() {
    return KVCache::create(*device, layout, {groups.data(), static_cast<uint32_t>(groups.size())}, shape);
  }
  bool append(KVCache &cache, int32_t sequence, int32_t tokens) {
    KVCache::Growth growth{sequence, tokens};
    return static_cast<bool>(cache.append(&growth, 1, *queue));
  }
};

TEST_F(Cache, bytesAreTheFormulaAndWhatWasAllocated) {
  for (int32_t block : {16, 32, 64})
    for (uint32_t element :
         {uint32_t(STEPDOWN_F32), uint32_t(STEPDOWN_F16), STEPDOWN_CACHED_Q8_0, STEPDOWN_CACHED_E4M3}) {
      shape.blockSize = block;
      shape.positions = 192;
      groups[0].element = element;
      size_t before = device->allocated();
      KVCache cache = make();
      size_t table = size_t(shape.sequences) * cache.tableWidth() * sizeof(int32_t);
      uint64_t formula = uint64_t(3) * 2 * (8 + 16) * 192 *
                         (element == STEPDOWN_F32   ? 4
                          : element == STEPDOWN_F16 ? 2
                                                    : 1);
      EXPECT_EQ(cache.bytes(), formula);
      EXPECT_EQ(device->allocated() - before, formula + table);
    }
}

// What a target with rows of positions, and other blocks, would write: nothing of it is the runtime's own.
TEST_F(Cache, takesItsSizesFromTheLayout) {
  layout = {
      7,
      28,
      7,
      {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_POSITIONS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_CHANNELS},
      {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_GROUPS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_LANES, STEPDOWN_AXIS_CHANNELS}};
  EXPECT_EQ(KVCache::blockSizes(layout), (std::vector<int32_t>{7, 14, 28}));
  shape.blockSize = 14;
  shape.positions = 29;
  KVCache cache = make();
  EXPECT_EQ(cache.blocks(0), 3u);
  EXPECT_EQ(cache.blockGroups(), 2);
  EXPECT_EQ(cache.bytes(), uint64_t(3) * 2 * (8 + 16) * 42 * 2);
  EXPECT_TRUE(append(cache, 0, 14));
  EXPECT_EQ(cache.freeBlocks(0), 2u);
  EXPECT_TRUE(append(cache, 0, 1));
  EXPECT_EQ(cache.freeBlocks(0), 1u);
}

// Sequences share blocks, and copy them as one run of bytes.
TEST_F(Cache, refusesBlocksThatAreNoRunOfBytes) {
  for (uint32_t (stepdown_cache::*axes)[STEPDOWN_MAX_RANK] : {&stepdown_cache::keys, &stepdown_cache::values}) {
    layout = test::ArtifactBuilder().cache;
    std::swap((layout.*axes)[0], (layout.*axes)[1]);
    Result<KVCache> cache = tryToMake();
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().text(), std::string("error E0921: cache: ") +
                                        (axes == &stepdown_cache::keys ? "keys" : "values") +
                                        ": expects blocks as the outermost axis, but got axis 2");
  }
}

TEST_F(Cache, takesABlockOnlyWhenTheLastIsFull) {
  KVCache cache = make();
  ASSERT_EQ(cache.blocks(0), 10u);
  EXPECT_TRUE(append(cache, 0, 16));
  EXPECT_EQ(cache.freeBlocks(0), 9u);
  EXPECT_EQ(cache.entry(0, 0, 1), -1);
  EXPECT_TRUE(append(cache, 0, 1));
  EXPECT_EQ(cache.freeBlocks(0), 8u);
  EXPECT_TRUE(append(cache, 0, 15));
  EXPECT_EQ(cache.freeBlocks(0), 8u);
  EXPECT_EQ(cache.length(0), 32);
}

TEST_F(Cache, refusesWithoutChangingAnythingWhenBlocksRunOut) {
  KVCache cache = make();
  ASSERT_TRUE(append(cache, 0, 130)); // 9 of 10 blocks
  KVCache::Growth both[] = {{0, 10}, {1, 17}};
  Status refused = cache.append(both, 2, *queue);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::CacheFull);
  EXPECT_EQ(cache.length(0), 130);
  EXPECT_EQ(cache.length(1), 0);
  EXPECT_EQ(cache.freeBlocks(0), 1u);
  both[1].tokens = 16;
  EXPECT_TRUE(cache.append(both, 2, *queue));
  EXPECT_TRUE(cache.truncate(0, 0));
  EXPECT_EQ(cache.freeBlocks(0), 9u);
}

TEST_F(Cache, forkSharesUntilOneWrites) {
  KVCache cache = make();
  ASSERT_TRUE(append(cache, 0, 24)); // one full block, one of 8
  int32_t full = cache.entry(0, 0, 0), tail = cache.entry(0, 0, 1);
  auto *keys = reinterpret_cast<uint16_t *>(cache.keys(0, 2));
  size_t blockElements = 2 * 16 * 8; // heads x positions x key_dim
  for (size_t i = 0; i < blockElements; ++i)
    keys[tail * blockElements + i] = static_cast<uint16_t>(i + 1);
  cache.fork(0, 1);
  EXPECT_EQ(cache.freeBlocks(0), 8u);
  ASSERT_TRUE(append(cache, 1, 1));
  EXPECT_EQ(cache.entry(0, 1, 0), full);
  int32_t own = cache.entry(0, 1, 1);
  EXPECT_NE(own, tail);
  EXPECT_EQ(cache.entry(0, 0, 1), tail);
  EXPECT_EQ(0, std::memcmp(keys + own * blockElements, keys + tail * blockElements, blockElements * 2));
  // The tail is the parent's alone now: no second copy.
  ASSERT_TRUE(append(cache, 0, 1));
  EXPECT_EQ(cache.entry(0, 0, 1), tail);
  EXPECT_EQ(cache.freeBlocks(0), 7u);
  cache.truncate(0, 0);
  EXPECT_EQ(cache.freeBlocks(0), 8u); // the full block still belongs to the fork
  cache.truncate(1, 0);
  EXPECT_EQ(cache.freeBlocks(0), 10u);
}

TEST_F(Cache, siblingsThatAppendTogetherCopyOneTimeLess) {
  shape.positions = 48; // three blocks: the shared tail and two copies
  KVCache cache = make();
  ASSERT_TRUE(append(cache, 0, 8));
  cache.fork(0, 1);
  cache.fork(0, 2);
  KVCache::Growth all[] = {{0, 1}, {1, 1}, {2, 1}};
  ASSERT_TRUE(cache.append(all, 3, *queue));
  EXPECT_EQ(cache.freeBlocks(0), 0u);
  EXPECT_NE(cache.entry(0, 0, 0), cache.entry(0, 1, 0));
  EXPECT_NE(cache.entry(0, 1, 0), cache.entry(0, 2, 0));
}

TEST_F(Cache, windowGivesBlocksBack) {
  groups[0].window = 20;
  shape.positions = shape.maxContext = 1600;
  shape.sequences = 1;
  KVCache cache = make();
  // window 20 and 32 tokens a step span at most five blocks of 16.
  EXPECT_EQ(cache.blocks(0), 5u);
  for (int i = 0; i < 1600; ++i)
    ASSERT_TRUE(append(cache, 0, 1)) << i;
  // The query at 1599 sees 1580 to 1599: blocks 98 and 99.
  EXPECT_EQ(cache.entry(0, 0, 97), -1);
  EXPECT_GE(cache.entry(0, 0, 98), 0);
  EXPECT_EQ(cache.freeBlocks(0), 3u);
  EXPECT_FALSE(cache.truncate(0, 1580)); // its window begins at 1561, in a block given back
  EXPECT_EQ(cache.length(0), 1600);
  EXPECT_TRUE(cache.truncate(0, 1590)); // sees 1571 to 1589 ... in block 98 from 1568 on
  EXPECT_TRUE(cache.truncate(0, 0));
  EXPECT_EQ(cache.freeBlocks(0), 5u);
}

// longest() is what a sequence that is alone can really have: one more position is refused, or is past the context.
TEST_F(Cache, theLongestSequenceFitsAndNoLonger) {
  shape.maxContext = 640;
  for (std::vector<uint32_t> windows : std::vector<std::vector<uint32_t>>{{0}, {0, 40}, {40}, {40, 70}, {40, 200}}) {
    groups.clear();
    for (uint32_t window : windows)
      groups.push_back({3, 2, 8, 16, window, STEPDOWN_F16});
    KVCache cache = make();
    const bool rolls = windows[0] == 40 && windows.back() < 200;
    EXPECT_EQ(cache.longest(), rolls ? 640 : 160) << windows.size() << " " << windows.back();
    while (cache.length(1) < cache.longest())
      ASSERT_TRUE(append(cache, 1, std::min(31, cache.longest() - cache.length(1)))) << cache.length(1);
    if (!rolls && windows.back() < 200) {
      EXPECT_FALSE(append(cache, 1, 1));
    }
  }
}

TEST_F(Cache, randomUseNeverLosesABlock) {
  groups.push_back({1, 1, 4, 4, 24, STEPDOWN_F32});
  KVCache cache = make();
  uint32_t state = 1;
  auto random = [&](uint32_t n) {
    return (state = state * 1664525u + 1013904223u) >> 8 & 0xffff ? (state >> 8) % n : 0;
  };
  for (int i = 0; i < 5000; ++i) {
    int32_t s = static_cast<int32_t>(random(4)), other = static_cast<int32_t>(random(4));
    switch (random(4)) {
    case 0:
    case 1:
      if (cache.length(s) + 32 <= shape.maxContext)
        append(cache, s, 1 + static_cast<int32_t>(random(32)));
      break;
    case 2:
      if (s != other) {
        cache.truncate(other, 0);
        cache.fork(s, other);
      }
      break;
    case 3:
      cache.truncate(s, static_cast<int32_t>(random(static_cast<uint32_t>(cache.length(s)) + 1)));
    }
  }
  for (int32_t s = 0; s < 4; ++s)
    EXPECT_TRUE(cache.truncate(s, 0));
  EXPECT_EQ(cache.freeBlocks(0), cache.blocks(0));
  EXPECT_EQ(cache.freeBlocks(1), cache.blocks(1));
}

} // namespace
