#include "runtime/Generate/Generate.h"
#include "lib/Base/ProgressLines.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Request.h"
#include "tools/stepdown-run/Sha256.h"
#include "tools/stepdown-run/SpeculateOption.h"
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
  request.ignoreEnd = arguments.has("ignore-eos");
  if (auto file = arguments.text("requests")) {
    if (arguments.has("prompt") || arguments.has("file") || arguments.has("tokens"))
      return fail(ErrorCode::Usage, "generate: expects a prompt or --requests, but got both");
    Result<std::string> text = readText(*file);
    if (!text)
      return text.error();
    request.id.clear();
    return readRequests(*text, request, *file);
  }
  if (arguments.has("tokens") && (arguments.has("prompt") || arguments.has("file")))
    return fail(ErrorCode::Usage, "generate: expects -p, -f or --tokens, but got more than one of them");
  if (Status ok = readPrompt(arguments, request); !ok)
    return ok.error();
  return std::vector{RequestLine{request, "", std::nullopt}};
}

/// Why a line of a file is not answered: "request ID: FILE: line 3: ...".
Error named(const RequestLine &line, const Error &refusal) {
  std::string message = refusal.message;
  if (message.compare(0, line.where.size(), line.where) != 0)
    message = line.where + ": " + message;
  return fail(refusal.code, "request %s: %s", line.request.id.substr(0, 100).c_str(), message.c_str());
}

/// One of the answers to a request.
struct Answer {
  const Request *request;
  std::unique_ptr<Generation> generation;
  std::optional<Sha256> rows; ///< the hash of those drawn from, where it is wanted
};

json timingOf(const Generation &g) {
  json timing;
  timing["prompt_seconds"] = g.promptSeconds();
  timing["decode_seconds"] = g.decodeSeconds();
  if (g.promptSeconds() > 0)
    timing["prompt_tokens_per_second"] = double(g.prompt().size()) / g.promptSeconds();
  if (g.tokensPerSecond() > 0)
    timing["tokens_per_second"] = g.tokensPerSecond();
  return timing;
}

const char *nameOf(Finish finish) {
  switch (finish) {
  case Finish::Length:
    return "length";
  case Finish::Interrupted:
    return "interrupted";
  case Finish::Error:
    return "error";
  default:
    return "stop";
  }
}

json errorOf(const Error &error) {
  json object;
  object["code"] = static_cast<int>(error.code);
  object["message"] = error.message;
  return object;
}

