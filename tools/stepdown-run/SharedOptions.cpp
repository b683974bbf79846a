// Options that several commands have, and the commands that print what follows from the table of all of them.
#include "runtime/Devices.h"
#include "runtime/cpu/Processor.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include <cstdlib>

namespace stepdown::run {
namespace {

Status runCompletion(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  const std::string &shell = (*words)[0];
  if (shell != "bash" && shell != "zsh")
    return arguments.usage("expects bash or zsh, but got \"" + shell + "\"");
  return print(completionScript(arguments.tool(), shell));
}

Status runManual(const Arguments &arguments) {
  if (auto none = arguments.positionals(0); !none)
    return none.error();
  return print(manualPage(arguments.tool()));
}

} // namespace

Option threadsOption() { return Option("threads", 't', "N", "threads").whole(1, 1024).otherwiseIt("one per core"); }
Option deviceOption() { return Option("device", 0, "NAME", "what runs it").among(deviceNames()).by("cpu"); }
Option isaOption() {
  return Option("isa", 0, "LEVEL", "code of this level").among(levelNames()).otherwiseIt("the best of this processor");
}
Option exactOption() { return {"exact", 0, nullptr, "activations and cache stay float32"}; }
Option verboseOption() {
  return {"verbose", 0, nullptr, "tell on stderr what is being done, a line each, with the seconds since the start"};
}
Option kvBlockOption() {
  return Option("kv-block", 0, "N", "positions in a cache block").oneOf({"16", "32", "64"}).by("32");
}
Option tokensOption(const char *meaning) { return Option("tokens", 0, "1,2,3", meaning).whole(0, INT32_MAX).lists(); }

std::string apiKey(const Arguments &arguments) {
  const std::string given = arguments.value("api-key");
  const char *kept = std::getenv("STEPDOWN_API_KEY");
  return given.empty() && kept ? kept : given;
}

Command completionCommand() {
  return {"completion",
          "bash|zsh",
          "Prints a script with which a shell completes commands, options and their values.",
          {},
          "source <(stepdown-run completion bash)",
          runCompletion};
}

Command manualCommand() {
  return {"manual", "", "Prints the manual page.", {}, "stepdown-run manual | man -l -", runManual};
}

} // namespace stepdown::run
