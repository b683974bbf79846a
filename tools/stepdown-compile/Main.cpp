// stepdown-compile: checkpoint -> artifact, or the IR after a phase.
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"
#include "lib/Driver/Compile.h"
#include "lib/Driver/Provenance.h"
#include "lib/Frontend/PlainModule.h"
#include "lib/Pipeline/Phases.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

using namespace stepdown;

static const char kHelp[] =
    R"(usage: stepdown-compile MODEL|PROGRAM.mlir [-o FILE.stepdown] [options]

Compiles a checkpoint (.gguf) into one artifact with native code, packed weights, tokenizer and memory plan; or a plain
MLIR module (.mlir: linalg, tensor, arith, math, scf, transformer) into one with its functions.

  -o FILE              the artifact (default: MODEL with the ending .stepdown, in the current folder)
  --target=LIST        cpu (all x86-64 levels, chosen when loaded; the default), x86-64-v3, x86-64-v4-vnni
  --max-context=N      positions a sequence may have (default: what the checkpoint declares)
  --kv-type=f16|f32    element of the KV cache (default: f16)
  --exact              activations and KV cache stay float32
  --activations=KIND   8-bit codes that quantised weights read: q8o2 (default: two codes a value, in feed-forward layers
                       one and 7 bits more for the largest), q8x2 (always two: logits within 0.01, prompts a quarter
                       slower), q8 (always one: faster prompts, logits off by about 0.2)
  --check-weights      refuse weights that are NaN or infinite, and name the tensor; reads all of them first
  --jobs=N             threads (default: one a core)
  --compile-to=PHASE   stop after the phase and print its IR; --compile-to=help lists the phases
  --dump=DIR           write the IR after every phase, LLVM IR and assembly into DIR
  --explain[=json]     print which operations share a kernel and what keeps the others apart, the memory plan in bytes,
                       and bytes and operations of every kernel; writes an artifact only with -o
  --time-report        print the seconds of every phase
  --help, --version

The next step: stepdown-run generate FILE.stepdown -p "The capital of France is" -n 32
          or:  stepdown-run call FILE.stepdown FUNCTION --arg A.npy --out R.npy
)";

static int usage(const char *format, const char *what) {
  std::fprintf(stderr, "stepdown-compile: error: ");
  std::fprintf(stderr, format, what);
  std::fprintf(stderr, "; see stepdown-compile --help\n");
  return 2;
}

static int refuse(const Error &error) {
  std::fprintf(stderr, "stepdown-compile: %s\n", error.text().c_str());
  return 1;
}

/// The value of `--name=value` or `--name value`, or null.
static const char *valueOf(const char *name, int argc, char **argv, int &i) {
  size_t n = std::strlen(name);
  if (std::strncmp(argv[i], name, n) != 0)
    return nullptr;
  if (argv[i][n] == '=')
    return argv[i] + n + 1;
  if (argv[i][n] == 0 && i + 1 < argc)
    return argv[++i];
  return nullptr;
}

static bool parseCount(const char *text, uint64_t &value) {
  char *end = nullptr;
  value = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == 0;
}

static bool parseTargets(const std::string &list, std::vector<const Level *> &out) {
  for (size_t at = 0; at <= list.size();) {
    size_t end = std::min(list.find(',', at), list.size());
    std::string name = list.substr(at, end - at);
    at = end + 1;
    if (name == "cpu") {
      for (const Level &level : levels())
        out.push_back(&level);
      continue;
    }
    const Level *level = findLevel(name);
    if (!level)
      return false;
    out.push_back(level);
  }
  return true;
}

static void listPhases() {
  for (const Phase &phase : phases())
    std::printf("%-12s %s\n", phase.name, phase.sentence);
}

