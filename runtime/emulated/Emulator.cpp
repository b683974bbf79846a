// Loading of code, launches, and what emulated code calls.
#include "runtime/emulated/Emulator.h"
#include "runtime/emulated/Machine.h"
#include <cstring>
#include <sys/mman.h>

namespace stepdown::emulated {

using State = Emulator::State;

namespace {

State &stateOf(const stepdown_emulation *entries) {
  return *static_cast<State *>(const_cast<stepdown_emulation *>(entries));
}

uint64_t lanesTogether(const stepdown_emulated_operation &at, const uint64_t *frame) {
  switch (at.kind) {
  case STEPDOWN_EMULATED_shuffle:
  case STEPDOWN_EMULATED_vote:
  case STEPDOWN_EMULATED_elect:
  case STEPDOWN_EMULATED_warp_barrier:
    return uint32_t(frame[at.results]);
  case STEPDOWN_EMULATED_reduce_warp:
    return uint32_t(frame[at.results + 1]);
  default:
    return ~uint64_t(0);
  }
}

void call(const stepdown_emulation *entries, uint32_t number, uint64_t *frame) {
  State &state = stateOf(entries);
  Lane &lane = *state.current;
  const stepdown_emulated_operation &at = state.operation(number);
  ++state.statistics.calls;
  lane.operation = number;
  lane.frame = frame;
  switch (at.kind) {
  case STEPDOWN_EMULATED_shuffle:
  case STEPDOWN_EMULATED_vote:
  case STEPDOWN_EMULATED_elect:
  case STEPDOWN_EMULATED_reduce_warp:
  case STEPDOWN_EMULATED_warp_barrier:
  case STEPDOWN_EMULATED_barrier_all:
  case STEPDOWN_EMULATED_barrier_count:
  case STEPDOWN_EMULATED_barrier_arrive:
  case STEPDOWN_EMULATED_cluster_arrive:
  case STEPDOWN_EMULATED_cluster_wait:
  case STEPDOWN_EMULATED_load_matrix:
  case STEPDOWN_EMULATED_store_matrix:
  case STEPDOWN_EMULATED_wgmma:
  case STEPDOWN_EMULATED_wgmma_fence:
  case STEPDOWN_EMULATED_wgmma_commit:
  case STEPDOWN_EMULATED_wgmma_wait:
  case STEPDOWN_EMULATED_registers_less:
  case STEPDOWN_EMULATED_registers_more:
  case STEPDOWN_EMULATED_first_lane:
  case STEPDOWN_EMULATED_read_lanes:
  case STEPDOWN_EMULATED_wave_barrier_all:
    state.stop(Waiting::Warp, number, frame, lanesTogether(at, frame));
    break;
  case STEPDOWN_EMULATED_mma:
  case STEPDOWN_EMULATED_mfma:
  case STEPDOWN_EMULATED_wmma:
    if (at.modifiers[7])
      state.defer(lane, number, frame);
    else
      state.stop(Waiting::Warp, number, frame, ~uint64_t(0));
    break;
  case STEPDOWN_EMULATED_mbarrier_init:
  case STEPDOWN_EMULATED_mbarrier_invalidate:
  case STEPDOWN_EMULATED_mbarrier_arrive:
  case STEPDOWN_EMULATED_mbarrier_arrive_expect:
  case STEPDOWN_EMULATED_mbarrier_expect:
  case STEPDOWN_EMULATED_mbarrier_try_wait:
  case STEPDOWN_EMULATED_mbarrier_test_wait:
  case STEPDOWN_EMULATED_fence_mbarrier_init:
  case STEPDOWN_EMULATED_fence_proxy_async:
    state.performBarrier(lane, number, frame);
    break;
  case STEPDOWN_EMULATED_bulk_load:
  case STEPDOWN_EMULATED_bulk_store:
  case STEPDOWN_EMULATED_bulk_reduce:
    state.issueBulk(lane, number, frame);
    break;
  case STEPDOWN_EMULATED_bulk_commit:
    ++lane.bulkCommitted;
    break;
  case STEPDOWN_EMULATED_bulk_wait: {
    const uint32_t left = uint32_t(frame[at.results]);
    const uint32_t upTo = lane.bulkCommitted > left ? lane.bulkCommitted - left : 0;
    state.completeBulk(lane, upTo, false);
    if (lane.hasBulk && upTo) {
      uint32_t &read = lane.view.plain[lane.bulkReads], &written = lane.view.plain[lane.bulkWrites];
      read = std::max(read, upTo);
      if (!at.modifiers[0])
        written = std::max(written, upTo);
    }
    break;
  }
  case STEPDOWN_EMULATED_copy_async:
    state.issueCopy(lane, number, frame);
    break;
  case STEPDOWN_EMULATED_copy_commit:
    ++lane.copyCommitted;
    break;
  case STEPDOWN_EMULATED_copy_wait: {
    if (at.modifiers[0])
      ++lane.copyCommitted;
    const uint32_t left = at.modifiers[0] ? 0 : uint32_t(frame[at.results]);
    const uint32_t upTo = lane.copyCommitted > left ? lane.copyCommitted - left : 0;
    state.completeBulk(lane, upTo, true);
    if (lane.hasCopies)
      lane.view.plain[lane.copies] = std::max(lane.view.plain[lane.copies], upTo);
    break;
  }
  case STEPDOWN_EMULATED_buffer_load:
  case STEPDOWN_EMULATED_buffer_store:
    state.accessBuffer(lane, number, frame);
    break;
  case STEPDOWN_EMULATED_fence:
    if (state.kernel->amd)
      state.fence(lane, number);
    break;
  default:
    state.perform(lane, number, frame);
  }
  if (state.failed)
    state.abandon();
}

void access(const stepdown_emulation *entries, uint32_t number, const void *address) {
  State &state = stateOf(entries);
  Lane &lane = *state.current;
  const stepdown_emulated_operation &at = state.operation(number);
  lane.operation = number;
  Access access = state.laneAccess(lane, number, at.kind != STEPDOWN_EMULATED_load);
  access.atomic = at.kind == STEPDOWN_EMULATED_atomic;
  if (!state.touch(address, at.bytes, access, &lane, std::max(1, at.modifiers[0])))
    state.abandon();
  uint32_t offset;
  if (at.bytes <= 16 && state.sharedBlock(reinterpret_cast<uint64_t>(address), offset))
    state.countBanks(lane, number, offset, at.bytes);
}

uint32_t resolve(const stepdown_emulation *entries, uint32_t number, uint64_t value) {
  if (value >> 32 == 0)
    return uint32_t(value);
  State &state = stateOf(entries);
  const uint32_t bits = state.resolveRegister(*state.current, number, value);
  if (state.failed)
    state.abandon();
  return bits;
}

void turn(const stepdown_emulation *entries, uint32_t number) {
  State &state = stateOf(entries);
  if (++state.turns <= state.options.bound)
    return;
  state.report(STEPDOWN_REPORT_endless, state.current, number, "expects an end within %llu turns of loops",
               static_cast<unsigned long long>(state.options.bound));
  state.abandon();
}

/// Code without a type that a sanitizer could look for in front of it.
__attribute__((no_sanitize("function"))) void runLane(void *argument) {
  Lane &lane = *static_cast<Lane *>(argument);
  State &state = *lane.block->state;
  using Kernel = void (*)(const stepdown_emulation *, const void *);
  Kernel kernel;
  const uint8_t *entry = state.code + state.kernel->entry;
  std::memcpy(&kernel, &entry, sizeof kernel);
  kernel(&state, state.parameters.data());
  lane.waiting = Waiting::Over;
  switchTo(&lane.place, state.scheduler);
}

} // namespace

const stepdown_emulated_kernel *State::find(const char *name) const {
  for (const stepdown_emulated_kernel &kernel : kernels)
    if (!std::strcmp(text(kernel.name), name))
      return &kernel;
  return nullptr;
}

State::~State() {
  if (code)
    munmap(code, codeBytes);
}

Workspace::~Workspace() {
  if (shared)
    munmap(shared, sharedBytes);
}

Status Workspace::reserve(const char *kernel, uint32_t lanes, uint32_t blocks) {
  if (!stacks.reserve(lanes))
    return fail(ErrorCode::KernelLaunch, "%s: expects memory for the stacks of %u lanes", kernel, lanes);
  if (sharedBytes >= size_t(blocks) * sharedWindow)
    return Done{};
  if (shared)
    munmap(shared, sharedBytes);
  shared = nullptr;
  sharedBytes = 0;
  // Below 4 GiB, and more than needed, to find a multiple of the window in it.
  const size_t bytes = size_t(blocks + 1) * sharedWindow;
  void *made =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1, 0);
  if (made == MAP_FAILED)
    return fail(ErrorCode::KernelLaunch, "%s: expects addresses below 4 GiB for shared memory", kernel);
  const uint64_t base = reinterpret_cast<uint64_t>(made),
                 aligned = (base + sharedWindow - 1) / sharedWindow * sharedWindow;
  if (aligned > base)
    munmap(made, aligned - base);
  shared = reinterpret_cast<uint8_t *>(aligned);
  sharedBytes = bytes - (aligned - base);
  return Done{};
}

