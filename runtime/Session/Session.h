// A session: sequences of tokens, their cache, and the memory of one step, of which nothing is allocated after
// creation. Used by one thread at a time.
#pragma once
#include "runtime/Adapters/AdapterSet.h"
#include "runtime/KVCache/KVCache.h"
#include "runtime/Load/Model.h"
#include "runtime/PrefixTree/PrefixTree.h"
#include "runtime/Sampler/LazyArray.h"
#include "runtime/Session/StepProgram.h"
#include <memory>
#include <optional>
#include <vector>

namespace stepdown {

class SpillFile;
class SpillTier;

/// What of a sequence's cache is meant.
struct CachePart {
  size_t group;
  uint32_t layer; ///< of the group
  bool values;
  int32_t first, end; ///< positions
};

class Session {
public:
  struct Options {
    int32_t threads = 0;        ///< 0: one per core
    int32_t kvBlock = 0;        ///< 16, 32 or 64 positions; 0: 32
    int64_t kvPositions = 0;    ///< over all sequences; 0: the model's context once
    int32_t maxSequences = 0;   ///< 0: 16
    uint32_t prefixBlocks = 0;  ///< blocks that are kept for sequences that begin alike, at most; see reuse()
    std::string spillFile = {}; ///< where those of them go for which there is no more room; empty: nowhere
    uint64_t spillBytes = 0;    ///< that the file may have, at most
    /// Bytes that come back from it between two steps, at most, unless the least that is of use has more.
    uint64_t restoredAtOnce = uint64_t(32) << 20;
  };

  /// One token of a batch; the row of logits after it is kept when `wantLogits`.
  struct Token {
    int32_t sequence, id;
    bool wantLogits;
  };

  /// What `options` ask of a session of `program`; E0602.
  static Result<KVCache::Shape> shapeOf(const Program &program, const Options &options);

  /// E0601, E0602; E0901, E0903 and E1516 to E1519 of the file for blocks; E1045 with what would fit where the device
  /// has too little memory. E1424 for an encoder, of which runtime/Embedding/Embedder.h takes care.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const Options &options);
  /// The same of any model; of an encoder, whose rows stand where logits do, a step has to have the whole of each
  /// sequence.
  static Result<std::unique_ptr<Session>> open(std::shared_ptr<const Model> model, const Options &options);
  ~Session();
  /// A session must not move: its step program refers to its cache.
  Session(const Session &) = delete;

  /// A new, empty sequence with the adapter of a slot of adapters(), 0 for none; E0605.
  Result<int32_t> createSequence(int32_t adapter = 0);
  /// Reads an adapter into a slot and returns that; see AdapterSet::load. E1477 where the model has no room for any.
  Result<int32_t> loadAdapter(const std::string &name, const std::string &path, double scale);
  /// Forgets it; E1478 where there is none of that name, or a sequence has it or holdAdapter() was asked for it.
  Status unloadAdapter(const std::string &name);
  /// Those that are loaded, or null of a model that has no room for any.
  const AdapterSet *adapters() const { return adapterSet.get(); }
  /// The slot of `name`, 0 for the empty name; E1477, E1478.
  Result<int32_t> adapterNamed(const std::string &name) const;
  /// The same as what keeps it loaded until the last copy is gone, null for the empty name: of one who waits for a
  /// sequence.
  Result<std::shared_ptr<const int32_t>> holdAdapter(const std::string &name) const;
  /// Gives an empty sequence the adapter of a slot. E0604, E0610, E0611 for one with tokens.
  Status setAdapter(int32_t sequence, int32_t slot);
  /// The slot that a live sequence has.
  int32_t adapterOf(int32_t sequence) const { return slotOf[static_cast<size_t>(sequence)]; }
  /// A second sequence with the same tokens, sharing their blocks; E0604, E0605, E0610.
  Result<int32_t> fork(int32_t sequence);
  /// Forgets the positions from `length` on; E0604, E0609, E0610.
  Status truncate(int32_t sequence, int32_t length);
  /// A new sequence with `count` tokens, ids below the vocabulary, whose keys and values are not computed: moveCache
  /// brings them. E0605, E0606, E0608, E1047.
  Result<int32_t> adopt(const int32_t *ids, size_t count, int32_t adapter = 0);
  /// Keys (or values) of one layer of a cache group at the positions from `first` to `end` of an idle sequence, in an
  /// order that is the same on every device: [position, head, channel], elements as the group has them. Copies them to
  /// `to`; and back, of a sequence that adopt made, in whole blocks but for `first` and `end`. E0604, E0610, E1047;
  /// E0611 for a layer or positions that are not in the cache.
  Status readCache(int32_t sequence, const CachePart &part, uint8_t *to);
  Status writeCache(int32_t sequence, const CachePart &part, const uint8_t *from);
  /// Tokens submitted, or -1 for no sequence.
  int32_t length(int32_t sequence) const { return live(sequence) ? cache.length(sequence) : -1; }
  /// The ids of a live sequence: [length(sequence)], until it changes.
  const int32_t *tokens(int32_t sequence) const { return &held[size_t(sequence) * cache.longest()]; }
  /// Gives the blocks back; of a sequence with queued tokens, after the next step.
  void freeSequence(int32_t sequence);

