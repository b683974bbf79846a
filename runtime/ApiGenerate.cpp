// The part of include/stepdown/Runtime.h that draws tokens: samplers, and whole answers.
#include "lib/Base/SizedOptions.h"
#include "runtime/ApiHandles.h"
#include "runtime/CompleteSampling.h"
#include "runtime/TextStream.h"
#include <algorithm>
#include <chrono>
#include <cstring>

using namespace stepdown;
using namespace stepdown::api;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The options of the C API as the sampler takes them. Zero is what has no effect, whatever value that is, or what
/// stands where nobody says anything; but the temperature's zero is one, and -1 gives the zero of two that have one.
Result<SamplingOptions> optionsOf(const stepdown_sampling *wanted) {
  auto given = takeOptions(wanted, "stepdown_sampling");
  if (!given)
    return given.error();
  SamplingOptions options;
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                     \
  if (given->NAME != 0)                                                                                                \
    options.FIELD = given->NAME;
#define STEPDOWN_SAMPLING_WHOLE STEPDOWN_SAMPLING_REAL
#include "runtime/Sampler/SamplingOptions.def"
  options.temperature = given->temperature;
  if (options.mirostatEta == -1)
    options.mirostatEta = 0;
  if (options.dryAllowedLength == -1)
    options.dryAllowedLength = 0;
  if (given->sampling_order) {
    auto order = samplingOrder(given->sampling_order);
    if (!order)
      return order.error();
    options.order = std::move(*order);
  }
  options.seed = given->seed;
  for (size_t i = 0; i < given->bias_count; ++i)
    options.logitBias.emplace_back(given->bias_ids[i], given->bias[i]);
  return options;
}

Result<Sampler> makeSampler(const SharedModel &shared, const stepdown_sampling *given) {
  auto tokenizer = tokenizerOf(shared);
  if (!tokenizer)
    return tokenizer.error();
  auto options = optionsOf(given);
  if (!options)
    return options.error();
  const int32_t vocabulary = static_cast<int32_t>(shared.model->head().vocabulary);
  completeSampling(*options, **tokenizer, vocabulary);
  return Sampler::create(*options, vocabulary);
}

Status expectKnown(int32_t id, int32_t vocabulary) {
  if (id < 0 || id >= vocabulary)
    return fail(ErrorCode::StepTokenRange, "id: expects one of 0 to %d, but got %d", vocabulary - 1, id);
  return Done{};
}

/// One answer: tokens of one sequence, drawn until something ends it.
class Answer {
public:
  Answer(Session &session, const Tokenizer &tokenizer, Sampler sampler, const stepdown_generate_options &options,
         stepdown_generation &result)
      : session(session), tokenizer(tokenizer), sampler(std::move(sampler)), options(options), result(result),
        stream(tokenizer, {options.stops, options.stops + options.stop_count}) {}

  Status run(int32_t sequence, const int32_t *ids, size_t count) {
    const stepdown_program &head = session.of().head();
    if (session.roomForTokens() != head.max_step_tokens)
      return fail(ErrorCode::TokensQueued, "session: expects no queued tokens, but %u wait for a step",
                  head.max_step_tokens - session.roomForTokens());
    if (count == 0)
      return fail(ErrorCode::RequestField, "prompt: expects at least one token, but it is empty");
    const double begin = seconds();
    for (size_t done = 0; done < count;) {
      const size_t piece = std::min<size_t>(count - done, head.max_step_tokens);
      std::vector<Session::Token> batch;
      for (size_t i = done; i < done + piece; ++i)
        batch.push_back({sequence, ids[i], i + 1 == count});
      if (Status computed = step(batch.data(), piece); !computed)
        return computed;
      done += piece;
    }
    for (size_t i = 0; i < count; ++i)
      sampler.accept(ids[i], false);
    result.prompt_tokens = static_cast<int32_t>(count);
    const double prompted = seconds();
    result.prompt_seconds = prompted - begin;
    Status drawn = draw(sequence);
    result.decode_seconds = seconds() - prompted;
    return drawn;
  }

private:
  Status step(const Session::Token *tokens, size_t count) {
    if (Status queued = session.submit(tokens, count); !queued)
      return queued;
    return session.step();
  }

