// The section is cut into chunks of a few megabytes. A thread takes the next chunk, packs it into its own buffer, waits
// for its turn, and then adds it to the checksum and writes it: packing runs in parallel, the file and the checksum
// grow in order, and memory is bounded by one buffer a thread however large the model is.
//
// The file is written in pieces that begin and end at multiples of 2 MiB, but for its ends: of such a piece Linux makes
// large folios of its page cache, up to one huge page, through which a mapped weight is read up to a quarter faster
// than through pages that lie anywhere (docs/performance.md).
#include "lib/Artifact/WeightPacker.h"
#include "lib/Base/MappedFile.h"
#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace stepdown {
namespace {
constexpr uint64_t kChunkBytes = 4 << 20, kPieceBytes = 2 << 20;
constexpr uint64_t kFloatsOfChunk = kChunkBytes / sizeof(float); // whole blocks of every storage type

uint64_t product(const std::vector<int64_t> &dims, size_t from) {
  uint64_t count = 1;
  for (size_t d = from; d < dims.size(); ++d)
    count *= static_cast<uint64_t>(dims[d]);
  return count;
}

/// A piece of one weight: tiles, or floats of rows.
struct Chunk {
  size_t entry;
  uint64_t first, last;
  uint64_t packed;        // bytes of it; the last chunk of a weight goes on with the zeros before the next one
  uint64_t offset, bytes; // in the section, zeros included
};

std::vector<Chunk> cut(const PackedWeights &plan) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    const WeightEntry &entry = plan.entries[i];
    const PackedWeight &place = plan.places[i];
    if (entry.isAdapter)
      continue;
    uint64_t count, unitBytes, piece;
    if (entry.layout) {
      count = tilesOf(*entry.layout, product(entry.packedDims(), 1));
      unitBytes = place.bytes / count;
      piece = std::max<uint64_t>(1, kChunkBytes / unitBytes);
    } else {
      count = product(entry.packedDims(), 0);
      unitBytes = sizeof(float);
      piece = kFloatsOfChunk;
    }
    size_t next = i + 1;
    while (next < plan.places.size() && plan.entries[next].isAdapter)
      ++next;
    const uint64_t end = next < plan.places.size() ? plan.places[next].offset : plan.bytes;
    for (uint64_t first = 0; first < count; first += piece) {
      const uint64_t last = std::min(count, first + piece), offset = place.offset + first * unitBytes;
      const uint64_t packed = (last - first) * unitBytes;
      chunks.push_back({i, first, last, packed, offset, last == count ? end - offset : packed});
    }
  }
  return chunks;
}

/// Elements [first, last) of a padded vector; all of it is decoded for each chunk, of which few vectors have a second.
void packVector(const WeightEntry &entry, const uint8_t *source, uint64_t first, uint64_t last, float *out) {
  const BlockFormat &format = *blockFormat(static_cast<Storage>(entry.storage));
  std::vector<float> values(entry.dims[0]);
  decode(format, source, values.size() / format.elements, values.data());
  for (uint64_t i = first; i < last; ++i)
    if (entry.padding.isStored(i))
      out[i - first] = values[entry.padding.storedBefore(i)];
}

