// A client's connection to a server on TCP, none of whose waits is without end.
#pragma once
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace stepdown::run {

/// Bytes come line by line, or so many at once. Every wait ends after `silence` seconds in which nothing moved, and as
/// soon as the file `stop` can be read. A signal between ends none.
class ClientConnection {
public:
  ClientConnection(const sockaddr *address, socklen_t size, double silence, int stop);
  ~ClientConnection();
  ClientConnection(const ClientConnection &) = delete;

  // Each is false, or empty, where it came to nothing; then why() tells it, from then on.
  bool isOpen() const { return file >= 0 && reason.empty(); }
  bool send(std::string_view bytes);
  /// A line without its end, of at most 65536 bytes.
  bool line(std::string &text);
  /// Exactly `count` bytes, behind what `text` has.
  bool bytes(size_t count, std::string &text);
  /// What is there, or comes next: at least a byte and at most `most` of them.
  std::string some(size_t most);

  /// "the connection ended", "nothing came for 30 s", or what the system says.
  const std::string &why() const { return reason; }
  bool ended() const { return over; }         ///< by the other side, in order
  bool wasStopped() const { return stopped; } ///< by `stop`

private:
  bool wait(short events);
  bool more();
  bool systemSays(int number);

  const double silence;
  const int stop;
  int file = -1;
  std::string held; ///< of which `at` bytes were taken
  size_t at = 0;
  std::string reason;
  bool over = false, stopped = false;
};

} // namespace stepdown::run
