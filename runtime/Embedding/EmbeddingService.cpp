#include "runtime/Embedding/EmbeddingService.h"

#include <new>

namespace stepdown {
namespace {

Error stopped() {
  return fail(ErrorCode::ServerStopping, "embeddings: expects a server that goes on, but it is stopping");
}

} // namespace

EmbeddingService::EmbeddingService(std::unique_ptr<Embedder> embedder, size_t waiting)
    : embedder(std::move(embedder)), most(waiting), worker([this] { work(); }) {}

EmbeddingService::~EmbeddingService() {
  stop();
  worker.join();
}

Status EmbeddingService::submit(std::vector<Embedder::Text> texts, Then then) {
  std::lock_guard<std::mutex> lock(mutex);
  if (stopping)
    return stopped();
  if (orders.size() >= most)
    return fail(ErrorCode::ServerBusy, "embeddings: expects at most %zu requests that wait, and as many do", most);
  orders.push_back({std::move(texts), std::move(then)});
  changed.notify_all();
  return Done{};
}

void EmbeddingService::stop() {
  std::lock_guard<std::mutex> lock(mutex);
  stopping = true;
  changed.notify_all();
}

void EmbeddingService::work() {
  for (;;) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return stopping || !orders.empty(); });
    if (orders.empty())
      return;
    const Order order = std::move(orders.front());
    orders.pop_front();
    const bool late = stopping;
    lock.unlock();
    if (late) {
      order.then(stopped());
      continue;
    }
    Result<std::vector<float>> made = [&]() -> Result<std::vector<float>> {
      try {
        std::vector<float> out(order.texts.size() * embedder->width());
        Status embedded = embedder->embed(order.texts.data(), order.texts.size(), out.data());
        return embedded ? Result<std::vector<float>>(std::move(out)) : embedded.error();
      } catch (const std::bad_alloc &) {
        return fail(ErrorCode::OutOfMemory, "embeddings: expects more memory than the system gives");
      }
    }();
    order.then(made);
  }
}

} // namespace stepdown
