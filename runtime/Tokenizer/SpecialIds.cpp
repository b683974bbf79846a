// The part of a vocabulary that says which tokens are special: their ids and defaults, whether BOS and EOS are added,
// what ends an answer, what is never drawn.
#include "runtime/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

namespace stepdown {
namespace {

std::string keyName(const char *name) { return std::string("tokenizer.ggml.") + name; }

/// Texts that end a turn or a document in published models; GGUF has no list, so the text has to tell.
constexpr std::string_view endTexts[] = {"<|eot_id|>",
                                         "<|im_end|>",
                                         "<|end|>",
                                         "<|return|>",
                                         "<|call|>",
                                         "<|flush|>",
                                         "<|calls|>",
                                         "<end_of_turn>",
                                         "<turn|>",
                                         "<|endoftext|>",
                                         "<|eom_id|>",
                                         "<|eom|>",
                                         "<|eot|>",
                                         "<EOT>",
                                         "_<EOT>",
                                         "< EOT >",
                                         "<|end_of_text|>",
                                         "<|end_of_turn|>",
                                         "<end_of_utterance>",
                                         "<|END_OF_TURN_TOKEN|>",
                                         "<\xef\xbd\x9c"
                                         "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"};

bool isEndText(std::string_view text) {
  return std::find(std::begin(endTexts), std::end(endTexts), text) != std::end(endTexts);
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
    if (Status ok = readSpecialId(metadata, row.key, fallback, *row.id); !ok)
      return ok;
  }
  if (model == TokenizerModel::WordPiece) {
    bos = cls >= 0 ? cls : bos;
    eos = separator >= 0 ? separator : eos;
    separator = eos;
  }
  return Done{};
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
  if (model == TokenizerModel::WordPiece)
    addBos = addEos = true;
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

void Vocabulary::findEndOfGeneration() {
  for (int32_t id : {eos, eot, eom})
    if (id >= 0)
      endOfGeneration.push_back(id);
  for (int32_t id = 0; id < size(); ++id) {
    // Old files call "<|im_end|>" user-defined, which would let the text of a user end a turn: it is a control token.
    if (types[id] == TokenType::UserDefined && isEndText(texts[id]))
      types[id] = TokenType::Control;
    if (types[id] == TokenType::Control && isEndText(texts[id]))
      endOfGeneration.push_back(id);
  }
  // In the harmony format <|end|> ends one message of an answer, and <|return|> or <|call|> the answer.
  int32_t end = find("<|end|>"), finish = find("<|return|>"), call = find("<|call|>");
  auto &ids = endOfGeneration;
  if (end >= 0 && finish >= 0 && call >= 0)
    ids.erase(std::remove(ids.begin(), ids.end(), end), ids.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

} // namespace stepdown
