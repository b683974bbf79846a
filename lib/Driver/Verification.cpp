#include "lib/Driver/Verification.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Load/ArtifactFile.h"
#include <numeric>

namespace stepdown {

/// The CODE sections of `targets` with `entries`, as they will be but for the instructions: those are one byte, and
/// where among them an entry begins the check of the whole file tells.
struct PlaceholderCode {
  PlaceholderCode(const std::vector<CodeEntry> &entries, const std::vector<const Target *> &targets) {
    NativeCode code;
    code.bytes.resize(1);
    for (const CodeEntry &entry : entries)
      code.entries[entry.function] = 0;
    for (size_t i = 0; i < targets.size(); ++i)
      sections.push_back(layOutCode(code, entries, targets[i]->layout->alignment, numbers));
  }

  Result<std::vector<CodeIndex>> locate(const std::string &input, bool functions) const {
    std::vector<CodeIndex> indices;
    for (const std::vector<uint8_t> &section : sections) {
      Result<CodeIndex> index = locateCode(input, section.data(), section.size(), functions);
      if (!index)
        return index.error();
      indices.push_back(*index);
    }
    return indices;
  }

  std::vector<std::vector<uint8_t>> sections;
  std::vector<uint32_t> numbers; ///< [targets, entries]
};

Status verifyText(const Checkpoint &checkpoint, const std::function<void(const std::string &)> &warn) {
  Result<Tokenizer> tokenizer = Tokenizer::create(checkpoint.metadata());
  if (!tokenizer)
    return tokenizer.error();
  // Chat alone needs a template: a warning is enough.
  Result<std::string_view> text = checkpoint.metadata().string("tokenizer.chat_template");
  if (!warn || (!text && text.error().code == ErrorCode::MetadataMissing))
    return Done{};
  if (!text) {
    warn(text.error().message);
    return Done{};
  }
  Result<ChatTemplate> parsed = ChatTemplate::parse(*text, checkpoint.metadata().file() + ": tokenizer.chat_template");
  if (!parsed)
    warn(parsed.error().message + "; the command chat will refuse the model");
  return Done{};
}

Status verifyFunctions(const std::string &input, const std::vector<FunctionSignature> &functions,
                       const std::vector<const Target *> &targets) {
  // One at a time, so that a message can name it; names differ, since a module is a table of symbols.
  for (const FunctionSignature &function : functions) {
    const PlaceholderCode code(entriesOf({function}), targets);
    const std::vector<uint8_t> section = layOutFunctions({function}, code.numbers);
    Result<FunctionTable> table = locateFunctions(input, section.data(), section.size());
    Result<std::vector<CodeIndex>> indices = code.locate(input, true);
    Status good = !table     ? Status(table.error())
                  : !indices ? Status(indices.error())
                             : checkFunctions(input, *table, *indices);
    if (!good)
      return fail(good.error().code, "%s (@%.80s)", good.error().message.c_str(), function.name.c_str());
  }
  return Done{};
}

Status verifyProgram(const std::string &input, const BuiltProgram &program, const PackedWeights &plan,
                     const std::vector<const Target *> &targets) {
  const PlaceholderCode code(program.variants, targets);
  std::vector<uint32_t> all(plan.entries.size());
  std::iota(all.begin(), all.end(), 0u);
  const std::vector<uint8_t> section = layOutProgram(program, code.numbers, plan, all);
  Result<Program> tables = locateTables(input, section.data(), section.size());
  if (!tables)
    return tables.error();
  Result<std::vector<CodeIndex>> indices = code.locate(input, false);
  if (!indices)
    return indices.error();
  return checkProgram(input, *tables, plan.bytes, program.alignment, *indices);
}

Status verifyArtifact(const std::string &path, const std::string &output) {
  Result<ArtifactFile> file = ArtifactFile::open(path);
  if (file)
    return Done{};
  std::string message = file.error().message;
  if (message.compare(0, path.size(), path) == 0) // the user knows the file by the name it does not get
    message.replace(0, path.size(), output);
  return fail(file.error().code, "%s; nothing was written", message.c_str());
}

} // namespace stepdown
