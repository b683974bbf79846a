#include "lib/Driver/CompileCall.h"
#include "lib/Base/Suggestion.h"
#include "lib/Driver/Compile.h"
#include <new>

namespace stepdown {

/// The targets that `names` lists; E0832.
static Result<std::vector<const Target *>> readTargets(llvm::StringRef names) {
  std::vector<const Target *> chosen;
  llvm::SmallVector<llvm::StringRef> list;
  names.split(list, ',');
  for (llvm::StringRef name : list) {
    const std::vector<const Target *> named = targetsNamed(name);
    if (named.empty())
      return fail(ErrorCode::CompileOption, "targets: expects %s, but got '%s'%s", alternatives(targetNames()).c_str(),
                  name.str().c_str(), suggestion(name.str(), targetNames()).c_str());
    for (const Target *target : named)
      if (!llvm::is_contained(chosen, target))
        chosen.push_back(target);
  }
  return chosen;
}

/// The options as the driver takes them; E0832.
static Result<CompileOptions> readOptions(const CompileCall &call) {
  CompileOptions options;
  auto targets = readTargets(call.targets);
  if (!targets)
    return targets.error();
  if (call.jobs < 0 || call.jobs > 1024)
    return fail(ErrorCode::CompileOption, "jobs: expects 0 to 1024 threads");
  options.targets = std::move(*targets);
  options.cpu = namesCpu(call.targets);
  options.maxContext = call.maxContext;
  options.exact = call.exact;
  options.checkWeights = call.checkWeights;
  if (Status status = checkNumbers(call.exact, call.activations, call.kvType); !status)
    return status.error();
  if (!call.activations.empty())
    options.activations = call.activations;
  if (!call.kvType.empty())
    options.kvType = call.kvType;
  if (Status status = checkQuantize(call.quantize); !status)
    return status.error();
  options.quantize = call.quantize;
  options.jobs = call.jobs;
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(call.adapters).split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (llvm::StringRef line : lines) {
    Result<AdapterChoice> adapter = parseAdapterChoice(line.str());
    if (!adapter)
      return adapter.error();
    options.adapters.push_back(std::move(*adapter));
  }
  return options;
}

Status compileHere(const CompileCall &call, const CompileProgress &progress) {
  try {
    Result<CompileOptions> options = readOptions(call);
    if (!options)
      return options.error();
    options->progress = progress;
    Result<CompileReport> compiled = call.isText ? compilePlainText(call.text, call.input, call.output, *options)
                                                 : compileModel(call.input, call.output, *options);
    return compiled ? Status(Done{}) : compiled.error();
  } catch (const std::bad_alloc &) {
    return fail(ErrorCode::OutOfMemory, "expects more memory than the system gives");
  } catch (const std::exception &problem) {
    return fail(ErrorCode::PhaseFailed, "%s", problem.what());
  }
}

} // namespace stepdown
