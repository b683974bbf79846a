#include "lib/Grammar/Matcher.h"

#include <algorithm>

namespace stepdown::grammar {

int32_t Configurations::node(int32_t state, int32_t below) {
  const uint64_t key = uint64_t(static_cast<uint32_t>(state)) << 32 | static_cast<uint32_t>(below);
  auto [at, isNew] = nodeIds.try_emplace(key, static_cast<int32_t>(nodes.size()));
  if (isNew)
    nodes.push_back({state, below});
  return at->second;
}

int32_t Configurations::of(int32_t node) { return close({node}); }

/// The configuration of the stacks `work`, and of those that calls and ends of rules make of them.
int32_t Configurations::close(std::vector<int32_t> work) {
  std::vector<int32_t> tops, seen = work; // few, but for ambiguous grammars
  std::unordered_map<int32_t, char> many; // the same, once they are not
  bool ended = false;
  auto reach = [&](int32_t node) {
    if (seen.size() < 32) {
      if (std::find(seen.begin(), seen.end(), node) != seen.end())
        return;
    } else {
      if (many.empty())
        for (int32_t each : seen)
          many.emplace(each, 0);
      if (!many.emplace(node, 0).second)
        return;
    }
    seen.push_back(node);
    work.push_back(node);
  };
  while (!work.empty()) {
    if (seen.size() > maxStacks)
      return tooMany;
    const int32_t top = work.back();
    work.pop_back();
    const Node at = nodes[top];
    const Network::State &state = net->states[at.state];
    if (state.reads)
      tops.push_back(top);
    if (state.accepts) {
      if (at.below == bottom)
        ended = true;
      else
        reach(at.below);
    }
    for (uint32_t i = state.calls; i < state.callsEnd; ++i) {
      const Network::Call call = net->calls[i];
      const Network::State &after = net->states[call.to];
      const int32_t below = after.accepts && !after.leads ? at.below : node(call.to, at.below);
      reach(node(net->starts[call.rule], below));
    }
  }
  if (tops.empty() && !ended)
    return dead;
  std::sort(tops.begin(), tops.end());
  return configurationOf(std::move(tops), ended);
}

int32_t Configurations::configurationOf(std::vector<int32_t> tops, bool ended) {
  std::vector<int32_t> key = tops;
  if (ended)
    key.push_back(-2);
  auto [at, isNew] = ids.try_emplace(std::move(key), static_cast<int32_t>(configurations.size()));
  if (isNew) {
    held += 128 + 2 * tops.size() * sizeof tops[0];
    configurations.push_back({std::move(tops), ended});
    rows.emplace_back();
  }
  return at->second;
}

int32_t Configurations::compute(int32_t configuration, uint8_t byte) {
  std::vector<int32_t> work;
  for (int32_t top : configurations[configuration].tops)
    if (int32_t to = net->step(nodes[top].state, byte); to >= 0)
      work.push_back(node(to, nodes[top].below));
  std::sort(work.begin(), work.end());
  work.erase(std::unique(work.begin(), work.end()), work.end());
  const int32_t to = work.empty() ? dead : close(std::move(work));
  std::unique_ptr<int32_t[]> &row = rows[configuration];
  if (!row) {
    row.reset(new int32_t[256]);
    held += 256 * sizeof row[0];
    std::fill_n(row.get(), 256, unknown);
  }
  return row[byte] = to;
}

void Configurations::clear() {
  nodes.clear();
  nodeIds.clear();
  configurations.clear();
  ids.clear();
  rows.clear();
  held = 0;
}

int32_t Configurations::forgetAllBut(int32_t configuration) {
  const Configuration kept = configurations[configuration];
  // A node is made before what lies on it, so that ascending order meets the ones below first.
  std::vector<int32_t> used;
  std::vector<uint8_t> marked(nodes.size(), 0);
  for (int32_t top : kept.tops)
    for (int32_t at = top; at != bottom && !marked[at]; at = nodes[at].below) {
      marked[at] = 1;
      used.push_back(at);
    }
  std::sort(used.begin(), used.end());
  const std::vector<Node> before = nodes;
  clear();
  std::unordered_map<int32_t, int32_t> moved = {{bottom, bottom}};
  for (int32_t at : used)
    moved[at] = node(before[at].state, moved.at(before[at].below));
  std::vector<int32_t> key;
  for (int32_t top : kept.tops)
    key.push_back(moved.at(top));
  std::sort(key.begin(), key.end());
  return configurationOf(std::move(key), kept.ended);
}

size_t Matcher::accept(std::string_view bytes) {
  int32_t to = now;
  for (size_t i = 0; i < bytes.size(); ++i)
    if (to = pool.step(to, static_cast<uint8_t>(bytes[i])); to < 0)
      return i;
  now = pool.size() > remembered || pool.bytes() > rememberedBytes ? pool.forgetAllBut(to) : to;
  return bytes.size();
}

} // namespace stepdown::grammar
