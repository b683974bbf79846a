#include "lib/Text/Tokenizer/Vocabulary.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Text/Tokenizer/TextHash.h"
#include "lib/Text/Tokenizer/Unaligned.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstring>

namespace stepdown {
namespace {

/// Longer than any token seen (512 bytes), shorter than anything that hurts.
constexpr size_t mostTokenBytes = 65535;

/// The value byte of a `<0xNN>` token with two upper-case digits, or -1.
int byteOfText(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>')
    return -1;
  int value = 0;
  for (char c : {text[3], text[4]}) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

} // namespace

Error wrongArray(const Metadata &metadata, const char *key, const GgufValue &value, const char *expected) {
  bool isArray = value.type == GgufType::Array;
  return fail(ErrorCode::TokenArrayType, "%s: offset %" PRIu64 ": key '%s': expects an array of %s, but got %s%s",
              metadata.file().c_str(), value.offset, key, expected, isArray ? "an array of " : "",
              ggufValueTypeName(static_cast<uint32_t>(isArray ? value.element : value.type)));
}

Result<std::unique_ptr<Vocabulary>> Vocabulary::create(const Metadata &metadata) {
  auto vocabulary = std::unique_ptr<Vocabulary>(new Vocabulary);
  using Step = Status (Vocabulary::*)(const Metadata &);
  constexpr Step steps[] = {&Vocabulary::readModel,      &Vocabulary::readTokens,     &Vocabulary::readFromJson,
                            &Vocabulary::readByteTokens, &Vocabulary::readSpecialIds, &Vocabulary::readSwitches,
                            &Vocabulary::readSuppressed};
  for (Step step : steps)
    if (Status ok = (vocabulary.get()->*step)(metadata); !ok)
      return ok.error();
  vocabulary->findEndOfGeneration(metadata);
  return vocabulary;
}

Status Vocabulary::readModel(const Metadata &metadata) {
  if (metadata.has("tokenizer.folder.missing"))
    return fail(ErrorCode::FolderFile, "%s: expects tokenizer.json beside config.json, but it is missing",
                metadata.file().c_str());
  Result<std::string_view> name = metadata.string("tokenizer.ggml.model");
  if (!name)
    return name.error();
  if (*name == "llama")
    model = TokenizerModel::Spm;
  else if (*name == "gpt2")
    model = TokenizerModel::Bpe;
  else if (*name == "gemma4")
    model = TokenizerModel::SpmBpe;
  else if (*name == "bert")
    model = TokenizerModel::WordPiece;
  else if (*name == "t5")
    model = TokenizerModel::Unigram;
  else
    return fail(ErrorCode::TokenizerModel,
                "%s: offset %" PRIu64 ": key 'tokenizer.ggml.model': expects llama, gpt2, gemma4, bert or t5, but got "
                "'%s'",
                metadata.file().c_str(), metadata.find("tokenizer.ggml.model")->offset, printable(*name).c_str());
  if (const GgufValue *value = metadata.find("general.name"); value && value->type == GgufType::String) {
    modelName.assign(reinterpret_cast<const char *>(value->bytes), std::min<uint64_t>(value->count, 1024));
    for (char &c : modelName)
      c = c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
  }
  pre = "default";
  if (!metadata.has("tokenizer.ggml.pre")) {
    if (model == TokenizerModel::Bpe && !metadata.has("tokenizer.folder.pre_tokenizer"))
      warnings.push_back(metadata.file() + ": key 'tokenizer.ggml.pre' is missing; text is cut as for 'default', "
                                           "which may give other ids than the model was trained with");
    return Done{};
  }
  Result<std::string_view> preName = metadata.string("tokenizer.ggml.pre");
  if (!preName)
    return preName.error();
  pre = *preName;
  return Done{};
}

Status Vocabulary::readTokens(const Metadata &metadata) {
  const GgufValue *tokens = metadata.find("tokenizer.ggml.tokens");
  if (!tokens || tokens->type != GgufType::Array || tokens->element != GgufType::String)
    return metadata.strings("tokenizer.ggml.tokens").error();
  if (tokens->count == 0 || tokens->count > INT32_MAX)
    return fail(ErrorCode::TokenCount,
                "%s: offset %" PRIu64 ": key 'tokenizer.ggml.tokens': expects 1 to 2147483647 tokens, but got %" PRIu64,
                metadata.file().c_str(), tokens->offset, tokens->count);
  texts = tokens->strings;
  if (Status ok = readScores(metadata); !ok)
    return ok;
  if (Status ok = readTypes(metadata); !ok)
    return ok;
  return buildTable(metadata, *tokens);
}

Status Vocabulary::readScores(const Metadata &metadata) {
  const char *file = metadata.file().c_str();
  const GgufValue *value = metadata.find("tokenizer.ggml.scores");
  bool used = model == TokenizerModel::Spm || model == TokenizerModel::Unigram;
  if (!value)
    return used ? Status(metadata.reals("tokenizer.ggml.scores").error()) : Status(Done{});
  if (value->type != GgufType::Array || (value->element != GgufType::F32 && value->element != GgufType::I32))
    return wrongArray(metadata, "tokenizer.ggml.scores", *value, "f32 or i32");
  if (value->count < texts.size())
    return fail(ErrorCode::TokenArrayShort,
                "%s: offset %" PRIu64 ": key 'tokenizer.ggml.scores': expects one for each of %zu tokens, but got "
                "%" PRIu64,
                file, value->offset, texts.size(), value->count);
  if (!used)
    return Done{};
  scores.resize(texts.size());
  if (value->element == GgufType::F32)
    std::memcpy(scores.data(), value->bytes, scores.size() * sizeof(float));
  else
    for (size_t i = 0; i < scores.size(); ++i)
      scores[i] = static_cast<float>(static_cast<int32_t>(
          loadUnaligned<uint32_t>(reinterpret_cast<const char *>(value->bytes + i * sizeof(int32_t)))));
  for (size_t i = 0; i < scores.size(); ++i)
    if (!std::isfinite(scores[i]))
      return fail(ErrorCode::TokenScore,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.scores': element %zu: expects a finite number, but got "
                  "%g",
                  file, value->offset + i * sizeof(float), i, scores[i]);
  return Done{};
}

Status Vocabulary::readTypes(const Metadata &metadata) {
  const char *file = metadata.file().c_str();
  types.assign(texts.size(), TokenType::Normal);
  const GgufValue *value = metadata.find("tokenizer.ggml.token_type");
  if (!value)
    return Done{};
  if (value->type != GgufType::Array || value->element != GgufType::I32)
    return wrongArray(metadata, "tokenizer.ggml.token_type", *value, "i32");
  if (value->count < texts.size())
    return fail(ErrorCode::TokenArrayShort,
                "%s: offset %" PRIu64 ": key 'tokenizer.ggml.token_type': expects one for each of %zu tokens, but got "
                "%" PRIu64,
                file, value->offset, texts.size(), value->count);
  for (size_t i = 0; i < types.size(); ++i) {
    uint32_t number = loadUnaligned<uint32_t>(reinterpret_cast<const char *>(value->bytes + i * sizeof(int32_t)));
    if (number > 6)
      return fail(ErrorCode::TokenTypeNumber,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.token_type': element %zu: expects 0 to 6, but got %d",
                  file, value->offset + i * sizeof(int32_t), i, static_cast<int32_t>(number));
    types[i] = number ? static_cast<TokenType>(number) : TokenType::Normal;
  }
  return Done{};
}

Status Vocabulary::buildTable(const Metadata &metadata, const GgufValue &tokens) {
  const char *file = metadata.file().c_str();
  size_t capacity = 16;
  while (capacity < texts.size() * 2)
    capacity *= 2;
  slots.assign(capacity, 0);
  mask64 = capacity - 1;
  const char *begin = reinterpret_cast<const char *>(tokens.bytes);
  // The table is larger than a cache: slots are fetched a few tokens ahead of their use.
  constexpr size_t ahead = 16; // a power of two
  uint64_t hashes[ahead];
  auto fetch = [&](size_t i) {
    hashes[i % ahead] = hashText(texts[i]);
    __builtin_prefetch(&slots[hashes[i % ahead] & mask64], 1);
  };
  for (size_t i = 0; i < std::min(ahead, texts.size()); ++i)
    fetch(i);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string_view text = texts[i];
    auto offset = [&] { return tokens.offset + static_cast<uint64_t>(text.data() - begin); };
    if (text.empty())
      return fail(ErrorCode::TokenEmpty,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.tokens': token %zu: expects a text, but it is empty",
                  file, offset(), i);
    if (text.size() > mostTokenBytes)
      return fail(ErrorCode::TokenLength,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.tokens': token %zu: expects at most %zu bytes, but got "
                  "%zu",
                  file, offset(), i, mostTokenBytes, text.size());
    longest = std::max(longest, text.size());
    uint64_t hash = hashes[i % ahead], tag = hash >> 32 << 32;
    if (i + ahead < texts.size())
      fetch(i + ahead);
    uint64_t at = hash & mask64;
    for (; slots[at]; at = (at + 1) & mask64)
      if ((slots[at] ^ tag) >> 32 == 0) {
        size_t other = static_cast<uint32_t>(slots[at]) - 1;
        if (texts[other] == text)
          return fail(ErrorCode::TokenDuplicate,
                      "%s: offset %" PRIu64 ": key 'tokenizer.ggml.tokens': token %zu: expects a text of its own, but "
                      "'%s' is also token %zu",
                      file, offset(), i, printable(text).c_str(), other);
      }
    slots[at] = tag | (i + 1);
  }
  return Done{};
}

Status Vocabulary::readFromJson(const Metadata &metadata) {
  constexpr const char *words = "tokenizer.folder.pre_tokenizer";
  if (!metadata.has(words))
    return Done{};
  FromJson &json = fromJson.emplace();
  Result<std::vector<std::string_view>> steps = metadata.strings(words);
  if (!steps)
    return steps.error();
  json.preTokenizer.assign(steps->begin(), steps->end());
  for (auto [key, value] : {std::pair("tokenizer.folder.ignore_merges", &json.ignoreMerges),
                            std::pair("tokenizer.folder.nfc", &json.nfc)}) {
    Result<bool> flag = metadata.boolean(key);
    if (!flag)
      return flag.error();
    *value = *flag;
  }
  if (constexpr const char *key = "tokenizer.folder.cleanup"; metadata.has(key)) {
    Result<bool> flag = metadata.boolean(key);
    if (!flag)
      return flag.error();
    json.cleansUp = *flag;
  }
  if (constexpr const char *key = "tokenizer.folder.model_tokens"; metadata.has(key)) {
    Result<uint64_t> count = metadata.unsignedInteger(key);
    if (!count)
      return count.error();
    json.modelTokens = static_cast<int32_t>(std::min<uint64_t>(*count, texts.size()));
  }
  if (constexpr const char *key = "tokenizer.folder.metaspace"; metadata.has(key)) {
    Result<std::vector<std::string_view>> switches = metadata.strings(key);
    if (!switches)
      return switches.error();
    for (std::string_view name : *switches) {
      if (name != "always" && name != "first" && name != "never" && name != "split" && name != "strip" &&
          name != "unmark")
        return fail(ErrorCode::TokenizerJsonUnsupported,
                    "%s: key '%s': expects always, first or never, split, strip and unmark, but got '%s'",
                    metadata.file().c_str(), key, printable(name).c_str());
      json.prefix = name == "always"  ? FromJson::Prefix::Always
                    : name == "first" ? FromJson::Prefix::First
                                      : json.prefix;
      json.cutsAtMarks = json.cutsAtMarks || name == "split";
      json.marksFirst = json.marksFirst || name == "unmark";
      json.stripsSpace = json.stripsSpace || name == "strip";
    }
  }
  for (auto [key, ids] :
       {std::pair("tokenizer.folder.strip_left", &json.stripLeft),
        std::pair("tokenizer.folder.strip_right", &json.stripRight), std::pair("tokenizer.folder.late", &json.late)}) {
    if (Status read = readIds(metadata, key, *ids); !read)
      return read;
    std::sort(ids->begin(), ids->end());
  }
  Result<std::vector<std::string_view>> beyond = metadata.strings("tokenizer.folder.beyond");
  if (!beyond)
    return beyond.error();
  if (!beyond->empty())
    warnings.push_back(metadata.file() + "/tokenizer.json: key 'added_tokens': '" + printable(beyond->front()) + "'" +
                       (beyond->size() > 1 ? " and " + std::to_string(beyond->size() - 1) + " more" : "") +
                       " is no token here, since the model has no row for its id");
  return Done{};
}

int32_t Vocabulary::find(std::string_view text) const {
  return text.size() > longest ? -1 : find(text, hashText(text));
}

int32_t Vocabulary::find(std::string_view text, uint64_t hash) const {
  uint64_t tag = hash >> 32;
  for (uint64_t at = hash & mask64; slots[at]; at = (at + 1) & mask64)
    if (slots[at] >> 32 == tag) {
      uint32_t id = static_cast<uint32_t>(slots[at]) - 1;
      if (texts[id] == text)
        return static_cast<int32_t>(id);
    }
  return -1;
}

int32_t Vocabulary::findPlain(std::string_view text) const {
  int32_t id = find(text);
  return id >= 0 && isPlain(id) ? id : -1;
}

Status Vocabulary::readByteTokens(const Metadata &metadata) {
  const char *file = metadata.file().c_str();
  const GgufValue *tokens = metadata.find("tokenizer.ggml.tokens");
  auto offsetOf = [&](std::string_view text) {
    return tokens->offset + static_cast<uint64_t>(text.data() - reinterpret_cast<const char *>(tokens->bytes));
  };
  for (size_t i = 0; i < types.size(); ++i)
    if (types[i] == TokenType::Byte && byteOfText(texts[i]) < 0)
      return fail(ErrorCode::ByteTokenText,
                  "%s: offset %" PRIu64 ": key 'tokenizer.ggml.tokens': token %zu: expects <0x00> to <0xFF> for a byte "
                  "token, but got '%s'",
                  file, offsetOf(texts[i]), i, printable(texts[i]).c_str());
  int present = 0, absent = 0, needless = 0; // the last: of characters that are tokens
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    byteTokens[byte] = find(text);
    const char character = static_cast<char>(byte);
    if (byteTokens[byte] >= 0)
      ++present;
    else if (model == TokenizerModel::SpmBpe && byte < 0x80 && findPlain({&character, 1}) >= 0)
      ++needless;
    else
      absent = byte;
  }
  bool used = model == TokenizerModel::Spm || model == TokenizerModel::SpmBpe;
  if (used && present && present + needless < 256)
    return fail(ErrorCode::ByteTokenMissing,
                "%s: offset %" PRIu64
                ": key 'tokenizer.ggml.tokens': expects all 256 byte tokens or none, but got %d (<0x%02X> "
                "is missing)",
                file, tokens->offset, present, absent);
  return Done{};
}

} // namespace stepdown
