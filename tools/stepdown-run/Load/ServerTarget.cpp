// A client of a server's streams: as much of HTTP/1.1 as they need (RFC 9112), on a connection for each request.
#include "lib/Base/StrictJson.h"
#include "lib/CommandLine/CommandLine.h"
#include "tools/stepdown-run/Load/ClientConnection.h"
#include "tools/stepdown-run/Load/LoadTarget.h"
#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <optional>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace stepdown::run {
namespace {

using Json = nlohmann::json;

constexpr size_t mostHead = 65536, mostPart = size_t(1) << 22; // bytes

class ServerTarget final : public LoadTarget {
public:
  /// `host` in numbers.
  ServerTarget(std::string host, std::string port, std::string key, double silence)
      : host(std::move(host)), port(std::move(port)), key(std::move(key)), silence(silence),
        stopping(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    const auto number = htons(static_cast<uint16_t>(std::stoi(this->port)));
    if (inet_pton(AF_INET, this->host.c_str(), &four.sin_addr) == 1)
      four.sin_family = AF_INET, four.sin_port = number;
    else if (inet_pton(AF_INET6, this->host.c_str(), &six.sin6_addr) == 1)
      six.sin6_family = AF_INET6, six.sin6_port = number;
  }
  ~ServerTarget() override {
    if (stopping >= 0)
      close(stopping);
  }
  bool isAddress() const { return four.sin_family == AF_INET || six.sin6_family == AF_INET6; }

  /// Sends a request, and gives out the body of the answer as it comes, until `came` says that it is enough. E0901
  /// where nobody answers, E0902 for what is no HTTP, ends too early, or has another status than 200, E0907 after
  /// stop().
  Status ask(const std::string &method, const std::string &path, const std::string &body,
             const std::function<bool(std::string_view)> &came) const {
    const bool bracketed = six.sin6_family == AF_INET6;
    ClientConnection link(bracketed ? reinterpret_cast<const sockaddr *>(&six)
                                    : reinterpret_cast<const sockaddr *>(&four),
                          bracketed ? sizeof six : sizeof four, silence, stopping);
    if (!link.isOpen())
      return fail(link.wasStopped() ? ErrorCode::Interrupted : ErrorCode::FileOpen,
                  "http://%s:%s: expects a server that answers, but %s", host.c_str(), port.c_str(),
                  link.why().c_str());
    std::string head =
        method + " " + path + " HTTP/1.1\r\nHost: " + (bracketed ? "[" + host + "]" : host) + ":" + port +
        "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n";
    if (!key.empty())
      head += "Authorization: Bearer " + key + "\r\n";
    std::string line;
    if (!link.send(head + "\r\n" + body) || !link.line(line))
      return cut(link, "a status of HTTP");
    if (line.compare(0, 7, "HTTP/1.") != 0 || line.size() < 12)
      return broken("a status of HTTP", "got \"" + line.substr(0, 80) + "\"");
    const std::string status = line.substr(9, 3);
    bool chunked = false;
    std::optional<int64_t> length;
    for (size_t total = 0;; total += line.size()) {
      if (total > mostHead)
        return broken("headers of at most 65536 bytes", "there are more");
      if (!link.line(line))
        return cut(link, "the end of the headers");
      if (line.empty())
        break;
      for (char &c : line)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      chunked |= line.compare(0, 18, "transfer-encoding:") == 0 && line.find("chunked") != line.npos;
      if (line.compare(0, 15, "content-length:") == 0) {
        length = commandline::parseInteger(line.substr(std::min(line.size(), line.find_first_not_of(" \t", 15))));
        if (!length || *length < 0)
          return broken("a length of the answer", "got \"" + line.substr(0, 80) + "\"");
      }
    }
    std::string refusal;
    const std::function<bool(std::string_view)> keep = [&](std::string_view part) {
      refusal += part;
      return refusal.size() < 300;
    };
    if (Status read = readBody(link, chunked, length, status == "200" ? came : keep); !read && status == "200")
      return read;
    if (status != "200")
      return fail(ErrorCode::FileRead, "http://%s:%s%s: expects status 200, but got %s: %.200s", host.c_str(),
                  port.c_str(), path.c_str(), status.c_str(), refusal.c_str());
    return Done{};
  }

  /// Learns the name of the server's first model.
  Status findModel() {
    std::string body;
    Status asked = ask("GET", "/v1/models", "", [&](std::string_view part) {
      body += part;
      return body.size() <= mostPart;
    });
    if (!asked)
      return asked;
    if (body.size() > mostPart)
      return broken("a list of models of at most 4 MiB", "there is more");
    const Result<Json> models = parseJson<Json>(body, "/v1/models");
    if (!models)
      return models.error();
    if (!models->is_object() || !models->contains("data") || !(*models)["data"].is_array() ||
        (*models)["data"].empty() || !(*models)["data"][0].is_object() ||
        !(*models)["data"][0].value("id", Json()).is_string())
      return broken("a list of models", "got " + body.substr(0, 80));
    model = (*models)["data"][0]["id"].get<std::string>();
    return Done{};
  }

