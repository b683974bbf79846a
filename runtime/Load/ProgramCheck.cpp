// Verifies every record of a program section, so that the rest of the runtime may follow any index in it.
#include "include/stepdown/CacheDims.h"
#include "runtime/Load/TableReader.h"

#include <cstring>
#include <set>

namespace stepdown {
namespace {

using ull = unsigned long long;

// Limits that no model comes near; they keep products of two fields inside 64 bits, and tables that a small file can
// describe from unfolding into more memory than a machine has.
constexpr uint64_t maxVocabulary = 1u << 24, maxWidth = 1u << 20, maxContext = STEPDOWN_MAX_CONTEXT, maxStep = 1u << 20;
constexpr uint64_t maxAdapterDim = 1u << 20, maxAdapterBytes = uint64_t(1) << 40;
constexpr uint32_t halfStorage = 1; // GGUF's number
constexpr uint64_t maxCacheDim = 1u << 16, maxInvocations = 1u << 20, maxOperands = 64, maxWords = 1u << 24;

class Checker {
public:
  Checker(const std::string &file, const Program &program, uint64_t alignment)
      : file(file.c_str()), p(program), alignment(alignment) {}

  Status limits() {
    const stepdown_program &h = p.head;
    struct Limit {
      const char *field;
      uint64_t value, low, high;
    };
    for (const Limit &l :
         {Limit{"vocabulary", h.vocabulary, 1, maxVocabulary}, Limit{"width", h.width, 1, maxWidth},
          Limit{"max_context", h.max_context, 1, maxContext}, Limit{"max_step_tokens", h.max_step_tokens, 1, maxStep},
          Limit{"max_step_rows", h.max_step_rows, 1, h.max_step_tokens}, Limit{"exact", h.exact, 0, 1},
          Limit{"outputs", h.outputs, 0, maxWidth},
          Limit{"logits_stride", h.logits_stride, h.outputs ? h.outputs : h.vocabulary, maxVocabulary + STEPDOWN_PAGE}})
      if (l.value < l.low || l.value > l.high)
        return bad("program", 0, l.field, l.value, "from %llu to %llu", l.low, l.high);
    return Done{};
  }

  Status names() {
    if (p.strings.count == 0 || p.strings[p.strings.count - 1] != 0)
      return fail(ErrorCode::ArtifactTable, "%s: strings: expects a last byte of 0", file);
    for (uint32_t i = 0; i < p.buffers.count; ++i)
      if (p.buffers[i].name >= p.strings.count)
        return bad("buffer", i, "name", p.buffers[i].name, "below %llu", p.strings.count);
    for (uint32_t i = 0; i < p.weights.count; ++i)
      if (p.weights[i].name >= p.strings.count)
        return bad("weight", i, "name", p.weights[i].name, "below %llu", p.strings.count);
    for (uint32_t i = 0; i < p.kernels.count; ++i)
      if (p.kernels[i].name >= p.strings.count)
        return bad("kernel", i, "name", p.kernels[i].name, "below %llu", p.strings.count);
    return Done{};
  }

