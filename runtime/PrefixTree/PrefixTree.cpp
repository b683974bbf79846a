#include "runtime/PrefixTree/PrefixTree.h"

#include <algorithm>

namespace stepdown {

PrefixTree::PrefixTree(KVCache &cache, uint32_t limit)
    : cache(cache), limit(limit), groups(cache.groupCount()), blockSize(cache.blockSize()) {
  size_t heads = 16;
  while (heads < limit)
    heads *= 2;
  nodes.resize(limit);
  held.resize(static_cast<size_t>(limit) * blockSize);
  blocks.assign(static_cast<size_t>(limit) * groups, none);
  buckets.assign(heads, none);
  spaces.reserve(mostSpaces);
  path.reserve(cache.tableWidth());
  entries.reserve(groups * static_cast<size_t>(cache.tableWidth()));
  for (uint32_t node = limit; node > 0; --node)
    unused.push_back(static_cast<int32_t>(node - 1));
  cache.setKeeper(this);
}

PrefixTree::~PrefixTree() {
  while (oldest != none)
    remove(oldest);
  cache.setKeeper(nullptr);
}

int32_t PrefixTree::rootOf(const Space &space, bool adds) {
  const auto found = std::find(spaces.begin(), spaces.end(), space);
  if (found != spaces.end())
    return -2 - static_cast<int32_t>(found - spaces.begin());
  if (!adds)
    return none;
  if (spaces.size() < mostSpaces) {
    spaces.push_back(space);
    return -1 - static_cast<int32_t>(spaces.size());
  }
  std::array<bool, mostSpaces> has = {};
  for (int32_t node = oldest; node != none; node = nodes[node].newer)
    if (nodes[node].parent < none)
      has[static_cast<size_t>(-2 - nodes[node].parent)] = true;
  const auto free = std::find(has.begin(), has.end(), false);
  if (free == has.end())
    return none;
  spaces[static_cast<size_t>(free - has.begin())] = space;
  return -2 - static_cast<int32_t>(free - has.begin());
}

// FNV-1a over 32-bit words; which bucket changes nothing of what is found.
size_t PrefixTree::bucketOf(int32_t parent, const int32_t *tokens) const {
  uint64_t hash = 0xcbf29ce484222325u ^ static_cast<uint32_t>(parent);
  for (int32_t i = 0; i < blockSize; ++i)
    hash = (hash ^ static_cast<uint32_t>(tokens[i])) * 0x100000001b3u;
  return (hash ^ hash >> 32) & (buckets.size() - 1);
}

int32_t PrefixTree::find(int32_t parent, const int32_t *tokens) const {
  int32_t node = buckets[bucketOf(parent, tokens)];
  while (node != none && !(nodes[node].parent == parent && std::equal(tokens, tokens + blockSize, tokensOf(node))))
    node = nodes[node].chained;
  return node;
}

void PrefixTree::walk(const Space &space, const int32_t *tokens, int32_t count) {
  path.clear();
  int32_t parent = rootOf(space, false);
  for (int32_t at = 0; parent != none && at + blockSize <= count; at += blockSize) {
    parent = find(parent, tokens + at);
    if (parent != none)
      path.push_back(parent);
  }
}

// Cuts `path` to where a sequence can go on, and returns its tokens.
int32_t PrefixTree::visibleEnd() {
  for (size_t end = path.size(); end > 0; --end) {
    bool whole = true;
    for (size_t g = 0; g < groups; ++g) {
      if (!cache.hasWindow(g))
        continue; // it has all of them
      auto b = static_cast<size_t>(cache.firstVisible(g, static_cast<int32_t>(end) * blockSize));
      for (; b < end && whole; ++b)
        whole = block(path[b], g) != none;
    }
    if (whole) {
      path.resize(end);
      return static_cast<int32_t>(end) * blockSize;
    }
  }
  path.clear();
  return 0;
}

int32_t PrefixTree::longest(const Space &space, const int32_t *tokens, int32_t count) {
  walk(space, tokens, count);
  return visibleEnd();
}

int32_t PrefixTree::shared(const Space &space, const int32_t *tokens, int32_t count,
                           const std::vector<int32_t> &leaving) {
  size_t whole = 0; // a group that has all blocks
  while (whole < groups && cache.hasWindow(whole))
    ++whole;
  if (whole == groups)
    return 0;
  walk(space, tokens, count);
  visibleEnd();
  // Besides those who leave, and the tree, somebody has it.
  auto stays = [&](size_t index) {
    const int32_t its = block(path[index], whole);
    uint32_t others = cache.references(whole, its) - 1;
    for (int32_t sequence : leaving)
      others -= cache.entry(whole, sequence, static_cast<int32_t>(index)) == its;
    return others > 0;
  };
  size_t used = 0;
  while (used < path.size() && stays(used))
    ++used;
  return static_cast<int32_t>(used) * blockSize;
}

int32_t PrefixTree::adopt(const Space &space, const int32_t *tokens, int32_t count, int32_t sequence) {
  const int32_t length = longest(space, tokens, count);
  entries.clear();
  for (size_t g = 0; g < groups; ++g)
    for (size_t b = 0; b < path.size(); ++b)
      entries.push_back(static_cast<int32_t>(b) < cache.firstVisible(g, length) ? none : block(path[b], g));
  cache.adopt(sequence, entries.data(), static_cast<int32_t>(path.size()));
  for (size_t b = path.size(); b > 0; --b)
    moveToEnd(path[b - 1]);
  return length;
}

void PrefixTree::add(const Space &space, const int32_t *tokens, int32_t count, int32_t sequence) {
  path.clear();
  int32_t parent = rootOf(space, true);
  for (int32_t b = 0; parent != none && (b + 1) * blockSize <= count; ++b) {
    const int32_t *its = tokens + static_cast<size_t>(b) * blockSize;
    int32_t node = find(parent, its);
    if (node == none) {
      bool alone = true;
      for (size_t g = 0; g < groups; ++g)
        alone &= cache.hasWindow(g) || cache.references(g, cache.entry(g, sequence, b)) == 1;
      node = alone ? take(parent) : none;
      if (node == none)
        break;
      enter(node, parent, its);
    }
    for (size_t g = 0; g < groups; ++g) {
      const int32_t own = cache.entry(g, sequence, b);
      int32_t &there = block(node, g);
      if (own != none && there == none) {
        cache.keep(g, own);
        there = own;
      } else if (own != none && there != own) {
        cache.exchange(g, sequence, b, there);
      }
    }
    path.push_back(node);
    parent = node;
  }
  for (size_t b = path.size(); b > 0; --b)
    moveToEnd(path[b - 1]);
}

void PrefixTree::enter(int32_t node, int32_t parent, const int32_t *tokens) {
  std::copy_n(tokens, blockSize, &held[static_cast<size_t>(node) * blockSize]);
  if (below)
    keys[node] = parent >= 0 ? keyBehind(&keys[parent], {}, tokens) : keyBehind(nullptr, spaces[-2 - parent], tokens);
  int32_t &head = buckets[bucketOf(parent, tokens)];
  nodes[node].chained = head;
  head = node;
}

void PrefixTree::letGo(int32_t node, size_t group) {
  int32_t &its = block(node, group);
  if (below)
    below->dropped(keys[node], group, its);
  cache.letGo(group, its);
  its = none;
}

bool PrefixTree::isIdleLeaf(int32_t node) {
  for (size_t g = 0; g < groups; ++g)
    if (const int32_t its = block(node, g); its != none && !cache.isIdle(g, its))
      return false;
  return nodes[node].children == 0;
}

// A node below `parent`, of those that are unused or else of the idle ones; none of the path that is being added is a
// leaf but its end, the parent.
int32_t PrefixTree::take(int32_t parent) {
  for (int32_t node = oldest; unused.empty() && node != none; node = nodes[node].newer)
    if (node != parent && isIdleLeaf(node)) {
      remove(node);
      break;
    }
  if (unused.empty())
    return none;
  const int32_t node = unused.back();
  unused.pop_back();
  nodes[node].parent = parent;
  if (parent >= 0)
    ++nodes[parent].children;
  moveToEnd(node);
  return node;
}

void PrefixTree::remove(int32_t node) {
  for (size_t g = 0; g < groups; ++g)
    if (block(node, g) != none)
      letGo(node, g);
  int32_t *link = &buckets[bucketOf(nodes[node].parent, tokensOf(node))];
  while (*link != node)
    link = &nodes[*link].chained;
  *link = nodes[node].chained;
  putBack(node);
}

void PrefixTree::putBack(int32_t node) {
  if (nodes[node].parent >= 0)
    --nodes[nodes[node].parent].children;
  unlink(node);
  nodes[node] = Node();
  unused.push_back(node);
}

void PrefixTree::unlink(int32_t node) {
  Node &its = nodes[node];
  if (its.older != none || oldest == node)
    (its.older != none ? nodes[its.older].newer : oldest) = its.newer;
  if (its.newer != none || newest == node)
    (its.newer != none ? nodes[its.newer].older : newest) = its.older;
  its.older = its.newer = none;
}

void PrefixTree::moveToEnd(int32_t node) {
  unlink(node);
  nodes[node].older = newest;
  (newest != none ? nodes[newest].newer : oldest) = node;
  newest = node;
}

void PrefixTree::giveBack(size_t group, uint32_t count) {
  for (int32_t node = oldest; node != none && count;) {
    const int32_t next = nodes[node].newer;
    if (const int32_t its = block(node, group); its != none && cache.isIdle(group, its)) {
      --count;
      if (cache.hasWindow(group))
        letGo(node, group);
      else
        remove(node);
    }
    node = next;
  }
}

bool PrefixTree::isSound() const {
  std::vector<int32_t> children(limit, 0), place(limit, none); // place in the list; none: not in it
  uint32_t count = 0;
  for (int32_t node = oldest; node != none; node = nodes[node].newer) {
    if (count == limit)
      return false;
    place[node] = static_cast<int32_t>(count++);
  }
  for (int32_t node = oldest; node != none; node = nodes[node].newer) {
    const int32_t parent = nodes[node].parent;
    if (parent < 0)
      continue;
    ++children[parent];
    if (place[parent] <= place[node])
      return false;
    for (size_t g = 0; g < groups; ++g) {
      const size_t up = static_cast<size_t>(parent) * groups + g, here = static_cast<size_t>(node) * groups + g;
      if (!cache.hasWindow(g) && cache.isIdle(g, blocks[up]) && !cache.isIdle(g, blocks[here]))
        return false;
    }
  }
  for (int32_t node = oldest; node != none; node = nodes[node].newer)
    if (nodes[node].children != children[node])
      return false;
  return count == size();
}

void PrefixTree::countReferences(size_t group, std::vector<uint32_t> &references) const {
  for (int32_t node = oldest; node != none; node = nodes[node].newer)
    if (const int32_t its = blocks[static_cast<size_t>(node) * groups + group]; its != none)
      ++references[its];
}

} // namespace stepdown
