// HTTP/1.1 on TCP with Boost.Beast: a few threads serve any number of connections, of which most wait most of the time.
#pragma once
#include "lib/Base/Result.h"
#include "tools/stepdown-run/Serve/Http.h"

namespace stepdown {
class Trace;
} // namespace stepdown

namespace stepdown::run {

class HttpServer {
public:
  struct Options {
    std::string host = "127.0.0.1"; ///< an address in numbers, or localhost
    int port = 8080;                ///< 0: any that is free
    int threads = 2;                ///< of connections, and as many that read requests
    size_t body = size_t(4) << 20;  ///< bytes of a request
    size_t connections = 1000;      ///< at a time; others wait to be accepted
    int idleSeconds = 60;           ///< until a whole request must be there
    int writeSeconds = 30;          ///< that a client may take nothing of its answer
    Trace *trace = nullptr;         ///< what is written when goes there; must outlive the server
  };
  /// Listens from now on; run() accepts. E1201. `handler` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> create(const Options &options, HttpHandler &handler);
  ~HttpServer();

  /// "http://127.0.0.1:8080"
  std::string url() const;
  bool isLoopback() const;
  size_t connections() const;
  /// Serves until SIGINT or SIGTERM came: then `stopping` is called, nothing more is accepted, and run() returns when
  /// all answers are sent, at the latest `seconds` later. A second signal ends it at once.
  void run(const std::function<void()> &stopping, double seconds);

private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace stepdown::run
