// A mapped file that shrinks while in use: reading past its new end raises SIGBUS, which ends a program without a word.
// Programs install this guard, so that they end with a numbered error that names the file instead. A library must not
// take signals from its host, so nothing here happens unless a program asks.
#pragma once

namespace stepdown {

/// From now on a read past the end of a shrunken MappedFile prints "PROGRAM: error E0902: FILE: ..." and ends the
/// program with status 1. `program` must live as long as the program. Other causes of SIGBUS keep their default.
void guardMappings(const char *program);

/// For MappedFile: notes a mapping and its file, so that the guard can name it. At most 64 at a time; more go unnamed.
void noteMapping(const void *begin, unsigned long size, const char *path);
void forgetMapping(const void *begin);

} // namespace stepdown