  /// Keeps the whole blocks of what `sequence` holds, which has no queued tokens, for reuse(), as long as nobody needs
  /// their room. Nothing where `prefixBlocks` is 0.
  void remember(int32_t sequence);
  /// `sequence` holds the beginning of `tokens`, or nothing; from now on it holds the longest beginning that is
  /// remembered, or can be read back, if that is longer, without a step: the same bytes as if it were computed. Returns
  /// length(sequence).
  int32_t reuse(int32_t sequence, const int32_t *tokens, int32_t count);
  /// How many of `tokens`, in whole blocks, reuse() would take from blocks that other sequences have, not counting
  /// those that are `leaving`, for a sequence with this adapter.
  int32_t sharedPrefix(const int32_t *tokens, int32_t count, const std::vector<int32_t> &leaving,
                       int32_t adapter = 0) const;
  /// Whether reuse() stopped where as much was read back as may be between two steps: after the next, which may be one
  /// that computes nothing, it comes further.
  bool restoresMore() const { return moreBelow; }
  /// Blocks that were read back so far.
  uint64_t restored() const;
  /// The file that has what was remembered and given up; null where there is none.
  SpillFile *spilled() const;
  /// What is remembered; null where nothing ever is.
  const PrefixTree *prefixes() const { return tree.get(); }

  /// Queues tokens for the next step: all of them, or none and E0603, E0604, E0606, E0607 or E0608. E1047 after a step
  /// that failed.
  Status submit(const Token *tokens, size_t count);
  /// Computes what is queued; nothing queued is no error. What fails here, on the device, fails the session: what its
  /// sequences hold is not what was submitted, and all further steps are E1047. Where no row is wanted a device whose
  /// queue stages uploads may still compute when this returns, while the next step is made; what fails then the next
  /// step with rows tells.
  Status step();
  /// Rows of logits of the last step.
  size_t rows() const { return logitsCount; }
  /// Row `index` in the order of submission: float32 [vocabulary], valid until the next step.
  const float *logits(size_t index) const { return hostLogits + index * logitsStride; }
  /// Floats from one row of logits to the next.
  size_t rowStride() const { return logitsStride; }

  const Model &of() const { return *model; }
  const KVCache &kv() const { return cache; }
  /// Positions that one sequence may have: the model's context, or what the cache holds where that is less.
  int32_t context() const { return cache.longest(); }
  int threads() const { return queue->width(); }
  size_t dispatches() const { return program->dispatches(); }
  /// Tokens and rows that may still be queued for the next step.
  uint32_t roomForTokens() const { return model->head().max_step_tokens - queued; }
  uint32_t roomForRows() const { return model->head().max_step_rows - queuedRows; }

private:
  enum class State : uint8_t { None, Live, Leaving };
  explicit Session(std::shared_ptr<const Model> model);
  bool live(int32_t sequence) const {
    return sequence >= 0 && sequence < static_cast<int32_t>(states.size()) && states[sequence] == State::Live;
  }
  Status expectIdle(int32_t sequence) const;
  Status expectPart(int32_t sequence, const CachePart &part) const;
  Status moveBlocks(int32_t sequence, const CachePart &part, std::vector<uint8_t> &blocks, bool download);
  Result<Allocation> allocate(size_t bytes, const char *purpose);
  Status placeInputs();
  Status stageUploads(const KVCache::Shape &shape);
  Status keepPrefixes(const Options &options);
  /// E1045 where the device has too little memory for a session of `shape`.
  Status expectRoom(const KVCache::Shape &shape) const;
  Status expectSound() const;
  PrefixTree::Space spaceOf(int32_t adapter) const;
  void fails(const Error &error);

  std::shared_ptr<const Model> model;
  Allocation staging; ///< of the queue's uploads
  std::unique_ptr<Queue> queue;
  Allocation arena, inputs, logitsMemory;
  KVCache cache;
  std::unique_ptr<SpillTier> below; ///< of `tree`, or null
  std::unique_ptr<PrefixTree> tree; ///< of `cache`
  PrefixTree::Space space;          ///< of the model and the cache, without adapter
  uint64_t restoredAtOnce = 0;      ///< see Options
  PrefixTree::Budget restores{0};
  bool moreBelow = false;                 ///< see restoresMore()
  std::unique_ptr<AdapterSet> adapterSet; ///< or null
  std::unique_ptr<StepProgram> program;
  std::unique_ptr<StepProgram> adapted; ///< of steps of which some tokens have an adapter, or null
  std::vector<float> downloaded;        ///< logits, where the host cannot read the device's
  const float *hostLogits = nullptr;
  std::optional<Error> failure; ///< of a step
  size_t logitsStride = 0;      ///< floats from one row of logits to the next: kernels write whole vectors

  uint32_t capacity = 0;                                ///< entries of each input array, a whole number of tiles
  std::vector<int32_t> staged;                          ///< [4 to 5][capacity]: see inputArrays()
  uint32_t queued = 0, queuedRows = 0, logitsCount = 0; ///< tokens and rows of the next step; rows of the last
  uint32_t queuedAdapted = 0;                           ///< tokens of the next step that have an adapter
  std::vector<State> states;                            ///< [sequences]
  std::vector<int32_t> slotOf;                          ///< [sequences], of the adapter
  std::vector<int32_t> added;                           ///< [sequences]: tokens of the batch being submitted
  LazyArray<int32_t, false> held;                       ///< [sequences][context], of tokens submitted
  std::vector<uint8_t> waiting;                         ///< [sequences]: has queued tokens
  std::vector<KVCache::Growth> growth;                  ///< of the batch being submitted
};

} // namespace stepdown
