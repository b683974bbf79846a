// stepdown-compile: checkpoint -> artifact, or the IR after a phase.
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"
#include "lib/Base/ProgressLines.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/CommandLine/CommandLine.h"
#include "lib/Driver/Compile.h"
#include "lib/Driver/CompileProcess.h"
#include "lib/Driver/Provenance.h"
#include "lib/Frontend/PlainModule.h"
#include "lib/Pipeline/Phases.h"
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

using namespace stepdown;
using commandline::Arguments;
using commandline::Command;
using commandline::Option;
using commandline::Tool;

static int refuse(const Error &error) {
  std::fprintf(stderr, "stepdown-compile: %s\n", error.text().c_str());
  return error.code == ErrorCode::Usage ? 2 : 1;
}

static std::vector<const Target *> targetsOf(const std::string &list) {
  std::vector<const Target *> chosen;
  llvm::SmallVector<llvm::StringRef> names;
  llvm::StringRef(list).split(names, ',');
  for (llvm::StringRef name : names)
    for (const Target *target : targetsNamed(name))
      if (!llvm::is_contained(chosen, target))
        chosen.push_back(target);
  return chosen;
}

static void listPhases(Input input, const std::string &target) {
  const Road *road = roadOf(input, *targetsOf(target).back());
  for (const Phase &phase : (road ? road : roadOf(input, defaultTarget()))->phases)
    std::printf("%-12s %s\n", phase.name, phase.sentence);
}

static int compile(const Arguments &arguments) {
  if (arguments.value("compile-to") == "help") {
    auto words = arguments.positionals(1);
    listPhases(words && isPlainModule((*words)[0]) ? Input::Functions : Input::Model, arguments.value("target"));
    return 0;
  }
  if (arguments.has("completion") || arguments.has("manual")) {
    const Tool &tool = arguments.tool();
    std::fputs(
        (arguments.has("manual") ? manualPage(tool) : completionScript(tool, arguments.value("completion"))).c_str(),
        stdout);
    return 0;
  }
  auto words = arguments.positionals(1);
  if (!words)
    return refuse(words.error());
  const std::string &model = (*words)[0], phase = arguments.value("compile-to"), explain = arguments.value("explain");
  std::string output = arguments.value("output");
  CompileOptions options;
  options.warn = [](const std::string &text) { std::fprintf(stderr, "stepdown-compile: warning: %s\n", text.c_str()); };
  if (arguments.has("target")) {
    options.targets = targetsOf(arguments.value("target"));
    options.cpu = namesCpu(arguments.value("target"));
  }
  options.maxContext = static_cast<uint64_t>(arguments.integer("max-context"));
  options.kvType = arguments.value("kv-type");
  options.exact = arguments.has("exact");
  options.activations = arguments.value("activations");
  auto chosen = [&](const char *name) { return arguments.has(name) ? arguments.value(name) : std::string(); };
  if (Status status = checkNumbers(options.exact, chosen("activations"), chosen("kv-type")); !status)
    return refuse(status.error());
  if (arguments.has("activations"))
    for (const Target *target : options.targets)
      if (target->chip)
        options.warn("--activations is for processors: " + std::string(target->name) +
                     " reads activations in float32, as with --exact");
  for (const std::string &text : arguments.all("adapter")) {
    Result<AdapterChoice> adapter = parseAdapterChoice(text);
    if (!adapter)
      return refuse(adapter.error());
    options.adapters.push_back(std::move(*adapter));
  }
  if (arguments.has("adapters")) // beside the slot of no adapter
    options.adapterSlots = {arguments.integer("adapters") + 1, arguments.integer("adapter-rank")};
  else if (arguments.has("adapter-rank"))
    return refuse(arguments.usage("expects --adapter-rank with --adapters only"));
  if ((!options.adapters.empty() || options.adapterSlots.slots) && isPlainModule(model))
    return refuse(arguments.usage("expects no --adapter and no --adapters with a plain module"));
  if (options.adapterSlots.slots && !phase.empty())
    return refuse(arguments.usage("expects no --adapters with --compile-to, which prints the program without them"));
  options.quantize = arguments.value("quantize");
  if (!options.quantize.empty() && isPlainModule(model) && !arguments.has("compile-from"))
    return refuse(arguments.usage("expects no --quantize with a plain module"));
  options.checkWeights = arguments.has("check-weights");
  options.jobs = static_cast<int>(arguments.integer("jobs"));
  options.dump = arguments.value("dump");
  options.explain = !explain.empty();
  options.from = arguments.value("compile-from");
  options.weights = arguments.value("weights");
  if (options.from.empty() && !options.weights.empty())
    return refuse(arguments.usage("expects --weights with --compile-from only"));
  if (!options.from.empty())
    for (const char *name : {"max-context", "kv-type", "exact", "activations", "adapters"})
      if (arguments.has(name))
        return refuse(arguments.usage(std::string("expects no --") + name +
                                      " with --compile-from, since the IR has been made with or without it"));
  ProgressLines lines("stepdown-compile", arguments.has("verbose"));
  if (arguments.has("verbose"))
    options.progress = [&](const std::string &what, uint64_t done, uint64_t total) { lines.report(what, done, total); };
  if (isPlainModule(model) || !options.from.empty())
    explainFaults(model.c_str());
  if (!phase.empty()) {
    Result<std::string> text = compileTo(model, phase, options);
    if (!text)
      return refuse(text.error());
    if (output.empty()) {
      std::fputs(text->c_str(), stdout);
      return 0;
    }
    Status written = writeFile(output, *text, inputFiles(model, options));
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
    const bool ends = dot != std::string::npos && dot >= from;
    output =
        (isFolder(model) ? folderName(model) : model.substr(from, ends ? dot - from : std::string::npos)) + ".stepdown";
  }
  const bool terminal = isatty(STDERR_FILENO) && !options.progress;
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
  if (arguments.has("time-report")) {
    double total = 0;
    for (auto &[name, seconds] : report->seconds) {
      std::printf("%-24s %8.3f s\n", name.c_str(), seconds);
      total += seconds;
    }
    std::printf("%-24s %8.3f s\n", "total", total);
  }
  return 0;
}

