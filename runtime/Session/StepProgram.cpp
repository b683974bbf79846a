#include "runtime/Session/StepProgram.h"

namespace stepdown {

Result<std::unique_ptr<StepProgram>> StepProgram::create(const Model &model, const ProgramPart &part,
                                                         const StepPlaces &places, const KVCache &cache) {
  std::unique_ptr<StepProgram> made(new StepProgram(model, part, places, cache));
  const Program &p = part.program();
  made->unfold(p.head.entry_first, p.head.entry_count, nullptr);
  for (const stepdown_layer &layer : p.layers)
    made->unfold(p.kinds[layer.kind].first_dispatch, p.kinds[layer.kind].dispatch_count, &layer);
  made->unfold(p.head.exit_first, p.head.exit_count, nullptr);
  made->prepared.reserve(made->invocations.size());
  if (!model.device().readsOperands())
    return made;
  Result<Memory> memory = model.device().allocate(made->staged.size() * sizeof(uint64_t), "operands of a step");
  if (!memory)
    return memory.error();
  made->uploaded = Allocation(model.device(), *memory);
  return made;
}

void StepProgram::unfold(uint32_t first, uint32_t count, const stepdown_layer *layer) {
  const Program &p = part.program();
  for (uint32_t i = first; i < first + count; ++i) {
    const stepdown_dispatch &dispatch = p.dispatches[i];
    Invocation invocation{dispatch.kernel, static_cast<uint32_t>(staged.size()), 0,
                          dispatch.extent == STEPDOWN_BY_ROWS};
    for (uint32_t k = 0; k < dispatch.operand_count; ++k) {
      const stepdown_operand &operand = p.operands[dispatch.first_operand + k];
      staged.push_back(address(operand, layer));
      for (uint32_t d = 0; d < operand.rank; ++d) {
        int64_t dim = operand.dims[d];
        if ((dim < 0 && dim >= STEPDOWN_DIM_ROW_TILES) || dim == STEPDOWN_DIM_TOKEN_TILE ||
            dim == STEPDOWN_DIM_ROW_TILE)
          patches.push_back({static_cast<uint32_t>(staged.size()), static_cast<int32_t>(dim)});
        staged.push_back(extent(dim, layer));
      }
    }
    invocation.words = static_cast<uint32_t>(staged.size()) - invocation.firstWord;
    invocations.push_back(invocation);
  }
}

uint64_t StepProgram::weight(const stepdown_weight &weight) const {
  return (weight.packing == STEPDOWN_PACKING_ADAPTERS ? places.adapters : model.weights()) + weight.offset;
}

uint64_t StepProgram::address(const stepdown_operand &operand, const stepdown_layer *layer) const {
  const Program &p = part.program();
  switch (operand.place) {
  case STEPDOWN_AT_BUFFER:
    return places.arena + p.buffers[operand.index].offset;
  case STEPDOWN_AT_LAYER_WEIGHT:
    return weight(p.weights[p.weightLists[layer->first_weight + operand.index]]);
  case STEPDOWN_AT_WEIGHT:
    return weight(p.weights[operand.index]);
  case STEPDOWN_AT_KEYS:
    return cache.keys(layer->cache_group, layer->cache_index);
  case STEPDOWN_AT_VALUES:
    return cache.values(layer->cache_group, layer->cache_index);
  case STEPDOWN_AT_TOKENS:
    return places.tokens;
  case STEPDOWN_AT_POSITIONS:
    return places.positions;
  case STEPDOWN_AT_SEQUENCES:
    return places.sequences;
  case STEPDOWN_AT_BLOCK_TABLE:
    return cache.table(layer->cache_group);
  case STEPDOWN_AT_ROWS:
    return places.rows;
  case STEPDOWN_AT_LOGITS:
    return places.logits;
  case STEPDOWN_AT_LAST:
    return places.last;
  case STEPDOWN_AT_ADAPTERS:
    return places.slots;
  }
  return 0; // no other place passes checkProgram
}

uint64_t StepProgram::extent(int64_t dim, const stepdown_layer *layer) const {
  const Program &p = part.program();
  switch (dim) {
  case STEPDOWN_DIM_TOKENS:
    return tokens;
  case STEPDOWN_DIM_ROWS:
    return rows;
  case STEPDOWN_DIM_TOKEN_TILES: {
    uint32_t tile = p.buckets[p.bucketOf(tokens)].tile;
    return (uint64_t(tokens) + tile - 1) / tile;
  }
  case STEPDOWN_DIM_ROW_TILES: {
    uint32_t tile = p.buckets[p.bucketOf(rows)].tile;
    return (uint64_t(rows) + tile - 1) / tile;
  }
  case STEPDOWN_DIM_BLOCKS:
    return cache.blocks(layer->cache_group);
  case STEPDOWN_DIM_BLOCK_GROUPS:
    return cache.blockGroups();
  case STEPDOWN_DIM_BLOCK_SIZE:
    return cache.blockSize();
  case STEPDOWN_DIM_SEQUENCES:
    return cache.sequences();
  case STEPDOWN_DIM_TABLE_WIDTH:
    return cache.tableWidth();
  case STEPDOWN_DIM_TOKEN_TILE:
    return p.buckets[p.bucketOf(tokens)].tile;
  case STEPDOWN_DIM_ROW_TILE:
    return p.buckets[p.bucketOf(rows)].tile;
  }
  return static_cast<uint64_t>(dim);
}

void StepProgram::count(uint32_t newTokens, uint32_t newRows) {
  if (newTokens == tokens && newRows == rows)
    return;
  dirty = true;
  tokens = newTokens;
  rows = newRows;
  for (const Patch &patch : patches)
    staged[patch.word] = extent(patch.symbol, nullptr);
  const Program &p = part.program();
  uint32_t tokenBucket = p.bucketOf(tokens), rowBucket = p.bucketOf(rows);
  prepared.clear();
  for (const Invocation &invocation : invocations) {
    const uint32_t entry = part.entry(invocation.kernel, invocation.byRows ? rowBucket : tokenBucket);
    if (entry == ~uint32_t(0)) // of a bucket that no step reaches: with rows as few as none
      continue;
    const uint64_t operands = uploaded->address ? uploaded->address + invocation.firstWord * sizeof(uint64_t) : 0;
    Launch launch{part.kernels[entry], operands, invocation.words, {}, staged.data() + invocation.firstWord};
    const stepdown_launch &record = part.launch(entry);
    bool empty = false;
    for (int d = 0; d < 3; ++d) {
      const uint64_t size = extent(record.grid[d].size, nullptr), divisor = record.grid[d].divisor;
      launch.grid[d] = static_cast<uint32_t>((size + divisor - 1) / divisor);
      empty |= launch.grid[d] == 0;
    }
    if (!empty)
      prepared.push_back(launch);
  }
}

Status StepProgram::prepare(uint32_t newTokens, uint32_t newRows, Queue &queue) {
  count(newTokens, newRows);
  if (dirty && uploaded->address)
    if (Status ok = queue.upload(uploaded->address, staged.data(), staged.size() * sizeof(uint64_t)); !ok)
      return ok;
  dirty = false;
  return Done{};
}

} // namespace stepdown
