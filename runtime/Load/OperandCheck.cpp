// Verifies every dispatch against the entries of the code that it may run. Two questions, each asked once:
//
// Is it what the kernel was compiled for? Extent, tile, places and dimensions are compared for every dispatch, level
// and bucket. This also gives what each operand needs of the place where it lies: the bytes of the largest step, and
// how far back it reads the block table.
//
// Does the place have that? A buffer or weight has room for the bytes, the layer's cache has the shape, the block table
// keeps what is read; asked for every dispatch of every layer, because layers have weights and caches of their own.
//
// Steps are rounded up to whole tiles: kernels may touch all of their last one.
#include "runtime/Load/ArtifactFile.h"

#include "include/stepdown/CacheDims.h"
#include <algorithm>

namespace stepdown {
namespace {

using ull = unsigned long long;

uint64_t roundUp(uint64_t count, uint64_t to) { return (count + to - 1) / to * to; }

/// What an operand needs of its place.
struct Need {
  uint64_t bytes = 0, elementBytes = 0;
  uint64_t reach = 0; ///< of a block table; 0: all
};

class OperandChecker {
public:
  OperandChecker(const std::string &file, const Program &program, const std::vector<CodeIndex> &codes)
      : file(file.c_str()), p(program), codes(codes) {
    for (const stepdown_bucket &bucket : p.buckets)
      largestTile = std::max<uint64_t>(largestTile, bucket.tile);
  }

  Status check() {
    for (uint32_t i = 0; i < p.dispatches.count; ++i) {
      firstNeed.push_back(needs.size());
      needs.resize(needs.size() + p.dispatches[i].operand_count);
      if (Status ok = compiledFor(i); !ok)
        return ok;
    }
    if (Status ok = run(p.head.entry_first, p.head.entry_count, nullptr); !ok)
      return ok;
    for (const stepdown_layer &layer : p.layers)
      if (Status ok = run(p.kinds[layer.kind].first_dispatch, p.kinds[layer.kind].dispatch_count, &layer); !ok)
        return ok;
    return run(p.head.exit_first, p.head.exit_count, nullptr);
  }

private:
  const stepdown_operand &operand(uint32_t dispatch, uint32_t k) const {
    return p.operands[p.dispatches[dispatch].first_operand + k];
  }

  Error differs(uint32_t dispatch, const char *what, uint64_t expected, uint64_t value) {
    return fail(ErrorCode::ArtifactOperand, "%s: dispatch %u of kernel %s: expects %s %llu, but got %llu", file,
                dispatch, p.string(p.kernels[p.dispatches[dispatch].kernel].name), what, (ull)expected, (ull)value);
  }

  Status compiledFor(uint32_t i) {
    const stepdown_dispatch &d = p.dispatches[i];
    const bool byRows = d.extent == STEPDOWN_BY_ROWS;
    const uint64_t largest = byRows ? p.head.max_step_rows : p.head.max_step_tokens;
    bool first = true;
    for (size_t level = 0; level < codes.size(); ++level)
      for (uint32_t b = 0; b < p.buckets.count && p.buckets[b].min_tokens <= largest; ++b) {
        const CodeIndex &code = codes[level];
        const stepdown_entry &entry = code.entries[p.entry(level, d.kernel, b)];
        if (entry.extent != d.extent)
          return differs(i, "extent", entry.extent, d.extent);
        if (entry.count != d.operand_count)
          return differs(i, "operands", entry.count, d.operand_count);
        if (entry.tile != p.buckets[b].tile)
          return differs(i, "tiles of a bucket of tokens", entry.tile, p.buckets[b].tile);
        const bool last = b + 1 == p.buckets.count;
        const uint64_t most = last ? largest : std::min<uint64_t>(largest, p.buckets[b + 1].min_tokens - 1);
        for (uint32_t k = 0; k < d.operand_count; ++k)
          if (Status ok =
                  parameter(i, k, code.parameters[entry.first + k], roundUp(most, entry.tile), entry.tile, first);
              !ok)
            return ok;
        first = false;
      }
    return Done{};
  }

