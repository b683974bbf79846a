#include "runtime/Generate/Generation.h"

#include "runtime/CompleteSampling.h"
#include <chrono>

namespace stepdown {
namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

} // namespace

Result<std::unique_ptr<Generation>> Generation::create(const GenerationOptions &options, std::vector<int32_t> prompt,
                                                       const Tokenizer &tokenizer, const Place &place) {
  SamplingOptions sampling = options.sampling;
  completeSampling(sampling, tokenizer, place.vocabulary);
  Result<Sampler> sampler = Sampler::create(sampling, place.vocabulary);
  if (!sampler)
    return sampler.error();
  std::unique_ptr<Generation> generation(new Generation(options, tokenizer, std::move(*sampler)));
  for (int64_t i = 0; i < place.first; ++i)
    generation->sampler.accept(place.before[i], false);
  for (int32_t id : prompt)
    generation->sampler.accept(id, false);
  generation->promptTokens = std::move(prompt);
  generation->place = place;
  generation->createdAt = seconds();
  if (options.maxTokens <= 0)
    generation->stop(Finish::Length);
  return generation;
}

// One token is given at a time, so that one row comes back, and its token stays.
size_t Generation::draw(const LogitRows &rows, std::vector<int32_t> &next) {
  if (!prompted())
    promptedAt = seconds();
  heedInterrupt();
  if (done())
    return rows.count;
  const uint64_t *allowed = nullptr;
  if (constrained) {
    Result<const uint64_t *> mask = constrained->allowed();
    if (!mask)
      failed(mask.error());
    else if (!*mask)
      stop(Finish::End); // nothing may follow, and no token says so
    if (done())
      return rows.count;
    allowed = *mask;
  }
  const float *logits = rows[rows.count - 1];
  if (onRow)
    onRow(logits);
  const int64_t before = place.first + static_cast<int64_t>(promptTokens.size() + drawn.size());
  LogProbabilities row;
  Result<int32_t> id = sampler.draw(logits, options.answer, static_cast<uint64_t>(before),
                                    options.logProbabilities ? &row : nullptr, allowed);
  if (!id) {
    failed(id.error());
    return rows.count;
  }
  drawn.push_back(*id);
  if (options.logProbabilities)
    probabilities.push_back(row);
  sampler.accept(*id);
  if (constrained)
    if (Status ok = constrained->accept(*id); !ok) {
      failed(ok.error());
      return rows.count;
    }
  if (!options.ignoreEnd && tokenizer.isEndOfGeneration(*id))
    stop(Finish::End);
  else if (!tell(*id, stream.push(*id)))
    stop(Finish::Listener);
  else if (stream.stopped())
    stop(Finish::Stop);
  else if (static_cast<int64_t>(drawn.size()) >= options.maxTokens || before + 1 >= place.context)
    stop(Finish::Length);
  else
    next.push_back(*id);
  return rows.count;
}

void Generation::failed(const Error &problem) {
  error = problem;
  stop(Finish::Error);
}

void Generation::stop(Finish reason) {
  if (done())
    return;
  why = reason;
  // Text that waited is part of the answer, whatever ended it; one who asked for the end hears no more.
  const std::string rest = stream.finish();
  if (why == Finish::Listener)
    answerText += rest;
  else if (!rest.empty())
    (void)tell(-1, rest);
  finishedAt = seconds();
}

void Generation::heedInterrupt() {
  if (!done() && interrupted && interrupted())
    stop(Finish::Interrupted);
}

double Generation::tokensPerSecond() const {
  const double taken = decodeSeconds();
  return taken > 0 && drawn.size() > 1 ? static_cast<double>(drawn.size() - 1) / taken : 0;
}

bool Generation::tell(int32_t id, const std::string &text) {
  answerText += text;
  return !listener || listener(id, text);
}

} // namespace stepdown
