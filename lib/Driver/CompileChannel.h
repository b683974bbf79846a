// The frames that library and program exchange when a program compiles for a library: a kind, a length, and as many
// bytes. Both ends are of one build on one machine (the first frame makes sure), so numbers lie as they do in memory.
#pragma once
#include "lib/Driver/CompileCall.h"

namespace stepdown {

enum class FrameKind : uint8_t {
  Hello = 'h',    ///< program: its versions
  Call = 'c',     ///< library: what to compile
  Progress = 'p', ///< program: what it does, and how much of how much
  Outcome = 'o',  ///< program: 0 or the number of a refusal, and its text
};

struct Frame {
  FrameKind kind;
  std::string bytes;
};

/// Puts values into bytes, and takes them out again in the same order.
class FrameWriter {
public:
  void number(uint64_t value) { bytes.append(reinterpret_cast<const char *>(&value), sizeof value); }
  void text(const std::string &value) {
    number(value.size());
    bytes += value;
  }
  std::string bytes;
};
class FrameReader {
public:
  explicit FrameReader(const std::string &bytes) : bytes(bytes) {}
  uint64_t number();
  std::string text();
  bool whole() const { return ok && at == bytes.size(); } ///< all was there, and no more

private:
  const std::string &bytes;
  size_t at = 0;
  bool ok = true;
};

std::string callToBytes(const CompileCall &call);
bool callFromBytes(const std::string &bytes, CompileCall &call);

/// Writes a frame into the socket `fd`; false where the other end is gone. No signal is raised.
bool sendFrame(int fd, FrameKind kind, const std::string &bytes);
/// The next frame, waiting for it; false at the end, or where what came is no frame of at most `most` bytes.
bool receiveFrame(int fd, Frame &frame, uint64_t most);

} // namespace stepdown
