#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include <algorithm>
#include <cstdio>

namespace stepdown::run {
namespace {

/// "10.0.0.7:8080", "gpu-3.local:8080" or "[::1]:8080": whether it is an address and a port from 1 to 65535.
bool isAddress(const std::string &text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon > 255)
    return false;
  const std::string host = text.substr(0, colon), port = text.substr(colon + 1);
  const bool six = host.front() == '[' && host.back() == ']' && host.size() > 2;
  // What is between goes into a file of configuration: nothing else may.
  const auto among = [](const std::string &allowed) {
    return [allowed](char c) { return allowed.find(c) != std::string::npos; };
  };
  const std::string letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", digits = "0123456789";
  if (six ? !std::all_of(host.begin() + 1, host.end() - 1, among("abcdefABCDEF:." + digits))
          : !std::all_of(host.begin(), host.end(), among(letters + digits + ".-_")))
    return false;
  if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), among(digits)))
    return false;
  return std::stol(port) >= 1 && std::stol(port) <= 65535;
}

/// `http-error` with OpenAI's shape of a refusal.
std::string refusal(const char *status, ErrorCode code, const char *type, const char *message) {
  return std::string("  http-error status ") + status +
         " content-type application/json string '{\"error\":{\"message\":\"" + message + "\",\"type\":\"" + type +
         "\",\"param\":null,\"code\":\"" + codeText(code) + "\"}}'\n";
}

// HAProxy's language has no names for numbers: what stands for one is in <>. tune.bufsize bounds what of a body is read
// to choose a replica, and what can be sent to another when the first is gone.
constexpr char head[] =
    R"(# Written by stepdown-run proxy-config: one address before several `stepdown-run serve`, for HAProxy 2.6 or later.
# Names of hosts are resolved once, at the start.
global
  # Takes about 16,000 open files (ulimit -n); HAProxy does not start where the hard limit is lower.
  maxconn 8000
  tune.bufsize 65536

defaults
  mode http
  option http-buffer-request
  option abortonclose
  timeout connect 2s
  timeout http-request 60s
  timeout http-keep-alive 60s
  timeout queue 60s
  timeout client <seconds>s
  timeout server <seconds>s
  # A replica that is gone, or dies before it said anything: one more is asked, and not all, for a request may be what
  # ended it. What has begun is not asked again.
  retries 1
  option redispatch 1
  retry-on conn-failure empty-response
)";

constexpr char rules[] = R"cfg(
frontend stepdown
<exposed>  bind <listen>
  http-after-response set-header x-stepdown-replica %s
  # Figures are of one replica: Prometheus asks each.
  http-request return status 404 content-type application/json string '<figures>' if { path /metrics }
  # Where a request belongs: what the client says in a header or in prompt_cache_key, or how its prompt begins, or its
  # first message; with the second where the first is not the user's. The rest of a conversation does not count.
  acl asked method POST
  acl known var(txn.prefix),length gt 0
  acl user req.body,json_query('$.messages[0].role') -m str user
  acl begins req.body -m reg "\"(?:messages\"\\s*:\\s*\\[|prompt\"\\s*:\\s*[[\"])"
  http-request set-var(txn.prefix) req.hdr(x-prompt-cache-key) if asked
  http-request set-var(txn.prefix) req.body,json_query('$.prompt_cache_key') if asked !known
  http-request set-var(txn.first) req.body,json_query('$.messages[0].content[0].text') if asked !known
  http-request set-var(txn.first) req.body,json_query('$.messages[0].content') if asked !known
  http-request set-var(txn.second) req.body,json_query('$.messages[1].content[0].text') if asked !known !user
  http-request set-var(txn.second) req.body,json_query('$.messages[1].content') if asked !known !user
  http-request set-var(txn.prefix) var(txn.first),concat(,txn.second,),bytes(0,<bytes>) if asked !known
  http-request set-var(txn.prefix) req.body,json_query('$.prompt'),bytes(0,<bytes>) if asked !known
  # Ids of tokens, and what is too long or nested too deep to be read as JSON: the text behind "messages" or "prompt".
  http-request set-var(txn.prefix) req.body,regsub("'(?s)^.*?\"(?:messages\"\\s*:\\s*\\[|prompt\"\\s*:\\s*[[\"])',''"),regsub("'(?s)[]}].*',''"),bytes(0,<bytes>) if asked !known begins
  # As long as one replica draws all open requests at once, all go home.
  http-request set-var(txn.others) be_conn(bounded)
  use_backend home if known { be_conn(home),add(txn.others) lt <parallel> }
  use_backend bounded if known
  default_backend any

# Consistent hashing: the same beginning goes to the same replica.
backend home
  balance hash var(txn.prefix)
  hash-type consistent djb2 avalanche
