// How a model writes calls of functions: found out by asking its chat template to write one.
//
// A template turns a call in the conversation into text, in the form in which the model was trained to write calls. So
// a conversation with a call of a known name and known arguments is rendered, and what surrounds these says which of
// the forms below it is. What is none of them is not guessed.
//
//   Tagged  <tool_call>{"name": NAME, "arguments": OBJECT}</tool_call>, any number   Hermes, Qwen
//   Bare    {"name": NAME, "parameters": OBJECT}, alone                              Llama 3.1, 3.2 and 3.3
//   List    [TOOL_CALLS][{"name": NAME, "arguments": OBJECT}, ...]                    Mistral up to Nemo
//   Named   [TOOL_CALLS]NAME[ARGS]OBJECT, any number; [CALL_ID]ID before [ARGS]       Mistral since
#pragma once
#include "lib/Grammar/Constraint.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "tools/stepdown-run/Serve/ToolRequest.h"

namespace stepdown::run {

struct ToolFormat {
  enum class Kind : uint8_t { None, Tagged, Bare, List, Named };
  Kind kind = Kind::None;
  std::string begin, end; ///< around a call, or around all of them; empty: nothing
  std::string arguments;  ///< the member of a call that holds them
  bool spelt = true;      ///< `begin` is written in letters; a control token is one that no grammar can spell
  bool numbered = false;  ///< a Named call has [CALL_ID]
  bool thinks = false;    ///< a prompt ends within what the model thinks, where a call would be none
  static constexpr char idMark[] = "[CALL_ID]", argumentsMark[] = "[ARGS]";
  /// What answers have of control tokens that belong to calls; text of others is hidden.
  bool isMark(const std::string &piece) const;
};

/// The form in which a model with this template calls functions; None where it is none of the above, or where the
/// template refuses a call.
ToolFormat toolFormatOf(const ChatTemplate &chat, const Tokenizer &tokenizer);

/// How the answer to a request is made to call functions.
struct ToolPlan {
  std::string prefix;                       ///< with which an answer begins that has to call: a part of the prompt
  std::string gbnf;                         ///< what else the answer is; empty: anything
  std::vector<grammar::SchemaRule> schemas; ///< rules of `gbnf`, each called by the field that it is
};

/// E1318 where the model has no calls, or none that can be held to what is asked; the message begins with the field.
Result<ToolPlan> toolPlan(const ToolFormat &format, const ToolRequest &request);

} // namespace stepdown::run
