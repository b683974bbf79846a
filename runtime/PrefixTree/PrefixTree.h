// Which blocks of a cache hold the keys and values of which tokens, so that prompts that begin alike are computed once
// (RadixAttention: Zheng et al., SGLang, 2024, arXiv:2312.07104; here by whole blocks).
//
// A node stands for one block of tokens behind those of its parents, and has the cache's block of it in each group. It
// keeps a reference to them (KVCache::Keeper), so that they outlive the sequence that computed them. A sequence that
// adopts a path shares its blocks; full blocks are never written again, and keys and values depend on nothing but the
// tokens up to theirs, so that logits are the same bytes with the tree and without.
//
//     (space) ─┬─ "You are a help" ─── "ful assistant." ─┬─ " What is 2 + 2" ...
//              │    block 0 of each group   block 7      └─ " Name three co" ...
//              └─ "Once upon a ti" ...
//
// Windows. A group with a window has blocks only where the sequence still had them when they were added. A path ends at
// the longest length at which a query sees, in each such group, blocks that are there; what lies before is not needed.
//
// Eviction. Nodes are in a list, those used longest ago first, each before its parent: a node is added before its
// parent and a path is moved to the end from its last node on. Blocks that no sequence has (idle) are given up from the
// front. In a group without a window whoever has a node's block has its parents', so that an idle node has idle nodes
// below it alone, which come first: what is given up is a leaf. (A node is made of a block that one sequence alone has,
// which has its parents'; others have it from there on by adopting it or as forks, with them.) In a group with a window
// single blocks go.
//
// Below. What is given up may go to a second tier (Below; SpillTier.h), and restore() brings it back when a prompt asks
// for it, as nodes that nobody has yet. There a block has a key that says all that it depends on: SHA-256 of the key of
// the block before and of its tokens, and of the first of the space.
//
// Everything is allocated when the tree is made, but for the keys that a second tier needs. Used by the thread that
// uses the cache.
#pragma once
#include "runtime/KVCache/KVCache.h"
#include <array>
#include <vector>

namespace stepdown {

class PrefixTree final : public KVCache::Keeper {
public:
  /// What keys and values depend on beside the tokens. Those of one space are never found in another.
  struct Space {
    uint64_t model = 0;   ///< which weights: a checksum
    uint64_t adapter = 0; ///< which adapter of it: a checksum; 0: none
    uint32_t element = 0; ///< how they are stored
    bool operator==(const Space &other) const {
      return model == other.model && adapter == other.adapter && element == other.element;
    }
  };

  /// A second tier. Called by the thread that uses the tree, on blocks of its cache.
  class Below {
  public:
    using Key = std::array<uint8_t, 32>;
    virtual ~Below() = default;
    /// The block of `group` with this key is about to be given up.
    virtual void dropped(const Key &key, size_t group, int32_t block) = 0;
    virtual bool has(const Key &key, size_t group) const = 0;
    /// Fills `block`; false where that fails, and then it is not there any more.
    virtual bool restore(const Key &key, size_t group, int32_t block) = 0;
    /// Of a block of `group`.
    virtual uint64_t bytes(size_t group) const = 0;
  };

  /// Holds at most `limit` nodes (at least 1): that many blocks of each group of `cache`, which must outlive the tree.
  PrefixTree(KVCache &cache, uint32_t limit);
  ~PrefixTree() override;
  PrefixTree(const PrefixTree &) = delete;

  /// How many of `count` tokens, in whole blocks, a sequence could adopt.
  int32_t longest(const Space &space, const int32_t *tokens, int32_t count);
  /// How many of these are in blocks that a sequence has, other than those that are `leaving` (each once), so that
  /// adopting them takes no block from anybody; of a cache whose groups all have windows 0.
  int32_t shared(const Space &space, const int32_t *tokens, int32_t count, const std::vector<int32_t> &leaving = {});
  /// `sequence`, which is empty, holds the first longest() of the tokens.
  int32_t adopt(const Space &space, const int32_t *tokens, int32_t count, int32_t sequence);
  /// Adds the whole blocks of the first `count` tokens, which `sequence` holds. Where a block of the same tokens is
  /// there already, the sequence has that one from now on. Where the tree is full of nodes in use, or a fork
  /// has a block that is not there, the rest is left out.
  void add(const Space &space, const int32_t *tokens, int32_t count, int32_t sequence);
  void giveBack(size_t group, uint32_t count) override;

