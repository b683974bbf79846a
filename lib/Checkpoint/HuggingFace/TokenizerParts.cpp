// The two shapes that decoders of text have: byte-level (a ByteLevel pre-tokenizer and decoder) and SentencePiece-like
// ("▁" for spaces, bytes for what is no token); and that of BERT. Sequences are lists, whatever they nest.
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/TokenizerJson.h"

#include <algorithm>

namespace stepdown {
namespace {

constexpr const char *spaceMark = "\xe2\x96\x81";
constexpr size_t mostNesting = 8, mostParts = 64;

using Part = TokenizerPart;

/// Appends the part `object`, of a Sequence (whose list is called `list`) the parts in it.
Status flatten(const JsonObject &object, const char *list, size_t depth, std::vector<Part> &parts) {
  Result<std::string> type = object.text("type");
  if (!type)
    return type.error();
  if (*type != "Sequence") {
    parts.push_back({*type, object});
    return Done{};
  }
  const nlohmann::json *members = object.find(list);
  if (!members || !members->is_array())
    return object.refuse(list, "expects a list");
  if (depth == mostNesting || members->size() > mostParts - std::min(mostParts, parts.size()))
    return object.refuse(list, "expects at most " + std::to_string(mostParts) + " parts, nested at most " +
                                   std::to_string(mostNesting) + " times");
  for (const nlohmann::json &member : *members) {
    if (!member.is_object())
      return object.refuse(list, "expects objects");
    if (Status flat = flatten(object.within(member), list, depth + 1, parts); !flat)
      return flat;
  }
  return object.everyKeyRead(ErrorCode::TokenizerJsonUnsupported);
}

Error unsupported(const Part &part, const char *key, const std::string &expectation) {
  return unsupportedPart(part, key, expectation);
}

/// After all keys of `parts` that have a meaning were asked for.
Status everyKeyRead(const std::vector<Part> &parts) {
  for (const Part &part : parts) {
    // Of offsets into the text, and of pairs of texts, which nobody asks for.
    for (const char *name : {"trim_offsets", "pair"})
      part.object.skip(name);
    if (Status known = part.object.everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
      return known;
  }
  return Done{};
}

/// Refuses a switch of `part` that is not `value`; one that is missing is `missing`.
Status expect(const Part &part, const char *key, bool value, bool missing) {
  Result<bool> stored = part.object.boolean(key, missing);
  if (!stored)
    return stored.error();
  return *stored == value
             ? Status(Done{})
             : unsupported(part, key, std::string("expects ") + (value ? "true" : "false") + " in " + part.type);
}

/// A pattern, which is {"String": TEXT} or {"Regex": TEXT}.
Result<std::string> patternOf(const Part &part, const char *kind) {
  Result<JsonObject> pattern = part.object.object("pattern");
  if (!pattern)
    return pattern.error();
  if (!pattern->has(kind))
    return unsupported(part, "pattern", std::string("expects a ") + kind + " in " + part.type);
  Result<std::string> text = pattern->text(kind);
  if (Status known = pattern->everyKeyRead(ErrorCode::TokenizerJsonUnsupported); !known)
    return known.error();
  return text;
}

/// Replace from `from` to `to`.
Status expectReplace(const Part &part, const std::string &from, const std::string &to) {
  Result<std::string> pattern = patternOf(part, "String");
  Result<std::string> content = pattern ? part.object.text("content") : pattern;
  if (!content)
    return content.error();
  return *pattern == from && *content == to
             ? Status(Done{})
             : unsupported(part, "pattern", "expects Replace of '" + printable(from) + "' by '" + printable(to) + "'");
}

Status readNormalizer(const std::vector<Part> &parts, TokenizerParts &out, bool &marks) {
  for (const Part &part : parts) {
    out.normalizes = true;
    if (part.type == "NFC" && !out.nfc && !out.spacePrefix && !marks) {
      out.nfc = true;
    } else if (part.type == "Prepend" && !out.nfc && !out.spacePrefix && !marks) {
      Result<std::string> text = part.object.text("prepend");
      if (!text)
        return text.error();
      if (*text != spaceMark)
        return unsupported(part, "prepend", "expects U+2581");
      out.spacePrefix = true;
    } else if (part.type == "Replace" && !out.nfc && !marks) {
      if (Status replace = expectReplace(part, " ", spaceMark); !replace)
        return replace;
      marks = true;
    } else {
      return unsupported(part, "type", "expects NFC, or Prepend of U+2581 and Replace of spaces by it");
    }
  }
  return Done{};
}

Status readWords(const std::vector<Part> &parts, TokenizerParts &out, bool &marks) {
  for (const Part &part : parts) {
    if (out.byteLevel)
      return unsupported(part, "type", "expects ByteLevel last");
    if (part.type == "Metaspace" && !out.normalizes && parts.size() == 1) {
      if (Status read = readMetaspace(part, out); !read)
        return read;
      marks = true;
      return Done{};
    }
    if (part.type == "ByteLevel") {
      out.byteLevel = true;
      if (Status no = expect(part, "add_prefix_space", false, true); !no)
        return no;
      Result<bool> regex = part.object.boolean("use_regex", true);
      if (!regex)
        return regex.error();
      if (*regex)
        out.words.push_back("ByteLevel");
    } else if (part.type == "Digits" && !marks) {
      if (Status each = expect(part, "individual_digits", true, false); !each)
        return each;
      out.words.push_back("Digits");
    } else if (part.type == "Split") {
      Result<bool> invert = part.object.boolean("invert", false);
      Result<std::string> behavior = part.object.text("behavior");
      if (!behavior || !invert)
        return behavior ? invert.error() : behavior.error();
      if (marks) { // at spaces, of which the normalizer left none
        if (Status no = expect(part, "invert", false, false); !no)
          return no;
        Result<std::string> text = patternOf(part, "String");
        if (!text)
          return text.error();
        if (*text != " ")
          return unsupported(part, "pattern", "expects a split at spaces, which the normalizer replaced");
        continue;
      }
      const bool keeps = *behavior == "Removed" && *invert; // what matches, alone
      if (*behavior != "Isolated" && !keeps)
        return unsupported(part, "behavior", "expects Isolated, or Removed with invert, in Split");
      Result<std::string> pattern = patternOf(part, "Regex");
      if (!pattern)
        return pattern.error();
      out.words.push_back((keeps ? "Keep " : "Split ") + *pattern);
    } else {
      return unsupported(part, "type", marks ? "expects Split" : "expects Split, Digits or ByteLevel");
    }
  }
  return Done{};
}

/// What the decoder has to be for what encodes.
Status checkDecoder(const std::vector<Part> &parts, TokenizerParts &out, const JsonObject &tokenizer) {
  if (out.byteLevel) {
    for (const Part &part : parts)
      for (const char *name : {"add_prefix_space", "use_regex"}) // of encoding
        part.object.skip(name);
    return parts.size() == 1 && parts[0].type == "ByteLevel"
               ? Status(Done{})
               : tokenizer.refuse(ErrorCode::TokenizerJsonUnsupported, "decoder",
                                  "expects ByteLevel alone beside a ByteLevel pre_tokenizer");
  }
  // Of Metaspace, which may put "▁" before a text, the decoder alone says whether it is taken away.
  const bool strips = out.metaspace.empty() ? out.spacePrefix : parts.size() == 4;
  const size_t expected = strips ? 4 : 3;
  const char *types[] = {"Replace", "ByteFallback", "Fuse", "Strip"};
  bool same = parts.size() == expected;
  for (size_t i = 0; same && i < expected; ++i)
    same = parts[i].type == types[i];
  if (!same)
    return tokenizer.refuse(ErrorCode::TokenizerJsonUnsupported, "decoder",
                            out.spacePrefix
                                ? "expects Replace, ByteFallback, Fuse and Strip beside a Prepend normalizer"
                                : "expects Replace, ByteFallback and Fuse");
  if (Status replace = expectReplace(parts[0], spaceMark, " "); !replace || !strips)
    return replace;
  const Part &strip = parts[3];
  Result<std::string> content = strip.object.text("content");
  Result<uint64_t> start = strip.object.count("start"), stop = strip.object.count("stop");
  if (!content || !start || !stop)
    return content ? (start ? stop.error() : start.error()) : content.error();
  if (!out.metaspace.empty())
    out.metaspace.push_back("strip");
  return *content == " " && *start == 1 && *stop == 0
             ? Status(Done{})
             : unsupported(strip, "start", "expects Strip of one space at the start and none at the end");
}

/// One token before the text and one after it, at most.
Status readTemplate(const Part &part, TokenizerParts &out) {
  const nlohmann::json *single = part.object.find("single");
  if (!single || !single->is_array())
    return part.object.refuse("single", "expects a list");
  part.object.skip("special_tokens");
  bool text = false;
  for (const nlohmann::json &piece : *single) {
    const auto special = piece.is_object() ? piece.find("SpecialToken") : piece.end();
    if (special == piece.end() || !piece.is_object()) {
      if (text || !piece.is_object() || !piece.contains("Sequence"))
        return unsupported(part, "single", "expects one text, and at most one token before and one after it");
      text = true;
      continue;
    }
    std::string &token = text ? out.after : out.before;
    if (!token.empty() || !special->is_object() || !special->contains("id") || !(*special)["id"].is_string())
      return unsupported(part, "single", "expects one text, and at most one token before and one after it");
    token = (*special)["id"].get<std::string>();
    if (token.empty())
      return unsupported(part, "single", "expects tokens with a text");
    // What is put there are the ids of a list, which may say something else than the name.
    Result<JsonObject> tokens = part.object.object("special_tokens");
    Result<JsonObject> entry = tokens ? tokens->object(token.c_str()) : tokens;
    if (!entry)
      return entry.error();
    Result<std::vector<uint64_t>> ids = entry->counts("ids");
    if (!ids)
      return ids.error();
    if (ids->size() != 1)
      return entry->refuse(ErrorCode::TokenizerJsonUnsupported, "ids", "expects one id");
    (text ? out.afterId : out.beforeId) = ids->front();
  }
  return text ? Status(Done{}) : unsupported(part, "single", "expects one text");
}

/// The names and ids of [CLS] and [SEP], as older files have them.
Status readBertProcessing(const Part &part, TokenizerParts &out) {
  const struct {
    const char *key;
    std::string &token;
    uint64_t &id;
  } rows[] = {{"cls", out.before, out.beforeId}, {"sep", out.after, out.afterId}};
  for (const auto &row : rows) {
    const nlohmann::json *pair = part.object.find(row.key);
    if (!pair || !pair->is_array() || pair->size() != 2 || !(*pair)[0].is_string() ||
        !(*pair)[1].is_number_unsigned() || (*pair)[0].get_ref<const std::string &>().empty())
      return part.object.refuse(row.key, "expects the text of a token and its id");
    row.token = (*pair)[0].get<std::string>();
    row.id = (*pair)[1].get<uint64_t>();
  }
  return Done{};
}

/// What stands around WordPiece: BertNormalizer, BertPreTokenizer and the decoder WordPiece, one each.
Status readBert(const JsonObject &tokenizer, const std::vector<Part> &normalizer, const std::vector<Part> &words,
                const std::vector<Part> &decoder, TokenizerParts &out) {
  const struct {
    const char *key, *type;
    const std::vector<Part> &parts;
  } rows[] = {{"normalizer", "BertNormalizer", normalizer},
              {"pre_tokenizer", "BertPreTokenizer", words},
              {"decoder", "WordPiece", decoder}};
  for (const auto &row : rows)
    if (row.parts.size() != 1 || row.parts[0].type != row.type)
      return tokenizer.refuse(ErrorCode::TokenizerJsonUnsupported, row.key,
                              std::string("expects ") + row.type + " alone beside a WordPiece model");
  const Part &normal = normalizer[0], &back = decoder[0];
  for (const char *name : {"clean_text", "handle_chinese_chars"})
    if (Status yes = expect(normal, name, true, true); !yes)
      return yes;
  Result<bool> lower = normal.object.boolean("lowercase", true);
  if (!lower)
    return lower.error();
  Result<bool> strip = normal.object.boolean("strip_accents", *lower), cleanup = back.object.boolean("cleanup", true);
  for (const Result<bool> *each : {&strip, &cleanup})
    if (!*each)
      return each->error();
  Result<std::string> prefix = back.object.text("prefix", "##");
  if (!prefix)
    return prefix.error();
  if (*prefix != "##")
    return unsupported(back, "prefix", "expects ##");
  out.normalizes = true;
  out.lowercase = *lower, out.stripAccents = *strip, out.cleansUp = *cleanup;
  out.words.push_back("Bert");
  return Done{};
}

} // namespace

Result<TokenizerParts> readTokenizerParts(const JsonObject &tokenizer, JsonModel model) {
  const bool wordPiece = model == JsonModel::WordPiece, bpe = model == JsonModel::Bpe;
  std::vector<Part> normalizer, words, decoder, processor;
  const struct {
    const char *name, *list;
    std::vector<Part> &parts;
  } members[] = {{"normalizer", "normalizers", normalizer},
                 {"pre_tokenizer", "pretokenizers", words},
                 {"decoder", "decoders", decoder},
                 {"post_processor", "processors", processor}};
  for (const auto &member : members)
    if (tokenizer.has(member.name)) {
      Result<JsonObject> object = tokenizer.object(member.name);
      if (!object)
        return object.error();
      if (Status flat = flatten(*object, member.list, 0, member.parts); !flat)
        return flat.error();
    }
  TokenizerParts out;
  bool marks = false; // spaces become U+2581
  if (wordPiece)
    if (Status read = readBert(tokenizer, normalizer, words, decoder, out); !read)
      return read.error();
  if (model == JsonModel::Unigram)
    if (Status read = readUnigramParts(tokenizer, normalizer, words, decoder, out); !read)
      return read.error();
  if (Status read = !bpe ? Status(Done{}) : readNormalizer(normalizer, out, marks); !read)
    return read.error();
  if (Status read = !bpe ? Status(Done{}) : readWords(words, out, marks); !read)
    return read.error();
  if (bpe && (out.byteLevel == marks || (out.spacePrefix && !marks)))
    return tokenizer.refuse(
        ErrorCode::TokenizerJsonUnsupported, "pre_tokenizer",
        "expects one that ends in ByteLevel, Metaspace alone, or a normalizer that replaces spaces by U+2581");
  if (Status good = !bpe ? Status(Done{}) : checkDecoder(decoder, out, tokenizer); !good)
    return good.error();
  for (const Part &part : processor) {
    if (part.type == "ByteLevel") { // moves offsets into the text alone
      for (const char *name : {"add_prefix_space", "use_regex"})
        part.object.skip(name);
      continue;
    }
    const bool bert = part.type == "BertProcessing" && wordPiece;
    if ((part.type != "TemplateProcessing" && !bert) || !out.before.empty() || !out.after.empty())
      return unsupported(part, "type",
                         wordPiece ? "expects one TemplateProcessing or BertProcessing"
                                   : "expects ByteLevel or one TemplateProcessing");
    if (Status read = bert ? readBertProcessing(part, out) : readTemplate(part, out); !read)
      return read.error();
  }
  for (const auto &member : members)
    if (Status known = everyKeyRead(member.parts); !known)
      return known.error();
  return out;
}

} // namespace stepdown
