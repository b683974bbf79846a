// What the handles of the C API hold, and how its functions turn exceptions and errors into values.
#pragma once
#include "include/stepdown/Runtime.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Grammar/Constraint.h"
#include "runtime/Load/Model.h"
#include "runtime/Sampler/Sampler.h"
#include "runtime/Session/Session.h"
#include <memory>
#include <mutex>
#include <new>
#include <optional>

namespace stepdown::api {

/// What a model's handle and the sessions on it share.
struct SharedModel {
  std::shared_ptr<const Model> model;
  // These take longer to make than the model to load, and not every program has text.
  mutable std::mutex mutex;
  mutable std::optional<Result<Tokenizer>> tokenizer;
  mutable std::optional<Result<ChatTemplate>> chatTemplate;
  mutable std::shared_ptr<const ConstraintVocabulary> vocabulary;
};

/// What `make` gave the first time, error or not; but a want of memory passes, and is not what is remembered.
template <typename T, typename Make> Result<const T *> madeOnce(std::optional<Result<T>> &place, Make make) {
  if (!place) {
    Result<T> made = make();
    if (!made && made.error().code == ErrorCode::OutOfMemory)
      return made.error();
    place.emplace(std::move(made));
  }
  if (!*place)
    return place->error();
  return &**place;
}

/// The error as a value; its text stays until the thread's next error.
stepdown_status report(ErrorCode code, const char *text);
/// The tokenizer, made on the first call; any thread.
Result<const Tokenizer *> tokenizerOf(const SharedModel &shared);
/// Copies `ids` to a caller's array of `capacity`; E0612.
Status giveIds(const std::vector<int32_t> &ids, int32_t *out, size_t capacity, size_t *count);
/// Copies `text` to a caller's array of `capacity` bytes; E0612.
Status giveText(const std::string &text, char *out, size_t capacity, size_t *length);

/// The status of `body`, a function that returns Status; what it throws becomes a value too.
template <typename Body> stepdown_status guarded(Body body) {
  try {
    Status status = body();
    if (status)
      return {0, ""};
    return report(status.error().code, status.error().message.c_str());
  } catch (const std::bad_alloc &) {
    return report(ErrorCode::OutOfMemory, "expects more memory than the system gives");
  } catch (const std::exception &problem) {
    return report(ErrorCode::OutOfMemory, problem.what());
  }
}

} // namespace stepdown::api

struct stepdown_model {
  std::shared_ptr<const stepdown::api::SharedModel> shared;
};
struct stepdown_session {
  std::unique_ptr<stepdown::Session> session;
  std::vector<stepdown::Session::Token> batch; ///< [max_step_tokens], reserved
  std::shared_ptr<const stepdown::api::SharedModel> shared;
};
struct stepdown_constraint {
  std::shared_ptr<stepdown::Constraint> constraint;
  std::shared_ptr<const stepdown::api::SharedModel> shared;
};
struct stepdown_sampler {
  stepdown::Sampler sampler;
  int32_t vocabulary;
};
