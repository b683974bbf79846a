#include "runtime/Generate/Generation.h"

#include "runtime/CompleteSampling.h"
#include <algorithm>
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
  if (Status begun = generation->readBefore(prompt, place); !begun)
    return begun.error();
  if (options.speculator) {
    auto drafter = options.speculator->drafter(options);
    if (!drafter)
      return drafter.error();
    // The tokens before the answer, then those of it that are drawn. The prompt's come with its row.
    const auto total = place.first + static_cast<int64_t>(prompt.size()), others = total - place.drawn;
    const auto before = std::min(place.first, others);
    (*drafter)->read(place.before, static_cast<size_t>(before));
    for (int64_t i = before; i < place.first; ++i)
      (*drafter)->heard(place.before[i]);
    generation->guessing.emplace(std::move(*drafter), options.speculator->most, place.vocabulary,
                                 options.speculator->adapts);
  }
  generation->promptTokens = std::move(prompt);
  generation->place = place;
  generation->createdAt = seconds();
  if (options.maxTokens <= 0)
    generation->stop(Finish::Length);
  // What was over goes on with nothing.
  if (place.drawn && generation->stream.stopped())
    generation->stop(Finish::Stop);
  if (place.drawn && !options.ignoreEnd && tokenizer.isEndOfGeneration(generation->promptTokens.back()))
    generation->stop(Finish::End);
  return generation;
}

Status Generation::readBefore(const std::vector<int32_t> &prompt, const Place &at) {
  const auto total = at.first + static_cast<int64_t>(prompt.size());
  for (int64_t i = 0; i < total; ++i) {
    const int32_t id = i < at.first ? at.before[i] : prompt[static_cast<size_t>(i - at.first)];
    const bool ours = i >= total - at.drawn;
    sampler.accept(id, ours);
    if (!ours)
      continue;
    (void)stream.push(id);
    if (constrained)
      if (Status ok = constrained->accept(id); !ok)
        return ok;
  }
  if (at.drawn)
    toldBefore = TextStream(stream).finish();
  if (at.surprise)
    sampler.setSurprise(*at.surprise);
  return Done{};
}

size_t Generation::draw(const LogitRows &rows, std::vector<int32_t> &next) {
  const bool first = !prompted();
  const double cameAt = first || guessing ? seconds() : 0;
  if (first)
    promptedAt = cameAt;
  // The token that row `row` follows is a drawn one. So many guesses were compared with what was drawn, and right.
  size_t row = 0, checked = 0, accepted = 0;
  if (guessing && first) { // not before: what a drafter holds of a prompt is held for no answer that waits
    const auto count = static_cast<int64_t>(promptTokens.size()), own = std::min(place.drawn, count);
    if (own < count)
      guessing->drafter().read(promptTokens.data(), static_cast<size_t>(count - own));
    for (int64_t i = count - own; i < count; ++i)
      guessing->drafter().heard(promptTokens[static_cast<size_t>(i)]);
  }
  if (guessing && !first)
    guessing->cut(rows.count - 1);
  for (;; ++row) {
    heedInterrupt();
    const size_t before = drawn.size();
    if (!done())
      drawFrom(rows[row]);
    if (row + 1 >= rows.count || drawn.size() == before)
      break;
    const bool right = drawn.back() == guessing->guesses()[row];
    ++checked;
    accepted += right;
    if (!right || done())
      break;
  }
  if (guessing && !first)
    guessing->verified(checked, accepted, cameAt - guessedAt);
  if (!done()) {
    next.push_back(drawn.back());
    if (guessing) {
      guessedAt = seconds();
      guessing->guess(mostGuesses(), next);
    }
  }
  return row + 1;
}

size_t Generation::mostGuesses() const {
  const auto count = static_cast<int64_t>(drawn.size());
  return static_cast<size_t>(std::max<int64_t>(
      0, std::min(options.maxTokens - count, place.context - place.first - int64_t(promptTokens.size()) - count) - 1));
}

void Generation::drawFrom(const float *logits) {
  const uint64_t *allowed = nullptr;
  if (constrained) {
    Result<const uint64_t *> mask = constrained->allowed();
    if (!mask)
      failed(mask.error());
    else if (!*mask)
      stop(Finish::End); // nothing may follow, and no token says so
    if (done())
      return;
    allowed = *mask;
  }
  if (onRow)
    onRow(logits);
  const int64_t before = place.first + static_cast<int64_t>(promptTokens.size() + drawn.size());
  LogProbabilities row;
  Result<int32_t> id = sampler.draw(logits, options.answer, static_cast<uint64_t>(before),
                                    options.logProbabilities ? &row : nullptr, allowed);
  if (!id)
    return failed(id.error());
  drawn.push_back(*id);
  if (options.logProbabilities)
    probabilities.push_back(row);
  sampler.accept(*id);
  if (guessing)
    guessing->drafter().heard(*id);
  if (constrained)
    if (Status ok = constrained->accept(*id); !ok)
      return failed(ok.error());
  if (!options.ignoreEnd && tokenizer.isEndOfGeneration(*id))
    stop(Finish::End);
  else if (!tell(*id, stream.push(*id)))
    stop(Finish::Listener);
  else if (stream.stopped())
    stop(Finish::Stop);
  else if (static_cast<int64_t>(drawn.size()) >= options.maxTokens || before + 1 >= place.context)
    stop(Finish::Length);
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
    answerText += untold(rest);
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

std::string Generation::untold(const std::string &whole) {
  const size_t most = std::min(whole.size(), toldBefore.size());
  auto again = static_cast<size_t>(
      std::mismatch(whole.begin(), whole.begin() + ptrdiff_t(most), toldBefore.begin()).first - whole.begin());
  while (again < whole.size() && (whole[again] & 0xC0) == 0x80) // not within a code point
    --again;
  toldBefore.erase(0, again < whole.size() ? toldBefore.size() : again);
  return whole.substr(again);
}

bool Generation::tell(int32_t id, const std::string &whole) {
  const std::string text = untold(whole);
  answerText += text;
  return !listener || listener(id, text);
}

} // namespace stepdown