  Status memory(uint64_t weightBytes) {
    if (p.buckets.count < 1 || p.buckets.count > STEPDOWN_MAX_BUCKETS)
      return bad("program", 0, "buckets", p.buckets.count, "from 1 to %llu", STEPDOWN_MAX_BUCKETS);
    for (uint32_t i = 0; i < p.buckets.count; ++i) {
      uint64_t low = i ? uint64_t(p.buckets[i - 1].min_tokens) + 1 : 0;
      uint64_t high = i ? maxStep : 1;
      if (p.buckets[i].min_tokens < low || p.buckets[i].min_tokens > high)
        return bad("bucket", i, "min_tokens", p.buckets[i].min_tokens, "from %llu to %llu", low, high);
      if (p.buckets[i].tile < 1 || p.buckets[i].tile > maxStep)
        return bad("bucket", i, "tile", p.buckets[i].tile, "from 1 to %llu", maxStep);
    }
    for (uint32_t i = 0; i < p.buffers.count; ++i) {
      const stepdown_buffer &b = p.buffers[i];
      if (b.offset % alignment || !inside(b.offset, b.bytes, p.head.arena_bytes))
        return bad("buffer", i, "offset", b.offset, "a multiple of %llu with %llu bytes inside an arena of %llu",
                   alignment, b.bytes, p.head.arena_bytes);
    }
    for (uint32_t i = 0; i < p.weights.count; ++i) {
      const stepdown_weight &w = p.weights[i];
      if (w.packing == STEPDOWN_PACKING_ADAPTERS) {
        if (Status ok = adapters(i, w); !ok)
          return ok;
        continue;
      }
      if (w.group || w.group_room)
        return bad("weight", i, "group", w.group, "0 of what no adapter has");
      if (w.offset % alignment || !inside(w.offset, w.bytes, weightBytes))
        return bad("weight", i, "offset", w.offset, "a multiple of %llu with %llu bytes inside a section of %llu",
                   alignment, w.bytes, weightBytes);
      if (w.rank < 1 || w.rank > 4)
        return bad("weight", i, "rank", w.rank, "from 1 to 4");
      if (w.packing > STEPDOWN_PACKING_ADAPTERS)
        return bad("weight", i, "packing", w.packing, "from 0 to 3");
    }
    for (uint32_t i = 0; i < p.weightLists.count; ++i)
      if (p.weightLists[i] >= p.weights.count)
        return bad("weight list entry", i, "weight", p.weightLists[i], "below %llu", p.weights.count);
    return Done{};
  }

  /// A matrix of adapters: one of all slots, in memory that is not the file's, of which part of a row are a linear's.
  Status adapters(uint32_t i, const stepdown_weight &w) {
    const std::string_view name = p.string(w.name),
                           ending = name.substr(name.size() - std::min<size_t>(name.size(), 7));
    const bool down = ending == ".lora_a";
    if (!down && ending != ".lora_b")
      return fail(ErrorCode::ArtifactTable, "%s: weight %u: expects a name that ends in .lora_a or .lora_b", file, i);
    if (w.rank != 3 || w.dims[3] != 1)
      return bad("weight", i, "rank", w.rank, "3, of an adapter");
    for (int d = 0; d < 3; ++d)
      if (w.dims[d] < 1 || w.dims[d] > maxAdapterDim)
        return bad("weight", i, "dimension", w.dims[d], "from 1 to %llu", maxAdapterDim);
    if (w.storage != halfStorage)
      return bad("weight", i, "storage", w.storage, "%llu", halfStorage);
    // A slot has room in each, and each is the only one of its linear.
    adapterSlots = adapterSlots ? adapterSlots : w.dims[2];
    if (w.dims[2] != adapterSlots)
      return bad("weight", i, "dimension", w.dims[2], "%llu slots, which others of adapters have", adapterSlots);
    if (!adapterNames.insert(name).second)
      return fail(ErrorCode::ArtifactTable, "%s: weight %u: expects no other weight with the name %.*s", file, i,
                  int(std::min<size_t>(name.size(), 200)), name.data());
    const uint64_t bytes = w.dims[0] * w.dims[1] * w.dims[2] * sizeof(uint16_t);
    if (w.offset % alignment || w.bytes < bytes || !inside(w.offset, w.bytes, maxAdapterBytes))
      return bad("weight", i, "offset", w.offset, "a multiple of %llu with %llu bytes below %llu", alignment, bytes,
                 maxAdapterBytes);
    if (w.group < 1 || w.group_room < w.group || w.dims[down ? 1 : 0] % w.group_room)
      return bad("weight", i, "group", w.group, "from 1 to a room of %llu that divides %llu", w.group_room,
                 w.dims[down ? 1 : 0]);
    return Done{};
  }

