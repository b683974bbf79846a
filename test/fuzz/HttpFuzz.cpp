// Any bytes that a client sends: heads, bodies and what is neither, whole or in two parts, with every path of the
// server but no model. What is refused has OpenAI's shape, each request is answered once, the client reads these
// answers and nothing else, nobody gets past the key, and of a client that left nothing is left. The first byte says
// what the client does: bit 0 asks a server that wants the key "k", bit 1 ends what it sends but reads on, and the
// others say after how many 64ths of its bytes it pauses.
#include "tools/stepdown-run/Serve/Api.h"
#include "tools/stepdown-run/Serve/Connection.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/socket.h>
#include <unistd.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

void expect(bool good) {
  if (!good)
    std::abort();
}

/// What was answered, in the order in which the client reads it.
struct Answer {
  int status;
  bool headAlone;
  std::string body;
};

/// Of one answer. `stranger`: the request has no key where one is wanted.
class CheckedReply : public HttpReply {
public:
  CheckedReply(std::shared_ptr<HttpReply> reply, std::vector<Answer> &answers, bool headAlone = false,
               bool stranger = false)
      : reply(std::move(reply)), answers(answers), headAlone(headAlone), stranger(stranger) {}
  ~CheckedReply() override { expect(sent); }
  void send(int status, const std::string &type, std::string body, const HttpHeaders &headers) override {
    expect(!std::exchange(sent, true));
    expect(status == 200 || (status >= 400 && status < 600));
    expect(!stranger || status != 200);
    if (status >= 400) {
      const nlohmann::json object = nlohmann::json::parse(body, nullptr, false);
      expect(type == "application/json" && object.is_object() && object.size() == 1 && object.contains("error"));
      const nlohmann::json &error = object["error"];
      expect(error.is_object() && error.size() == 4 && error["message"].is_string() && error["type"].is_string());
      expect(error.contains("param") && (error["param"].is_null() || error["param"].is_string()));
      expect(error["code"].is_string() && error["code"].get<std::string>().size() == 5);
      expect(body.size() < 3000);
      // Whatever else is refused was read first.
      if (stranger)
        expect(std::set<std::string>{codeText(ErrorCode::RequestKey), codeText(ErrorCode::RequestPath),
                                     codeText(ErrorCode::RequestMethod), codeText(ErrorCode::RequestHost)}
                   .count(error["code"]));
    }
    answers.push_back({status, headAlone, body});
    reply->send(status, type, std::move(body), headers);
  }
  // Without a model nothing comes in pieces.
  void begin(int, const std::string &, const HttpHeaders &) override { std::abort(); }
  void write(std::string) override { std::abort(); }
  void end() override { std::abort(); }
  void onGone(std::function<void()> gone) override { reply->onGone(std::move(gone)); }

private:
  std::shared_ptr<HttpReply> reply;
  std::vector<Answer> &answers;
  const bool headAlone, stranger;
  bool sent = false;
};

struct CheckedApi : HttpHandler {
  explicit CheckedApi(const char *key) {
    api.options.key = key;
    api.options.changeAdapters = true; // or no body of theirs is read
    api.connections = [] { return size_t(1); };
  }
  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override {
    const bool open = api.options.key.empty() || request.path == "/" || request.path == "/health";
    const bool stranger = !open && request.authorization != "Bearer " + api.options.key;
    const bool headAlone = request.method == "HEAD";
    api.handle(std::move(request), std::make_shared<CheckedReply>(std::move(reply), answers, headAlone, stranger));
  }
  void refuse(int status, const std::string &why, std::shared_ptr<HttpReply> reply) override {
    expect(status == 400 || status == 413 || status == 431);
    api.refuse(status, why, std::make_shared<CheckedReply>(std::move(reply), answers));
  }
  Api api;
  std::vector<Answer> answers;
};

/// `wire` is `answers`, whole; of a client that has `ended` what it sends, it may break off.
void expectOnWire(std::string_view wire, const std::vector<Answer> &answers, bool ended) {
  constexpr std::string_view goAhead = "HTTP/1.1 100 Continue\r\n\r\n";
  auto answer = answers.begin();
  while (!wire.empty()) {
    if (wire.substr(0, goAhead.size()) == goAhead) {
      wire.remove_prefix(goAhead.size());
      continue;
    }
    expect(answer != answers.end());
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    parser.skip(answer->headAlone);
    beast::error_code problem;
    const size_t used = parser.put(net::buffer(wire), problem);
    if (ended && (problem == http::error::need_more || (!problem && !parser.is_done())))
      return;
    expect(!problem && parser.is_done());
    expect(int(parser.get().result_int()) == answer->status);
    expect(parser.get().body() == (answer->headAlone ? "" : answer->body));
    wire.remove_prefix(used);
    ++answer;
  }
  expect(ended || answer == answers.end());
}

struct Owner : ConnectionOwner {
  Owner(const HttpServer::Options &options, HttpHandler &handler, net::io_context &io)
      : ConnectionOwner(options, handler) {
    workers = io.get_executor();
  }
  void left(Connection &) override { ++gone; }
  int gone = 0;
};

/// Lets the server do what it can, and reads what it sends to the end of `wire`.
void work(net::io_context &io, int client, std::string &wire) {
  for (bool more = true; more;) {
    io.restart();
    more = io.poll() != 0;
    char bytes[16384];
    for (ssize_t count; (count = recv(client, bytes, sizeof bytes, MSG_DONTWAIT)) > 0; more = true)
      wire.append(bytes, static_cast<size_t>(count));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const unsigned how = *data++;
  --size;
  static CheckedApi open(""), locked("k");
  CheckedApi &api = how & 1 ? locked : open;
  api.answers.clear();
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
  std::string wire;
  for (bool last : {false, true}) {
    const size_t begin = last ? first : 0, end = last ? size : first;
    // Behind the first part it may have been hung up on: then there is nobody to send to.
    const bool sent =
        begin == end || send(client, data + begin, end - begin, MSG_NOSIGNAL | MSG_DONTWAIT) == ssize_t(end - begin);
    expect(sent || begin > 0);
    if (last && (how & 2))
      shutdown(client, SHUT_WR);
    work(io, client, wire);
  }
  expectOnWire(wire, api.answers, how & 2);
  close(client);
  io.restart();
  io.poll();
  expect(owner.gone == 1 && alive.expired());
  return 0;
}
