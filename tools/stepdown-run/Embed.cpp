// embed: texts to embeddings, as JSON lines or as one array.
#include "runtime/Embedding/Embedder.h"
#include "runtime/Npy.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>

namespace stepdown::run {
namespace {

constexpr size_t kTogether = 256; ///< texts between two writes

/// The words behind MODEL, or the lines of a file; "-" is stdin.
Result<std::vector<std::string>> textsOf(const Arguments &arguments) {
  auto words = arguments.somePositionals();
  if (!words)
    return words.error();
  std::vector<std::string> texts(words->begin() + 1, words->end());
  auto file = arguments.text("file");
  if (texts.size() == 1 && texts[0] == "-" && !file) {
    file = "-";
    texts.clear();
  }
  if (texts.empty() != bool(file))
    return arguments.usage("expects texts or a file with one a line, but got " +
                           std::string(file ? "both" : "neither"));
  if (!file)
    return texts;
  Result<std::string> whole = readText(*file);
  if (!whole)
    return whole.error();
  for (size_t begin = 0; begin < whole->size();) {
    size_t end = std::min(whole->find('\n', begin), whole->size());
    texts.push_back(whole->substr(begin, end - begin - (end > begin && (*whole)[end - 1] == '\r')));
    begin = end + 1;
  }
  if (texts.empty())
    return fail(ErrorCode::EmbeddingInput, "%s: expects a text, but it has no line", file->c_str());
  return texts;
}

/// The tokens of `text`; with --truncate as many of them as the model takes, the last of which ends a text.
Result<Embedder::Text> idsOf(const std::string &text, const Tokenizer &tokenizer, size_t longest, bool truncate) {
  auto ids = tokenizer.encode(text);
  if (ids && truncate && ids->size() > longest) {
    const int32_t last = ids->back();
    ids->resize(longest);
    if (tokenizer.addsEos())
      ids->back() = last;
  }
  return ids;
}

std::string lineOf(size_t tokens, const float *values, size_t width) {
  std::string line = "{\"tokens\": " + std::to_string(tokens) + ", \"embedding\": [";
  char number[32];
  for (size_t c = 0; c < width; ++c) {
    std::snprintf(number, sizeof number, "%s%.9g", c ? ", " : "", double(values[c])); // the float comes back
    line += number;
  }
  return line + "]}\n";
}

Embedder::Options optionsOf(const Arguments &arguments) {
  Embedder::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  if (auto name = arguments.text("pooling"))
    options.pooling = poolingOf(*name);
  if (auto name = arguments.text("normalize"))
    options.normalises = *name == "on";
  return options;
}

Status runEmbed(const Arguments &arguments) {
  auto texts = textsOf(arguments);
  if (!texts)
    return texts.error();
  auto source = TextModel::open(arguments, arguments.allPositionals()[0]);
  if (!source)
    return source.error();
  auto embedder = Embedder::create((*source)->model, optionsOf(arguments));
  if (!embedder)
    return embedder.error();
  const size_t width = (*embedder)->width();
  std::optional<NpyWriter> file;
  if (auto path = arguments.text("npy")) {
    auto writer = NpyWriter::create(*path, "<f4", {texts->size(), width}, inputsOf(arguments));
    if (!writer)
      return writer.error();
    file.emplace(std::move(*writer));
  }
  catchInterrupts();
  std::vector<Embedder::Text> ids;
  std::vector<float> out;
  for (size_t done = 0; done < texts->size(); done += ids.size()) {
    ids.clear();
    for (size_t i = done; i < texts->size() && ids.size() < kTogether; ++i) {
      auto text = idsOf((*texts)[i], (*source)->tokenizer, (*embedder)->longest(), arguments.has("truncate"));
      if (!text)
        return text.error();
      if (text->size() > (*embedder)->longest()) // by its own number, before anything of these is computed
        return fail(ErrorCode::EmbeddingLength,
                    "text %zu: expects at most %zu tokens, but it has %zu; --truncate takes its beginning alone", i,
                    (*embedder)->longest(), text->size());
      ids.push_back(std::move(*text));
    }
    out.resize(ids.size() * width);
    if (Status embedded = (*embedder)->embed(ids.data(), ids.size(), out.data()); !embedded)
      return embedded;
    std::string lines;
    for (size_t i = 0; i < ids.size() && !file; ++i)
      lines += lineOf(ids[i].size(), out.data() + i * width, width);
    if (Status told = file ? file->write(out.data(), out.size() * sizeof(float)) : print(lines); !told)
      return told;
    if (interrupted())
      return fail(ErrorCode::Interrupted, "embed: interrupted after %zu of %zu texts", done + ids.size(),
                  texts->size());
  }
  return file ? file->finish() : Status(Done{});
}

} // namespace

Command embedCommand() {
  return {"embed",
          "MODEL [TEXT...]",
          "Prints the embedding of each text by a sentence encoder, a line of JSON each.",
          {Option("file", 'f', "FILE", "texts from a file, one a line; - for stdin").file(),
           Option("npy", 0, "FILE.npy", "write them all instead: float32 [texts, width]").file(),
           Option("pooling", 0, "WAY", "how the rows of a text become one")
               .oneOf({"mean", "cls", "last"})
               .otherwiseIt("what the checkpoint says"),
           Option("normalize", 0, "on|off", "embeddings of length 1")
               .oneOf({"on", "off"})
               .otherwiseIt("what the checkpoint says; on where it says nothing"),
           {"truncate", 0, nullptr, "of a text that is too long take the beginning, with the token that ends it"},
           exactOption(),
           threadsOption(),
           deviceOption(),
           isaOption(),
           verboseOption()},
          "stepdown-run embed models/all-MiniLM-L6-v2 \"A cat sleeps.\" \"A dog barks.\"",
          runEmbed};
}

} // namespace stepdown::run
