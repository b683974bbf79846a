#include "runtime/PrefixTree/SpillFile.h"

#include "runtime/Checksum.h"
#include "runtime/PrefixTree/SpillLayout.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <unistd.h>

namespace stepdown {

using namespace SpillLayout;

namespace {

// A room is the key, the number of the part, its bytes and their checksum; the file has the last two.
constexpr size_t before = sizeof(SpillFile::Key) + sizeof(uint64_t), behind = sizeof(uint64_t);

uint64_t sumOf(uint8_t *room, const SpillFile::Key &key, uint64_t part, size_t bytes) {
  std::memcpy(room, key.data(), key.size());
  std::memcpy(room + key.size(), &part, sizeof part);
  return checksumOf(room, before + bytes);
}

} // namespace

ssize_t SpillLayout::readAt(int fd, void *to, size_t size, uint64_t offset) {
  size_t got = 0;
  while (got < size) {
    const ssize_t some = ::pread(fd, static_cast<uint8_t *>(to) + got, size - got, static_cast<off_t>(offset + got));
    if (some < 0 && errno == EINTR)
      continue;
    if (some < 0)
      return -1;
    if (some == 0)
      break;
    got += static_cast<size_t>(some);
  }
  return static_cast<ssize_t>(got);
}

SpillFile::SpillFile(const Options &options) : options(options) {
  slotSize = sizeof(SlotHeader);
  for (uint64_t bytes : options.parts) {
    places.push_back(slotSize);
    slotSize += bytes + behind;
    largest = std::max<size_t>(largest, bytes);
  }
  slotSize = (slotSize + page - 1) / page * page;
  most = options.bytes > page ? std::min((options.bytes - page) / slotSize, mostSlots) : 0;
}

Result<std::unique_ptr<SpillFile>> SpillFile::open(const Options &options) {
  std::unique_ptr<SpillFile> file(new SpillFile(options));
  if (!file->most)
    return stepdown::fail(ErrorCode::SpillSize,
                          "%s: expects at least %llu bytes, for one block of each group of layers, but got %llu",
                          options.path.c_str(), static_cast<unsigned long long>(page + file->slotSize),
                          static_cast<unsigned long long>(options.bytes));
  size_t heads = 16;
  while (heads < file->most)
    heads *= 2;
  file->buckets.assign(heads, none);
  if (Status opened = file->openFile(); !opened)
    return opened.error();
  const size_t each = before + file->largest + behind;
  const size_t count = std::clamp<size_t>(options.queueBytes / each, 2, 256);
  file->rooms.reset(new uint8_t[count * each]); // whose pages become memory when they are first filled
  file->reading.reset(new uint8_t[each]);
  for (size_t i = 0; i < count; ++i)
    file->freeRooms.push_back(file->rooms.get() + i * each);
  file->thread = std::thread([raw = file.get()] { raw->run(); });
  return file;
}

SpillFile::~SpillFile() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    ending = true;
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
  if (fd >= 0)
    ::close(fd);
}

Status SpillFile::writeAt(const void *bytes, size_t size, uint64_t offset) {
  for (size_t done = 0; done < size;) {
    const ssize_t some =
        ::pwrite(fd, static_cast<const uint8_t *>(bytes) + done, size - done, static_cast<off_t>(offset + done));
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0)
      return stepdown::fail(ErrorCode::FileWrite, "%s: cannot write: %s", options.path.c_str(),
                            std::strerror(some ? errno : ENOSPC));
    done += static_cast<size_t>(some);
  }
  return Done{};
}

uint64_t SpillFile::offsetOf(int32_t slot) const { return page + static_cast<uint64_t>(slot) * slotSize; }

// The bytes of a key are as good as random.
size_t SpillFile::bucketOf(const Key &key) const {
  uint64_t word;
  std::memcpy(&word, key.data(), sizeof word);
  return word & (buckets.size() - 1);
}

int32_t SpillFile::find(const Key &key) const {
  int32_t slot = buckets[bucketOf(key)];
  while (slot != none && slots[static_cast<size_t>(slot)].key != key)
    slot = slots[static_cast<size_t>(slot)].chained;
  return slot;
}

void SpillFile::insert(int32_t slot, const Key &key) {
  int32_t &head = buckets[bucketOf(key)];
  slots[static_cast<size_t>(slot)] = {key, 0, head, none, none};
  head = slot;
  moveToEnd(slot);
}

