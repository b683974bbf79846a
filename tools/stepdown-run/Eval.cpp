#include "lib/Base/ProgressLines.h"
#include "runtime/Npy.h"
#include "runtime/Session/Session.h"
#include "tools/stepdown-run/AdapterOptions.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Comparison.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Request.h"
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace stepdown::run {
namespace {

/// The `count` highest logits, descending; ties by ascending id.
nlohmann::json topOf(const float *row, size_t vocabulary, size_t count) {
  std::vector<int32_t> ids(vocabulary);
  std::iota(ids.begin(), ids.end(), 0);
  count = std::min(count, vocabulary);
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(),
                    [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
  nlohmann::json top = nlohmann::json::array();
  for (size_t i = 0; i < count; ++i)
    top.push_back({ids[i], row[ids[i]]});
  return top;
}

/// Runs `tokens` in windows, each from an empty sequence, and calls `row(position, logits, the reference's)` for every
/// token; `reference`, which has no adapter, may be null.
template <typename Row>
Status runWindows(Session &session, int32_t adapter, Session *reference, const std::vector<int32_t> &tokens,
                  size_t window, size_t chunk, Row row) {
  std::vector<Session::Token> batch;
  auto step = [&](Session &one, int32_t sequence) {
    for (Session::Token &token : batch)
      token.sequence = sequence;
    Status ok = one.submit(batch.data(), batch.size());
    return ok ? one.step() : ok;
  };
  for (size_t start = 0; start < tokens.size(); start += window) {
    Result<int32_t> sequence = session.createSequence(adapter);
    Result<int32_t> other = reference ? reference->createSequence(0) : Result<int32_t>(-1);
    if (!sequence || !other)
      return sequence ? other.error() : sequence.error();
    size_t end = std::min(tokens.size(), start + window);
    for (size_t at = start; at < end; at += batch.size()) {
      batch.clear();
      for (size_t t = at; t < end && batch.size() < chunk; ++t)
        batch.push_back({*sequence, tokens[t], true});
      Status ok = step(session, *sequence);
      if (ok && reference)
        ok = step(*reference, *other);
      for (size_t i = 0; ok && i < batch.size(); ++i)
        ok = row(at + i, session.logits(i), reference ? reference->logits(i) : nullptr);
      if (!ok)
        return ok;
      if (interrupted())
        return fail(ErrorCode::Interrupted, "eval: interrupted after %zu of %zu tokens", at + batch.size(),
                    tokens.size());
    }
    session.freeSequence(*sequence);
    if (reference)
      reference->freeSequence(*other);
  }
  return Done{};
}

/// The model of --against, which has the tokens of `source`; null where there is none.
Result<std::unique_ptr<TextModel>> openReference(const Arguments &arguments, const TextModel &source, size_t window) {
  const auto path = arguments.text("against");
  if (!path)
    return std::unique_ptr<TextModel>();
  auto opened = TextModel::open(arguments, *path);
  if (!opened)
    return opened;
  const stepdown_program &ours = source.model->head(), &theirs = (*opened)->model->head();
  if (ours.vocabulary != theirs.vocabulary)
    return fail(ErrorCode::Usage, "eval: expects --against a model of %u tokens, but %s has %u", ours.vocabulary,
                path->c_str(), theirs.vocabulary);
  for (int32_t id = 0; id < int32_t(ours.vocabulary); ++id)
    if (source.tokenizer.piece(id) != (*opened)->tokenizer.piece(id))
      return fail(ErrorCode::Usage, "eval: expects --against a model of the same tokens, but token %d is another in %s",
                  id, path->c_str());
  if (window > theirs.max_context)
    return fail(ErrorCode::ContextFull,
                "eval: expects at most %u tokens of %s, but got %zu; --context N evaluates "
                "windows of N",
                theirs.max_context, path->c_str(), window);
  return opened;
}

Result<std::vector<int32_t>> tokensOf(const Arguments &arguments, const Tokenizer &tokenizer) {
  Request request;
  if (Status ok = readPrompt(arguments, request); !ok)
    return ok.error();
  auto tokens = promptOf(request, tokenizer);
  if (tokens && tokens->empty())
    return fail(ErrorCode::Usage, "eval: expects at least one token, but the text has none");
  return tokens;
}

Status runEval(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  if (arguments.has("tokens") + arguments.has("prompt") + arguments.has("file") != 1)
    return fail(ErrorCode::Usage, "eval: expects one of -p TEXT, -f FILE and --tokens; see stepdown-run eval --help");
  const int64_t context = arguments.integer("context");
  const auto adapters = adaptersOf(arguments);
  if (!adapters)
    return adapters.error();
  auto opened = TextModel::open(arguments);
  if (!opened)
    return opened.error();
  const TextModel &source = **opened;
  auto tokens = tokensOf(arguments, source.tokenizer);
  if (!tokens)
    return tokens.error();
  const stepdown_program &head = source.model->head();
  size_t window = context ? size_t(context) : tokens->size();
  if (std::min(window, tokens->size()) > head.max_context)
    return fail(ErrorCode::ContextFull,
                "eval: expects at most %u tokens, but got %zu; --context N evaluates windows of N", head.max_context,
                std::min(window, tokens->size()));

  const auto reference = openReference(arguments, source, std::min(window, tokens->size()));
  if (!reference)
    return reference.error();
  Session::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  options.kvBlock = static_cast<int32_t>(arguments.integer("kv-block"));
  options.kvPositions = static_cast<int64_t>(std::min(window, tokens->size()));
  options.maxSequences = 1;
  auto session = Session::create(source.model, options);
  if (!session)
    return session.error();
  std::unique_ptr<Session> other;
  if (*reference) {
    auto made = Session::create((*reference)->model, options);
    if (!made)
      return made.error();
    other = std::move(*made);
  }
  if (Status loaded = loadAdapters(**session, *adapters); !loaded)
    return loaded;
  const Result<int32_t> adapter = (*session)->adapterNamed(usualAdapter(arguments, *adapters));
  if (!adapter)
    return adapter.error();
  std::optional<NpyWriter> file;
  if (auto path = arguments.text("logits")) {
    auto writer = NpyWriter::create(*path, "<f4", {tokens->size(), head.vocabulary}, inputsOf(arguments));
    if (!writer)
      return writer.error();
    file.emplace(std::move(*writer));
  }

  catchInterrupts();
  double sum = 0;
  size_t predicted = 0;
  nlohmann::json top;
  // Every token wants its row: 64 MiB of them at a time are enough for speed, and spare a large vocabulary gigabytes.
  size_t rowsInReach = std::max<size_t>(16, (size_t(64) << 20) / (head.vocabulary * sizeof(float)));
  size_t step = std::min<size_t>(
      {size_t(arguments.integer("chunk", INT32_MAX)), head.max_step_tokens, head.max_step_rows, rowsInReach});
  if (other)
    step = std::min<size_t>(
        {step, (*reference)->model->head().max_step_tokens, (*reference)->model->head().max_step_rows});
  Comparison comparison(head.vocabulary);
  ProgressLines lines("stepdown-run", arguments.has("verbose"));
  const std::string work = "evaluating " + std::to_string(tokens->size()) + " tokens";
  auto take = [&](size_t at, const float *row, const float *theirs) -> Status {
    const bool last = at + 1 == tokens->size() || at % window == window - 1; // of a window
    if (!last) {
      sum += surprise(row, head.vocabulary, (*tokens)[at + 1]);
      ++predicted;
    }
    if (theirs)
      comparison.add(row, theirs, last ? -1 : (*tokens)[at + 1]);
    lines.report(work, at + 1, tokens->size());
    if (at + 1 == tokens->size())
      top = topOf(row, head.vocabulary, 20);
    return file ? file->write(row, head.vocabulary * sizeof(float)) : Status(Done{});
  };
  if (Status ran = runWindows(**session, *adapter, other.get(), *tokens, window, step, take); !ran)
    return ran;
  if (file)
    if (Status ok = file->finish(); !ok)
      return ok;
  nlohmann::json result;
  result["tokens"] = tokens->size();
  result["mean_nll"] = result["perplexity"] = nullptr;
  result["top"] = top;
  if (predicted) {
    result["mean_nll"] = sum / double(predicted);
    result["perplexity"] = std::exp(sum / double(predicted));
  }
  if (other)
    result["against"] = comparison.json();
  if (arguments.has("json"))
    return print(result.dump() + "\n");
  std::string text = std::to_string(tokens->size()) + " tokens";
  char line[96];
  if (predicted) {
    std::snprintf(line, sizeof line, ", mean negative log-likelihood %.6f, perplexity %.4f", sum / double(predicted),
                  std::exp(sum / double(predicted)));
    text += line;
  }
  text += "\n" + (other ? comparison.text() : std::string()) + "likeliest next tokens:\n";
  for (size_t i = 0; i < std::min<size_t>(top.size(), 5); ++i) {
    int32_t id = top[i][0].get<int32_t>();
    std::snprintf(line, sizeof line, "  %7d  %9.4f  ", id, top[i][1].get<double>());
    text += line +
            nlohmann::json(source.tokenizer.piece(id)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
            "\n";
  }
  return print(text);
}

} // namespace

Command evalCommand() {
  return {"eval",
          "MODEL",
          "Measures how well the model predicts a text: mean negative log-likelihood, perplexity, the top 20 after it.",
          {{"prompt", 'p', "TEXT", "the text"},
           Option("file", 'f', "FILE", "the text from a file; - for stdin").file(),
           tokensOption("token ids in place of a text"),
           Option("context", 0, "N", "evaluate windows of N tokens, each from an empty context")
               .whole(1, INT32_MAX)
               .otherwiseIt("one window"),
           Option("against", 0, "MODEL",
                  "tell how far the model's distributions are from those of this one, which has the same tokens: "
                  "Kullback-Leibler divergence, and how often both hold the same token likeliest")
               .file(),
           Option("logits", 0, "FILE.npy", "write all rows of logits: float32 [tokens, vocabulary]").file(),
           adapterOption(),
           withAdapterOption(),
           exactOption(),
           threadsOption(),
           Option("chunk", 0, "N", "tokens that one step takes at most")
               .whole(1, INT32_MAX)
               .otherwiseIt("what a step holds"),
           kvBlockOption(),
           deviceOption(),
           isaOption(),
           verboseOption(),
           {"json", 0, nullptr,
            "{\"tokens\", \"mean_nll\", \"perplexity\", \"top\": [[id, logit] x 20], \"against\": {...}}"}},
          "stepdown-run eval smollm2.gguf -f text.txt --json",
          runEval};
}

} // namespace stepdown::run
