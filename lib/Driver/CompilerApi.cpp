// include/stepdown/Compiler.h: the call goes to a process of its own, or is done here where the options say so. No
// exception leaves, and every error becomes a value.
#include "include/stepdown/Compiler.h"

#include "lib/Base/SizedOptions.h"
#include "lib/Driver/CompileProcess.h"
#include <cstdio>
#include <new>

using namespace stepdown;

static stepdown_status report(ErrorCode code, const char *text) {
  // Fixed in size, so that running out of memory can be told too.
  static thread_local char lastText[1024];
  std::snprintf(lastText, sizeof lastText, "%s", text);
  return {static_cast<int32_t>(code), lastText};
}

/// The outcome of `call`, with what `wanted` says.
static Status compile(CompileCall &call, const stepdown_compile_options *wanted) {
  auto options = takeOptions(wanted, "stepdown_compile_options");
  if (!options)
    return options.error();
  call.targets = options->targets ? options->targets : "cpu";
  call.activations = options->activations ? options->activations : "";
  call.maxContext = options->max_context;
  call.jobs = options->jobs;
  call.exact = options->exact != 0;
  call.kvType = options->kv_type ? options->kv_type : options->kv_float32 ? "f32" : "";
  call.adapters = options->adapters ? options->adapters : "";
  call.quantize = options->quantize ? options->quantize : "";
  call.checkWeights = options->check_weights != 0;
  CompileProgress progress;
  if (options->on_progress)
    progress = [&](const std::string &what, uint64_t done, uint64_t total) {
      options->on_progress(options->context, what.c_str(), done, total);
    };
  if (options->in_process)
    return compileHere(call, progress);
  return compileByProgram(options->program ? options->program : "", call, progress);
}

/// What `body` gives, with what it throws.
template <typename Body> static stepdown_status guarded(Body body) {
  try {
    Status done = body();
    return done ? stepdown_status{0, ""} : report(done.error().code, done.error().message.c_str());
  } catch (const std::bad_alloc &) {
    return report(ErrorCode::OutOfMemory, "expects more memory than the system gives");
  } catch (const std::exception &problem) {
    return report(ErrorCode::PhaseFailed, problem.what());
  }
}

stepdown_status stepdown_compile(const char *model, const char *output, const stepdown_compile_options *wanted) {
  return guarded([&] {
    CompileCall call;
    call.input = model;
    call.output = output;
    return compile(call, wanted);
  });
}

stepdown_status stepdown_compile_module(const char *text, size_t length, const char *name, const char *output,
                                        const stepdown_compile_options *wanted) {
  return guarded([&] {
    CompileCall call;
    call.isText = true;
    call.input = name;
    call.text.assign(text, length);
    call.output = output;
    return compile(call, wanted);
  });
}
