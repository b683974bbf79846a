// Any bytes as an artifact, with checksums made right so that only the checks of sections and records stand in the way:
// opened or refused, and whatever opens makes a model and a session, or a library of functions. Its code is mapped, but
// never run; what would run, and with which addresses, is compared with what the file was verified to hold.
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Session/Session.h"
#include "runtime/Session/StepProgram.h"
#include "test/unit/ArtifactBuilder.h"

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
  StepCheck(const Model &model, const KVCache &cache)
      : model(model), p(model.program()), cache(cache), arena{uint64_t(1) << 40, p.head.arena_bytes},
        places{arena.begin,       uint64_t(2) << 40, uint64_t(3) << 40,
               uint64_t(4) << 40, uint64_t(5) << 40, uint64_t(6) << 40},
        program(model, places, cache) {}

  void run(uint32_t tokens, uint32_t rows) {
    left = &program.prepare(tokens, rows);
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
      if (dispatch.extent == STEPDOWN_BY_ROWS && rows == 0)
        continue;
      require(next < left->size());
      const Launch &launch = (*left)[next++];
      // Which code section the processor chose is not told; every one has room for every kernel.
      require(launch.kernel != 0);
      uint32_t word = 0;
      for (uint32_t k = 0; k < dispatch.operand_count; ++k) {
        const stepdown_operand &o = p.operands[dispatch.first_operand + k];
        address(o, layer, launch.operands[word]);
        for (uint32_t d = 0; d < o.rank; ++d)
          require(o.dims[d] >= 0 ? launch.operands[word + 1 + d] == uint64_t(o.dims[d])
                                 : launch.operands[word + 1 + d] <= uint64_t(1) << 32);
        word += 1 + o.rank;
      }
      require(word == launch.words);
    }
  }

  void address(const stepdown_operand &o, const stepdown_layer *layer, uint64_t address) {
    const Region weights = {model.weights(), model.artifact().weightBytes()};
    switch (o.place) {
    case STEPDOWN_AT_BUFFER:
      return arena.holds(address, p.buffers[o.index].bytes);
    case STEPDOWN_AT_WEIGHT:
      return weights.holds(address, p.weights[o.index].bytes);
    case STEPDOWN_AT_LAYER_WEIGHT:
      return weights.holds(address, p.weights[p.weightLists[layer->first_weight + o.index]].bytes);
    case STEPDOWN_AT_KEYS:
      return require(address == cache.keys(layer->cache_group, layer->cache_index));
    case STEPDOWN_AT_VALUES:
      return require(address == cache.values(layer->cache_group, layer->cache_index));
    case STEPDOWN_AT_BLOCK_TABLE:
      return require(address == cache.table(layer->cache_group));
    default:
      require(address == places.tokens || address == places.positions || address == places.sequences ||
              address == places.rows || address == places.logits);
    }
  }

  const Model &model;
  const Program &p;
  const KVCache &cache;
  const Region arena;
  const StepPlaces places;
  StepProgram program;
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
  shape.positions = 64;
  shape.sequences = 2;
  shape.maxContext = static_cast<int32_t>(head.max_context);
  shape.maxStepTokens = static_cast<int32_t>(head.max_step_tokens);
  auto cache = KVCache::create(model->device(), model->program().groups, shape);
  if (!cache)
    return;
  StepCheck check(*model, *cache);
  check.run(1, 0);
  check.run(1, 1);
  check.run(head.max_step_tokens, head.max_step_rows);
  // Tokens queued, but no step: that would run the file's code.
  const Session::Token tokens[] = {{0, 0, true}, {1, static_cast<int32_t>(head.vocabulary) - 1, false}};
  if ((*session)->createSequence() && (*session)->createSequence())
    (void)static_cast<bool>((*session)->submit(tokens, 2));
}

void useFunctions(const FunctionLibrary &library) {
  if (!library.functions().empty())
    require(static_cast<bool>(library.find(library.functions().back().name)));
  for (const CallableFunction &function : library.functions())
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
       section.kind == STEPDOWN_SECTION_FUNCTIONS) &&
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
  if (auto functions = FunctionLibrary::load(path, *openDevice(nullptr)))
    useFunctions(**functions);
  else
    require(!functions.error().message.empty());
  close(file);
  return 0;
}
