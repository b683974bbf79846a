// What a request of OpenAI's interface says: read from JSON or refused, naming the field. Nothing of it is ignored:
// what this server does not do is refused by name.
#pragma once
#include "tools/stepdown-run/Request.h"
#include "tools/stepdown-run/Serve/ToolRequest.h"
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stepdown::run {

/// Why a request is not answered.
struct Refusal {
  Error error;
  std::string field; ///< "messages[2].content", or empty
};

enum class Endpoint : uint8_t { Completions, Chat };
const char *pathOf(Endpoint endpoint);

/// What guesses ahead while the answer is drawn; it changes no answer.
struct Guess {
  enum class Kind : uint8_t {
    Usual, ///< what the server was started with
    None,
    Ngram,   ///< prompt lookup of `longest` tokens
    Draft,   ///< the server's draft model
    Predict, ///< the answer is `text`, or much like it
  };
  /// Of Ngram: each token more is a table more of the whole prompt in memory, for each answer that is drawn.
  static constexpr size_t longestRun = 8;
  Kind kind = Kind::Usual;
  size_t longest = 0;
  std::string text = {};
};

struct ApiRequest {
  struct Message {
    std::string role, content;
    std::vector<ToolCall> calls = {};   ///< of the assistant
    std::string callId = {}, name = {}; ///< of a tool: the call that it answers, and the function
  };
  std::string model; ///< empty: not said
  Request asked;     ///< how it is drawn; without prompts
  bool seeded = false;
  bool stream = false, includeUsage = false;
  int64_t priority = 0; ///< from -Scheduler::mostPriority to Scheduler::mostPriority
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts; ///< of completions: texts or ids
  std::vector<Message> messages;                                        ///< of chats
  ToolRequest tools;                                                    ///< of chats
  Guess guess;
};

/// Reads `body`. E0908 for what is no JSON; E0611 for a field that is unknown, missing or of another type; E0701 for a
/// number out of its range; E1208 for what is not done here.
std::optional<Refusal> readApiRequest(std::string_view body, Endpoint endpoint, ApiRequest &request);

/// A request for the ids of a text or a chat.
struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;
  std::vector<ApiRequest::Message> messages; ///< where there is no prompt
  ToolRequest tools;                         ///< that the template is told of, beside messages
  bool addSpecial = true, parseSpecial = true;
};
std::optional<Refusal> readTokenizeRequest(std::string_view body, TokenizeRequest &request);

/// A request for embeddings.
struct EmbeddingRequest {
  std::string model;
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs; ///< texts or ids, at least one
  bool base64 = false;
  int64_t dimensions = 0; ///< 0: not said
};
/// E0908 and E0611, as readApiRequest.
std::optional<Refusal> readEmbeddingRequest(std::string_view body, EmbeddingRequest &request);

} // namespace stepdown::run
