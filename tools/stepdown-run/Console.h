// stdin, stdout, stderr and Ctrl-C, as all commands use them.
#pragma once
#include "lib/Base/Result.h"
#include <string>

namespace stepdown::run {

/// The whole of the file at `path`, or of stdin when it is "-"; E0901, E0902.
Result<std::string> readText(const std::string &path);
/// Writes to stdout at once; E0903 when stdout is gone.
Status print(const std::string &text);

/// Ctrl-C asks the running command to end after the present step; a second one ends the program at once.
void catchInterrupts();
bool interrupted();
/// A file that can be read from Ctrl-C on until clearInterrupt(), for poll(); -1 before catchInterrupts().
int interruptsToPoll();
/// Forgets an interrupt: chat goes on after it.
void clearInterrupt();

/// Milliseconds on a clock that only moves forward.
double milliseconds();

} // namespace stepdown::run
