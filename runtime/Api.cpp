// include/stepdown/Runtime.h on top of Model and Session: no exception leaves, and every error becomes a value.
#include "lib/Base/SizedOptions.h"
#include "runtime/ApiHandles.h"
#include "runtime/Devices.h"
#include <algorithm>
#include <cstdio>
#include <cstring>

using namespace stepdown;

namespace stepdown::api {

stepdown_status report(ErrorCode code, const char *text) {
  // Fixed in size, so that running out of memory can be told too.
  static thread_local char lastText[1024];
  std::snprintf(lastText, sizeof lastText, "%s", text);
  return {static_cast<int32_t>(code), lastText};
}

Result<const Tokenizer *> tokenizerOf(const SharedModel &shared) {
  std::lock_guard<std::mutex> lock(shared.mutex);
  return madeOnce(shared.tokenizer, [&] { return Tokenizer::create(shared.model->metadata()); });
}

Status giveIds(const std::vector<int32_t> &ids, int32_t *out, size_t capacity, size_t *count) {
  *count = ids.size();
  std::copy_n(ids.begin(), std::min(capacity, ids.size()), out);
  if (ids.size() > capacity)
    return fail(ErrorCode::RoomTooSmall, "ids: expects room for %zu, but there is room for %zu", ids.size(), capacity);
  return Done{};
}

Status giveText(const std::string &text, char *out, size_t capacity, size_t *length) {
  *length = text.size();
  if (size_t fitting = std::min(capacity, text.size()))
    std::memcpy(out, text.data(), fitting);
  if (text.size() > capacity)
    return fail(ErrorCode::RoomTooSmall, "text: expects room for %zu bytes, but there is room for %zu", text.size(),
                capacity);
  return Done{};
}

} // namespace stepdown::api

using namespace stepdown::api;

stepdown_status stepdown_model_load(const char *path, const stepdown_load_options *options, stepdown_model **model) {
  *model = nullptr;
  return guarded([&]() -> Status {
    auto chosen = takeOptions(options, "stepdown_load_options");
    if (!chosen)
      return chosen.error();
    auto device = openDevice(chosen->device);
    if (!device)
      return device.error();
    auto loaded = Model::load(path, std::move(*device), chosen->isa, chosen->copy ? FileUse::copied : FileUse::mapped);
    if (!loaded)
      return loaded.error();
    auto shared = std::make_shared<SharedModel>();
    shared->model = std::move(*loaded);
    *model = new stepdown_model{std::move(shared)};
    return Done{};
  });
}

void stepdown_model_free(stepdown_model *model) { delete model; }

stepdown_status stepdown_model_describe(const stepdown_model *model, stepdown_model_info *out) {
  const Model &m = *model->shared->model;
  const stepdown_program &head = m.head();
  stepdown_model_info info = {};
  info.architecture = m.architecture();
  info.name = m.name();
  info.vocabulary = static_cast<int32_t>(head.vocabulary);
  info.width = static_cast<int32_t>(head.width);
  info.layers = static_cast<int32_t>(m.program().layers.count);
  info.max_context = static_cast<int32_t>(head.max_context);
  info.max_step_tokens = static_cast<int32_t>(head.max_step_tokens);
  info.exact = static_cast<int32_t>(head.exact);
  info.weight_bytes = m.weightBytes();
  info.arena_bytes = head.arena_bytes;
  info.kv_bytes_per_position = m.cacheBytesPerPosition();
  return guarded([&] { return giveResult(out, info, "stepdown_model_info"); });
}

stepdown_status stepdown_session_create(stepdown_model *model, const stepdown_session_options *options,
                                        stepdown_session **session) {
  *session = nullptr;
  return guarded([&]() -> Status {
    auto chosen = takeOptions(options, "stepdown_session_options");
    if (!chosen)
      return chosen.error();
    auto created = Session::create(model->shared->model,
                                   {chosen->threads, chosen->kv_block, chosen->kv_positions, chosen->max_sequences});
    if (!created)
      return created.error();
    auto holder = std::make_unique<stepdown_session>();
    holder->session = std::move(*created);
    holder->batch.reserve(model->shared->model->head().max_step_tokens);
    holder->shared = model->shared;
    *session = holder.release();
    return Done{};
  });
}

void stepdown_session_free(stepdown_session *session) { delete session; }

stepdown_status stepdown_session_describe(const stepdown_session *session, stepdown_session_info *out) {
  const Session &s = *session->session;
  stepdown_session_info info = {};
  info.threads = s.threads();
  info.kv_block = s.kv().blockSize();
  info.max_sequences = s.kv().sequences();
  info.kv_positions = s.kv().capacity();
  info.kv_bytes = s.kv().bytes();
  info.isa = s.of().level();
  return guarded([&] { return giveResult(out, info, "stepdown_session_info"); });
}