static std::vector<std::string> quantisationNames() {
  std::vector<std::string> names;
  for (const Quantisation &each : quantisations())
    names.push_back(each.name);
  return names;
}

static Tool table() {
  std::vector<std::string> stops = phaseNames();
  stops.push_back("help");
  static const std::string version = versionText();
  const char *description =
      "Compiles a checkpoint (.gguf, or a Hugging Face folder) into one artifact with native code, packed weights, "
      "tokenizer and memory plan; or a plain MLIR module (.mlir: linalg, tensor, arith, math, scf, transformer) into "
      "one with its functions.";
  Command command{
      "",
      "MODEL|MODULE.mlir",
      description,
      {Option("output", 'o', "FILE", "the artifact")
           .file()
           .otherwiseIt("MODEL with the ending .stepdown, in the current folder"),
       Option("target", 0, "LIST", "what to compile for, where cpu stands for those of x86-64, chosen when loaded")
           .oneOf(targetNames())
           .lists()
           .by("cpu"),
       Option("max-context", 0, "N", "positions a sequence may have")
           .whole(1, INT64_MAX)
           .otherwiseIt("what the checkpoint declares"),
       Option("kv-type", 0, "TYPE",
              "element of the KV cache; for processors q8_0, 8-bit blocks of 32 channels, the closer one to f16, and "
              "fp8_e4m3, 8-bit floats (about half the memory of f16)")
           .oneOf({"f16", "f32", "q8_0", "fp8_e4m3"})
           .by("f16"),
       {"exact", 0, nullptr, "activations and KV cache stay float32"},
       Option("activations", 0, "KIND",
              "8-bit codes that quantised weights read; q8o2: two codes a value, in feed-forward layers one and 7 bits "
              "more for the largest; q8x2: always two (logits within 0.01, prompts a quarter slower); q8: always one "
              "(faster prompts, logits off by about 0.2)")
           .oneOf({"q8o2", "q8x2", "q8"})
           .by("q8o2"),
       Option("quantize", 0, "TYPE",
              "put float weights into blocks: those of linears, of the embedding and of the head; q4_k_m and q5_k_m "
              "have more bits for some, and types of 32 take the place of q4_k to q6_k where rows are no whole 256")
           .oneOf(quantisationNames())
           .otherwiseIt("what the checkpoint has"),
       Option("adapter", 0, "FILE[=SCALE]",
              "merge a LoRA adapter into the weights: a GGUF file or a folder of PEFT, times SCALE; several are merged "
              "in their order")
           .file()
           .repeats(),
       Option("adapters", 0, "N",
              "room for N LoRA adapters beside the weights, which stepdown-run loads, and which sequences of one batch "
              "may differ in; for processors")
           .whole(1, 255)
           .otherwiseIt("none"),
       Option("adapter-rank", 0, "R", "with --adapters: the largest rank of one").whole(1, 1024).by("16"),
       {"check-weights", 0, nullptr,
        "refuse weights that are NaN or infinite, and name the tensor; reads all of them first"},
       Option("jobs", 0, "N", "threads").whole(1, 1024).otherwiseIt("one per core"),
       {"verbose", 0, nullptr, "tell on stderr what is being done, a line each, with the seconds since the start"},
       {nullptr, 0, nullptr, "Looking inside"},
       Option("compile-to", 0, "PHASE",
              "print the IR after this phase and stop there, or list the phases of a model or MODULE.mlir")
           .among(stops),
       Option("compile-from", 0, "PHASE",
              "the input is IR that --compile-to printed after this phase; goes on from there")
           .among(phaseNames()),
       Option("weights", 0, "MODEL", "with --compile-from of a model's IR: the checkpoint that it was printed of")
           .file(),
       Option("dump", 0, "DIR", "write the IR after every phase, LLVM IR and assembly into DIR").folder(),
       Option(
           "explain", 0, "FORM",
           "print which operations share a kernel and what keeps the others apart, the memory plan in bytes, and bytes "
           "and operations of every kernel, or of every function of a module, as text or json; writes an artifact only "
           "with -o")
           .oneOf({"text", "json"})
           .orBare("text"),
       {"time-report", 0, nullptr, "print the seconds of every phase"},
       {nullptr, 0, nullptr, "This program"},
       Option("completion", 0, "SHELL", "print a script with which a shell completes options").oneOf({"bash", "zsh"}),
       {"manual", 0, nullptr, "print the manual page"},
       {"version", 0, nullptr, "print the versions of compiler, LLVM and artifacts"}},
      "stepdown-compile smollm2.gguf -o smollm2.stepdown\n"
      "stepdown-run generate smollm2.stepdown -p \"The capital of France is\" -n 32\n"
      "stepdown-compile program.mlir -o program.stepdown\n"
      "stepdown-run call program.stepdown FUNCTION --arg A.npy --out R.npy",
      nullptr};
  return {"stepdown-compile",
          "compile transformer models and MLIR modules into artifacts",
          description,
          version.c_str(),
          {command}};
}

/// What was printed may still lie in a buffer: a full disk shows where it is written out.
static int finish(int status) {
  if (status != 0)
    return status;
  if (std::fflush(stdout) != 0)
    return refuse(fail(ErrorCode::FileWrite, "stdout: cannot write: %s", std::strerror(errno)));
  return std::ferror(stdout) ? refuse(fail(ErrorCode::FileWrite, "stdout: cannot write all of it")) : 0;
}

static int runProgram(int argc, char **argv) {
  guardMappings("stepdown-compile");
  removePartFilesOnSignals("stepdown-compile");
  if (argc == 2 && std::strcmp(argv[1], kForLibrary) == 0) // not for people, so that the table has no such option
    return answerLibrary();
  const Tool tool = table();
  Result<Arguments> arguments = Arguments::parse(tool, tool.commands[0], argc - 1, argv + 1);
  if (!arguments)
    return refuse(arguments.error());
  if (arguments->help()) {
    std::fputs(helpText(tool, arguments->command()).c_str(), stdout);
    return 0;
  }
  if (arguments->has("version")) {
    std::printf("%s\n", versionText().c_str());
    return 0;
  }
  return compile(*arguments);
}

int main(int argc, char **argv) { return finish(runProgram(argc, argv)); }
