// Lists of launches that come again, as graphs of drivers that are none: when they are captured and replayed, and every
// function of graphs failing in turn.
#include "runtime/driver/DriverRecords.h"
#include "runtime/driver/LaunchGraphs.h"
#include "test/device/DriverDevices.h"
#include <thread>

using namespace stepdown;
using driver::LaunchGraphs;
using test::DriverDevices;

namespace {

/// Graphs in a stream of their own, asked for lists that differ in the second word of the last launch.
struct ListsOfLaunches {
  LaunchGraphs graphs;
  const driver::Driver &opened;
  void *stream = nullptr;
  size_t made = 0, failAt = 0; ///< launches for the last list; which of them fails, from 1, or 0
  ListsOfLaunches(const driver::Context &context) : graphs(context), opened(context.driver) {
    EXPECT_EQ(opened.makeStream(&stream, driver::kOwnOrder), 0);
  }
  ~ListsOfLaunches() {
    opened.waitForStream(stream);
    graphs.clear();
    opened.endStream(stream);
  }
  Status launch(uint64_t word, size_t count = LaunchGraphs::kShortest) {
    uint64_t words[LaunchGraphs::kShortest][2] = {};
    words[count - 1][1] = word;
    std::vector<Launch> list;
    for (size_t i = 0; i < count; ++i)
      list.push_back({7, 0, 2, {1, 1, 1}, words[i]});
    made = 0;
    return graphs.launch(list.data(), list.size(), stream, [&](const Launch &) {
      return ++made == failAt ? Status(fail(ErrorCode::LaunchFailed, "wished")) : Status(Done{});
    });
  }
};

// Lists are told apart by every word, captured when they come for the second time, and replayed from then on.
TEST_P(DriverDevices, ReplayListsThatComeAgain) {
  const uint64_t before = held();
  {
    auto context = openContext();
    ListsOfLaunches lists(*context);
    for (size_t expected : {8, 8, 0, 0}) { // launched, captured, replayed
      ASSERT_TRUE(lists.launch(1));
      EXPECT_EQ(lists.made, expected);
    }
    for (size_t expected : {8, 8, 0}) {
      ASSERT_TRUE(lists.launch(2));
      EXPECT_EQ(lists.made, expected);
    }
    for (int round = 0; round < 3; ++round) { // too short
      ASSERT_TRUE(lists.launch(1, 7));
      EXPECT_EQ(lists.made, 7u);
    }
    for (uint64_t word = 3; word <= LaunchGraphs::kMost; ++word)
      for (size_t expected : {8, 8, 0}) {
        ASSERT_TRUE(lists.launch(word));
        EXPECT_EQ(lists.made, expected);
      }
    // No graph is free, and the first was used not long ago.
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(lists.launch(99));
      EXPECT_EQ(lists.made, 8u);
    }
    for (uint64_t round = 0; round < LaunchGraphs::kKept; ++round) {
      ASSERT_TRUE(lists.launch(2));
      EXPECT_EQ(lists.made, 0u);
    }
    for (size_t expected : {8, 0}) {
      ASSERT_TRUE(lists.launch(99));
      EXPECT_EQ(lists.made, expected);
    }
    ASSERT_TRUE(lists.launch(2));
    EXPECT_EQ(lists.made, 0u);
    ASSERT_TRUE(lists.launch(1)); // whose place 99 has
    EXPECT_EQ(lists.made, 8u);
  }
  EXPECT_EQ(held(), before);
}

