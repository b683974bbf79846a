#include "runtime/Speculation/DraftModel.h"

#include "runtime/CompleteSampling.h"
#include "runtime/Generate/GenerationOptions.h"
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <optional>

namespace stepdown {

Status expectSameTokens(const Tokenizer &model, const Tokenizer &draft) {
  if (model.vocabularySize() != draft.vocabularySize())
    return fail(ErrorCode::DraftTokenizer, "draft model: expects the %d tokens of the model, but got %d",
                model.vocabularySize(), draft.vocabularySize());
  for (int32_t id = 0; id < model.vocabularySize(); ++id)
    if (model.piece(id) != draft.piece(id) || model.isSpecial(id) != draft.isSpecial(id) ||
        model.isEndOfGeneration(id) != draft.isEndOfGeneration(id))
      return fail(ErrorCode::DraftTokenizer,
                  "draft model: token %d: expects \"%.60s\" as the model has it, but got \"%.60s\"", id,
                  model.piece(id).c_str(), draft.piece(id).c_str());
  return Done{};
}

namespace {

bool hasWindow(const Model &model) {
  const Records<stepdown_cache_group> &groups = model.program().groups;
  return std::any_of(groups.begin(), groups.end(), [](const stepdown_cache_group &group) { return group.window != 0; });
}

} // namespace

int32_t DraftModel::sequencesEach(const Model &model) { return hasWindow(model) ? 2 : 1; }

class ModelDrafter final : public Drafter {
public:
  ModelDrafter(std::shared_ptr<DraftModel::Shared> shared, const GenerationOptions &options)
      : shared(std::move(shared)), options(options.sampling), answer(options.answer) {}
  ~ModelDrafter() override {
    if (sequence >= 0)
      shared->session->freeSequence(sequence);
  }
  void read(const int32_t *ids, size_t count) override {
    for (size_t i = 0; i < count; ++i)
      text.push_back(ids[i]);
    answerAt = text.size();
  }
  void heard(int32_t id) override { text.push_back(id); }
  Status draft(size_t most, std::vector<int32_t> &guesses) override;
  bool reads() const override { return reading; }

private:
  Status begin();
  /// Computes the text as far as the sequence does not hold it, and leaves the row after it; or a piece of it, and then
  /// it is `behind`.
  Status readText();
  Status drawGuesses(int32_t on, size_t most, std::vector<int32_t> &guesses);

  const std::shared_ptr<DraftModel::Shared> shared;
  SamplingOptions options;
  const uint64_t answer;
  std::vector<int32_t> text;      ///< prompt and answer
  size_t answerAt = 0, known = 0; ///< where the answer begins; how many the sampler knows
  std::optional<Sampler> sampler;
  int32_t sequence = -1;
  size_t remembered = 0;                ///< tokens of the sequence, by the session
  uint64_t round = 0;                   ///< of the last turn
  bool behind = false, reading = false; ///< has text left to compute; computed more than `few` tokens, or is behind
  std::vector<Session::Token> batch;
};

Result<std::unique_ptr<Drafter>> DraftModel::drafter(const GenerationOptions &options) const {
  return std::unique_ptr<Drafter>(new ModelDrafter(shared, options));
}

Status ModelDrafter::begin() {
  Session &session = *shared->session;
  const auto columns = static_cast<int32_t>(session.of().head().vocabulary);
  auto unknown = [columns](const std::pair<int32_t, float> &bias) { return bias.first >= columns; };
  options.logitBias.erase(std::remove_if(options.logitBias.begin(), options.logitBias.end(), unknown),
                          options.logitBias.end());
  auto none = [columns](int32_t id) { return id >= columns; };
  options.dryBreakers.erase(std::remove_if(options.dryBreakers.begin(), options.dryBreakers.end(), none),
                            options.dryBreakers.end());
  completeSampling(options, *shared->tokenizer, columns);
  Result<Sampler> made = Sampler::create(options, columns);
  if (!made)
    return made.error();
  sampler.emplace(std::move(*made));
  Result<int32_t> created = session.createSequence();
  if (!created)
    return created.error();
  sequence = *created;
  return Done{};
}

Status ModelDrafter::readText() {
  Session &session = *shared->session;
  for (; known < text.size(); ++known)
    sampler->accept(text[known], known >= answerAt);
  const int32_t length = session.length(sequence);
  const int32_t *ids = session.tokens(sequence);
  auto held = static_cast<size_t>(std::mismatch(ids, ids + length, text.begin(), text.end()).first - ids);
  held = std::min(held, text.size() - 1); // the row after the last is wanted
  if (held < static_cast<size_t>(length))
    if (Status cut = session.truncate(sequence, static_cast<int32_t>(held)); !cut)
      return cut;
  // Each answer asks once in a step, so that who asks again does so in a later one.
  if (round == shared->round) {
    ++shared->round;
    shared->left = shared->piece;
  }
  round = shared->round;
  size_t end = text.size();
  if (end - held > DraftModel::few) {
    held = static_cast<size_t>(session.reuse(sequence, text.data(), static_cast<int32_t>(end - 1)));
    if (end - held > DraftModel::few)
      end = held + std::min(end - held, shared->left);
    shared->left -= std::min(shared->left, end - held);
  }
  behind = end < text.size();
  reading = behind || end - held > DraftModel::few;
  while (held < end) {
    const size_t count = std::min<size_t>(end - held, session.roomForTokens());
    batch.clear();
    for (size_t i = held; i < held + count; ++i)
      batch.push_back({sequence, text[i], i + 1 == text.size()});
    if (Status ok = session.submit(batch.data(), batch.size()); !ok)
      return ok;
    if (Status ok = session.step(); !ok)
      return ok;
    held += count;
  }
  if (held >= remembered + static_cast<size_t>(session.kv().blockSize())) {
    session.remember(sequence); // no guess is among what it holds
    remembered = held;
  }
  return Done{};
}

Status ModelDrafter::drawGuesses(int32_t on, size_t most, std::vector<int32_t> &guesses) {
  Session &session = *shared->session;
  for (size_t i = 0;;) {
    Result<int32_t> id = sampler->draw(session.logits(0), answer, text.size() + i);
    if (!id)
      return Done{}; // it has nothing to say
    guesses.push_back(*id);
    if (++i == most || shared->tokenizer->isEndOfGeneration(*id))
      return Done{};
    const Session::Token next = {on, *id, true};
    if (Status ok = session.submit(&next, 1); !ok)
      return ok;
    if (Status ok = session.step(); !ok)
      return ok;
  }
}

Status ModelDrafter::draft(size_t most, std::vector<int32_t> &guesses) {
  behind = reading = false;
  if (!shared->session || text.empty())
    return Done{};
  Session &session = *shared->session;
  const auto context = static_cast<size_t>(session.context());
  if (text.size() >= context)
    return Done{};
  most = std::min(most, context - text.size());
  if (sequence < 0)
    if (Status ok = begin(); !ok)
      return ok;
  if (Status ok = readText(); !ok || behind)
    return ok;
  if (!hasWindow(session.of()) || most == 1)
    return drawGuesses(sequence, most, guesses);
  Result<int32_t> branch = session.fork(sequence);
  if (!branch)
    return branch.error();
  Status drawn = drawGuesses(*branch, most, guesses);
  session.freeSequence(*branch);
  return drawn;
}

} // namespace stepdown
