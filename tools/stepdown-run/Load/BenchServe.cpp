// bench --serve: how long requests wait that come by chance.
#include "tools/stepdown-run/Load/BenchServe.h"
#include "lib/Base/PartFile.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "runtime/Server/Engine.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/Load/LoadTarget.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>

namespace stepdown::run {

namespace {

constexpr double shares[] = {0.5, 0.9, 0.95, 0.99};
constexpr int64_t mostPrompt = 1 << 20; // tokens

bool isServer(const std::string &named) { return named.compare(0, 7, "http://") == 0; }

/// E0905 for options that mean nothing for what is measured.
Status expectMeaning(const Arguments &arguments, const std::string &named) {
  for (const char *other : {"depth", "repeat"})
    if (arguments.has(other))
      return arguments.usage(std::string("expects no --") + other + " beside --serve");
  for (const char *other : {"threads", "parallel", "device", "isa", "exact", "verbose"})
    if (isServer(named) && arguments.has(other))
      return arguments.usage(std::string("expects no --") + other + " for a server elsewhere, which has its own");
  for (const char *other : {"api-key", "timeout"})
    if (!isServer(named) && arguments.has(other))
      return arguments.usage(std::string("expects http://HOST:PORT beside --") + other + ", but got " + named);
  return Done{};
}

/// What a load is sent to, with all that it needs.
struct Served {
  std::unique_ptr<TextModel> source;
  std::unique_ptr<Engine> engine; ///< null for a server elsewhere
  std::unique_ptr<LoadTarget> target;
  int32_t lastId = 255; ///< that every vocabulary has
};

Status open(const Arguments &arguments, const std::string &named, const LoadOptions &load, Served &served) {
  if (isServer(named)) {
    auto target = serverTarget(named, apiKey(arguments), static_cast<double>(arguments.integer("timeout")));
    if (!target)
      return target.error();
    served.target = std::move(*target);
    return Done{};
  }
  auto source = TextModel::open(arguments, named);
  if (!source)
    return source.error();
  served.source = std::move(*source);
  const Model &model = *served.source->model;
  const int64_t positions = *std::max_element(load.prompts.begin(), load.prompts.end()) +
                            *std::max_element(load.answers.begin(), load.answers.end());
  if (positions > static_cast<int64_t>(model.head().max_context))
    return fail(ErrorCode::ContextFull, "bench: expects at most %u positions, but a request needs %lld",
                model.head().max_context, static_cast<long long>(positions));
  Engine::Options options;
  const std::vector<int64_t> threads = arguments.integers("threads");
  options.session.threads = static_cast<int32_t>(threads.empty() ? 0 : threads[0]);
  options.session.maxSequences =
      static_cast<int32_t>(std::min<int64_t>(arguments.integer("parallel"), model.head().max_step_rows));
  options.session.kvPositions = positions * options.session.maxSequences;
  options.steps.chunk = 128; // as serve has it
  options.waiting = load.requests;
  auto engine = Engine::create(served.source->model, served.source->tokenizer, options);
  if (!engine)
    return engine.error();
  served.engine = std::move(*engine);
  served.target = engineTarget(*served.engine);
  served.lastId = std::min(served.lastId, static_cast<int32_t>(model.head().vocabulary) - 1);
  return Done{};
}

std::string row(const char *name, const std::vector<double> &sorted) {
  char text[160];
  std::snprintf(text, sizeof text, "%-26s", name);
  std::string out = text;
  for (double share : shares) {
    std::snprintf(text, sizeof text, "  p%.0f %10.2f", share * 100, percentile(sorted, share) * 1000);
    out += text;
  }
  return out + "  ms\n";
}

std::string textOf(const LoadReport &report, const LoadOptions &load, size_t clients, std::optional<double> price) {
  char text[240], from[40];
  if (clients)
    std::snprintf(from, sizeof from, "%zu clients", clients);
  else
    std::snprintf(from, sizeof from, "%.4g requests/s", load.rate);
  std::snprintf(text, sizeof text, "%zu answers, %zu failed; %s for %.1f s\n", report.answered, report.failed, from,
                report.seconds);
  std::string out =
      text + row("time to the first token", report.toFirst) + row("time per output token", report.perToken);
  std::snprintf(text, sizeof text, "%-26s  %.1f tokens/s\n", "output", report.tokensPerSecond());
  out += text;
  if (price && report.tokensPerSecond() > 0) {
    std::snprintf(text, sizeof text, "%-26s  %.4g a million tokens, at %.4g an hour\n", "cost",
                  report.costOfMillion(*price), *price);
    out += text;
  }
  return out;
}

std::string jsonOf(const LoadReport &report, std::optional<double> price) {
  char text[240];
  std::snprintf(text, sizeof text,
                "{\"answered\": %zu, \"failed\": %zu, \"seconds\": %.6g, \"tokens\": %zu, \"tokens_per_second\": %.6g",
                report.answered, report.failed, report.seconds, report.tokens, report.tokensPerSecond());
  std::string out = text;
  for (const auto &[name, sorted] : {std::pair("ttft_ms", &report.toFirst), std::pair("tpot_ms", &report.perToken)}) {
    out += std::string(", \"") + name + "\": {";
    for (double share : shares) {
      std::snprintf(text, sizeof text, "%s\"p%.0f\": %.6g", share == shares[0] ? "" : ", ", share * 100,
                    percentile(*sorted, share) * 1000);
      out += text;
    }
    out += "}";
  }
  if (price && report.tokensPerSecond() > 0) {
    std::snprintf(text, sizeof text, ", \"cost_per_million_tokens\": %.6g", report.costOfMillion(*price));
    out += text;
  }
  return out + "}\n";
}

} // namespace

Status benchServe(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  const std::string named = words->front();
  if (Status meant = expectMeaning(arguments, named); !meant)
    return meant;
  LoadOptions load;
  load.rate = arguments.real("rate");
  load.requests = static_cast<size_t>(arguments.integer("requests"));
  load.prompts = arguments.integers("prompt");
  load.answers = arguments.integers("generate");
  load.seed = static_cast<uint64_t>(arguments.integer("seed"));
  LoadLimits limits;
  limits.clients = static_cast<size_t>(arguments.integer("clients"));
  if (limits.clients && arguments.has("rate"))
    return arguments.usage("expects --rate or --clients, but got both");
  if (!(load.rate > 0 && load.rate <= 1e6))
    return arguments.usage("expects more than 0 and at most 1000000 requests/s for --rate, but got \"" +
                           arguments.value("rate") + "\"");
  for (const std::vector<int64_t> *lengths : {&load.prompts, &load.answers})
    if (*std::min_element(lengths->begin(), lengths->end()) < 1)
      return arguments.usage("expects prompts and answers of at least one token for --serve, but got 0");
  if (*std::max_element(load.prompts.begin(), load.prompts.end()) > mostPrompt)
    return arguments.usage("expects prompts of at most 1048576 tokens for --serve, but got " +
                           arguments.value("prompt"));
  if (arguments.integers("threads").size() > 1)
    return arguments.usage("expects one number of threads for --serve, but got " + arguments.value("threads"));
  std::optional<double> price;
  if (arguments.has("price-per-hour")) {
    price = arguments.real("price-per-hour");
    if (!(*price >= 0 && *price <= 1e9))
      return arguments.usage("expects 0 to 1000000000 for --price-per-hour, but got \"" +
                             arguments.value("price-per-hour") + "\"");
  }
  std::optional<PartFile> plot; // before the load, so that none is sent in vain
  if (const std::optional<std::string> path = arguments.text("plot")) {
    auto file = PartFile::create(*path, checkpointFiles(named), PartFile::Order::forward);
    if (!file)
      return file.error();
    plot.emplace(std::move(*file));
  }
  Served served;
  if (Status opened = open(arguments, named, load, served); !opened)
    return opened;
  load.firstId = std::min(3, served.lastId); // behind those that are control tokens nearly everywhere
  load.lastId = served.lastId;
  catchInterrupts();
  const std::vector<LoadOutcome> outcomes = runLoad(poissonLoad(load), *served.target, interrupted, limits);
  const LoadReport report = reportOf(outcomes);
  for (const LoadOutcome &outcome : outcomes)
    if (!outcome.problem.empty() && !outcome.interrupted) {
      std::fprintf(stderr, "stepdown-run: a request failed: %s\n", outcome.problem.c_str());
      break; // the others are counted
    }
  if (Status printed =
          print(arguments.has("json") ? jsonOf(report, price) : textOf(report, load, limits.clients, price));
      !printed)
    return printed;
  if (plot) {
    const std::string drawn = plotOf(report, std::to_string(report.answered) + " answers");
    Status written = plot->append(drawn.data(), drawn.size());
    if (written)
      written = plot->commit();
    if (!written)
      return written;
  }
  if (interrupted())
    return fail(ErrorCode::Interrupted,
                "bench: interrupted after %zu of %zu requests, %zu of which had no whole answer yet", outcomes.size(),
                load.requests, report.interrupted);
  if (!report.answered)
    return fail(ErrorCode::FileRead, "bench: expects answers, but all %zu requests failed", outcomes.size());
  return Done{};
}

} // namespace stepdown::run
