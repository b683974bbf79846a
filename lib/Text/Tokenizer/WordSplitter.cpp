// Runs the patterns of a pre-tokenizer with PCRE2.
//
// Words are matched within their piece alone: a lookahead must not see beyond it. The text is known to be well-formed,
// so no call checks it again, which would make the whole quadratic.
#include "lib/Text/Tokenizer/PreTokenizers.h"
#include "lib/Text/Tokenizer/Utf8.h"

#include <new>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

namespace stepdown {
namespace {

/// Steps that a pattern may take beyond those that a long piece needs; no pattern of the table comes near.
constexpr uint32_t matchLimit = 1u << 30;

/// Unicode's White_Space. PCRE2's \s under PCRE2_UCP has U+180E too, which is none since Unicode 6.3.
constexpr const char *whiteSpace = "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
                                   "\\x{205F}\\x{3000}";

/// `pattern` with \s and \S spelt out, inside classes and outside.
std::string spellOut(std::string_view pattern) {
  std::string out;
  bool inClass = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      inClass = c == '[' || (inClass && c != ']');
      out += c;
      continue;
    }
    char escaped = pattern[++i];
    if (escaped == 's' && inClass)
      out += whiteSpace;
    else if (escaped == 's' || escaped == 'S')
      out.append(escaped == 's' ? "[" : "[^").append(whiteSpace).append("]");
    else
      (out += c) += escaped;
  }
  return out;
}

template <typename T, void (*Free)(T *)> struct Freed {
  void operator()(T *object) const { Free(object); }
};
template <typename T, void (*Free)(T *)> using Owned = std::unique_ptr<T, Freed<T, Free>>;

/// What a match needs; std::bad_alloc.
struct MatchState {
  Owned<pcre2_match_data, pcre2_match_data_free> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context, pcre2_match_context_free> context{pcre2_match_context_create(nullptr)};
  MatchState() {
    if (!data || !context)
      throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), matchLimit);
  }
};

/// Cuts every run of decimal digits in `piece` where the rest of the run is a multiple of three.
void cutDigits(std::string_view piece, std::vector<std::string_view> &words) {
  auto isDigit = [&](size_t at, size_t length) {
    return utf8proc_category(static_cast<int32_t>(codePoint(piece.substr(at), length))) == UTF8PROC_CATEGORY_ND;
  };
  size_t begin = 0;
  for (size_t at = 0; at < piece.size();) {
    std::vector<size_t> run; // where its digits begin
    size_t length = 0;
    while (at < piece.size() && (length = characterLength(piece.substr(at))) && isDigit(at, length)) {
      run.push_back(at);
      at += length;
    }
    for (size_t i = 0; i < run.size(); ++i)
      if ((run.size() - i) % 3 == 0 && run[i] > begin) {
        words.push_back(piece.substr(begin, run[i] - begin));
        begin = run[i];
      }
    if (run.empty())
      at += length;
  }
  words.push_back(piece.substr(begin));
}

} // namespace

struct WordSplitter::Pattern {
  Owned<pcre2_code, pcre2_code_free> code;
  bool compiled; // to machine code
  explicit Pattern(Owned<pcre2_code, pcre2_code_free> given)
      : code(std::move(given)), compiled(pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0) {}
};

WordSplitter::WordSplitter() = default;
WordSplitter::~WordSplitter() = default;

Result<std::unique_ptr<WordSplitter>> WordSplitter::create(const PreTokenizer &row) {
  auto splitter = std::unique_ptr<WordSplitter>(new WordSplitter);
  splitter->groupDigits = row.groupDigits;
  for (const std::string &pattern : row.patterns) {
    std::string spelt = spellOut(pattern);
    int error = 0;
    PCRE2_SIZE offset = 0;
    Owned<pcre2_code, pcre2_code_free> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelt.data()), spelt.size(),
                                                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    if (!code && error == PCRE2_ERROR_HEAP_FAILED) // no fault of the pattern
      throw std::bad_alloc();
    if (!code) {
      PCRE2_UCHAR text[128] = {};
      pcre2_get_error_message(error, text, sizeof text);
      return fail(ErrorCode::PreTokenizerPattern, "pre-tokenizer '%s': offset %zu: %s", row.names.front(), offset,
                  reinterpret_cast<const char *>(text));
    }
    splitter->patterns.push_back(std::make_unique<const Pattern>(std::move(code)));
  }
  return splitter;
}

Status WordSplitter::split(std::string_view text, std::vector<std::string_view> &words, uint64_t &steps) const {
  const MatchState state;
  words.assign(1, text);
  std::vector<std::string_view> pieces;
  for (const auto &pattern : patterns) {
    auto match = pattern->compiled ? pcre2_jit_match : pcre2_match;
    pieces.swap(words);
    words.clear();
    for (std::string_view piece : pieces) {
      size_t at = 0; // end of the match before
      while (at < piece.size()) {
        ++steps;
        int count = match(pattern->code.get(), reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(), at,
                          PCRE2_NO_UTF_CHECK, state.data.get(), state.context.get());
        if (count == PCRE2_ERROR_NOMATCH)
          break;
        if (count == PCRE2_ERROR_NOMEMORY)
          throw std::bad_alloc();
        const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(state.data.get());
        if (count < 0 || bounds[1] <= at)
          return fail(ErrorCode::PreTokenizerMatch,
                      "text: expects a pre-tokenizer match within its limits at byte %zu, but PCRE2 gave error %d",
                      static_cast<size_t>(piece.data() - text.data()) + at, count);
        if (bounds[0] > at)
          words.push_back(piece.substr(at, bounds[0] - at));
        words.push_back(piece.substr(bounds[0], bounds[1] - bounds[0]));
        at = bounds[1];
      }
      if (at < piece.size())
        words.push_back(piece.substr(at));
    }
  }
  if (!groupDigits)
    return Done{};
  pieces.swap(words);
  words.clear();
  for (std::string_view piece : pieces)
    cutDigits(piece, words);
  return Done{};
}

} // namespace stepdown
