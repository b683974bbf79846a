#include "lib/Base/ProgressLines.h"
#include "runtime/Session/Session.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/Generation.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace stepdown::run {
namespace {

using nlohmann::json;

Result<std::vector<RequestLine>> requestsOf(const Arguments &arguments) {
  Request request;
  request.id = "0";
  if (Status ok = readRequest(arguments, request); !ok)
    return ok.error();
  request.ignoreEos = arguments.has("ignore-eos");
  if (auto file = arguments.text("requests")) {
    if (arguments.has("prompt") || arguments.has("file") || arguments.has("tokens"))
      return fail(ErrorCode::Usage, "generate: expects a prompt or --requests, but got both");
    Result<std::string> text = readText(*file);
    if (!text)
      return text.error();
    request.id.clear();
    return readRequests(*text, request, *file);
  }
  if (arguments.has("tokens")) {
    if (arguments.has("prompt") || arguments.has("file"))
      return fail(ErrorCode::Usage, "generate: expects -p, -f or --tokens, but got more than one of them");
    const std::vector<int64_t> ids = arguments.integers("tokens");
    request.tokens = std::vector<int32_t>(ids.begin(), ids.end());
  } else {
    Result<std::string> text = textArgument(arguments);
    if (!text)
      return text.error();
    request.prompt = std::move(*text);
  }
  return std::vector{RequestLine{request, "", std::nullopt}};
}

/// Why a line of a file is not answered: "request ID: FILE: line 3: ...".
Error named(const RequestLine &line, const Error &refusal) {
  std::string message = refusal.message;
  if (message.compare(0, line.where.size(), line.where) != 0)
    message = line.where + ": " + message;
  return fail(refusal.code, "request %s: %s", line.request.id.substr(0, 100).c_str(), message.c_str());
}

json timingOf(const Generation &g) {
  double prefill = (g.firstTokenAt - g.submittedAt) / 1000, decode = (g.finishedAt - g.firstTokenAt) / 1000;
  json timing = {{"prompt_seconds", prefill}, {"decode_seconds", decode}};
  if (prefill > 0)
    timing["prompt_tokens_per_second"] = double(g.prompt().size()) / prefill;
  if (decode > 0 && g.tokens().size() > 1)
    timing["tokens_per_second"] = double(g.tokens().size() - 1) / decode;
  return timing;
}

json errorOf(const Error &error) { return {{"code", static_cast<int>(error.code)}, {"message", error.message}}; }

/// The object of a request that was refused before it began.
std::string jsonOf(const RequestLine &line) {
  const json object = {
      {"id", line.request.id}, {"finish_reason", "error"}, {"error", errorOf(named(line, *line.refusal))}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string jsonOf(Generation &g, size_t index) {
  json object = {{"id", g.of().id}};
  if (g.of().answers > 1)
    object["answer"] = index;
  object["prompt_tokens"] = g.prompt();
  object["tokens"] = g.tokens();
  object["text"] = g.text();
  object["finish_reason"] = g.finishReason();
  if (g.problem())
    object["error"] = errorOf(*g.problem());
  if (g.of().probabilities >= 0) {
    json rows = json::array();
    for (size_t i = 0; i < g.logProbabilities().size(); ++i) {
      const LogProbabilities &row = g.logProbabilities()[i];
      json top = json::array();
      for (int32_t t = 0; t < std::min<int64_t>(row.count, g.of().probabilities); ++t)
        top.push_back({row.top[t].id, row.top[t].value});
      rows.push_back({{"id", g.tokens()[i]}, {"logprob", row.chosen}, {"top", top}});
    }
    object["logprobs"] = rows;
  }
  object["timing"] = timingOf(g);
  if (g.hashLogits)
    object["logits_sha256"] = g.logitsHash();
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// The sessions' size: every request at its full length at once, as far as sequences go.
Session::Options sessionFor(const std::vector<std::unique_ptr<Generation>> &generations, const stepdown_program &head,
                            int32_t block) {
  Session::Options options;
  options.kvBlock = block;
  options.maxSequences = static_cast<int32_t>(std::min<size_t>({generations.size(), head.max_step_rows, 64}));
  for (auto &g : generations)
    options.maxSequences = std::max(options.maxSequences, static_cast<int32_t>(g->of().answers));
  std::vector<int64_t> lengths;
  for (auto &g : generations) {
    int64_t positions = std::min<int64_t>(g->prompt().size() + g->of().maxTokens, head.max_context);
    lengths.push_back((positions + 63) / 64 * 64);
  }
  std::sort(lengths.rbegin(), lengths.rend());
  lengths.resize(std::min<size_t>(lengths.size(), options.maxSequences));
  for (int64_t length : lengths)
    options.kvPositions += length;
  return options;
}

/// Tokens that were drawn, of those that may be at most.
void tell(ProgressLines &lines, const std::vector<std::unique_ptr<Generation>> &generations) {
  uint64_t drawn = 0, most = 0;
  for (auto &g : generations) {
    const auto wanted = static_cast<uint64_t>(g->of().maxTokens);
    drawn += g->done() ? wanted : g->tokens().size();
    most += wanted;
  }
  lines.report("drawing tokens", drawn, most);
}

/// Adds the generations of one request; E03xx, E07xx.
Status begin(const Request &request, const Model &model, const Tokenizer &tokenizer, bool hashLogits,
             std::vector<std::unique_ptr<Generation>> &generations, std::vector<RequestClient *> &clients) {
  auto prompt = promptOf(request, tokenizer);
  if (!prompt)
    return prompt.error();
  const stepdown_program &head = model.head();
  for (int64_t answer = 0; answer < request.answers; ++answer) {
    auto generation = Generation::create(request, *prompt, tokenizer, static_cast<int32_t>(head.vocabulary),
                                         static_cast<int32_t>(head.max_context), static_cast<uint64_t>(answer));
    if (!generation)
      return generation.error(); // of the first answer: they differ in nothing that could be refused
    (*generation)->hashLogits = hashLogits;
    clients.push_back(generation->get());
    generations.push_back(std::move(*generation));
  }
  return Done{};
}

/// Prints answers in the order of their requests, and on stderr why others are not answered.
class Printer {
public:
  Printer(const std::vector<RequestLine> &lines, const std::vector<std::vector<RequestClient *>> &clients, bool asJson,
          bool single)
      : lines(lines), clients(clients), asJson(asJson), single(single) {}

  /// Prints those that are done and whose predecessors are.
  Status finished() {
    for (; line < lines.size(); ++line, answer = 0) {
      if (lines[line].refusal) {
        tell(named(lines[line], *lines[line].refusal));
        if (Status printed = asJson ? print(jsonOf(lines[line])) : Status(Done{}); !printed)
          return printed;
      }
      for (; answer < clients[line].size(); ++answer) {
        Generation &g = *static_cast<Generation *>(clients[line][answer]);
        if (!g.done())
          return Done{};
        if (Status printed = asJson ? print(jsonOf(g, answer)) : print(textOf(g)); !printed)
          return printed;
        if (g.problem() && lines[line].where.empty())
          problem = *g.problem();
        else if (g.problem())
          tell(named(lines[line], *g.problem()));
      }
    }
    return Done{};
  }

  /// What the command ends with; an error where a request was refused.
  Status refused() const {
    if (problem)
      return *problem;
    if (count)
      return fail(last, "%zu of %zu requests %s refused, as told above", count, lines.size(),
                  count == 1 ? "was" : "were");
    return Done{};
  }

private:
  /// A line; that of a single request is on the screen but for its end, and a refused one that came to nothing has
  /// none.
  std::string textOf(const Generation &g) const {
    return single ? "\n" : g.problem() && g.text().empty() ? "" : g.text() + "\n";
  }

  void tell(const Error &refusal) {
    std::fprintf(stderr, "stepdown-run: %s\n", refusal.text().c_str());
    last = refusal.code;
    count += told != line; // once for each request, whose answers may all fail
    told = line;
  }

  const std::vector<RequestLine> &lines;
  const std::vector<std::vector<RequestClient *>> &clients;
  const bool asJson, single;
  size_t line = 0, answer = 0; ///< the next
  size_t count = 0, told = SIZE_MAX;
  ErrorCode last = ErrorCode::RequestField;
  std::optional<Error> problem; ///< of a request of the command line
};

Status runGenerate(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  auto lines = requestsOf(arguments);
  if (!lines)
    return lines.error();
  std::vector<std::vector<RequestClient *>> clients(lines->size()); // of each line
  bool asJson = arguments.has("json");
  auto nothingToDraw = [&] { // tells why
    Printer printer(*lines, clients, asJson, false);
    Status printed = printer.finished();
    return printed ? printer.refused() : printed;
  };
  if (std::all_of(lines->begin(), lines->end(), [](const RequestLine &line) { return line.refusal; }))
    return nothingToDraw();
  auto isa = arguments.text("isa");
  auto model = loadModel((*words)[0], {arguments.has("exact"), arguments.has("verbose")}, isa ? isa->c_str() : nullptr);
  if (!model)
    return model.error();
  auto tokenizer = openTokenizer((*model)->metadata());
  if (!tokenizer)
    return tokenizer.error();
  const stepdown_program &head = (*model)->head();

  const bool fromFile = arguments.has("requests");
  std::vector<std::unique_ptr<Generation>> generations;
  for (size_t i = 0; i < lines->size(); ++i) {
    RequestLine &line = (*lines)[i];
    if (line.refusal)
      continue;
    Status begun = begin(line.request, **model, *tokenizer, arguments.has("hash-logits"), generations, clients[i]);
    if (!begun && !fromFile)
      return begun;
    if (!begun)
      line.refusal = begun.error();
  }
  if (generations.empty())
    return nothingToDraw();
  bool single = !fromFile && generations.size() == 1;
  if (single && !asJson)
    generations[0]->listener = [](const std::string &text) { (void)static_cast<bool>(print(text)); };

  Session::Options options = sessionFor(generations, head, static_cast<int32_t>(arguments.integer("kv-block")));
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  auto session = Session::create(*model, options);
  if (!session)
    return session.error();
  Scheduler scheduler(**session, static_cast<uint32_t>(arguments.integer("chunk")));
  double start = milliseconds();
  size_t next = 0;
  for (const std::vector<RequestClient *> &answers : clients) {
    if (answers.empty())
      continue;
    if (generations[next]->of().maxTokens == 0)
      for (RequestClient *client : answers)
        static_cast<Generation *>(client)->stop("length");
    else
      scheduler.add(generations[next]->prompt(), answers);
    next += answers.size();
  }

  catchInterrupts();
  ProgressLines progress("stepdown-run", arguments.has("verbose"));
  Printer printer(*lines, clients, asJson, single);
  for (bool more = true; more;) {
    if (Status printed = printer.finished(); !printed)
      return printed;
    Result<bool> stepped = scheduler.step();
    if (!stepped)
      return stepped.error();
    more = *stepped && !interrupted();
    tell(progress, generations);
    if (!more)
      for (auto &g : generations)
        g->stop("interrupted");
  }
  if (Status printed = printer.finished(); !printed)
    return printed;
  if (!asJson && isatty(STDERR_FILENO)) {
    size_t drawn = 0;
    for (auto &g : generations)
      drawn += g->tokens().size();
    double seconds = (milliseconds() - start) / 1000;
    std::fprintf(stderr, "%zu tokens in %.2f s, %.1f tokens/s, %d threads, %s\n", drawn, seconds, drawn / seconds,
                 (*session)->threads(), (*model)->level());
  }
  if (Status refused = printer.refused(); !refused)
    return refused;
  if (interrupted())
    return fail(ErrorCode::Interrupted, "generate: interrupted; what was drawn before is above");
  return Done{};
}

} // namespace

Command generateCommand() {
  Command command{
      "generate",
      "MODEL",
      "Continues a prompt, or many at once, and prints the new text.",
      {{nullptr, 0, nullptr, "Prompt (one of)"},
       {"prompt", 'p', "TEXT", "the text to continue, special tokens in it read as such"},
       Option("file", 'f', "FILE", "the same from a file; - for stdin").file(),
       tokensOption("token ids in place of a text"),
       Option("requests", 0, "FILE.jsonl",
              "one JSON object a line: {\"id\"?, \"prompt\" | \"tokens\", \"max_tokens\"?, and the "
              "options below with _ for -}; all run in one batch, and one that is refused is named, with status 1 at "
              "the end, while the others go on")
           .file(),
       {nullptr, 0, nullptr, "Answer"},
       limited({"max-tokens", 'n', "N", "tokens to draw at most"}).by("256"),
       Option("stop", 0, "TEXT", "end the answer before this text").repeats(),
       {"ignore-eos", 0, nullptr, "go on after the token that ends a text"},
       {"raw", 0, nullptr, "no chat template (the default here; see the command chat)"},
       limited({"answers", 0, "N", "answers to each prompt, which is computed once"}).by("1")},
      "stepdown-run generate smollm2.gguf -p \"The capital of France is\" -n 32",
      runGenerate};
  for (const Option &option : samplingOptions(Request().sampling))
    command.options.push_back(option);
  for (const Option &option : std::vector<Option>{
           {nullptr, 0, nullptr, "Execution (never changes the answer)"},
           threadsOption(),
           Option("chunk", 0, "N", "prompt tokens that one step takes at most")
               .whole(1, INT32_MAX)
               .otherwiseIt("what a step holds"),
           kvBlockOption(),
           isaOption(),
           exactOption(),
           verboseOption(),
           {nullptr, 0, nullptr, "Output"},
           {"json", 0, nullptr, "one JSON object for each answer"},
           limited({"logprobs", 0, "N", "with --json: log-probabilities of each drawn token and the N likeliest"}),
           {"hash-logits", 0, nullptr, "with --json: SHA-256 over the rows of logits that were drawn from"}})
    command.options.push_back(option);
  return command;
}

} // namespace stepdown::run
