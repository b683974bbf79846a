#include "tools/stepdown-run/Serve/HttpServer.h"
#include "tools/stepdown-run/Serve/Connection.h"
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>

namespace stepdown::run {

struct HttpServer::State : ConnectionOwner {
  State(const Options &options, HttpHandler &handler)
      : ConnectionOwner(options, handler), io(options.threads), pool(size_t(options.threads)),
        acceptor(net::make_strand(io)), pause(io), signals(io), limit(io) {
    workers = pool.get_executor();
  }

  void accept();
  void accepted(beast::error_code problem, tcp::socket socket);
  void left(Connection &connection) override;
  void stop(const std::function<void()> &stopping, double seconds);

  net::io_context io;
  net::thread_pool pool; ///< the workers
  tcp::acceptor acceptor;
  net::steady_timer pause; ///< until accepting is tried again
  net::signal_set signals;
  net::steady_timer limit;
  std::string url;
  bool loopback = false;
  std::mutex mutex; ///< of what follows
  std::set<std::shared_ptr<Connection>> open;
  bool accepting = false;
};

void HttpServer::State::accept() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (accepting || closing || open.size() >= options.connections)
      return;
    accepting = true;
  }
  acceptor.async_accept(net::make_strand(io), [this](beast::error_code problem, tcp::socket socket) {
    accepted(problem, std::move(socket));
  });
}

void HttpServer::State::accepted(beast::error_code problem, tcp::socket socket) {
  std::shared_ptr<Connection> connection;
  {
    std::lock_guard<std::mutex> lock(mutex);
    accepting = false;
    if (!problem && !closing) {
      connection = std::make_shared<Connection>(*this, std::move(socket));
      open.insert(connection);
    }
  }
  if (connection)
    connection->start();
  if (!problem)
    return accept();
  if (closing)
    return;
  pause.expires_after(std::chrono::milliseconds(100)); // no file is left: one may be closed meanwhile
  pause.async_wait([this](beast::error_code ended) {
    if (!ended)
      accept();
  });
}

void HttpServer::State::left(Connection &connection) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    open.erase(connection.shared_from_this());
  }
  net::post(acceptor.get_executor(), [this] { accept(); });
}

void HttpServer::State::stop(const std::function<void()> &stopping, double seconds) {
  closing = true;
  net::post(acceptor.get_executor(), [this] {
    beast::error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
  });
  stopping();
  std::set<std::shared_ptr<Connection>> those;
  {
    std::lock_guard<std::mutex> lock(mutex);
    those = open;
  }
  for (const std::shared_ptr<Connection> &connection : those)
    connection->closeIdle();
  limit.expires_after(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds)));
  limit.async_wait([this](beast::error_code ended) {
    if (!ended)
      io.stop();
  });
  signals.async_wait([this](beast::error_code ended, int) {
    if (!ended)
      io.stop();
  });
  // When the last connection is closed, nothing is left to wait for.
  auto done = std::make_shared<std::function<void()>>();
  auto look = std::make_shared<net::steady_timer>(io);
  *done = [this, look, weak = std::weak_ptr<std::function<void()>>(done)] {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (open.empty())
        return io.stop();
    }
    look->expires_after(std::chrono::milliseconds(20));
    look->async_wait([again = weak.lock()](beast::error_code) { (*again)(); });
  };
  (*done)();
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state(std::move(state)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::create(const Options &options, HttpHandler &handler) {
  auto state = std::make_unique<State>(options, handler);
  beast::error_code problem;
  const net::ip::address address =
      net::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, problem);
  if (problem)
    return fail(ErrorCode::ServerAddress, "host: expects an address such as 127.0.0.1, 0.0.0.0 or ::1, but got \"%s\"",
                options.host.substr(0, 100).c_str());
  const tcp::endpoint endpoint(address, static_cast<unsigned short>(options.port));
  state->acceptor.open(endpoint.protocol(), problem);
  if (!problem)
    state->acceptor.set_option(net::socket_base::reuse_address(true), problem);
  if (!problem)
    state->acceptor.bind(endpoint, problem);
  if (!problem)
    state->acceptor.listen(net::socket_base::max_listen_connections, problem);
  if (problem)
    return fail(ErrorCode::ServerAddress, "%s port %d: cannot listen: %s", options.host.c_str(), options.port,
                problem.message().c_str());
  const std::string name = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  state->url = "http://" + name + ":" + std::to_string(state->acceptor.local_endpoint(problem).port());
  state->loopback = address.is_loopback();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::string HttpServer::url() const { return state->url; }
bool HttpServer::isLoopback() const { return state->loopback; }
size_t HttpServer::connections() const {
  std::lock_guard<std::mutex> lock(state->mutex);
  return state->open.size();
}

void HttpServer::run(const std::function<void()> &stopping, double seconds) {
  beast::error_code ignored;
  for (int signal : {SIGINT, SIGTERM})
    state->signals.add(signal, ignored);
  state->signals.async_wait([this, stopping, seconds](beast::error_code ended, int) {
    if (!ended)
      state->stop(stopping, seconds);
  });
  net::post(state->acceptor.get_executor(), [this] { state->accept(); });
  std::vector<std::thread> others;
  auto serve = [this] {
    for (;;)
      try {
        state->io.run();
        return;
      } catch (const std::exception &problem) { // one connection's: out of memory
        std::fprintf(stderr, "stepdown-run: a connection ended: %s\n", problem.what());
      }
  };
  for (int i = 1; i < state->options.threads; ++i)
    others.emplace_back(serve);
  serve();
  for (std::thread &other : others)
    other.join();
  state->pool.stop();
  state->pool.join();
}

} // namespace stepdown::run
