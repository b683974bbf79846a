#include "runtime/Server/Engine.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace stepdown {
namespace {

/// Of the trace.
const char *finishName(Finish finish) {
  switch (finish) {
  case Finish::End:
    return "end";
  case Finish::Stop:
    return "stop";
  case Finish::Length:
    return "length";
  case Finish::Error:
    return "error";
  default:
    return "ended";
  }
}

} // namespace

Engine::Engine(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Model> model, const Tokenizer &tokenizer,
                                               const Options &options) {
  Result<std::unique_ptr<Session>> session = Session::create(std::move(model), options.session);
  if (!session)
    return session.error();
  std::unique_ptr<Engine> engine(new Engine(tokenizer));
  engine->options = options;
  engine->session = std::move(*session);
  if (options.prepare)
    if (Status prepared = options.prepare(*engine->session); !prepared)
      return prepared.error();
  engine->tellAdapters();
  engine->scheduler = std::make_unique<Scheduler>(*engine->session, options.steps);
  if (options.trace) {
    engine->tracing = std::make_unique<StepTrace>(*options.trace);
    engine->scheduler->watch(engine->tracing.get());
  }
  engine->publish();
  engine->thread = std::thread([raw = engine.get()] { raw->run(); });
  return engine;
}

Engine::~Engine() {
  stop(0);
  {
    std::lock_guard<std::mutex> lock(mutex);
    ended = true;
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
}

Status Engine::expectPrompts(const Order &order) const {
  const stepdown_program &head = session->of().head();
  if (order.answers > static_cast<size_t>(sequences()))
    return fail(ErrorCode::SequenceLimit, "n: expects at most %d answers to a prompt, but got %zu", sequences(),
                order.answers);
  for (const std::vector<int32_t> &prompt : order.prompts) {
    if (prompt.empty())
      return fail(ErrorCode::RequestField, "prompt: expects at least one token, but got none");
    for (size_t i = 0; i < prompt.size(); ++i)
      if (prompt[i] < 0 || static_cast<uint32_t>(prompt[i]) >= head.vocabulary)
        return fail(ErrorCode::StepTokenRange, "prompt: token %zu: expects an id from 0 to %u, but got %d", i,
                    head.vocabulary - 1, prompt[i]);
    // A cache that has no room for the token after the prompt draws one and no more.
    if (prompt.size() > static_cast<size_t>(context()))
      return fail(ErrorCode::ContextFull, "prompt: expects at most %d tokens, but got %zu", context(), prompt.size());
  }
  return Done{};
}

Result<std::unique_ptr<Engine::Work>> Engine::workOf(Order &&order) const {
  if (Status good = expectPrompts(order); !good)
    return good.error();
  auto work = std::make_unique<Work>();
  work->each = order.answers;
  work->priority = order.priority;
  work->traced = order.traced;
  work->listener = std::move(order.listener);
  work->begun = Clock::now();
  work->deadline = Clock::time_point::max();
  if (options.seconds > 0)
    work->deadline =
        work->begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  const Generation::Place place = {static_cast<int32_t>(session->of().head().vocabulary), context()};
  for (const std::vector<int32_t> &prompt : order.prompts)
    for (order.how.answer = 0; order.how.answer < order.answers; ++order.how.answer) {
      Result<std::unique_ptr<Generation>> made = Generation::create(order.how, prompt, tokenizer, place);
      if (!made)
        return made.error();
      const size_t index = work->answers.size();
      (*made)->listener = [listener = work->listener.get(), generation = made->get(), index](int32_t id,
                                                                                             const std::string &text) {
        const std::vector<LogProbabilities> &rows = generation->logProbabilities();
        listener->token(index, id, text, id >= 0 && !rows.empty() ? &rows.back() : nullptr);
        return true;
      };
      work->answers.push_back(std::move(*made));
    }
  work->told.assign(work->answers.size(), false);
  return work;
}

Status Engine::expectRoom(size_t prompts, size_t answers) const {
  if (prompts > room() || answers > room() || prompts * answers > room())
    return fail(ErrorCode::SequenceLimit,
                "request: expects at most %zu answers in all, but %zu to %zu prompts are wanted", room(), answers,
                prompts);
  return Done{};
}

Result<uint64_t> Engine::submit(Order order) {
  const size_t wanted = order.prompts.size() * order.answers;
  if (Status fits = expectRoom(order.prompts.size(), order.answers); !fits)
    return fits.error();
  struct Places { // of answers, before anything is made for them; given back unless they are taken
    Engine &engine;
    size_t count = 0;
    ~Places() {
      if (!count)
        return;
      std::lock_guard<std::mutex> lock(engine.mutex);
      engine.inFlight -= count;
    }
  } places{*this};
  const auto expectOpen = [this](size_t more) -> Status {
    if (stopping)
      return fail(ErrorCode::ServerStopping, "server: expects no more requests, for it is being stopped");
    if (inFlight + more > room())
      return fail(ErrorCode::ServerBusy,
                  "server: expects at most %zu answers at a time, but %zu are being drawn or wait", room(), inFlight);
    return Done{};
  };
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (Status open = expectOpen(wanted); !open)
      return open.error();
    inFlight += places.count = wanted;
  }
  Result<std::unique_ptr<Work>> work = workOf(std::move(order));
  if (!work)
    return work.error();
  std::lock_guard<std::mutex> lock(mutex);
  if (Status open = expectOpen(0); !open) // it was stopped meanwhile
    return open.error();
  const uint64_t number = (*work)->number = next++;
  (*work)->listener->taken(number);
  arrivals.push_back(std::move(*work));
  places.count = 0;
  changed.notify_all();
  return number;
}