  Status layers() {
    std::vector<uint32_t> seen(p.groups.count, 0);
    for (uint32_t i = 0; i < p.groups.count; ++i) {
      const stepdown_cache_group &g = p.groups[i];
      for (uint64_t dim : {g.kv_heads, g.key_dim, g.value_dim})
        if (dim < 1 || dim > maxCacheDim)
          return bad("cache group", i, "dimension", dim, "from 1 to %llu", maxCacheDim);
      if (!stepdown_cached_is_known(g.element))
        return bad("cache group", i, "element", g.element, "0, 1, 264 or 265");
      for (uint32_t dim : {g.key_dim, g.value_dim})
        if (stepdown_cached_channels(g.element, dim) == 0)
          return bad("cache group", i, "dimension", dim, "bytes of whole blocks, and of a shorter one with its scale");
      if (g.layers > p.layers.count)
        return bad("cache group", i, "layers", g.layers, "at most %llu", p.layers.count);
    }
    for (uint32_t i = 0; i < p.kinds.count; ++i)
      if (!inside(p.kinds[i].first_dispatch, p.kinds[i].dispatch_count, p.dispatches.count))
        return bad("kind", i, "first_dispatch", p.kinds[i].first_dispatch, "%llu dispatches below %llu",
                   p.kinds[i].dispatch_count, p.dispatches.count);
    for (uint32_t i = 0; i < p.layers.count; ++i) {
      const stepdown_layer &l = p.layers[i];
      if (l.kind >= p.kinds.count)
        return bad("layer", i, "kind", l.kind, "below %llu", p.kinds.count);
      if (l.cache_group >= p.groups.count)
        return bad("layer", i, "cache_group", l.cache_group, "below %llu", p.groups.count);
      // In order and without gaps: the cache holds as many tensors as the group has layers, each used by one.
      if (l.cache_index != seen[l.cache_group]++)
        return bad("layer", i, "cache_index", l.cache_index, "%llu", seen[l.cache_group] - 1);
      if (!inside(l.first_weight, l.weight_count, p.weightLists.count))
        return bad("layer", i, "first_weight", l.first_weight, "%llu entries below %llu", l.weight_count,
                   p.weightLists.count);
    }
    for (uint32_t i = 0; i < p.groups.count; ++i)
      if (p.groups[i].layers != seen[i])
        return bad("cache group", i, "layers", p.groups[i].layers, "%llu", seen[i]);
    return Done{};
  }

  Status code(const std::vector<CodeIndex> &codes) {
    uint64_t perLevel = uint64_t(p.kernels.count) * p.buckets.count;
    if (p.code.count != perLevel * codes.size())
      return bad("program", 0, "code entries", p.code.count, "%llu kernels x %llu buckets x levels", p.kernels.count,
                 p.buckets.count);
    for (uint32_t i = 0; i < p.code.count; ++i)
      if (p.code[i] != ~uint32_t(0) && p.code[i] >= codes[i / perLevel].entries.count)
        return bad("code", i, "entry", p.code[i], "below %llu", codes[i / perLevel].entries.count);
    return Done{};
  }

