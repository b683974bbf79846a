// The step program, unfolded: one launch for every dispatch of the entry, of each layer, and of the exit, with the
// operand words that kernels read. All words are written when a session is made; a step changes only those that depend
// on its count of tokens T and of rows R, and only when the count is another than the step before had.
#pragma once
#include "runtime/KVCache/KVCache.h"
#include "runtime/Load/Model.h"
#include <memory>
#include <vector>

namespace stepdown {

/// Device addresses of what a session owns.
struct StepPlaces {
  uint64_t arena, tokens, positions, sequences, rows, logits;
  uint64_t last;            ///< of an encoder
  uint64_t slots, adapters; ///< of a model with adapters: of each token, and their memory
};

class StepProgram {
public:
  /// Of `part` of `model`; E0601.
  static Result<std::unique_ptr<StepProgram>> create(const Model &model, const ProgramPart &part,
                                                     const StepPlaces &places, const KVCache &cache);

  /// Makes launches() those of a step of `tokens` (at least 1) and `rows`, and has `queue` send their operands.
  /// Dispatches whose grid is empty, as those of rows are in a step without rows, are left out. Allocates nothing.
  Status prepare(uint32_t tokens, uint32_t rows, Queue &queue);
  const std::vector<Launch> &launches() const { return prepared; }
  /// Dispatches of a step with rows.
  size_t dispatches() const { return invocations.size(); }

private:
  struct Invocation {
    uint32_t kernel, firstWord, words;
    bool byRows;
  };
  struct Patch {
    uint32_t word;
    int32_t symbol;
  };
  StepProgram(const Model &model, const ProgramPart &part, const StepPlaces &places, const KVCache &cache)
      : model(model), part(part), cache(cache), places(places) {}
  void count(uint32_t tokens, uint32_t rows);
  void unfold(uint32_t first, uint32_t count, const stepdown_layer *layer);
  uint64_t weight(const stepdown_weight &weight) const;
  uint64_t address(const stepdown_operand &operand, const stepdown_layer *layer) const;
  /// Dimension `symbol` for the present counts.
  uint64_t extent(int64_t symbol, const stepdown_layer *layer) const;

  const Model &model;
  const ProgramPart &part;
  const KVCache &cache;
  StepPlaces places;
  std::vector<Invocation> invocations;
  std::vector<uint64_t> staged; ///< operand words, which `uploaded` holds too
  Allocation uploaded;
  std::vector<Patch> patches; ///< words that depend on T or R
  std::vector<Launch> prepared;
  uint32_t tokens = 0, rows = 0; ///< that `staged` and `prepared` are for
  bool dirty = true;             ///< `uploaded` is behind `staged`
};

} // namespace stepdown
