#include "lib/Driver/Provenance.h"
#include "include/stepdown/Artifact.h"
#include "lib/Base/Sha256.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

namespace stepdown {

std::string versionText() {
  return "stepdown " STEPDOWN_VERSION ", LLVM " LLVM_VERSION_STRING ", artifact ABI " +
         std::to_string(STEPDOWN_ABI_VERSION);
}

static std::string hashOf(const std::vector<MappedFile> &files) {
  Sha256 hash;
  for (const MappedFile &file : files)
    hash.add(file.data(), file.size());
  return hash.finish();
}

std::string checkpointHash(const Checkpoint &checkpoint) { return hashOf(checkpoint.files()); }

static int64_t bytesOf(const std::vector<MappedFile> &files) {
  int64_t bytes = 0;
  for (const MappedFile &file : files)
    bytes += int64_t(file.size());
  return bytes;
}

static llvm::json::Array describe(const MergedWeights &merged) {
  llvm::json::Array all;
  for (size_t i = 0; i < merged.choices().size(); ++i) {
    const Adapter &adapter = merged.adapters()[i];
    all.push_back(llvm::json::Object{{"file", llvm::sys::path::filename(adapter.path)},
                                     {"bytes", bytesOf(adapter.files)},
                                     {"sha256", hashOf(adapter.files)},
                                     {"scale", merged.choices()[i].scale}});
  }
  return all;
}

static llvm::json::Array namesOf(const std::vector<const Target *> &targets) {
  llvm::json::Array names;
  for (const Target *target : targets)
    names.push_back(target->name);
  return names;
}

PlainSource sourceOf(const std::string &path, const std::string &bytes) {
  Sha256 hash;
  hash.add(bytes.data(), bytes.size());
  return {llvm::sys::path::filename(path).str(), bytes.size(), hash.finish()};
}

static llvm::json::Object describe(const PlainSource &source) {
  return llvm::json::Object{{"file", source.file}, {"bytes", int64_t(source.bytes)}, {"sha256", source.sha256}};
}

static std::string textOf(llvm::json::Object root, const EditedIr &edited) {
  if (!edited.phase.empty()) {
    llvm::json::Object ir = describe(edited.file);
    ir["phase"] = edited.phase;
    root["edited_ir"] = std::move(ir);
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(root));
  return text;
}

std::string plainProvenance(const PlainSource &source, const std::vector<const Target *> &targets,
                            const EditedIr &edited) {
  llvm::json::Object root{{"compiler", "stepdown " STEPDOWN_VERSION},
                          {"llvm", LLVM_VERSION_STRING},
                          {"abi", int64_t(STEPDOWN_ABI_VERSION)},
                          {"module", describe(source)},
                          {"options", llvm::json::Object{{"targets", namesOf(targets)}}}};
  return textOf(std::move(root), edited);
}

std::string provenance(const Checkpoint &checkpoint, const std::string &hash, const MergedWeights *merged,
                       const CompileOptions &options, const std::vector<const Target *> &targets,
                       const MemoryPlan &plan, const EditedIr &edited) {
  const bool codes = !options.exact && llvm::any_of(targets, [](const Target *target) { return !target->chip; });
  llvm::json::Object root{{"compiler", "stepdown " STEPDOWN_VERSION},
                          {"llvm", LLVM_VERSION_STRING},
                          {"abi", int64_t(STEPDOWN_ABI_VERSION)},
                          {"checkpoint", llvm::json::Object{{"file", llvm::sys::path::filename(checkpoint.path())},
                                                            {"bytes", bytesOf(checkpoint.files())},
                                                            {"sha256", hash}}},
                          {"options", llvm::json::Object{{"exact", options.exact},
                                                         {"activations", codes ? options.activations : "f32"},
                                                         {"kv_type", options.exact ? "f32" : options.kvType},
                                                         {"max_context", int64_t(options.maxContext)},
                                                         {"max_step_tokens", options.maxStepTokens},
                                                         {"targets", namesOf(targets)}}},
                          {"memory_plan", llvm::cantFail(llvm::json::parse(toJson(plan)))}};
  if (merged)
    root["adapters"] = describe(*merged);
  if (!options.quantize.empty())
    root["quantize"] = options.quantize;
  return textOf(std::move(root), edited);
}

} // namespace stepdown