// Whatever of a graph's functions fails: the list is launched all the same, no other is captured, and a graph that
// there was goes on. Nothing is left behind.
TEST_P(DriverDevices, LaunchWhereGraphsFail) {
  auto context = openContext();
  for (const char *name : {"beginCapture", "each", "endCapture", "instantiate", "launchGraph"}) {
    const uint64_t before = held();
    {
      ListsOfLaunches lists(*context);
      for (size_t expected : {8, 8, 0}) { // a good one
        ASSERT_TRUE(lists.launch(1));
        ASSERT_EQ(lists.made, expected);
      }
      ASSERT_TRUE(lists.launch(2));
      const bool fails = !std::strcmp(name, "each");
      fake.failName = fails ? nullptr : name;
      fake.failError = std::strcmp(name, "launchGraph") ? 801 : driver::kOutOfMemory;
      lists.failAt = fails ? 3 : 0;
      Status again = lists.launch(2); // captured in vain, and launched
      EXPECT_EQ(fake.failName, nullptr) << name;
      ASSERT_TRUE(again) << name << ": " << again.error().text();
      EXPECT_EQ(lists.made, fails ? 11u : std::strcmp(name, "beginCapture") ? 16u : 8u) << name;
      lists.failAt = 0;
      for (size_t expected : {8, 8}) {
        ASSERT_TRUE(lists.launch(2));
        EXPECT_EQ(lists.made, expected) << name;
      }
      ASSERT_TRUE(lists.launch(1));
      EXPECT_EQ(lists.made, 0u) << name;
    }
    EXPECT_EQ(held(), before) << name;
  }
  { // of a graph that was replayed before: it goes, and the list is launched
    const uint64_t before = held();
    {
      ListsOfLaunches lists(*context);
      for (size_t expected : {8, 8, 0}) {
        ASSERT_TRUE(lists.launch(1));
        ASSERT_EQ(lists.made, expected);
      }
      fake.failName = "launchGraph";
      fake.failError = 1;
      for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(lists.launch(1));
        EXPECT_EQ(lists.made, 8u);
      }
    }
    EXPECT_EQ(held(), before);
  }
}

// A GPU that is lost in any of them says so.
TEST_P(DriverDevices, AreLostInAGraph) {
  if (kind.vendor != &driver::kNvidia)
    GTEST_SKIP() << "a process of HIP has one context for its life";
  for (const char *name : {"beginCapture", "endCapture", "instantiate", "launchGraph", "waitForStream"}) {
    auto context = openContext();
    ListsOfLaunches lists(*context);
    const bool evicts = !std::strcmp(name, "waitForStream"); // of a graph that goes for another
    for (uint64_t word = 1; evicts && word <= LaunchGraphs::kMost; ++word)
      for (int round = 0; round < 2; ++round)
        ASSERT_TRUE(lists.launch(word));
    for (uint64_t round = 0; evicts && round < LaunchGraphs::kKept; ++round)
      ASSERT_TRUE(lists.launch(2));
    ASSERT_TRUE(lists.launch(99));
    fake.failName = name;
    fake.failError = 700;
    Status lost = lists.launch(99);
    ASSERT_FALSE(lost) << name;
    EXPECT_EQ(lost.error().code, ErrorCode::DeviceLost) << name;
    EXPECT_NE(lost.error().message.find("error 700"), std::string::npos) << lost.error().text();
    EXPECT_FALSE(context->enter()) << name;
  }
  Status again = work();
  EXPECT_TRUE(again) << again.error().text();
}

// A list whose operands are missing is another than one that has them.
TEST_P(DriverDevices, TellListsWithoutOperandsApart) {
  auto context = openContext();
  ListsOfLaunches lists(*context);
  const uint64_t word = 7;
  std::vector<Launch> list(LaunchGraphs::kShortest, {7, 0, 1, {1, 1, 1}, &word});
  size_t made = 0;
  auto launch = [&] {
    made = 0;
    return lists.graphs.launch(list.data(), list.size(), lists.stream,
                               [&](const Launch &) { return ++made, Status(Done{}); });
  };
  for (size_t expected : {8, 8, 0}) {
    ASSERT_TRUE(launch());
    EXPECT_EQ(made, expected);
  }
  list.back().values = nullptr;
  ASSERT_TRUE(launch());
  EXPECT_EQ(made, 8u);
}

// Two threads capture at once, each in a stream of its own.
TEST_P(DriverDevices, CaptureInTwoThreads) {
  const uint64_t before = held();
  {
    auto context = openContext();
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&] {
        ASSERT_TRUE(context->enter());
        ListsOfLaunches lists(*context);
        for (uint64_t word = 1; word <= 17; ++word)
          for (size_t expected : {8, 8, 0}) {
            ASSERT_TRUE(lists.launch(word));
            EXPECT_EQ(lists.made, expected);
          }
      });
    for (std::thread &thread : threads)
      thread.join();
  }
  EXPECT_EQ(held(), before);
}

} // namespace
