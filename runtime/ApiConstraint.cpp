// The part of include/stepdown/Runtime.h that says what answers have to be.
#include "lib/Grammar/Constraint.h"
#include "runtime/ApiHandles.h"

using namespace stepdown;
using namespace stepdown::api;

namespace {

Result<std::shared_ptr<const grammar::Network>> compiled(int32_t notation, const char *text) {
  switch (notation) {
  case STEPDOWN_CONSTRAINT_GRAMMAR:
    return grammar::compileConstraint(grammar::Notation::Gbnf, text);
  case STEPDOWN_CONSTRAINT_JSON_SCHEMA:
    return grammar::compileConstraint(grammar::Notation::JsonSchema, text);
  case STEPDOWN_CONSTRAINT_REGEX:
    return grammar::compileConstraint(grammar::Notation::Regex, text);
  case STEPDOWN_CONSTRAINT_CHOICES:
    return grammar::compileConstraint(grammar::Notation::Choices, text);
  default:
    return fail(ErrorCode::RequestField, "notation: expects a STEPDOWN_CONSTRAINT_..., but got %d", notation);
  }
}

} // namespace

stepdown_status stepdown_constraint_create(const stepdown_model *model, int32_t notation, const char *text,
                                           stepdown_constraint **constraint) {
  *constraint = nullptr;
  return guarded([&]() -> Status {
    auto network = compiled(notation, text);
    if (!network)
      return network.error();
    const SharedModel &shared = *model->shared;
    auto tokenizer = tokenizerOf(shared);
    if (!tokenizer)
      return tokenizer.error();
    const std::lock_guard<std::mutex> lock(shared.mutex);
    if (!shared.vocabulary)
      shared.vocabulary = std::make_shared<const ConstraintVocabulary>(
          **tokenizer, static_cast<int32_t>(shared.model->head().vocabulary));
    *constraint =
        new stepdown_constraint{std::make_shared<Constraint>(std::move(*network), shared.vocabulary), model->shared};
    return Done{};
  });
}

void stepdown_constraint_free(stepdown_constraint *constraint) { delete constraint; }
