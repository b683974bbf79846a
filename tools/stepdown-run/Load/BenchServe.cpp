// bench --serve: how long requests wait that come by chance.
#include "tools/stepdown-run/Load/BenchServe.h"
#include "runtime/Server/Engine.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/Load/LoadTarget.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>

namespace stepdown::run {

using commandline::Arguments;

namespace {

constexpr double shares[] = {0.5, 0.9, 0.95, 0.99};

/// What a load is sent to, with all that it needs.
struct Served {
  std::unique_ptr<TextModel> source;
  std::unique_ptr<Engine> engine; ///< null for a server elsewhere
  std::unique_ptr<LoadTarget> target;
  int32_t lastId = 255; ///< that every vocabulary has
};

Status open(const Arguments &arguments, const LoadOptions &load, Served &served) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  const std::string *named = words->data();
  if (named->compare(0, 7, "http://") == 0) {
    auto target = serverTarget(*named, arguments.value("api-key"));
    if (!target)
      return target.error();
    served.target = std::move(*target);
    return Done{};
  }
  auto source = TextModel::open(arguments, *named);
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

std::string textOf(const LoadReport &report, const LoadOptions &load, std::optional<double> price) {
  char text[240];
  std::snprintf(text, sizeof text, "%zu answers, %zu failed; %.4g requests/s for %.1f s\n", report.answered,
                report.failed, load.rate, report.seconds);
  std::string out =
      text + row("time to the first token", report.toFirst) + row("time per output token", report.perToken);
  std::snprintf(text, sizeof text, "%-26s  %.1f tokens/s\n", "output", report.tokensPerSecond());
  out += text;
  if (price && report.tokens) {
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
  std::snprintf(text, sizeof text, ", \"cost_per_million_tokens\": %.6g", report.costOfMillion(price.value_or(0)));
  return out + (price && report.tokens ? text : "") + "}\n";
}

Status writePlot(const std::string &path, const std::string &text) {
  std::FILE *file = std::fopen(path.c_str(), "wb");
  const bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (!file || (std::fclose(file) != 0) || !written)
    return fail(ErrorCode::FileWrite, "%s: expects a file that can be written", path.c_str());
  return Done{};
}

} // namespace

Status benchServe(const Arguments &arguments) {
  LoadOptions load;
  load.rate = arguments.real("rate");
  load.requests = static_cast<size_t>(arguments.integer("requests"));
  load.prompts = arguments.integers("prompt");
  load.answers = arguments.integers("generate");
  load.seed = static_cast<uint64_t>(arguments.integer("seed"));
  if (!(load.rate > 0 && load.rate <= 1e6))
    return arguments.usage("expects more than 0 and at most 1000000 requests/s for --rate, but got \"" +
                           arguments.value("rate") + "\"");
  for (const std::vector<int64_t> *lengths : {&load.prompts, &load.answers})
    if (*std::min_element(lengths->begin(), lengths->end()) < 1)
      return arguments.usage("expects prompts and answers of at least one token for --serve, but got 0");
  if (arguments.integers("threads").size() > 1)
    return arguments.usage("expects one number of threads for --serve, but got " + arguments.value("threads"));
  std::optional<double> price;
  if (arguments.has("price-per-hour")) {
    price = arguments.real("price-per-hour");
    if (!(*price >= 0 && *price <= 1e9))
      return arguments.usage("expects 0 to 1000000000 for --price-per-hour, but got \"" +
                             arguments.value("price-per-hour") + "\"");
  }
  Served served;
  if (Status opened = open(arguments, load, served); !opened)
    return opened;
  load.firstId = std::min(3, served.lastId); // behind those that are control tokens nearly everywhere
  load.lastId = served.lastId;
  catchInterrupts();
  const std::vector<LoadOutcome> outcomes = runLoad(poissonLoad(load), *served.target, interrupted);
  const LoadReport report = reportOf(outcomes);
  for (const LoadOutcome &outcome : outcomes)
    if (!outcome.problem.empty()) {
      std::fprintf(stderr, "stepdown-run: a request failed: %s\n", outcome.problem.c_str());
      break; // the others are counted
    }
  if (const std::optional<std::string> path = arguments.text("plot"))
    if (Status written = writePlot(*path, plotOf(report, std::to_string(report.answered) + " answers")); !written)
      return written;
  if (Status printed = print(arguments.has("json") ? jsonOf(report, price) : textOf(report, load, price)); !printed)
    return printed;
  if (interrupted())
    return fail(ErrorCode::Interrupted, "bench: interrupted after %zu of %zu requests", outcomes.size(), load.requests);
  if (!report.answered)
    return fail(ErrorCode::FileRead, "bench: expects answers, but all %zu requests failed", outcomes.size());
  return Done{};
}

} // namespace stepdown::run
