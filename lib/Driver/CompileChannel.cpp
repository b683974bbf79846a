#include "lib/Driver/CompileChannel.h"
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace stepdown {

uint64_t FrameReader::number() {
  uint64_t value = 0;
  if (!ok || bytes.size() - at < sizeof value)
    return ok = false, 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

std::string FrameReader::text() {
  const uint64_t size = number();
  if (!ok || bytes.size() - at < size)
    return ok = false, std::string();
  at += size;
  return bytes.substr(at - size, size);
}

std::string callToBytes(const CompileCall &call) {
  FrameWriter writer;
  for (const std::string *text : {&call.input, &call.text, &call.output, &call.targets, &call.activations, &call.kvType,
                                  &call.adapters, &call.quantize})
    writer.text(*text);
  for (uint64_t number : {uint64_t(call.isText), call.maxContext, uint64_t(uint32_t(call.jobs)), uint64_t(call.exact),
                          uint64_t(call.checkWeights)})
    writer.number(number);
  return std::move(writer.bytes);
}

bool callFromBytes(const std::string &bytes, CompileCall &call) {
  FrameReader reader(bytes);
  for (std::string *text : {&call.input, &call.text, &call.output, &call.targets, &call.activations, &call.kvType,
                            &call.adapters, &call.quantize})
    *text = reader.text();
  call.isText = reader.number();
  call.maxContext = reader.number();
  call.jobs = int32_t(reader.number());
  call.exact = reader.number();
  call.checkWeights = reader.number();
  return reader.whole();
}

/// All of `size` bytes by `some(done, left)`, which tells how many came through; false where none do.
template <typename Some> static bool transfer(size_t size, Some some) {
  for (size_t done = 0; done < size;) {
    const ssize_t bytes = some(done, size - done);
    if (bytes < 0 && errno == EINTR)
      continue;
    if (bytes <= 0)
      return false;
    done += size_t(bytes);
  }
  return true;
}

static bool sendAll(int fd, const void *data, size_t size) {
  auto *bytes = static_cast<const char *>(data);
  return transfer(size, [&](size_t done, size_t left) { return send(fd, bytes + done, left, MSG_NOSIGNAL); });
}

static bool receiveAll(int fd, void *data, size_t size) {
  auto *bytes = static_cast<char *>(data);
  return transfer(size, [&](size_t done, size_t left) { return recv(fd, bytes + done, left, 0); });
}

bool sendFrame(int fd, FrameKind kind, const std::string &bytes) {
  const uint64_t head[2] = {uint64_t(kind), bytes.size()};
  return sendAll(fd, head, sizeof head) && sendAll(fd, bytes.data(), bytes.size());
}

bool receiveFrame(int fd, Frame &frame, uint64_t most) {
  uint64_t head[2];
  if (!receiveAll(fd, head, sizeof head) || head[0] > 255 || head[1] > most)
    return false;
  frame.kind = FrameKind(head[0]);
  frame.bytes.resize(head[1]);
  return receiveAll(fd, frame.bytes.data(), frame.bytes.size());
}

} // namespace stepdown
