#include "runtime/Server/StepTrace.h"

#include <algorithm>

namespace stepdown {

void StepTrace::begin(const RequestClient &client, uint64_t number, size_t answer, Trace::Time ordered) {
  const auto track = static_cast<uint32_t>(answer + 1);
  answers[&client] = {number, track, ordered};
  trace.nameTrack(number, track, "answer " + std::to_string(answer));
  trace.begin(number, track, "answer", ordered);
}

void StepTrace::end(const RequestClient &client, size_t tokens, const char *finish) {
  const auto found = answers.find(&client);
  if (found == answers.end())
    return;
  const Answer &answer = found->second;
  const Trace::Time now = Trace::Clock::now();
  if (!answer.step)
    trace.span(answer.number, answer.track, "queue", answer.since, now);
  trace.end(answer.number, answer.track, now,
            "\"tokens\": " + std::to_string(tokens) + ", \"finish\": \"" + finish + "\"");
  answers.erase(found);
  taken.erase(std::remove_if(taken.begin(), taken.end(), [&](const Taken &each) { return each.client == &client; }),
              taken.end());
}

void StepTrace::takes(const RequestClient &client, size_t tokens, bool ofPrompt) {
  taken.push_back({&client, tokens, ofPrompt});
}

void StepTrace::stepping() {
  ++steps;
  begun = Trace::Clock::now();
}

void StepTrace::stepped() {
  last = Trace::Clock::now();
  for (const Taken &each : taken) {
    const auto found = answers.find(each.client);
    if (found == answers.end())
      continue;
    Answer &answer = found->second;
    if (answer.step + 1 != steps || !answer.step)
      trace.span(answer.number, answer.track, answer.step ? "waiting" : "queue", answer.since, begun);
    const size_t guesses = each.ofPrompt ? 0 : each.tokens - 1;
    trace.span(answer.number, answer.track, each.ofPrompt ? "prefill" : "decode", begun, last,
               "\"step\": " + std::to_string(steps) + ", \"tokens\": " + std::to_string(each.tokens) +
                   (guesses ? ", \"guesses\": " + std::to_string(guesses) : ""));
    answer.step = steps;
    answer.since = last;
  }
  taken.clear();
}

void StepTrace::drew(const RequestClient &client) {
  const Trace::Time now = Trace::Clock::now();
  const auto found = answers.find(&client);
  if (found != answers.end()) {
    trace.span(found->second.number, found->second.track, "sampling", last, now);
    found->second.since = now;
  }
  last = now;
}

} // namespace stepdown
