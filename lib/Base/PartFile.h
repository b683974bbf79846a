// A file under construction: it has another name until it is whole, and nothing is left of it otherwise.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>

namespace stepdown {

/// `path` while it is being written: "PATH.part<process>" beside it, removed unless committed. Files that a killed
/// process left beside `path` are removed when the next one is created.
class PartFile {
public:
  /// E0903: the folder does not exist or cannot be written, or `path` is a folder.
  static Result<PartFile> create(const std::string &path);
  PartFile(PartFile &&other);
  PartFile &operator=(PartFile &&) = delete;
  ~PartFile();

  int descriptor() const { return fd; }
  const std::string &path() const { return target; }
  /// Takes `bytes` of the disk. E0903: there are not as many.
  Status reserve(uint64_t bytes);
  /// Writes `size` bytes at `offset`. E0903: the disk is full or fails.
  Status write(const void *data, uint64_t size, uint64_t offset);
  /// Gives the file its name: `path` is now this one, whole. E0903: the system refuses.
  Status commit();

private:
  PartFile(std::string path, std::string part, int fd, int slot)
      : target(std::move(path)), part(std::move(part)), fd(fd), slot(slot) {}
  std::string target, part;
  int fd, slot;
};

/// From now on SIGINT, SIGTERM and SIGHUP remove every PartFile, print "PROGRAM: error E0907: ..." and end the program
/// as the signal does; a write beyond the limit of file sizes becomes an error instead of a signal. For programs: a
/// library must not take signals from its host. `program` must live as long as the program.
void removePartFilesOnSignals(const char *program);

/// From now on a fault of the program itself (SIGSEGV, SIGFPE, SIGILL, SIGABRT) removes every PartFile, prints
/// "PROGRAM: error E0835: INPUT: ..." and ends the program with status 1: parsers and passes of other projects meet
/// text that nobody tried on them. After removePartFilesOnSignals; `input` must live as long as the program.
void explainFaults(const char *input);
/// What a parser has complained of so far ("FILE:3:5: ..."; empty for nothing): a fault behind that is told as E0833
/// with this text.
void noteDiagnostic(const char *text);

} // namespace stepdown
