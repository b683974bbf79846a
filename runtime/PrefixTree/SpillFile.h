// A file of bounded size for blocks of a cache whose room in memory others took.
//
// The file has a header of 4096 bytes and slots of one size. A slot has the blocks of one key, a part for each group of
// layers, as far as they came; the slot that was used longest ago is taken for a new key. Little-endian, in order:
//
//   header   magic, version, length of the text, SHA-256 of all of it (64 hexadecimal digits), the text (what the
//            blocks belong to) or what there is room for, zeros; XXH3 of what is before
//   slot     64 bytes: key, a number that counts slots as they were begun, which parts are there; XXH3 of these
//            each part: the bytes of a block; XXH3 of the key, the part's number and these bytes
//
// So a part is what it is taken for or it is not taken: one that is cut short, damaged, or was left there by another
// key fails its checksum. Keys are SHA-256 of all tokens up to the block's end (PrefixTree.h), so that nobody finds two
// texts with one key. Nothing is made sure of on the disk (fsync): what a crash of the machine loses is computed again.
//
// Writing is a thread's of its own, behind a bounded queue; where that is full, a block is not written.
// The index is in memory, about 60 bytes a slot. The file is locked: two programs never write to one.
//
// put, has and read are called by one thread; what fails is counted, and harms nobody.
#pragma once
#include "lib/Base/Result.h"
#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace stepdown {

class SpillFile {
public:
  using Key = std::array<uint8_t, 32>;
  static constexpr size_t mostParts = 31;
  static constexpr uint64_t mostSlots = uint64_t(1) << 20;
  /// So many blocks in a row that could not be written are the disk's fault: the next `firstPause` are forgotten, and
  /// twice as many each time that it fails again, up to `longestPause`.
  static constexpr uint32_t mostFailures = 4;
  static constexpr uint64_t firstPause = 256, longestPause = 65536;

  struct Options {
    std::string path;
    uint64_t bytes = 0;                       ///< that the file may have, at most
    std::string holds;                        ///< what its blocks belong to, in words; it is all compared
    std::vector<uint64_t> parts;              ///< bytes of the block of each group; at most mostParts
    uint64_t queueBytes = uint64_t(64) << 20; ///< that wait to be written, at most; room for two blocks at least
  };
  /// Begins the file, or goes on with one whose text is the same; a new one is its owner's alone to read. E0901 where
  /// it cannot be opened, E0903 where it cannot be written, E1516 for another file, E1517 for one of another model,
  /// E1518 where another program has it, E1519 where not even one slot fits, E1521 for one that is another user's, that
  /// others may read or write, or that is a symbolic link.
  static Result<std::unique_ptr<SpillFile>> open(const Options &options);
  /// Writes what is queued.
  ~SpillFile();
  SpillFile(const SpillFile &) = delete;

  /// Whether read() would find the part, unless it is damaged.
  bool has(const Key &key, size_t part) const;
  /// Room for the bytes of one part, to be filled and given to put(); null where too much is queued, or the disk fails
  /// again and again. `waits`: until there is room.
  uint8_t *room(bool waits);
  /// Takes room that room() gave, filled or, with `good` false, to be forgotten.
  void put(uint8_t *room, const Key &key, size_t part, bool good = true);
  /// The key is the one that was used last.
  void touch(const Key &key);
  /// The bytes of the part, until the next call; null where it is not there or damaged.
  const uint8_t *read(const Key &key, size_t part);
  /// Waits until what is queued is written.
  void flush();

  /// Since it was opened.
  struct Figures {
    uint64_t spilled = 0, spilledBytes = 0;   ///< blocks that were written
    uint64_t restored = 0, restoredBytes = 0; ///< and read
    uint64_t dropped = 0;                     ///< blocks that came while the queue was full, or in a pause
    uint64_t pauses = 0;                      ///< since so many in a row could not be written
    uint64_t failures = 0;                    ///< blocks that could not be written, or were damaged
    uint64_t slots = 0, bytes = 0;            ///< that the file has now
  };
  Figures figures() const;
  /// The first of the failures.
  std::optional<Error> firstFailure() const;
  /// Why it took no blocks for a while, the first time: E1522.
  std::optional<Error> firstOfPauses() const;
  uint64_t capacity() const { return most; } ///< slots
  uint64_t slotBytes() const { return slotSize; }

private:
  struct Slot {
    Key key = {};                       ///< zeros where it has none
    uint32_t parts = 0;                 ///< bits: there
    int32_t chained = none;             ///< the next of its bucket
    int32_t older = none, newer = none; ///< in the list of those that have a key
  };
  struct Job {
    uint8_t *bytes;
    Key key;
    size_t part;
    int32_t slot;
  };
  static constexpr int32_t none = -1;

  explicit SpillFile(const Options &options);
  Status openFile();
  Status expectHeader(uint64_t size);
  Status writeHeader();
  void readSlots(uint64_t size);
  void run();
  Status write(const Job &job, uint32_t parts);
  Status writeAt(const void *bytes, size_t size, uint64_t offset);
  void fail(Error error);
  void failedToWrite(Error error);

  size_t bucketOf(const Key &key) const;
  int32_t find(const Key &key) const;
  bool isThere(int32_t slot, const Key &key, size_t part) const;
  const Job *queuedJob(const Key &key, size_t part) const;
  int32_t slotFor(const Key &key);
  void insert(int32_t slot, const Key &key);
  void remove(int32_t slot);
  void removeEmpty(int32_t slot);
  void unlink(int32_t slot);
  void moveToEnd(int32_t slot);
  uint64_t offsetOf(int32_t slot) const;

  Options options;
  int fd = -1;
  uint64_t slotSize = 0, most = 0;
  size_t largest = 0;           ///< bytes of a part
  std::vector<uint64_t> places; ///< of the parts in a slot
  std::unique_ptr<uint8_t[]> rooms, reading;
  uint64_t begun = 0; ///< slots so far, for the order; of the thread that writes
  std::thread thread;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::vector<Slot> slots;
  std::vector<int32_t> buckets, unused; ///< heads of chains, a power of two; slots without a key
  int32_t oldest = none, newest = none;
  std::vector<uint8_t *> freeRooms;
  std::deque<Job> queue; ///< the first is being written
  bool ending = false;
  Figures counted;
  std::optional<Error> first, paused;
  uint32_t failuresInRow = 0; ///< of writing
  uint64_t toForget = 0, nextPause = firstPause;
};

} // namespace stepdown
