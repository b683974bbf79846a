// The part of a vocabulary that says which tokens are special: their ids and defaults, whether BOS and EOS are added,
// what ends an answer, what is never drawn.
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

namespace stepdown {
namespace {

std::string keyName(const char *name) { return std::string("tokenizer.ggml.") + name; }

const char *typeName(TokenType type) {
  switch (type) {
  case TokenType::Normal:
    return "normal";
  case TokenType::Unknown:
    return "unknown";
  case TokenType::Control:
    return "control";
  case TokenType::UserDefined:
    return "user-defined";
  case TokenType::Unused:
    return "unused";
  case TokenType::Byte:
    return "byte";
  }
  return "?";
}

} // namespace

/// Reads key `name`, or takes `fallback` (-1: none) where it is missing; either has to lie in the vocabulary.
Status Vocabulary::readSpecialId(const Metadata &metadata, const char *name, int64_t fallback, int32_t &id) {
  std::string key = keyName(name);
  uint64_t number = static_cast<uint64_t>(fallback);
  const GgufValue *value = metadata.find(key);
  if (value) {
    Result<uint64_t> read = metadata.unsignedInteger(key);
    if (!read)
      return read.error();
    number = *read;
  } else if (fallback < 0) {
    return Done{};
  }
  if (number >= texts.size())
    return value
               ? fail(ErrorCode::SpecialTokenRange,
                      "%s: offset %" PRIu64 ": key '%s': expects an id below the %zu tokens of the vocabulary, but got "
                      "%" PRIu64,
                      metadata.file().c_str(), value->offset, key.c_str(), texts.size(), number)
               : fail(ErrorCode::SpecialTokenRange,
                      "%s: key '%s': expects it in the metadata, or its default %" PRIu64
                      " below the %zu tokens of the vocabulary",
                      metadata.file().c_str(), key.c_str(), number, texts.size());
  id = static_cast<int32_t>(number);
  return Done{};
}

Status Vocabulary::readSpecialIds(const Metadata &metadata) {
  struct Row {
    const char *key;
    int32_t *id;
    int spm, bpe, wordPiece, unigram; // defaults; -1 none
  };
  int32_t cls = -1;
  // A BERT file may call its two markers cls and seperator, or bos and eos.
  bool named = metadata.has("tokenizer.ggml.bos_token_id"), ended = metadata.has("tokenizer.ggml.eos_token_id");
  const Row rows[] = {
      {"bos_token_id", &bos, 1, 11, -1, -1},         {"eos_token_id", &eos, 2, 11, -1, 1},
      {"eot_token_id", &eot, -1, -1, -1, -1},        {"eom_token_id", &eom, -1, -1, -1, -1},
      {"unknown_token_id", &unknown, 0, -1, 100, 2}, {"seperator_token_id", &separator, -1, -1, ended ? -1 : 102, -1},
      {"padding_token_id", &padding, -1, -1, 0, 0},  {"cls_token_id", &cls, -1, -1, named ? -1 : 101, -1},
      {"mask_token_id", &mask, -1, -1, 103, -1}};
  for (const Row &row : rows) {
    int fallback = -1;
    switch (model) {
    case TokenizerModel::Spm:
      fallback = row.spm;
      break;
    case TokenizerModel::Bpe:
      fallback = row.bpe;
      break;
    case TokenizerModel::SpmBpe:
      break;
    case TokenizerModel::WordPiece:
      fallback = row.wordPiece;
      break;
    case TokenizerModel::Unigram:
      fallback = row.unigram;
      break;
    }
    if (Status ok = readSpecialId(metadata, row.key, fromJson ? -1 : fallback, *row.id); !ok)
      return ok;
  }
  if (model == TokenizerModel::WordPiece) {
    bos = cls >= 0 ? cls : bos;
    eos = separator >= 0 ? separator : eos;
    separator = eos;
  }
  const struct {
    const char *key; // old files have the first of two
    int32_t *id;
  } fills[] = {
      {"prefix_token_id", &fillPrefix},  {"fim_pre_token_id", &fillPrefix},     {"suffix_token_id", &fillSuffix},
      {"fim_suf_token_id", &fillSuffix}, {"middle_token_id", &fillMiddle},      {"fim_mid_token_id", &fillMiddle},
      {"fim_pad_token_id", &fillPad},    {"fim_rep_token_id", &fillRepository}, {"fim_sep_token_id", &fillSeparator}};
  for (const auto &fill : fills)
    if (Status ok = readSpecialId(metadata, fill.key, -1, *fill.id); !ok)
      return ok;
  return readEndIds(metadata);
}

Status Vocabulary::readIds(const Metadata &metadata, const std::string &key, std::vector<int32_t> &ids) const {
  const GgufValue *value = metadata.find(key);
  if (!value)
    return Done{};
  Result<std::vector<int64_t>> listed = metadata.integers(key);
  if (!listed)
    return listed.error();
  for (int64_t id : *listed) {
    if (id < 0 || id >= size())
      return fail(ErrorCode::SpecialTokenRange,
                  "%s: offset %" PRIu64
                  ": key '%s': expects ids below the %zu tokens of the vocabulary, but got %" PRId64,
                  metadata.file().c_str(), value->offset, key.c_str(), texts.size(), id);
    ids.push_back(static_cast<int32_t>(id));
  }
  return Done{};
}

/// Some converters list every token that ends an answer.
Status Vocabulary::readEndIds(const Metadata &metadata) {
  return readIds(metadata, keyName("eos_token_ids"), endOfGeneration);
}

Status Vocabulary::readSwitches(const Metadata &metadata) {
  // Models whose tokenizer.json adds BOS by its post-processor, which older files do not say.
  constexpr std::string_view bosPres[] = {"llama3",   "llama-v3", "llama-bpe", "falcon3",      "falcon-h1", "pixtral",
                                          "midm-2.0", "lfm2",     "tekken",    "jina-v5-nano", "chameleon"};
  bool bosPre = std::find(std::begin(bosPres), std::end(bosPres), pre) != std::end(bosPres);
  addBos = model == TokenizerModel::Spm || (model == TokenizerModel::Bpe && bosPre);
  addEos = model == TokenizerModel::Unigram;
  addSpacePrefix = model == TokenizerModel::Spm;
  const struct {
    const char *key;
    bool *value;
  } rows[] = {{"add_bos_token", &addBos}, {"add_eos_token", &addEos}, {"add_space_prefix", &addSpacePrefix}};
  for (const auto &row : rows) {
    std::string key = keyName(row.key);
    if (!metadata.has(key))
      continue;
    Result<bool> value = metadata.boolean(key);
    if (!value)
      return value.error();
    *row.value = *value;
  }
  if (model == TokenizerModel::WordPiece && !fromJson) {
    for (const auto &row : rows)
      if (row.value != &addSpacePrefix && metadata.has(keyName(row.key)) && !*row.value)
        warnings.push_back(metadata.file() + ": key '" + keyName(row.key) +
                           "' is false, but texts of this kind of tokenizer always begin and end with their markers");
    addBos = addEos = true;
  }
  if (addSpacePrefix && (model == TokenizerModel::Bpe || model == TokenizerModel::WordPiece))
    warnings.push_back(metadata.file() + ": key 'tokenizer.ggml.add_space_prefix' is true, but this kind of tokenizer "
                                         "puts no space before a text");
  if (addBos && bos < 0)
    warnings.push_back(metadata.file() + ": key 'tokenizer.ggml.add_bos_token' asks for a token that the file lacks");
  addBos = addBos && bos >= 0;
  addEos = addEos && eos >= 0;
  return Done{};
}

Status Vocabulary::readSuppressed(const Metadata &metadata) {
  const GgufValue *value = metadata.find("tokenizer.ggml.suppress_tokens");
  if (!value)
    return Done{};
  const char *file = metadata.file().c_str();
  if (value->type != GgufType::Array || value->element != GgufType::I32)
    return wrongArray(metadata, "tokenizer.ggml.suppress_tokens", *value, "i32");
  for (uint64_t i = 0; i < value->count; ++i) {
    int32_t id;
    std::memcpy(&id, value->bytes + i * sizeof id, sizeof id);
    if (!contains(id))
      return fail(ErrorCode::SpecialTokenRange,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.suppress_tokens': element %" PRIu64
                  ": expects an id below the %zu tokens of the vocabulary, but got %d",
                  file, value->offset + i * sizeof id, i, texts.size(), id);
    suppressed.push_back(id);
  }
  std::sort(suppressed.begin(), suppressed.end());
  suppressed.erase(std::unique(suppressed.begin(), suppressed.end()), suppressed.end());
  return Done{};
}

void Vocabulary::findEndOfGeneration(const Metadata &metadata) {
  auto &ids = endOfGeneration;
  std::string overridden;
  size_t count = 0;
  for (const KnownToken &known : knownTokens()) {
    const int32_t id = find(known.text);
    // The file names another token for this part; then the text may mean anything.
    if (id < 0 || (fillOf(known.role) >= 0 && fillOf(known.role) != id))
      continue;
    const TokenType type = types[id];
    if (known.role == KnownToken::EndsWhereTyped && type != TokenType::Control && type != TokenType::UserDefined)
      continue;
    // Phi 3 and Gemma end with other tokens, and "</s>" is there a text of its own (HTML).
    if (known.text == "</s>" && type == TokenType::UserDefined && metadata.has(keyName("eos_token_id")) && id != eos)
      continue;
    if (endsAnswer(known.role))
      ids.push_back(id);
    if (isSpecial(id) || fromJson)
      continue;
    types[id] = TokenType::Control;
    if (count++ < 5)
      overridden +=
          (count > 1 ? ", " : "") + std::to_string(id) + " '" + std::string(known.text) + "' (" + typeName(type) + ")";
  }
  if (count)
    warnings.push_back(metadata.file() + ": key 'tokenizer.ggml.token_type': expects " + std::to_string(count) +
                       (count == 1 ? " token" : " tokens") +
                       " known by text to be control tokens; read as such: " + overridden + (count > 5 ? ", ..." : ""));
  for (int32_t id : {eos, eot, eom, fillPad, fillRepository, fillSeparator})
    if (id >= 0)
      ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  // In the harmony format <|end|> ends one message of an answer, and <|return|> or <|call|> the answer; in that of
  // Solar
  // <|flush|> and <|calls|> do.
  auto has = [&](std::string_view text) { return find(text) >= 0; };
  auto drop = [&](std::string_view text) { ids.erase(std::remove(ids.begin(), ids.end(), find(text)), ids.end()); };
  const bool call = has("<|call|>") || has("<|calls|>");
  if (call && (has("<|return|>") || has("<|flush|>")))
    drop("<|end|>");
  // Gemma 4 has "</s>" for HTML, too, and types it in every way.
  if (has("<|tool_response>") && find("</s>") != eos)
    drop("</s>");
}

int32_t Vocabulary::fillOf(KnownToken::Role role) const {
  switch (role) {
  case KnownToken::FillPrefix:
    return fillPrefix;
  case KnownToken::FillSuffix:
    return fillSuffix;
  case KnownToken::FillMiddle:
    return fillMiddle;
  case KnownToken::FillPad:
    return fillPad;
  case KnownToken::FillRepository:
    return fillRepository;
  case KnownToken::FillSeparator:
    return fillSeparator;
  case KnownToken::Ends:
  case KnownToken::EndsWhereTyped:
    break;
  }
  return -1;
}

} // namespace stepdown
