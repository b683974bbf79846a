#include "lib/Base/ProgressLines.h"
#include "runtime/Session/Session.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/Load/BenchServe.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace stepdown::run {
namespace {

/// One line of the table: `prompt` tokens at once, or `generate` tokens one by one after `depth` others.
struct Measure {
  std::string name;
  size_t prompt, generate, depth;
  int32_t threads;
  std::vector<double> rates; ///< tokens per second of each run
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

class Bencher {
public:
  explicit Bencher(Session &session) : session(session) {}

  /// Tokens per second of one run of `measure`.
  Result<double> run(const Measure &measure) {
    Result<int32_t> sequence = session.createSequence();
    if (!sequence)
      return sequence.error();
    // A step whose rows are wanted is over when it returns; of others some may still be computed on a GPU.
    Status ok = feed(*sequence, measure.depth);
    double begin = milliseconds();
    if (ok)
      ok = feed(*sequence, measure.prompt);
    for (size_t i = 0; i < measure.generate && ok; ++i)
      ok = feed(*sequence, 1);
    double seconds = (milliseconds() - begin) / 1000;
    session.freeSequence(*sequence);
    if (!ok)
      return ok.error();
    return double(measure.prompt + measure.generate) / seconds;
  }

private:
  /// Submits `count` tokens in the largest steps, with logits of the last one: all is computed when it returns.
  Status feed(int32_t sequence, size_t count) {
    size_t most = session.of().head().max_step_tokens;
    for (size_t at = 0; at < count; at += batch.size()) {
      batch.clear();
      for (size_t t = at; t < count && batch.size() < most; ++t)
        batch.push_back({sequence, next(), t + 1 == count});
      if (Status ok = session.submit(batch.data(), batch.size()); !ok)
        return ok;
      if (Status ok = session.step(); !ok)
        return ok;
    }
    return Done{};
  }
  /// Any token will do; a fixed sequence of them makes runs alike.
  int32_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int32_t>((state >> 33) % session.of().head().vocabulary);
  }
  Session &session;
  std::vector<Session::Token> batch;
  uint64_t state = 1;
};

Status runBench(const Arguments &arguments) {
  if (arguments.has("serve"))
    return benchServe(arguments);
  for (const char *other :
       {"rate", "clients", "requests", "seed", "parallel", "plot", "price-per-hour", "api-key", "timeout"})
    if (arguments.has(other))
      return arguments.usage(std::string("expects --serve beside --") + other);
  std::vector<int64_t> prompts = arguments.integers("prompt"), generates = arguments.integers("generate");
  const std::vector<int64_t> depths = arguments.integers("depth");
  std::vector<int64_t> threads = arguments.integers("threads");
  const int64_t runs = arguments.integer("repeat");
  // One of the two given is the only one wanted.
  if (arguments.has("prompt") && !arguments.has("generate"))
    generates.clear();
  if (arguments.has("generate") && !arguments.has("prompt"))
    prompts.clear();
  if (threads.empty())
    threads = {0};
  auto model = loadModel(arguments);
  if (!model)
    return model.error();

  std::vector<Measure> measures;
  int64_t positions = 1;
  for (int64_t t : threads)
    for (int64_t d : depths) {
      std::string suffix = d ? "@d" + std::to_string(d) : "";
      for (int64_t p : prompts)
        if (p)
          measures.push_back({"pp" + std::to_string(p) + suffix, size_t(p), 0, size_t(d), int32_t(t), {}});
      for (int64_t n : generates)
        if (n)
          measures.push_back({"tg" + std::to_string(n) + suffix, 0, size_t(n), size_t(d), int32_t(t), {}});
    }
  for (const Measure &m : measures)
    positions = std::max<int64_t>(positions, m.prompt + m.generate + m.depth);
  if (positions > (*model)->head().max_context)
    return fail(ErrorCode::ContextFull, "bench: expects at most %u positions, but a test needs %lld",
                (*model)->head().max_context, (long long)positions);

  std::vector<std::unique_ptr<Session>> sessions;
  for (int64_t t : threads) {
    Session::Options options;
    options.threads = static_cast<int32_t>(t);
    options.kvPositions = positions;
    options.maxSequences = 1;
    auto session = Session::create(*model, options);
    if (!session)
      return session.error();
    sessions.push_back(std::move(*session));
  }

  // Run by run over all tests, so that a disturbance of the machine falls on all of them alike; run 0 warms up.
  catchInterrupts();
  ProgressLines lines("stepdown-run", arguments.has("verbose"));
  size_t perThread = measures.size() / sessions.size();
  for (int64_t run = 0; run <= runs; ++run)
    for (size_t i = 0; i < measures.size(); ++i) {
      Session &session = *sessions[i / perThread];
      measures[i].threads = session.threads();
      Measure warm = measures[i];
      if (run == 0)
        warm.generate = std::min<size_t>(warm.generate, 4), warm.depth = 0;
      lines.report((run ? "run " + std::to_string(run) + " of " + std::to_string(runs) : "warming up") + ": " +
                   warm.name + ", " + std::to_string(session.threads()) + " threads");
      Result<double> rate = Bencher(session).run(run ? measures[i] : warm);
      if (!rate)
        return rate.error();
      if (run)
        measures[i].rates.push_back(*rate);
      if (interrupted())
        return fail(ErrorCode::Interrupted, "bench: interrupted in run %lld of %lld", (long long)run, (long long)runs);
    }

  nlohmann::json table = nlohmann::json::array();
  std::string text;
  for (const Measure &m : measures) {
    nlohmann::json &row = table.emplace_back();
    row["test"] = m.name;
    row["threads"] = m.threads;
    row["tokens_per_second"] = median(m.rates);
    row["runs"] = m.rates;
    char line[128];
    auto [low, high] = std::minmax_element(m.rates.begin(), m.rates.end());
    std::snprintf(line, sizeof line, "%-14s %3d threads  %10.2f tokens/s  (%.2f to %.2f)\n", m.name.c_str(), m.threads,
                  median(m.rates), *low, *high);
    text += line;
  }
  return print(arguments.has("json") ? table.dump() + "\n" : text);
}

} // namespace

