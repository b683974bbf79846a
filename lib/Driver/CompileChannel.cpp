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
  for (const std::string *text : {&call.input, &call.text, &call.output, &call.targets, &call.activations})
    writer.text(*text);
  for (uint64_t number : {uint64_t(call.isText), call.maxContext, uint64_t(uint32_t(call.jobs)), uint64_t(call.exact),
                          uint64_t(call.float32Cache), uint64_t(call.checkWeights)})
    writer.number(number);
  return std::move(writer.bytes);
}

bool callFromBytes(const std::string &bytes, CompileCall &call) {
  FrameReader reader(bytes);
  for (std::string *text : {&call.input, &call.text, &call.output, &call.targets, &call.activations})
    *text = reader.text();
  call.isText = reader.number();
  call.maxContext = reader.number();
  call.jobs = int32_t(reader.number());
  call.exact = reader.number();
  call.float32Cache = reader.number();
  call.checkWeights = reader.number();
  return reader.whole();
}

static bool sendAll(int fd, const void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t some = send(fd, static_cast<const char *>(data) + done, size - done, MSG_NOSIGNAL);
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0)
      return false;
    done += size_t(some);
  }
  return true;
}

static bool receiveAll(int fd, void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t some = recv(fd, static_cast<char *>(data) + done, size - done, 0);
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0)
      return false;
    done += size_t(some);
  }
  return true;
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
