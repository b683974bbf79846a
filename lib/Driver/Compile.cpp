#include "lib/Driver/Compile.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/FunctionTable.h"
#include "lib/Base/Suggestion.h"
#include "lib/Driver/Compilation.h"
#include "lib/Driver/Provenance.h"
#include "lib/Frontend/PlainModule.h"
#include <future>

using namespace mlir;

namespace stepdown {

/// A plain module through the same phases; the artifact holds its functions.
static Result<CompileReport> compilePlain(Compilation &c, const std::string *text, const std::string &output) {
  if (Status status = c.openPlainModule(text); !status)
    return status.error();
  Result<PartFile> file = PartFile::create(output, text ? std::vector<std::string>() : std::vector{c.path});
  if (!file)
    return file.error();
  std::vector<FunctionSignature> functions = callableFunctions(*c.module);
  if (Status status = c.lower(""); !status)
    return status.error();
  Result<std::vector<TargetCode>> code = c.generate();
  if (!code)
    return code.error();
  const double begin = compileClock();
  Status written = writeFunctions(std::move(*file), functions, *code, plainProvenance(c.path, c.source, c.targets));
  if (!written)
    return written.error();
  c.report.seconds.push_back({"write", compileClock() - begin});
  return std::move(c.report);
}

Result<CompileReport> compilePlainText(const std::string &text, const std::string &name, const std::string &output,
                                       const CompileOptions &options) {
  Compilation c(name, options);
  return compilePlain(c, &text, output);
}

Result<CompileReport> compileModel(const std::string &model, const std::string &output, const CompileOptions &options) {
  Compilation c(model, options);
  if (isPlainModule(model))
    return compilePlain(c, nullptr, output);
  if (Status status = c.openCheckpoint(); !status)
    return status.error();
  // Before the work, so that a folder that cannot be written is known at once.
  Result<PartFile> file = PartFile::create(output, shardPaths(model));
  if (!file)
    return file.error();
  std::future<std::string> hash = std::async(c.jobs > 1 ? std::launch::async : std::launch::deferred,
                                             [&] { return checkpointHash(*c.checkpoint); });
  Result<Program> program = c.plan();
  if (!program)
    return program.error();
  ArtifactParts parts;
  parts.checkpoint = &*c.checkpoint;
  parts.program = std::move(*program);
  Result<std::vector<TargetCode>> code = c.generate();
  if (!code)
    return code.error();
  parts.code = std::move(*code);
  double begin = compileClock();
  parts.provenance = provenance(*c.checkpoint, hash.get(), options, c.targets, c.memory);
  c.report.seconds.push_back({"hash", compileClock() - begin});
  begin = compileClock();
  Status written = writeArtifact(std::move(*file), std::move(parts), c.jobs, [&](uint64_t done, uint64_t total) {
    if (options.progress)
      options.progress("packing weights", done, total);
  });
  if (!written)
    return written.error();
  c.report.seconds.push_back({"write", compileClock() - begin});
  return std::move(c.report);
}

Result<CompileReport> explainModel(const std::string &model, const CompileOptions &options) {
  if (isPlainModule(model))
    return fail(ErrorCode::CompileOption, "%s: expects a checkpoint for --explain, but got a plain module",
                model.c_str());
  Compilation c(model, options);
  if (Status status = c.openCheckpoint(); !status)
    return status.error();
  if (Result<Program> program = c.plan(); !program)
    return program.error();
  return std::move(c.report);
}

Result<std::string> compileTo(const std::string &model, const std::string &phase, const CompileOptions &options) {
  const Phase *last = findPhase(phase);
  if (!last)
    return fail(ErrorCode::CompileOption, "expects a phase of --compile-to=help, but got '%s'%s", phase.c_str(),
                suggestion(phase, phaseNames()).c_str());
  Compilation c(model, options);
  if (Status status = isPlainModule(model) ? c.openPlainModule(nullptr) : c.openCheckpoint(); !status)
    return status.error();
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (last->build)
    if (Status status = c.lower(phase); !status)
      return status.error();
  if (!last->perLevel) {
    stream << *c.module;
    return text;
  }
  Result<OwningOpRef<ModuleOp>> native = c.lowerFor(*c.targets.back(), phase);
  if (!native)
    return native.error();
  stream << **native;
  return text;
}

} // namespace stepdown
