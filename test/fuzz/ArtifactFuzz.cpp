// Any bytes as an artifact, with checksums made right so that only the checks of sections and records stand in the way:
// opened or refused, and whatever opens makes a model and a session, or a library of functions. Its code is mapped, but
// never run; what would run is what was compiled for it, and every operand lies where there is room for its bytes.
#include "include/stepdown/CacheDims.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Session/Session.h"
#include "runtime/Session/StepProgram.h"
#include "test/unit/ArtifactBuilder.h"
#include "test/unit/NamedDevice.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

using namespace stepdown;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

/// A range of addresses that the operand of a place may have.
struct Region {
  uint64_t begin, bytes;
  void holds(uint64_t address, uint64_t size) const {
    require(address >= begin && address - begin <= bytes && size <= bytes - (address - begin));
  }
};

/// The launches of a step, beside the dispatches that they come from.
class StepCheck {
public:
  StepCheck(const Model &model, const ProgramPart &part, const KVCache &cache)
      : model(model), part(part), p(part.program()), cache(cache), arena{uint64_t(1) << 40, p.head.arena_bytes},
        places{arena.begin,       uint64_t(2) << 40, uint64_t(3) << 40, uint64_t(4) << 40, uint64_t(5) << 40,
               uint64_t(6) << 40, uint64_t(7) << 40, uint64_t(8) << 40, uint64_t(9) << 40},
        queue(std::move(*model.device().queue(1))),
        program(std::move(*StepProgram::create(model, part, places, cache))) {}

  void run(uint32_t newTokens, uint32_t rows) {
    tokens = newTokens;
    require(static_cast<bool>(program->prepare(tokens, rows, *queue)));
    left = &program->launches();
    next = 0;
    dispatches(p.head.entry_first, p.head.entry_count, nullptr, rows);
    for (const stepdown_layer &layer : p.layers)
      dispatches(p.kinds[layer.kind].first_dispatch, p.kinds[layer.kind].dispatch_count, &layer, rows);
    dispatches(p.head.exit_first, p.head.exit_count, nullptr, rows);
    require(next == left->size());
  }

private:
  void dispatches(uint32_t first, uint32_t count, const stepdown_layer *layer, uint32_t rows) {
    for (uint32_t i = first; i < first + count; ++i) {
      const stepdown_dispatch &dispatch = p.dispatches[i];
      if (dispatch.extent == STEPDOWN_BY_ROWS && rows == 0) // its grid is empty
        continue;
      // So is one over rows beside tokens.
      if (rows == 0 && overRows(dispatch))
        continue;
      require(next < left->size());
      const Launch &launch = (*left)[next++];
      require(launch.grid[0] && launch.grid[1] && launch.grid[2]);
      const uint64_t *operands = reinterpret_cast<const uint64_t *>(launch.operands); // the processor's memory is ours
      // Which code section the processor chose is not told; every one has room for every kernel.
      require(launch.kernel != 0);
      const uint32_t bucket = p.bucketOf(dispatch.extent == STEPDOWN_BY_ROWS ? rows : tokens);
      uint32_t word = 0;
      for (uint32_t k = 0; k < dispatch.operand_count; ++k) {
        const stepdown_operand &o = p.operands[dispatch.first_operand + k];
        for (size_t level = 0; level < part.target->code.size(); ++level) {
          const CodeIndex &code = part.target->code[level].index;
          const stepdown_entry &entry = code.entries[p.entry(level, dispatch.kernel, bucket)];
          require(entry.count == dispatch.operand_count && entry.extent == dispatch.extent &&
                  entry.tile == p.buckets[bucket].tile);
          const stepdown_parameter &compiled = code.parameters[entry.first + k];
          require(o.place == compiled.place && o.rank == compiled.rank);
          uint64_t bytes = compiled.element_bytes;
          for (uint32_t d = 0; d < o.rank; ++d) {
            require(o.dims[d] == compiled.dims[d]);
            require(!__builtin_mul_overflow(bytes, operands[word + 1 + d], &bytes));
          }
          address(o, layer, operands[word], bytes);
        }
        for (uint32_t d = 0; d < o.rank; ++d)
          require(o.dims[d] >= 0 ? operands[word + 1 + d] == uint64_t(o.dims[d])
                                 : operands[word + 1 + d] <= uint64_t(1) << 32);
        word += 1 + o.rank;
      }
      require(word == launch.words);
    }
  }