void SpillFile::remove(int32_t slot) {
  int32_t *link = &buckets[bucketOf(slots[static_cast<size_t>(slot)].key)];
  while (*link != slot)
    link = &slots[static_cast<size_t>(*link)].chained;
  *link = slots[static_cast<size_t>(slot)].chained;
  unlink(slot);
  slots[static_cast<size_t>(slot)] = Slot();
  unused.push_back(slot);
}

// A slot that has a key and nothing of it, nor is to have.
void SpillFile::removeEmpty(int32_t slot) {
  const Slot &its = slots[static_cast<size_t>(slot)];
  if (!its.parts && std::none_of(queue.begin(), queue.end(), [&](const Job &job) { return job.key == its.key; }))
    remove(slot);
}

void SpillFile::unlink(int32_t slot) {
  Slot &its = slots[static_cast<size_t>(slot)];
  if (its.older != none || oldest == slot)
    (its.older != none ? slots[static_cast<size_t>(its.older)].newer : oldest) = its.newer;
  if (its.newer != none || newest == slot)
    (its.newer != none ? slots[static_cast<size_t>(its.newer)].older : newest) = its.older;
  its.older = its.newer = none;
}

void SpillFile::moveToEnd(int32_t slot) {
  unlink(slot);
  slots[static_cast<size_t>(slot)].older = newest;
  (newest != none ? slots[static_cast<size_t>(newest)].newer : oldest) = slot;
  newest = slot;
}

const SpillFile::Job *SpillFile::queuedJob(const Key &key, size_t part) const {
  const auto found =
      std::find_if(queue.begin(), queue.end(), [&](const Job &job) { return job.part == part && job.key == key; });
  return found == queue.end() ? nullptr : &*found;
}

// Whether the part is in the slot of its key, or on its way there.
bool SpillFile::isThere(int32_t slot, const Key &key, size_t part) const {
  return slot != none && (slots[static_cast<size_t>(slot)].parts >> part & 1 || queuedJob(key, part));
}

bool SpillFile::has(const Key &key, size_t part) const {
  std::lock_guard<std::mutex> lock(mutex);
  return isThere(find(key), key, part);
}

void SpillFile::touch(const Key &key) {
  std::lock_guard<std::mutex> lock(mutex);
  if (const int32_t slot = find(key); slot != none)
    moveToEnd(slot);
}

uint8_t *SpillFile::room(bool waits) {
  std::unique_lock<std::mutex> lock(mutex);
  if (waits)
    changed.wait(lock, [&] { return toForget || !freeRooms.empty(); });
  if (toForget || freeRooms.empty()) {
    toForget -= toForget != 0;
    ++counted.dropped;
    return nullptr;
  }
  uint8_t *room = freeRooms.back();
  freeRooms.pop_back();
  return room + before;
}

void SpillFile::put(uint8_t *room, const Key &key, size_t part, bool good) {
  std::lock_guard<std::mutex> lock(mutex);
  if (good) { // a slot now, so that which keys are there does not follow how fast they are written
    const int32_t slot = find(key);
    queue.push_back({room - before, key, part, slot != none ? slot : slotFor(key)});
  } else {
    freeRooms.push_back(room - before);
  }
  changed.notify_all();
}

void SpillFile::flush() {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return queue.empty(); });
}

// The caller has the lock.
void SpillFile::fail(Error error) {
  ++counted.failures;
  if (!first)
    first = std::move(error);
}

// The caller has the lock. What is queued already is tried all the same.
void SpillFile::failedToWrite(Error error) {
  if (++failuresInRow >= mostFailures && !toForget) {
    toForget = nextPause;
    nextPause = std::min(nextPause * 2, longestPause);
    ++counted.pauses;
    if (!paused)
      paused =
          stepdown::fail(ErrorCode::SpillPaused,
                         "%s: %u blocks in a row could not be written: the next %llu are forgotten, then it is tried "
                         "again, and twice as many if it fails again",
                         options.path.c_str(), failuresInRow, static_cast<unsigned long long>(toForget));
  }
  fail(std::move(error));
}

// A slot for a new key: one that has none, a further one, or that which was used longest ago.
int32_t SpillFile::slotFor(const Key &key) {
  if (unused.empty() && slots.size() < most) {
    slots.emplace_back();
    unused.push_back(static_cast<int32_t>(slots.size() - 1));
  }
  if (unused.empty())
    remove(oldest);
  const int32_t slot = unused.back();
  unused.pop_back();
  insert(slot, key);
  return slot;
}

