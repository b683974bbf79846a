// What the tree gets back from the tier below it.
//
// A path is blocks that are here and, behind them or between them, blocks that are below: of a group with a window
// single ones may be missing. First it is found how far a sequence could go on with both, then what is missing on the
// way there is brought, front to back, so that what fails on the way leaves a shorter path and nothing else. Blocks of
// the path are pinned meanwhile: to make room, the cache takes idle blocks, and these may not be among them.
#include "lib/Base/Sha256.h"
#include "runtime/PrefixTree/PrefixTree.h"
#include <algorithm>

namespace stepdown {

void PrefixTree::setBelow(Below *tier) {
  below = tier;
  keys.resize(tier ? limit : 0);
}

PrefixTree::Below::Key PrefixTree::keyBehind(const Below::Key *before, const Space &space,
                                             const int32_t *tokens) const {
  Sha256 sum;
  const uint64_t words[] = {space.model, space.adapter, space.element, static_cast<uint64_t>(blockSize)};
  before ? sum.add(before->data(), before->size()) : sum.add(words, sizeof words);
  sum.add(tokens, static_cast<size_t>(blockSize) * sizeof(int32_t));
  return sum.digest();
}

// Adds the next block of the tokens to `chain` and `where`; false where the tokens end, or a group without a window
// has it neither here nor below.
bool PrefixTree::extendChain(const Space &space, const int32_t *tokens, size_t count) {
  const size_t b = chain.size();
  if (b == count)
    return false;
  const bool isNode = b < path.size();
  const int32_t *its = tokens + b * static_cast<size_t>(blockSize);
  chain.push_back(isNode ? keys[static_cast<size_t>(path[b])] : keyBehind(b ? &chain[b - 1] : nullptr, space, its));
  bool some = isNode, whole = true;
  for (size_t g = 0; g < groups; ++g) {
    const bool here = isNode && block(path[b], g) != none;
    where.push_back(here ? Where::Here : below->has(chain[b], g) ? Where::Below : Where::Nowhere);
    some |= where.back() != Where::Nowhere;
    whole &= cache.hasWindow(g) || where.back() != Where::Nowhere;
  }
  if (some && whole)
    return true;
  chain.pop_back();
  where.resize(chain.size() * groups);
  return false;
}

// How many blocks a sequence that holds `known` could have if what the budget allows is brought; 0 where nothing is
// worth it. `more`: with a larger budget they were more. Keys take time, and a prompt that waits asks before each step:
// none is made of what lies behind the first block that the budget does not reach.
size_t PrefixTree::findBelow(const Space &space, const int32_t *tokens, size_t count, size_t known,
                             const Budget &budget, bool &more) {
  chain.clear();
  where.clear();
  size_t chosen = 0, best = 0;
  uint64_t toBring = 0, inFull = 0; // bytes, for `chosen`; of groups without a window, for `end`
  uint64_t least = UINT64_MAX;      // that something behind what is here takes
  for (size_t g = 0; g < groups; ++g)
    least = std::min(least, below->bytes(g));
  for (size_t end = 1; extendChain(space, tokens, count); ++end) {
    bool whole = true;
    uint64_t bytes = 0;
    for (size_t g = 0; g < groups; ++g) {
      const auto of = [&](size_t b) {
        const Where its = where[b * groups + g];
        whole &= its != Where::Nowhere;
        return its == Where::Below ? below->bytes(g) : 0;
      };
      if (!cache.hasWindow(g))
        inFull += of(end - 1);
      else
        for (auto b = static_cast<size_t>(cache.firstVisible(g, static_cast<int32_t>(end) * blockSize)); b < end; ++b)
          bytes += of(b);
    }
    bytes += inFull;
    if (!whole || end <= known)
      continue;
    best = end;
    if (bytes <= budget.left || (!toBring && budget.isFresh))
      chosen = end, toBring = bytes;
    else if (end > path.size() && std::max(inFull, least) > budget.left)
      break; // no later one takes less
  }
  more = best > chosen;
  return toBring ? chosen : 0;
}

// A block of `group` with what the tier below has of block `index`, pinned; none where there is no room, or it failed.
// What is read is taken off the budget whether it was good or not.
int32_t PrefixTree::bringBlock(size_t index, size_t group, Budget &budget) {
  const int32_t its = cache.take(group);
  if (its == none)
    return none;
  pinned.emplace_back(group, its);
  budget.left -= std::min(budget.left, below->bytes(group));
  budget.isFresh = false;
  return below->restore(chain[index], group, its) ? its : none;
}

// Brings what windows see at the end of a path of `end` blocks, into `seen`; returns `end`, or the block that could not
// be had: before a node was taken from anybody.
size_t PrefixTree::bringWindows(size_t end, Budget &budget) {
  seen.clear();
  for (size_t g = 0; g < groups; ++g) {
    if (!cache.hasWindow(g))
      continue;
    for (auto b = static_cast<size_t>(cache.firstVisible(g, static_cast<int32_t>(end) * blockSize)); b < end; ++b) {
      if (where[b * groups + g] != Where::Below)
        continue;
      const int32_t its = bringBlock(b, g, budget);
      if (its == none)
        return b;
      seen.push_back({b, g, its});
    }
  }
  return end;
}

// Brings what else block `index` of the path lacks. False where there is no room, or nothing came: what was brought in
// vain is free again when it is no longer pinned.
bool PrefixTree::bring(int32_t root, size_t index, const int32_t *tokens, Budget &budget) {
  const bool isNew = index == path.size();
  const int32_t parent = index ? path[index - 1] : root, node = isNew ? take(parent) : path[index];
  if (node == none)
    return false;
  const size_t first = seen.size();
  for (size_t g = 0; g < groups; ++g) {
    if (cache.hasWindow(g) || where[index * groups + g] != Where::Below)
      continue;
    const int32_t its = bringBlock(index, g, budget);
    if (its == none) {
      seen.resize(first);
      if (isNew)
        putBack(node);
      return false;
    }
    seen.push_back({index, g, its});
  }
  if (isNew) {
    enter(node, parent, tokens);
    path.push_back(node);
  }
  for (const Seen &its : seen)
    if (its.index == index) {
      cache.keep(its.group, its.block);
      block(node, its.group) = its.block;
    }
  seen.resize(first);
  return true;
}

bool PrefixTree::restore(const Space &space, const int32_t *tokens, int32_t count, int32_t known, Budget &budget) {
  bool more = false;
  const int32_t root = below && count / blockSize > known / blockSize ? rootOf(space, true) : none;
  const int32_t all = std::min(count / blockSize, static_cast<int32_t>(limit));
  // Where something on the way is missing after all, once more as far as that: windows see other blocks from there.
  for (int32_t attempt = 0, most = root == none ? 0 : all, reached = 0; attempt < 2 && most > 0; most = reached) {
    walk(space, tokens, most * blockSize);
    bool moreNow = false;
    const auto end = static_cast<int32_t>(
        findBelow(space, tokens, static_cast<size_t>(most), static_cast<size_t>(known / blockSize), budget, moreNow));
    more = moreNow && !attempt;
    if (!end)
      break;
    path.resize(std::min(path.size(), static_cast<size_t>(end)));
    pinned.clear();
    for (int32_t node : path)
      for (size_t g = 0; g < groups; ++g)
        if (const int32_t its = block(node, g); its != none) {
          pinned.emplace_back(g, its);
          cache.pin(g, its);
        }
    const auto seenTo = static_cast<int32_t>(bringWindows(static_cast<size_t>(end), budget));
    for (reached = 0; seenTo == end && reached < end; ++reached)
      if (!bring(root, static_cast<size_t>(reached), tokens + reached * blockSize, budget))
        break;
    for (const auto &[group, its] : pinned)
      cache.unpin(group, its);
    for (size_t b = path.size(); b > 0; --b)
      moveToEnd(path[b - 1]);
    if (reached == end)
      break;
    more = false; // the prompt is computed from there on
    reached = seenTo == end ? reached : seenTo;
    ++attempt;
  }
  return more;
}

} // namespace stepdown
