#include "tools/stepdown-run/Load/ClientConnection.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace stepdown::run {
namespace {

constexpr size_t mostLine = 65536;

} // namespace

ClientConnection::ClientConnection(const sockaddr *address, socklen_t size, double silence, int stop)
    : silence(silence), stop(stop) {
  file = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) {
    systemSays(errno);
    return;
  }
  if (connect(file, address, size) == 0)
    return;
  if (errno != EINPROGRESS && errno != EINTR) { // behind a signal it goes on as it does without one
    systemSays(errno);
    return;
  }
  int problem = 0;
  socklen_t length = sizeof problem;
  if (wait(POLLOUT) && (getsockopt(file, SOL_SOCKET, SO_ERROR, &problem, &length) != 0 || problem))
    systemSays(problem ? problem : errno);
}

ClientConnection::~ClientConnection() {
  if (file >= 0)
    close(file);
}

bool ClientConnection::systemSays(int number) {
  reason = std::strerror(number);
  return false;
}

bool ClientConnection::wait(short events) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  for (;;) {
    const double left = silence - std::chrono::duration<double>(Clock::now() - begun).count();
    pollfd files[] = {{file, events, 0}, {stop, POLLIN, 0}};
    const int ready = poll(files, 2, static_cast<int>(std::clamp(std::ceil(left * 1000), 0.0, 1e9)));
    if (ready < 0 && errno != EINTR)
      return systemSays(errno);
    if (ready > 0 && files[1].revents) {
      stopped = true;
      reason = "it was interrupted";
      return false;
    }
    if (ready > 0)
      return true;
    if (ready == 0 && left <= 0) {
      char text[64];
      std::snprintf(text, sizeof text, "nothing came for %.4g s", silence);
      reason = text;
      return false;
    }
  }
}

bool ClientConnection::send(std::string_view bytes) {
  while (isOpen() && !bytes.empty()) {
    const ssize_t sent = ::send(file, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      bytes.remove_prefix(static_cast<size_t>(sent));
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      wait(POLLOUT);
    else if (errno != EINTR)
      systemSays(errno);
  }
  return isOpen();
}

bool ClientConnection::more() {
  held.erase(0, std::exchange(at, 0));
  char part[16384];
  while (isOpen()) {
    if (!wait(POLLIN)) // which sees also that it was stopped, however much comes
      return false;
    const ssize_t count = recv(file, part, sizeof part, 0);
    if (count > 0) {
      held.append(part, static_cast<size_t>(count));
      return true;
    }
    if (count == 0) {
      over = true;
      reason = "the connection ended";
    } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      systemSays(errno);
    }
  }
  return false;
}

bool ClientConnection::line(std::string &text) {
  for (;;) {
    const size_t end = held.find('\n', at);
    if (end != held.npos) {
      text = held.substr(at, end - at);
      at = end + 1;
      if (!text.empty() && text.back() == '\r')
        text.pop_back();
      return true;
    }
    if (held.size() - at > mostLine) {
      reason = "a line has more than 65536 bytes";
      return false;
    }
    if (!more())
      return false;
  }
}

bool ClientConnection::bytes(size_t count, std::string &text) {
  while (held.size() - at < count)
    if (!more())
      return false;
  text.append(held, at, count);
  at += count;
  return true;
}

std::string ClientConnection::some(size_t most) {
  if (at == held.size() && !more())
    return "";
  std::string text = held.substr(at, most);
  at += text.size();
  return text;
}

} // namespace stepdown::run
