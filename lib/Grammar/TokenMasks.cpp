#include "lib/Grammar/TokenMasks.h"

#include <algorithm>

namespace stepdown::grammar {
static void set(Mask &mask, int32_t id) { mask[static_cast<size_t>(id) / 64] |= uint64_t(1) << (id % 64); }

/// Walks over nodes begin .. end of the tree from a configuration, where `path` holds that of the node before; calls
/// `reached(index, configuration)` for those that the grammar allows. False where a text can be read in too many ways,
/// or the walk with the `cost` before comes to more than the budget.
template <typename Reached>
bool TokenMasks::walk(Configurations &from, uint32_t begin, uint32_t end, size_t &cost, Reached reached) {
  const TokenTree::Node *nodes = tokens->nodes().data();
  for (uint32_t i = begin; i < end;) {
    const TokenTree::Node &node = nodes[i];
    const int32_t before = path[node.depth - 1];
    cost += 1 + from.tops(before).size() / 8;
    if (cost > budget || from.bytes() > walkedBytes)
      return false;
    const int32_t to = from.step(before, node.byte);
    if (to == Configurations::tooMany)
      return false;
    if (to == Configurations::dead) {
      i = node.end;
      continue;
    }
    path[node.depth] = to;
    reached(i, to);
    // Nothing can follow where all stacks have ended.
    i = from.tops(to).empty() ? node.end : i + 1;
  }
  return true;
}

const TokenMasks::Known *TokenMasks::knownOf(int32_t state) {
  if (auto at = known.find(state); at != known.end()) {
    recent.splice(recent.begin(), recent, at->second.at);
    return &at->second;
  }
  if (pool.size() > remembered || pool.bytes() > rememberedBytes)
    pool.clear();
  Known made;
  made.mask.assign((tokens->vocabulary() + 63) / 64, 0);
  path.assign(tokens->deepest() + size_t(1), 0);
  path[0] = pool.of(pool.node(state, Configurations::bottom));
  const auto &nodes = tokens->nodes();
  const bool whole = walk(pool, 0, static_cast<uint32_t>(nodes.size()), made.cost, [&](uint32_t i, int32_t to) {
    tokens->tokens(i, [&](int32_t id) { set(made.mask, id); });
    if (nodes[i].hasChildren && pool.ends(to))
      made.leads.push_back(i);
  });
  if (!whole)
    return nullptr;
  knownBytes += bytesOf(made);
  while (!known.empty() && (known.size() >= kept || knownBytes > keptBytes)) {
    const auto last = known.find(recent.back());
    knownBytes -= bytesOf(last->second);
    known.erase(last);
    recent.pop_back();
  }
  recent.push_front(state);
  made.at = recent.begin();
  return &known.emplace(state, std::move(made)).first->second;
}

bool TokenMasks::allowed(Matcher &matcher, Mask &mask) {
  const std::lock_guard<std::mutex> lock(mutex);
  mask.assign((tokens->vocabulary() + 63) / 64, 0);
  Configurations &own = matcher.configurations();
  const auto &nodes = tokens->nodes();
  const std::vector<int32_t> tops = own.tops(matcher.configuration()); // a copy: walks add configurations
  budget = walks * nodes.size() + freeSteps;
  size_t cost = 0;
  for (int32_t top : tops) {
    const int32_t state = own.stateOf(top), below = own.below(top);
    const Known *held = knownOf(state);
    if (!held || (cost += 1 + held->cost) > budget) // whether it was known or not, so that an answer is always the same
      return false;
    for (size_t w = 0; w < mask.size(); ++w)
      mask[w] |= held->mask[w];
    if (below == Configurations::bottom || held->leads.empty())
      continue;
    const int32_t rest = own.of(below);
    if (rest == Configurations::tooMany)
      return false;
    if (rest == Configurations::dead || own.tops(rest).empty())
      continue;
    path.assign(tokens->deepest() + size_t(1), 0);
    for (uint32_t lead : held->leads) {
      path[nodes[lead].depth] = rest;
      if (!walk(own, lead + 1, nodes[lead].end, cost,
                [&](uint32_t i, int32_t) { tokens->tokens(i, [&](int32_t id) { set(mask, id); }); }))
        return false;
    }
  }
  return true;
}

} // namespace stepdown::grammar
