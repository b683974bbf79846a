// A cluster of blocks while it runs: lanes, warps, warpgroups, barriers, memory, and work that is still to be done.
#pragma once
#include "runtime/emulated/Emulator.h"
#include "runtime/emulated/Fiber.h"
#include "runtime/emulated/RaceCheck.h"
#include <deque>
#include <map>
#include <random>
#include <unordered_map>

namespace stepdown::emulated {

struct Block;
struct Lane;

constexpr uint32_t warpLanes = 32, groupLanes = 128; ///< of NVIDIA
constexpr uint32_t mostLanes = 64;                   ///< of a wave of CDNA
constexpr uint32_t sharedWindow = 256u << 10;        ///< addresses of a block; what matrix descriptors reach

enum class Waiting : uint8_t {
  Nothing,   ///< can run
  Warp,      ///< for the lanes of its warp, at an operation done together
  Group,     ///< for the warps of its warpgroup
  Barrier,   ///< at a named barrier
  MBarrier,  ///< for a phase
  Cluster,   ///< at the barrier of the cluster
  Registers, ///< for registers that another warpgroup gives back
  Over,      ///< has returned
};

struct MBarrier {
  uint32_t address = 0; ///< shared
  uint32_t expected = 0, pending = 0, phase = 0, initOperation = 0;
  int64_t bytes = 0;     ///< announced and not yet arrived
  uint32_t inFlight = 0; ///< bulk operations of this phase
  Agent agent = 0;
  bool announced = false;   ///< to the asynchronous proxy, by a fence
  bool remote = false;      ///< a thread of another block has arrived in this phase
  uint32_t remotePhase = 0; ///< that the latest phase with such an arrival led to: waits for it are of the cluster
  Lane *initialiser = nullptr;
  Epoch initialised;
  View arriving, done;
};

struct Lane {
  Continuation place = nullptr;
  Block *block = nullptr;
  uint32_t thread = 0;                  ///< in its block, linear
  uint32_t inWarp = 0, warpOfBlock = 0; ///< of its thread
  uint32_t index[3] = {};
  Waiting waiting = Waiting::Nothing;
  uint32_t operation = 0;
  uint64_t *frame = nullptr;
  /// Products that go with the one that it comes to next, which have their frames until then.
  struct {
    uint32_t operation;
    uint64_t *frame;
  } deferred[16];
  uint32_t deferredCount = 0;
  uint64_t mask = 0; ///< lanes that have to come along
  MBarrier *barrier = nullptr;
  uint32_t parity = 0, barrierNumber = 0;
  bool spurious = false; ///< its latest try_wait was let go early
  Agent agent = 0;
  View view;
  // AMD: what a barrier may tell others of this lane, its knowledge at its latest release fence, and what barriers have
  // told it since its latest acquire fence.
  uint32_t releasedAt = 0; ///< its own time then, 0: the barrier since has told it
  Knowledge released;      ///< empty while that is what `view` knows, but for its own time
  std::shared_ptr<const Knowledge> arrived;
  // Bulk stores and cp.async of this lane: groups are numbered from 1.
  uint32_t bulkOpen = 0, bulkCommitted = 0, copyCommitted = 0;
  uint32_t clusterArrivals = 0; ///< the phase of the cluster's barrier that it arrived for, + 1
  Agent bulkReads = 0, bulkWrites = 0, copies = 0;
  bool hasBulk = false, hasCopies = false;

