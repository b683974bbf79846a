#include "lib/Grammar/Sample.h"

#include <algorithm>

namespace stepdown::grammar {

RandomTexts::RandomTexts(std::shared_ptr<const Network> given)
    : network(std::move(given)), left(network->states.size(), endless) {
  // Bellman's equations, until nothing changes.
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t s = left.size(); s-- > 0;) {
      const Network::State &state = network->states[s];
      uint64_t best = state.accepts ? 0 : endless;
      for (int byte = 0; state.reads && byte < 256; ++byte)
        if (int32_t to = network->step(static_cast<int32_t>(s), static_cast<uint8_t>(byte)); to >= 0)
          best = std::min(best, 1 + left[to]);
      for (uint32_t c = state.calls; c < state.callsEnd; ++c)
        best = std::min(best, left[network->starts[network->calls[c].rule]] + left[network->calls[c].to]);
      if (best < left[s]) {
        left[s] = best;
        changed = true;
      }
    }
  }
}

/// Bytes from a configuration to the end of the text, at least.
uint64_t RandomTexts::toEnd(Configurations &pool, int32_t configuration) const {
  uint64_t best = pool.ends(configuration) ? 0 : UINT64_MAX;
  for (int32_t top : pool.tops(configuration)) {
    uint64_t sum = 0;
    for (int32_t node = top; node != Configurations::bottom; node = pool.below(node))
      sum += left[pool.stateOf(node)];
    best = std::min(best, sum);
  }
  return best;
}

static Error tooMany() {
  return fail(ErrorCode::ConstraintParses, "grammar: expects a text that can be read in at most %zu ways at once",
              Configurations::maxStacks);
}

Result<std::string> RandomTexts::bytes(std::mt19937_64 &random, size_t budget) const {
  Matcher matcher(network);
  std::string text;
  for (;;) {
    Configurations &pool = matcher.configurations();
    std::vector<char> may;
    uint64_t best = UINT64_MAX;
    const bool hurry = text.size() >= budget;
    for (int byte = 0; byte < 256; ++byte) {
      const int32_t to = pool.step(matcher.configuration(), static_cast<uint8_t>(byte));
      if (to == Configurations::tooMany)
        return tooMany();
      if (to < 0)
        continue;
      const uint64_t rest = hurry ? toEnd(pool, to) : 0;
      if (rest < best && hurry) {
        best = rest;
        may.clear();
      }
      if (!hurry || rest == best)
        may.push_back(static_cast<char>(byte));
    }
    if (matcher.mayEnd() && (may.empty() || hurry || random() % 8 == 0))
      return text;
    text += may[random() % may.size()];
    matcher.accept(std::string_view(text).substr(text.size() - 1));
  }
}

Result<std::string> RandomTexts::tokens(std::mt19937_64 &random, size_t budget, TokenMasks &masks,
                                        const std::vector<std::string_view> &texts) const {
  Matcher matcher(network);
  std::string text;
  Mask mask;
  for (;;) {
    if (!masks.allowed(matcher, mask))
      return tooMany();
    std::vector<int32_t> may;
    for (size_t id = 0; id < texts.size(); ++id)
      if (mask[id / 64] >> (id % 64) & 1)
        may.push_back(static_cast<int32_t>(id));
    const bool hurry = text.size() >= budget;
    if (matcher.mayEnd() && (may.empty() || hurry || random() % 8 == 0))
      return text;
    if (may.empty())
      return fail(ErrorCode::ConstraintTokens, "grammar: expects a token that can follow %zu bytes, but there is none",
                  text.size());
    int32_t chosen = may[random() % may.size()];
    uint64_t best = UINT64_MAX;
    for (size_t tries = 0; hurry && tries < may.size(); ++tries) {
      // Tokens of one byte are always tried, of the others some.
      const int32_t id = may[tries];
      if (texts[id].size() > 1 && random() % may.size() >= 64)
        continue;
      int32_t to = matcher.configuration();
      for (char byte : texts[id])
        to = matcher.configurations().step(to, static_cast<uint8_t>(byte));
      const uint64_t rest = to < 0 ? UINT64_MAX : toEnd(matcher.configurations(), to);
      if (rest < best) {
        best = rest;
        chosen = id;
      }
    }
    text += texts[chosen];
    if (matcher.accept(texts[chosen]) != texts[chosen].size())
      return fail(ErrorCode::ConstraintTokens, "grammar: expects tokens of a mask to follow, but %d does not", chosen);
  }
}

} // namespace stepdown::grammar