std::shared_ptr<Workspace> makeWorkspace() { return std::make_shared<Workspace>(); }

Emulator::Emulator(std::shared_ptr<Workspace> workspace) : state(std::make_unique<State>()) {
  state->workspace = std::move(workspace);
  static_cast<stepdown_emulation &>(*state) = {call, access, resolve, turn};
}
Emulator::~Emulator() = default;

void Emulator::map(void *bytes, size_t size, bool writable) {
  auto *base = static_cast<uint8_t *>(bytes);
  Region &region = state->regions[base] = Region();
  region.base = base;
  region.size = size;
  region.writable = writable;
  state->latestRegion = nullptr;
}

void Emulator::unmap(void *bytes) {
  state->regions.erase(static_cast<uint8_t *>(bytes));
  state->latestRegion = nullptr;
}

const std::vector<Report> &Emulator::reports() const { return state->reports; }
const Statistics &Emulator::statistics() const { return state->statistics; }

Status Emulator::load(const uint8_t *code, size_t size, const uint8_t *table, size_t tableSize) {
  State &s = *state;
  stepdown_emulated_header header = {};
  if (tableSize >= sizeof header)
    std::memcpy(&header, table, sizeof header);
  const uint64_t needed = sizeof header + uint64_t(header.kernels) * sizeof(stepdown_emulated_kernel) +
                          uint64_t(header.operations) * sizeof(stepdown_emulated_operation) + header.name_bytes;
  if (header.magic != STEPDOWN_EMULATION_MAGIC || needed != tableSize || header.name_bytes == 0 ||
      table[tableSize - 1] != 0)
    return fail(ErrorCode::KernelLaunch,
                "emulated code: expects a table of operations, but got %zu bytes that are none", tableSize);
  const uint8_t *at = table + sizeof header;
  s.kernels.resize(header.kernels);
  s.operations.resize(header.operations);
  s.waveOrders.clear();
  s.waveOrders.resize(header.operations);
  std::memcpy(s.kernels.data(), at, header.kernels * sizeof s.kernels[0]);
  at += header.kernels * sizeof s.kernels[0];
  std::memcpy(s.operations.data(), at, header.operations * sizeof s.operations[0]);
  at += header.operations * sizeof s.operations[0];
  s.names.assign(reinterpret_cast<const char *>(at), header.name_bytes);
  for (const stepdown_emulated_kernel &kernel : s.kernels)
    if (kernel.name >= header.name_bytes || kernel.entry >= size)
      return fail(ErrorCode::KernelLaunch, "emulated code: expects a kernel inside %zu bytes, but got one at %u", size,
                  kernel.entry);
  for (const stepdown_emulated_operation &operation : s.operations)
    if (operation.name >= header.name_bytes || operation.file >= header.name_bytes ||
        operation.kind >= STEPDOWN_EMULATED_COUNT || operation.kernel >= header.kernels)
      return fail(ErrorCode::KernelLaunch, "emulated code: expects operations that the emulator has");
  if (s.code)
    munmap(s.code, s.codeBytes);
  s.code = nullptr;
  void *made = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED)
    return fail(ErrorCode::KernelLaunch, "emulated code: expects memory for %zu bytes", size);
  std::memcpy(made, code, size);
  if (mprotect(made, size, PROT_READ | PROT_EXEC)) {
    munmap(made, size);
    return fail(ErrorCode::KernelLaunch, "emulated code: expects a system that lets it run");
  }
  s.code = static_cast<uint8_t *>(made);
  s.codeBytes = size;
  return Done{};
}

