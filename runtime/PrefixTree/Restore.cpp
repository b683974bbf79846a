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
namespace {

/// The bytes that a digest in hexadecimal says.
PrefixTree::Below::Key bytesOf(const std::string &digest) {
  PrefixTree::Below::Key key;
  const auto digit = [&](size_t at) { return digest[at] <= '9' ? digest[at] - '0' : digest[at] - 'a' + 10; };
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<uint8_t>(digit(2 * i) * 16 + digit(2 * i + 1));
  return key;
}

} // namespace

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
  return bytesOf(sum.finish());
}

// Sets `chain` and `where` as far as every group without a window has its blocks, here or below.
void PrefixTree::findBelow(const Space &space, const int32_t *tokens, size_t count) {
  chain.clear();
  where.clear();
  for (size_t b = 0; b < count; ++b) {
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
    if (!some || !whole) {
      chain.pop_back();
      where.resize(chain.size() * groups);
      return;
    }
  }
}

// How many blocks a sequence that holds `known` could have if what the budget allows is brought; 0 where nothing is
// worth it. `more`: with a larger budget they were more.
size_t PrefixTree::endBelow(size_t known, const Budget &budget, bool &more) const {
  size_t chosen = 0, best = 0;
  uint64_t toBring = 0, inFull = 0; // bytes, for `chosen`; of groups without a window, for `end`
  for (size_t end = 1; end <= chain.size(); ++end) {
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
  }
  more = best > chosen;
  return toBring ? chosen : 0;
}

// Brings what block `index` of a path of `end` blocks lacks. False where there is no room, or nothing came: what was
// brought in vain is free again when it is no longer pinned.
bool PrefixTree::bring(int32_t root, size_t index, size_t end, const int32_t *tokens, Budget &budget) {
  const size_t first = pinned.size();
  const bool isNew = index == path.size();
  const int32_t parent = index ? path[index - 1] : root, node = isNew ? take(parent) : path[index];
  if (node == none)
    return false;
  bool good = true;
  for (size_t g = 0; g < groups; ++g) {
    if (where[index * groups + g] != Where::Below ||
        static_cast<int32_t>(index) < cache.firstVisible(g, static_cast<int32_t>(end) * blockSize))
      continue;
    const int32_t its = cache.take(g);
    if (its != none)
      pinned.emplace_back(g, its);
    good = its != none && below->restore(chain[index], g, its);
    if (!good)
      break;
    budget.left -= std::min(budget.left, below->bytes(g));
    budget.isFresh = false;
  }
  if (!good && isNew)
    putBack(node);
  if (!good)
    return false;
  if (isNew) {
    enter(node, parent, tokens);
    path.push_back(node);
  }
  for (size_t i = first; i < pinned.size(); ++i) {
    const auto [group, its] = pinned[i];
    cache.keep(group, its);
    block(node, group) = its;
  }
  return true;
}

bool PrefixTree::restore(const Space &space, const int32_t *tokens, int32_t count, int32_t known, Budget &budget) {
  bool more = false;
  const int32_t root = below && count / blockSize > known / blockSize ? rootOf(space, true) : none;
  // Where something on the way is missing after all, as far as that: windows see other blocks from there.
  for (int32_t most = root == none ? 0 : count / blockSize, reached = 0; most > 0; most = reached) {
    walk(space, tokens, most * blockSize);
    findBelow(space, tokens, static_cast<size_t>(most));
    bool moreNow = false;
    const auto end = static_cast<int32_t>(endBelow(static_cast<size_t>(known / blockSize), budget, moreNow));
    more = moreNow && most == count / blockSize;
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
    for (reached = 0; reached < end; ++reached)
      if (!bring(root, static_cast<size_t>(reached), static_cast<size_t>(end), tokens + reached * blockSize, budget))
        break;
    for (const auto &[group, its] : pinned)
      cache.unpin(group, its);
    for (size_t b = path.size(); b > 0; --b)
      moveToEnd(path[b - 1]);
    if (reached == end)
      break;
    more = false; // the prompt is computed from there on
  }
  return more;
}

} // namespace stepdown
