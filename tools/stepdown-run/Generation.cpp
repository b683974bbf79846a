#include "tools/stepdown-run/Generation.h"

#include "tools/stepdown-run/Console.h"

namespace stepdown::run {

Result<std::unique_ptr<Generation>> Generation::create(const Request &request, std::vector<int32_t> prompt,
                                                       const Tokenizer &tokenizer, int32_t vocabulary,
                                                       int32_t maxContext, uint64_t answer) {
  SamplingOptions sampling = request.sampling;
  completeSampling(sampling, tokenizer, vocabulary);
  Result<Sampler> sampler = Sampler::create(sampling, vocabulary);
  if (!sampler)
    return sampler.error();
  std::unique_ptr<Generation> generation(new Generation(request, tokenizer, std::move(*sampler)));
  for (int32_t id : prompt)
    generation->sampler.accept(id, false);
  generation->promptTokens = std::move(prompt);
  generation->vocabulary = vocabulary;
  generation->maxContext = maxContext;
  generation->answer = answer;
  generation->submittedAt = milliseconds();
  return generation;
}

int32_t Generation::draw(const float *logits) {
  if (interrupted())
    stop("interrupted");
  if (done())
    return -1;
  if (hashLogits)
    hash.add(logits, size_t(vocabulary) * sizeof(float));
  LogProbabilities row;
  Result<int32_t> id =
      sampler.draw(logits, answer, promptTokens.size() + drawn.size(), request.probabilities >= 0 ? &row : nullptr);
  if (!id) {
    failed(id.error());
    return -1;
  }
  double now = milliseconds();
  if (drawn.empty())
    firstTokenAt = now;
  drawn.push_back(*id);
  if (request.probabilities >= 0)
    probabilities.push_back(row);
  sampler.accept(*id);
  if (!request.ignoreEos && tokenizer.isEndOfGeneration(*id)) {
    stop("stop");
    return -1;
  }
  show(stream.push(*id));
  if (stream.stopped())
    stop("stop");
  else if (int64_t(drawn.size()) >= request.maxTokens || int64_t(promptTokens.size() + drawn.size()) >= maxContext)
    stop("length");
  return done() ? -1 : *id;
}

void Generation::failed(const Error &problem) {
  error = problem;
  stop("error");
}

void Generation::stop(const char *why) {
  if (done())
    return;
  reason = why;
  show(stream.finish());
  finishedAt = milliseconds();
}

void Generation::show(const std::string &text) {
  answerText += text;
  if (listener && !text.empty())
    listener(text);
}

} // namespace stepdown::run
