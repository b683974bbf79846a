// The server's interface without sockets: what is answered to which request.
#include "test/unit/ApiFixture.h"

using namespace stepdown;
using namespace stepdown::run;

namespace {

TEST_F(Apis, answerCompletionsWholeAndInPiecesAlike) {
  open();
  auto whole = ask("POST", "/v1/completions", std::string(prompt) + "}");
  ASSERT_EQ(whole->status, 200) << whole->body;
  json object = json::parse(whole->body);
  EXPECT_EQ(object["object"], "text_completion");
  EXPECT_EQ(object["model"], "toy");
  EXPECT_EQ(object["usage"]["completion_tokens"], 14);
  EXPECT_EQ(whole->header("x-stepdown-seed"), "3");
  ASSERT_EQ(object["choices"].size(), 2u);
  auto stream = ask("POST", "/v1/completions",
                    std::string(prompt) + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
  EXPECT_EQ(stream->type, "text/event-stream");
  std::vector<json> pieces = events(stream->body);
  EXPECT_EQ(pieces.back()["usage"], object["usage"]);
  EXPECT_TRUE(pieces.back()["choices"].empty());
  std::vector<std::string> texts(2), reasons(2);
  std::vector<json> tokens(2, json::array()), offsets(2, json::array());
  for (size_t i = 0; i + 1 < pieces.size(); ++i) {
    const json &choice = pieces[i]["choices"][0];
    const size_t index = choice["index"];
    texts[index] += choice["text"].get<std::string>();
    if (choice["finish_reason"].is_string())
      reasons[index] = choice["finish_reason"];
    if (choice["logprobs"].is_object()) {
      tokens[index].insert(tokens[index].end(), choice["logprobs"]["tokens"].begin(),
                           choice["logprobs"]["tokens"].end());
      offsets[index].push_back(choice["logprobs"]["text_offset"][0]);
    }
    EXPECT_TRUE(pieces[i]["usage"].is_null());
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], object["choices"][i]["text"]);
    EXPECT_EQ(reasons[i], "length");
    EXPECT_EQ(object["choices"][i]["finish_reason"], "length");
    EXPECT_EQ(tokens[i], object["choices"][i]["logprobs"]["tokens"]);
    EXPECT_EQ(offsets[i], object["choices"][i]["logprobs"]["text_offset"]);
    EXPECT_EQ(object["choices"][i]["logprobs"]["tokens"].size(), 7u);
    EXPECT_EQ(object["choices"][i]["logprobs"]["top_logprobs"][0].size(), 2u);
  }
}

