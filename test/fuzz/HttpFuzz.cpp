// Any bytes that a client sends: heads, bodies and what is neither, whole or in two parts, with every path of the
// server but no model. What is answered has OpenAI's shape, a request has one answer, and of a client that left nothing
// is left. The first byte says what the client does: bit 0 asks a server that wants the key "k", bit 1 sends no more
// but still reads, and the others say after how many 64ths of its bytes it pauses.
#include "tools/stepdown-run/Serve/Api.h"
#include "tools/stepdown-run/Serve/Connection.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

void expect(bool good) {
  if (!good)
    std::abort();
}

/// Of one answer.
class CheckedReply : public HttpReply {
public:
  CheckedReply(std::shared_ptr<HttpReply> reply, size_t &answers) : reply(std::move(reply)), answers(answers) {}
  void send(int status, const std::string &type, std::string body, const HttpHeaders &headers) override {
    ++answers;
    expect(status == 200 || (status >= 400 && status < 600));
    if (status >= 400) {
      const nlohmann::json object = nlohmann::json::parse(body, nullptr, false);
      expect(type == "application/json" && object.is_object() && object.size() == 1 && object.contains("error"));
      const nlohmann::json &error = object["error"];
      expect(error.is_object() && error.size() == 4 && error["message"].is_string() && error["type"].is_string());
      expect(error.contains("param") && (error["param"].is_null() || error["param"].is_string()));
      expect(error["code"].is_string() && error["code"].get<std::string>().size() == 5);
      expect(body.size() < 3000);
    }
    reply->send(status, type, std::move(body), headers);
  }
  // Without a model nothing comes in pieces.
  void begin(int, const std::string &, const HttpHeaders &) override { std::abort(); }
  void write(std::string) override { std::abort(); }
  void end() override { std::abort(); }
  void onGone(std::function<void()> gone) override { reply->onGone(std::move(gone)); }

private:
  std::shared_ptr<HttpReply> reply;
  size_t &answers;
};

struct CheckedApi : HttpHandler {
  explicit CheckedApi(const char *key) {
    api.options.key = key;
    api.connections = [] { return size_t(1); };
  }
  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override {
    ++asked;
    api.handle(std::move(request), std::make_shared<CheckedReply>(std::move(reply), answers));
  }
  void refuse(int status, const std::string &why, std::shared_ptr<HttpReply> reply) override {
    ++asked;
    expect(status == 400 || status == 413 || status == 431);
    api.refuse(status, why, std::make_shared<CheckedReply>(std::move(reply), answers));
  }
  Api api;
  size_t asked = 0, answers = 0;
};

struct Owner : ConnectionOwner {
  Owner(const HttpServer::Options &options, HttpHandler &handler, net::io_context &io)
      : ConnectionOwner(options, handler) {
    workers = io.get_executor();
  }
  void left(Connection &) override { ++gone; }
  int gone = 0;
};

/// Lets the server do what it can, and reads what it sends; how many bytes that is.
size_t work(net::io_context &io, int client) {
  size_t read = 0;
  for (bool more = true; more;) {
    io.restart();
    more = io.poll() != 0;
    char bytes[16384];
    for (ssize_t count; (count = recv(client, bytes, sizeof bytes, MSG_DONTWAIT)) > 0; more = true)
      read += static_cast<size_t>(count);
  }
  return read;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const unsigned how = *data++;
  --size;
  static CheckedApi open(""), locked("k");
  CheckedApi &api = how & 1 ? locked : open;
  api.asked = api.answers = 0;
  HttpServer::Options options;
  options.body = 4096;
  int ends[2];
  expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const int client = ends[1];
  net::io_context io(1);
  Owner owner(options, api, io);
  std::weak_ptr<Connection> alive;
  {
    auto connection = std::make_shared<Connection>(owner, tcp::socket(io, tcp::v4(), ends[0]));
    connection->start();
    alive = connection;
  }
  const size_t first = size * (how >> 2) / 64;
  size_t read = 0;
  for (const auto &[begin, end] : {std::pair(size_t(0), first), std::pair(first, size)}) {
    // It may have been hung up on: then there is nobody to send to.
    if (begin < end)
      (void)!send(client, data + begin, end - begin, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (begin == first && (how & 2))
      shutdown(client, SHUT_WR);
    read += work(io, client);
  }
  expect(api.asked == api.answers);
  expect(api.answers == 0 || read > 0 || (how & 2));
  close(client);
  io.restart();
  io.poll();
  expect(owner.gone == 1 && alive.expired());
  return 0;
}
