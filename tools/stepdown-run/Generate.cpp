#include "runtime/Generate/Generate.h"
#include "lib/Base/ProgressLines.h"
#include "tools/stepdown-run/AdapterOptions.h"
#include "tools/stepdown-run/Answers.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/KeptSession.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Request.h"
#include "tools/stepdown-run/SpeculateOption.h"
#include <algorithm>
#include <unistd.h>

namespace stepdown::run {
namespace {

Result<std::vector<RequestLine>> requestsOf(const Arguments &arguments, const std::vector<NamedAdapter> &adapters) {
  Request request;
  request.id = "0";
  request.adapter = usualAdapter(arguments, adapters);
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
  const bool prompted = arguments.has("prompt") || arguments.has("file") || arguments.has("tokens");
  if (Status ok = readPrompt(arguments, request); !ok && (prompted || !arguments.has("load-session")))
    return ok.error();
  return std::vector{RequestLine{request, "", std::nullopt}};
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

/// The sessions' size: every request at its full length at once, behind `held` positions, as far as sequences go.
Session::Options sessionFor(const std::vector<std::unique_ptr<Answer>> &answers, const std::vector<RequestLine> &lines,
                            int64_t held, const stepdown_program &head, int32_t block) {
  Session::Options options;
  options.kvBlock = block;
  options.maxSequences = sequencesFor(lines, head);
  std::vector<int64_t> lengths;
  for (const std::unique_ptr<Answer> &answer : answers) {
    int64_t positions =
        std::min<int64_t>(held + answer->generation->prompt().size() + answer->request->maxTokens, head.max_context);
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

/// Where answers are drawn, and with what.
struct Source {
  const TextModel &text;
  const KeptSession &kept;
  const std::shared_ptr<const Speculator> speculator;
  Constraints constraints;
};

/// The ids of the prompt, behind what was loaded; E03xx, E0611.
Result<std::vector<int32_t>> promptFor(const Request &request, const Source &source, Generation::Place &place) {
  const bool behind = !source.kept.before().tokens.empty();
  std::optional<std::vector<int32_t>> given;
  if (request.prompt || request.tokens) {
    auto ids = promptOf(request, source.text.tokenizer, !behind);
    if (!ids || !behind)
      return ids;
    given = std::move(*ids);
  }
  return source.kept.prompt(given, place);
}

/// Adds the answers to one request, to all and to `its`; E03xx, E0611, E07xx.
Status begin(const Request &request, Source &source, bool hashLogits, std::vector<std::unique_ptr<Answer>> &all,
             std::vector<Answer *> &its) {
  const stepdown_program &head = source.text.model->head();
  Generation::Place place = {static_cast<int32_t>(head.vocabulary), head.max_context};
  auto prompt = promptFor(request, source, place);
  if (!prompt)
    return prompt.error();
  GenerationOptions options = request;
  options.logProbabilities = request.probabilities >= 0;
  options.constraint = source.constraints.of(request.grammar);
  options.speculator = source.speculator;
  for (; options.answer < static_cast<uint64_t>(request.answers); ++options.answer) {
    auto generation = Generation::create(options, *prompt, source.text.tokenizer, place);
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

Status runGenerate(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  const auto adapters = adaptersOf(arguments);
  if (!adapters)
    return adapters.error();
  auto lines = requestsOf(arguments, *adapters);
  if (!lines)
    return lines.error();
  Guesses guesses;                                       // which the answers use to their end
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
  const bool fromFile = arguments.has("requests");
  auto kept = KeptSession::of(arguments, speculate->file, !fromFile && (*lines)[0].request.answers == 1);
  if (!kept)
    return kept.error();
  auto opened = TextModel::open(arguments);
  if (!opened)
    return opened.error();
  const TextModel &source = **opened;
  if (Status known = kept->open(*source.model); !known)
    return known;
  auto guessing = guessesFor(*speculate, arguments, source, sequencesFor(*lines, source.model->head()));
  if (!guessing)
    return guessing.error();
  guesses = std::move(*guessing);

  Source from = {
      source, *kept, guesses.speculator, {source.tokenizer, static_cast<int32_t>(source.model->head().vocabulary)}};
  for (size_t i = 0; i < lines->size(); ++i) {
    RequestLine &line = (*lines)[i];
    if (line.refusal)
      continue;
    Status begun = begin(line.request, from, arguments.has("hash-logits"), all, its[i]);
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

  Session::Options options = sessionFor(all, *lines, kept->before().held, source.model->head(),
                                        static_cast<int32_t>(arguments.integer("kv-block")));
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  auto session = Session::create(source.model, options);
  if (!session)
    return session.error();
  if (Status loaded = loadAdapters(**session, *adapters); !loaded)
    return loaded;
  options.prefixBlocks = UINT32_MAX; // of a draft model, which so reads no prompt twice
  if (Status opened = guesses.open(options); !opened)
    return opened;
  int32_t sequence = -1;
  if (kept->wanted()) {
    auto restored = kept->sequence(**session, (*lines)[0].request.adapter);
    if (!restored)
      return restored.error();
    sequence = *restored;
  }
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
    if (waiting.empty())
      continue;
    if (kept->wanted())
      scheduler.resume(sequence, answers[0]->generation->prompt(), *waiting[0]);
    else
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
  for (const Generation *generation : generations)
    if (generation->speculation() && generation->speculation()->problem()) {
      std::fprintf(stderr, "stepdown-run: warning: guesses ended: %s\n",
                   generation->speculation()->problem()->text().c_str());
      break; // once for all
    }
  if (Status saved = kept->save(**session, *generations[0]); !saved)
    return saved;
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
       limited({"answers", 0, "N", "answers to each prompt, which is computed once"}).by("1"),
       adapterOption(),
       withAdapterOption()},
      "stepdown-run generate smollm2.gguf -p \"The capital of France is\" -n 32",
      runGenerate};
  for (const std::vector<Option> &options :
       {keptSessionOptions(), constraintOptions(), samplingOptions(Request().sampling)})
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
