// A smaller model that guesses for a larger one with the same tokens. It draws each guess as the answer's token is
// drawn, with the same options and the same random number of the position, so that two models that agree draw the same.
//
// Its session holds a sequence for each answer, with the text so far and guesses behind it, which are forgotten when
// they prove wrong; what a window would have given back by then stays, for guesses of such a model are made on a fork.
//
// A prompt is read at once, or where others would wait for it in pieces, between two steps of the answers; until it is
// read there are no guesses then. Where the session remembers prefixes, what several answers have in common is read
// once.
#pragma once
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Session/Session.h"
#include "runtime/Speculation/Drafter.h"

namespace stepdown {

/// E1501 unless every id means the same to both.
Status expectSameTokens(const Tokenizer &model, const Tokenizer &draft);

class DraftModel final : public Speculator {
public:
  /// Guesses with `session`, of which nobody else may use sequences meanwhile but on the same thread, and with its
  /// `tokenizer`; both must outlive the drafters. A session that is not there yet comes with use().
  DraftModel(Session *session, const Tokenizer &tokenizer) : shared(new Shared{session, &tokenizer}) {}
  /// From now on all drafters together read `tokens` of prompts between two steps: at most twice as many, for an answer
  /// may skip a step, and on top of these what each has drawn since, up to `few`.
  void readInPieces(size_t tokens) { shared->piece = shared->left = tokens; }
  static constexpr size_t few = 16;
  void use(Session &session) { shared->session = &session; }
  /// Sequences that drafters of `model` take for each answer.
  static int32_t sequencesEach(const Model &model);
  Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &options) const override;

private:
  friend class ModelDrafter;
  struct Shared {
    Session *session;
    const Tokenizer *tokenizer;
    size_t piece = SIZE_MAX; ///< see readInPieces()
    uint64_t round = 1;      ///< of pieces: who has had its turn in this one begins the next
    size_t left = SIZE_MAX;  ///< of the round
  };
  std::shared_ptr<Shared> shared;
};

} // namespace stepdown
