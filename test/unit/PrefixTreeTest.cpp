#include "runtime/PrefixTree/PrefixTree.h"
#include "runtime/cpu/CpuDevice.h"
#include "test/unit/ArtifactBuilder.h"
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

constexpr int32_t size = 16; // of a block

struct Tree : testing::Test {
  std::unique_ptr<Device> device = makeCpuDevice();
  std::unique_ptr<Queue> queue = std::move(*device->queue(1));
  std::vector<stepdown_cache_group> groups = {{1, 1, 4, 4, 0, STEPDOWN_F16}};
  KVCache::Shape shape;
  KVCache cache;
  std::unique_ptr<PrefixTree> tree;
  PrefixTree::Space space;
  void open(int64_t positions, uint32_t limit = 1000) {
    tree.reset();
    shape.blockSize = size;
    shape.positions = positions;
    shape.sequences = 5;
    shape.maxContext = 1600;
    shape.maxStepTokens = 1600;
    cache = std::move(*KVCache::create(*device, test::ArtifactBuilder().cache,
                                       {groups.data(), static_cast<uint32_t>(groups.size())}, shape));
    tree = std::make_unique<PrefixTree>(cache, limit);
  }
  /// `count` tokens that begin as all of `seed` do, and end in another way where `ending` is another.
  static std::vector<int32_t> text(int32_t seed, int32_t count, int32_t common = 1600, int32_t ending = 0) {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; ++i)
      tokens[static_cast<size_t>(i)] = i * 7 % 31 + 100 * seed + (i < common ? 0 : 1000 * ending);
    return tokens;
  }
  bool append(int32_t sequence, int32_t tokens) {
    KVCache::Growth growth{sequence, tokens};
    return static_cast<bool>(cache.append(&growth, 1, *queue));
  }
  /// As a request would: adopts what is there, computes the rest and adds it; returns what it adopted.
  int32_t compute(int32_t sequence, const std::vector<int32_t> &tokens) {
    const auto count = static_cast<int32_t>(tokens.size());
    const int32_t adopted = tree->adopt(space, tokens.data(), count, sequence);
    EXPECT_TRUE(append(sequence, count - adopted));
    tree->add(space, tokens.data(), count, sequence);
    return adopted;
  }
  int32_t longest(const std::vector<int32_t> &tokens) {
    return tree->longest(space, tokens.data(), static_cast<int32_t>(tokens.size()));
  }
};

TEST_F(Tree, findsTheLongestBeginningInWholeBlocks) {
  open(1600);
  EXPECT_EQ(compute(0, text(1, 100)), 0);
  EXPECT_EQ(longest(text(1, 100)), 96);
  EXPECT_EQ(longest(text(1, 95)), 80);
  EXPECT_EQ(longest(text(1, 15)), 0);
  EXPECT_EQ(longest(text(2, 100)), 0);
  EXPECT_EQ(longest(text(1, 100, 47, 1)), 32);
  EXPECT_EQ(longest(text(1, 100, 48, 1)), 48);
  EXPECT_EQ(longest({}), 0);
  EXPECT_EQ(compute(1, text(1, 100, 48, 1)), 48);
  for (int32_t i = 0; i < 3; ++i)
    EXPECT_EQ(cache.entry(0, 1, i), cache.entry(0, 0, i));
  EXPECT_NE(cache.entry(0, 1, 3), cache.entry(0, 0, 3));
  EXPECT_EQ(tree->size(), 6u + 3);
  EXPECT_EQ(longest(text(1, 100)), 96);
  EXPECT_EQ(longest(text(1, 100, 48, 1)), 96);
}

// The blocks that two have computed for themselves are one from then on, so that whoever has a block has those before.
TEST_F(Tree, whoAddsWhatIsThereHasThatFromThenOn) {
  open(160);
  ASSERT_TRUE(append(0, 40));
  ASSERT_TRUE(append(1, 70));
  const std::vector<int32_t> tokens = text(1, 70);
  tree->add(space, tokens.data(), 40, 0);
  EXPECT_EQ(cache.freeBlocks(0), 10u - 3 - 5);
  tree->add(space, tokens.data(), 70, 1);
  EXPECT_EQ(cache.freeBlocks(0), 10u - 3 - 3);
  EXPECT_EQ(cache.entry(0, 1, 1), cache.entry(0, 0, 1));
  EXPECT_NE(cache.entry(0, 1, 2), cache.entry(0, 0, 2)); // not full
  EXPECT_EQ(tree->size(), 4u);
}

