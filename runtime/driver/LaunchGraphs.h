// Lists of launches that come again, as graphs of the driver. A step of a model is the same list, to the word, as often
// as it has so many tokens and rows: what changes from step to step (ids, positions, block tables) lies in the device's
// memory. So a list that comes for the second time is captured, and from then on one call replays it. Nothing is taken
// for granted of who asks: lists are compared word by word.
#pragma once
#include "runtime/Device.h"
#include "runtime/driver/Context.h"
#include <array>
#include <functional>
#include <vector>

namespace stepdown::driver {

class LaunchGraphs {
public:
  static constexpr size_t kShortest = 8; ///< launches of a list that is worth a graph
  static constexpr size_t kMost = 32;    ///< graphs
  static constexpr uint64_t kKept = 256; ///< lists: a graph that none of so many was goes for another one
  /// Launches one, in the stream.
  using Each = std::function<Status(const Launch &)>;

  explicit LaunchGraphs(const Context &context) : context(context) {}
  /// Ends all graphs; the stream has done what it was asked for.
  void clear();
  /// Makes `count` launches in `stream`, in order. Where the driver captures no graph, or does not launch one, no other
  /// list is captured and this one is launched one by one; graphs that there are go on. E1014, or what `each` says.
  Status launch(const Launch *launches, size_t count, void *stream, const Each &each);

private:
  struct Graph {
    void *executable;
    uint64_t hash;               ///< of the list
    std::vector<uint64_t> words; ///< of the list, as eachWord() takes them
    uint64_t used;               ///< when, in calls
  };
  Status capture(const Launch *launches, size_t count, uint64_t hash, void *stream, const Each &each);
  Status drop(std::vector<Graph>::iterator graph, void *stream);
  std::vector<Graph>::iterator oldest();
  static Status launchEach(const Launch *launches, size_t count, const Each &each);

  const Context &context;
  std::vector<Graph> graphs;
  std::array<uint64_t, kMost * 4> seen = {}; ///< hashes of lists that came once, the latest ones
  size_t nextSeen = 0;
  uint64_t calls = 0;   ///< lists so far
  bool captures = true; ///< the driver does
};

} // namespace stepdown::driver
