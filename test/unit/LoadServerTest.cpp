// A load's client, and servers that are cut short, silent, endless, or speak otherwise than ours.
#include "tools/stepdown-run/Load/LoadTarget.h"
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <gtest/gtest.h>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

constexpr char models[] = "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"data\":[{\"id\":\"toy\"}]}";

/// Answers each request with `pieces`, one packet each, and closes, or holds the connection until it is destroyed.
class MadeServer {
public:
  explicit MadeServer(std::vector<std::string> pieces, bool holds = false, std::string list = models)
      : pieces(std::move(pieces)), holds(holds), list(std::move(list)) {
    file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(file, reinterpret_cast<sockaddr *>(&address), size), 0);
    EXPECT_EQ(listen(file, 16), 0);
    EXPECT_EQ(getsockname(file, reinterpret_cast<sockaddr *>(&address), &size), 0);
    port = ntohs(address.sin_port);
    thread = std::thread([this] { serve(); });
  }
  ~MadeServer() {
    over = true;
    thread.join();
    for (int held : connections)
      close(held);
    close(file);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }

private:
  void serve() {
    while (!over) {
      pollfd waits = {file, POLLIN, 0};
      if (poll(&waits, 1, 5) <= 0)
        continue;
      const int connection = accept(file, nullptr, nullptr);
      std::string request;
      char part[4096];
      const char *last = "]}"; // of the made request's JSON; a GET has none
      while (request.find("\r\n\r\n") == request.npos ||
             (request[0] == 'P' && request.compare(request.size() - 2, 2, last) != 0)) {
        const ssize_t count = recv(connection, part, sizeof part, 0);
        if (count <= 0)
          break;
        request.append(part, static_cast<size_t>(count));
      }
      const bool get = request[0] == 'G';
      for (const std::string &piece : get ? std::vector<std::string>{list} : pieces) {
        if (::send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) < 0)
          break;
        if (pieces.size() > 1)
          std::this_thread::sleep_for(std::chrono::milliseconds(1)); // its own packet
      }
      if (holds && !get)
        connections.push_back(connection);
      else
        close(connection);
    }
  }
  const std::vector<std::string> pieces;
  const bool holds;
  const std::string list;
  int file, port = 0;
  std::vector<int> connections;
  std::atomic<bool> over{false};
  std::thread thread;
};

std::string token(const std::string &text) { return "data: {\"choices\":[{\"text\":\"" + text + "\"}]}\n\n"; }
const std::string usage = "data: {\"choices\":[],\"usage\":{\"completion_tokens\":3}}\n\n", done = "data: [DONE]\n\n",
                  threeTokens = token("a") + token("[DONE]") + token("c"),
                  finish = "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n";

std::string chunked(const std::string &body, const std::string &end = "0\r\n\r\n") {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (size + body) + "\r\n" + end;
}
std::string plain(const std::string &body, size_t length) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" + body;
}
std::string untilClosed(const std::string &body) { return "HTTP/1.0 200 OK\r\n\r\n" + body; }

bool never() { return false; }

std::vector<LoadRequest> load(size_t count) { return {count, LoadRequest{0, 5, 3, 3, 23, 7}}; }

LoadOutcome outcomeOf(const MadeServer &server, double silence = 30) {
  auto target = serverTarget(server.url(), "", silence);
  EXPECT_TRUE(target);
  return target ? runLoad(load(1), **target, never)[0] : LoadOutcome();
}

TEST(LoadServer, whatIsWholeIsAnswered) {
  const std::string whole = threeTokens + usage + done;
  std::vector<std::string> bytes;
  for (char c : chunked(whole))
    bytes.emplace_back(1, c);
  for (const std::vector<std::string> &pieces : {std::vector<std::string>{chunked(whole)},
                                                 {plain(whole, whole.size())},
                                                 {untilClosed(whole)},
                                                 bytes,
                                                 {untilClosed(threeTokens + finish + usage)}}) {
    MadeServer server(pieces);
    const LoadOutcome outcome = outcomeOf(server);
    EXPECT_TRUE(outcome.answered()) << pieces[0] << outcome.problem;
    EXPECT_EQ(outcome.tokens, 3u);
    EXPECT_GE(outcome.toFirst(), 0);
    EXPECT_GE(outcome.perToken(), 0);
  }
}

TEST(LoadServer, whatIsNotWholeIsToldWithWhatLacks) {
  const std::string whole = threeTokens + usage + done;
  const std::pair<std::string, const char *> cases[] = {
      {chunked(threeTokens, ""), "expects the end of its answer, but the connection ended"},
      {chunked(threeTokens, "zz\r\n"), "the size of a chunk, at most 4 MiB, but got \"zz\""},
      {plain(threeTokens, threeTokens.size() + 7), "expects the end of its answer, but the connection ended"},
      {plain(threeTokens + usage, threeTokens.size() + usage.size()), "[DONE] or a finish_reason"},
      {untilClosed(threeTokens + usage), "[DONE] or a finish_reason"},
      {untilClosed(usage + done), "nothing but their number"},
      {untilClosed(threeTokens + done), "a usage that counts completion_tokens"},
      {untilClosed(token("a") + "data: 1\n\n"), "expects events with choices, but got 1"},
      {untilClosed("data: {\"error\":{}}\n\n"), "expects events with choices"},
      {"HTTP/1.1 503 No\r\nContent-Length: 40\r\n\r\ntoo many", "expects status 200, but got 503: too many"},
      {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "expects status 200, but got 503"},
      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "a length of the answer, but got \"content-length: x\""},
      {"SSH-2.0-x\r\n", "a status of HTTP, but got \"SSH-2.0-x\""},
      {"HTTP/1.1 200 OK\r\nX: 1", "the end of the headers, but the connection ended"},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x'), "the end of the headers, but a line has more than 65536"},
      {"", "a status of HTTP, but the connection ended"}};
  for (const auto &[reply, expected] : cases) {
    MadeServer server({reply});
    const LoadOutcome outcome = outcomeOf(server);
    EXPECT_FALSE(outcome.answered()) << reply;
    EXPECT_NE(outcome.problem.find(expected), std::string::npos) << outcome.problem << "\nfor " << reply.substr(0, 99);
  }
}

