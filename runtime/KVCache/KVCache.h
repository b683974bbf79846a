// The paged cache of keys and values.
//
// Layers with one cache shape and one attention window form a group. A group has one pool of blocks; a block holds
// `blockSize` positions of one sequence in every layer of the group. Each sequence has a row of the group's block
// table: entry i is the block of positions i * blockSize and following, or -1. Blocks count their references: a fork
// shares them all, and the first to append to a partly filled shared block gets a copy of it (full blocks are never
// written again, so they stay shared). In a group with a window, a block whose last position no later query sees goes
// back to the pool.
//
// A keeper may have a reference to whole blocks, too, so that they outlive their sequences. A block that it alone has
// is idle: append() asks for such blocks where free ones do not do.
//
// Everything is allocated when the cache is made; nothing afterwards.
#pragma once
#include "include/stepdown/Artifact.h"
#include "runtime/Device.h"
#include "runtime/Load/ArtifactFile.h"
#include <vector>

namespace stepdown {

class KVCache {
public:
  /// Who keeps blocks that no sequence needs.
  class Keeper {
  public:
    virtual ~Keeper() = default;
    /// Lets `count` idle blocks of `group` go; there are as many.
    virtual void giveBack(size_t group, uint32_t count) = 0;
  };
  struct Shape {
    int32_t blockSize = 32;    ///< positions, one of blockSizes()
    int64_t positions = 0;     ///< that the cache holds over all sequences, rounded up to whole blocks
    int32_t sequences = 16;    ///< rows of the block tables
    int32_t maxContext = 0;    ///< positions a sequence may have
    int32_t maxStepTokens = 0; ///< tokens appended between two releases of a window
  };

  /// For a program whose keys and values lie as `layout` says. E0921 for a layout whose blocks are not runs of bytes,
  /// which this cache shares and copies; E0601.
  static Result<KVCache> create(Device &device, const stepdown_cache &layout, Records<stepdown_cache_group> groups,
                                const Shape &shape);
  /// The blocks of one group, before they are allocated.
  struct Pool {
    uint32_t blocks = 0;
    uint64_t keyBlockBytes = 0, valueBlockBytes = 0; ///< of one block in one layer
    uint64_t bytes = 0;                              ///< of keys and values in all layers of the group
    uint64_t tableBytes = 0;                         ///< of its block table
    int32_t longest = 0;                             ///< positions that one sequence may have
  };
  /// What create() allocates for `shape`, for each group.
  static std::vector<Pool> pools(const stepdown_cache &layout, Records<stepdown_cache_group> groups,
                                 const Shape &shape);
  /// The block sizes that `layout` allows, ascending.
  static std::vector<int32_t> blockSizes(const stepdown_cache &layout);

  /// How many positions `sequence` is to grow by.
  struct Growth {
    int32_t sequence;
    int32_t tokens;
  };
  /// Makes room for all of `growth` (each sequence once), or for none and returns E0608. Copies shared blocks on
  /// `queue`.
  Status append(const Growth *growth, size_t count, Queue &queue);
  /// Row `to`, which must be empty, becomes a copy of row `from`.
  void fork(int32_t from, int32_t to);
  /// Forgets the positions from `newLength` on; false, changing nothing, when a window that they need was given back.
  bool truncate(int32_t sequence, int32_t newLength);
  int32_t length(int32_t sequence) const { return lengths[sequence]; }

  /// Who is asked for idle blocks, or none, with which no block is kept.
  void setKeeper(Keeper *asked) { keeper = asked; }
  /// The keeper has a reference to `block`, which a row has; once only.
  void keep(size_t group, int32_t block);
  /// It has none any more.
  void letGo(size_t group, int32_t block);
  /// A block for the keeper alone, which nobody else has: a free one, or an idle one that the keeper is asked for; -1
  /// where there is none. It is pinned.
  int32_t take(size_t group);
  /// While it is pinned a block has one more reference, so that it is not idle.
  void pin(size_t group, int32_t block) { refer(groups[group], block); }
  void unpin(size_t group, int32_t block) { release(groups[group], block); }
  /// Row `sequence`, which must be empty, begins with blocks that are kept: entry i of group g becomes
  /// blocks[g * count + i], or -1 where a window has passed it.
  void adopt(int32_t sequence, const int32_t *blocks, int32_t count);
  /// Entry `index` of the row becomes `block`, which is kept and holds the same.
  void exchange(size_t group, int32_t sequence, int32_t index, int32_t block);
  bool isIdle(size_t group, int32_t block) const {
    return groups[group].kept[block] && groups[group].references[block] == 1;
  }
  uint32_t idleBlocks(size_t group) const { return groups[group].idle; }
  bool hasWindow(size_t group) const { return groups[group].config.window != 0; }
  /// First entry of a row of `length` positions that a query at the next position sees.
  int32_t firstVisible(size_t group, int32_t length) const { return firstVisible(groups[group], length); }