/// `out` for a chunk, and `room` for rows that are made for it.
void pack(const PackedWeights &plan, const Chunk &chunk, std::vector<uint8_t> &out, std::vector<uint8_t> &room) {
  const WeightEntry &entry = plan.entries[chunk.entry];
  const uint8_t *source = plan.places[chunk.entry].source;
  const StoredTensor *made = plan.places[chunk.entry].made;
  const bool mapped = plan.places[chunk.entry].mapped;
  const Layout *layout = entry.layout;
  out.resize(chunk.bytes);
  const uint64_t packed = layout ? chunk.packed : 0; // tiles are written whole, zeros included
  std::fill(out.begin() + packed, out.end(), 0);
  if (!source && !made) {
    std::memcpy(out.data(), entry.table.data() + chunk.first, (chunk.last - chunk.first) * sizeof(float));
    return;
  }
  const BlockFormat &format = *blockFormat(static_cast<Storage>(entry.storage));
  if (layout) {
    const uint64_t columns = entry.dims[0], rows = product(entry.dims, 1);
    const uint64_t rowBytes = columns / format.elements * format.bytes;
    const uint64_t first = std::min(rows, entry.padding.storedBefore(chunk.first * layout->rows));
    const uint64_t last = std::min(rows, entry.padding.storedBefore(chunk.last * layout->rows));
    if (made)
      source = made->read(entry.firstRow + first, last - first, room);
    packTilesFrom(*layout, format, source, made ? first : 0, rows, columns, chunk.first, chunk.last, out.data(),
                  entry.padding, plan.places[chunk.entry].scales.data());
    if (mapped && !made)
      leavePages(source + first * rowBytes, (last - first) * rowBytes);
    return;
  }
  if (made) { // whole rows, of which some of the first and of the last are not asked for
    const uint64_t columns = made->dims[0], begin = chunk.first / columns;
    const uint64_t end = (chunk.last + columns - 1) / columns;
    std::vector<float> values((end - begin) * columns);
    decode(format, made->read(entry.firstRow + begin, end - begin, room), values.size() / format.elements,
           values.data());
    std::memcpy(out.data(), values.data() + (chunk.first - begin * columns),
                (chunk.last - chunk.first) * sizeof(float));
    return;
  }
  if (!entry.padding.none())
    return packVector(entry, source, chunk.first, chunk.last, reinterpret_cast<float *>(out.data()));
  const uint8_t *from = source + chunk.first / format.elements * format.bytes;
  const uint64_t blocks = (chunk.last - chunk.first) / format.elements;
  decode(format, from, blocks, reinterpret_cast<float *>(out.data()));
  if (mapped)
    leavePages(from, blocks * format.bytes);
}

class Writer {
public:
  Writer(const PackedWeights &plan, const std::string &path, int fd, uint64_t fileOffset,
         const std::function<void(uint64_t, uint64_t)> &progress)
      : plan(plan), path(path), fd(fd), fileOffset(fileOffset), progress(progress), chunks(cut(plan)) {
    XXH3_64bits_reset(&hash);
  }

  void work() {
    std::vector<uint8_t> buffer, room;
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex);
      if (next == chunks.size() || failure)
        return;
      const size_t index = next++;
      lock.unlock();
      pack(plan, chunks[index], buffer, room);
      lock.lock();
      turns.wait(lock, [&] { return turn == index || failure; });
      if (failure)
        return;
      XXH3_64bits_update(&hash, buffer.data(), buffer.size());
      if (Status status = append(buffer, index + 1 == chunks.size()); !status)
        failure = status.error();
      else if (progress)
        progress(chunks[index].offset + buffer.size(), plan.bytes);
      ++turn;
      turns.notify_all();
    }
  }

  std::optional<Error> failure;
  XXH3_state_t hash;

