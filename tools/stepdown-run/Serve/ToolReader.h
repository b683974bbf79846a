// Finds the calls of functions in an answer as it comes: what is text is let out at once, what may be a call waits
// until it is one. What looks like a call and is none - not JSON, or of a function that the request does not have - is
// text.
#pragma once
#include "tools/stepdown-run/Serve/ToolFormat.h"
#include <string_view>

namespace stepdown::run {

class ToolReader {
public:
  /// Of an answer to a request that has `tools`.
  ToolReader(const ToolFormat &format, const std::vector<Tool> &tools);
  /// The text that `text` lets out, often none.
  std::string push(std::string_view text);
  /// The end of the answer: what had waited.
  std::string finish();
  /// The calls that came since the last time. Their ids are fresh.
  std::vector<ToolCall> take();
  /// The answer is held to a form in which calls are whole, so that a mark within a string of one is part of the
  /// string. Else it says that the model forgot to end the string.
  void trust() { exact = true; }
  size_t count() const { return found; } ///< of calls in all
  const ToolFormat &format() const { return how; }

private:
  enum class State : uint8_t {
    Text,  ///< no call
    Begin, ///< of a Bare answer: it may be one
    Open,  ///< behind the mark, before the call
    Value, ///< within its JSON
    Close, ///< behind that
    Plain, ///< there are no more calls
  };
  /// One step; false where more text is needed.
  bool advance(std::string &out);
  bool text(std::string &out);
  bool open(std::string &out);
  bool value(std::string &out);
  /// Whether a mark is in `held` from `at` on: all of it, or as much as there is.
  enum class Mark : uint8_t { None, Part, Whole };
  Mark markAt(const std::string &mark) const;
  bool close(std::string &out);
  bool malformed(std::string &out);
  /// Where `held` goes on behind blanks, from `at` on.
  size_t behindBlanks() const;
  bool add(std::string_view object);
  bool addCall(std::string name, std::string_view arguments);
  void accept(size_t end, State next);

  ToolFormat how;
  std::vector<std::string> names;
  State state;
  std::string held;  ///< from the blanks before the mark of a call on, or text that may be the beginning of such
  size_t marked = 0; ///< up to where `held` is blanks and a mark; 0: none, or behind another call of a list
  size_t at = 0;     ///< up to where `held` was read
  size_t begin = 0;  ///< in `held`, of the JSON
  std::string name;  ///< of a Named call
  int depth = 0;
  bool inString = false, escaped = false;
  bool exact = false; ///< see trust()
  std::vector<ToolCall> calls;
  size_t found = 0;
};

} // namespace stepdown::run