  Status dispatches(size_t levels) {
    for (uint32_t i = 0; i < p.operands.count; ++i)
      if (Status ok = operand(i); !ok)
        return ok;
    for (uint32_t i = 0; i < p.dispatches.count; ++i) {
      const stepdown_dispatch &d = p.dispatches[i];
      if (d.kernel >= p.kernels.count)
        return bad("dispatch", i, "kernel", d.kernel, "below %llu", p.kernels.count);
      if (d.extent > STEPDOWN_BY_ROWS)
        return bad("dispatch", i, "extent", d.extent, "0 or 1");
      if (d.operand_count > maxOperands || !inside(d.first_operand, d.operand_count, p.operands.count))
        return bad("dispatch", i, "first_operand", d.first_operand, "at most %llu operands below %llu", maxOperands,
                   p.operands.count);
      if (Status ok = variants(i, levels); !ok)
        return ok;
    }
    if (!inside(p.head.entry_first, p.head.entry_count, p.dispatches.count))
      return bad("program", 0, "entry_first", p.head.entry_first, "below %llu", p.dispatches.count);
    if (!inside(p.head.exit_first, p.head.exit_count, p.dispatches.count))
      return bad("program", 0, "exit_first", p.head.exit_first, "below %llu", p.dispatches.count);
    invocations = words = 0;
    if (Status ok = run(p.head.entry_first, p.head.entry_count, nullptr); !ok)
      return ok;
    if (Status ok = run(p.head.exit_first, p.head.exit_count, nullptr); !ok)
      return ok;
    for (const stepdown_layer &layer : p.layers) {
      const stepdown_run &kind = p.kinds[layer.kind];
      if (Status ok = run(kind.first_dispatch, kind.dispatch_count, &layer); !ok)
        return ok;
    }
    return Done{};
  }

private:
  /// Every variant that a step can reach has code in every level.
  Status variants(uint32_t i, size_t levels) {
    const stepdown_dispatch &d = p.dispatches[i];
    uint64_t largest = d.extent == STEPDOWN_BY_ROWS ? p.head.max_step_rows : p.head.max_step_tokens;
    for (size_t level = 0; level < levels; ++level)
      for (uint32_t b = 0; b < p.buckets.count && p.buckets[b].min_tokens <= largest; ++b)
        if (p.entry(level, d.kernel, b) == ~uint32_t(0))
          return fail(ErrorCode::ArtifactTable, "%s: dispatch %u: expects code of kernel %s for steps of %u tokens",
                      file, i, p.string(p.kernels[d.kernel].name), p.buckets[b].min_tokens);
    return Done{};
  }

  Status operand(uint32_t i) {
    const stepdown_operand &o = p.operands[i];
    const uint64_t last = p.head.outputs ? STEPDOWN_AT_LAST : STEPDOWN_AT_LOGITS;
    if (o.place < STEPDOWN_AT_BUFFER || (o.place > last && (o.place != STEPDOWN_AT_ADAPTERS || p.head.outputs)))
      return bad("operand", i, "place", o.place, "from %llu to %llu", STEPDOWN_AT_BUFFER, last);
    if (o.place == STEPDOWN_AT_BUFFER && o.index >= p.buffers.count)
      return bad("operand", i, "buffer", o.index, "below %llu", p.buffers.count);
    if (o.place == STEPDOWN_AT_WEIGHT && o.index >= p.weights.count)
      return bad("operand", i, "weight", o.index, "below %llu", p.weights.count);
    if (o.rank > STEPDOWN_MAX_RANK)
      return bad("operand", i, "rank", o.rank, "at most %llu", STEPDOWN_MAX_RANK);
    for (uint32_t d = 0; d < o.rank; ++d)
      if (o.dims[d] < STEPDOWN_DIM_ROW_TILE)
        return fail(ErrorCode::ArtifactTable, "%s: operand %u: dims[%u]: expects at least %d, but got %lld", file, i, d,
                    STEPDOWN_DIM_ROW_TILE, (long long)o.dims[d]);
    return Done{};
  }

