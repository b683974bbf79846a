// What a server and those who answer its requests say to each other; nothing of sockets.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stepdown::run {

struct HttpRequest {
  std::string method; ///< "POST"
  std::string path;   ///< without what is behind "?"
  std::string host, authorization, contentType;
  std::string body;
  uint64_t traced = 0; ///< its process in the server's trace, from 1; 0: there is none
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// Takes the answer to one request: send(), or begin(), any number of write(), and end(). Used from any thread, by one
/// at a time.
class HttpReply {
public:
  virtual ~HttpReply() = default;
  virtual void send(int status, const std::string &type, std::string body, const HttpHeaders &headers = {}) = 0;
  /// A body that comes in pieces, each of which is sent at once.
  virtual void begin(int status, const std::string &type, const HttpHeaders &headers = {}) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  /// `gone` is called, on some thread, where the client leaves before the answer is complete; at most once.
  virtual void onGone(std::function<void()> gone) = 0;
};

class HttpHandler {
public:
  virtual ~HttpHandler() = default;
  /// Answers `request`, now or later. Called on several threads at once.
  virtual void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) = 0;
  /// Answers a request that is no HTTP (400, 431) or too large (413), which the server found out by itself.
  virtual void refuse(int status, const std::string &why, std::shared_ptr<HttpReply> reply) = 0;
};

} // namespace stepdown::run
