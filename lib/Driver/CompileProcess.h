// Compiling in a process of its own, so that whatever becomes of it, the process that asked lives on.
//
// The library starts stepdown-compile and speaks with it over a socket, its descriptor 3. First the program tells its
// versions, since files of two builds do not go together; then it is told the call; then it tells its progress, and in
// the end the outcome. A program that ends before that came to a fault, or was ended: what its signal handlers wrote to
// stderr on the way (PartFile.h, MappingGuard.h) is the outcome then, else how it ended.
#pragma once
#include "lib/Driver/CompileCall.h"

namespace stepdown {

/// The argument after which stepdown-compile speaks with a library over descriptor 3, and does nothing else.
constexpr char kForLibrary[] = "--for-library";

/// Does what `call` says in a process of `program`; where that is empty, of the stepdown-compile that was built or
/// installed with the library or program that this function is in. E0841: it cannot be started, or is another version;
/// E0835: it came to a fault; E0840: something ended it; else as compileHere.
Status compileByProgram(const std::string &program, const CompileCall &call, const CompileProgress &progress);

/// The program's end of it, for main; its exit status. Takes over signals and descriptor 3.
int answerLibrary();

} // namespace stepdown
