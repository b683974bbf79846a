// The keys of tokenizer. that the kind of tokenizer at hand does not read: what each asks for, or why it asks for
// nothing.
#include "lib/Checkpoint/UnreadKeys.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <iterator>

namespace stepdown {
namespace {

using Key = UnreadKey;

constexpr Key keys[] = {
    {"chat_template*", Key::Harmless,
     "the default template is read where one is asked for, the others have no command"},
    {"chat_templates", Key::Harmless, "the names of those others"},
    {"huggingface.*", Key::Harmless, "the tokenizer once more, in another format"},
    {"ggml.scores", Key::Harmless, "merges rank the pairs"},
    {"ggml.merges", Key::Harmless, "scores rank the pieces"},
    {"ggml.token_type_count", Key::Harmless, "segments of encoders, which no text has"},
    {"ggml.add_sep_token", Key::Harmless,
     "joins two texts for an encoder that compares them; one text has no separator"},
    {"ggml.add_padding_token", Key::Harmless, "batches are not padded"},
    {"ggml.add_unknown_token", Key::Harmless, "nothing is put around a text but what begins and ends it"},
    {"ggml.add_mask_token", Key::Harmless, "nothing is put around a text but what begins and ends it"},
    {"ggml.precompiled_charsmap", Key::OffAtZero, "a map of characters"},
    {"ggml.remove_extra_whitespaces", Key::OffAtZero, "removing spaces"},
    {"ggml.normalizer.lowercase", Key::OffAtZero, "lower case"},
    {"ggml.normalizer.strip_accents", Key::OffAtZero, "removing accents"},
    {"ggml.add_cls_token", Key::OffAtZero, "a token in front beside BOS"},
    {"rwkv.*", Key::Refused, "this vocabulary"},
};

const char *kindName(TokenizerModel model) {
  switch (model) {
  case TokenizerModel::Spm:
    return "a tokenizer of kind llama";
  case TokenizerModel::Bpe:
    return "a tokenizer of kind gpt2";
  case TokenizerModel::SpmBpe:
    return "a tokenizer of kind gemma4";
  case TokenizerModel::WordPiece:
    return "a tokenizer of kind bert";
  case TokenizerModel::Unigram:
    break;
  }
  return "a tokenizer of kind t5";
}

} // namespace

Status checkTokenizerKeys(const Metadata &metadata, const KeyLog &log, TokenizerModel model) {
  return judgeUnread(metadata, log, "tokenizer.", keys, std::size(keys), ErrorCode::TokenizerKeyUnread,
                     kindName(model));
}

} // namespace stepdown
