// Where in a grammar a text stands: a set of stacks of the recursive transition network, walked byte by byte.
//
// A stack is a path in a tree of nodes (state, node below): rules that call each other share what lies below them. The
// node below holds the state to go on with when the rule on top has ended, so that ending a rule is a step down the
// path, and a call that nothing follows leaves no node behind. All stacks that read the same text so far, reduced to
// those whose top reads a byte, are one configuration. Configurations are numbered as they are first met, and each
// remembers where a byte led, so that what was once computed is a look-up: a deterministic automaton, built as far as
// texts have gone.
#pragma once
#include "lib/Grammar/Rules.h"
#include <array>
#include <memory>
#include <unordered_map>

namespace stepdown::grammar {

class Configurations {
public:
  static constexpr int32_t dead = -1;    ///< no text goes on so
  static constexpr int32_t tooMany = -2; ///< a text can be read in more ways at once than maxStacks
  static constexpr size_t maxStacks = 4096;
  static constexpr int32_t bottom = -1; ///< below the last node

  explicit Configurations(std::shared_ptr<const Network> network) : net(std::move(network)) {}

  const Network &network() const { return *net; }
  const std::shared_ptr<const Network> &shared() const { return net; }
  /// The beginning of a text.
  int32_t begin() { return of(node(net->starts[net->root], bottom)); }
  /// The configuration of one stack: `top` in `state`, on `below`; `dead` only where that state leads nowhere.
  int32_t of(int32_t node);
  int32_t node(int32_t state, int32_t below);
  /// Where `byte` leads from a configuration; `dead` or `tooMany`.
  int32_t step(int32_t configuration, uint8_t byte) {
    int32_t *row = rows[configuration].get();
    const int32_t to = row ? row[byte] : unknown;
    return to != unknown ? to : compute(configuration, byte);
  }
  /// A stack has come to its end: the text may end here.
  bool ends(int32_t configuration) const { return configurations[configuration].ended; }
  /// The stacks whose tops read a byte, as nodes, ascending.
  const std::vector<int32_t> &tops(int32_t configuration) const { return configurations[configuration].tops; }
  int32_t stateOf(int32_t node) const { return nodes[node].state; }
  int32_t below(int32_t node) const { return nodes[node].below; }

  /// What is remembered, in configurations, and about as many bytes.
  size_t size() const { return configurations.size(); }
  size_t bytes() const { return 64 * nodes.size() + held; }
  /// Forgets all but one configuration, and returns its new number.
  int32_t forgetAllBut(int32_t configuration);
  void clear();

private:
  static constexpr int32_t unknown = -3;
  struct Node {
    int32_t state, below;
  };
  struct Configuration {
    std::vector<int32_t> tops;
    bool ended;
  };
  struct TopsHash {
    size_t operator()(const std::vector<int32_t> &tops) const {
      uint64_t hash = 0xcbf29ce484222325;
      for (int32_t top : tops)
        hash = (hash ^ static_cast<uint32_t>(top)) * 0x100000001b3;
      return hash;
    }
  };
  int32_t configurationOf(std::vector<int32_t> tops, bool ended);
  int32_t compute(int32_t configuration, uint8_t byte);
  int32_t close(std::vector<int32_t> work);

  std::shared_ptr<const Network> net;
  std::vector<Node> nodes;
  std::unordered_map<uint64_t, int32_t> nodeIds; ///< of (state, below)
  std::vector<Configuration> configurations;
  std::unordered_map<std::vector<int32_t>, int32_t, TopsHash> ids; ///< of tops, and -2 behind them where it has ended
  std::vector<std::unique_ptr<int32_t[]>> rows;                    ///< [configurations][256], where they were left
  size_t held = 0;                                                 ///< bytes of configurations and rows
};

/// One text, as far as it has come.
class Matcher {
public:
  explicit Matcher(std::shared_ptr<const Network> network) : pool(std::move(network)), now(pool.begin()) {}

  /// Goes on by `bytes`. Where they cannot follow, it stays where it was and returns how many of them could: fewer than
  /// there are.
  size_t accept(std::string_view bytes);
  /// The text may end here; nothing may follow.
  bool mayEnd() const { return pool.ends(now); }
  bool mustEnd() const { return pool.tops(now).empty(); }
  int32_t configuration() const { return now; }
  Configurations &configurations() { return pool; }

private:
  static constexpr size_t remembered = 1 << 13; ///< 8 MiB of rows
  static constexpr size_t rememberedBytes = size_t(64) << 20;
  Configurations pool;
  int32_t now;
};

} // namespace stepdown::grammar