  /// Compares operand `k` with `q`, and adds to its needs what a step of `most` tokens or rows, in tiles of `tile`,
  /// has.
  Status parameter(uint32_t i, uint32_t k, const stepdown_parameter &q, uint64_t most, uint64_t tile, bool first) {
    const stepdown_operand &o = operand(i, k);
    auto wrong = [&](const char *what, int64_t expected, int64_t value) {
      return fail(ErrorCode::ArtifactOperand, "%s: dispatch %u of kernel %s: operand %u: expects %s %lld, but got %lld",
                  file, i, p.string(p.kernels[p.dispatches[i].kernel].name), k, what, (long long)expected,
                  (long long)value);
    };
    if (o.place != q.place)
      return wrong("place", q.place, o.place);
    if (o.rank != q.rank)
      return wrong("rank", q.rank, o.rank);
    for (uint32_t d = 0; d < o.rank; ++d)
      if (o.dims[d] != q.dims[d])
        return wrong("dimension", q.dims[d], o.dims[d]);
    Need &need = needs[firstNeed[i] + k];
    if (first) {
      need.elementBytes = q.element_bytes;
      need.reach = q.bound;
    }
    switch (o.place) {
    case STEPDOWN_AT_KEYS:
    case STEPDOWN_AT_VALUES:
    case STEPDOWN_AT_BLOCK_TABLE:
      if (q.element_bytes != need.elementBytes)
        return wrong("bytes of an element", need.elementBytes, q.element_bytes);
      need.reach = need.reach && q.bound ? std::max(need.reach, q.bound) : 0;
      return Done{};
    case STEPDOWN_AT_TOKENS:
      if (q.bound && p.head.vocabulary > q.bound)
        return wrong("a vocabulary of at most", q.bound, p.head.vocabulary);
      return indices(wrong, o, q, STEPDOWN_DIM_TOKENS);
    case STEPDOWN_AT_POSITIONS:
      if (q.bound && p.head.max_context > q.bound)
        return wrong("a context of at most", q.bound, p.head.max_context);
      return indices(wrong, o, q, STEPDOWN_DIM_TOKENS);
    case STEPDOWN_AT_SEQUENCES:
    case STEPDOWN_AT_ADAPTERS: // beyond the last slot a kernel takes the last
    case STEPDOWN_AT_LAST:
      return indices(wrong, o, q, STEPDOWN_DIM_TOKENS);
    case STEPDOWN_AT_ROWS:
      return indices(wrong, o, q, STEPDOWN_DIM_ROWS);
    }
    uint64_t bytes = q.element_bytes;
    for (uint32_t d = 0; d < o.rank; ++d) {
      uint64_t size = 0;
      if (!sizeOf(o.dims[d], p.dispatches[i].extent == STEPDOWN_BY_ROWS, most, tile, size))
        return wrong("a dimension of at least 0, or one of its extent's, instead of", 0, o.dims[d]);
      if (__builtin_mul_overflow(bytes, size, &bytes))
        return wrong("less than 2^64 bytes, not as many as dimension", d, o.dims[d]);
    }
    need.bytes = std::max(need.bytes, bytes);
    return Done{};
  }

  /// An array of the session's: int32, one for each token or row.
  template <typename Wrong>
  static Status indices(const Wrong &wrong, const stepdown_operand &o, const stepdown_parameter &q, int64_t symbol) {
    if (q.element_bytes != sizeof(int32_t))
      return wrong("bytes of an element", sizeof(int32_t), q.element_bytes);
    if (o.rank != 1 || o.dims[0] != symbol)
      return wrong("the one dimension", symbol, o.rank ? o.dims[0] : 0);
    return Done{};
  }

  /// Dimension `dim` of the largest step of a bucket; false for one that such a dispatch does not have.
  bool sizeOf(int64_t dim, bool byRows, uint64_t most, uint64_t tile, uint64_t &size) const {
    if (dim >= 0) {
      size = static_cast<uint64_t>(dim);
    } else if (dim == (byRows ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS)) {
      size = most;
    } else if (dim == STEPDOWN_DIM_TOKENS) { // all tokens, seen by a kernel that chooses rows of them
      size = roundUp(p.head.max_step_tokens, largestTile);
    } else if (dim == (byRows ? STEPDOWN_DIM_ROW_TILES : STEPDOWN_DIM_TOKEN_TILES)) {
      size = most / tile;
    } else if (dim == (byRows ? STEPDOWN_DIM_ROW_TILE : STEPDOWN_DIM_TOKEN_TILE)) {
      size = tile;
    } else {
      return false;
    }
    return true;
  }

  /// One run of dispatches as it is executed: inside `layer`, or outside any.
  Status run(uint32_t first, uint32_t count, const stepdown_layer *layer) {
    for (uint32_t i = first; i < first + count; ++i)
      for (uint32_t k = 0; k < p.dispatches[i].operand_count; ++k)
        if (Status ok = room(i, k, layer); !ok)
          return ok;
    return Done{};
  }

