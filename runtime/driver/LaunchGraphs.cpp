#include "runtime/driver/LaunchGraphs.h"

#include "runtime/driver/DriverRecords.h"
#include <algorithm>

namespace stepdown::driver {

/// Calls `take` with each number that a launch depends on, until it says false; whether it never did.
template <typename Take> static bool eachWord(const Launch *launches, size_t count, Take take) {
  for (const Launch *launch = launches; launch != launches + count; ++launch) {
    if (!take(launch->kernel) || !take(uint64_t(launch->grid[0]) << 32 | launch->grid[1]) ||
        !take(uint64_t(launch->grid[2]) << 32 | launch->words) || !take(launch->values != nullptr))
      return false;
    for (uint32_t i = 0; launch->values && i < launch->words; ++i)
      if (!take(launch->values[i]))
        return false;
  }
  return true;
}

static bool isList(const std::vector<uint64_t> &words, const Launch *launches, size_t count) {
  size_t at = 0;
  return eachWord(launches, count, [&](uint64_t word) { return at < words.size() && words[at++] == word; }) &&
         at == words.size();
}

/// Not 0. Two lists of one hash are told apart by their words; of the second one too much is compared, or it is
/// captured early.
static uint64_t hashOf(const Launch *launches, size_t count) {
  uint64_t hash = count;
  eachWord(launches, count, [&](uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    return true;
  });
  return hash | 1;
}

void LaunchGraphs::clear() {
  for (const Graph &graph : graphs)
    context.driver.endExecutable(graph.executable);
  graphs.clear();
}

std::vector<LaunchGraphs::Graph>::iterator LaunchGraphs::oldest() {
  return std::min_element(graphs.begin(), graphs.end(), [](const Graph &a, const Graph &b) { return a.used < b.used; });
}

Status LaunchGraphs::launchEach(const Launch *launches, size_t count, const Each &each) {
  for (size_t i = 0; i < count; ++i)
    if (Status launched = each(launches[i]); !launched)
      return launched;
  return Done{};
}

/// Ends a graph, which may be under way. E1014.
Status LaunchGraphs::drop(std::vector<Graph>::iterator graph, void *stream) {
  Status waited =
      context.check(context.driver.waitForStream(stream), ErrorCode::LaunchFailed, "its launches to be done");
  context.driver.endExecutable(graph->executable);
  graphs.erase(graph);
  return context.lost() ? std::move(waited) : Status(Done{}); // another error comes again with the next call
}

Status LaunchGraphs::launch(const Launch *launches, size_t count, void *stream, const Each &each) {
  if (count < kShortest || (!captures && graphs.empty()))
    return launchEach(launches, count, each);
  ++calls;
  const uint64_t hash = hashOf(launches, count);
  auto find = [&] {
    return std::find_if(graphs.begin(), graphs.end(),
                        [&](const Graph &graph) { return graph.hash == hash && isList(graph.words, launches, count); });
  };
  auto found = find();
  if (found == graphs.end()) {
    if (!captures)
      return launchEach(launches, count, each);
    if (std::find(seen.begin(), seen.end(), hash) == seen.end()) {
      seen[nextSeen++ % seen.size()] = hash;
      return launchEach(launches, count, each);
    }
    // Capturing takes longer than launching: where there are more lists than graphs, it is not done for each of them.
    if (graphs.size() == kMost && oldest()->used + kKept > calls)
      return launchEach(launches, count, each);
    if (Status captured = capture(launches, count, hash, stream, each); !captured)
      return captured;
    if (found = find(); found == graphs.end())
      return launchEach(launches, count, each);
  }
  found->used = calls;
  if (int error = context.driver.launchGraph(found->executable, stream)) {
    // Its first launch may want memory; nothing of it is in the stream.
    Error said = context.refused(error, ErrorCode::LaunchFailed, "a graph of " + std::to_string(count) + " launches");
    if (context.lost())
      return said;
    captures = false;
    if (Status dropped = drop(found, stream); !dropped)
      return dropped;
    return launchEach(launches, count, each);
  }
  return Done{};
}

/// The list becomes one of `graphs`; or the driver makes none, and `captures` says so. E1014.
Status LaunchGraphs::capture(const Launch *launches, size_t count, uint64_t hash, void *stream, const Each &each) {
  const Driver &driver = context.driver;
  std::vector<uint64_t> words;
  eachWord(launches, count, [&](uint64_t word) {
    words.push_back(word);
    return true;
  });
  void *graph = nullptr, *executable = nullptr;
  int error = driver.beginCapture(stream, kOwnThread);
  Status launched = Done{};
  if (error == 0) {
    launched = launchEach(launches, count, each);
    error = driver.endCapture(stream, &graph); // what was launched in vain is in no stream
    if (error == 0 && launched)
      error = driver.instantiate(&executable, graph, 0);
    if (graph)
      driver.endGraph(graph);
  }
  if (error || !launched) {
    captures = false;
    Status said = Done{};
    if (error)
      said = context.refused(error, ErrorCode::LaunchFailed, "a graph of " + std::to_string(count) + " launches");
    if (!context.lost())
      return Done{};
    return error ? std::move(said) : std::move(launched);
  }
  if (graphs.size() == kMost) {
    if (Status dropped = drop(oldest(), stream); !dropped) {
      driver.endExecutable(executable);
      return dropped;
    }
  }
  graphs.push_back({executable, hash, std::move(words), calls});
  return Done{};
}

} // namespace stepdown::driver