TEST_F(Apis, answerChatsWithTheModelsTemplate) {
  open();
  const std::string body = "{\"messages\":[{\"role\":\"user\",\"content\":\"abc\"}],\"max_tokens\":5,\"temperature\":0,"
                           "\"ignore_eos\":true,\"logprobs\":true,\"top_logprobs\":3";
  json whole = json::parse(ask("POST", "/v1/chat/completions", body + "}")->body);
  EXPECT_EQ(whole["object"], "chat.completion");
  EXPECT_EQ(whole["choices"][0]["message"]["role"], "assistant");
  ASSERT_EQ(whole["choices"][0]["logprobs"]["content"].size(), 5u);
  const json &first = whole["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(first["top_logprobs"].size(), 3u);
  EXPECT_EQ(first["top_logprobs"][0]["token"], first["token"]); // the likeliest
  // The same tokens without a template: what /tokenize makes of the messages.
  json ids = json::parse(ask("POST", "/tokenize", "{\"messages\":[{\"role\":\"user\",\"content\":\"abc\"}]}")->body);
  EXPECT_EQ(ids["count"], whole["usage"]["prompt_tokens"]);
  json same = json::parse(
      ask("POST", "/v1/completions",
          "{\"prompt\":" + ids["tokens"].dump() + ",\"max_tokens\":5,\"temperature\":0,\"ignore_eos\":true}")
          ->body);
  EXPECT_EQ(same["choices"][0]["text"], whole["choices"][0]["message"]["content"]);
  std::vector<json> pieces = events(ask("POST", "/v1/chat/completions", body + ",\"stream\":true}")->body);
  std::string text;
  for (const json &piece : pieces) {
    EXPECT_EQ(piece["object"], "chat.completion.chunk");
    text += piece["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(pieces[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(text, whole["choices"][0]["message"]["content"]);
}

TEST_F(Apis, answerSeveralPrompts) {
  open();
  json both = json::parse(
      ask("POST", "/v1/completions", "{\"prompt\":[\"a\",\"bcd\"],\"temperature\":0,\"max_tokens\":3}")->body);
  json second =
      json::parse(ask("POST", "/v1/completions", "{\"prompt\":\"bcd\",\"temperature\":0,\"max_tokens\":3}")->body);
  ASSERT_EQ(both["choices"].size(), 2u);
  EXPECT_EQ(both["choices"][1]["text"], second["choices"][0]["text"]);
  EXPECT_GT(both["usage"]["prompt_tokens"], second["usage"]["prompt_tokens"]);
}

TEST_F(Apis, drawSeedsWhereNobodySaysOne) {
  open();
  const char *body = "{\"prompt\":\"a\",\"max_tokens\":1}";
  auto first = ask("POST", "/v1/completions", body), second = ask("POST", "/v1/completions", body);
  EXPECT_NE(first->header("x-stepdown-seed"), second->header("x-stepdown-seed"));
}

TEST_F(Apis, tellWhatOfAPromptWasThere) {
  Engine::Options options;
  options.session.prefixBlocks = 100;
  open(options);
  const std::string begin(70, 'c'); // and <s>: two blocks of 32, and seven tokens
  auto cached = [&](const std::string &prompt, const char *stream) {
    auto reply = ask("POST", "/v1/completions",
                     "{\"prompt\":\"" + prompt +
                         "\",\"max_tokens\":3,\"ignore_eos\":true,\"n\":2,\"seed\":3,\"stream\":" + stream +
                         (stream[0] == 't' ? ",\"stream_options\":{\"include_usage\":true}}" : "}"));
    EXPECT_EQ(reply->status, 200) << reply->body;
    const json usage = stream[0] == 't' ? events(reply->body).back()["usage"] : json::parse(reply->body)["usage"];
    return usage["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached(begin, "false"), 0);
  EXPECT_EQ(cached(begin, "false"), 64);
  EXPECT_EQ(cached(begin + "abc", "true"), 64);
  EXPECT_EQ(cached("abc" + begin, "true"), 0);
  auto told = ask("GET", "/metrics")->body;
  for (const char *line :
       {"stepdown_prefix_queries_total{model=\"toy\"} 4\n", "stepdown_prefix_hits_total{model=\"toy\"} 2\n",
        "stepdown_prefix_saved_tokens_total{model=\"toy\"} 128\n",
        "stepdown_kv_blocks_used{model=\"toy\",group=\"0\"} 0\n",
        "stepdown_kv_blocks_kept{model=\"toy\",group=\"0\"} 4\n"})
    EXPECT_NE(told.find(line), std::string::npos) << line << told;
}

// Guesses change the time, not the text: sampled or not, constrained or not, several answers or one.
TEST_F(Apis, guessAheadAndAnswerTheSame) {
  open();
  ServedModel &served = api.models().front();
  const char *draft = ",\"speculate\":\"draft\"";
  auto refused = ask("POST", "/v1/completions", std::string("{\"prompt\":\"a\"") + draft + "}");
  EXPECT_EQ(codeOf(refused), "E1208"); // there is none yet
  Session::Options options;
  options.threads = 1;
  options.maxSequences = 5;
  options.kvPositions = 5 * 256;
  served.guesses.session = std::move(*Session::create(served.model, options));
  served.guesses.draft = std::make_shared<DraftModel>(served.guesses.session.get(), served.tokenizer);
  served.guesses.draft->adapts = false;
  served.guesses.speculator = served.guesses.draft;
  uint64_t accepted = 0, rejected = 0;
  auto texts = [&](const std::string &path, const std::string &body) {
    auto reply = ask("POST", path, body);
    EXPECT_EQ(reply->status, 200) << reply->body;
    const json object = json::parse(reply->body);
    if (object["usage"].contains("completion_tokens_details")) {
      accepted += object["usage"]["completion_tokens_details"]["accepted_prediction_tokens"].get<uint64_t>();
      rejected += object["usage"]["completion_tokens_details"]["rejected_prediction_tokens"].get<uint64_t>();
    }
    std::vector<std::string> all;
    for (const json &choice : object["choices"])
      all.push_back(choice.contains("text") ? choice["text"] : choice["message"]["content"]);
    return all;
  };
  const std::string completions = "/v1/completions", chat = "/v1/chat/completions";
  for (const char *how : {",\"temperature\":0", ",\"seed\":5,\"n\":3", ",\"seed\":5,\"regex\":\"(ab|c)*\""}) {
    const std::string asked = "{\"prompt\":\"abcabc\",\"ignore_eos\":true,\"max_tokens\":200" + std::string(how);
    const auto alone = texts(completions, asked + ",\"speculate\":\"off\"}");
    for (const char *field : {"", draft, ",\"speculate\":\"ngram\"", ",\"speculate\":\"ngram:2\""})
      EXPECT_EQ(texts(completions, asked + field + "}"), alone) << how << field;
    const std::string said = "{\"messages\":[{\"role\":\"user\",\"content\":\"abc\"}],\"ignore_eos\":true,"
                             "\"max_tokens\":200" +
                             std::string(how);
    const auto whole = texts(chat, said + ",\"speculate\":\"off\"}");
    const std::string text = json(whole[0]).dump();
    for (const std::string &content : {text, "[{\"type\":\"text\",\"text\":" + text + "}]", std::string("\"other\""),
                                       std::string("\"\""), json(std::string(5000, 'b')).dump()})
      EXPECT_EQ(texts(chat, said + ",\"prediction\":{\"type\":\"content\",\"content\":" + content + "}}"), whole)
          << how;
  }
  EXPECT_GT(accepted, 500u); // of the draft model, which is the model itself
  const std::string told = ask("GET", "/metrics")->body;
  for (auto [name, count] : {std::pair("guessed", accepted + rejected), std::pair("accepted", accepted)})
    EXPECT_NE(
        told.find("stepdown_" + std::string(name) + "_tokens_total{model=\"toy\"} " + std::to_string(count) + "\n"),
        std::string::npos)
        << told;
}

// What guesses for one request is bounded as what the server was started with: a step keeps a row for what is drawn.
TEST_F(Apis, boundWhatGuessesForARequest) {
  toy.maxStepRows = 7;
  open();
  const ServedModel &served = api.models().front();
  for (const Guess &guess : {Guess{Guess::Kind::Ngram, 3}, Guess{Guess::Kind::Predict, 0, "abc"}}) {
    auto made = served.speculatorOf(guess);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ((*made)->most, 6u);
  }
}

// A draft model that has no room for an answer is no reason to end it, and is counted.
TEST_F(Apis, countWhereGuessingFailed) {
  open();
  ServedModel &served = api.models().front();
  Session::Options options;
  options.threads = 1;
  options.maxSequences = 1;
  options.kvPositions = 256;
  served.guesses.session = std::move(*Session::create(served.model, options));
  served.guesses.draft = std::make_shared<DraftModel>(served.guesses.session.get(), served.tokenizer);
  served.guesses.draft->adapts = false;
  served.guesses.speculator = served.guesses.draft;
  const std::string asked =
      "{\"prompt\":\"abc\",\"ignore_eos\":true,\"max_tokens\":17,\"seed\":5,\"n\":3,\"speculate\":";
  const json plain = json::parse(ask("POST", "/v1/completions", asked + "\"off\"}")->body);
  const json drafted = json::parse(ask("POST", "/v1/completions", asked + "\"draft\"}")->body);
  EXPECT_EQ(drafted["choices"], plain["choices"]);
  const std::string told = ask("GET", "/metrics")->body;
  EXPECT_NE(told.find("stepdown_guessing_failed_total{model=\"toy\"} 2\n"), std::string::npos) << told;
}

TEST_F(Apis, forgetWhatAClientLeft) {
  Engine::Options options;
  open(options);
  toy.idleDispatches = 0;
  auto reply =
      begin("POST", "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":200,\"ignore_eos\":true,\"stream\":true}");
  ASSERT_TRUE(reply->gone);
  reply->gone();
  Engine &engine = *api.models().front().engine;
  while (!engine.idle() || engine.figures().used[0])
    std::this_thread::yield();
  auto told = ask("GET", "/metrics")->body;
  EXPECT_NE(told.find("stepdown_kv_blocks_used{model=\"toy\",group=\"0\"} 0\n"), std::string::npos) << told;
}

TEST_F(Apis, holdAnswersToWhatTheyHaveToBe) {
  open();
  for (const char *stream : {"false", "true"}) {
    auto reply =
        ask("POST", "/v1/completions",
            std::string("{\"prompt\":\"abc\",\"max_tokens\":50,\"n\":3,\"choices\":[\"ab\",\"bca\"],\"stream\":") +
                stream + "}");
    ASSERT_EQ(reply->status, 200) << reply->body;
    std::vector<std::string> texts(3);
    const json whole = stream[0] == 't' ? json() : json::parse(reply->body);
    if (stream[0] == 't')
      for (const json &event : events(reply->body))
        texts[event["choices"][0]["index"].get<size_t>()] += event["choices"][0]["text"].get<std::string>();
    else
      for (const json &choice : whole["choices"])
        texts[choice["index"].get<size_t>()] = choice["text"].get<std::string>();
    for (const std::string &text : texts)
      EXPECT_TRUE(text == "ab" || text == "bca") << text;
  }
  auto wrong = ask("POST", "/v1/completions", "{\"prompt\":\"abc\",\"regex\":\"(a\"}");
  EXPECT_EQ(wrong->status, 400);
  EXPECT_EQ(codeOf(wrong), "E1307");
}

TEST_F(Apis, refuseWithANumberAndAStatus) {
  open();
  struct Case {
    const char *method, *path, *body;
    int status;
    const char *code;
  } cases[] = {{"GET", "/v1/completions", "", 405, "E1203"},
               {"POST", "/v1/models", "{}", 405, "E1203"},
               {"GET", "/v2", "", 404, "E1202"},
               {"GET", "", "", 404, "E1202"},
               {"GET", "/v1/models/other", "", 404, "E1207"},
               {"POST", "/v1/completions", "{", 400, "E0908"},
               {"POST", "/v1/embeddings", "{\"input\":\"a\"}", 400, "E1208"},
               {"POST", "/v1/embeddings", "{\"input\":\"a\",\"model\":\"b\"}", 404, "E1207"},
               {"POST", "/v1/embeddings", "{\"model\":1}", 400, "E0611"},
               {"POST", "/v1/embeddings", "[", 400, "E0908"},
               {"POST", "/v1/embeddings", "[1]", 400, "E0611"},
               {"POST", "/v1/completions", "{\"prompt\":\"a\",\"model\":\"gpt\"}", 404, "E1207"},
               {"POST", "/v1/completions", "{\"prompt\":\"a\",\"x\":1}", 400, "E0611"},
               {"POST", "/v1/completions", "{\"prompt\":[41]}", 400, "E0324"},
               {"POST", "/v1/completions", "{\"prompt\":[]}", 400, "E0611"},
               {"POST", "/v1/completions", "{\"prompt\":\"a\",\"n\":6}", 400, "E0605"},
               {"POST", "/v1/completions", "{\"prompt\":\"a\",\"top_p\":2}", 400, "E0701"},
               {"POST", "/v1/completions", "{\"prompt\":\"a\",\"logit_bias\":{\"41\":1}}", 400, "E0702"},
               {"POST", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[1]}",
                400, "E0611"},
               {"POST", "/v1/chat/completions",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":\"function\",\"function\":{"
                "\"name\":\"f\"}}]}",
                400, "E1318"}};
  for (const Case &each : cases) {
    auto reply = ask(each.method, each.path, each.body);
    EXPECT_EQ(reply->status, each.status) << each.path << each.body;
    EXPECT_EQ(codeOf(reply), each.code) << reply->body;
  }
  EXPECT_EQ(ask("GET", "/v1/completions")->header("allow"), "POST");
  std::string longer = "{\"prompt\":[1";
  for (int i = 1; i < 257; ++i)
    longer += ",1";
  auto tooLong = ask("POST", "/v1/completions", longer + "]}");
  EXPECT_EQ(codeOf(tooLong), "E0606");
  EXPECT_EQ(json::parse(tooLong->body)["error"]["param"], "prompt");
}

TEST_F(Apis, nameTheFieldThatIsRefused) {
  open();
  const std::pair<std::string, const char *> cases[] = {{"\"prompt\":\"a\",\"n\":6", "n"},
                                                        {"\"prompt\":\"a\",\"logit_bias\":{\"41\":1}", "logit_bias"},
                                                        {"\"prompt\":\"a\",\"min_p\":2", "min_p"},
                                                        {"\"prompt\":[41]", "prompt"},
                                                        {"\"prompt\":[]", "prompt"}};
  for (const auto &[fields, named] : cases) {
    auto reply = ask("POST", "/v1/completions", "{" + fields + "}");
    EXPECT_EQ(reply->status, 400) << fields;
    EXPECT_EQ(json::parse(reply->body)["error"]["param"], named) << reply->body;
  }
}

TEST_F(Apis, wantATemplateForChats) {
  toy.chatTemplate = "";
  open();
  auto reply = ask("POST", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
  EXPECT_EQ(reply->status, 400);
  EXPECT_EQ(codeOf(reply), "E0201");
  EXPECT_EQ(ask("POST", "/v1/completions", "{\"prompt\":\"a\"}")->status, 200);
}

TEST_F(Apis, wantTheKeyTheTypeAndTheHost) {
  api.options.key = "s3cret";
  open();
  auto with = [](const char *key, const char *type, const char *host) {
    return HttpRequest{"", "", host, key, type, ""};
  };
  const char *body = "{\"prompt\":\"a\",\"max_tokens\":1}", *path = "/v1/completions", *type = "application/json";
  EXPECT_EQ(ask("POST", path, body, with("Bearer s3cret", "application/json; charset=utf-8", "localhost"))->status,
            200);
  for (const char *wrong :
       {"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret ", "Bearer s3creT", "Basic s3cret", "s3cret"}) {
    auto reply = ask("POST", path, body, with(wrong, type, ""));
    EXPECT_EQ(reply->status, 401) << wrong;
    EXPECT_EQ(codeOf(reply), "E1204");
    EXPECT_EQ(reply->header("www-authenticate"), "Bearer");
  }
  EXPECT_EQ(ask("GET", "/health", "", with("", "", "localhost"))->status, 200);
  EXPECT_EQ(codeOf(ask("GET", "/metrics", "", with("", "", "localhost"))), "E1204");
  for (const char *wrong :
       {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"})
    EXPECT_EQ(codeOf(ask("POST", path, body, with("Bearer s3cret", wrong, "localhost"))), "E1206") << wrong;
  for (const char *local : {"127.0.0.1", "127.1.2.3:80", "[::1]:8080", "localhost:1", ""})
    EXPECT_EQ(ask("GET", "/health", "", with("", "", local))->status, 200) << local;
  for (const char *foreign : {"example.org", "127.0.0.1.example.org", "localhost.example.org:80", "[::2]", "10.0.0.1"})
    EXPECT_EQ(codeOf(ask("GET", "/health", "", with("", "", foreign))), "E1213") << foreign;
  api.options.localOnly = false;
  EXPECT_EQ(ask("GET", "/health", "", with("", "", "example.org"))->status, 200);
}

// A request may lower itself, and raise itself as far as the server says.
TEST_F(Apis, boundThePriorityThatARequestMayAskFor) {
  open();
  auto codeFor = [&](int priority) {
    auto reply = ask("POST", "/v1/completions",
                     "{\"prompt\":\"a\",\"max_tokens\":2,\"priority\":" + std::to_string(priority) + "}");
    return reply->status == 200 ? "" : codeOf(reply);
  };
  for (int priority : {-4, -1, 0})
    EXPECT_EQ(codeFor(priority), "") << priority;
  EXPECT_EQ(codeFor(1), "E0611");
  api.options.mostPriority = 2;
  EXPECT_EQ(codeFor(2), "");
  EXPECT_EQ(codeFor(3), "E0611");
}

TEST_F(Apis, tellWhenTheyAreBusyOrStop) {
  Engine::Options options;
  options.waiting = 1;
  options.session.kvPositions = 2048; // for all of them together
  open(options);
  const char *slow = "{\"prompt\":\"a\",\"max_tokens\":250,\"ignore_eos\":true,\"n\":5,\"stream\":true}";
  const std::string one = "{\"prompt\":\"a\",\"max_tokens\":200,\"ignore_eos\":true}";
  auto first = begin("POST", "/v1/completions", slow), second = begin("POST", "/v1/completions", one);
  auto busy = ask("POST", "/v1/completions", one);
  if (busy->status != 200) { // nothing holds the engine back
    EXPECT_EQ(busy->status, 429);
    EXPECT_EQ(codeOf(busy), "E1209");
    EXPECT_GE(std::stoi(busy->header("retry-after")), 1);
  }
  api.models().front().engine->stop(100);
  auto late = ask("POST", "/v1/completions", one);
  EXPECT_EQ(late->status, 503);
  EXPECT_EQ(codeOf(late), "E1210");
  for (auto &reply : {first, second}) {
    std::unique_lock<std::mutex> lock(reply->mutex);
    reply->changed.wait(lock, [&] { return reply->ended; });
    EXPECT_EQ(reply->status, 200);
  }
}

TEST_F(Apis, giveAPageThatAsksNobodyElse) {
  api.options.key = "k";
  open();
  auto page = ask("GET", "/", "", {"", "", "localhost", "", "", ""});
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->type, "text/html; charset=utf-8");
  EXPECT_EQ(page->body.rfind("<!doctype html>", 0), 0u);
  EXPECT_EQ(page->body.substr(page->body.size() - 8), "</html>\n");
  for (const char *elsewhere : {"http:", "https:", "src=", "@import", "url(", "innerHTML"})
    EXPECT_EQ(page->body.find(elsewhere), std::string::npos) << elsewhere;
  EXPECT_NE(page->header("content-security-policy").find("default-src 'none'"), std::string::npos);
}

TEST_F(Apis, tellWhatThereIs) {
  open();
  json models = json::parse(ask("GET", "/v1/models")->body);
  ASSERT_EQ(models["data"].size(), 1u);
  EXPECT_EQ(models["data"][0]["id"], "toy");
  EXPECT_EQ(json::parse(ask("GET", "/v1/models/toy")->body), models["data"][0]);
  ask("POST", "/v1/completions", "{\"prompt\":\"ab\",\"max_tokens\":5,\"ignore_eos\":true}");
  auto metrics = ask("GET", "/metrics");
  for (const char *line : {"stepdown_requests_total{path=\"/v1/completions\",status=\"200\"} 1\n",
                           "stepdown_drawn_tokens_total{model=\"toy\"} 5\n",
                           "stepdown_time_to_first_token_seconds_count{model=\"toy\"} 1\n",
                           "stepdown_time_per_output_token_seconds_bucket{model=\"toy\",le=\"+Inf\"} 1\n"})
    EXPECT_NE(metrics->body.find(line), std::string::npos) << line << metrics->body;
}

} // namespace