  bool overRows(const stepdown_dispatch &dispatch) const {
    const stepdown_launch &launch = part.launch(part.entry(dispatch.kernel, p.bucketOf(tokens)));
    return std::any_of(std::begin(launch.grid), std::end(launch.grid),
                       [](const stepdown_grid &grid) { return grid.size == STEPDOWN_DIM_ROWS; });
  }

  /// The place of `o` begins at `address`, inside its memory, and has `bytes`.
  void address(const stepdown_operand &o, const stepdown_layer *layer, uint64_t address, uint64_t bytes) {
    const Region weights = {model.weights() + model.target().firstWeight, model.weightBytes()};
    auto whole = [&](const Region &region, uint64_t own) {
      region.holds(address, own);
      require(bytes <= own);
    };
    auto ofWeight = [&](const stepdown_weight &weight) {
      const bool ofAdapters = weight.packing == STEPDOWN_PACKING_ADAPTERS;
      whole(ofAdapters ? Region{places.adapters, part.target->adapterBytes} : weights, weight.bytes);
    };
    auto exactly = [&](uint64_t begin, uint64_t own) { require(address == begin && bytes <= own); };
    auto cacheBytes = [&](uint64_t dim) {
      const stepdown_cache_group &g = p.groups[layer->cache_group];
      return uint64_t(cache.blocks(layer->cache_group)) * cache.blockSize() * g.kv_heads * dim *
             stepdown_cached_bytes(g.element);
    };
    const uint64_t step = uint64_t(p.head.max_step_tokens) * sizeof(int32_t);
    switch (o.place) {
    case STEPDOWN_AT_BUFFER:
      return whole(arena, p.buffers[o.index].bytes);
    case STEPDOWN_AT_WEIGHT:
      return ofWeight(p.weights[o.index]);
    case STEPDOWN_AT_LAYER_WEIGHT:
      return ofWeight(p.weights[p.weightLists[layer->first_weight + o.index]]);
    case STEPDOWN_AT_KEYS:
      return exactly(cache.keys(layer->cache_group, layer->cache_index),
                     cacheBytes(p.groups[layer->cache_group].key_dim));
    case STEPDOWN_AT_VALUES:
      return exactly(cache.values(layer->cache_group, layer->cache_index),
                     cacheBytes(p.groups[layer->cache_group].value_dim));
    case STEPDOWN_AT_BLOCK_TABLE:
      return exactly(cache.table(layer->cache_group),
                     uint64_t(cache.sequences()) * cache.tableWidth() * sizeof(int32_t));
    case STEPDOWN_AT_TOKENS:
      return exactly(places.tokens, step);
    case STEPDOWN_AT_POSITIONS:
      return exactly(places.positions, step);
    case STEPDOWN_AT_SEQUENCES:
      return exactly(places.sequences, step);
    case STEPDOWN_AT_ROWS:
      return exactly(places.rows, step);
    case STEPDOWN_AT_LAST:
      return exactly(places.last, step);
    case STEPDOWN_AT_ADAPTERS:
      return exactly(places.slots, step);
    default:
      return exactly(places.logits, logitsBytes());
    }
  }

  /// As a session allocates them: whole tiles of rows.
  uint64_t logitsBytes() const {
    uint64_t tile = 1;
    for (const stepdown_bucket &bucket : p.buckets)
      tile = std::max<uint64_t>(tile, bucket.tile);
    return (p.head.max_step_rows + tile - 1) / tile * tile * p.head.logits_stride * sizeof(float);
  }

  const Model &model;
  const ProgramPart &part;
  const Program &p;
  const KVCache &cache;
  const Region arena;
  const StepPlaces places;
  std::unique_ptr<Queue> queue;
  std::unique_ptr<StepProgram> program;
  uint32_t tokens = 0;
  const std::vector<Launch> *left = nullptr;
  size_t next = 0;
};