<shared>
# The same with bounded loads: of the open requests here, no replica has more than <spread> % of the mean; the next one on
# the ring, which is the same each time, gets the others. Up to <parallel> that went home before are beside these.
backend bounded
  balance hash var(txn.prefix)
  hash-type consistent djb2 avalanche
  hash-balance-factor <spread>
<tracking>
backend any
  balance roundrobin
<tracking>)cfg";

constexpr char shared[] = R"(  option httpchk GET /health
  http-check expect status 200
  timeout check 5s
  default-server check inter 1s fall 3 rise 1
)";

// What a replica that stands still was asked is ended when it is known, and not by `timeout server`.
constexpr char ended[] = "  default-server on-marked-down shutdown-sessions\n";

std::string filled(std::string text, const std::string &name, const std::string &value) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
    text.replace(at, name.size(), value);
  return text;
}

Status runProxyConfig(const Arguments &arguments) {
  auto replicas = arguments.somePositionals();
  if (!replicas)
    return replicas.error();
  const std::string listen = arguments.value("listen");
  for (const std::string &address : *replicas)
    if (!isAddress(address))
      return arguments.usage("expects HOST:PORT of a replica, but got \"" + address + "\"");
  if (!isAddress(listen))
    return arguments.usage("--listen expects ADDRESS:PORT, but got \"" + listen + "\"");
  for (size_t i = 0; i < replicas->size(); ++i)
    if ((*replicas)[i] == listen ||
        std::find(replicas->begin(), replicas->begin() + i, (*replicas)[i]) != replicas->begin() + i)
      return arguments.usage("expects different addresses, but \"" + (*replicas)[i] + "\" is there twice");
  const ErrorCode none = ErrorCode::NoReplica;
  std::string text =
      std::string(head) +
      refusal("408", ErrorCode::RequestHead, "invalid_request_error", "expects a whole request within 60 s") +
      refusal("502", none, "server_error", "the replica that answered is gone") +
      refusal("503", none, "server_error", "no replica answers") +
      refusal("504", ErrorCode::RequestTime, "server_error", "the replica says nothing any more") + rules;
  std::string servers = std::string(shared) + ended, tracking = ended;
  for (size_t i = 0; i < replicas->size(); ++i) {
    const std::string name = "r" + std::to_string(i + 1), line = "  server " + name + " " + (*replicas)[i];
    servers += line + "\n";
    tracking += line + " track home/" + name + "\n"; // one check of each for all
  }
  text = filled(std::move(text), "<shared>", servers);
  text = filled(std::move(text), "<tracking>", tracking);
  text = filled(std::move(text), "<figures>",
                R"({"error":{"message":"each replica has its own /metrics",)"
                R"("type":"invalid_request_error","param":null,"code":")" +
                    codeText(ErrorCode::RequestPath) + "\"}}");
  const bool loopback =
      listen.rfind("127.", 0) == 0 || listen.rfind("localhost:", 0) == 0 || listen.rfind("[::1]", 0) == 0;
  text = filled(
      std::move(text), "<exposed>",
      loopback ? ""
               : "  # Others reach this address: give the replicas keys. One without is asked from this machine, and\n"
                 "  # takes what this proxy sends for this machine's where it says \"Host: localhost\".\n");
  text = filled(std::move(text), "<listen>", listen);
  text = filled(std::move(text), "<bytes>", std::to_string(arguments.integer("prefix-bytes")));
  text = filled(std::move(text), "<spread>", std::to_string(arguments.integer("spread")));
  text = filled(std::move(text), "<parallel>", std::to_string(arguments.integer("parallel")));
  text = filled(std::move(text), "<seconds>", std::to_string(arguments.integer("timeout") + 30));
  return print(text);
}

} // namespace

Command proxyConfigCommand() {
  return {
      "proxy-config",
      "HOST:PORT...",
      "Prints a configuration of HAProxy that sends requests which begin alike to the same of several servers.",
      {Option("listen", 0, "ADDRESS:PORT", "where clients reach the proxy").by("127.0.0.1:8080"),
       Option("prefix-bytes", 0, "N", "of the first message or of the prompt, that say which server")
           .whole(1, 16384)
           .by("320"),
       Option("spread", 0, "PERCENT", "of the mean of spread requests that one server has at most")
           .whole(101, 100000)
           .by("150"),
       Option("parallel", 0, "N", "that the servers have as their --parallel: fewer open requests are not spread")
           .whole(1, 65536)
           .by("16"),
       Option("timeout", 0, "SECONDS", "that the servers have as their --timeout").whole(1, 1000000).by("600")},
      "stepdown-run proxy-config 127.0.0.1:8081 127.0.0.1:8082 127.0.0.1:8083 > replicas.cfg\nhaproxy -f replicas.cfg",
      runProxyConfig,
      "HOST:PORT are those of `stepdown-run serve`; docs/serving.md says what the proxy does for them."};
}

} // namespace stepdown::run
