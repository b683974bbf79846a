#include "lib/Checkpoint/HuggingFace/TokenizerJson.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <map>
#include <unordered_set>

namespace stepdown {
namespace {

// As tokenizer.ggml.token_type numbers them.
constexpr int32_t typeNormal = 1, typeUnknown = 2, typeControl = 3, typeUserDefined = 4, typeUnused = 5, typeByte = 6;
constexpr uint64_t mostTokens = 1u << 24, spareIds = 4096;

class TokenizerReader {
public:
  TokenizerReader(const TokenizerFiles &files, PairWriter &pairs) : files(files), json(files.tokenizer), pairs(pairs) {}
  Status read();

private:
  Status readModel();
  Status readWordPiece(const JsonObject &model);
  Status readUnigram(const JsonObject &model);
  Status readVocabulary(const JsonObject &model);
  Status readAdded();
  Status readAddedToken(const JsonObject &token);
  Status readMerges(const JsonObject &model);
  Status checkBytes() const;
  Status readIds();
  Status readSettings();
  Status readTemplate();
  Status place(const std::string &text, uint64_t id, int32_t type, const char *where);
  /// The id of `text`, or -1.
  int64_t idOf(const std::string &text) const {
    auto at = ids.find(text);
    return at == ids.end() ? -1 : at->second;
  }
  Error form(const std::string &text) const {
    return fail(ErrorCode::TokenizerJsonForm, "%s: %s", json.file().c_str(), text.c_str());
  }

