// A server's interface without sockets: requests are handed in, and what is replied is kept.
#pragma once
#include "runtime/Devices.h"
#include "test/unit/ToyModel.h"
#include "tools/stepdown-run/Serve/Api.h"
#include <condition_variable>
#include <gtest/gtest.h>

namespace stepdown::run {
using nlohmann::json;
using test::ToyModel;

struct Reply : HttpReply {
  std::mutex mutex;
  std::condition_variable changed;
  int status = 0;
  std::string type, body;
  HttpHeaders headers;
  bool ended = false;
  std::function<void()> gone;
  void send(int s, const std::string &t, std::string b, const HttpHeaders &h) override {
    begin(s, t, h);
    write(std::move(b));
    end();
  }
  void begin(int s, const std::string &t, const HttpHeaders &h) override {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(status, 0) << "a second answer";
    status = s, type = t, headers = h;
  }
  void write(std::string piece) override {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_NE(status, 0);
    body += piece;
    changed.notify_all();
  }
  void end() override {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_FALSE(ended);
    ended = true;
    changed.notify_all();
  }
  void onGone(std::function<void()> then) override { gone = std::move(then); }
  std::string header(const std::string &name) const {
    for (const auto &[key, value] : headers)
      if (key == name)
        return value;
    return "";
  }
};

struct Apis : testing::Test {
  ToyModel toy;
  Api api;
  void open(Engine::Options options = {}) {
    auto model = *Model::load(toy.write(), *openDevice(nullptr));
    ServedModel &served = api.add("toy", model, std::move(*Tokenizer::create(model->metadata())));
    options.session.threads = 1;
    options.session.maxSequences = 5;
    auto engine = Engine::create(model, served.tokenizer, options);
    ASSERT_TRUE(engine) << engine.error().message;
    served.engine = std::move(*engine);
  }
  std::shared_ptr<Reply> begin(const std::string &method, const std::string &path, const std::string &body = "",
                               HttpRequest more = {"", "", "127.0.0.1:8080", "", "application/json", ""}) {
    auto reply = std::make_shared<Reply>();
    more.method = method, more.path = path, more.body = body;
    api.handle(more, reply);
    return reply;
  }
  std::shared_ptr<Reply> ask(const std::string &method, const std::string &path, const std::string &body = "",
                             HttpRequest more = {"", "", "127.0.0.1:8080", "", "application/json", ""}) {
    auto reply = begin(method, path, body, more);
    std::unique_lock<std::mutex> lock(reply->mutex);
    reply->changed.wait(lock, [&] { return reply->ended; });
    return reply;
  }
  static std::string codeOf(const std::shared_ptr<Reply> &reply) {
    json object = json::parse(reply->body);
    EXPECT_TRUE(object["error"]["message"].is_string() && object["error"]["type"].is_string());
    return object["error"]["code"];
  }
  /// The objects of a stream, which ends with [DONE].
  static std::vector<json> events(const std::string &body) {
    std::vector<json> all;
    const std::string done = "data: [DONE]\n\n";
    EXPECT_EQ(body.substr(body.size() - std::min(body.size(), done.size())), done);
    for (size_t at = 0; at + done.size() < body.size();) {
      const size_t end = body.find("\n\n", at);
      EXPECT_EQ(body.substr(at, 6), "data: ");
      all.push_back(json::parse(body.substr(at + 6, end - at - 6)));
      at = end + 2;
    }
    return all;
  }
};

inline constexpr const char *prompt =
    "{\"prompt\":\"abc\",\"max_tokens\":7,\"ignore_eos\":true,\"seed\":3,\"n\":2,\"logprobs\":2";

} // namespace stepdown::run
