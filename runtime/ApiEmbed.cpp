// The part of include/stepdown/Runtime.h that embeds texts.
#include "lib/Base/SizedOptions.h"
#include "runtime/ApiHandles.h"
#include "runtime/Embedding/Embedder.h"

using namespace stepdown;
using namespace stepdown::api;

// Both are numbered alike.
static_assert(int(Pooling::Mean) == STEPDOWN_POOLING_MEAN && int(Pooling::First) == STEPDOWN_POOLING_CLS &&
              int(Pooling::Last) == STEPDOWN_POOLING_LAST);

struct stepdown_embedder {
  std::unique_ptr<Embedder> embedder;
  std::shared_ptr<const SharedModel> shared;
};

stepdown_status stepdown_embedder_create(const stepdown_model *model, const stepdown_embedder_options *options,
                                         stepdown_embedder **embedder) {
  *embedder = nullptr;
  return guarded([&]() -> Status {
    auto given = takeOptions(options, "stepdown_embedder_options");
    if (!given)
      return given.error();
    if (given->pooling < 0 || given->pooling > STEPDOWN_POOLING_LAST)
      return fail(ErrorCode::SessionOption, "stepdown_embedder_options: pooling: expects 0 to %d, but got %d",
                  STEPDOWN_POOLING_LAST, given->pooling);
    if (given->normalize < -1 || given->normalize > 1)
      return fail(ErrorCode::SessionOption, "stepdown_embedder_options: normalize: expects -1, 0 or 1, but got %d",
                  given->normalize);
    Embedder::Options chosen;
    chosen.threads = given->threads;
    if (given->pooling)
      chosen.pooling = static_cast<Pooling>(given->pooling);
    if (given->normalize)
      chosen.normalises = given->normalize > 0;
    auto made = Embedder::create(model->shared->model, chosen);
    if (!made)
      return made.error();
    *embedder = new stepdown_embedder{std::move(*made), model->shared};
    return Done{};
  });
}

void stepdown_embedder_free(stepdown_embedder *embedder) { delete embedder; }

size_t stepdown_embedder_width(const stepdown_embedder *embedder) { return embedder->embedder->width(); }

size_t stepdown_embedder_longest(const stepdown_embedder *embedder) { return embedder->embedder->longest(); }

stepdown_status stepdown_embed(stepdown_embedder *embedder, const char *const *texts, size_t count, float *out) {
  return guarded([&]() -> Status {
    Result<const Tokenizer *> tokenizer = tokenizerOf(*embedder->shared);
    if (!tokenizer)
      return tokenizer.error();
    std::vector<Embedder::Text> ids;
    for (size_t i = 0; i < count; ++i) {
      auto text = (*tokenizer)->encode(texts[i]);
      if (!text)
        return text.error();
      ids.push_back(std::move(*text));
    }
    return embedder->embedder->embed(ids.data(), count, out);
  });
}

stepdown_status stepdown_embed_tokens(stepdown_embedder *embedder, const int32_t *ids, const size_t *lengths,
                                      size_t count, float *out) {
  return guarded([&]() -> Status {
    std::vector<Embedder::Text> texts;
    for (size_t i = 0; i < count; ids += lengths[i++])
      texts.emplace_back(ids, ids + lengths[i]);
    return embedder->embedder->embed(texts.data(), count, out);
  });
}