  const TokenizerFiles &files;
  const JsonObject &json;
  PairWriter &pairs;
  TokenizerParts parts;
  std::map<std::string, int32_t> ids;
  std::vector<std::string> tokens; // by id; "" where there is none
  std::vector<int32_t> types;
  std::vector<int32_t> stripLeft, stripRight, late;
  std::vector<std::string> beyond;
  std::string unknown;
  bool wordPiece = false; // the model
  bool fallsBack = true;  // bytes that are tokens are such
  uint64_t nextAdded = 0; // id of an added token that the vocabulary lacks
};

/// Puts a token of `where` at its id.
Status TokenizerReader::place(const std::string &text, uint64_t id, int32_t type, const char *where) {
  if (text.empty())
    return form(std::string(where) + ": expects tokens with a text, but token " + std::to_string(id) + " has none");
  if (id >= files.rows)
    return form(std::string(where) + ": expects ids below " + std::to_string(files.rows) +
                ", vocab_size of config.json, but '" + printable(text) + "' has " + std::to_string(id));
  if (id >= mostTokens)
    return form(std::string(where) + ": expects ids below " + std::to_string(mostTokens) + ", but '" + printable(text) +
                "' has " + std::to_string(id));
  if (!ids.emplace(text, static_cast<int32_t>(id)).second)
    return form(std::string(where) + ": expects each text once, but '" + printable(text) + "' is repeated");
  if (id >= tokens.size()) {
    // Ids without a token are rare; they may not be more than the file can be about.
    if (id > 2 * ids.size() + spareIds)
      return form(std::string(where) + ": expects ids without wide gaps, but '" + printable(text) + "' has " +
                  std::to_string(id) + " after " + std::to_string(tokens.size()) + " tokens");
    tokens.resize(static_cast<size_t>(id) + 1);
    types.resize(tokens.size(), typeUnused);
  }
  if (!tokens[id].empty())
    return form(std::string(where) + ": expects ids of one token each, but '" + printable(text) + "' and '" +
                printable(tokens[id]) + "' have " + std::to_string(id));
  tokens[id] = text;
  types[id] = type;
  return Done{};
}

Status TokenizerReader::readVocabulary(const JsonObject &model) {
  const nlohmann::json *vocabulary = model.find("vocab");
  if (!vocabulary || !vocabulary->is_object())
    return model.refuse("vocab", "expects an object");
  std::vector<std::pair<uint64_t, const std::string *>> order; // by id, so that gaps show at once
  for (const auto &[text, id] : vocabulary->items()) {
    if (!id.is_number_unsigned())
      return form("key 'model.vocab': expects whole numbers, but '" + printable(text) + "' has " + shownJson(id));
    order.emplace_back(id.get<uint64_t>(), nullptr);
  }
  size_t next = 0;
  for (auto member = vocabulary->begin(); member != vocabulary->end(); ++member)
    order[next++].second = &member.key();
  std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
  for (const auto &[id, text] : order)
    if (Status placed = place(*text, id, typeNormal, "key 'model.vocab'"); !placed)
      return placed;
  return Done{};
}

Status TokenizerReader::readModel() {
  Result<JsonObject> model = json.object("model");
  Result<std::string> type = model ? model->text("type", "BPE") : Result<std::string>(model.error());
  if (!type)
    return type.error();
  if (*type == "WordPiece")
    return readWordPiece(*model);
  if (*type == "Unigram")
    return readUnigram(*model);
  if (*type != "BPE")
    return model->refuse(ErrorCode::TokenizerJsonUnsupported, "type", "expects BPE, Unigram or WordPiece");
  Result<TokenizerParts> around = readTokenizerParts(json, JsonModel::Bpe);
  if (!around)
    return around.error();
  parts = std::move(*around);
  if (Result<double> dropout = model->real("dropout", 0); !dropout || *dropout != 0)
    return model->refuse(ErrorCode::TokenizerJsonUnsupported, "dropout", "expects none");
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (Result<std::string> text = model->text(name, ""); !text || !text->empty())
      return model->refuse(ErrorCode::TokenizerJsonUnsupported, name, "expects none");
  Result<bool> bytes = model->boolean("byte_fallback", false), whole = model->boolean("ignore_merges", false),
               fuse = model->boolean("fuse_unk", false);
  for (const Result<bool> *each : {&bytes, &whole, &fuse})
    if (!*each)
      return each->error();
  if (*bytes == parts.byteLevel)
    return model->refuse(ErrorCode::TokenizerJsonUnsupported, "byte_fallback",
                         parts.byteLevel ? "expects false beside ByteLevel" : "expects true without ByteLevel");
  if (*whole && !parts.byteLevel)
    return model->refuse(ErrorCode::TokenizerJsonUnsupported, "ignore_merges", "expects false without ByteLevel");
  Result<std::string> unk = model->text("unk_token", "");
  if (!unk)
    return unk.error();
  unknown = *unk;
  if (*fuse && parts.byteLevel && !unknown.empty())
    return model->refuse(ErrorCode::TokenizerJsonUnsupported, "fuse_unk", "expects false beside ByteLevel");
  for (const char *name : {"vocab", "merges"})
    model->skip(name);
  if (Status known = model->everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known;
  if (Status read = readVocabulary(*model); !read)
    return read;
  if (Status read = readAdded(); !read)
    return read;
  if (Status good = checkBytes(); !good)
    return good;
  pairs.add("tokenizer.ggml.model", parts.byteLevel ? "gpt2" : "gemma4");
  pairs.add("tokenizer.folder.pre_tokenizer", parts.words);
  pairs.add("tokenizer.folder.ignore_merges", *whole);
  pairs.add("tokenizer.folder.nfc", parts.nfc);
  return readMerges(*model);
}

/// Tokens keep their texts: "##" stands before those that continue a word.
Status TokenizerReader::readWordPiece(const JsonObject &model) {
  wordPiece = true;
  Result<TokenizerParts> around = readTokenizerParts(json, JsonModel::WordPiece);
  if (!around)
    return around.error();
  parts = std::move(*around);
  Result<std::string> unk = model.text("unk_token", "[UNK]"), prefix = model.text("continuing_subword_prefix", "##");
  for (const Result<std::string> *each : {&unk, &prefix})
    if (!*each)
      return each->error();
  if (*prefix != "##")
    return model.refuse(ErrorCode::TokenizerJsonUnsupported, "continuing_subword_prefix", "expects ##");
  if (Result<uint64_t> most = model.count("max_input_chars_per_word", 100); !most || *most != 100)
    return model.refuse(ErrorCode::TokenizerJsonUnsupported, "max_input_chars_per_word", "expects 100");
  unknown = *unk;
  model.skip("vocab");
  if (Status known = model.everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known;
  if (Status read = readVocabulary(model); !read)
    return read;
  if (Status read = readAdded(); !read)
    return read;
  pairs.add("tokenizer.ggml.model", "bert");
  pairs.add("tokenizer.ggml.normalizer.lowercase", parts.lowercase);
  pairs.add("tokenizer.ggml.normalizer.strip_accents", parts.stripAccents);
  pairs.add("tokenizer.folder.pre_tokenizer", parts.words);
  pairs.add("tokenizer.folder.ignore_merges", false);
  pairs.add("tokenizer.folder.nfc", false);
  pairs.add("tokenizer.folder.cleanup", parts.cleansUp);
  return Done{};
}

/// A list of texts and scores, whose places are the ids.
Status TokenizerReader::readUnigram(const JsonObject &model) {
  Result<TokenizerParts> around = readTokenizerParts(json, JsonModel::Unigram);
  if (!around)
    return around.error();
  parts = std::move(*around);
  Result<uint64_t> unk = model.count("unk_id");
  Result<bool> bytes = model.boolean("byte_fallback", false);
  if (!unk || !bytes)
    return unk ? bytes.error() : unk.error();
  const nlohmann::json *list = model.find("vocab");
  if (!list || !list->is_array())
    return model.refuse("vocab", "expects a list");
  if (Status known = model.everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known;
  std::vector<float> scores;
  for (const nlohmann::json &entry : *list) {
    const std::string at = "key 'model.vocab': token " + std::to_string(scores.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      return form(at + ": expects a text and a score, but got " + shownJson(entry));
    const double score = entry[1].get<double>();
    if (double(static_cast<float>(score)) != score) // sums of others would differ in their last digits
      return form(at + ": expects a score that is a float32, but got " + shownJson(entry[1]));
    scores.push_back(static_cast<float>(score));
    if (Status placed = place(entry[0].get<std::string>(), scores.size() - 1, typeNormal, "key 'model.vocab'"); !placed)
      return placed;
  }
  if (*unk >= scores.size())
    return model.refuse("unk_id", "expects the id of a token");
  unknown = tokens[*unk];
  fallsBack = *bytes;
  if (fallsBack)
    if (Status good = checkBytes(); !good)
      return good;
  if (Status read = readAdded(); !read)
    return read;
  if (fallsBack) // once more: a character that stands for its byte may be a control token by now
    if (Status good = checkBytes(); !good)
      return good;
  pairs.add("tokenizer.folder.model_tokens", uint64_t(scores.size()));
  scores.resize(tokens.size()); // of added tokens, which are no part of the model
  pairs.add("tokenizer.ggml.model", "t5");
  pairs.add("tokenizer.ggml.scores", scores);
  if (!parts.charsMap.empty())
    pairs.add("tokenizer.ggml.precompiled_charsmap", parts.charsMap);
  pairs.add("tokenizer.folder.pre_tokenizer", parts.words);
  pairs.add("tokenizer.folder.ignore_merges", false);
  pairs.add("tokenizer.folder.nfc", false);
  return Done{};
}

Status TokenizerReader::readAddedToken(const JsonObject &token) {
  Result<uint64_t> id = token.count("id");
  Result<std::string> text = token.text("content");
  Result<bool> special = token.boolean("special", false), left = token.boolean("lstrip", false),
               right = token.boolean("rstrip", false), normalized = token.boolean("normalized", false),
               word = token.boolean("single_word", false);
  if (!id || !text)
    return id ? text.error() : id.error();
  for (const Result<bool> *each : {&special, &left, &right, &normalized, &word})
    if (!*each)
      return each->error();
  if (*word)
    return token.refuse(ErrorCode::TokenizerJsonUnsupported, "single_word",
                        "expects false ('" + printable(*text) + "')");
  if (*normalized && parts.normalizes)
    return token.refuse(ErrorCode::TokenizerJsonUnsupported, "normalized",
                        "expects false where there is a normalizer ('" + printable(*text) + "')");
  if (Status known = token.everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known;
  const int64_t known = idOf(*text);
  if (known >= 0 && static_cast<uint64_t>(known) != *id)
    return form("key 'added_tokens': expects '" + printable(*text) + "' at its id in the vocabulary, " +
                std::to_string(known) + ", but got " + std::to_string(*id));
  // The package gives one that is not in the vocabulary the next id, whatever the file says.
  if (known < 0 && *id != nextAdded)
    return form("key 'added_tokens': expects '" + printable(*text) +
                "', which is not in the vocabulary, at the next id, " + std::to_string(nextAdded) + ", but got " +
                std::to_string(*id));
  nextAdded = std::max(nextAdded, *id + 1);
  // An id that the model has no row for: of a part that this model lacks, as the images of Gemma.
  if (known < 0 && *id >= files.rows) {
    beyond.push_back(*text);
    return Done{};
  }
  if (known < 0)
    if (Status placed = place(*text, *id, typeNormal, "key 'added_tokens'"); !placed)
      return placed;
  const int32_t place = static_cast<int32_t>(*id);
  types[*id] = *special ? typeControl : typeUserDefined;
  if (*left)
    stripLeft.push_back(place);
  if (*right)
    stripRight.push_back(place);
  if (*normalized)
    late.push_back(place);
  return Done{};
}

Status TokenizerReader::readAdded() {
  nextAdded = ids.size();
  const nlohmann::json *added = json.find("added_tokens");
  if (added && !added->is_array())
    return json.refuse("added_tokens", "expects a list");
  if (added)
    for (const nlohmann::json &each : *added) {
      if (!each.is_object())
        return json.refuse("added_tokens", "expects objects");
      if (Status read = readAddedToken({json.file(), each, ErrorCode::TokenizerJsonForm, "added_tokens."}); !read)
        return read;
    }
  if (tokens.empty())
    return form("key 'model.vocab': expects a token, but there is none");
  if (!unknown.empty()) {
    const int64_t id = idOf(unknown);
    if (id < 0)
      return form("key 'model.unk_token': expects a token, but '" + printable(unknown) + "' is none");
    types[id] = typeUnknown;
    pairs.add("tokenizer.ggml.unknown_token_id", uint64_t(id));
  }
  return Done{};
}

/// Without ByteLevel what is no token becomes bytes, each a token of its own. A character of one byte that is a token
/// never does: vocabularies of Gemma have "\t" in place of <0x09>.
Status TokenizerReader::checkBytes() const {
  if (parts.byteLevel)
    return Done{};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    const int64_t character = byte < 0x80 ? idOf(std::string(1, static_cast<char>(byte))) : -1;
    if (idOf(text) < 0 && (character < 0 || types[static_cast<size_t>(character)] == typeControl))
      return form(std::string("key 'model.byte_fallback': expects a token for each byte, but ") + text + " is missing");
  }
  return Done{};
}

Status TokenizerReader::readMerges(const JsonObject &model) {
  const nlohmann::json *list = model.find("merges");
  if (!list || !list->is_array())
    return model.refuse("merges", "expects a list");
  std::vector<std::string> merges;
  std::unordered_set<uint64_t> before; // pairs of ids; the package takes the last of two equal ones
  merges.reserve(list->size());
  for (const nlohmann::json &merge : *list) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string &text = merge.get_ref<const std::string &>();
      const size_t space = text.find(' ');
      left = text.substr(0, space);
      right = space == text.npos ? "" : text.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    }
    const int64_t leftId = idOf(left), rightId = idOf(right);
    const char *problem =
        left.empty() || right.empty()                                       ? "expects two parts"
        : left.find(' ') != left.npos || right.find(' ') != right.npos      ? "expects parts without spaces"
        : leftId < 0 || rightId < 0                                         ? "expects parts that are tokens"
        : idOf(left + right) < 0                                            ? "expects what it makes to be a token"
        : !before.insert(uint64_t(leftId) << 32 | uint64_t(rightId)).second ? "expects a merge that is there once"
                                                                            : nullptr;
    if (problem)
      return form("key 'model.merges': merge " + std::to_string(merges.size()) + ": " + problem + ", but got '" +
                  printable(left) + "' and '" + printable(right) + "'");
    merges.push_back(left + " " + right);
  }
  pairs.add("tokenizer.ggml.merges", merges);
  return Done{};
}

/// Tokens that tokenizer_config.json names, as a text or as an object with one.
Status TokenizerReader::readSettings() {
  const struct {
    const char *theirs, *ours;
  } rows[] = {{"bos_token", "bos_token_id"}, {"eos_token", "eos_token_id"}, {"pad_token", "padding_token_id"}};
  for (const auto &row : rows) {
    int64_t id = -1;
    const std::string &around = row.ours[0] == 'b' ? parts.before : parts.after;
    if (row.ours[0] != 'p' && !around.empty()) {
      if ((id = idOf(around)) < 0)
        return form("key 'post_processor.single': expects a token, but '" + printable(around) + "' is none");
      if (const uint64_t listed = row.ours[0] == 'b' ? parts.beforeId : parts.afterId; listed != uint64_t(id))
        return form("key 'post_processor.special_tokens': expects '" + printable(around) + "' at its id, " +
                    std::to_string(id) + ", but got " + std::to_string(listed));
    } else if (files.settings && files.settings->has(row.theirs)) {
      const nlohmann::json &token = *files.settings->find(row.theirs);
      const bool object = token.is_object() && token.contains("content") && token["content"].is_string();
      if (!object && !token.is_string())
        return files.settings->refuse(row.theirs, "expects the text of a token");
      const std::string text = object ? token["content"].get<std::string>() : token.get<std::string>();
      if ((id = idOf(text)) < 0)
        return files.settings->refuse(row.theirs, "expects a token of tokenizer.json");
    } else if (row.ours[0] == 'b' && files.bos) {
      id = static_cast<int64_t>(std::min<uint64_t>(*files.bos, mostTokens));
    } else if (row.ours[0] == 'e' && !files.ends.empty()) {
      id = static_cast<int64_t>(std::min<uint64_t>(files.ends.front(), mostTokens));
    }
    if (id < 0)
      continue;
    if (static_cast<size_t>(id) >= tokens.size() || tokens[static_cast<size_t>(id)].empty())
      return form(std::string("key '") + row.ours + "' of config.json: expects the id of a token, but got " +
                  std::to_string(id));
    pairs.add(std::string("tokenizer.ggml.") + row.ours, uint64_t(id));
  }
  return Done{};
}

Status TokenizerReader::readIds() {
  if (Status read = readSettings(); !read)
    return read;
  std::vector<int32_t> ends;
  for (uint64_t id : files.ends) {
    if (id >= tokens.size() || tokens[id].empty())
      return form("key 'eos_token_id' of generation_config.json or config.json: expects ids of tokens, but got " +
                  std::to_string(id));
    ends.push_back(static_cast<int32_t>(id));
  }
  pairs.add("tokenizer.ggml.eos_token_ids", ends);
  pairs.add("tokenizer.ggml.add_bos_token", !parts.before.empty());
  pairs.add("tokenizer.ggml.add_eos_token", !parts.after.empty());
  pairs.add("tokenizer.ggml.add_space_prefix", parts.spacePrefix);
  if (!parts.metaspace.empty())
    pairs.add("tokenizer.folder.metaspace", parts.metaspace);
  pairs.add("tokenizer.folder.strip_left", stripLeft);
  pairs.add("tokenizer.folder.strip_right", stripRight);
  pairs.add("tokenizer.folder.late", late);
  pairs.add("tokenizer.folder.beyond", beyond);
  // Ids that stand for nothing have a text that no other has.
  for (size_t id = 0, number = 0; id < tokens.size(); ++id)
    while (tokens[id].empty())
      if (std::string text = "[unused" + std::to_string(number++) + "]"; idOf(text) < 0)
        tokens[id] = text;
  for (size_t id = 0; id < tokens.size() && !parts.byteLevel && !wordPiece && fallsBack; ++id)
    if (types[id] == typeNormal && tokens[id].size() == 6 && tokens[id].compare(0, 3, "<0x") == 0 &&
        tokens[id][5] == '>')
      types[id] = typeByte;
  pairs.add("tokenizer.ggml.tokens", tokens);
  pairs.add("tokenizer.ggml.token_type", types);
  return readTemplate();
}

/// A file of its own goes first; of several in tokenizer_config.json the one called default.
Status TokenizerReader::readTemplate() {
  constexpr const char *key = "tokenizer.chat_template";
  if (files.chat) {
    pairs.add(key, *files.chat);
    return Done{};
  }
  const nlohmann::json *value = files.settings ? files.settings->find("chat_template") : nullptr;
  if (!value)
    return Done{};
  if (value->is_string()) {
    pairs.add(key, std::string_view(value->get_ref<const std::string &>()));
    return Done{};
  }
  if (!value->is_array())
    return files.settings->refuse("chat_template", "expects a text or a list of templates");
  bool found = false;
  for (const nlohmann::json &each : *value) {
    if (!each.is_object() || !each.contains("name") || !each.contains("template") || !each["template"].is_string())
      return files.settings->refuse("chat_template", "expects templates with name and template");
    if (each["name"] != "default")
      continue;
    if (found)
      return files.settings->refuse("chat_template", "expects one template called default");
    found = true;
    pairs.add(key, std::string_view(each["template"].get_ref<const std::string &>()));
  }
  return Done{};
}

Status TokenizerReader::read() {
  if (Status model = readModel(); !model)
    return model;
  json.skip("version");
  for (const char *name : {"truncation", "padding"}) // transformers takes both away where a caller asks for neither
    json.skip(name);
  if (Status known = json.everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known;
  return readIds();
}

} // namespace

Status readTokenizerJson(const TokenizerFiles &files, PairWriter &pairs) {
  return TokenizerReader(files, pairs).read();
}

} // namespace stepdown