private:
  /// Writes what comes next in the file, up to the last whole piece; what is left waits for the next bytes.
  Status append(const std::vector<uint8_t> &buffer, bool last) {
    const uint8_t *from = buffer.data(), *end = from + buffer.size();
    if (!waiting.empty()) {
      const uint64_t missing = kPieceBytes - (fileOffset + written + waiting.size()) % kPieceBytes;
      const uint8_t *to = from + std::min<uint64_t>(missing, end - from);
      waiting.insert(waiting.end(), from, to);
      from = to;
      if ((fileOffset + written + waiting.size()) % kPieceBytes == 0 || last) {
        if (Status status = write(waiting.data(), waiting.size()); !status)
          return status;
        waiting.clear();
      }
    }
    const uint64_t left = end - from, beyond = (fileOffset + written + left) % kPieceBytes;
    const uint64_t now = last ? left : left - std::min(left, beyond);
    if (waiting.empty() && now)
      if (Status status = write(from, now); !status)
        return status;
    if (waiting.empty())
      waiting.assign(from + now, end);
    return Done{};
  }
  Status write(const uint8_t *from, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
      const ssize_t some = pwrite(fd, from + done, bytes - done, fileOffset + written);
      if (some < 0 && errno == EINTR)
        continue;
      if (some <= 0)
        return fail(ErrorCode::FileWrite, "%s: offset %llu: expects to write %zu bytes of weights, but: %s",
                    path.c_str(), static_cast<unsigned long long>(fileOffset + written), bytes - done,
                    std::strerror(some < 0 ? errno : ENOSPC));
      done += some;
      written += some;
    }
    return Done{};
  }

  const PackedWeights &plan;
  const std::string &path;
  const int fd;
  const uint64_t fileOffset;
  const std::function<void(uint64_t, uint64_t)> &progress;
  const std::vector<Chunk> chunks;
  std::mutex mutex; // guards everything below, failure, hash and the file
  std::condition_variable turns;
  size_t next = 0;              // chunk that nobody has taken
  size_t turn = 0;              // chunk that is written next
  std::vector<uint8_t> waiting; // behind what is written: less than a piece
  uint64_t written = 0;         // bytes of the section
};

/// Where the entry begins in the checkpoint, or why it cannot be packed.
Result<const uint8_t *> locate(const Checkpoint &checkpoint, const WeightEntry &entry) {
  const char *file = checkpoint.path().c_str(), *name = entry.tensor.c_str();
  const StoredTensor *tensor = checkpoint.tensor(entry.tensor);
  if (!tensor)
    return fail(ErrorCode::ModelTensorMissing, "%s: expects tensor '%s'", file, name);
  const BlockFormat &format = *blockFormat(tensor->storage);
  if (entry.storage != static_cast<uint32_t>(tensor->storage))
    return fail(ErrorCode::WeightMismatch, "%s: tensor '%s': expects storage type %u, but it is stored as %s", file,
                name, entry.storage, format.name);
  uint64_t total = 1;
  for (int d = 0; d < tensor->rank; ++d)
    total *= tensor->dims[d];
  // A vector is cut between any elements, a matrix between rows.
  const uint64_t unit = entry.dims.size() == 1 ? 1 : tensor->dims[0];
  const uint64_t begin = entry.firstRow * unit, count = product(entry.dims, 0);
  if ((entry.dims.size() > 1 && static_cast<uint64_t>(entry.dims[0]) != unit) || entry.firstRow < 0 || begin > total ||
      count > total - begin)
    return fail(
        ErrorCode::WeightMismatch,
        "%s: tensor '%s': expects %llu elements in rows of %lld from row %lld on, but it has %llu in rows of %llu",
        file, name, static_cast<unsigned long long>(count), static_cast<long long>(entry.dims[0]),
        static_cast<long long>(entry.firstRow), static_cast<unsigned long long>(total),
        static_cast<unsigned long long>(tensor->dims[0]));
  const WeightPadding &padding = entry.padding;
  const uint64_t block = entry.layout ? packedBlock(*entry.layout, format).columns : format.elements;
  const uint64_t whole = padding.columns ? format.elements : block;
  if (begin % format.elements != 0 || entry.dims[0] % whole != 0)
    return fail(ErrorCode::WeightMismatch,
                "%s: tensor '%s': expects rows of whole blocks of %llu elements, but they have %lld from %llu on", file,
                name, static_cast<unsigned long long>(whole), static_cast<long long>(entry.dims[0]),
                static_cast<unsigned long long>(begin));
  if (padding.group == 0 || padding.groupRoom < padding.group || entry.dims.back() % padding.group != 0 ||
      (padding.columns && (!entry.layout || format.isQuantised() ||
                           padding.columns < static_cast<uint64_t>(entry.dims[0]) || padding.columns % block != 0)))
    return fail(
        ErrorCode::WeightMismatch,
        "%s: tensor '%s': expects padding of whole groups and of float columns to whole tiles, but got groups of "
        "%zu in %zu and %zu columns",
        file, name, padding.group, padding.groupRoom, padding.columns);
  if (!tensor->data) {
    if (entry.dims.size() < 2 || (!entry.layout && !padding.none()))
      return fail(ErrorCode::WeightMismatch,
                  "%s: tensor '%s': expects rows of a matrix, which are made, but got a "
                  "vector or padding",
                  file, name);
    return static_cast<const uint8_t *>(nullptr);
  }
  return tensor->data + begin / format.elements * format.bytes;
}
} // namespace