  uint32_t lane() const { return inWarp; }
  uint32_t warp() const { return warpOfBlock; }
};

/// What a chain of matrix products adds up in.
struct Accumulator {
  std::vector<float> sums; // [64, n]; bits of s32 where the products are of integers
  std::vector<float> initial;
  uint32_t n = 0, latest = 0; ///< token of the latest product
};

struct Product {
  uint32_t operation = 0, token = 0, groupNumber = 0;
  uint64_t a = 0, b = 0;
  std::vector<uint32_t> registersA; // [128, slots]
  bool add = true, done = false;
  uint32_t accumulator = 0; ///< number in the warpgroup
};

struct WarpGroup {
  uint32_t first = 0; ///< lane
  Agent agent = 0;
  uint32_t committed = 0, completed = 0;
  bool fenced = false;         ///< since accumulators were used otherwise
  bool fencedOperands = false; ///< in the group that is not committed
  uint32_t registers = 0;      ///< of a lane
  View view;                   ///< what all of its lanes know
  uint64_t version = 0;        ///< of their knowledge, when that was found
  std::deque<Product> pending;
  std::deque<Accumulator> accumulators;
  std::vector<Product> finished; ///< by token, without operands
};

struct NamedBarrier {
  uint32_t arrived = 0, count = 0, operation = 0;
  View view;
};

/// What another block of the cluster did with a block's shared memory: when it is over, an asynchronous operation's
/// that it is complete.
struct RemoteUse {
  Epoch epoch;
  uint32_t operation = 0;
  const Lane *lane = nullptr;
};

struct Block {
  Emulator::State *state = nullptr;
  uint32_t index[3] = {}, rank = 0;
  uint32_t warpLanes = 32, warps = 0; ///< of a warp, or wave; of the block
  uint8_t *shared = nullptr;
  uint32_t sharedBytes = 0;
  Cells cells;
  std::vector<Lane> lanes;
  std::vector<WarpGroup> groups;
  NamedBarrier barriers[16];
  std::unordered_map<uint32_t, MBarrier> mbarriers; // by offset
  uint32_t registerPool = 0;
  std::unordered_map<Agent, RemoteUse> remoteUses; ///< the latest of each agent of other blocks
};

/// Bytes of the host.
struct Region {
  uint8_t *base = nullptr;
  size_t size = 0;
  bool writable = true;
  static constexpr uint64_t pageBytes = 1 << 16;
  std::unordered_map<uint64_t, Cells> pages; ///< by number, of so many bytes each: those that were touched
  uint64_t latestPage = ~uint64_t(0);
  Cells *latest = nullptr;
};

/// An asynchronous operation that has been issued.
struct Pending {
  enum Kind { BulkLoad, BulkStore, BulkReduce, Copy } kind = BulkLoad;
  uint32_t operation = 0;
  Lane *lane = nullptr;
  stepdown_tensor_map map = {};
  int32_t at[5] = {};
  Block *block = nullptr; ///< of shared memory
  uint32_t offset = 0;    ///< in it
  MBarrier *barrier = nullptr;
  uint32_t group = 0;
  const uint8_t *from = nullptr; ///< cp.async
  uint32_t bytes = 0, sourceBytes = 0;
};

/// Where the numbers of a matrix instruction of a wave go: of the first factor's rows, and along k of what lanes hold,
/// by the group of lanes that have a column each.
struct WaveOrder {
  uint16_t rows[32], columns[4][32];
};

/// What one launch at a time fills: stacks of its lanes, and the shared memory of its blocks.
struct Workspace {
  FiberStacks stacks;
  uint8_t *shared = nullptr; ///< below 4 GiB
  size_t sharedBytes = 0;
  ~Workspace();
  /// Makes room for `lanes` lanes and `blocks` blocks; ErrorCode::KernelLaunch, for `kernel`.
  Status reserve(const char *kernel, uint32_t lanes, uint32_t blocks);
};

/// What emulated code is handed is the table of entries that this begins with, and leads back here.
struct Emulator::State : stepdown_emulation {
  // Loaded code.
  uint8_t *code = nullptr;
  size_t codeBytes = 0;
  std::vector<stepdown_emulated_kernel> kernels;
  std::vector<stepdown_emulated_operation> operations;
  std::string names;
  std::vector<std::unique_ptr<WaveOrder>> waveOrders; ///< by operation, of those that were executed
  std::map<uint8_t *, Region> regions;
  Region *latestRegion = nullptr;

  // The launch.
  Options options;
  LaunchShape shape;
  const stepdown_emulated_kernel *kernel = nullptr;
  std::vector<uint8_t> parameters;
  uint32_t hidden[16] = {}; ///< AMD's hidden arguments: blocks of the grid (3), then threads of a block (3 of 16 bits)
  std::vector<Report> reports;
  Statistics statistics;
  std::mt19937_64 random;
  uint64_t turns = 0;
  bool failed = false;

  // The cluster.
  std::shared_ptr<Workspace> workspace;
  std::vector<Block> blocks;
  uint32_t clusterIndex[3] = {};
  uint32_t stalls = 0; ///< rounds in which polling lanes alone went on
  size_t agents = 0, agentsUsed = 0;
  std::deque<Pending> pending;
  uint32_t clusterArrived = 0, clusterPhase = 0;
  View clusterView;
  Continuation scheduler = nullptr;
  Lane *current = nullptr;
  struct BankAccess {
    uint64_t lanes = 0;
    uint32_t bytes = 0, addresses[mostLanes];
  };
  std::vector<std::unique_ptr<BankAccess[]>> bankAccesses; // by operation, then by warp of all blocks
  uint32_t clusterSerial = 0;                              ///< of all launches

