// A file under construction: it has another name until it is whole, and nothing is left of it otherwise.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

namespace stepdown {

/// Everything that a program writes under a name that a user gave.
///
/// A regular file, or one that is not there yet, is written under another name beside it, "PATH.part-" and 16 random
/// hexadecimal digits, and takes its name, links followed, when it is whole; its permissions stay. Files that a killed
/// process left there are removed when the next one is created: the lock that a living process holds on its file is
/// gone, whichever container the process was in. Pipes, character devices (/dev/null, a terminal) and the program's own
/// descriptors (/dev/stdout, /dev/fd/3) are written to as they are. Block devices and sockets are refused.
class PartFile {
public:
  enum class Order { anywhere, forward }; ///< forward: with append alone, so that a pipe has its bytes at once
  /// E0903: the folder does not exist or cannot be written, or `path` is a folder. E0960: it is one of `inputs`.
  static Result<PartFile> create(const std::string &path, const std::vector<std::string> &inputs = {},
                                 Order order = Order::anywhere);
  PartFile(PartFile &&other);
  PartFile &operator=(PartFile &&) = delete;
  ~PartFile();

  int descriptor() const { return fd; }
  const std::string &path() const { return name; }
  /// Where the bytes can be read until commit, also those on their way into a pipe.
  std::string partPath() const { return part.empty() ? "/proc/self/fd/" + std::to_string(fd) : part; }
  /// Takes `bytes` of the disk. E0903: there are not as many.
  Status reserve(uint64_t bytes);
  /// Writes `size` bytes at `offset`. E0903: the disk is full or fails.
  Status write(const void *data, uint64_t size, uint64_t offset);
  /// Writes `size` bytes behind those of the append before. E0903.
  Status append(const void *data, uint64_t size);
  /// Gives the file its name: `path` is now this one, whole. E0903: the system refuses, or a pipe's reader is gone.
  Status commit();

private:
  explicit PartFile(std::string name) : name(std::move(name)) {}
  Status openStream(int opened, Order order);
  Status openPart(unsigned mode);
  std::string name, target, part; ///< as given; links followed; while it is written, or empty
  int fd = -1, stream = -1;       ///< what is written to; where it goes in the end, if elsewhere
  int slot = -1;
};

/// E0960 where the file `path` that is there, of which `info` tells, is one of `inputs` by whichever name.
Status expectNoInput(const std::string &path, const struct stat &info, const std::vector<std::string> &inputs);

/// `text` as the whole of the file `path`; E0903, E0960.
Status writeFile(const std::string &path, std::string_view text, const std::vector<std::string> &inputs = {});

/// Removes every PartFile of this process. For signal handlers of programs that are about to end.
void removePartFiles();

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
/// What this thread does from now on ("fuse-elementwise of @f, FILE:3:5"; empty for nothing): a fault tells it.
void noteWork(const char *text);

} // namespace stepdown
