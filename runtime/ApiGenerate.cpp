// The part of include/stepdown/Runtime.h that draws tokens: samplers, and whole answers.
#include "lib/Base/SizedOptions.h"
#include "runtime/ApiHandles.h"
#include "runtime/CompleteSampling.h"
#include "runtime/Generate/Generate.h"
#include "runtime/Speculation/DraftModel.h"
#include "runtime/Speculation/EditDrafter.h"
#include "runtime/Speculation/NgramDrafter.h"
#include <algorithm>

using namespace stepdown;
using namespace stepdown::api;

namespace {

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

/// What guesses an answer that is drawn in `handle`, or null. E03xx, E0611, E1501.
Result<std::shared_ptr<const Speculator>> speculatorOf(const stepdown_session &handle, const Tokenizer &tokenizer,
                                                       const stepdown_speculation *wanted) {
  auto given = takeOptions(wanted, "stepdown_speculation");
  if (!given)
    return given.error();
  if (!wanted)
    return std::shared_ptr<const Speculator>();
  const int ways = (given->edited != nullptr) + (given->draft != nullptr) + (given->ngram != 0);
  if (ways != 1)
    return fail(ErrorCode::RequestField, "speculation: expects one of edited, draft and ngram, but got %d", ways);
  if (given->ngram < 0 || given->ngram > int32_t(NgramDrafter::limit))
    return fail(ErrorCode::RequestField, "speculation: ngram: expects 1 to %zu, but got %d", NgramDrafter::limit,
                given->ngram);
  if (given->most < 0)
    return fail(ErrorCode::RequestField, "speculation: most: expects 0 or more, but got %d", given->most);
  std::shared_ptr<Speculator> made;
  if (given->ngram) {
    made = std::make_shared<NgramSpeculator>(static_cast<size_t>(given->ngram));
  } else if (given->edited) {
    EncodeOptions plain;
    plain.addSpecial = false;
    auto tokens = tokenizer.encode(given->edited, plain);
    if (!tokens)
      return tokens.error();
    made = std::make_shared<EditSpeculator>(std::move(*tokens));
  } else {
    if (given->draft == &handle)
      return fail(ErrorCode::RequestField, "speculation: draft: expects another session than the answer's");
    auto theirs = tokenizerOf(*given->draft->shared);
    if (!theirs)
      return theirs.error();
    if (*theirs != &tokenizer)
      if (Status same = expectSameTokens(tokenizer, **theirs); !same)
        return same.error();
    made = std::make_shared<DraftModel>(given->draft->session.get(), **theirs);
  }
  const size_t rows = handle.session->of().head().max_step_rows;
  made->most = std::min(given->most ? static_cast<size_t>(given->most) : SIZE_MAX, std::max<size_t>(rows, 1) - 1);
  return std::shared_ptr<const Speculator>(std::move(made));
}

/// What drawing an answer came to, so far as it went.
stepdown_generation resultOf(const Generation &answer) {
  stepdown_generation result = {};
  if (answer.prompted())
    result.prompt_tokens = static_cast<int32_t>(answer.prompt().size());
  result.tokens = static_cast<int32_t>(answer.tokens().size());
  switch (answer.finish()) {
  case Finish::End:
    result.finish = STEPDOWN_FINISH_END;
    break;
  case Finish::Stop:
    result.finish = STEPDOWN_FINISH_STOP;
    break;
  case Finish::Length:
    result.finish = STEPDOWN_FINISH_LENGTH;
    break;
  case Finish::Listener:
    result.finish = STEPDOWN_FINISH_CALLBACK;
    break;
  case Finish::None:
  case Finish::Interrupted:
  case Finish::Error:
    break;
  }
  result.prompt_seconds = answer.promptSeconds();
  result.decode_seconds = answer.decodeSeconds();
  if (const Speculation *guesses = answer.speculation()) {
    result.guessed = static_cast<int32_t>(guesses->figures().guessed);
    result.accepted = static_cast<int32_t>(guesses->figures().accepted);
  }
  return result;
}

Status generate(stepdown_session &handle, int32_t sequence, const int32_t *ids, size_t count,
                const stepdown_generate_options *given, stepdown_generation *wanted) {
  auto options = takeOptions(given, "stepdown_generate_options");
  if (!options)
    return options.error();
  if (wanted) // refused now rather than after all the work; zero where nothing comes of it
    if (Status ok = giveResult(wanted, stepdown_generation(), "stepdown_generation"); !ok)
      return ok;
  if (options->max_tokens < -1)
    return fail(ErrorCode::RequestField, "max_tokens: expects -1 or more, but got %d", options->max_tokens);
  auto tokenizer = tokenizerOf(*handle.shared);
  if (!tokenizer)
    return tokenizer.error();
  auto sampling = optionsOf(options->sampling);
  if (!sampling)
    return sampling.error();
  GenerationOptions how;
  if (options->max_tokens)
    how.maxTokens = options->max_tokens < 0 ? INT64_MAX : options->max_tokens;
  how.stops.assign(options->stops, options->stops + options->stop_count);
  how.ignoreEnd = options->ignore_end != 0;
  how.sampling = std::move(*sampling);
  if (options->constraint) {
    if (options->constraint->shared != handle.shared)
      return fail(ErrorCode::RequestField, "constraint: expects one of the session's model, but it is another's");
    how.constraint = options->constraint->constraint;
  }
  auto speculator = speculatorOf(handle, **tokenizer, options->speculation);
  if (!speculator)
    return speculator.error();
  how.speculator = std::move(*speculator);
  Session &session = *handle.session;
  const std::vector<int32_t> prompt(ids, ids + count);
  Generation::Place place = {static_cast<int32_t>(session.of().head().vocabulary), session.context()};
  if (session.length(sequence) > 0) {
    place.first = session.length(sequence);
    place.before = session.tokens(sequence);
  }
  auto answer = Generation::create(how, prompt, **tokenizer, place);
  if (!answer)
    return answer.error();
  if (options->on_text)
    (*answer)->listener = [&options](int32_t id, const std::string &text) {
      return options->on_text(options->context, id, text.c_str(), text.size()) == 0;
    };
  Status done = continueSequence(session, sequence, prompt, **answer);
  if (wanted)
    (void)static_cast<bool>(giveResult(wanted, resultOf(**answer), "stepdown_generation"));
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
