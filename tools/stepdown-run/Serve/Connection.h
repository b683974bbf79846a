// One client of an HttpServer, with Boost.Beast; for HttpServer.cpp and a fuzz target alone: Beast takes its time to
// compile.
#pragma once
#include "runtime/Server/Trace.h"
#include "tools/stepdown-run/Serve/HttpServer.h"
#define BOOST_BEAST_USE_STD_STRING_VIEW
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <optional>

namespace stepdown::run {
namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = net::ip::tcp;

constexpr char pathLetters[] = "/abcdefghijklmnopqrstuvwxyz0123456789_-."; ///< that a trace shows of a path
constexpr size_t headBytes = 16384;                                        ///< of a request's first line and headers
constexpr size_t unsentBytes = size_t(4) << 20;   ///< of an answer that a slow reader may leave
constexpr size_t drainedBytes = size_t(64) << 20; ///< read of a body that was refused, so that the refusal arrives

/// The bytes of a message, or of its head alone.
template <typename Body> inline std::string bytesOf(http::response<Body> &message, bool headAlone) {
  http::response_serializer<Body> serializer(message);
  serializer.split(headAlone);
  std::string bytes;
  beast::error_code problem;
  while (!(headAlone ? serializer.is_header_done() : serializer.is_done()) && !problem)
    serializer.next(problem, [&](beast::error_code &, const auto &buffers) {
      size_t count = 0;
      for (net::const_buffer buffer : beast::buffers_range_ref(buffers)) {
        bytes.append(static_cast<const char *>(buffer.data()), buffer.size());
        count += buffer.size();
      }
      serializer.consume(count);
    });
  return bytes;
}

class Connection;

/// What a connection knows of its server.
struct ConnectionOwner {
  ConnectionOwner(const HttpServer::Options &options, HttpHandler &handler) : options(options), handler(handler) {}
  virtual ~ConnectionOwner() = default;
  /// The connection is closed.
  virtual void left(Connection &connection) = 0;
  const HttpServer::Options options;
  HttpHandler &handler;
  /// Call the handler: reading a request may take its time, in which answers go on. To be set before a connection
  /// starts.
  net::any_io_executor workers;
  std::atomic<bool> closing{false}; ///< nothing more is read
  std::atomic<uint64_t> requests{0};
};

/// One client. All of it runs on its strand; an answer comes from other threads through post().
class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(ConnectionOwner &server, tcp::socket socket) : server(server), stream(std::move(socket)) {}

  void start() {
    net::dispatch(stream.get_executor(), [self = shared_from_this()] { self->read(); });
  }
  /// Ends it where it does nothing but wait for a request.
  void closeIdle() {
    net::post(stream.get_executor(), [self = shared_from_this()] {
      if (!self->answering)
        self->close();
    });
  }
  template <typename Task> void post(Task task) {
    net::post(stream.get_executor(), [self = shared_from_this(), task = std::move(task)]() mutable { task(*self); });
  }

