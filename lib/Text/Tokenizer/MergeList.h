// Merging neighbours by rank in O(n log n), shared by SPM and BPE.
//
// The text is a doubly linked list of symbols, and each symbol knows the rank of merging with the one after it. A long
// list keeps these (rank, position) pairs in a heap, so equal ranks merge from the left. A merge makes entries around
// it stale; they are not searched for but recognised when they come up: an entry is current exactly when its symbol
// still has that rank. An entry is eight bytes and a node has four children, because on a word of a million symbols
// nothing costs but cache misses. A short list needs no heap: looking through it is faster.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stepdown {

/// What a pair of symbols merges into; smaller ranks go first. UINT32_MAX is no rank.
struct Merge {
  uint32_t rank;
  int32_t id; // token, or -1
};

struct MergeSymbol {
  uint32_t begin; // bytes of the text
  uint32_t end;
  int32_t id; // token, or -1
};

class MergeList {
public:
  void clear() { links.clear(); }
  void add(uint32_t begin, uint32_t length, int32_t id) {
    int32_t index = static_cast<int32_t>(links.size());
    links.push_back({{begin, begin + length, id}, {none, -1}, index - 1, index + 1});
  }

  /// `rule(left, right, merge)` says whether two neighbours merge and into what. Calls of it and comparisons of entries
  /// are added to `steps`.
  template <typename Rule> void merge(const Rule &rule, uint64_t &steps) {
    if (links.empty())
      return;
    links.back().next = -1;
    steps += links.size();
    for (size_t i = 0; i + 1 < links.size(); ++i)
      consider(rule, links[i]);
    if (links.size() <= shortList) {
      mergeShort(rule, steps);
      return;
    }
    heap.clear();
    for (size_t i = 0; i + 1 < links.size(); ++i)
      if (links[i].merge.rank != none)
        heap.push_back(entry(static_cast<int32_t>(i)));
    for (size_t i = heap.size() / 4 + 1; i-- > 0;)
      sink(i);
    while (!heap.empty()) {
      ++steps;
      uint64_t top = heap.front();
      heap.front() = heap.back();
      heap.pop_back();
      sink(0);
      int32_t index = static_cast<int32_t>(top & 0xffffffff);
      if (links[index].merge.rank != top >> 32)
        continue;
      join(rule, index);
      if (links[index].merge.rank != none)
        push(entry(index));
      if (int32_t previous = links[index].previous; previous >= 0 && links[previous].merge.rank != none)
        push(entry(previous));
    }
  }

  /// Calls `visit(symbol)` for every symbol that is left, in order of the text.
  template <typename Visit> void forEach(const Visit &visit) const {
    for (int32_t i = links.empty() ? -1 : 0; i >= 0; i = links[i].next)
      visit(links[i].symbol);
  }

private:
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr size_t shortList = 20;

  struct Link {
    MergeSymbol symbol;
    Merge merge;            // with the next symbol; rank `none` where they do not merge, and once the symbol is gone
    int32_t previous, next; // -1 at the ends
  };

  uint64_t entry(int32_t index) const {
    return static_cast<uint64_t>(links[index].merge.rank) << 32 | static_cast<uint32_t>(index);
  }

  template <typename Rule> void consider(const Rule &rule, Link &link) {
    if (link.next < 0 || !rule(link.symbol, links[link.next].symbol, link.merge))
      link.merge.rank = none;
  }

  /// Merges symbol `index` with the next one and asks the rule about the two pairs that this makes.
  template <typename Rule> void join(const Rule &rule, int32_t index) {
    Link &left = links[index], &right = links[left.next];
    left.symbol.end = right.symbol.end;
    left.symbol.id = left.merge.id;
    left.next = right.next;
    right.merge.rank = none;
    if (left.next >= 0)
      links[left.next].previous = index;
    consider(rule, left);
    if (left.previous >= 0)
      consider(rule, links[left.previous]);
  }

  template <typename Rule> void mergeShort(const Rule &rule, uint64_t &steps) {
    for (;;) {
      int32_t best = 0;
      for (int32_t i = 0; i >= 0; i = links[i].next, ++steps)
        if (links[i].merge.rank < links[best].merge.rank)
          best = i;
      if (links[best].merge.rank == none)
        return;
      join(rule, best);
    }
  }

  void push(uint64_t value) {
    size_t at = heap.size();
    heap.push_back(value);
    for (; at > 0 && heap[(at - 1) / 4] > value; at = (at - 1) / 4)
      heap[at] = heap[(at - 1) / 4];
    heap[at] = value;
  }

  void sink(size_t at) {
    size_t size = heap.size();
    if (at >= size)
      return;
    uint64_t value = heap[at];
    for (size_t child; (child = at * 4 + 1) < size;) {
      size_t least = child, end = std::min(child + 4, size);
      for (size_t i = child + 1; i < end; ++i)
        least = heap[i] < heap[least] ? i : least;
      if (heap[least] >= value)
        break;
      heap[at] = heap[least];
      at = least;
    }
    heap[at] = value;
  }

  std::vector<Link> links;
  std::vector<uint64_t> heap; // rank in the upper half, index of the left symbol in the lower; the least on top
};

} // namespace stepdown
