#include "lib/Text/Tokenizer/Tokenizer.h"
#include "lib/Text/Tokenizer/Encoder.h"
#include "lib/Text/Tokenizer/SpecialTokens.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utf8proc.h>

namespace stepdown {
namespace {

/// Longer runs of combining marks are no text; composing them would take quadratic time.
constexpr size_t mostMarks = 256;

bool canCompose(std::string_view text) {
  size_t marks = 0;
  for (size_t at = 0, length; at < text.size(); at += length) {
    if (!(length = characterLength(text.substr(at))))
      return false;
    uint32_t c = codePoint(text.substr(at), length);
    marks = c >= 0x300 && utf8proc_get_property(static_cast<int32_t>(c))->combining_class ? marks + 1 : 0;
    if (marks > mostMarks)
      return false;
  }
  return true;
}

/// `text` in NFC; text that is no well-formed UTF-8 as it is.
std::string compose(std::string_view text) {
  if (!canCompose(text))
    return std::string(text);
  uint8_t *bytes = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const uint8_t *>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &bytes,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<uint8_t, decltype(&std::free)> composed(bytes, &std::free);
  if (length == UTF8PROC_ERROR_NOMEM) // not a reason to read the text as it is, which gives other ids
    throw std::bad_alloc();
  return length < 0 ? std::string(text)
                    : std::string(reinterpret_cast<const char *>(bytes), static_cast<size_t>(length));
}

Result<std::unique_ptr<Encoder>> createEncoder(const Metadata &metadata, const Vocabulary &vocabulary) {
  switch (vocabulary.model) {
  case TokenizerModel::Spm:
    return createSpm(metadata, vocabulary);
  case TokenizerModel::WordPiece:
    return createWordPiece(metadata, vocabulary);
  case TokenizerModel::Unigram:
    return createUnigram(metadata, vocabulary);
  case TokenizerModel::Bpe:
  case TokenizerModel::SpmBpe:
    break;
  }
  return createBpe(metadata, vocabulary);
}

} // namespace

Tokenizer::Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(const Metadata &metadata) {
  Tokenizer tokenizer;
  const KeyLog log(metadata);
  Result<std::unique_ptr<Vocabulary>> vocabulary = Vocabulary::create(metadata);
  if (!vocabulary)
    return vocabulary.error();
  Result<std::unique_ptr<Encoder>> encoder = createEncoder(metadata, **vocabulary);
  if (!encoder)
    return encoder.error();
  if (Status known = checkTokenizerKeys(metadata, log, (*vocabulary)->model); !known)
    return known.error();
  tokenizer.vocabulary = std::move(*vocabulary);
  tokenizer.specials = std::make_unique<const SpecialTokens>(*tokenizer.vocabulary);
  tokenizer.encoder = std::move(*encoder);
  return tokenizer;
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  if (text.size() > INT32_MAX)
    return fail(ErrorCode::TextTooLong, "text: expects below 2^31 bytes, and so tokens, but got %zu", text.size());
  const Vocabulary &v = *vocabulary;
  uint64_t steps = 0;
  std::vector<int32_t> ids;
  std::vector<SpecialTokens::Fragment> fragments =
      specials->partition(text, options.parseSpecial, options.untrusted, steps);
  // With a BOS of ours that the text's would stand for; with an EOS of the text's. The package tokenizers has both, and
  // a sentence encoder was trained on what it gives.
  const bool repeats = v.fromJson && v.model == TokenizerModel::WordPiece;
  bool begins = options.addSpecial && v.addBos && !repeats, ends = false;
  if (options.addSpecial && v.addBos)
    ids.push_back(v.bos);
  for (const SpecialTokens::Fragment &fragment : fragments) {
    if (fragment.id >= 0) {
      if (begins && ids.size() == 1 && fragment.id == v.bos)
        begins = false; // the text's is that one; white space before it may be no token
      else
        ids.push_back(fragment.id);
      ends = fragment.id == v.eos && !repeats;
      continue;
    }
    const size_t before = ids.size();
    std::string_view raw = text.substr(fragment.begin, fragment.end - fragment.begin);
    std::string prefixed;
    if (v.fromJson && v.model != TokenizerModel::Unigram && v.fromJson->prefixes(raw, fragment.begin == 0))
      raw = prefixed.assign(spaceMark).append(raw);
    Status ok = options.normalizeNfc || (v.fromJson && v.fromJson->nfc) ? encoder->encode(compose(raw), ids, steps)
                                                                        : encoder->encode(raw, ids, steps);
    if (!ok)
      return ok.error();
    ends = ends && ids.size() == before;
  }
  if (options.addSpecial && v.addEos && !ends)
    ids.push_back(v.eos);
  if (options.steps)
    *options.steps += steps;
  if (ids.size() > INT32_MAX)
    return fail(ErrorCode::TextTooLong, "text: expects below 2^31 tokens, but got %zu", ids.size());
  return ids;
}

std::vector<TextRange> Tokenizer::controlRanges(std::string_view text) const {
  std::vector<TextRange> ranges;
  uint64_t steps = 0;
  for (const SpecialTokens::Fragment &fragment : specials->partition(text, true, nullptr, steps))
    if (isSpecial(fragment.id))
      ranges.push_back({fragment.begin, fragment.end});
  return ranges;
}

Status Tokenizer::check(const std::vector<int32_t> &ids) const {
  for (size_t i = 0; i < ids.size(); ++i)
    if (!vocabulary->contains(ids[i]))
      return fail(ErrorCode::TokenRange, "token %zu: expects an id from 0 to %d, but got %d", i, vocabularySize() - 1,
                  ids[i]);
  return Done{};
}

int32_t Tokenizer::vocabularySize() const { return vocabulary->size(); }
int32_t Tokenizer::bos() const { return vocabulary->bos; }
int32_t Tokenizer::eos() const { return vocabulary->eos; }
int32_t Tokenizer::eot() const { return vocabulary->eot; }
int32_t Tokenizer::eom() const { return vocabulary->eom; }
int32_t Tokenizer::unknown() const { return vocabulary->unknown; }
int32_t Tokenizer::separator() const { return vocabulary->separator; }
int32_t Tokenizer::padding() const { return vocabulary->padding; }
int32_t Tokenizer::mask() const { return vocabulary->mask; }
bool Tokenizer::addsBos() const { return vocabulary->addBos; }
bool Tokenizer::addsEos() const { return vocabulary->addEos; }
bool Tokenizer::isSpecial(int32_t id) const { return vocabulary->contains(id) && vocabulary->isSpecial(id); }
bool Tokenizer::isEndOfGeneration(int32_t id) const {
  return std::binary_search(vocabulary->endOfGeneration.begin(), vocabulary->endOfGeneration.end(), id);
}
const std::vector<int32_t> &Tokenizer::endOfGeneration() const { return vocabulary->endOfGeneration; }
const std::vector<int32_t> &Tokenizer::suppressed() const { return vocabulary->suppressed; }
const std::vector<std::string> &Tokenizer::warnings() const { return vocabulary->warnings; }

} // namespace stepdown
