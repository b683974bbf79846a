#include "lib/Base/ProgressLines.h"
#include "runtime/Npy.h"
#include "runtime/Session/Session.h"
#include "tools/stepdown-run/AdapterOptions.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Request.h"
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace stepdown::run {
namespace {

/// -log softmax(row)[id], summed in double in the order of the vocabulary.
double surprise(const float *row, size_t vocabulary, int32_t id) {
  double highest = *std::max_element(row, row + vocabulary), sum = 0;
  for (size_t i = 0; i < vocabulary; ++i)
    sum += std::exp(row[i] - highest);
  return std::log(sum) + highest - row[id];
}

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

/// Runs `tokens` in windows, each from an empty sequence, and calls `row(position, logits)` for every token.
template <typename Row>
Status runWindows(Session &session, int32_t adapter, const std::vector<int32_t> &tokens, size_t window, size_t chunk,
                  Row row) {
  std::vector<Session::Token> batch;
  for (size_t start = 0; start < tokens.size(); start += window) {
    Result<int32_t> sequence = session.createSequence(adapter);
    if (!sequence)
      return sequence.error();
    size_t end = std::min(tokens.size(), start + window);
    for (size_t at = start; at < end; at += batch.size()) {
      batch.clear();
      for (size_t t = at; t < end && batch.size() < chunk; ++t)
        batch.push_back({*sequence, tokens[t], true});
      if (Status ok = session.submit(batch.data(), batch.size()); !ok)
        return ok;
      if (Status ok = session.step(); !ok)
        return ok;
      for (size_t i = 0; i < batch.size(); ++i)
        if (Status ok = row(at + i, session.logits(i)); !ok)
          return ok;
      if (interrupted())
        return fail(ErrorCode::Interrupted, "eval: interrupted after %zu of %zu tokens", at + batch.size(),
                    tokens.size());
    }
    session.freeSequence(*sequence);
  }
  return Done{};
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

  Session::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  options.kvBlock = static_cast<int32_t>(arguments.integer("kv-block"));
  options.kvPositions = static_cast<int64_t>(std::min(window, tokens->size()));
  options.maxSequences = 1;
  auto session = Session::create(source.model, options);
  if (!session)
    return session.error();
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
  ProgressLines lines("stepdown-run", arguments.has("verbose"));
  const std::string work = "evaluating " + std::to_string(tokens->size()) + " tokens";
  Status ran = runWindows(**session, *adapter, *tokens, window, step, [&](size_t at, const float *row) -> Status {
    bool lastOfWindow = at % window == window - 1;
    if (at + 1 < tokens->size() && !lastOfWindow) {
      sum += surprise(row, head.vocabulary, (*tokens)[at + 1]);
      ++predicted;
    }
    lines.report(work, at + 1, tokens->size());
    if (at + 1 == tokens->size())
      top = topOf(row, head.vocabulary, 20);
    return file ? file->write(row, head.vocabulary * sizeof(float)) : Status(Done{});
  });
  if (!ran)
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
  if (arguments.has("json"))
    return print(result.dump() + "\n");
  std::string text = std::to_string(tokens->size()) + " tokens";
  char line[96];
  if (predicted) {
    std::snprintf(line, sizeof line, ", mean negative log-likelihood %.6f, perplexity %.4f", sum / double(predicted),
                  std::exp(sum / double(predicted)));
    text += line;
  }
  text += "\nlikeliest next tokens:\n";
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
           {"json", 0, nullptr, "{\"tokens\", \"mean_nll\", \"perplexity\", \"top\": [[id, logit] x 20]}"}},
          "stepdown-run eval smollm2.gguf -f text.txt --json",
          runEval};
}

} // namespace stepdown::run