void Engine::cancel(uint64_t number) {
  std::lock_guard<std::mutex> lock(mutex);
  departures.push_back(number);
  changed.notify_all();
}

void Engine::stop(double seconds) {
  std::lock_guard<std::mutex> lock(mutex);
  const Clock::time_point wanted =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  end = stopping ? std::min(end, wanted) : wanted;
  stopping = true;
  changed.notify_all();
}

int Engine::secondsToWait() const {
  std::lock_guard<std::mutex> lock(mutex);
  const double rounds = double(options.waiting) / std::max(1, sequences());
  return static_cast<int>(std::clamp(std::ceil(mean * rounds / 2), 1.0, 60.0));
}

Engine::Figures Engine::figures() const {
  std::lock_guard<std::mutex> lock(mutex);
  Figures now = shown;
  now.waiting = inFlight - std::min(inFlight, now.running);
  return now;
}

bool Engine::idle() const {
  std::lock_guard<std::mutex> lock(mutex);
  return inFlight == 0;
}

Status Engine::between(std::function<Status(Session &)> work) {
  std::future<Status> done;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (ended || stopping)
      return fail(ErrorCode::ServerStopping, "server: expects no more requests, for it is being stopped");
    errands.push_back({std::move(work), {}});
    done = errands.back().done.get_future();
    changed.notify_all();
  }
  return done.get();
}

std::vector<std::string> Engine::adapters() const {
  std::lock_guard<std::mutex> lock(mutex);
  return adapterNames;
}

void Engine::tellAdapters() {
  std::vector<std::string> names;
  if (const AdapterSet *set = session->adapters())
    for (const std::string &name : set->names())
      if (!name.empty())
        names.push_back(name);
  std::lock_guard<std::mutex> lock(mutex);
  adapterNames = std::move(names);
}

void Engine::runErrands(bool refuse) {
  std::vector<Errand> taken;
  {
    std::lock_guard<std::mutex> lock(mutex);
    taken.swap(errands);
  }
  for (Errand &errand : taken) {
    Status said = fail(ErrorCode::ServerStopping, "server: it is being stopped");
    try {
      if (!refuse)
        said = errand.work(*session);
      tellAdapters(); // before who asked is told
    } catch (const std::exception &problem) {
      said = fail(ErrorCode::OutOfMemory, "server: %s", problem.what());
    }
    errand.done.set_value(std::move(said));
  }
}

void Engine::run() {
  std::vector<std::unique_ptr<Work>> arrived;
  std::vector<uint64_t> departed;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex);
      // What a turn that threw did not come to is left in `arrived` and `departed`.
      changed.wait(lock, [&] {
        return !works.empty() || !arrivals.empty() || !departures.empty() || !arrived.empty() || !departed.empty() ||
               !errands.empty() || ended;
      });
      if (arrived.empty())
        arrived.swap(arrivals);
      if (departed.empty())
        departed.swap(departures);
      if (ended && works.empty() && arrived.empty())
        break;
    }
    runErrands(false);
    try {
      turn(arrived, departed);
    } catch (const std::exception &problem) { // out of memory: those who ask now are told, and others can ask
      failAll(fail(ErrorCode::OutOfMemory, "server: %s", problem.what()));
      tellFinished();
    }
  }
  runErrands(true);
}

void Engine::turn(std::vector<std::unique_ptr<Work>> &arrived, std::vector<uint64_t> &departed) {
  take(arrived, departed);
  departed.clear();
  endLate();
  if (Result<bool> more = scheduler->step(); !more)
    failAll(more.error()); // the device is lost, and with it all that it computed
  tellFinished();
}

void Engine::failAll(const Error &error) {
  for (std::unique_ptr<Work> &work : works)
    for (std::unique_ptr<Generation> &answer : work->answers) {
      scheduler->cancel(*answer);
      if (!answer->done())
        answer->failed(error);
    }
}

