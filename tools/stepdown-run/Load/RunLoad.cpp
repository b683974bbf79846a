#include "runtime/Server/Engine.h"
#include "tools/stepdown-run/Load/LoadTarget.h"
#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

namespace stepdown::run {
namespace {

using Clock = std::chrono::steady_clock;

class EngineTarget final : public LoadTarget {
public:
  explicit EngineTarget(Engine &engine) : engine(engine) {}
  Result<size_t> answer(const LoadRequest &request, const std::function<void()> &came) override {
    const auto heard = std::make_shared<Heard>(came);
    Engine::Order order;
    order.prompts = {promptOf(request)};
    order.how.maxTokens = static_cast<int64_t>(request.answer);
    order.how.ignoreEnd = true;
    order.how.sampling.temperature = 0;
    order.listener = heard;
    if (Result<uint64_t> number = engine.submit(std::move(order)); !number)
      return number.error();
    std::unique_lock<std::mutex> lock(heard->mutex);
    heard->changed.wait(lock, [&] { return heard->over; });
    return heard->problem ? Result<size_t>(*heard->problem) : Result<size_t>(heard->tokens);
  }
  void stop() override { engine.stop(0); }

private:
  struct Heard final : Engine::Listener {
    explicit Heard(const std::function<void()> &came) : came(came) {}
    void token(size_t, int32_t id, const std::string &, const LogProbabilities *) override {
      if (id >= 0)
        came();
    }
    void finished(size_t, const Generation &generation) override {
      std::lock_guard<std::mutex> lock(mutex);
      tokens = generation.tokens().size();
      problem = generation.problem();
      over = true;
      changed.notify_all();
    }
    const std::function<void()> &came; // of who waits until it is over
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    size_t tokens = 0;
    std::optional<Error> problem;
  };
  Engine &engine;
};

} // namespace

std::unique_ptr<LoadTarget> engineTarget(Engine &engine) { return std::make_unique<EngineTarget>(engine); }

std::vector<LoadOutcome> runLoad(const std::vector<LoadRequest> &load, LoadTarget &target, bool (*interrupted)(),
                                 const LoadLimits &limits) {
  std::vector<LoadOutcome> outcomes(load.size());
  std::mutex mutex;
  std::condition_variable changed;
  size_t waiting = 0, tokensWaiting = 0, sent = 0; // requests, tokens of their prompts, requests
  bool stopped = false;
  const Clock::time_point begun = Clock::now();
  auto now = [begun] { return std::chrono::duration<double>(Clock::now() - begun).count(); };
  auto send = [&](size_t i) {
    LoadOutcome &outcome = outcomes[i];
    auto came = [&] {
      outcome.last = now();
      if (!outcome.first)
        outcome.first = outcome.last;
    };
    const Result<size_t> tokens = target.answer(load[i], came);
    if (!tokens)
      outcome.problem = tokens.error().message;
    else if ((outcome.tokens = *tokens) != load[i].answer)
      outcome.problem =
          "expects an answer of " + std::to_string(load[i].answer) + " tokens, but got " + std::to_string(*tokens);
    else if (!outcome.first)
      outcome.problem = "expects tokens as they are drawn, but got nothing but their number";
    std::lock_guard<std::mutex> lock(mutex);
    outcome.interrupted = stopped && !tokens;
    --waiting;
    tokensWaiting -= load[i].prompt;
    changed.notify_all();
  };
  for (; sent < load.size(); ++sent) {
    if (limits.clients) {
      std::unique_lock<std::mutex> lock(mutex);
      while (waiting >= limits.clients && !interrupted())
        changed.wait_for(lock, std::chrono::milliseconds(50));
    }
    while (!limits.clients && now() < load[sent].at && !interrupted())
      std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(load[sent].at - now(), 0.0, 0.05)));
    if (interrupted())
      break;
    outcomes[sent].at = limits.clients ? now() : load[sent].at;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (waiting >= limits.requests || (waiting && tokensWaiting + load[sent].prompt > limits.tokens)) {
        outcomes[sent].problem = "expects at most " + std::to_string(limits.requests) + " requests with " +
                                 std::to_string(limits.tokens) + " tokens of prompts that wait, but there are more";
        continue;
      }
      ++waiting;
      tokensWaiting += load[sent].prompt;
    }
    try { // a thread that is done leaves nothing behind
      std::thread(send, sent).detach();
    } catch (const std::system_error &) {
      outcomes[sent].problem = "expects a thread for each request that waits, but the system gives no more";
      std::lock_guard<std::mutex> lock(mutex);
      --waiting;
      tokensWaiting -= load[sent].prompt;
    }
  }
  std::unique_lock<std::mutex> lock(mutex);
  while (waiting) {
    changed.wait_for(lock, std::chrono::milliseconds(50));
    if (!waiting || stopped || !interrupted())
      continue;
    stopped = true;
    lock.unlock();
    target.stop();
    lock.lock();
  }
  outcomes.resize(sent);
  return outcomes;
}

} // namespace stepdown::run