void SpillFile::run() {
  sigset_t beyond; // a limit of file sizes is an error, not the end
  sigemptyset(&beyond);
  sigaddset(&beyond, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &beyond, nullptr);
  std::unique_lock<std::mutex> lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return !queue.empty() || ending; });
    if (queue.empty())
      return;
    const Job job = queue.front();
    Slot &slot = slots[static_cast<size_t>(job.slot)];
    const uint32_t bit = uint32_t(1) << job.part, parts = slot.parts | bit;
    const auto isIts = [&] { return slots[static_cast<size_t>(job.slot)].key == job.key; };
    if (isIts() && parts != slot.parts) {
      lock.unlock();
      Status written = write(job, parts);
      lock.lock();
      if (written) {
        ++counted.spilled;
        counted.spilledBytes += options.parts[job.part];
        failuresInRow = 0;
        nextPause = firstPause;
      } else {
        failedToWrite(written.error());
      }
      if (isIts()) // else it was taken for another key meanwhile, whose parts are queued behind
        slots[static_cast<size_t>(job.slot)].parts |= written ? bit : 0;
    }
    queue.pop_front();
    if (isIts())
      removeEmpty(job.slot);
    freeRooms.push_back(job.bytes);
    changed.notify_all();
  }
}

// The part, and then that it is there.
Status SpillFile::write(const Job &job, uint32_t parts) {
  const size_t bytes = options.parts[job.part];
  const uint64_t sum = sumOf(job.bytes, job.key, job.part, bytes);
  std::memcpy(job.bytes + before + bytes, &sum, sizeof sum);
  if (Status ok = writeAt(job.bytes + before, bytes + behind, offsetOf(job.slot) + places[job.part]); !ok)
    return ok;
  SlotHeader header = {};
  header.key = job.key;
  header.number = begun++;
  header.parts = parts;
  header.checksum = checksumOf(&header, offsetof(SlotHeader, checksum));
  return writeAt(&header, sizeof header, offsetOf(job.slot));
}

const uint8_t *SpillFile::read(const Key &key, size_t part) {
  const size_t bytes = options.parts[part];
  uint8_t *const to = reading.get() + before;
  std::unique_lock<std::mutex> lock(mutex);
  const auto count = [&] {
    ++counted.restored;
    counted.restoredBytes += bytes;
    return to;
  };
  const int32_t slot = find(key);
  if (!isThere(slot, key, part))
    return nullptr;
  if (const Job *job = queuedJob(key, part)) {
    std::memcpy(to, job->bytes + before, bytes);
    return count();
  }
  lock.unlock(); // nobody else takes it for another key
  const uint64_t offset = offsetOf(slot) + places[part];
  const ssize_t got = readAt(fd, to, bytes + behind, offset);
  const int why = errno;
  const bool whole = got == static_cast<ssize_t>(bytes + behind);
  uint64_t sum = 0;
  if (whole)
    std::memcpy(&sum, to + bytes, sizeof sum);
  const bool good = whole && sum == sumOf(reading.get(), key, part, bytes);
  lock.lock();
  if (good)
    return count();
  fail(stepdown::fail(ErrorCode::SpillDamaged,
                      "%s: offset %llu: expects a block of %zu bytes with its checksum, but %s", options.path.c_str(),
                      static_cast<unsigned long long>(offset), bytes,
                      got < 0 ? std::strerror(why)
                      : whole ? "they have another"
                              : "the file ends"));
  slots[static_cast<size_t>(slot)].parts &= ~(uint32_t(1) << part); // it is not there from now on
  removeEmpty(slot);
  return nullptr;
}

SpillFile::Figures SpillFile::figures() const {
  std::lock_guard<std::mutex> lock(mutex);
  Figures now = counted;
  now.slots = slots.size() - unused.size();
  now.bytes = slots.size() * slotSize + page;
  return now;
}

std::optional<Error> SpillFile::firstFailure() const {
  std::lock_guard<std::mutex> lock(mutex);
  return first;
}

std::optional<Error> SpillFile::firstOfPauses() const {
  std::lock_guard<std::mutex> lock(mutex);
  return paused;
}

} // namespace stepdown
