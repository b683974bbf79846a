// Embeddings for many callers: a thread of its own, which takes what waits in its order.
#pragma once
#include "runtime/Embedding/Embedder.h"
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace stepdown {

class EmbeddingService {
public:
  /// The embeddings of an order, [texts][width], or why there are none.
  using Then = std::function<void(const Result<std::vector<float>> &)>;

  /// At most `waiting` orders wait while one is computed.
  EmbeddingService(std::unique_ptr<Embedder> embedder, size_t waiting);
  /// As stop().
  ~EmbeddingService();

  size_t width() const { return embedder->width(); }
  size_t longest() const { return embedder->longest(); }
  /// `then` is called once, from the service's thread, unless this refuses: E1209 where as many wait as may, E1210 once
  /// it was stopped.
  Status submit(std::vector<Embedder::Text> texts, Then then);
  /// Finishes the order that is computed; those that wait end with E1210.
  void stop();

private:
  struct Order {
    std::vector<Embedder::Text> texts;
    Then then;
  };
  void work();

  std::unique_ptr<Embedder> embedder;
  const size_t most;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Order> orders;
  bool stopping = false;
  std::thread worker;
};

} // namespace stepdown
