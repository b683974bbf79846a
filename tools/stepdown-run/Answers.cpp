#include "tools/stepdown-run/Answers.h"

#include "tools/stepdown-run/Console.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace stepdown::run {
namespace {

using nlohmann::json;

/// Why a line of a file is not answered: "request ID: FILE: line 3: ...".
Error named(const RequestLine &line, const Error &refusal) {
  std::string message = refusal.message;
  if (message.compare(0, line.where.size(), line.where) != 0)
    message = line.where + ": " + message;
  return fail(refusal.code, "request %s: %s", line.request.id.substr(0, 100).c_str(), message.c_str());
}

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

} // namespace

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

Status Printer::finished() {
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

Status Printer::refused() const {
  if (problem)
    return *problem;
  if (count)
    return fail(last, "%zu of %zu requests %s refused, as told above", count, lines.size(),
                count == 1 ? "was" : "were");
  return Done{};
}

/// A line; that of a single request is on the screen but for its end, and a refused one that came to nothing has
/// none.
std::string Printer::textOf(const Generation &g) const {
  return single ? "\n" : g.problem() && g.text().empty() ? "" : g.text() + "\n";
}

void Printer::tell(const Error &refusal) {
  std::fprintf(stderr, "stepdown-run: %s\n", refusal.text().c_str());
  last = refusal.code;
  count += told != line; // once for each request, whose answers may all fail
  told = line;
}

} // namespace stepdown::run