TEST(LoadServer, whoSaysNothingIsGivenUp) {
  for (const std::string &reply : {std::string(), chunked(threeTokens, ""), plain(threeTokens, 4000)}) {
    MadeServer server({reply}, true);
    const LoadOutcome outcome = outcomeOf(server, 0.05);
    EXPECT_NE(outcome.problem.find("but nothing came for 0.05 s"), std::string::npos) << outcome.problem;
    EXPECT_FALSE(outcome.interrupted);
  }
}

// The seventh question is whether to send the seventh request; those behind come from who waits for answers.
std::atomic<int> asked{0};
bool onceAllAreSent() { return ++asked > 7; }

TEST(LoadServer, anInterruptEndsTheLoadWithWhatCame) {
  MadeServer server({chunked(threeTokens, "")}, true);
  auto target = serverTarget(server.url(), "", 600);
  ASSERT_TRUE(target);
  asked = 0;
  const std::vector<LoadOutcome> outcomes = runLoad(load(7), **target, onceAllAreSent);
  ASSERT_EQ(outcomes.size(), 7u);
  for (const LoadOutcome &outcome : outcomes)
    EXPECT_TRUE(outcome.interrupted && !outcome.problem.empty());
  EXPECT_EQ(reportOf(outcomes).interrupted, 7u);
  EXPECT_EQ(runLoad(load(7), **target, [] { return true; }).size(), 0u);
}

/// Waits until it is stopped.
struct Waits final : LoadTarget {
  Result<size_t> answer(const LoadRequest &, const std::function<void()> &) override {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return stopped; });
    return fail(ErrorCode::Interrupted, "stopped");
  }
  void stop() override {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
};

TEST(LoadServer, soManyWaitAndNoMore) {
  for (const auto &[limits, waited] : {std::pair(LoadLimits{3, 1000}, 3u), std::pair(LoadLimits{100, 10}, 2u),
                                       std::pair(LoadLimits{100, 4}, 1u), std::pair(LoadLimits{100, 1000}, 7u)}) {
    Waits target;
    asked = 0;
    const LoadReport report = reportOf(runLoad(load(7), target, onceAllAreSent, limits));
    EXPECT_EQ(report.interrupted, waited);
    EXPECT_EQ(report.failed, 7u - waited);
  }
}

/// Answers as soon as it has been asked three times, and knows how many it answered at a time.
struct Counts final : LoadTarget {
  Result<size_t> answer(const LoadRequest &request, const std::function<void()> &came) override {
    std::unique_lock<std::mutex> lock(mutex);
    most = std::max(most, ++now);
    ++calls;
    changed.notify_all();
    changed.wait(lock, [&] { return calls >= 3; });
    came();
    --now;
    return request.answer;
  }
  void stop() override {}
  std::mutex mutex;
  std::condition_variable changed;
  size_t now = 0, most = 0, calls = 0;
};

// Requests of this load are to come in two years: clients ask as soon as they are answered.
TEST(LoadServer, aClientSendsWhenTheOneBeforeIsAnswered) {
  std::vector<LoadRequest> later = load(17);
  for (LoadRequest &request : later)
    request.at = 6e7;
  LoadLimits limits;
  limits.clients = 3;
  Counts target;
  const std::vector<LoadOutcome> outcomes = runLoad(later, target, [] { return false; }, limits);
  EXPECT_EQ(reportOf(outcomes).answered, 17u);
  EXPECT_EQ(target.most, 3u);
  for (size_t i = 1; i < outcomes.size(); ++i)
    EXPECT_TRUE(outcomes[i].at >= outcomes[i - 1].at && outcomes[i].toFirst() >= 0);
}

TEST(LoadServer, aListOfModelsIsReadWithinBounds) {
  const std::pair<std::string, const char *> cases[] = {
      {untilClosed(std::string(5 << 20, ' ')), "a list of models of at most 4 MiB"},
      {untilClosed("{\"data\":[]}"), "a list of models, but got {\"data\":[]}"},
      {untilClosed("{"), "/v1/models"}};
  for (const auto &[list, expected] : cases) {
    MadeServer server({}, false, list);
    auto target = serverTarget(server.url(), "", 30);
    ASSERT_FALSE(target);
    EXPECT_NE(target.error().message.find(expected), std::string::npos) << target.error().message;
  }
}

} // namespace
