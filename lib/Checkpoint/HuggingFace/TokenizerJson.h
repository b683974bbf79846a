// tokenizer.json as the keys that GGUF has for a tokenizer, and a few under tokenizer.folder for what GGUF cannot say:
//     tokenizer.folder.pre_tokenizer  how text is cut into words: "Split REGEX", "Digits", "ByteLevel", in order;
//                                     "Keep REGEX" drops what it does not match
//                                     of Unigram "Precompiled", "StripRight", "Spaces TEXT" (for two or more) and
//                                     "WhitespaceSplit"
//     tokenizer.folder.ignore_merges  a word that is a token is taken whole
//     tokenizer.folder.nfc            text is brought into Unicode NFC
//     tokenizer.folder.metaspace      "▁" for spaces: "always", "first" or "never" before a text; "split" into words;
//                                     "strip" of the first space of a decoded text; "unmark" its first token
//     tokenizer.folder.strip_left, strip_right   ids of added tokens that take white space beside them
//     tokenizer.folder.late           ids of added tokens that are looked for in what the others left
//     tokenizer.folder.beyond         added tokens that are left out, since their ids are at or above vocab_size
//     tokenizer.folder.missing        there is no tokenizer.json, and no other of these keys
// What the tokenizer here does not do is refused by its name (E1421), and what has not the form of the format by E1420.
#pragma once
#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include "lib/Checkpoint/PairWriter.h"

#include <optional>

namespace stepdown {

struct TokenizerFiles {
  const JsonObject &tokenizer;
  const JsonObject *settings;        ///< tokenizer_config.json, or null
  const std::string_view *chat;      ///< chat_template.jinja, or null
  uint64_t rows;                     ///< vocab_size of config.json: ids are below it
  std::optional<uint64_t> bos;       ///< of config.json
  const std::vector<uint64_t> &ends; ///< of generation_config.json or config.json
};

Status readTokenizerJson(const TokenizerFiles &files, PairWriter &pairs);

/// What stands around the model of a tokenizer.json.
struct TokenizerParts {
  bool byteLevel = false;  ///< else SentencePiece-like: characters, with "▁" for spaces
  bool normalizes = false; ///< there is a normalizer
  bool nfc = false, spacePrefix = false;
  std::vector<std::string> metaspace; ///< tokenizer.folder.metaspace, or none
  std::vector<std::string> words;     ///< tokenizer.folder.pre_tokenizer
  std::string before, after;          ///< tokens that are put around a text, or none
  uint64_t beforeId = 0, afterId = 0;
  std::vector<uint8_t> charsMap; ///< of model Unigram: tokenizer.ggml.precompiled_charsmap
  /// Of model WordPiece: what BertNormalizer does, and whether the decoder takes spaces away before punctuation.
  bool lowercase = true, stripAccents = true, cleansUp = true;
};

enum class JsonModel { Bpe, WordPiece, Unigram };

/// normalizer, pre_tokenizer, decoder and post_processor of `tokenizer`.
Result<TokenizerParts> readTokenizerParts(const JsonObject &tokenizer, JsonModel model);

/// A part of one of these four, of a Sequence one of those in it.
struct TokenizerPart {
  std::string type;
  JsonObject object;
};

/// What stands around Unigram: Precompiled, Strip and Replace of runs of spaces, each where it is there; Metaspace,
/// with or without WhitespaceSplit before it; the decoder Metaspace.
Status readUnigramParts(const JsonObject &tokenizer, const std::vector<TokenizerPart> &normalizer,
                        const std::vector<TokenizerPart> &words, const std::vector<TokenizerPart> &decoder,
                        TokenizerParts &out);
/// The pre-tokenizer Metaspace: its scheme and whether it splits to `out.metaspace`.
Status readMetaspace(const TokenizerPart &part, TokenizerParts &out);
/// An E1421 that names the part's key.
Error unsupportedPart(const TokenizerPart &part, const char *key, const std::string &expectation);

} // namespace stepdown