  /// One run of dispatches as it is executed: inside `layer`, or outside any.
  Status run(uint32_t first, uint32_t count, const stepdown_layer *layer) {
    if ((invocations += count) > maxInvocations)
      return bad("program", 0, "dispatches of a step", invocations, "at most %llu", maxInvocations);
    for (uint32_t i = first; i < first + count; ++i) {
      const stepdown_dispatch &d = p.dispatches[i];
      for (uint32_t k = d.first_operand; k < d.first_operand + d.operand_count; ++k) {
        const stepdown_operand &o = p.operands[k];
        words += 1 + o.rank;
        bool ofLayer = o.place == STEPDOWN_AT_LAYER_WEIGHT || o.place == STEPDOWN_AT_KEYS ||
                       o.place == STEPDOWN_AT_VALUES || o.place == STEPDOWN_AT_BLOCK_TABLE;
        for (uint32_t n = 0; n < o.rank; ++n)
          ofLayer |= o.dims[n] == STEPDOWN_DIM_BLOCKS;
        if (ofLayer && !layer)
          return fail(ErrorCode::ArtifactTable, "%s: operand %u: expects a place outside the layers, but got place %u",
                      file, k, o.place);
        if (o.place == STEPDOWN_AT_LAYER_WEIGHT && o.index >= layer->weight_count)
          return bad("operand", k, "layer weight", o.index, "below %llu", layer->weight_count);
      }
    }
    if (words > maxWords)
      return bad("program", 0, "operand words of a step", words, "at most %llu", maxWords);
    return Done{};
  }

  Error bad(const char *table, uint32_t index, const char *field, uint64_t value, const char *expected, uint64_t a = 0,
            uint64_t b = 0, uint64_t c = 0) {
    char text[160];
    std::snprintf(text, sizeof text, expected, (ull)a, (ull)b, (ull)c);
    return fail(ErrorCode::ArtifactTable, "%s: %s %u: %s: expects %s, but got %llu", file, table, index, field, text,
                (ull)value);
  }

  const char *file;
  const Program &p;
  const uint64_t alignment;
  uint64_t invocations = 0, words = 0, adapterSlots = 0;
  std::set<std::string_view> adapterNames; // of matrices
};

} // namespace

uint32_t Program::bucketOf(uint32_t count) const {
  uint32_t bucket = 0;
  while (bucket + 1 < buckets.count && buckets[bucket + 1].min_tokens <= count)
    ++bucket;
  return bucket;
}

Result<Program> locateTables(const std::string &file, const uint8_t *bytes, size_t size) {
  Program program = {};
  if (size < sizeof program.head)
    return fail(ErrorCode::ArtifactTable, "%s: program: expects %zu bytes, but the section has %zu", file.c_str(),
                sizeof program.head, size);
  std::memcpy(&program.head, bytes, sizeof program.head);
  TableReader tables(file, "program", bytes, size, "within " + std::to_string(size) + " bytes");
  tables.read("buckets", program.head.buckets, program.buckets);
  tables.read("buffers", program.head.buffers, program.buffers);
  tables.read("cache", program.head.cache, program.cache);
  tables.read("groups", program.head.groups, program.groups);
  tables.read("layers", program.head.layers, program.layers);
  tables.read("kinds", program.head.kinds, program.kinds);
  tables.read("weights", program.head.weights, program.weights);
  tables.read("weight_lists", program.head.weight_lists, program.weightLists);
  tables.read("kernels", program.head.kernels, program.kernels);
  tables.read("code", program.head.code, program.code);
  tables.read("dispatches", program.head.dispatches, program.dispatches);
  tables.read("operands", program.head.operands, program.operands);
  tables.read("strings", program.head.strings, program.strings);
  if (!tables.status())
    return tables.status().error();
  return program;
}

Status checkProgram(const std::string &file, const Program &program, uint64_t weightBytes, uint64_t alignment,
                    const std::vector<CodeIndex> &codes) {
  Checker checker(file, program, alignment);
  if (Status ok = checker.limits(); !ok)
    return ok;
  if (Status ok = checker.names(); !ok)
    return ok;
  if (Status ok = checker.memory(weightBytes); !ok)
    return ok;
  if (Status ok = checkCache(file, program); !ok)
    return ok;
  if (Status ok = checker.layers(); !ok)
    return ok;
  if (Status ok = checker.code(codes); !ok)
    return ok;
  if (Status ok = checker.dispatches(codes.size()); !ok)
    return ok;
  return checkOperands(file, program, codes);
}

} // namespace stepdown
