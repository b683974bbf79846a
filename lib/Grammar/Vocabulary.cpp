#include "lib/Grammar/Vocabulary.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace stepdown::grammar {

TokenTree::TokenTree(const std::vector<std::string_view> &texts) : count(texts.size()) {
  // Sorted by their first eight bytes as a number, most of which differ.
  struct Entry {
    uint64_t head;
    int32_t id;
  };
  std::vector<Entry> order;
  order.reserve(texts.size());
  for (size_t id = 0; id < texts.size(); ++id) {
    const std::string_view text = texts[id];
    if (text.empty() || text.size() > UINT16_MAX)
      continue;
    uint64_t head = 0;
    for (size_t i = 0; i < 8; ++i)
      head = head << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
    order.push_back({head, static_cast<int32_t>(id)});
  }
  // First apart by the two bytes at the front.
  std::vector<uint32_t> begins(65537, 0);
  for (const Entry &entry : order)
    ++begins[(entry.head >> 48) + 1];
  for (size_t i = 0; i < 65536; ++i)
    begins[i + 1] += begins[i];
  std::vector<Entry> parted(order.size());
  std::vector<uint32_t> fill(begins.begin(), begins.end() - 1);
  for (const Entry &entry : order)
    parted[fill[entry.head >> 48]++] = entry;
  order = std::move(parted);
  auto less = [&](const Entry &a, const Entry &b) {
    if (a.head != b.head)
      return a.head < b.head;
    const int compared = texts[a.id].compare(texts[b.id]);
    return compared != 0 ? compared < 0 : a.id < b.id;
  };
  for (size_t i = 0; i < 65536; ++i)
    std::sort(order.begin() + begins[i], order.begin() + begins[i + 1], less);
  std::vector<uint32_t> path; // the nodes of the text before
  std::string_view before;
  auto close = [&](size_t kept) {
    for (; path.size() > kept; path.pop_back())
      tree[path.back()].end = static_cast<uint32_t>(tree.size());
  };
  for (const Entry &entry : order) {
    const std::string_view text = texts[entry.id];
    const size_t shared = static_cast<size_t>(
        std::mismatch(before.begin(), before.end(), text.begin(), text.end()).first - before.begin());
    close(shared);
    for (size_t i = shared; i < text.size(); ++i) {
      if (i > 0)
        tree[path.back()].hasChildren = 1;
      path.push_back(static_cast<uint32_t>(tree.size()));
      tree.push_back(
          {0, static_cast<uint32_t>(ids.size()), static_cast<uint16_t>(i + 1), static_cast<uint8_t>(text[i]), 0});
    }
    depth = std::max(depth, static_cast<uint16_t>(text.size()));
    ids.push_back(entry.id);
    before = text;
  }
  close(0);
}

} // namespace stepdown::grammar
