// Merging neighbours by rank in O(n log n), shared by SPM and BPE.
//
// The text is a doubly linked list of symbols. Every adjacent pair that may merge is in a heap, ordered by rank and
// then by position, so equal ranks merge from the left. A merge makes the pairs around it stale; they are not searched
// for but recognised when they come up: a symbol only ever grows, so a pair is current exactly when its left symbol is
// alive and the two together still have the length that was noted.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace stepdown {

struct MergeSymbol {
  uint32_t begin, length; // bytes of the text; length 0: merged into a symbol to its left
  int32_t previous, next; // -1 at the ends
  int32_t id;             // token, or -1
};

/// What a pair of symbols merges into; smaller ranks go first.
struct Merge {
  uint32_t rank;
  int32_t id;
};

class MergeList {
public:
  void clear() { symbols.clear(); }
  void add(uint32_t begin, uint32_t length, int32_t id) {
    int32_t index = static_cast<int32_t>(symbols.size());
    if (index)
      symbols.back().next = index;
    symbols.push_back({begin, length, index - 1, -1, id});
  }

  /// `rule(left, right, merge)` says whether two neighbours merge and into what. Calls of it and heap operations are
  /// added to `steps`.
  template <typename Rule> void merge(const Rule &rule, uint64_t &steps) {
    heap.clear();
    for (size_t i = 1; i < symbols.size(); ++i)
      consider(rule, static_cast<int32_t>(i - 1), static_cast<int32_t>(i), false);
    steps += symbols.size();
    std::make_heap(heap.begin(), heap.end());
    while (!heap.empty()) {
      ++steps;
      std::pop_heap(heap.begin(), heap.end());
      Candidate best = heap.back();
      heap.pop_back();
      int32_t index = static_cast<int32_t>(best.key & 0xffffffff);
      MergeSymbol &left = symbols[index];
      if (!left.length || left.next < 0)
        continue;
      MergeSymbol &right = symbols[left.next];
      if (left.length + right.length != best.length)
        continue;
      left.length = best.length;
      left.id = best.id;
      left.next = right.next;
      right.length = 0;
      if (left.next >= 0) {
        symbols[left.next].previous = index;
        consider(rule, index, left.next, true);
      }
      if (left.previous >= 0)
        consider(rule, left.previous, index, true);
    }
  }

  /// Calls `visit(symbol)` for every symbol that is left, in order of the text.
  template <typename Visit> void forEach(const Visit &visit) const {
    for (int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[i].next)
      visit(symbols[i]);
  }

private:
  struct Candidate {
    uint64_t key; // rank in the upper half, index of the left symbol in the lower
    uint32_t length;
    int32_t id;
    bool operator<(const Candidate &other) const { return key > other.key; } // the standard heap has its largest on top
  };

  template <typename Rule> void consider(const Rule &rule, int32_t left, int32_t right, bool push) {
    Merge merge;
    if (!rule(symbols[left], symbols[right], merge))
      return;
    heap.push_back({static_cast<uint64_t>(merge.rank) << 32 | static_cast<uint32_t>(left),
                    symbols[left].length + symbols[right].length, merge.id});
    if (push)
      std::push_heap(heap.begin(), heap.end());
  }

  std::vector<MergeSymbol> symbols;
  std::vector<Candidate> heap;
};

} // namespace stepdown