namespace {

Status checkShape(const State &s, const stepdown_emulated_kernel &kernel, const LaunchShape &shape,
                  size_t parameterBytes) {
  const uint64_t threads = uint64_t(shape.block[0]) * shape.block[1] * shape.block[2];
  const char *name = s.text(kernel.name);
  if (threads == 0 || threads > 1024 || (kernel.max_threads && threads > kernel.max_threads))
    return fail(ErrorCode::KernelLaunch, "%s: block: expects 1 to %u threads, but got %llu", name,
                kernel.max_threads ? kernel.max_threads : 1024, static_cast<unsigned long long>(threads));
  if (shape.grid[0] == 0 || shape.grid[1] == 0 || shape.grid[2] == 0 || shape.cluster == 0 || shape.cluster > 8 ||
      shape.grid[0] % shape.cluster)
    return fail(ErrorCode::KernelLaunch,
                "%s: grid: expects blocks in clusters of 1 to 8, but got %u,%u,%u in clusters of %u", name,
                shape.grid[0], shape.grid[1], shape.grid[2], shape.cluster);
  if (shape.grid[1] > 65535 || shape.grid[2] > 65535) // as CUDA and HIP refuse it
    return fail(ErrorCode::KernelLaunch, "%s: grid: expects at most 65535 blocks along y and z, but got %u and %u",
                name, shape.grid[1], shape.grid[2]);
  // Not the chips' bound: a damaged size must not run for hours here.
  constexpr uint64_t most = uint64_t(1) << 22;
  const uint64_t blocks = uint64_t(shape.grid[0]) * shape.grid[1]; // below 2^48
  if (blocks > most || blocks * shape.grid[2] > most)
    return fail(ErrorCode::KernelLaunch, "%s: grid: expects at most %llu blocks on an emulator, but got %u,%u,%u", name,
                static_cast<unsigned long long>(most), shape.grid[0], shape.grid[1], shape.grid[2]);
  if (kernel.cluster[0] && (kernel.cluster[0] != shape.cluster || kernel.cluster[1] > 1 || kernel.cluster[2] > 1))
    return fail(ErrorCode::KernelLaunch, "%s: cluster: expects %u blocks along x, but got %u", name, kernel.cluster[0],
                shape.cluster);
  if (uint64_t(shape.sharedBytes) + kernel.static_shared > kernel.shared_limit)
    return fail(ErrorCode::KernelLaunch, "%s: shared memory: expects at most %u bytes, but got %u and %u", name,
                kernel.shared_limit, kernel.static_shared, shape.sharedBytes);
  if (parameterBytes < kernel.parameter_bytes)
    return fail(ErrorCode::KernelLaunch, "%s: parameters: expects %u bytes, but got %zu", name, kernel.parameter_bytes,
                parameterBytes);
  return Done{};
}

/// Lanes, barriers and memory of the cluster whose first block is `index`.
void makeCluster(State &s, const uint32_t (&index)[3], uint32_t threads) {
  // Cells say of which cluster they are, so those of the blocks before are taken over as they are.
  std::vector<Cells> cells;
  for (Block &block : s.blocks)
    cells.push_back(std::move(block.cells));
  cells.resize(s.shape.cluster);
  s.blocks.clear();
  s.blocks.resize(s.shape.cluster);
  s.pending.clear();
  s.bankAccesses.clear();
  s.bankAccesses.resize(s.operations.size());
  s.clusterArrived = s.clusterPhase = 0;
  const uint32_t groups = (threads + groupLanes - 1) / groupLanes;
  s.agentsUsed = 0;
  s.agents = (size_t(threads) + groups) * s.shape.cluster + 32; // more where they are needed
  s.clusterView.reset(s.agents);
  for (uint32_t rank = 0; rank < s.shape.cluster; ++rank) {
    Block &block = s.blocks[rank];
    block.state = &s;
    block.index[0] = index[0] + rank;
    block.index[1] = index[1];
    block.index[2] = index[2];
    block.rank = rank;
    block.warpLanes = s.kernel->warp_lanes;
    block.warps = (threads + block.warpLanes - 1) / block.warpLanes;
    block.shared = s.workspace->shared + size_t(rank) * sharedWindow;
    block.sharedBytes = s.kernel->static_shared + s.shape.sharedBytes;
    block.cells = std::move(cells[rank]);
    block.cells.resize(block.sharedBytes);
    std::memset(block.shared, 0x7f, block.sharedBytes);
    block.lanes.resize(threads);
    for (uint32_t t = 0; t < threads; ++t) {
      Lane &lane = block.lanes[t];
      lane.block = &block;
      lane.thread = t;
      lane.inWarp = t % block.warpLanes;
      lane.warpOfBlock = t / block.warpLanes;
      lane.index[0] = t % s.shape.block[0];
      lane.index[1] = t / s.shape.block[0] % s.shape.block[1];
      lane.index[2] = t / s.shape.block[0] / s.shape.block[1];
      lane.agent = s.newAgent();
      lane.view.reset(s.agents);
      lane.view.plain[lane.agent] = 1;
      lane.place = s.workspace->stacks.prepare(size_t(rank) * threads + t, runLane, &lane);
    }
    if (s.kernel->amd)
      continue;
    const uint32_t registers = std::min(248u, 65536 / threads / 8 * 8);
    block.registerPool = 65536 - registers * threads;
    for (uint32_t g = 0; g < groups; ++g) {
      WarpGroup &group = block.groups.emplace_back();
      group.first = g * groupLanes;
      group.agent = s.newAgent();
      group.registers = registers;
    }
  }
}

} // namespace