  // The answer to request `number`; anything for one before it is late, and dropped.
  void answer(uint64_t number, int status, const std::string &type, std::optional<std::string> body,
              const HttpHeaders &headers) {
    if (number != current || !answering || begun)
      return;
    begun = true;
    http::response<http::string_body> response{static_cast<http::status>(status), version};
    response.set(http::field::content_type, type);
    for (const auto &[name, value] : headers)
      response.set(name, value);
    keep &= !server.closing && !drains;
    // A client of HTTP/1.0 knows no chunks: the end of the body is the end of the connection.
    chunked = !body && version >= 11;
    keep &= body || chunked;
    response.keep_alive(keep);
    const bool whole = body.has_value();
    if (whole)
      response.content_length(body->size());
    else if (chunked)
      response.chunked(true);
    if (whole && !headOnly)
      response.body() = std::move(*body);
    queue(bytesOf(response, headOnly || !whole));
    if (whole)
      end(number);
  }
  void piece(uint64_t number, std::string bytes) {
    if (number != current || !begun || ended || bytes.empty() || headOnly)
      return;
    if (chunked) {
      std::string framed;
      for (net::const_buffer buffer : beast::buffers_range(http::make_chunk(net::buffer(bytes))))
        framed.append(static_cast<const char *>(buffer.data()), buffer.size());
      bytes = std::move(framed);
    }
    queue(std::move(bytes));
  }
  void end(uint64_t number) {
    if (number != current || !begun || ended)
      return;
    if (chunked && !headOnly)
      queue("0\r\n\r\n");
    ended = true;
    onGone = nullptr;
    write();
  }
  void watch(uint64_t number, std::function<void()> gone) {
    if (number == current && answering && !closed)
      onGone = std::move(gone);
    else if (closed)
      gone();
  }

private:
  void read() {
    if (server.closing)
      return close();
    answering = begun = ended = chunked = drains = headOnly = false;
    traced = 0;
    ++current;
    parser.emplace();
    parser->header_limit(headBytes);
    parser->body_limit(server.options.body);
    stream.expires_after(std::chrono::seconds(server.options.idleSeconds)); // for all of the request
    http::async_read_header(stream, buffer, *parser, [self = shared_from_this()](beast::error_code problem, size_t) {
      if (problem)
        return self->unreadable(problem);
      if (beast::iequals(self->parser->get()[http::field::expect], "100-continue") && !self->parser->is_done())
        return self->goAhead();
      self->readBody();
    });
  }
  void goAhead() {
    static const std::string text = "HTTP/1.1 100 Continue\r\n\r\n";
    net::async_write(stream, net::buffer(text), [self = shared_from_this()](beast::error_code problem, size_t) {
      return problem ? self->close() : self->readBody();
    });
  }
  void readBody() {
    http::async_read(stream, buffer, *parser, [self = shared_from_this()](beast::error_code problem, size_t) {
      return problem ? self->unreadable(problem) : self->handle();
    });
  }

  void unreadable(beast::error_code problem) {
    const bool large = problem == http::error::body_limit, head = problem == http::error::header_limit;
    const bool ours = problem.category() == make_error_code(http::error::bad_method).category();
    if (!ours || problem == http::error::end_of_stream || problem == http::error::partial_message)
      return close();
    answering = drains = true;
    keep = false;
    version = 11;
    server.handler.refuse(large ? 413 : head ? 431 : 400, problem.message(), reply());
  }

  void handle() {
    answering = true;
    auto message = parser->release();
    version = message.version();
    keep = message.keep_alive();
    headOnly = message.method() == http::verb::head;
    auto text = [&](http::field field) { return std::string(message[field]); };
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.path = std::string(message.target());
    request.path.resize(std::min(request.path.size(), request.path.find('?')));
    request.host = text(http::field::host);
    request.authorization = text(http::field::authorization);
    request.contentType = text(http::field::content_type);
    request.body = std::move(message.body());
    if (Trace *trace = server.options.trace) {
      request.traced = traced = ++server.requests;
      trace->nameProcess(traced, "request " + std::to_string(traced) + ": " + request.method + " " +
                                     request.path.substr(0, request.path.find_first_not_of(pathLetters)));
      trace->nameTrack(traced, 0, "connection");
    }
    stream.expires_never(); // the answer takes its time
    awaitLeaving();
    net::post(server.workers, [&handler = server.handler, request = std::move(request), reply = reply()]() mutable {
      handler.handle(std::move(request), std::move(reply));
    });
  }