  /// The tier that has what is given up from now on, or null; before anything is added, and it must outlive the tree.
  void setBelow(Below *tier);
  /// How much restore() may bring back.
  struct Budget {
    uint64_t left;       ///< bytes; what it read is taken off, also what was damaged
    bool isFresh = true; ///< nothing was taken off yet: the least that is of use may then be more than `left`
  };
  /// Brings back blocks from the tier below, so that a sequence that holds `known` of the tokens already could adopt
  /// more of them. True where the tier has more than was brought, for want of budget.
  bool restore(const Space &space, const int32_t *tokens, int32_t count, int32_t known, Budget &budget);

  uint32_t size() const { return limit - static_cast<uint32_t>(unused.size()); }
  /// Adds to `references`, [blocks] of `group`, one for each block that the tree has.
  void countReferences(size_t group, std::vector<uint32_t> &references) const;
  /// That the list has every node once and before its parent, and that below an idle node all are idle in groups
  /// without a window: what eviction relies on, for tests to ask.
  bool isSound() const;

private:
  struct Node {
    int32_t parent = none; ///< a node, or -2 - the number of a space
    int32_t children = 0;
    int32_t chained = none;             ///< the next of its bucket
    int32_t older = none, newer = none; ///< in the list
  };
  static constexpr int32_t none = -1;
  static constexpr size_t mostSpaces = 256; ///< as many as there are adapters at a time, and the model without any

  int32_t &block(int32_t node, size_t group) { return blocks[static_cast<size_t>(node) * groups + group]; }
  const int32_t *tokensOf(int32_t node) const { return &held[static_cast<size_t>(node) * blockSize]; }
  /// Of a space that is not there, where one is to be added, the number of one that has no nodes any more.
  int32_t rootOf(const Space &space, bool adds);
  size_t bucketOf(int32_t parent, const int32_t *tokens) const;
  int32_t find(int32_t parent, const int32_t *tokens) const;
  /// Sets `path` to the nodes that have the tokens, as far as there are any.
  void walk(const Space &space, const int32_t *tokens, int32_t count);
  int32_t visibleEnd();
  /// Makes `node` that of `tokens` below `parent`.
  void enter(int32_t node, int32_t parent, const int32_t *tokens);
  /// The key of a block behind that with key `before`, or with null the first of the space.
  Below::Key keyBehind(const Below::Key *before, const Space &space, const int32_t *tokens) const;
  bool extendChain(const Space &space, const int32_t *tokens, size_t count);
  size_t findBelow(const Space &space, const int32_t *tokens, size_t count, size_t known, const Budget &budget,
                   bool &more);
  int32_t bringBlock(size_t index, size_t group, Budget &budget);
  size_t bringWindows(size_t end, Budget &budget);
  bool bring(int32_t root, size_t index, const int32_t *tokens, Budget &budget);
  void letGo(int32_t node, size_t group);
  int32_t take(int32_t parent);
  void remove(int32_t node);
  /// Undoes take().
  void putBack(int32_t node);
  bool isIdleLeaf(int32_t node);
  void unlink(int32_t node);
  void moveToEnd(int32_t node);

  KVCache &cache;
  uint32_t limit;
  size_t groups;
  int32_t blockSize;
  std::vector<Space> spaces;
  std::vector<Node> nodes;      ///< [limit]
  std::vector<int32_t> held;    ///< [limit, blockSize]: tokens
  std::vector<int32_t> blocks;  ///< [limit, groups]; -1: not there
  std::vector<int32_t> buckets; ///< heads of chains; a power of two
  std::vector<int32_t> unused;  ///< a stack of nodes
  std::vector<int32_t> path;    ///< of the call
  std::vector<int32_t> entries; ///< [groups, path]
  int32_t oldest = none, newest = none;
  Below *below = nullptr;
  std::vector<Below::Key> keys; ///< [limit], where there is a tier below
  // Of a call of restore().
  enum class Where : uint8_t { Nowhere, Here, Below };
  std::vector<Below::Key> chain;                  ///< of the blocks that are known, here or below
  std::vector<Where> where;                       ///< [chain, groups]
  std::vector<std::pair<size_t, int32_t>> pinned; ///< groups and blocks
  struct Seen {
    size_t index, group;
    int32_t block;
  };
  std::vector<Seen> seen; ///< blocks that were brought and have no node yet
};

} // namespace stepdown
