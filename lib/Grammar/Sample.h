// Random texts of a grammar, for tests and for people who want to see what a grammar allows.
#pragma once
#include "lib/Grammar/TokenMasks.h"
#include <random>

namespace stepdown::grammar {

class RandomTexts {
public:
  explicit RandomTexts(std::shared_ptr<const Network> network);
  /// A text drawn byte by byte, each byte that may follow as likely as another; after `budget` bytes the shortest way
  /// to the end is taken. E1316.
  Result<std::string> bytes(std::mt19937_64 &random, size_t budget) const;
  /// The same token by token through masks; `texts` are the bytes of the ids. E1315, E1316.
  Result<std::string> tokens(std::mt19937_64 &random, size_t budget, TokenMasks &masks,
                             const std::vector<std::string_view> &texts) const;

private:
  static constexpr uint64_t endless = UINT32_MAX;
  uint64_t toEnd(Configurations &pool, int32_t configuration) const;
  std::shared_ptr<const Network> network;
  std::vector<uint64_t> left; ///< [states]: bytes to the end of the rule at least
};

} // namespace stepdown::grammar
