#include "lib/Text/Tokenizer/PreTokenizers.h"

namespace stepdown {
namespace {

// Parts that many rows share. \s, \p and \d are Unicode's.
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define WORDS(CONTRACTIONS, NUMBER)                                                                                    \
  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" NUMBER "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_WORDS(CONTRACTIONS, NUMBER)                                                                              \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" CONTRACTIONS \
  "|" NUMBER "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
// Everything but white space and a few marks, in the scripts that the models were trained on.
#define FEW_MARKS " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"
#define CHINESE_KOREAN "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

/// The cased letters of the Unicode version that deepseek-llm was frozen at.
constexpr const char *casedLetters =
    "\\x{0041}-\\x{005A}\\x{0061}-\\x{007A}\\x{00B5}\\x{00C0}-\\x{00D6}\\x{00D8}-\\x{00F6}\\x{00F8}-\\x{01BA}"
    "\\x{01BC}-\\x{01BF}\\x{01C4}-\\x{0293}\\x{0295}-\\x{02AF}\\x{0370}-\\x{0373}\\x{0376}-\\x{0377}"
    "\\x{037B}-\\x{037D}\\x{037F}\\x{0386}\\x{0388}-\\x{038A}\\x{038C}\\x{038E}-\\x{03A1}\\x{03A3}-\\x{03F5}"
    "\\x{03F7}-\\x{0481}\\x{048A}-\\x{052F}\\x{0531}-\\x{0556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}"
    "\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}"
    "\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}"
    "\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}"
    "\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}"
    "\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}"
    "\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}-\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"
    "\\x{2CF2}-\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"
    "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}"
    "\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}"
    "\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}";

const std::vector<PreTokenizer> &table() {
  static const std::vector<PreTokenizer> rows = {
      {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe", "exaone4", "modern-bert", "gigachat", "a.x-4.0",
        "mellum", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "trillion", "granite-docling"},
       {GPT2}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"},
       {"\\p{N}", GPT2}},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe",
        "chatglm-bpe", "glm4", "jina-v5-nano"},
       {WORDS(CONTRACTION, "\\p{N}{1,3}")}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "f2llmv2", "solar-open", "grok-2"},
       {WORDS(CONTRACTION, "\\p{N}")}},
      {{"qwen35"},
       {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES}},
      {{"falcon"}, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
      {{"default"}, {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
      {{"deepseek-coder"}, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CHINESE_KOREAN, "\\p{N}"}},
      {{"deepseek-llm"},
       {"[\\r\\n]", std::string("\\s?[") + casedLetters + "]+",
        "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
        // \s+$, written so that white space which is not at the end is passed over once and not once a character.
        "\\s++(?:$|(*SKIP)(*FAIL))", CHINESE_KOREAN, "\\p{N}+"}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
        " ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES}},
      {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {CASED_WORDS(CONTRACTION "?", "\\p{N}{1,3}")}},
      {{"tekken"}, {CASED_WORDS("", "\\p{N}")}},
      {{"poro-chat", "bloom", "gpt3-finnish"}, {FEW_MARKS}},
      {{"viking"}, {FEW_MARKS, "\\p{N}"}},
      {{"superbpe"}, {"\\p{N}+"}, true},
      {{"bailingmoe", "llada-moe"},
       {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|"
        "\\s+(?!\\S)|\\s+"}},
      {{"gemma4"}, {"[^\\n]+|[\\n]+"}},
  };
  return rows;
}

} // namespace

const PreTokenizer *findPreTokenizer(std::string_view name) {
  for (const PreTokenizer &row : table())
    for (const char *known : row.names)
      if (name == known)
        return &row;
  return nullptr;
}

const PreTokenizer *findPreTokenizer(const std::vector<std::string> &parts) {
  constexpr std::string_view split = "Split ", keep = "Keep ", gpt2 = GPT2,
                             rest = "|\\s+"; // white space is a gap, and a piece, anyway
  std::vector<std::string> patterns;
  for (std::string_view part : parts) {
    const bool isSplit = part.substr(0, split.size()) == split, keeps = part.substr(0, keep.size()) == keep;
    std::string_view pattern = isSplit            ? part.substr(split.size())
                               : keeps            ? part.substr(keep.size())
                               : part == "Digits" ? "\\p{N}"
                                                  : gpt2;
    // Keeping matches is splitting where all is matched: by those of the table that stand alone and end in white space.
    if (keeps &&
        (parts.size() > 1 || pattern.size() < rest.size() || pattern.substr(pattern.size() - rest.size()) != rest))
      return nullptr;
    if (pattern.size() == gpt2.size() + rest.size() && pattern.substr(0, gpt2.size()) == gpt2 &&
        pattern.substr(gpt2.size()) == rest)
      pattern = gpt2;
    patterns.emplace_back(pattern);
  }
  for (const PreTokenizer &row : table())
    if (row.patterns == patterns && !row.groupDigits)
      return &row;
  return nullptr;
}

std::vector<std::string_view> preTokenizerNames() {
  std::vector<std::string_view> names;
  for (const PreTokenizer &row : table())
    names.insert(names.end(), row.names.begin(), row.names.end());
  return names;
}

} // namespace stepdown