stepdown_status stepdown_sequence_create(stepdown_session *session, stepdown_sequence *sequence) {
  *sequence = -1;
  return guarded([&]() -> Status {
    Result<int32_t> created = session->session->createSequence();
    if (!created)
      return created.error();
    *sequence = *created;
    return Done{};
  });
}

stepdown_status stepdown_sequence_fork(stepdown_session *session, stepdown_sequence from, stepdown_sequence *to) {
  *to = -1;
  return guarded([&]() -> Status {
    Result<int32_t> created = session->session->fork(from);
    if (!created)
      return created.error();
    *to = *created;
    return Done{};
  });
}

stepdown_status stepdown_sequence_truncate(stepdown_session *session, stepdown_sequence sequence, int32_t length) {
  return guarded([&] { return session->session->truncate(sequence, length); });
}

int32_t stepdown_sequence_length(const stepdown_session *session, stepdown_sequence sequence) {
  return session->session->length(sequence);
}

void stepdown_sequence_free(stepdown_session *session, stepdown_sequence sequence) {
  session->session->freeSequence(sequence);
}

stepdown_status stepdown_session_submit(stepdown_session *session, const stepdown_token *tokens, size_t count) {
  return guarded([&]() -> Status {
    Session &s = *session->session;
    // Refused before it is copied: the copy's room was reserved for one step.
    if (count > s.roomForTokens())
      return fail(ErrorCode::StepFull, "batch: expects at most %u more tokens in this step, but got %zu",
                  s.roomForTokens(), count);
    session->batch.clear();
    for (size_t i = 0; i < count; ++i)
      session->batch.push_back({tokens[i].sequence, tokens[i].id, tokens[i].want_logits != 0});
    return s.submit(session->batch.data(), count);
  });
}

stepdown_status stepdown_session_step(stepdown_session *session) {
  return guarded([&] { return session->session->step(); });
}

const float *stepdown_session_logits(const stepdown_session *session, size_t index) {
  return index < session->session->rows() ? session->session->logits(index) : nullptr;
}

size_t stepdown_session_logits_count(const stepdown_session *session) { return session->session->rows(); }

stepdown_status stepdown_model_tokenize(const stepdown_model *model, const char *text, size_t length, int32_t flags,
                                        int32_t *ids, size_t capacity, size_t *count) {
  *count = 0;
  return guarded([&]() -> Status {
    auto tokenizer = tokenizerOf(*model->shared);
    if (!tokenizer)
      return tokenizer.error();
    EncodeOptions options;
    options.addSpecial = flags & STEPDOWN_ADD_SPECIAL;
    options.parseSpecial = flags & STEPDOWN_PARSE_SPECIAL;
    auto encoded = (*tokenizer)->encode({text, length}, options);
    if (!encoded)
      return encoded.error();
    return giveIds(*encoded, ids, capacity, count);
  });
}

stepdown_status stepdown_model_token_text(const stepdown_model *model, int32_t id, char *text, size_t capacity,
                                          size_t *length) {
  *length = 0;
  return guarded([&]() -> Status {
    auto tokenizer = tokenizerOf(*model->shared);
    if (!tokenizer)
      return tokenizer.error();
    if (Status known = (*tokenizer)->check({id}); !known)
      return known;
    std::string piece = (*tokenizer)->isSpecial(id) ? "" : (*tokenizer)->piece(id);
    return giveText(piece, text, capacity, length);
  });
}

stepdown_status stepdown_model_detokenize(const stepdown_model *model, const int32_t *ids, size_t count, int32_t flags,
                                          char *text, size_t capacity, size_t *length) {
  *length = 0;
  return guarded([&]() -> Status {
    auto tokenizer = tokenizerOf(*model->shared);
    if (!tokenizer)
      return tokenizer.error();
    const std::vector<int32_t> all(ids, ids + count);
    if (Status known = (*tokenizer)->check(all); !known)
      return known;
    return giveText((*tokenizer)->decode(all, flags & STEPDOWN_KEEP_SPECIAL), text, capacity, length);
  });
}

int32_t stepdown_model_ends_text(const stepdown_model *model, int32_t id) {
  bool ends = false;
  (void)guarded([&]() -> Status {
    auto tokenizer = tokenizerOf(*model->shared);
    ends = tokenizer && (*tokenizer)->isEndOfGeneration(id);
    return Done{};
  });
  return ends;
}
