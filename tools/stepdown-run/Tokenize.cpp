#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Request.h"
#include <memory>
#include <optional>

namespace stepdown::run {
namespace {

/// A tokenizer, and the file whose strings it refers to.
struct OpenTokenizer {
  MetadataSource source;
  std::optional<Tokenizer> tokenizer;
};

/// Of the model that the command line names.
Result<std::unique_ptr<OpenTokenizer>> tokenizerOf(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  auto source = MetadataSource::open((*words)[0]);
  if (!source)
    return source.error();
  std::unique_ptr<OpenTokenizer> open(new OpenTokenizer{std::move(*source), std::nullopt});
  auto tokenizer = openTokenizer(open->source.metadata());
  if (!tokenizer)
    return tokenizer.error();
  open->tokenizer.emplace(std::move(*tokenizer));
  return open;
}

Status runTokenize(const Arguments &arguments) {
  if (auto words = arguments.positionals(1); !words)
    return words.error();
  Result<std::string> text = textArgument(arguments);
  if (!text)
    return text.error();
  auto open = tokenizerOf(arguments);
  if (!open)
    return open.error();
  EncodeOptions options;
  options.addSpecial = !arguments.has("no-bos");
  options.parseSpecial = !arguments.has("no-special");
  auto ids = (*open)->tokenizer->encode(*text, options);
  if (!ids)
    return ids.error();
  std::string line = "[";
  for (size_t i = 0; i < ids->size(); ++i)
    line += (i ? ", " : "") + std::to_string((*ids)[i]);
  return print(line + "]\n");
}

Status runDetokenize(const Arguments &arguments) {
  if (auto words = arguments.positionals(1); !words)
    return words.error();
  if (!arguments.has("tokens"))
    return fail(ErrorCode::Usage, "detokenize: expects --tokens; see stepdown-run detokenize --help");
  const std::vector<int64_t> numbers = arguments.integers("tokens");
  auto open = tokenizerOf(arguments);
  if (!open)
    return open.error();
  const Tokenizer &tokenizer = *(*open)->tokenizer;
  std::vector<int32_t> ids(numbers.begin(), numbers.end());
  if (Status ok = tokenizer.check(ids); !ok)
    return ok;
  return print(tokenizer.decode(ids, arguments.has("keep-special")) + "\n");
}

} // namespace

Result<std::string> textArgument(const Arguments &arguments) {
  auto text = arguments.text("prompt"), file = arguments.text("file");
  if (bool(text) == bool(file))
    return fail(ErrorCode::Usage, "%s: expects -p TEXT or -f FILE, but got %s", arguments.command().name,
                text ? "both" : "neither");
  if (text)
    return *text;
  return readText(*file);
}

Status readPrompt(const Arguments &arguments, Request &request) {
  if (arguments.has("tokens")) {
    const std::vector<int64_t> ids = arguments.integers("tokens");
    request.tokens.emplace(ids.begin(), ids.end());
    return Done{};
  }
  Result<std::string> text = textArgument(arguments);
  if (!text)
    return text.error();
  request.prompt = std::move(*text);
  return Done{};
}

Command tokenizeCommand() {
  return {"tokenize",
          "MODEL",
          "Prints the ids of a text as a JSON array; a checkpoint is not compiled for it.",
          {{"prompt", 'p', "TEXT", "the text"},
           Option("file", 'f', "FILE", "the text from a file; - for stdin").file(),
           {"no-bos", 0, nullptr, "leave out the tokens that the file puts around a text"},
           {"no-special", 0, nullptr, "read <|...|> and its like as plain text"}},
          "stepdown-run tokenize smollm2.gguf -p \"The capital of France is\"",
          runTokenize};
}

Command detokenizeCommand() {
  return {"detokenize",
          "MODEL",
          "Prints the text of token ids; a checkpoint is not compiled for it.",
          {tokensOption("the ids"), {"keep-special", 0, nullptr, "show control tokens, which have no text otherwise"}},
          "stepdown-run detokenize smollm2.gguf --tokens 504,3575,282,4649,314",
          runDetokenize};
}

} // namespace stepdown::run
