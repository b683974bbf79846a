// What functions a chat may call, and what a call is.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown::run {

/// A function that the model may call.
struct Tool {
  std::string name;       ///< 1 to 64 of the letters, digits, "_" and "-" of ASCII
  std::string parameters; ///< a JSON Schema of its arguments, an object
  bool strict = false;    ///< calls are held to the schema also where the model may say something else
};

struct ToolRequest {
  enum class Choice : uint8_t {
    None,     ///< the answer is text
    Auto,     ///< text, calls, or both
    Required, ///< a call at least
  };
  static constexpr size_t most = 128; ///< tools
  std::vector<Tool> tools;
  std::string json; ///< the tools as the request wrote them, without `strict`: an array
  Choice choice = Choice::Auto;
  std::string named;    ///< the function that Required means, or empty: any
  bool parallel = true; ///< there may be several calls in one answer
};

struct ToolCall {
  std::string id, name;
  std::string arguments; ///< the text of a JSON object
};

} // namespace stepdown::run
