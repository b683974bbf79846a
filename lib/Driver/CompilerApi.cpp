// include/stepdown/Compiler.h on top of compileModel: no exception leaves, and every error becomes a value.
#include "include/stepdown/Compiler.h"

#include "lib/Base/SizedOptions.h"
#include "lib/Base/Suggestion.h"
#include "lib/Driver/Compile.h"
#include <cstdio>
#include <new>

using namespace stepdown;

static stepdown_status report(ErrorCode code, const char *text) {
  // Fixed in size, so that running out of memory can be told too.
  static thread_local char lastText[1024];
  std::snprintf(lastText, sizeof lastText, "%s", text);
  return {static_cast<int32_t>(code), lastText};
}

/// The targets that `names` lists, none for all; E0832.
static Result<std::vector<const Target *>> readTargets(llvm::StringRef names) {
  std::vector<const Target *> chosen;
  llvm::SmallVector<llvm::StringRef> list;
  names.split(list, ',');
  for (llvm::StringRef name : list) {
    if (name == "cpu")
      return std::vector<const Target *>();
    const Target *target = findTarget(name);
    if (!target) {
      std::vector<std::string> known = {"cpu"};
      for (const Target &each : targets())
        known.push_back(each.name);
      return fail(ErrorCode::CompileOption, "targets: expects %s, but got '%s'%s", alternatives(known).c_str(),
                  name.str().c_str(), suggestion(name.str(), known).c_str());
    }
    chosen.push_back(target);
  }
  return chosen;
}

/// The options as the driver takes them; `given` must live as long as they. E0832.
static Result<CompileOptions> readOptions(const stepdown_compile_options &given) {
  CompileOptions options;
  auto targets = readTargets(given.targets ? given.targets : "cpu");
  if (!targets)
    return targets.error();
  if (given.jobs < 0 || given.jobs > 1024)
    return fail(ErrorCode::CompileOption, "jobs: expects 0 to 1024 threads");
  options.targets = std::move(*targets);
  options.maxContext = given.max_context;
  options.exact = given.exact != 0;
  options.float32Cache = given.kv_float32 != 0;
  options.checkWeights = given.check_weights != 0;
  if (given.activations)
    options.activations = given.activations;
  if (options.activations != "q8" && options.activations != "q8o2" && options.activations != "q8x2")
    return fail(ErrorCode::CompileOption, "activations: expects q8o2, q8x2 or q8");
  options.jobs = given.jobs;
  if (given.on_progress)
    options.progress = [&given](const std::string &what, uint64_t done, uint64_t total) {
      given.on_progress(given.context, what.c_str(), done, total);
    };
  return options;
}

/// The status of `body`, a function of the options; what it throws becomes a value too.
template <typename Body> static stepdown_status compileWith(const stepdown_compile_options *wanted, Body body) {
  try {
    auto known = takeOptions(wanted, "stepdown_compile_options");
    if (!known)
      return report(known.error().code, known.error().message.c_str());
    Result<CompileOptions> options = readOptions(*known);
    if (!options)
      return report(options.error().code, options.error().message.c_str());
    Result<CompileReport> compiled = body(*options);
    if (!compiled)
      return report(compiled.error().code, compiled.error().message.c_str());
    return {0, ""};
  } catch (const std::bad_alloc &) {
    return report(ErrorCode::OutOfMemory, "expects more memory than the system gives");
  } catch (const std::exception &problem) {
    return report(ErrorCode::PhaseFailed, problem.what());
  }
}

stepdown_status stepdown_compile(const char *model, const char *output, const stepdown_compile_options *wanted) {
  return compileWith(wanted, [&](const CompileOptions &options) { return compileModel(model, output, options); });
}

stepdown_status stepdown_compile_module(const char *text, size_t length, const char *name, const char *output,
                                        const stepdown_compile_options *wanted) {
  return compileWith(wanted, [&](const CompileOptions &options) {
    return compilePlainText(std::string(text, length), name, output, options);
  });
}