// A fork that shares what was not added would have a node's block without its parent's: what it shares is left out.
TEST_F(Tree, blocksThatAForkHasTooAreLeftOut) {
  open(160);
  const std::vector<int32_t> tokens = text(1, 48);
  ASSERT_TRUE(append(0, 32));
  cache.fork(0, 1);
  ASSERT_TRUE(append(2, 16));
  tree->add(space, tokens.data(), 16, 2);
  tree->add(space, tokens.data(), 32, 0);
  EXPECT_EQ(longest(tokens), 16);
  cache.truncate(2, 0);
  cache.truncate(0, 0);
  EXPECT_EQ(cache.idleBlocks(0), 1u);
  EXPECT_TRUE(tree->isSound());
  tree->add(space, tokens.data(), 32, 1); // alone by now
  EXPECT_EQ(longest(tokens), 32);
  EXPECT_EQ(cache.idleBlocks(0), 0u);
  EXPECT_TRUE(tree->isSound());
}

TEST_F(Tree, givesBackWhatWasUsedLongestAgoLeavesFirst) {
  open(160);
  for (int32_t seed : {1, 2, 3}) {
    compute(0, text(seed, 48));
    cache.truncate(0, 0);
  }
  EXPECT_EQ(cache.freeBlocks(0), 1u);
  EXPECT_EQ(cache.idleBlocks(0), 9u);
  EXPECT_EQ(compute(1, text(1, 48)), 48); // used now, and then no more
  cache.truncate(1, 0);
  ASSERT_TRUE(append(2, 48)); // one that is free, two of the second's, which is now the oldest
  EXPECT_EQ(longest(text(1, 48)), 48);
  EXPECT_EQ(longest(text(2, 48)), 16);
  EXPECT_EQ(longest(text(3, 48)), 48);
  ASSERT_TRUE(append(3, 112));
  EXPECT_EQ(tree->size(), 0u);
  EXPECT_EQ(cache.freeBlocks(0) + cache.idleBlocks(0), 0u);
  EXPECT_FALSE(append(1, 1));
}

TEST_F(Tree, givesBackNothingThatASequenceHas) {
  open(160);
  compute(0, text(1, 64));
  compute(1, text(1, 96, 32, 1)); // shares two blocks
  cache.truncate(0, 0);
  EXPECT_EQ(cache.idleBlocks(0), 2u);
  EXPECT_EQ(tree->shared(space, text(1, 64).data(), 64), 32);
  EXPECT_FALSE(append(2, 16 * 5));
  ASSERT_TRUE(append(2, 16 * 4));
  EXPECT_EQ(longest(text(1, 96, 32, 1)), 96);
  EXPECT_EQ(longest(text(1, 64)), 32);
  EXPECT_EQ(cache.length(1), 96);
}

// A block that is kept is never written again: who goes on within it gets a copy.
TEST_F(Tree, whoIsCutWithinABlockWritesACopy) {
  open(160);
  compute(0, text(1, 48));
  ASSERT_TRUE(cache.truncate(0, 40));
  const int32_t kept = cache.entry(0, 0, 2);
  ASSERT_TRUE(append(0, 3));
  EXPECT_NE(cache.entry(0, 0, 2), kept);
  EXPECT_TRUE(cache.isIdle(0, kept));
  EXPECT_EQ(longest(text(1, 48)), 48);
}

TEST_F(Tree, holdsNoMoreThanItsLimit) {
  open(1600, 4);
  compute(0, text(1, 100));
  EXPECT_EQ(tree->size(), 4u);
  compute(1, text(2, 100)); // all are in use
  EXPECT_EQ(longest(text(1, 100)), 64);
  EXPECT_EQ(longest(text(2, 100)), 0);
  cache.truncate(0, 0);
  EXPECT_EQ(cache.idleBlocks(0), 4u);
  tree->add(space, text(2, 100).data(), 96, 1);
  EXPECT_EQ(longest(text(1, 100)), 0);
  EXPECT_EQ(longest(text(2, 100)), 64);
  EXPECT_EQ(cache.idleBlocks(0), 0u);
}

