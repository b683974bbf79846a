// Which tokens may follow where a text stands, as a bit set over the vocabulary.
//
// Most of the answer depends on the top of the stack alone: tokens that end before its rule does, and tokens that no
// rule below could save. That part is computed once for a state of the network, by a walk over the tree of tokens, and
// kept; with it the few places in the tree where the rule on top may end with bytes left, which are walked on from the
// stack below each time it is another one (the idea of Dong et al.: XGrammar, 2024). A configuration's mask is the
// union over its stacks.
#pragma once
#include "lib/Grammar/Matcher.h"
#include "lib/Grammar/Vocabulary.h"
#include <list>
#include <mutex>

namespace stepdown::grammar {

using Mask = std::vector<uint64_t>; ///< [vocabulary / 64, rounded up]: bit i % 64 of word i / 64

/// The masks of one grammar and one vocabulary, for any number of texts and threads.
class TokenMasks {
public:
  TokenMasks(std::shared_ptr<const Network> network, std::shared_ptr<const TokenTree> tree)
      : tokens(std::move(tree)), pool(std::move(network)) {}

  const std::shared_ptr<const Network> &network() const { return pool.shared(); }
  const TokenTree &tree() const { return *tokens; }
  /// Sets in `mask`, and clears all others, the tokens that may follow in `matcher`. False where a text can be read in
  /// too many ways at once, or so many that walks over the tree would take too long: of 64 times its size.
  bool allowed(Matcher &matcher, Mask &mask);

private:
  /// What is known of a state, whatever lies below.
  struct Known {
    Mask mask;                       ///< tokens that may follow
    size_t cost = 0;                 ///< of finding it, as for `budget`
    std::vector<uint32_t> leads;     ///< nodes of the tree at which the rule may have ended, with nodes below them
    std::list<int32_t>::iterator at; ///< in `recent`
  };
  static constexpr size_t kept = 1024; ///< states; 32 KiB each at 262,144 tokens
  static constexpr size_t keptBytes = size_t(64) << 20;
  static constexpr size_t remembered = 1 << 13; ///< configurations
  static constexpr size_t rememberedBytes = size_t(64) << 20, walkedBytes = size_t(256) << 20;
  static constexpr size_t walks = 64, freeSteps = size_t(1)
                                                  << 22; ///< of one mask: over the whole tree, and beside them

  static size_t bytesOf(const Known &known) {
    return known.mask.size() * sizeof known.mask[0] + known.leads.size() * sizeof known.leads[0];
  }
  template <typename Reached>
  bool walk(Configurations &from, uint32_t begin, uint32_t end, size_t &cost, Reached reached);
  const Known *knownOf(int32_t state);

  const std::shared_ptr<const TokenTree> tokens;
  std::mutex mutex;
  Configurations pool; ///< with nothing known below
  std::unordered_map<int32_t, Known> known;
  std::list<int32_t> recent; ///< states, the latest first
  size_t knownBytes = 0;
  std::vector<int32_t> path; ///< [depth + 1], configurations of the walk
  size_t budget = 0;         ///< of allowed(): nodes of the tree to walk over, those of many stacks more often
};

} // namespace stepdown::grammar