std::string lineOf(const json &object) { return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

/// The object of a request that was refused before it began.
std::string jsonOf(const RequestLine &line) {
  json object;
  object["id"] = line.request.id;
  object["finish_reason"] = "error";
  object["error"] = errorOf(named(line, *line.refusal));
  return lineOf(object);
}

std::string jsonOf(Answer &answer, size_t index) {
  const Request &request = *answer.request;
  const Generation &g = *answer.generation;
  json object;
  object["id"] = request.id;
  if (request.answers > 1)
    object["answer"] = index;
  object["prompt_tokens"] = g.prompt();
  object["tokens"] = g.tokens();
  object["text"] = g.text();
  object["finish_reason"] = nameOf(g.finish());
  if (g.problem())
    object["error"] = errorOf(*g.problem());
  if (request.probabilities >= 0) {
    json rows = json::array();
    for (size_t i = 0; i < g.logProbabilities().size(); ++i) {
      const LogProbabilities &row = g.logProbabilities()[i];
      json top = json::array();
      for (int32_t t = 0; t < std::min<int64_t>(row.count, request.probabilities); ++t)
        top.push_back({row.top[t].id, row.top[t].value});
      json &each = rows.emplace_back();
      each["id"] = g.tokens()[i];
      each["logprob"] = row.chosen;
      each["top"] = std::move(top);
    }
    object["logprobs"] = rows;
  }
  object["timing"] = timingOf(g);
  if (const Speculation *guesses = g.speculation()) {
    json &figures = object["speculation"];
    figures["steps"] = guesses->figures().steps;
    figures["guessed"] = guesses->figures().guessed;
    figures["accepted"] = guesses->figures().accepted;
  }
  if (answer.rows)
    object["logits_sha256"] = answer.rows->finish();
  return lineOf(object);
}

/// Answers that are drawn at once: all, as far as sequences go.
int32_t sequencesFor(const std::vector<RequestLine> &lines, const stepdown_program &head) {
  int64_t all = 0, most = 0;
  for (const RequestLine &line : lines)
    if (!line.refusal) {
      all += line.request.answers;
      most = std::max(most, line.request.answers);
    }
  return static_cast<int32_t>(std::max(most, std::min<int64_t>({all, head.max_step_rows, 64})));
}

/// The sessions' size: every request at its full length at once, as far as sequences go.
Session::Options sessionFor(const std::vector<std::unique_ptr<Answer>> &answers, const std::vector<RequestLine> &lines,
                            const stepdown_program &head, int32_t block) {
  Session::Options options;
  options.kvBlock = block;
  options.maxSequences = sequencesFor(lines, head);
  std::vector<int64_t> lengths;
  for (const std::unique_ptr<Answer> &answer : answers) {
    int64_t positions =
        std::min<int64_t>(answer->generation->prompt().size() + answer->request->maxTokens, head.max_context);
    lengths.push_back((positions + 63) / 64 * 64);
  }
  std::sort(lengths.rbegin(), lengths.rend());
  lengths.resize(std::min<size_t>(lengths.size(), options.maxSequences));
  for (int64_t length : lengths)
    options.kvPositions += length;
  return options;
}

/// Tokens that were drawn, of those that may be at most.
void tell(ProgressLines &lines, const std::vector<std::unique_ptr<Answer>> &answers) {
  uint64_t drawn = 0, most = 0;
  for (const std::unique_ptr<Answer> &answer : answers) {
    const auto wanted = static_cast<uint64_t>(answer->request->maxTokens);
    const Finish finish = answer->generation->finish();
    drawn += finish == Finish::None || finish == Finish::Interrupted ? answer->generation->tokens().size() : wanted;
    most += wanted;
  }
  lines.report("drawing tokens", drawn, most);
}

/// "; 31 of 40 guesses were right, 1.94 in each step", of all answers; empty where nothing guesses.
std::string guessesOf(const std::vector<Generation *> &answers) {
  SpeculationFigures all;
  for (const Generation *answer : answers)
    if (const Speculation *guesses = answer->speculation()) {
      all.steps += guesses->figures().steps;
      all.guessed += guesses->figures().guessed;
      all.accepted += guesses->figures().accepted;
    }
  if (!all.steps)
    return "";
  char text[96];
  std::snprintf(text, sizeof text, "; %llu of %llu guesses were right, %.2f in each step",
                static_cast<unsigned long long>(all.accepted), static_cast<unsigned long long>(all.guessed),
                static_cast<double>(all.accepted) / static_cast<double>(all.steps));
  return text;
}

/// Adds the answers to one request, to all and to `its`; E03xx, E07xx.
Status begin(const Request &request, const TextModel &source, Constraints &constraints,
             const std::shared_ptr<const Speculator> &speculator, bool hashLogits,
             std::vector<std::unique_ptr<Answer>> &all, std::vector<Answer *> &its) {
  auto prompt = promptOf(request, source.tokenizer);
  if (!prompt)
    return prompt.error();
  const stepdown_program &head = source.model->head();
  const Generation::Place place = {static_cast<int32_t>(head.vocabulary), head.max_context};
  GenerationOptions options = request;
  options.logProbabilities = request.probabilities >= 0;
  options.constraint = constraints.of(request.grammar);
  options.speculator = speculator;
  for (; options.answer < static_cast<uint64_t>(request.answers); ++options.answer) {
    auto generation = Generation::create(options, *prompt, source.tokenizer, place);
    if (!generation)
      return generation.error(); // of the first answer: they differ in nothing that could be refused
    all.emplace_back(new Answer{&request, std::move(*generation), std::nullopt});
    Answer &answer = *all.back();
    answer.generation->interrupted = interrupted;
    if (hashLogits) {
      answer.rows.emplace();
      answer.generation->onRow = [&rows = *answer.rows, bytes = head.vocabulary * sizeof(float)](const float *row) {
        rows.add(row, bytes);
      };
    }
    its.push_back(&answer);
  }
  return Done{};
}

/// Prints answers in the order of their requests, and on stderr why others are not answered.
class Printer {
public:
  Printer(const std::vector<RequestLine> &lines, const std::vector<std::vector<Answer *>> &answers, bool asJson,
          bool single)
      : lines(lines), answers(answers), asJson(asJson), single(single) {}

  /// Prints those that are done and whose predecessors are.
  Status finished() {
    for (; line < lines.size(); ++line, index = 0) {
      if (lines[line].refusal) {
        tell(named(lines[line], *lines[line].refusal));
        if (Status printed = asJson ? print(jsonOf(lines[line])) : Status(Done{}); !printed)
          return printed;
      }
      for (; index < answers[line].size(); ++index) {
        Answer &answer = *answers[line][index];
        const Generation &g = *answer.generation;
        if (!g.done())
          return Done{};
        if (Status printed = print(asJson ? jsonOf(answer, index) : textOf(g)); !printed)
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
  const std::vector<std::vector<Answer *>> &answers;
  const bool asJson, single;
  size_t line = 0, index = 0; ///< the next
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
  std::vector<std::unique_ptr<Answer>> all;              // in order
  std::vector<std::vector<Answer *>> its(lines->size()); // of each line
  bool asJson = arguments.has("json");
  auto nothingToDraw = [&] { // tells why
    Printer printer(*lines, its, asJson, false);
    Status printed = printer.finished();
    return printed ? printer.refused() : printed;
  };
  if (std::all_of(lines->begin(), lines->end(), [](const RequestLine &line) { return line.refusal; }))
    return nothingToDraw();
  const Result<Speculate> speculate = Speculate::of(arguments);
  if (!speculate)
    return speculate.error();
  auto opened = TextModel::open(arguments);
  if (!opened)
    return opened.error();
  const TextModel &source = **opened;
  auto speculator = speculatorOf(*speculate, source, sequencesFor(*lines, source.model->head()));
  if (!speculator)
    return speculator.error();

  const bool fromFile = arguments.has("requests");
  Constraints constraints(source.tokenizer, static_cast<int32_t>(source.model->head().vocabulary));
  for (size_t i = 0; i < lines->size(); ++i) {
    RequestLine &line = (*lines)[i];
    if (line.refusal)
      continue;
    Status begun = begin(line.request, source, constraints, *speculator, arguments.has("hash-logits"), all, its[i]);
    if (!begun && !fromFile)
      return begun;
    if (!begun)
      line.refusal = begun.error();
  }
  if (all.empty())
    return nothingToDraw();
  bool single = !fromFile && all.size() == 1;
  if (single && !asJson)
    all[0]->generation->listener = [](int32_t, const std::string &text) { return text.empty() || print(text) || true; };

  Session::Options options =
      sessionFor(all, *lines, source.model->head(), static_cast<int32_t>(arguments.integer("kv-block")));
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  auto session = Session::create(source.model, options);
  if (!session)
    return session.error();
  Scheduler scheduler(**session, static_cast<uint32_t>(arguments.integer("chunk")));
  double start = milliseconds();
  std::vector<Generation *> generations;
  for (const std::vector<Answer *> &answers : its) {
    std::vector<RequestClient *> waiting;
    for (Answer *answer : answers) {
      generations.push_back(answer->generation.get());
      if (!answer->generation->done()) // it wants a token
        waiting.push_back(answer->generation.get());
    }
    if (!waiting.empty())
      scheduler.add(answers[0]->generation->prompt(), waiting);
  }

  catchInterrupts();
  ProgressLines progress("stepdown-run", arguments.has("verbose"));
  Printer printer(*lines, its, asJson, single);
  for (bool more = true; more;) {
    if (Status printed = printer.finished(); !printed)
      return printed;
    Result<bool> stepped = stepAnswers(scheduler, generations);
    if (!stepped)
      return stepped.error();
    more = *stepped;
    tell(progress, all);
  }
  if (Status printed = printer.finished(); !printed)
    return printed;
  if (!asJson && isatty(STDERR_FILENO)) {
    size_t drawn = 0;
    for (const Generation *generation : generations)
      drawn += generation->tokens().size();
    double seconds = (milliseconds() - start) / 1000;
    std::fprintf(stderr, "%zu tokens in %.2f s, %.1f tokens/s, %d threads, %s%s\n", drawn, seconds, drawn / seconds,
                 (*session)->threads(), source.model->level(), guessesOf(generations).c_str());
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
  for (const std::vector<Option> &options : {constraintOptions(), samplingOptions(Request().sampling)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  for (const Option &option : std::vector<Option>{
           {nullptr, 0, nullptr, "Execution (never changes the answer)"},
           threadsOption(),
           Option("chunk", 0, "N", "prompt tokens that one step takes at most")
               .whole(1, INT32_MAX)
               .otherwiseIt("what a step holds"),
           speculateOption(),
           kvBlockOption(),
           deviceOption(),
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