TEST_F(Tree, spacesAreApart) {
  open(1600);
  compute(0, text(1, 48));
  for (PrefixTree::Space other : {PrefixTree::Space{7, 0, 0}, {0, 7, 0}, {0, 0, 7}}) {
    EXPECT_EQ(tree->longest(other, text(1, 48).data(), 48), 0);
    ASSERT_TRUE(append(1, 48));
    tree->add(other, text(1, 48).data(), 48, 1);
    EXPECT_EQ(tree->longest(other, text(1, 48).data(), 48), 48);
    EXPECT_NE(cache.entry(0, 1, 0), cache.entry(0, 0, 0));
    cache.truncate(1, 0);
  }
  EXPECT_EQ(tree->size(), 12u);
}

// Adapters come and go: numbers of spaces without nodes are given again.
TEST_F(Tree, spacesAreGivenBackWithTheirLastNode) {
  open(1600, 23);
  for (uint64_t adapter = 0; adapter < 1009; ++adapter) {
    space.adapter = adapter % 101 ? adapter : 0;
    const auto tokens = text(int32_t(adapter % 5), 37);
    const int32_t adopted = compute(0, tokens);
    EXPECT_EQ(adopted, 0) << adapter << ": what another adapter computed, or what was given up long ago";
    ASSERT_EQ(longest(tokens), 32) << adapter;
    cache.truncate(0, 0);
    ASSERT_TRUE(tree->isSound());
  }
}

// Of what a window of 40 has passed there is nothing: a beginning counts as far as a query sees all that it needs.
TEST_F(Tree, aWindowNeedsTheBlocksItSees) {
  groups.push_back({1, 1, 4, 4, 40, STEPDOWN_F16});
  open(1600);
  const std::vector<int32_t> tokens = text(1, 160);
  ASSERT_TRUE(append(0, 90));
  ASSERT_TRUE(append(0, 70)); // the window gives back blocks 0 to 2, which end before 51
  ASSERT_EQ(cache.entry(1, 0, 2), -1);
  tree->add(space, tokens.data(), 160, 0);
  EXPECT_EQ(longest(tokens), 160);
  // At 96 a query sees from 57 on, block 3; at 80 from 41 on, block 2.
  EXPECT_EQ(longest(text(1, 100)), 96);
  EXPECT_EQ(longest(text(1, 95)), 0);
  EXPECT_EQ(tree->adopt(space, tokens.data(), 100, 1), 96);
  EXPECT_EQ(cache.entry(1, 1, 2), -1);
  EXPECT_EQ(cache.entry(1, 1, 3), cache.entry(1, 0, 3));
  EXPECT_EQ(cache.entry(0, 1, 0), cache.entry(0, 0, 0));
  // Added as they are computed, all are there, and one that lacks them gets them.
  ASSERT_TRUE(append(2, 64));
  tree->add(space, tokens.data(), 64, 2);
  EXPECT_EQ(longest(text(1, 50)), 48);
  EXPECT_EQ(longest(tokens), 160);
}

// Single blocks of a window go without the node; what then cannot be seen does not count.
TEST_F(Tree, aWindowGivesBackSingleBlocks) {
  groups.push_back({1, 1, 4, 4, 40, STEPDOWN_F16});
  open(1600);
  compute(0, text(1, 96));
  cache.truncate(0, 0);
  EXPECT_EQ(cache.idleBlocks(1), 6u);
  tree->giveBack(1, 1);
  EXPECT_EQ(cache.idleBlocks(1), 5u);
  EXPECT_EQ(cache.idleBlocks(0), 6u);
  EXPECT_EQ(longest(text(1, 96)), 80);
  tree->giveBack(1, 5);
  EXPECT_EQ(longest(text(1, 96)), 0);
  EXPECT_EQ(tree->size(), 6u);
  tree->giveBack(0, 6);
  EXPECT_EQ(tree->size(), 0u);
}