Command benchCommand() {
  return {
      "bench",
      "MODEL",
      "Measures tokens per second: medians of runs that take turns; or how long requests wait that come by chance.",
      {Option("prompt", 'p', "512,...", "tokens of a prompt, computed at once")
           .whole(0, INT32_MAX)
           .lists()
           .by("512")
           .otherwiseIt("none beside -n"),
       Option("generate", 'n', "64,...", "tokens computed one by one")
           .whole(0, INT32_MAX)
           .lists()
           .by("64")
           .otherwiseIt("none beside -p"),
       Option("depth", 'd', "DEPTH,...", "positions that are in the cache before").whole(0, INT32_MAX).lists().by("0"),
       Option("threads", 't', "1,2,...", "threads").whole(1, 1024).lists().otherwiseIt("one per core"),
       Option("repeat", 'r', "N", "runs of each test, after one to warm up").whole(1, 1000).by("5"),
       deviceOption(),
       isaOption(),
       exactOption(),
       verboseOption(),
       {"json", 0, nullptr, "[{\"test\", \"threads\", \"tokens_per_second\", \"runs\"}]; with --serve one object"},
       {nullptr, 0, nullptr, "Many requests"},
       {"serve", 0, nullptr,
        "send requests of -p and -n tokens, each of one of these lengths, to MODEL, or to the server at "
        "http://HOST:PORT"},
       Option("rate", 0, "R", "requests a second, on average; times between them are those of a Poisson process")
           .real()
           .by("1"),
       Option("clients", 0, "N", "that each send the next request when the one before is answered, in place of --rate")
           .whole(1, 4096)
           .otherwiseIt("none"),
       Option("requests", 0, "N", "that are sent").whole(1, 100000).by("50"),
       Option("seed", 0, "S", "of times, lengths and prompts").whole(0, INT64_MAX).by("0"),
       Option("parallel", 0, "N", "answers of MODEL that are drawn together").whole(1, 65536).by("16"),
       Option("api-key", 0, "KEY", "of the server; also from the environment's STEPDOWN_API_KEY").otherwiseIt("none"),
       Option("timeout", 0, "SECONDS", "that the server may say nothing while it is waited for")
           .whole(1, 1000000)
           .by("600"),
       Option("plot", 0, "FILE", "draw what part of the requests waited how long, as SVG"),
       Option("price-per-hour", 0, "X", "of the machine: tell what a million tokens of answers cost").real()},
      "stepdown-run bench smollm2.gguf -p 512 -n 64 -t 1,2 -r 5",
      runBench};
}

} // namespace stepdown::run