  Status draw(int32_t sequence) {
    const int64_t context = session.of().head().max_context;
    const int64_t limit = options.max_tokens == 0 ? 256 : options.max_tokens < 0 ? context : options.max_tokens;
    while (true) {
      const int64_t position = session.length(sequence);
      Result<int32_t> id = sampler.draw(session.logits(0), 0, static_cast<uint64_t>(position));
      if (!id)
        return id.error();
      sampler.accept(*id);
      ++result.tokens;
      if (!options.ignore_end && tokenizer.isEndOfGeneration(*id))
        return finish(STEPDOWN_FINISH_END);
      if (!tell(*id, stream.push(*id)))
        return finish(STEPDOWN_FINISH_CALLBACK);
      if (stream.stopped())
        return finish(STEPDOWN_FINISH_STOP);
      if (result.tokens >= limit || position + 1 >= context)
        return finish(STEPDOWN_FINISH_LENGTH);
      const Session::Token next = {sequence, *id, true};
      if (Status computed = step(&next, 1); !computed)
        return computed;
    }
  }

  bool tell(int32_t id, const std::string &text) {
    return !options.on_text || options.on_text(options.context, id, text.c_str(), text.size()) == 0;
  }

  Status finish(int32_t why) {
    result.finish = why;
    std::string rest = stream.finish();
    if (!rest.empty() && why != STEPDOWN_FINISH_CALLBACK)
      tell(-1, rest);
    return Done{};
  }

  Session &session;
  const Tokenizer &tokenizer;
  Sampler sampler;
  const stepdown_generate_options &options;
  stepdown_generation &result;
  TextStream stream;
};

Status generate(stepdown_session &session, int32_t sequence, const int32_t *ids, size_t count,
                const stepdown_generate_options *given, stepdown_generation *wanted) {
  auto options = takeOptions(given, "stepdown_generate_options");
  if (!options)
    return options.error();
  stepdown_generation result = {};
  if (wanted) // refused now rather than after all the work; zero where nothing comes of it
    if (Status ok = giveResult(wanted, result, "stepdown_generation"); !ok)
      return ok;
  if (options->max_tokens < -1)
    return fail(ErrorCode::RequestField, "max_tokens: expects -1 or more, but got %d", options->max_tokens);
  auto tokenizer = tokenizerOf(*session.shared);
  if (!tokenizer)
    return tokenizer.error();
  Result<Sampler> sampler = makeSampler(*session.shared, options->sampling);
  if (!sampler)
    return sampler.error();
  Status done = Answer(*session.session, **tokenizer, std::move(*sampler), *options, result).run(sequence, ids, count);
  if (wanted)
    (void)static_cast<bool>(giveResult(wanted, result, "stepdown_generation"));
  return done;
}

} // namespace

stepdown_status stepdown_sampler_create(const stepdown_model *model, const stepdown_sampling *sampling,
                                        stepdown_sampler **sampler) {
  *sampler = nullptr;
  return guarded([&]() -> Status {
    Result<Sampler> made = makeSampler(*model->shared, sampling);
    if (!made)
      return made.error();
    *sampler = new stepdown_sampler{std::move(*made), static_cast<int32_t>(model->shared->model->head().vocabulary)};
    return Done{};
  });
}

void stepdown_sampler_free(stepdown_sampler *sampler) { delete sampler; }

stepdown_status stepdown_sampler_draw(stepdown_sampler *sampler, const float *logits, uint64_t position, int32_t *id) {
  *id = -1;
  return guarded([&]() -> Status {
    Result<int32_t> drawn = sampler->sampler.draw(logits, 0, position);
    if (!drawn)
      return drawn.error();
    *id = *drawn;
    return Done{};
  });
}

stepdown_status stepdown_sampler_accept(stepdown_sampler *sampler, int32_t id, int32_t generated) {
  return guarded([&]() -> Status {
    if (Status known = expectKnown(id, sampler->vocabulary); !known)
      return known;
    sampler->sampler.accept(id, generated != 0);
    return Done{};
  });
}

stepdown_status stepdown_sequence_generate(stepdown_session *session, stepdown_sequence sequence, const int32_t *ids,
                                           size_t count, const stepdown_generate_options *options,
                                           stepdown_generation *result) {
  return guarded([&] { return generate(*session, sequence, ids, count, options, result); });
}

stepdown_status stepdown_generate(stepdown_session *session, const char *prompt,
                                  const stepdown_generate_options *options, stepdown_generation *result) {
  return guarded([&]() -> Status {
    auto tokenizer = tokenizerOf(*session->shared);
    if (!tokenizer)
      return tokenizer.error();
    auto ids = (*tokenizer)->encode(prompt);
    if (!ids)
      return ids.error();
    Result<int32_t> sequence = session->session->createSequence();
    if (!sequence)
      return sequence.error();
    // Freed on every way out, also by an exception.
    struct Freed {
      Session &session;
      int32_t sequence;
      ~Freed() { session.freeSequence(sequence); }
    } freed{*session->session, *sequence};
    return generate(*session, *sequence, ids->data(), ids->size(), options, result);
  });
}