  /// While an answer is made, the client has nothing to say; what can be read is its end.
  void awaitLeaving() {
    if (waiting)
      return;
    waiting = true;
    stream.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](beast::error_code problem) {
      self->waiting = false;
      if (problem || self->closed || !self->answering)
        return;
      char byte;
      beast::error_code peeked;
      self->stream.socket().non_blocking(true, peeked);
      const size_t count = self->stream.socket().receive(net::buffer(&byte, 1), tcp::socket::message_peek, peeked);
      if (peeked == net::error::would_block) // what was there has been read as the request
        self->awaitLeaving();
      else if (count == 0)
        self->close();
      // Else it asks for more already, and whether it leaves is seen when something is written.
    });
  }

  void queue(std::string bytes) {
    unsent += bytes.size();
    pending.push_back(std::move(bytes));
    if (unsent > unsentBytes && pending.size() > 1) // of an answer that comes in pieces
      return close();
    write();
  }
  void write() {
    if (writing || closed)
      return;
    if (pending.empty()) {
      if (!ended)
        return;
      if (keep)
        return read();
      return drains ? drain() : close();
    }
    writing = true;
    sending.clear();
    for (std::string &bytes : pending) // what has come since goes in one piece
      sending += bytes;
    pending.clear();
    sent = 0;
    writes = Trace::Clock::now();
    writeSome();
  }
  void writeSome() {
    stream.expires_after(std::chrono::seconds(server.options.writeSeconds)); // for a client that takes nothing
    stream.async_write_some(
        net::buffer(sending) + sent, [self = shared_from_this()](beast::error_code problem, size_t count) {
          self->sent += count;
          self->unsent -= std::min(self->unsent, count);
          if (!problem && self->sent < self->sending.size())
            return self->writeSome();
          self->writing = false;
          if (self->traced)
            self->server.options.trace->span(self->traced, 0, "write", self->writes, Trace::Clock::now(),
                                             "\"bytes\": " + std::to_string(self->sent));
          if (problem)
            return self->close();
          self->stream.expires_never();
          self->write();
        });
  }

  /// A connection that is closed with bytes unread is reset, and the client never sees why it was refused.
  void drain() {
    beast::error_code ignored;
    if (drained == 0) {
      stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
      stream.expires_after(std::chrono::seconds(5)); // for all of it
    }
    buffer.clear();
    stream.async_read_some(buffer.prepare(16384), [self = shared_from_this()](beast::error_code problem, size_t count) {
      self->drained += count + 1;
      if (problem || self->drained > drainedBytes)
        return self->close();
      self->drain();
    });
  }

  void close() {
    if (closed)
      return;
    closed = true;
    beast::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream.close();
    if (auto gone = std::exchange(onGone, nullptr))
      gone();
    server.left(*this);
  }

  std::shared_ptr<HttpReply> reply();

  ConnectionOwner &server;
  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  std::optional<http::request_parser<http::string_body>> parser;
  uint64_t current = 0; ///< number of the request
  unsigned version = 11;
  bool answering = false, begun = false, ended = false, chunked = false, headOnly = false, keep = false;
  bool drains = false;  ///< the body of a request is left unread
  bool waiting = false; ///< for the client's end
  bool writing = false, closed = false;
  std::deque<std::string> pending;
  std::string sending;
  size_t sent = 0; ///< of `sending`
  size_t unsent = 0, drained = 0;
  uint64_t traced = 0; ///< the request's process in the trace
  Trace::Time writes;  ///< since when
  std::function<void()> onGone;
};

class ConnectionReply : public HttpReply {
public:
  ConnectionReply(std::shared_ptr<Connection> connection, uint64_t number)
      : connection(std::move(connection)), number(number) {}
  void send(int status, const std::string &type, std::string body, const HttpHeaders &headers) override {
    connection->post([=, number = number, body = std::move(body)](Connection &c) mutable {
      c.answer(number, status, type, std::move(body), headers);
    });
  }
  void begin(int status, const std::string &type, const HttpHeaders &headers) override {
    connection->post([=, number = number](Connection &c) { c.answer(number, status, type, std::nullopt, headers); });
  }
  void write(std::string piece) override {
    connection->post(
        [number = number, piece = std::move(piece)](Connection &c) mutable { c.piece(number, std::move(piece)); });
  }
  void end() override {
    connection->post([number = number](Connection &c) { c.end(number); });
  }
  void onGone(std::function<void()> gone) override {
    connection->post(
        [number = number, gone = std::move(gone)](Connection &c) mutable { c.watch(number, std::move(gone)); });
  }

private:
  std::shared_ptr<Connection> connection;
  uint64_t number;
};

inline std::shared_ptr<HttpReply> Connection::reply() {
  return std::make_shared<ConnectionReply>(shared_from_this(), current);
}

} // namespace stepdown::run