std::vector<int64_t> WeightEntry::packedDims() const {
  std::vector<int64_t> all = dims;
  if (padding.columns)
    all.front() = static_cast<int64_t>(padding.columns);
  if (padding.group != padding.groupRoom)
    all.back() = static_cast<int64_t>(padding.rows(dims.back()));
  return all;
}

Result<PackedWeights> planWeights(const Checkpoint &checkpoint, std::vector<WeightEntry> entries, uint64_t alignment) {
  auto aligned = [&](uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
  PackedWeights plan;
  for (const WeightEntry &entry : entries) {
    const bool sound = !entry.dims.empty() && entry.dims.size() <= 4 &&
                       std::all_of(entry.dims.begin(), entry.dims.end(), [](int64_t d) { return d > 0; });
    const bool table = !entry.table.empty();
    if (!sound || (table && (entry.layout || entry.table.size() != product(entry.dims, 0))))
      return fail(ErrorCode::WeightMismatch, "weight '%s': expects 1 to 4 dimensions that its values fill",
                  entry.tensor.c_str());
    PackedWeight place{};
    place.offset = plan.bytes;
    if (entry.isAdapter) {
      place.offset = plan.adapterBytes;
      place.bytes = aligned(product(entry.dims, 0) * sizeof(uint16_t));
      plan.adapterBytes += place.bytes;
      plan.places.push_back(std::move(place));
      continue;
    }
    if (!table) {
      Result<const uint8_t *> source = locate(checkpoint, entry);
      if (!source)
        return source.error();
      place.source = *source;
      const StoredTensor *tensor = checkpoint.tensor(entry.tensor);
      place.made = *source ? nullptr : tensor;
      place.mapped = tensor->mapped;
      place.isStack = entry.layout && tensor->dims[2] > 1;
      if (entry.layout) {
        Result<std::vector<float>> scales = checkpoint.rowScales(*tensor, entry.firstRow, product(entry.dims, 1));
        if (!scales)
          return scales.error();
        place.scales = std::move(*scales);
      }
    }
    const std::vector<int64_t> dims = entry.packedDims();
    place.bytes = entry.layout ? packedBytes(*entry.layout, *blockFormat(static_cast<Storage>(entry.storage)),
                                             product(dims, 1), dims[0])
                               : aligned(product(dims, 0) * sizeof(float));
    plan.bytes = aligned(plan.bytes + place.bytes);
    plan.places.push_back(std::move(place));
  }
  plan.bytes += alignment; // kernels may read that far past the last weight
  plan.adapterBytes += plan.adapterBytes ? alignment : 0;
  plan.entries = std::move(entries);
  return plan;
}

Status writeWeights(const PackedWeights &plan, const std::string &path, int fd, uint64_t fileOffset, int jobs,
                    const std::function<void(uint64_t, uint64_t)> &progress, uint64_t *checksum) {
  Writer writer(plan, path, fd, fileOffset, progress);
  std::vector<std::thread> team;
  for (int i = 1; i < jobs; ++i)
    team.emplace_back([&] { writer.work(); });
  writer.work();
  for (std::thread &thread : team)
    thread.join();
  if (writer.failure)
    return std::move(*writer.failure);
  *checksum = XXH3_64bits_digest(&writer.hash);
  return Done{};
}

} // namespace stepdown