void Engine::take(std::vector<std::unique_ptr<Work>> &arrived, const std::vector<uint64_t> &departed) {
  // First all are among those that are failed if what follows throws.
  works.reserve(works.size() + arrived.size());
  size_t at = works.size();
  works.insert(works.end(), std::make_move_iterator(arrived.begin()), std::make_move_iterator(arrived.end()));
  arrived.clear();
  for (; at < works.size(); ++at) {
    const Work *work = works[at].get();
    for (size_t i = 0; tracing && i < work->answers.size(); ++i)
      tracing->begin(*work->answers[i], work->traced, i, work->begun);
    for (size_t first = 0; first < work->answers.size(); first += work->each) {
      std::vector<RequestClient *> clients;
      for (size_t i = first; i < first + work->each; ++i)
        if (!work->answers[i]->done()) // it wants a token
          clients.push_back(work->answers[i].get());
      if (!clients.empty())
        scheduler->add(work->answers[first]->prompt(), clients, work->priority);
    }
  }
  for (uint64_t number : departed) {
    auto found = std::find_if(works.begin(), works.end(), [&](const auto &work) { return work->number == number; });
    if (found == works.end())
      continue;
    leave(**found);
    works.erase(found);
    std::lock_guard<std::mutex> lock(mutex);
    ++shown.cancelled;
  }
}

// What is not over of it was to be drawn for nobody.
void Engine::leave(Work &work) {
  size_t left = 0;
  for (size_t i = 0; i < work.answers.size(); ++i) {
    scheduler->cancel(*work.answers[i]);
    left += !work.told[i];
    if (tracing)
      tracing->end(*work.answers[i], work.answers[i]->tokens().size(), "cancelled");
  }
  std::lock_guard<std::mutex> lock(mutex);
  inFlight -= left;
}

void Engine::endLate() {
  Clock::time_point stopsAt = Clock::time_point::max();
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (stopping)
      stopsAt = end;
  }
  const Clock::time_point now = Clock::now();
  for (std::unique_ptr<Work> &work : works) {
    if (now < work->deadline && now < stopsAt)
      continue;
    const Error late = now >= stopsAt
                           ? fail(ErrorCode::ServerStopping, "server: it is being stopped, and the answer was not done")
                           : fail(ErrorCode::RequestTime, "request: expects an answer within %g s, but it was not done",
                                  options.seconds);
    for (std::unique_ptr<Generation> &answer : work->answers) {
      scheduler->cancel(*answer);
      if (!answer->done())
        answer->failed(late);
    }
  }
}

// Figures first: who hears of an answer finds it counted.
void Engine::tellFinished() {
  size_t over = 0;
  uint64_t drawn = 0, prompts = 0, guessed = 0, accepted = 0;
  double taken = 0, orders = 0;
  for (const std::unique_ptr<Work> &work : works) {
    bool all = true;
    for (size_t i = 0; i < work->answers.size(); ++i) {
      const Generation &answer = *work->answers[i];
      all &= answer.done();
      if (!answer.done() || work->told[i])
        continue;
      ++over;
      drawn += answer.tokens().size();
      if (const Speculation *speculation = answer.speculation()) {
        guessed += speculation->figures().guessed;
        accepted += speculation->figures().accepted;
      }
    }
    if (!all)
      continue;
    taken += std::chrono::duration<double>(Clock::now() - work->begun).count();
    ++orders;
    for (size_t first = 0; first < work->answers.size(); first += work->each)
      prompts += work->answers[first]->prompted() ? work->answers[first]->prompt().size() : 0;
  }
  {
    std::lock_guard<std::mutex> lock(mutex);
    inFlight -= over;
    shown.drawnTokens += drawn;
    shown.guessedTokens += guessed;
    shown.acceptedTokens += accepted;
    shown.promptTokens += prompts;
    if (orders > 0)
      mean += 0.1 * (taken / orders - mean);
  }
  publish();
  for (std::unique_ptr<Work> &work : works) {
    bool all = true;
    for (size_t i = 0; i < work->answers.size(); ++i) {
      const Generation &answer = *work->answers[i];
      all &= answer.done();
      if (answer.done() && !work->told[i]) {
        work->told[i] = true;
        if (tracing)
          tracing->end(answer, answer.tokens().size(), finishName(answer.finish()));
        work->listener->finished(i, answer);
      }
    }
    if (all)
      work.reset();
  }
  works.erase(std::remove(works.begin(), works.end(), nullptr), works.end());
}

void Engine::publish() {
  const KVCache &cache = session->kv();
  std::optional<SpillFile::Figures> spilled;
  if (const SpillFile *file = session->spilled()) {
    spilled = file->figures();
    if (spilled->failures && !warned && options.warn)
      options.warn(*file->firstFailure());
    warned = spilled->failures != 0;
    if (spilled->pauses && !warnedOfPause && options.warn)
      options.warn(*file->firstOfPauses());
    warnedOfPause = spilled->pauses != 0;
  }
  std::lock_guard<std::mutex> lock(mutex);
  shown.spilled = spilled;
  shown.scheduler = scheduler->figures();
  shown.running = scheduler->answering();
  shown.blocks.resize(cache.groupCount());
  shown.used.resize(cache.groupCount());
  shown.kept.resize(cache.groupCount());
  for (size_t g = 0; g < cache.groupCount(); ++g) {
    shown.blocks[g] = cache.blocks(g);
    shown.kept[g] = cache.idleBlocks(g);
    shown.used[g] = cache.blocks(g) - cache.freeBlocks(g) - cache.idleBlocks(g);
  }
}

} // namespace stepdown