Status Emulator::check(const char *name, const LaunchShape &shape, size_t parameterBytes) const {
  const stepdown_emulated_kernel *kernel = state->find(name);
  if (!kernel)
    return fail(ErrorCode::KernelLaunch, "%s: expects a kernel of the loaded code", name);
  return checkShape(*state, *kernel, shape, parameterBytes);
}

Status Emulator::launch(const char *name, const LaunchShape &shape, const void *parameters, size_t parameterBytes,
                        const Options &options) {
  State &s = *state;
  if (Status checked = check(name, shape, parameterBytes); !checked)
    return checked;
  s.kernel = s.find(name);
  const uint32_t threads = shape.block[0] * shape.block[1] * shape.block[2];
  if (Status room = s.workspace->reserve(name, threads * shape.cluster, shape.cluster); !room)
    return room;
  s.shape = shape;
  s.options = options;
  // A tensor map lies at a multiple of 64 among the parameters, wherever the host keeps them.
  const auto *from = static_cast<const uint8_t *>(parameters);
  s.parameters.assign(from, from + parameterBytes);
  std::copy(shape.grid.begin(), shape.grid.end(), s.hidden);
  const uint16_t sizes[3] = {uint16_t(shape.block[0]), uint16_t(shape.block[1]), uint16_t(shape.block[2])};
  std::memcpy(s.hidden + 3, sizes, sizeof sizes);
  map(s.hidden, sizeof s.hidden, false);
  if (options.observer)
    options.observer->launches(name);
  s.reports.clear();
  s.statistics = {};
  s.random.seed(options.seed);
  s.turns = 0;
  s.failed = false;
  // A program has many kernels: what is known of memory and lanes goes when a launch ends.
  struct Leave {
    State &s;
    ~Leave() {
      for (auto &[base, region] : s.regions) {
        region.pages.clear();
        region.latestPage = ~uint64_t(0);
      }
      std::vector<Block>().swap(s.blocks);
      s.regions.erase(reinterpret_cast<uint8_t *>(s.hidden));
      s.latestRegion = nullptr;
    }
  } leave{s};
  for (uint32_t z = 0; z < shape.grid[2]; ++z)
    for (uint32_t y = 0; y < shape.grid[1]; ++y)
      for (uint32_t x = 0; x < shape.grid[0]; x += shape.cluster) {
        s.clusterIndex[0] = x / shape.cluster;
        s.clusterIndex[1] = y;
        s.clusterIndex[2] = z;
        ++s.clusterSerial;
        makeCluster(s, {x, y, z}, threads);
        if (!s.runCluster())
          return fail(ErrorCode::KernelFault, "%s", s.reports.empty() ? name : s.reports.front().line1().c_str());
      }
  return Done{};
}

} // namespace stepdown::emulated
