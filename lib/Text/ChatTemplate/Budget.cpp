// Refusals, and the end of a budget.
#include "lib/Text/ChatTemplate/Budget.h"
#include "lib/Text/ChatTemplate/Value.h"
#include <charconv>

namespace stepdown::jinja {

namespace {
thread_local int nestingDepth = 0;
} // namespace

void refuse(ErrorCode code, std::string_view message) {
  constexpr size_t longest = 4096; // what it quotes may be as large as the budget allows
  if (message.size() <= longest)
    throw Refusal{code, std::string(message), 0, {}};
  size_t end = longest;
  while (end > longest - 4 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80)
    --end;
  throw Refusal{code, std::string(message.substr(0, end)).append("..."), 0, {}};
}

void raise(std::string_view message) { refuse(ErrorCode::TemplateOperation, message); }

Budget::Budget(size_t memoryBytes, uint64_t steps) : memoryLimit(memoryBytes), stepLimit(steps), outer(active) {
  active = this;
}

Budget::~Budget() {
  // Cycles run through these; emptied, they let go of each other.
  while (ring.behind != &ring) {
    auto *object = static_cast<MutableObject *>(ring.behind);
    object->leave();
    Value held(Kind::Namespace, object);
    object->clear();
  }
  active = outer;
}

void Budget::refuseSteps() const {
  refuse(ErrorCode::TemplateSteps, "expects at most " + std::to_string(stepLimit) + " steps, but the template goes on");
}

void Budget::refuseMemory() const {
  refuse(ErrorCode::TemplateMemory, "expects values of at most " + std::to_string(memoryLimit) +
                                        " bytes together, but the template asks for more");
}

String decimal(int64_t number) {
  char digits[24];
  return String(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

Nesting::Nesting() {
  if (nestingDepth >= 500)
    refuse(ErrorCode::TemplateDepth, "expects values nested at most 500 deep, but got more");
  ++nestingDepth;
}
Nesting::~Nesting() { --nestingDepth; }

} // namespace stepdown::jinja
