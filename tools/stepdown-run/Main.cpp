// stepdown-run: runs what stepdown-compile wrote. Exit status 0: done, 1: refused or failed, 2: wrong usage.
#include "include/stepdown/Artifact.h"
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"
#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include <cstdio>
#include <cstring>
#include <exception>
#include <sys/auxv.h>
#include <unistd.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

using commandline::Tool;

Tool table() {
  return {"stepdown-run",
          "run transformer models and functions that stepdown-compile compiled",
          "MODEL is an artifact (.stepdown), or a checkpoint (.gguf, or a Hugging Face folder), which is compiled once "
          "into the cache.",
          "stepdown " STEPDOWN_VERSION,
          {generateCommand(), chatCommand(), serveCommand(), proxyConfigCommand(), embedCommand(), evalCommand(),
           benchCommand(), tokenizeCommand(), detokenizeCommand(), renderCommand(), inspectCommand(), callCommand(),
           grammarCommand(), completionCommand(), manualCommand()}};
}

int report(const Error &error) {
  std::fprintf(stderr, "stepdown-run: %s\n", error.text().c_str());
  return error.code == ErrorCode::Usage ? 2 : 1;
}

int tell(const std::string &text) {
  Status printed = print(text);
  return printed ? 0 : report(printed.error());
}

/// A program that is linked statically can open no driver: its twin beside it goes on with what is to be done. Where
/// there is none, who opens the driver says so.
void goOnWithDrivers(const Command &command, const Arguments &arguments, char **argv) {
  const std::string device = arguments.text("device").value_or("");
  const bool drives = device.rfind("nvidia:", 0) == 0 || device.rfind("amd:", 0) == 0;
  if (getauxval(AT_BASE) != 0 || (!drives && std::strcmp(command.name, "inspect") != 0)) // which tells what runs here
    return;
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
  if (size > 0)
    execv((std::string(self, size_t(size)) + "-gpu").c_str(), argv);
}

int runCommand(const Tool &tool, const Command &command, int argc, char **argv, char **fullLine) {
  Result<Arguments> arguments = Arguments::parse(tool, command, argc, argv);
  if (!arguments)
    return report(arguments.error());
  if (!arguments->help())
    goOnWithDrivers(command, *arguments, fullLine);
  Status done = arguments->help() ? print(helpText(tool, command)) : command.run(*arguments);
  return done ? 0 : report(done.error());
}

} // namespace

int main(int argc, char **argv) {
  const Tool tool = table();
  std::string word = argc > 1 ? argv[1] : "";
  if (word == "--help" || word == "-h" || word == "help")
    return tell(overviewText(tool));
  if (word == "--version") {
    std::string text = "stepdown-run " STEPDOWN_VERSION ", artifact ABI " + std::to_string(STEPDOWN_ABI_VERSION) +
                       ", no LLVM inside; built with " __VERSION__ "\n";
    return tell(text);
  }
  guardMappings("stepdown-run");
  removePartFilesOnSignals("stepdown-run");
  try {
    if (const Command *command = tool.find(word))
      return runCommand(tool, *command, argc - 2, argv + 2, argv);
  } catch (const std::bad_alloc &) {
    return report(fail(ErrorCode::OutOfMemory, "%s: expects more memory than the system gives", word.c_str()));
  } catch (const std::exception &problem) {
    return report(fail(ErrorCode::OutOfMemory, "%s: %s", word.c_str(), problem.what()));
  }
  std::vector<std::string> names;
  for (const Command &command : tool.commands)
    names.push_back(command.name);
  const std::string got = word.empty() ? "none" : "\"" + word + "\"" + suggestion(word, names);
  return report(fail(ErrorCode::Usage, "expects a command, but got %s; see stepdown-run --help", got.c_str()));
}
