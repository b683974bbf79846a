// stepdown-run: runs what stepdown-compile wrote. Exit status 0: done, 1: refused or failed, 2: wrong usage.
#include "include/stepdown/Artifact.h"
#include "lib/Base/MappingGuard.h"
#include "lib/Base/PartFile.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include <cstdio>
#include <cstring>
#include <exception>

using namespace stepdown;
using namespace stepdown::run;

namespace {

std::string overview(const std::vector<Command> &commands) {
  std::string text =
      "stepdown-run COMMAND MODEL [options]\n"
      "MODEL is an artifact (.stepdown), or a checkpoint (.gguf), which is compiled once into the cache.\n\n";
  for (const Command &command : commands)
    text +=
        "  " + std::string(command.name) + std::string(12 - std::strlen(command.name), ' ') + command.summary + "\n";
  return text + "\nstepdown-run COMMAND --help tells the options; stepdown-run --version what this is.\n";
}

int report(const Error &error) {
  std::fprintf(stderr, "stepdown-run: %s\n", error.text().c_str());
  return error.code == ErrorCode::Usage ? 2 : 1;
}

int runCommand(const Command &command, int argc, char **argv) {
  Result<Arguments> arguments = Arguments::parse(command, argc, argv);
  if (!arguments)
    return report(arguments.error());
  Status done = arguments->help() ? print(helpText(command)) : command.run(*arguments);
  return done ? 0 : report(done.error());
}

} // namespace

int main(int argc, char **argv) {
  std::vector<Command> commands = {generateCommand(), chatCommand(),     evalCommand(),
                                   benchCommand(),    tokenizeCommand(), detokenizeCommand(),
                                   renderCommand(),   inspectCommand(),  callCommand()};
  std::string word = argc > 1 ? argv[1] : "";
  if (word == "--help" || word == "-h" || word == "help")
    return print(overview(commands)) ? 0 : 1;
  if (word == "--version") {
    std::string text = "stepdown-run " STEPDOWN_VERSION ", artifact ABI " + std::to_string(STEPDOWN_ABI_VERSION) +
                       ", no LLVM inside; built with " __VERSION__ "\n";
    return print(text) ? 0 : 1;
  }
  guardMappings("stepdown-run");
  removePartFilesOnSignals("stepdown-run");
  try {
    for (const Command &command : commands)
      if (word == command.name)
        return runCommand(command, argc - 2, argv + 2);
  } catch (const std::bad_alloc &) {
    return report(fail(ErrorCode::OutOfMemory, "%s: expects more memory than the system gives", word.c_str()));
  } catch (const std::exception &problem) {
    return report(fail(ErrorCode::OutOfMemory, "%s: %s", word.c_str(), problem.what()));
  }
  report(fail(ErrorCode::Usage, "expects a command, but got %s; see stepdown-run --help",
              word.empty() ? "none" : ("\"" + word + "\"").c_str()));
  return 2;
}