void useModel(const std::shared_ptr<const Model> &model) {
  Session::Options options;
  options.threads = 1;
  options.maxSequences = 2;
  auto session = Session::create(model, options);
  if (!session)
    return require(!session.error().message.empty());
  const stepdown_program &head = model->head();
  KVCache::Shape shape;
  shape.blockSize = (*session)->kv().blockSize();
  shape.positions = 64;
  shape.sequences = 2;
  shape.maxContext = static_cast<int32_t>(head.max_context);
  shape.maxStepTokens = static_cast<int32_t>(head.max_step_tokens);
  auto cache = KVCache::create(model->device(), model->program().cache[0], model->program().groups, shape);
  if (!cache)
    return;
  for (const ProgramPart *part : {&model->part(), model->adapted()}) {
    if (!part)
      continue;
    StepCheck check(*model, *part, *cache);
    check.run(1, 0);
    check.run(1, 1);
    check.run(head.max_step_tokens, head.max_step_rows);
  }
  // Tokens queued, but no step: that would run the file's code.
  const Session::Token tokens[] = {{0, 0, true}, {1, static_cast<int32_t>(head.vocabulary) - 1, false}};
  if ((*session)->createSequence() && (*session)->createSequence())
    (void)static_cast<bool>((*session)->submit(tokens, 2));
}

void useFunctions(const FunctionLibrary &library) {
  if (!library.functions().empty())
    require(static_cast<bool>(library.find(library.functions().back().name)));
  for (const FunctionSignature &function : library.functions())
    for (const std::vector<Array> *arrays : {&function.arguments, &function.results})
      for (const Array &array : *arrays)
        require(!describe(array).empty());
}

} // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/// Most of an artifact is weights, code and padding, of which one byte is like another. Three times in four something
/// in the header or in a section of records changes instead: one word of it, or a part as libFuzzer likes it.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  auto draw = [&seed](uint32_t limit) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % limit;
  };
  if (size < 2 * STEPDOWN_PAGE || draw(4) == 0)
    return LLVMFuzzerMutate(data, size, most);
  stepdown_header header;
  std::memcpy(&header, data, sizeof header);
  const stepdown_section &section = header.sections[draw(STEPDOWN_MAX_SECTIONS)];
  uint64_t begin = 0, bytes = sizeof header;
  if ((section.kind == STEPDOWN_SECTION_PROGRAM || section.kind == STEPDOWN_SECTION_METADATA ||
       section.kind == STEPDOWN_SECTION_FUNCTIONS || section.kind == STEPDOWN_SECTION_CODE) &&
      section.offset < size && section.size >= 8 && section.size <= size - section.offset) {
    begin = section.offset;
    bytes = section.size;
  }
  if (draw(2) == 0) {
    const uint64_t from = draw(static_cast<uint32_t>(bytes)), length = std::min<uint64_t>(bytes - from, 1 + draw(32));
    LLVMFuzzerMutate(data + begin + from, length, length);
    return size;
  }
  uint8_t *word = data + begin + draw(static_cast<uint32_t>(bytes / 4)) * 4, *other = data + begin;
  uint32_t value, taken;
  std::memcpy(&value, word, 4);
  std::memcpy(&taken, other + draw(static_cast<uint32_t>(bytes / 4)) * 4, 4);
  const uint32_t values[] = {value + 1, value - 1, 0, 1, taken, taken - 1, ~0u, ~value, value ^ 1u << draw(32)};
  std::memcpy(word, &values[draw(9)], 4);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  if (size >= STEPDOWN_PAGE) {
    uint64_t whole = size;
    std::memcpy(bytes.data() + offsetof(stepdown_header, file_size), &whole, sizeof whole);
    test::seal(bytes);
  }
  int file = memfd_create("artifact", MFD_CLOEXEC);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (auto model = Model::load(path, *openDevice(nullptr), nullptr, size % 2 ? FileUse::copied : FileUse::mapped))
    useModel(*model);
  else
    require(!model.error().message.empty());
  // What the file has for a device of another name, which takes every launch and finds kernels by name.
  if (auto model = Model::load(path, std::make_shared<test::NamedDevice>("other")))
    useModel(*model);
  else
    require(!model.error().message.empty());
  if (auto functions = FunctionLibrary::load(path, *openDevice(nullptr)))
    useFunctions(**functions);
  else
    require(!functions.error().message.empty());
  close(file);
  return 0;
}