  int32_t blockSize() const { return shape.blockSize; }
  int32_t blockGroups() const { return shape.blockSize / lanes; } ///< of positions whose keys lie side by side
  int32_t sequences() const { return shape.sequences; }
  int32_t tableWidth() const { return width; }
  size_t groupCount() const { return groups.size(); }
  uint32_t blocks(size_t group) const { return groups[group].blocks; }
  uint32_t freeBlocks(size_t group) const { return static_cast<uint32_t>(groups[group].free.size()); }
  /// How many rows of the table have `block`, and the keeper.
  uint32_t references(size_t group, int32_t block) const { return groups[group].references[block]; }
  /// The blocks that nobody has, each once.
  const std::vector<int32_t> &unused(size_t group) const { return groups[group].free; }
  /// Blocks that would be free or idle besides, if `sequences` (each once) were empty.
  uint32_t heldBy(size_t group, const std::vector<int32_t> &sequences) const;
  uint64_t keys(size_t group, uint32_t layer) const { return groups[group].tensors[2 * layer]->address; }
  uint64_t values(size_t group, uint32_t layer) const { return groups[group].tensors[2 * layer + 1]->address; }
  uint32_t layers(size_t group) const { return groups[group].config.layers; }
  /// Bytes of one block in one layer.
  uint64_t bytesOfBlock(size_t group, bool values) const {
    return values ? groups[group].valueBlockBytes : groups[group].keyBlockBytes;
  }
  uint64_t table(size_t group) const { return groups[group].tableMemory->address; }
  /// Entry `index` of the row of `sequence`, as the host knows it.
  int32_t entry(size_t group, int32_t sequence, int32_t index) const {
    return groups[group].table[size_t(sequence) * width + index];
  }
  /// Bytes of keys and values over all groups, layers and blocks: what was allocated for them.
  uint64_t bytes() const { return total; }
  /// Positions that fit at once into the groups without a window.
  int64_t capacity() const { return positions; }
  /// Positions that one sequence may have when it has the cache for itself: all of them, and more than there are at
  /// once where every group gives back what its window has passed.
  int32_t longest() const { return longestSequence; }
  /// Sends changed block tables to the device.
  Status publish(Queue &queue);

private:
  struct Group {
    stepdown_cache_group config;
    uint32_t blocks = 0;
    uint64_t keyBlockBytes = 0, valueBlockBytes = 0; ///< see Pool
    std::vector<Allocation> tensors;                 ///< [layers][keys, values]
    Allocation tableMemory;                          ///< int32 [sequences, width]
    std::vector<int32_t> table;                      ///< the host's copy of it
    std::vector<uint32_t> references;                ///< [blocks]
    std::vector<uint8_t> kept;                       ///< [blocks]: one of the references is the keeper's
    uint32_t idle = 0;                               ///< blocks of which it has the only one
    std::vector<int32_t> free;                       ///< a stack
    bool dirty = true;
  };

  int32_t *row(Group &group, int32_t sequence) { return group.table.data() + size_t(sequence) * width; }
  /// First block of the row of `sequence` that a query at its next position sees.
  int32_t firstVisible(const Group &group, int32_t length) const;
  void refer(Group &group, int32_t block);
  void release(Group &group, int32_t block);
  void drop(Group &group, int32_t &entry);
  uint32_t needed(Group &group, const Growth *growth, size_t count, uint32_t &released);
  Status grow(Group &group, const Growth &growth, Queue &queue);

  Shape shape;
  int32_t lanes = 1;
  int32_t width = 0;
  int64_t positions = 0;
  int32_t longestSequence = 0;
  uint64_t total = 0;
  std::vector<Group> groups;
  Keeper *keeper = nullptr;
  std::vector<int32_t> lengths;  ///< [sequences]
  std::vector<uint8_t> borrowed; ///< [sequences]: needed() counted a copy for it
};

} // namespace stepdown
