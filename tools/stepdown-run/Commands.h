// The commands of stepdown-run; each lives in the file of its name.
#pragma once
#include "lib/CommandLine/CommandLine.h"

namespace stepdown::run {

using commandline::Arguments;
using commandline::Command;
using commandline::Option;

Command generateCommand();
Command tokenizeCommand();
Command detokenizeCommand();
Command embedCommand();
Command evalCommand();
Command benchCommand();
Command inspectCommand();
Command renderCommand();
Command chatCommand();
Command callCommand();
Command serveCommand();
Command proxyConfigCommand();
Command grammarCommand();
Command completionCommand();
Command manualCommand();

// Options that several commands have.
Option threadsOption();
Option deviceOption();
Option isaOption();
Option exactOption();
Option verboseOption();
Option kvBlockOption();
Option tokensOption(const char *meaning);

/// --api-key, else the environment's STEPDOWN_API_KEY, which other users of the machine cannot list; empty for none.
std::string apiKey(const Arguments &arguments);

/// -p TEXT or -f FILE; E0905 for both or none, E0901.
Result<std::string> textArgument(const Arguments &arguments);
struct Request;
/// The prompt of `request`: the ids of --tokens, else the text of -p or -f; E0905, E0901.
Status readPrompt(const Arguments &arguments, Request &request);

} // namespace stepdown::run