  Status room(uint32_t i, uint32_t k, const stepdown_layer *layer) {
    const stepdown_operand &o = operand(i, k);
    const Need &need = needs[firstNeed[i] + k];
    uint64_t bytes = 0;
    switch (o.place) {
    case STEPDOWN_AT_BUFFER:
      bytes = p.buffers[o.index].bytes;
      break;
    case STEPDOWN_AT_WEIGHT:
      bytes = p.weights[o.index].bytes;
      break;
    case STEPDOWN_AT_LAYER_WEIGHT:
      bytes = p.weights[p.weightLists[layer->first_weight + o.index]].bytes;
      break;
    case STEPDOWN_AT_LOGITS:
      if (const uint64_t floats =
              static_cast<uint64_t>(o.dims[1]) * need.elementBytes / sizeof(float); // of a vector more
          o.rank == 2 && (o.dims[1] < 0 || floats != p.head.logits_stride))
        return fail(
            ErrorCode::ArtifactOperand,
            "%s: dispatch %u of kernel %s: operand %u: expects rows of logits %lld floats apart, but the program "
            "has them %u apart",
            file, i, p.string(p.kernels[p.dispatches[i].kernel].name), k, (long long)floats, p.head.logits_stride);
      bytes = roundUp(p.head.max_step_rows, largestTile) * p.head.logits_stride * sizeof(float);
      break;
    case STEPDOWN_AT_KEYS:
    case STEPDOWN_AT_VALUES:
    case STEPDOWN_AT_BLOCK_TABLE:
      return cache(i, k, need, p.groups[layer->cache_group]);
    default:
      return Done{};
    }
    if (need.bytes > bytes)
      return fail(ErrorCode::ArtifactOperand,
                  "%s: dispatch %u of kernel %s: operand %u: expects room for %llu bytes, but its place has %llu", file,
                  i, p.string(p.kernels[p.dispatches[i].kernel].name), k, (ull)need.bytes, (ull)bytes);
    return Done{};
  }

  /// The dimensions that the program gives the cache of a group, and its table.
  Status cache(uint32_t i, uint32_t k, const Need &need, const stepdown_cache_group &g) {
    const stepdown_operand &o = operand(i, k);
    const stepdown_cache &layout = p.cache[0];
    const bool isTable = o.place == STEPDOWN_AT_BLOCK_TABLE;
    int64_t expected[STEPDOWN_MAX_RANK] = {STEPDOWN_DIM_SEQUENCES, STEPDOWN_DIM_TABLE_WIDTH};
    uint32_t rank = 2;
    if (!isTable)
      rank = o.place == STEPDOWN_AT_KEYS
                 ? stepdown_cache_dims(layout.keys, layout.lanes, g.kv_heads, g.key_dim, expected)
                 : stepdown_cache_dims(layout.values, layout.lanes, g.kv_heads, g.value_dim, expected);
    const uint64_t element = isTable ? sizeof(int32_t) : stepdown_cached_bytes(g.element);
    if (o.rank != rank || !std::equal(expected, expected + rank, o.dims) || need.elementBytes != element)
      return fail(ErrorCode::ArtifactOperand,
                  "%s: dispatch %u of kernel %s: operand %u: expects the cache of its layer to have the shape that the "
                  "kernel was compiled for, but it has %u heads of %u and %u elements of %llu bytes",
                  file, i, p.string(p.kernels[p.dispatches[i].kernel].name), k, g.kv_heads, g.key_dim, g.value_dim,
                  (ull)element);
    if (isTable && g.window && (!need.reach || need.reach > g.window))
      return fail(
          ErrorCode::ArtifactOperand,
          "%s: dispatch %u of kernel %s: operand %u: expects a cache that keeps %llu positions (0: all), but it "
          "keeps %u",
          file, i, p.string(p.kernels[p.dispatches[i].kernel].name), k, (ull)need.reach, g.window);
    return Done{};
  }

  const char *file;
  const Program &p;
  const std::vector<CodeIndex> &codes;
  uint64_t largestTile = 1;
  std::vector<Need> needs;       ///< of every operand of every dispatch
  std::vector<size_t> firstNeed; ///< of each dispatch
};

} // namespace

Status checkOperands(const std::string &file, const Program &program, const std::vector<CodeIndex> &codes) {
  if (codes.empty()) // nothing to run; a loader finds no level
    return Done{};
  return OperandChecker(file, program, codes).check();
}

} // namespace stepdown