int main(int argc, char **argv) {
  guardMappings("stepdown-compile");
  removePartFilesOnSignals("stepdown-compile");
  CompileOptions options;
  std::string model, output, phase, explain;
  bool timeReport = false;
  options.warn = [](const std::string &text) { std::fprintf(stderr, "stepdown-compile: warning: %s\n", text.c_str()); };
  for (int i = 1; i < argc; ++i) {
    const char *argument = argv[i], *value = nullptr;
    uint64_t count = 0;
    if (!std::strcmp(argument, "--help") || !std::strcmp(argument, "-h")) {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (!std::strcmp(argument, "--version")) {
      std::printf("%s\n", versionText().c_str());
      return 0;
    }
    if (!std::strcmp(argument, "--exact"))
      options.exact = true;
    else if (!std::strcmp(argument, "--check-weights"))
      options.checkWeights = true;
    else if (!std::strcmp(argument, "--time-report"))
      timeReport = true;
    else if (!std::strcmp(argument, "--explain"))
      explain = "text";
    else if (!std::strncmp(argument, "--explain=", 10)) {
      explain = argument + 10;
      if (explain != "json" && explain != "text")
        return usage("unknown --explain '%s' (json)", argument + 10);
    } else if (!std::strcmp(argument, "-o")) {
      if (i + 1 == argc || !*argv[i + 1])
        return usage("expects a file after %s", "-o");
      output = argv[++i];
    } else if ((value = valueOf("--compile-to", argc, argv, i)))
      phase = value;
    else if ((value = valueOf("--dump", argc, argv, i)))
      options.dump = value;
    else if ((value = valueOf("--target", argc, argv, i))) {
      if (!parseTargets(value, options.levels))
        return usage("unknown target in '%s' (targets: cpu, x86-64-v3, x86-64-v4-vnni)", value);
    } else if ((value = valueOf("--kv-type", argc, argv, i))) {
      if (std::strcmp(value, "f16") && std::strcmp(value, "f32"))
        return usage("unknown --kv-type '%s' (f16, f32)", value);
      options.float32Cache = !std::strcmp(value, "f32");
    } else if ((value = valueOf("--activations", argc, argv, i))) {
      if (std::strcmp(value, "q8") && std::strcmp(value, "q8o2") && std::strcmp(value, "q8x2"))
        return usage("unknown --activations '%s' (q8o2, q8x2, q8)", value);
      options.activations = value;
    } else if ((value = valueOf("--max-context", argc, argv, i))) {
      if (!parseCount(value, count) || count == 0)
        return usage("expects --max-context to be a positive number, but got '%s'", value);
      options.maxContext = count;
    } else if ((value = valueOf("--jobs", argc, argv, i))) {
      if (!parseCount(value, count) || count == 0 || count > 1024)
        return usage("expects --jobs to be a positive number, but got '%s'", value);
      options.jobs = int(count);
    } else if (argument[0] == '-')
      return usage("unknown option '%s'", argument);
    else if (model.empty())
      model = argument;
    else
      return usage("expects one MODEL, but got also '%s'", argument);
  }
  if (phase == "help") {
    listPhases();
    return 0;
  }
  if (model.empty())
    return usage("expects a %s", "MODEL");
  if (isPlainModule(model))
    explainFaults(model.c_str());
  if (!phase.empty()) {
    Result<std::string> text = compileTo(model, phase, options);
    if (!text)
      return refuse(text.error());
    if (output.empty()) {
      std::fputs(text->c_str(), stdout);
      return 0;
    }
    Status written = writeFile(output, *text, {model});
    return written ? 0 : refuse(written.error());
  }
  if (!explain.empty() && output.empty()) {
    Result<CompileReport> report = explainModel(model, options);
    if (!report)
      return refuse(report.error());
    std::fputs((explain == "json" ? report->explainJson : report->explain).c_str(), stdout);
    return 0;
  }
  if (output.empty()) {
    size_t slash = model.rfind('/'), from = slash == std::string::npos ? 0 : slash + 1;
    size_t dot = model.rfind('.');
    output = model.substr(from, dot == std::string::npos || dot < from ? std::string::npos : dot - from) + ".stepdown";
  }
  const bool terminal = isatty(STDERR_FILENO);
  if (terminal)
    options.progress = [](const std::string &what, uint64_t done, uint64_t total) {
      if (total)
        std::fprintf(stderr, "\r\033[K%s %3.0f %%", what.c_str(), 100.0 * done / total);
      else
        std::fprintf(stderr, "\r\033[K%s", what.c_str());
    };
  Result<CompileReport> report = compileModel(model, output, options);
  if (terminal)
    std::fputs("\r\033[K", stderr);
  if (!report)
    return refuse(report.error());
  if (!explain.empty())
    std::fputs((explain == "json" ? report->explainJson : report->explain).c_str(), stdout);
  if (timeReport) {
    double total = 0;
    for (auto &[name, seconds] : report->seconds) {
      std::printf("%-24s %8.3f s\n", name.c_str(), seconds);
      total += seconds;
    }
    std::printf("%-24s %8.3f s\n", "total", total);
  }
  return 0;
}
