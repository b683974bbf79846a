// Happens-before over lanes and asynchronous operations, and what was last done to each word of memory.
//
// Every lane is an agent with a clock, and so is whatever completes asynchronous work: an mbarrier (its clock is its
// phase), the products of a warpgroup, the bulk stores of a lane (theirs is the number of the group). An access is an
// epoch: an agent and a time. One access is ordered after another where the accessing agent knows of the other's epoch;
// synchronisation hands knowledge on. Asynchronous accesses are entered when they are issued, with the epoch at which
// they are complete, so what touches their bytes too early does not know of it (Flanagan and Freund, FastTrack, 2009).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stepdown::emulated {

using Agent = uint16_t;

struct Epoch {
  uint32_t time = 0;
  Agent agent = 0; ///< number + 1; 0: nobody
};

/// What an agent knows of the others: the latest time of each.
class Knowledge {
public:
  void reset(size_t agents) { times.assign(agents, 0); }
  void grow(size_t agents) { times.resize(agents); }
  bool empty() const { return times.empty(); }
  uint32_t &operator[](Agent agent) {
    ++changes;
    return times[agent];
  }
  uint32_t at(Agent agent) const { return times[agent]; }
  /// Grows whenever something may have been learnt.
  uint64_t version() const { return changes; }
  bool knows(Epoch epoch) const { return epoch.agent == 0 || times[epoch.agent - 1] >= epoch.time; }
  /// Learns what `other` knows.
  void join(const Knowledge &other);
  /// Keeps what `other` knows, too.
  void meet(const Knowledge &other);

private:
  std::vector<uint32_t> times; // [agents]
  uint64_t changes = 0;
};

/// Knowledge through ordinary accesses, and through a proxy fence, which asynchronous accesses need.
struct View {
  Knowledge plain, fenced;
  void reset(size_t agents) {
    plain.reset(agents);
    fenced.reset(agents);
  }
  void grow(size_t agents) {
    plain.grow(agents);
    fenced.grow(agents);
  }
  void join(const View &other) {
    plain.join(other.plain);
    fenced.join(other.fenced);
  }
};

/// Four bytes of memory.
struct Cell {
  Epoch write, reads[2];
  uint32_t writeOperation = 0, readOperation = 0;
  uint32_t cluster = 0;      ///< + 1, of the latest access: knowledge does not reach across clusters
  uint8_t writtenBytes = 0;  ///< a bit each: ever written
  uint8_t writeBytes = 0;    ///< a bit each: by `write`
  bool asynchronous = false; ///< `write` was
  bool atomic = false;       ///< `write` was
  bool read = false;         ///< by `cluster`
};

struct Access {
  Epoch epoch;
  const View *view;
  uint32_t operation, cluster;
  bool write, asynchronous, atomic;
  bool mustBeWritten; ///< shared memory has nothing in it to begin with
};

enum class Conflict { None, Race, Unwritten, Proxy };

/// The cells of memory, one for 16 bytes as long as these are accessed together: what TMA and products do to tiles then
/// costs a quarter.
class Cells {
public:
  void resize(size_t bytes);
  bool empty() const { return lines.empty(); }
  void clear() { lines.clear(), words.clear(), split.clear(); }
  /// Checks and enters an access to `bytes` bytes from `offset`; on a conflict, `at` is the offset of it. With
  /// `perCluster`, what other clusters did is forgotten: the memory is this cluster's own.
  Conflict enter(uint64_t offset, uint32_t bytes, const Access &access, bool perCluster, uint32_t &other, uint64_t &at);

private:
  std::vector<Cell> lines; // [bytes / 16]
  std::vector<Cell> words; // [bytes / 4], where the line is split
  std::vector<bool> split; // [bytes / 16]
};

/// Checks and enters an access to the bytes `mask` of `cell`; `other` is the operation that it is in conflict with.
Conflict enter(Cell &cell, uint8_t mask, const Access &access, uint32_t &other);

} // namespace stepdown::emulated
