// The tokens of a vocabulary as a tree of their bytes, for walks that leave out whole branches at the first byte that
// cannot follow.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stepdown::grammar {

class TokenTree {
public:
  struct Node {
    uint32_t end;        ///< behind the last node below this one
    uint32_t first;      ///< of `ids`: tokens that end here, up to those of the next node
    uint16_t depth;      ///< bytes up to here; the roots have 1
    uint8_t byte;        ///< the last of them
    uint8_t hasChildren; ///< nodes lie below
  };
  /// `texts`: the bytes of each id; those of an empty one are no token here, nor of one of more than 65,535.
  explicit TokenTree(const std::vector<std::string_view> &texts);

  const std::vector<Node> &nodes() const { return tree; } ///< each before those below it, then its siblings
  /// Calls `found` for each token that ends at node `index`.
  template <typename Found> void tokens(uint32_t index, Found found) const {
    const uint32_t end = index + 1 < tree.size() ? tree[index + 1].first : static_cast<uint32_t>(ids.size());
    for (uint32_t i = tree[index].first; i < end; ++i)
      found(ids[i]);
  }
  size_t vocabulary() const { return count; }
  uint16_t deepest() const { return depth; }

private:
  std::vector<Node> tree;
  std::vector<int32_t> ids; ///< in the order of the nodes
  size_t count;
  uint16_t depth = 0;
};

} // namespace stepdown::grammar