  ~State();
  const stepdown_emulated_kernel *find(const char *name) const; ///< null: none
  const char *text(uint32_t name) const { return names.c_str() + name; }
  const stepdown_emulated_operation &operation(uint32_t number) const { return operations[number]; }

  // Report.cpp
  void report(stepdown_report kind, const Lane *lane, uint32_t operation, const char *format, ...)
      __attribute__((format(printf, 5, 6)));
  /// report(), then leaves the lane that runs for good.
  [[noreturn]] void abandon();
  std::string where(uint32_t operation) const;
  void reportDeadlock();

  // Schedule.cpp
  bool runCluster();
  void stop(Waiting why, uint32_t operation, uint64_t *frame, uint64_t mask);
  void wake(Lane &lane) { lane.waiting = Waiting::Nothing; }
  bool resolveWarp(Block &block, uint32_t warp);
  bool resolveGroup(Block &block, WarpGroup &group);
  bool completeOne(size_t which);
  void finishBlock(Block &block);
  void finishRemoteUses(Block &block);
  Agent newAgent();
  void release(Lane &lane) { ++lane.view.plain[lane.agent]; }

  // Operations of one lane, of a warp, of a warpgroup.
  void perform(Lane &lane, uint32_t operation, uint64_t *frame);
  void defer(Lane &lane, uint32_t operation, uint64_t *frame);
  void performDeferred(Block &block, Lane **lanes, uint32_t count, uint32_t operation);
  void performWarp(Block &block, Lane **lanes, uint32_t count, uint32_t operation);
  void performGroup(Block &block, WarpGroup &group, uint32_t operation);

  // Memory.cpp
  Block *sharedBlock(uint64_t address, uint32_t &offset);
  Region *region(const void *address, size_t bytes);
  bool touch(const void *address, uint32_t bytes, Access access, const Lane *lane, uint32_t alignment);
  bool touchShared(Block &block, uint32_t offset, uint32_t bytes, const Access &access, const Lane *lane);
  bool touchGlobal(const void *address, uint32_t bytes, const Access &access, const Lane *lane);
  void conflict(Conflict found, const Access &access, uint32_t other, const Lane *lane, const char *space, uint64_t at);
  Access laneAccess(Lane &lane, uint32_t operation, bool write) const;
  void countBanks(Lane &lane, uint32_t operation, uint32_t offset, uint32_t bytes);

  // Barriers.cpp
  MBarrier *mbarrier(Lane &lane, uint32_t operation, uint64_t address);
  void arrive(MBarrier &barrier, const Block *block, Lane *lane, uint32_t operation, uint32_t count);
  void completePhase(MBarrier &barrier, const Lane *lane, uint32_t operation);
  void performBarrier(Lane &lane, uint32_t operation, uint64_t *frame);
  void barrierWarp(Block &block, Lane **lanes, uint32_t count, uint32_t operation);
  void clusterWarp(Lane **lanes, uint32_t count, uint32_t operation);
  void openClusterBarrier();

  // Buffers.cpp
  void accessBuffer(Lane &lane, uint32_t operation, uint64_t *frame);

  // Wave.cpp
  void fence(Lane &lane, uint32_t operation);
  void waveBarrier(Block &block, Lane **lanes, uint32_t count, uint32_t operation);
  void exchangeWave(Lane **lanes, uint32_t count, uint32_t operation);
  void multiplyWave(Lane **lanes, uint32_t count, uint32_t operation);

  // Warp.cpp
  void exchange(Lane **lanes, uint32_t count, uint32_t operation);

  // Bulk.cpp
  void issueBulk(Lane &lane, uint32_t operation, uint64_t *frame);
  void issueCopy(Lane &lane, uint32_t operation, uint64_t *frame);
  void moveBulk(const Pending &work);
  void completeBulk(Lane &lane, uint32_t upTo, bool copies);

  // Matrix.cpp
  void moveMatrices(Lane **lanes, uint32_t operation);
  void multiplyWarp(Lane **lanes, uint32_t operation);
  void issueProduct(Block &block, WarpGroup &group, uint32_t operation);
  void completeProducts(Block &block, WarpGroup &group, uint32_t upTo);
  void execute(Block &block, WarpGroup &group, Product &product);
  uint32_t resolveRegister(Lane &lane, uint32_t operation, uint64_t value);
};

/// The slots of a frame, as the types that they hold.
template <typename T> T &slotAs(uint64_t *frame, uint32_t index) { return *reinterpret_cast<T *>(frame + index); }

} // namespace stepdown::emulated
