#include "runtime/Session/Session.h"

#include "lib/Base/Suggestion.h"
#include "runtime/PrefixTree/SpillTier.h"
#include "runtime/Session/SessionBytes.h"
#include <algorithm>
#include <cstring>

namespace stepdown {

using ull = unsigned long long;

Session::Session(std::shared_ptr<const Model> model) : model(std::move(model)) {}

// What is remembered goes to the file, for the next who opens it.
Session::~Session() {
  if (below)
    below->wait();
  if (queue)
    (void)bool(queue->sync()); // a step without rows may be under way
}

SpillFile *Session::spilled() const { return below ? &below->of() : nullptr; }

uint64_t Session::restored() const { return below ? below->restored() : 0; }

Result<Allocation> Session::allocate(size_t bytes, const char *purpose) {
  Result<Memory> memory = model->device().allocate(bytes, purpose);
  if (!memory)
    return memory.error();
  return Allocation(model->device(), *memory);
}

Result<KVCache::Shape> Session::shapeOf(const Program &program, const Options &options) {
  const stepdown_program &head = program.head;
  KVCache::Shape shape;
  const stepdown_cache &layout = program.cache[0];
  const std::vector<int32_t> sizes = KVCache::blockSizes(layout);
  const int32_t usual = std::min(std::max<int32_t>(KVCache::Shape().blockSize, sizes.front()), sizes.back());
  shape.blockSize = options.kvBlock ? options.kvBlock : *std::lower_bound(sizes.begin(), sizes.end(), usual);
  shape.positions = options.kvPositions ? options.kvPositions : head.max_context;
  shape.sequences = options.maxSequences ? options.maxSequences : 16;
  shape.maxContext = static_cast<int32_t>(head.max_context);
  shape.maxStepTokens = static_cast<int32_t>(head.max_step_tokens);
  if (std::find(sizes.begin(), sizes.end(), shape.blockSize) == sizes.end()) {
    std::vector<std::string> names;
    for (int32_t size : sizes)
      names.push_back(std::to_string(size));
    return fail(ErrorCode::SessionOption, "kv_block: expects %s, but got %d", alternatives(names).c_str(),
                options.kvBlock);
  }
  if (options.threads < 0 || options.threads > 1024)
    return fail(ErrorCode::SessionOption, "threads: expects 0 to 1024, but got %d", options.threads);
  if (shape.sequences < 1 || shape.sequences > 65536)
    return fail(ErrorCode::SessionOption, "max_sequences: expects 1 to 65536, but got %d", options.maxSequences);
  if (shape.positions < 1 || shape.positions > (int64_t(1) << 31))
    return fail(ErrorCode::SessionOption, "kv_positions: expects 1 to 2147483648, but got %lld",
                (long long)options.kvPositions);
  return shape;
}

Status Session::expectRoom(const KVCache::Shape &shape) const {
  const Device &device = model->device();
  if (!device.memory())
    return Done{};
  const uint64_t room = device.memory() - std::min(device.memory(), device.held());
  const uint64_t alignment = model->target().alignment;
  const FileTarget *adapted = model->adapted() ? model->adapted()->target : nullptr;
  const SessionBytes wanted = sessionBytes(model->program(), alignment, shape, device.readsOperands(), adapted);
  if (wanted.total() <= room)
    return Done{};
  auto most = [&](int32_t sequences) {
    KVCache::Shape other = shape;
    other.sequences = sequences;
    return positionsThatFit(model->program(), alignment, other, room, device.readsOperands(), adapted);
  };
  std::string fitting;
  if (const int64_t positions = most(shape.sequences))
    fitting = std::to_string(positions) + " positions over " + std::to_string(shape.sequences) + " sequences";
  if (const int64_t positions = shape.sequences > 1 ? most(1) : 0)
    fitting += (fitting.empty() ? "" : ", or ") + std::to_string(positions) + " of one sequence";
  if (fitting.empty())
    fitting = "no context: activations and logits of a step of " + std::to_string(model->head().max_step_tokens) +
              " tokens have " + std::to_string(wanted.activations + wanted.logits) + " bytes";
  return fail(ErrorCode::DeviceMemory,
              "session: expects %llu bytes of device %s for %lld positions over %d sequences, but it has %llu of %llu "
              "free; what fits is %s",
              (ull)wanted.total(), device.name(), (long long)shape.positions, shape.sequences, (ull)room,
              (ull)device.memory(), fitting.c_str());
}

Status Session::expectSound() const {
  if (!failure)
    return Done{};
  return fail(ErrorCode::SessionFailed, "session: expects a step before that succeeded, but it ended with %s",
              failure->text().c_str());
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const Options &options) {
  if (model->head().outputs)
    return fail(ErrorCode::EncoderText,
                "model of architecture %s: expects one that continues texts, but it is an encoder",
                model->architecture());
  return open(std::move(model), options);
}

Result<std::unique_ptr<Session>> Session::open(std::shared_ptr<const Model> model, const Options &options) {
  Result<KVCache::Shape> asked = shapeOf(model->program(), options);
  if (!asked)
    return asked.error();
  const KVCache::Shape &shape = *asked;
  std::unique_ptr<Session> session(new Session(std::move(model)));
  if (Status room = session->expectRoom(shape); !room)
    return room.error();
  Result<std::unique_ptr<Queue>> queue = session->model->device().queue(options.threads);
  if (!queue)
    return queue.error();
  session->queue = std::move(*queue);
  const Program &program = session->model->program();
  if (Status staged = session->stageUploads(shape); !staged)
    return staged.error();
  Result<KVCache> cache = KVCache::create(session->model->device(), program.cache[0], program.groups, shape);
  if (!cache)
    return cache.error();
  session->cache = std::move(*cache);
  if (Status kept = session->keepPrefixes(options); !kept)
    return kept.error();
  session->states.assign(shape.sequences, State::None);
  session->slotOf.assign(shape.sequences, 0);
  if (session->model->adapted()) {
    Result<std::unique_ptr<AdapterSet>> adapters = AdapterSet::create(*session->model);
    if (!adapters)
      return adapters.error();
    session->adapterSet = std::move(*adapters);
  }
  session->added.assign(shape.sequences, 0);
  session->waiting.assign(shape.sequences, 0);
  session->growth.reserve(shape.sequences);
  session->held = LazyArray<int32_t, false>(size_t(shape.sequences) * session->cache.longest());
  if (Status placed = session->placeInputs(); !placed)
    return placed.error();
  return session;
}

Status Session::stageUploads(const KVCache::Shape &shape) {
  const uint64_t bytes =
      sessionBytes(model->program(), model->target().alignment, shape, model->device().readsOperands()).uploads;
  if (!bytes)
    return Done{};
  Result<Allocation> memory = allocate(bytes, "uploads of a step");
  if (!memory)
    return memory.error();
  staging = std::move(*memory);
  return queue->stage(*staging);
}

Status Session::placeInputs() {
  const Program &p = model->program();
  capacity = inputCapacity(p, model->target().alignment);
  const ProgramPart *withAdapters = model->adapted();
  staged.assign(inputArrays(p, withAdapters) * size_t(capacity), 0);
  Result<Allocation> input = allocate(staged.size() * sizeof(int32_t), "tokens of a step");
  if (!input)
    return input.error();
  inputs = std::move(*input);
  Result<Allocation> activations = allocate(
      std::max(p.head.arena_bytes, withAdapters ? withAdapters->program().head.arena_bytes : 0), "activations");
  if (!activations)
    return activations.error();
  arena = std::move(*activations);
  logitsStride = p.head.logits_stride;
  const size_t floats = logitFloats(p);
  Result<Allocation> logits = allocate(floats * sizeof(float), "logits");
  if (!logits)
    return logits.error();
  logitsMemory = std::move(*logits);
  if (!logitsMemory->host)
    downloaded.resize(floats);
  hostLogits = logitsMemory->host ? reinterpret_cast<const float *>(logitsMemory->host) : downloaded.data();

  uint64_t array = uint64_t(capacity) * sizeof(int32_t), base = inputs->address;
  StepPlaces places{arena->address,
                    base,
                    base + array,
                    base + 2 * array,
                    base + 3 * array,
                    logitsMemory->address,
                    base + 4 * array,
                    base + inputArrays(p) * array,
                    adapterSet ? adapterSet->address() : 0};
  Result<std::unique_ptr<StepProgram>> made = StepProgram::create(*model, model->part(), places, cache);
  if (!made)
    return made.error();
  program = std::move(*made);
  if (!withAdapters)
    return Done{};
  made = StepProgram::create(*model, *withAdapters, places, cache);
  if (!made)
    return made.error();
  adapted = std::move(*made);
  return Done{};
}

Status Session::keepPrefixes(const Options &options) {
  if (!options.prefixBlocks && !options.spillFile.empty())
    return fail(ErrorCode::SessionOption, "spill file: expects blocks that are kept for prompts that begin alike");
  if (!options.prefixBlocks)
    return Done{};
  uint32_t blocks = 1;
  for (size_t g = 0; g < cache.groupCount(); ++g)
    blocks = std::max(blocks, cache.blocks(g));
  tree = std::make_unique<PrefixTree>(cache, std::min(options.prefixBlocks, blocks));
  space.model = model->artifact().header().checksum; // which covers those of its sections
  for (const stepdown_cache_group &group : model->program().groups)
    space.element = space.element * 31 + group.element;
  if (options.spillFile.empty())
    return Done{};
  auto tier = SpillTier::open(*model, cache, *queue, options.spillFile, options.spillBytes);
  if (!tier)
    return tier.error();
  below = std::move(*tier);
  tree->setBelow(below.get());
  restoredAtOnce = options.restoredAtOnce;
  restores = {restoredAtOnce};
  return Done{};
}

void Session::remember(int32_t sequence) {
  if (tree && live(sequence) && !waiting[sequence])
    tree->add(spaceOf(slotOf[sequence]), tokens(sequence), length(sequence), sequence);
}

int32_t Session::reuse(int32_t sequence, const int32_t *tokens, int32_t count) {
  moreBelow = false;
  const int32_t before = length(sequence);
  if (!tree || before < 0 || waiting[sequence])
    return before;
  count = std::min(count, cache.longest());
  const PrefixTree::Space space = spaceOf(slotOf[sequence]);
  moreBelow = tree->restore(space, tokens, count, before, restores);
  const int32_t length = tree->longest(space, tokens, count);
  if (length <= before)
    return before;
  cache.truncate(sequence, 0);
  tree->adopt(space, tokens, length, sequence);
  std::copy_n(tokens, length, &held[size_t(sequence) * cache.longest()]);
  return length;
}

int32_t Session::sharedPrefix(const int32_t *tokens, int32_t count, const std::vector<int32_t> &leaving,
                              int32_t adapter) const {
  return tree ? tree->shared(spaceOf(adapter), tokens, count, leaving) : 0;
}

PrefixTree::Space Session::spaceOf(int32_t adapter) const {
  PrefixTree::Space own = space;
  own.adapter = adapter ? adapterSet->identity(adapter) : 0;
  return own;
}

Result<int32_t> Session::loadAdapter(const std::string &name, const std::string &path, double scale) {
  if (!adapterSet)
    return lacksAdapters(*model);
  if (Status sound = expectSound(); !sound)
    return sound.error();
  if (Status done = queue->sync(); !done) // a step without rows may be under way
    return done.error();
  return adapterSet->load(name, path, scale, *queue);
}

Result<int32_t> Session::adapterNamed(const std::string &name) const {
  if (name.empty())
    return 0;
  return adapterSet ? adapterSet->slot(name) : Result<int32_t>(lacksAdapters(*model));
}

Result<std::shared_ptr<const int32_t>> Session::holdAdapter(const std::string &name) const {
  Result<int32_t> slot = adapterNamed(name);
  if (!slot)
    return slot.error();
  return *slot ? adapterSet->hold(*slot) : nullptr;
}

Status Session::unloadAdapter(const std::string &name) {
  Result<int32_t> slot = adapterNamed(name);
  if (!slot)
    return slot.error();
  for (size_t i = 0; *slot && i < states.size(); ++i)
    if (states[i] != State::None && slotOf[i] == *slot)
      return fail(ErrorCode::AdapterName, "adapter '%.100s': expects no sequence that has it, but sequence %zu does",
                  name.c_str(), i);
  return adapterSet ? adapterSet->unload(name) : Status(lacksAdapters(*model));
}

Status Session::setAdapter(int32_t sequence, int32_t slot) {
  if (Status idle = expectIdle(sequence); !idle)
    return idle;
  if (cache.length(sequence))
    return fail(ErrorCode::RequestField, "sequence %d: expects no tokens yet where its adapter is chosen, but got %d",
                sequence, cache.length(sequence));
  slotOf[sequence] = slot;
  return Done{};
}

Result<int32_t> Session::createSequence(int32_t adapter) {
  for (size_t i = 0; i < states.size(); ++i)
    if (states[i] == State::None) {
      states[i] = State::Live;
      slotOf[i] = adapter;
      return static_cast<int32_t>(i);
    }
  return fail(ErrorCode::SequenceLimit, "session: expects at most %zu sequences, and all are in use", states.size());
}

Status Session::expectIdle(int32_t sequence) const {
  if (!live(sequence))
    return fail(ErrorCode::SequenceUnknown, "sequence: expects one that was created, but got %d", sequence);
  if (waiting[sequence])
    return fail(ErrorCode::TokensQueued, "sequence %d: expects no queued tokens; step first", sequence);
  return Done{};
}

Result<int32_t> Session::fork(int32_t sequence) {
  if (Status ok = expectIdle(sequence); !ok)
    return ok.error();
  Result<int32_t> created = createSequence();
  if (!created)
    return created;
  cache.fork(sequence, *created);
  slotOf[*created] = slotOf[sequence];
  std::copy_n(tokens(sequence), length(sequence), &held[size_t(*created) * cache.longest()]);
  return created;
}

Status Session::truncate(int32_t sequence, int32_t length) {
  if (Status ok = expectIdle(sequence); !ok)
    return ok;
  if (length < 0 || length > cache.length(sequence))
    return fail(ErrorCode::TruncateRange, "sequence %d: expects a length from 0 to %d, but got %d", sequence,
                cache.length(sequence), length);
  if (!cache.truncate(sequence, length))
    return fail(ErrorCode::TruncateRange,
                "sequence %d: expects the window before position %d in the cache, but its blocks were given back",
                sequence, length);
  return Done{};
}

void Session::freeSequence(int32_t sequence) {
  if (!live(sequence))
    return;
  // The next step still writes the queued tokens' keys and values: their blocks may not serve another sequence before.
  if (waiting[sequence]) {
    states[sequence] = State::Leaving;
    return;
  }
  cache.truncate(sequence, 0);
  states[sequence] = State::None;
}

void Session::fails(const Error &error) {
  failure = error;
  if (below)
    below->close();
}

Status Session::submit(const Token *tokens, size_t count) {
  const stepdown_program &head = model->head();
  if (Status sound = expectSound(); !sound)
    return sound;
  uint32_t rows = 0;
  growth.clear();
  Status bad = Done{};
  for (size_t i = 0; i < count && bad; ++i) {
    const Token &token = tokens[i];
    if (!live(token.sequence)) {
      bad = fail(ErrorCode::SequenceUnknown, "token %zu: expects a sequence that was created, but got %d", i,
                 token.sequence);
    } else if (token.id < 0 || static_cast<uint32_t>(token.id) >= head.vocabulary) {
      bad = fail(ErrorCode::StepTokenRange, "token %zu: expects an id from 0 to %u, but got %d", i, head.vocabulary - 1,
                 token.id);
    } else {
      if (!added[token.sequence])
        growth.push_back({token.sequence, 0});
      ++added[token.sequence];
      rows += token.wantLogits;
    }
  }
  for (KVCache::Growth &g : growth) {
    g.tokens = added[g.sequence];
    added[g.sequence] = 0;
    if (bad && int64_t(cache.length(g.sequence)) + g.tokens > int64_t(head.max_context))
      bad = fail(ErrorCode::ContextFull, "sequence %d: expects at most %u positions, but %d are there and %d more came",
                 g.sequence, head.max_context, cache.length(g.sequence), g.tokens);
  }
  if (bad && (count > roomForTokens() || rows > roomForRows()))
    bad = fail(ErrorCode::StepFull, "batch: expects at most %u tokens and %u rows in a step, but got %zu and %u",
               head.max_step_tokens, head.max_step_rows, queued + count, queuedRows + rows);
  if (!bad)
    return bad;

  // append() moves the lengths on, so each token's position is counted from the length before.
  for (const KVCache::Growth &g : growth)
    added[g.sequence] = cache.length(g.sequence);
  Status grown = cache.append(growth.data(), growth.size(), *queue);
  int32_t *ids = staged.data(), *positions = ids + capacity, *sequences = positions + capacity,
          *wanted = sequences + capacity;
  int32_t *slots = adapted ? staged.data() + staged.size() - capacity : nullptr;
  for (size_t i = 0; i < count && grown; ++i) {
    ids[queued] = tokens[i].id;
    if (slots && slotOf[tokens[i].sequence]) {
      slots[queued] = slotOf[tokens[i].sequence];
      ++queuedAdapted;
    }
    positions[queued] = added[tokens[i].sequence]++;
    held[size_t(tokens[i].sequence) * cache.longest() + positions[queued]] = tokens[i].id;
    sequences[queued] = tokens[i].sequence;
    if (tokens[i].wantLogits)
      wanted[queuedRows++] = static_cast<int32_t>(queued);
    waiting[tokens[i].sequence] = 1;
    ++queued;
  }
  for (const KVCache::Growth &g : growth)
    added[g.sequence] = 0;
  if (!grown && grown.error().code != ErrorCode::CacheFull)
    fails(grown.error()); // of the device: some sequences have grown, others have not
  return grown;
}

Status Session::step() {
  logitsCount = 0;
  restores = {restoredAtOnce};
  if (Status sound = expectSound(); !sound)
    return sound;
  if (!queued)
    return Done{};
  // Behind the last token and row, up to a whole tile, kernels find zeros.
  int32_t *ids = staged.data(), *positions = ids + capacity, *sequences = positions + capacity,
          *wanted = sequences + capacity;
  uint32_t rows = queuedRows;
  int32_t *last = model->head().outputs ? wanted + capacity : nullptr;
  for (uint32_t i = 0; last && i < queued; ++i)
    last[i] = cache.length(sequences[i]) - 1;
  StepProgram &run = queuedAdapted ? *adapted : *program;
  Status ok = queue->upload(inputs->address, staged.data(), staged.size() * sizeof(int32_t));
  if (ok)
    ok = cache.publish(*queue);
  if (ok)
    ok = run.prepare(queued, rows, *queue);
  if (ok)
    ok = queue->launch(run.launches().data(), run.launches().size());
  if (ok && !logitsMemory->host)
    ok = queue->download(downloaded.data(), logitsMemory->address, rows * logitsStride * sizeof(float));
  if (ok && rows == 0 && queue->keepsUploads())
    queue->record(); // which says that it is computed; the next step is made meanwhile
  else if (ok)
    ok = queue->sync();
  else
    (void)bool(queue->sync()); // nothing stays on its way to and from the session's memory
  for (uint32_t i = 0; i < queued; ++i) {
    waiting[sequences[i]] = 0;
    if (states[sequences[i]] == State::Leaving) {
      cache.truncate(sequences[i], 0);
      states[sequences[i]] = State::None;
    }
  }
  int32_t *slots = queuedAdapted ? staged.data() + staged.size() - capacity : nullptr;
  for (int32_t *array : {ids, positions, sequences, last, slots})
    if (array)
      std::memset(array, 0, queued * sizeof(int32_t));
  std::memset(wanted, 0, rows * sizeof(int32_t));
  queued = queuedRows = queuedAdapted = 0;
  if (ok)
    logitsCount = rows;
  else
    fails(ok.error());
  return ok;
}

} // namespace stepdown