TEST_F(Tree, aModelOfWindowsAloneRemembersToo) {
  groups = {{1, 1, 4, 4, 40, STEPDOWN_F16}};
  open(1600, 10);
  for (int32_t seed = 1; seed < 9; ++seed) { // nodes whose block a window has passed make room for others
    ASSERT_TRUE(append(0, 90));
    ASSERT_TRUE(append(0, 70));
    tree->add(space, text(seed, 160).data(), 160, 0);
    EXPECT_EQ(longest(text(seed, 160)), 160);
    EXPECT_EQ(tree->shared(space, text(seed, 160).data(), 160), 0);
    cache.truncate(0, 0);
  }
  EXPECT_EQ(tree->size(), 10u);
}

/// A tier that says to have every block, all of them good or damaged, and counts.
struct Claimed final : PrefixTree::Below {
  bool good = true;
  mutable int asked = 0;
  int reads = 0;
  void dropped(const Key &, size_t, int32_t) override {}
  bool has(const Key &, size_t) const override { return ++asked; }
  bool restore(const Key &, size_t, int32_t) override { return ++reads && good; }
  uint64_t bytes(size_t) const override { return 101; }
};

// A prompt that waits for others to be read asks in every step: that takes no time that grows with its length.
TEST_F(Tree, asksNoFurtherThanTheBudgetReaches) {
  const std::vector<int32_t> tokens = text(1, 1597);
  for (uint32_t window : {0u, 40u}) {
    groups.assign(1, {1, 1, 4, 4, 0, STEPDOWN_F16});
    if (window)
      groups.push_back({1, 1, 4, 4, window, STEPDOWN_F16});
    open(1600);
    Claimed tier;
    tree->setBelow(&tier);
    const int each = window ? 2 : 1;
    PrefixTree::Budget budget{100, false};
    EXPECT_TRUE(tree->restore(space, tokens.data(), 1597, 0, budget));
    EXPECT_EQ(tier.asked, each);
    budget = {7 * 101, true}; // seven blocks, or with windows that see three of them, four
    EXPECT_TRUE(tree->restore(space, tokens.data(), 1597, 0, budget));
    EXPECT_EQ(longest(tokens), window ? 64 : 112);
    EXPECT_EQ(tier.reads, 7);
    EXPECT_LE(tier.asked, each + each * 9);
    tier.asked = 0;
    budget = {50, false};
    EXPECT_TRUE(tree->restore(space, tokens.data(), 1597, longest(tokens), budget));
    EXPECT_EQ(tier.reads, 7);
    EXPECT_EQ(tier.asked, window ? 2 * 1 + 1 : 1); // of a window one that was not needed is missing
    EXPECT_TRUE(tree->isSound());
    tree.reset();
  }
}

// What fails takes of the budget, is not tried for ever, and drives out nothing that is of use.
TEST_F(Tree, aDamagedTierCostsLittle) {
  const std::vector<int32_t> tokens = text(1, 1600);
  for (int kind : {0, 1, 2}) { // without windows, with both, with windows alone
    groups.clear();
    if (kind < 2)
      groups.push_back({1, 1, 4, 4, 0, STEPDOWN_F16});
    if (kind > 0)
      groups.push_back({1, 1, 4, 4, 40, STEPDOWN_F16});
    open(4800, 100);
    Claimed tier;
    tier.good = false;
    tree->setBelow(&tier);
    compute(0, text(2, 1600));
    cache.truncate(0, 0);
    const int32_t had = longest(text(2, 1600));
    EXPECT_EQ(had, 1600);
    PrefixTree::Budget budget{1000};
    EXPECT_FALSE(tree->restore(space, tokens.data(), 1600, 0, budget));
    EXPECT_LE(tier.reads, 2);
    EXPECT_EQ(budget.left, 1000u - 101u * static_cast<uint64_t>(tier.reads));
    EXPECT_FALSE(budget.isFresh);
    EXPECT_EQ(longest(tokens), 0);
    EXPECT_EQ(longest(text(2, 1600)), kind ? had : had - size); // a node is had before it is read for
    EXPECT_EQ(tree->size(), kind ? 100u : 99u);
    EXPECT_TRUE(tree->isSound());
    tree.reset();
  }
}

} // namespace
