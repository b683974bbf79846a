// What becomes of a key that nobody asked for. A key that changes the computation and is ignored gives fluent wrong
// text, so each is judged: it changes nothing and a table says why; or it asks for something that is not computed, and
// its value says "none of it"; or the file is refused by the key's name.
#pragma once
#include "lib/Checkpoint/Metadata.h"

namespace stepdown {

struct UnreadKey {
  enum Fate {
    Harmless,  ///< whatever its value
    OffAtZero, ///< refused unless it is 0, false, empty, or an array of these
    OffAtOne,  ///< a factor: refused unless it is 1, or 0, which writers use for "none"
    Refused    ///< whatever its value
  };
  const char *name; ///< behind the prefix; a last '*' stands for any ending
  Fate fate;
  const char *what; ///< Harmless: why nothing needs it. Otherwise what it asks for: "a scale of the logits"
};

/// Judges every key of `metadata` that begins with `prefix` and that `log` has not noted: by the first of `rules` that
/// names it, and where none does it is refused. `reader` says in messages who would have to compute it ("the family
/// llama"). Refusals have the number `code`.
Status judgeUnread(const Metadata &metadata, const KeyLog &log, std::string_view prefix, const UnreadKey *rules,
                   size_t count, ErrorCode code, const std::string &reader);

} // namespace stepdown
