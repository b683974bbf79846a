// A client of a server's streams: as much of HTTP/1.1 as they need (RFC 9112), on a socket for each request.
#include "lib/Base/StrictJson.h"
#include "tools/stepdown-run/Load/LoadTarget.h"
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace stepdown::run {
namespace {

using Json = nlohmann::json;

constexpr size_t mostHead = 65536, mostLine = size_t(1) << 22;

/// A connection whose bytes come line by line, or so many at once.
class Link {
public:
  Link(const sockaddr *address, socklen_t size) {
    file = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file >= 0 && connect(file, address, size) != 0)
      close(std::exchange(file, -1));
  }
  ~Link() {
    if (file >= 0)
      close(file);
  }
  Link(const Link &) = delete;
  bool open() const { return file >= 0; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(file, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  /// A line without its end; false where there is none, or one that is too long.
  bool line(std::string &text) {
    for (;;) {
      const size_t end = held.find('\n', at);
      if (end != held.npos) {
        text = held.substr(at, end - at);
        at = end + 1;
        if (!text.empty() && text.back() == '\r')
          text.pop_back();
        return true;
      }
      if (held.size() - at > mostHead || !more())
        return false;
    }
  }
  bool bytes(size_t count, std::string &text) {
    while (held.size() - at < count)
      if (!more())
        return false;
    text.append(held, at, count);
    at += count;
    return true;
  }
  bool more() {
    held.erase(0, std::exchange(at, 0));
    char part[16384];
    const ssize_t count = recv(file, part, sizeof part, 0);
    if (count > 0)
      held.append(part, static_cast<size_t>(count));
    return count > 0;
  }
  std::string rest() { return held.substr(std::exchange(at, held.size())); }

private:
  int file = -1;
  std::string held;
  size_t at = 0;
};

class ServerTarget final : public LoadTarget {
public:
  /// `host` in numbers.
  ServerTarget(std::string host, std::string port, std::string key)
      : host(std::move(host)), port(std::move(port)), key(std::move(key)) {
    const auto number = htons(static_cast<uint16_t>(std::stoi(this->port)));
    if (inet_pton(AF_INET, this->host.c_str(), &four.sin_addr) == 1)
      four.sin_family = AF_INET, four.sin_port = number;
    else if (inet_pton(AF_INET6, this->host.c_str(), &six.sin6_addr) == 1)
      six.sin6_family = AF_INET6, six.sin6_port = number;
  }
  bool isAddress() const { return four.sin_family == AF_INET || six.sin6_family == AF_INET6; }

  /// Sends a request, and gives out the body of the answer as it comes; E0902 for what is no HTTP, or another status.
  Status ask(const std::string &method, const std::string &path, const std::string &body,
             const std::function<void(std::string_view)> &came) const {
    const bool bracketed = six.sin6_family == AF_INET6;
    Link link(bracketed ? reinterpret_cast<const sockaddr *>(&six) : reinterpret_cast<const sockaddr *>(&four),
              bracketed ? sizeof six : sizeof four);
    if (!link.open())
      return fail(ErrorCode::FileOpen, "http://%s:%s: expects a server, but nobody answers", host.c_str(),
                  port.c_str());
    std::string head =
        method + " " + path + " HTTP/1.1\r\nHost: " + (bracketed ? "[" + host + "]" : host) + ":" + port +
        "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n";
    if (!key.empty())
      head += "Authorization: Bearer " + key + "\r\n";
    std::string line, all;
    if (!link.send(head + "\r\n" + body) || !link.line(line) || line.compare(0, 7, "HTTP/1.") != 0 || line.size() < 12)
      return broken("a status of HTTP");
    const std::string status = line.substr(9, 3);
    bool chunked = false;
    for (size_t total = 0; link.line(line) && !line.empty(); total += line.size()) {
      for (char &c : line)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      chunked |= line.find("transfer-encoding:") == 0 && line.find("chunked") != line.npos;
      if (total > mostHead)
        return broken("headers of some thousand bytes");
    }
    const auto take = [&](std::string_view part) {
      if (status == "200")
        came(part);
      else if (all.size() < 300)
        all += part;
    };
    if (!chunked) {
      do {
        take(link.rest());
      } while (link.more());
      take(link.rest());
    }
    while (chunked) {
      char *end = nullptr;
      if (!link.line(line))
        return broken("the end of its answer");
      const size_t count = std::strtoull(line.c_str(), &end, 16);
      if (end == line.c_str() || count > mostLine)
        return broken("the size of a chunk");
      std::string part;
      if (!link.bytes(count, part) || !link.line(line))
        return broken("the end of its answer");
      if (!count)
        break;
      take(part);
    }
    if (status != "200")
      return fail(ErrorCode::FileRead, "http://%s:%s%s: expects status 200, but got %s: %.200s", host.c_str(),
                  port.c_str(), path.c_str(), status.c_str(), all.c_str());
    return Done{};
  }

  /// Learns the name of the server's first model.
  Status findModel() {
    std::string body;
    if (Status asked = ask("GET", "/v1/models", "", [&](std::string_view part) { body += part; }); !asked)
      return asked;
    const Result<Json> models = parseJson<Json>(body, "/v1/models");
    if (!models)
      return models.error();
    if (!models->is_object() || !models->contains("data") || !(*models)["data"].is_array() ||
        (*models)["data"].empty() || !(*models)["data"][0].is_object() ||
        !(*models)["data"][0].value("id", Json()).is_string())
      return broken("a list of models");
    model = (*models)["data"][0]["id"].get<std::string>();
    return Done{};
  }

  Result<size_t> answer(const LoadRequest &request, const std::function<void()> &came) override {
    const Json body = {{"model", model},
                       {"prompt", request.prompt},
                       {"max_tokens", request.answer},
                       {"temperature", 0},
                       {"ignore_eos", true},
                       {"stream", true},
                       {"stream_options", {{"include_usage", true}}}};
    std::string waiting;
    size_t tokens = 0;
    std::optional<Error> problem;
    auto event = [&](std::string_view text) {
      if (text.substr(0, 5) != "data:" || text.find("[DONE]") != text.npos || problem)
        return;
      const Json object = Json::parse(text.substr(5), nullptr, false);
      if (!object.is_object() || object.contains("error")) {
        problem = fail(ErrorCode::FileRead, "stream: expects events, but got %.200s", std::string(text).c_str());
        return;
      }
      const Json usage = object.value("usage", Json());
      if (usage.is_object() && usage.value("completion_tokens", Json()).is_number_unsigned())
        tokens = usage["completion_tokens"].get<size_t>();
      const Json choices = object.value("choices", Json());
      if (choices.is_array() && !choices.empty())
        came();
    };
    Status asked = ask("POST", "/v1/completions", body.dump(), [&](std::string_view part) {
      waiting += part;
      size_t at = 0;
      for (size_t end; (end = waiting.find('\n', at)) != waiting.npos; at = end + 1)
        event(std::string_view(waiting).substr(at, end - at));
      waiting.erase(0, at);
      if (waiting.size() > mostLine)
        waiting.clear();
    });
    if (!asked)
      return asked.error();
    return problem ? Result<size_t>(*problem) : Result<size_t>(tokens);
  }

private:
  Error broken(const char *expected) const {
    return fail(ErrorCode::FileRead, "http://%s:%s: expects %s", host.c_str(), port.c_str(), expected);
  }
  const std::string host, port, key;
  sockaddr_in four = {};
  sockaddr_in6 six = {}; ///< one of them
  std::string model;
};

} // namespace

Result<std::unique_ptr<LoadTarget>> serverTarget(const std::string &url, const std::string &key) {
  const std::string scheme = "http://";
  std::string rest = url.compare(0, scheme.size(), scheme) == 0 ? url.substr(scheme.size()) : "";
  if (!rest.empty() && rest.back() == '/')
    rest.pop_back();
  const size_t bracket = rest.empty() || rest[0] != '[' ? 0 : rest.find(']');
  const size_t colon = bracket == rest.npos ? rest.npos : rest.find(':', bracket);
  std::string host = rest.substr(0, colon);
  const std::string port = colon == rest.npos ? "80" : rest.substr(colon + 1);
  if (bracket && bracket != rest.npos)
    host = host.substr(1, bracket - 1);
  if (host == "localhost")
    host = "127.0.0.1";
  const bool number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == port.npos;
  auto target = std::make_unique<ServerTarget>(host, number ? port : "0", key);
  if (!number || std::stoi(port) > 65535 || !target->isAddress())
    return fail(ErrorCode::Usage,
                "bench: expects http://HOST:PORT with an address in numbers or localhost, but got \"%s\"", url.c_str());
  if (Status found = target->findModel(); !found)
    return found.error();
  return std::unique_ptr<LoadTarget>(std::move(target));
}

} // namespace stepdown::run
