// The file is reserved in full before anything is written, so that a full disk is known at once; then it is filled
// through a shared mapping: weights are packed straight into place, and the compiler's own memory does not grow with
// the model.
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Checkpoint/PackedFormat.h"
#include "llvm/Support/MathExtras.h"
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace stepdown {
namespace {

constexpr uint64_t kAlign = 64;

/// Appends records and says where they went.
class Tables {
public:
  template <typename T> stepdown_table add(const std::vector<T> &records) {
    bytes.resize(llvm::alignTo(bytes.size(), 8));
    stepdown_table table{uint32_t(bytes.size()), uint32_t(records.size())};
    const auto *from = reinterpret_cast<const uint8_t *>(records.data());
    bytes.insert(bytes.end(), from, from + records.size() * sizeof(T));
    return table;
  }
  std::vector<uint8_t> bytes;
};

class Names {
public:
  uint32_t add(const std::string &name) {
    uint32_t at = bytes.size();
    bytes.insert(bytes.end(), name.c_str(), name.c_str() + name.size() + 1);
    return at;
  }
  std::vector<char> bytes;
};

/// Offsets and sizes of the packed weights; total bytes.
uint64_t placeWeights(const Program &program, std::vector<stepdown_weight> &records, Names &names) {
  uint64_t at = 0;
  for (const ProgramWeight &w : program.weights) {
    stepdown_weight record{};
    record.name = names.add(w.tensor);
    record.storage = w.storage;
    record.packing = w.packing;
    record.rank = w.dims.size();
    uint64_t count = 1;
    for (size_t d = 0; d < 4; ++d)
      record.dims[d] = d < w.dims.size() ? w.dims[d] : 1, count *= record.dims[d];
    record.offset = at;
    record.bytes = w.packing == STEPDOWN_PACKING_TILES16
                       ? packedBytes(*blockFormat(Storage(w.storage)), w.dims[1], w.dims[0])
                       : llvm::alignTo(count, 16) * 4;
    at = llvm::alignTo(at + record.bytes, kAlign);
    records.push_back(record);
  }
  return at + kAlign; // kernels may read a little past the last
}

std::vector<uint8_t> layOutProgram(Program &program, const std::vector<LevelCode> &code,
                                   const std::vector<stepdown_weight> &weights, Names &names) {
  std::vector<stepdown_kernel> kernels;
  for (const std::string &name : program.kernels)
    kernels.push_back({names.add(name), 0});
  for (size_t i = 0; i < program.buffers.size(); ++i)
    program.buffers[i].name = names.add(program.bufferNames[i]);
  std::vector<stepdown_code_entry> entries;
  for (const LevelCode &level : code)
    for (const std::string &name : program.kernels)
      for (size_t b = 0; b < program.buckets.size(); ++b) {
        auto found = level.code.entries.find(name + "_b" + std::to_string(b));
        entries.push_back({found == level.code.entries.end() ? ~uint64_t(0) : found->second});
      }
  Tables tables;
  tables.bytes.resize(sizeof(stepdown_program));
  stepdown_program header = program.header;
  header.buckets = tables.add(program.buckets);
  header.buffers = tables.add(program.buffers);
  header.groups = tables.add(program.groups);
  header.layers = tables.add(program.layers);
  header.kinds = tables.add(program.kinds);
  header.weights = tables.add(weights);
  header.weight_lists = tables.add(program.weightLists);
  header.kernels = tables.add(kernels);
  header.code = tables.add(entries);
  header.dispatches = tables.add(program.dispatches);
  header.operands = tables.add(program.operands);
  header.strings = tables.add(names.bytes);
  std::memcpy(tables.bytes.data(), &header, sizeof header);
  return std::move(tables.bytes);
}

struct Job {
  const ProgramWeight *weight;
  const GgufTensor *tensor;
  uint8_t *out;
  size_t firstTile, lastTile;
};

/// Cuts the weights into pieces of about a megabyte.
Status planJobs(const Gguf &checkpoint, const Program &program, const std::vector<stepdown_weight> &records,
                uint8_t *section, std::vector<Job> &jobs) {
  for (size_t i = 0; i < records.size(); ++i) {
    const ProgramWeight &w = program.weights[i];
    uint8_t *out = section + records[i].offset;
    if (!w.table.empty()) {
      std::memcpy(out, w.table.data(), w.table.size() * 4);
      continue;
    }
    const GgufTensor *tensor = checkpoint.tensor(w.tensor);
    if (!tensor)
      return fail(ErrorCode::ModelTensorMissing, "%s: expects tensor '%s'", checkpoint.file().path().c_str(),
                  w.tensor.c_str());
    if (w.packing == STEPDOWN_PACKING_ROWS) {
      jobs.push_back({&w, tensor, out, 0, 0});
      continue;
    }
    const size_t tiles = llvm::divideCeil(w.dims[1], kPackedRows);
    const size_t tileBytes = records[i].bytes / tiles, piece = std::max<size_t>(1, (1 << 20) / tileBytes);
    for (size_t first = 0; first < tiles; first += piece)
      jobs.push_back({&w, tensor, out + first * tileBytes, first, std::min(tiles, first + piece)});
  }
  return Done{};
}

void runJob(const Job &job) {
  const BlockFormat &format = *blockFormat(job.tensor->storage);
  const size_t columns = job.tensor->dims[0], rowBytes = columns / format.elements * format.bytes;
  const uint8_t *source = job.tensor->data + job.weight->firstRow * rowBytes;
  if (job.weight->packing == STEPDOWN_PACKING_TILES16)
    packTiles(format, source, job.weight->dims[1], columns, job.firstTile, job.lastTile, job.out);
  else
    decode(format, job.tensor->data + job.weight->firstRow * format.bytes, job.weight->dims[0] / format.elements,
           reinterpret_cast<float *>(job.out));
}

struct TemporaryFile {
  std::string path;
  int fd = -1;
  void *map = MAP_FAILED;
  size_t size = 0;
  bool kept = false;
  ~TemporaryFile() {
    if (map != MAP_FAILED)
      munmap(map, size);
    if (fd >= 0)
      close(fd);
    if (!kept && !path.empty())
      unlink(path.c_str());
  }
};

} // namespace

Status writeArtifact(const std::string &path, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress) {
  Names names;
  names.add("");
  std::vector<stepdown_weight> records;
  const uint64_t weightBytes = placeWeights(parts.program, records, names);
  const std::vector<uint8_t> program = layOutProgram(parts.program, parts.code, records, names);
  const Gguf &checkpoint = *parts.checkpoint;
  const uint64_t pairs = checkpoint.metadataCount();
  std::vector<uint8_t> metadata(sizeof pairs);
  std::memcpy(metadata.data(), &pairs, sizeof pairs);
  metadata.insert(metadata.end(), checkpoint.file().data() + checkpoint.metadataBegin(),
                  checkpoint.file().data() + checkpoint.metadataEnd());

  stepdown_header header{};
  std::memcpy(header.magic, STEPDOWN_ARTIFACT_MAGIC, sizeof header.magic);
  header.abi_version = STEPDOWN_ABI_VERSION;
  uint64_t at = STEPDOWN_PAGE;
  auto section = [&](uint32_t kind, uint32_t level, uint64_t size) {
    header.sections[header.section_count++] = {kind, level, at, size, 0};
    at = llvm::alignTo(at + size, STEPDOWN_PAGE);
  };
  section(STEPDOWN_SECTION_METADATA, 0, metadata.size());
  section(STEPDOWN_SECTION_PROGRAM, 0, program.size());
  for (const LevelCode &level : parts.code)
    section(STEPDOWN_SECTION_CODE, level.level->id, level.code.bytes.size());
  section(STEPDOWN_SECTION_PROVENANCE, 0, parts.provenance.size());
  section(STEPDOWN_SECTION_WEIGHTS, 0, weightBytes);
  header.file_size = at;

  TemporaryFile file;
  file.path = path + ".part" + std::to_string(getpid());
  auto writeError = [&](const char *what, int reason) {
    return fail(ErrorCode::FileWrite, "%s: cannot %s: %s", path.c_str(), what, std::strerror(reason));
  };
  file.fd = open(file.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file.fd < 0) {
    int reason = errno;
    file.path.clear();
    return writeError("create the file", reason);
  }
  if (int reason = posix_fallocate(file.fd, 0, at))
    return writeError(("reserve " + std::to_string(at) + " bytes").c_str(), reason);
  file.size = at;
  file.map = mmap(nullptr, at, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
  if (file.map == MAP_FAILED)
    return writeError("map the file", errno);
  auto *bytes = static_cast<uint8_t *>(file.map);

  std::vector<const std::vector<uint8_t> *> contents = {&metadata, &program};
  for (const LevelCode &level : parts.code)
    contents.push_back(&level.code.bytes);
  const std::vector<uint8_t> provenance(parts.provenance.begin(), parts.provenance.end());
  contents.push_back(&provenance);
  for (size_t i = 0; i < contents.size(); ++i)
    std::memcpy(bytes + header.sections[i].offset, contents[i]->data(), contents[i]->size());

  std::vector<Job> work;
  stepdown_section &weights = header.sections[header.section_count - 1];
  if (Status status = planJobs(checkpoint, parts.program, records, bytes + weights.offset, work); !status)
    return status.error();
  std::atomic<size_t> next{0}, done{0};
  std::mutex reporting;
  auto worker = [&] {
    for (size_t i; (i = next++) < work.size();) {
      runJob(work[i]);
      size_t finished = ++done;
      if (progress) {
        std::lock_guard<std::mutex> lock(reporting);
        progress(weightBytes * finished / work.size(), weightBytes);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < jobs; ++i)
    threads.emplace_back(worker);
  worker();
  for (std::thread &thread : threads)
    thread.join();

  for (uint32_t i = 0; i < header.section_count; ++i)
    header.sections[i].checksum = XXH3_64bits(bytes + header.sections[i].offset, header.sections[i].size);
  static_assert(sizeof header <= STEPDOWN_PAGE);
  std::memcpy(bytes, &header, sizeof header);
  reinterpret_cast<stepdown_header *>(bytes)->checksum = XXH3_64bits(bytes, STEPDOWN_PAGE);
  if (rename(file.path.c_str(), path.c_str()) != 0)
    return writeError("rename the finished file", errno);
  file.kept = true;
  return Done{};
}

} // namespace stepdown