  Result<size_t> answer(const LoadRequest &request, const std::function<void()> &came) override {
    std::string waiting;
    Stream stream;
    Status asked = ask("POST", "/v1/completions", bodyOf(request), [&](std::string_view part) {
      waiting += part;
      size_t at = 0;
      for (size_t end; !stream.problem && !stream.done && (end = waiting.find('\n', at)) != waiting.npos; at = end + 1)
        stream.read(std::string_view(waiting).substr(at, end - at), came);
      waiting.erase(0, at);
      if (waiting.size() > mostPart)
        stream.problem = "expects events of at most 4 MiB";
      return !stream.problem && !stream.done;
    });
    if (!asked)
      return asked.error();
    if (!stream.problem && !stream.done && !stream.finished)
      stream.problem = "expects data: [DONE] or a finish_reason, but it ended before";
    if (!stream.problem && !stream.tokens)
      stream.problem = "expects a usage that counts completion_tokens, but there is none";
    if (stream.problem)
      return fail(ErrorCode::FileRead, "http://%s:%s: stream: %s", host.c_str(), port.c_str(), stream.problem->c_str());
    return *stream.tokens;
  }

  void stop() override {
    const uint64_t one = 1;
    (void)!write(stopping, &one, sizeof one); // nobody reads it: who waits sees it, and who will
  }

private:
  /// What an answer's events say.
  struct Stream {
    std::optional<std::string> problem;
    std::optional<size_t> tokens;
    bool finished = false, done = false; ///< a choice is finished; [DONE]

    void read(std::string_view line, const std::function<void()> &came) {
      if (line.substr(0, 5) != "data:")
        return;
      std::string_view text = line.substr(5);
      text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
      if (!text.empty() && text.back() == '\r')
        text.remove_suffix(1);
      if (text == "[DONE]") {
        done = true;
        return;
      }
      const Json object = Json::parse(text, nullptr, false);
      if (!object.is_object() || object.contains("error")) {
        problem = "expects events with choices, but got " + std::string(text.substr(0, 200));
        return;
      }
      const Json usage = object.value("usage", Json());
      if (usage.is_object() && usage.value("completion_tokens", Json()).is_number_unsigned())
        tokens = usage["completion_tokens"].get<size_t>();
      const Json choices = object.value("choices", Json());
      if (!choices.is_array() || choices.empty())
        return;
      finished |= choices[0].is_object() && choices[0].value("finish_reason", Json()).is_string();
      came();
    }
  };

  /// The request in JSON, its ids written one by one: as objects they take three times as much.
  std::string bodyOf(const LoadRequest &request) const {
    const Json rest = {{"model", model},   {"max_tokens", request.answer},
                       {"temperature", 0}, {"ignore_eos", true},
                       {"stream", true},   {"stream_options", {{"include_usage", true}}}};
    std::string body = rest.dump(-1, ' ', false, Json::error_handler_t::replace);
    body.back() = ',';
    body += "\"prompt\":[";
    for (int32_t id : promptOf(request))
      body += std::to_string(id) + ",";
    body.back() = ']';
    return body + "}";
  }

  Status readBody(ClientConnection &link, bool chunked, std::optional<int64_t> length,
                  const std::function<bool(std::string_view)> &take) const {
    std::string part, line;
    if (!chunked) {
      for (size_t left = length ? static_cast<size_t>(*length) : SIZE_MAX; left; left -= part.size()) {
        part = link.some(left);
        if (part.empty() && link.ended() && !length)
          return Done{}; // which is the end where no length is told
        if (part.empty())
          return cut(link, "the end of its answer");
        if (!take(part))
          return Done{};
      }
      return Done{};
    }
    for (;;) {
      char *end = nullptr;
      if (!link.line(line))
        return cut(link, "the end of its answer");
      const unsigned long long count = std::strtoull(line.c_str(), &end, 16);
      if (end == line.c_str() || count > mostPart)
        return broken("the size of a chunk, at most 4 MiB", "got \"" + line.substr(0, 80) + "\"");
      part.clear();
      if (!link.bytes(count, part) || !link.line(line))
        return cut(link, "the end of its answer");
      if (!count || !take(part))
        return Done{};
    }
  }

  Error broken(const char *expected, const std::string &but) const {
    return fail(ErrorCode::FileRead, "http://%s:%s: expects %s, but %s", host.c_str(), port.c_str(), expected,
                but.c_str());
  }
  Error cut(const ClientConnection &link, const char *expected) const {
    Error error = broken(expected, link.why());
    if (link.wasStopped())
      error.code = ErrorCode::Interrupted;
    return error;
  }

  const std::string host, port, key;
  const double silence; ///< seconds
  const int stopping;   ///< a file that can be read from stop() on
  sockaddr_in four = {};
  sockaddr_in6 six = {}; ///< one of them
  std::string model;
};

} // namespace

Result<std::unique_ptr<LoadTarget>> serverTarget(const std::string &url, const std::string &key, double silence) {
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
  auto target = std::make_unique<ServerTarget>(host, number ? port : "0", key, silence);
  if (!number || std::stoi(port) > 65535 || !target->isAddress())
    return fail(ErrorCode::Usage,
                "bench: expects http://HOST:PORT with an address in numbers or localhost, but got \"%s\"", url.c_str());
  if (Status found = target->findModel(); !found)
    return found.error();
  return std::unique_ptr<LoadTarget>(std::move(target));
}

} // namespace stepdown::run
