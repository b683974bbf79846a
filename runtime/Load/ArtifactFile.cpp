#include "runtime/Load/ArtifactFile.h"

#include "lib/Base/MappedFile.h"
#include "lib/Base/MappingGuard.h"
#include "lib/Base/Suggestion.h"
#include "runtime/Checksum.h"
#include "runtime/cpu/Processor.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {
namespace {
using ull = unsigned long long;

/// Lets go of the pages of stacks of experts in the mapped file `base`, which the checks have read: from here on they
/// are in memory where tokens are routed to them. `weights`: where their section begins.
void leaveStacks(const uint8_t *base, uint64_t weights, const std::vector<FileTarget> &targets) {
  for (const FileTarget &target : targets)
    for (const stepdown_weight &weight : target.program.weights)
      if (weight.packing == STEPDOWN_PACKING_STACK16)
        leavePages(base + weights + weight.offset, weight.bytes);
}
} // namespace

bool isArtifact(const std::string &path) {
  char magic[8] = {};
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // which waits for no pipe's writer
  if (fd < 0)
    return false;
  bool whole = ::read(fd, magic, sizeof magic) == sizeof magic;
  ::close(fd);
  return whole && !std::memcmp(magic, STEPDOWN_ARTIFACT_MAGIC, sizeof magic);
}

Result<ArtifactFile> ArtifactFile::open(const std::string &path, FileUse use) {
  ArtifactFile file;
  file.name = path;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // which waits for no pipe's writer
  if (fd < 0)
    return fail(ErrorCode::FileOpen, "%s: cannot open: %s", path.c_str(), std::strerror(errno));
  Status mapped = file.map(fd, use);
  ::close(fd);
  if (!mapped)
    return mapped.error();
  if (Status ok = file.checkHeader(); !ok)
    return ok.error();
  if (Status ok = file.checkTargets(); !ok)
    return ok.error();
  if (Status ok = file.checkSections(); !ok)
    return ok.error();
  if (use == FileUse::mapped)
    leaveStacks(file.base, file.functions ? 0 : file.head.sections[file.weightsIndex].offset, file.parts);
  return file;
}

// One page more than the file is reserved behind it, so that kernels may read 64 bytes past the last weight.
Status ArtifactFile::map(int fd, FileUse use) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorCode::FileOpen, "%s: expects a regular file", name.c_str());
  length = static_cast<uint64_t>(info.st_size);
  if (length < STEPDOWN_PAGE)
    return fail(ErrorCode::ArtifactSize, "%s: expects a header of %u bytes, but the file has %llu", name.c_str(),
                STEPDOWN_PAGE, (ull)length);
  reserved = (length + 2 * STEPDOWN_PAGE - 1) / STEPDOWN_PAGE * STEPDOWN_PAGE;
  if (use == FileUse::copied)
    return copy(fd);
  void *range = mmap(nullptr, reserved, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range != MAP_FAILED) {
    base = static_cast<const uint8_t *>(range);
    range = mmap(range, length, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
  }
  if (range == MAP_FAILED)
    return fail(ErrorCode::FileRead, "%s: cannot map %llu bytes: %s", name.c_str(), (ull)length, std::strerror(errno));
  noteMapping(base, length, name.c_str());
  return Done{};
}

Status ArtifactFile::copy(int fd) {
  void *range = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED)
    return fail(ErrorCode::OutOfMemory, "%s: expects %llu bytes of memory, but the system has no room for them",
                name.c_str(), (ull)length);
  base = static_cast<const uint8_t *>(range);
  for (uint64_t done = 0; done < length;) {
    ssize_t got = pread(fd, static_cast<uint8_t *>(range) + done, length - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(ErrorCode::FileRead, "%s: offset %llu: cannot read: %s", name.c_str(), (ull)done,
                  std::strerror(errno));
    if (got == 0)
      return fail(ErrorCode::FileRead, "%s: expects %llu bytes, but the file was cut short to %llu while it was read",
                  name.c_str(), (ull)length, (ull)done);
    done += static_cast<uint64_t>(got);
  }
  if (mprotect(range, reserved, PROT_READ) != 0)
    return fail(ErrorCode::FileRead, "%s: cannot protect its copy: %s", name.c_str(), std::strerror(errno));
  return Done{};
}

Status ArtifactFile::checkHeader() {
  std::memcpy(&head, base, sizeof head);
  const char *file = name.c_str();
  if (std::memcmp(head.magic, STEPDOWN_ARTIFACT_MAGIC, sizeof head.magic))
    return fail(ErrorCode::ArtifactMagic, "%s: offset 0: expects magic \"%s\"", file, STEPDOWN_ARTIFACT_MAGIC);
  if (head.abi_version != STEPDOWN_ABI_VERSION)
    return fail(ErrorCode::ArtifactVersion,
                "%s: offset 8: expects ABI version %u, but got %u, which another release wrote; compile the model "
                "again: stepdown-compile MODEL -o %s",
                file, STEPDOWN_ABI_VERSION, head.abi_version, file);
  if (head.file_size != length)
    return fail(ErrorCode::ArtifactSize, "%s: offset 16: expects a file of %llu bytes, but it has %llu", file,
                (ull)head.file_size, (ull)length);
  uint8_t page[STEPDOWN_PAGE];
  std::memcpy(page, base, sizeof page);
  std::memset(page + offsetof(stepdown_header, checksum), 0, sizeof head.checksum);
  // The copy is what was summed and what is used: `head` may not differ from it.
  std::memcpy(&head, page, sizeof head);
  uint64_t expected;
  std::memcpy(&expected, base + offsetof(stepdown_header, checksum), sizeof expected);
  head.checksum = expected;
  if (uint64_t actual = checksumOf(page, sizeof page); actual != expected)
    return fail(ErrorCode::ArtifactHeader, "%s: offset 24: expects header checksum %016llx, but got %016llx", file,
                (ull)expected, (ull)actual);
  if (head.section_count > STEPDOWN_MAX_SECTIONS)
    return fail(ErrorCode::ArtifactHeader, "%s: offset 12: expects at most %u sections, but got %u", file,
                STEPDOWN_MAX_SECTIONS, head.section_count);
  return Done{};
}

std::string_view ArtifactFile::provenance() const {
  return provenanceIndex < 0 ? std::string_view() : section(provenanceIndex);
}

Status ArtifactFile::expectModel() const {
  if (!holdsFunctions())
    return Done{};
  return fail(ErrorCode::ArtifactKind,
              "%s: expects a model, but the artifact holds %u functions of a plain module; use stepdown-run call",
              name.c_str(), parts.front().functions.functions.count);
}

Status ArtifactFile::expectFunctions() const {
  if (holdsFunctions())
    return Done{};
  return fail(ErrorCode::ArtifactKind,
              "%s: expects functions of a plain module, but the artifact holds a model; use stepdown-run generate",
              name.c_str());
}

const char *FileTarget::level(size_t section) const {
  const uint32_t number = code[section].level;
  return number ? levelName(number) : name.c_str();
}

Result<size_t> ArtifactFile::chooseLevel(const FileTarget &target, const Device &device, const char *level) const {
  const std::vector<CodeSection> &codes = target.code;
  std::string present;
  for (size_t i = 0; i < codes.size(); ++i)
    present += (present.empty() ? "" : ", ") + std::string(target.level(i));
  if (level) {
    uint32_t wanted = levelNamed(level);
    if (!wanted)
      return fail(ErrorCode::ArtifactLevel, "isa: expects %s, but got \"%s\"%s", alternatives(levelNames()).c_str(),
                  level, suggestion(level, levelNames()).c_str());
    for (size_t i = 0; i < codes.size(); ++i) {
      if (codes[i].level != wanted)
        continue;
      if (!device.accepts(wanted))
        return fail(ErrorCode::ArtifactLevel, "isa: expects a level that device %s executes here, but it lacks %s",
                    device.name(), level);
      return i;
    }
    return fail(ErrorCode::ArtifactLevel, "%s: expects code for %s, but the artifact holds %s", name.c_str(), level,
                present.empty() ? "none" : present.c_str());
  }
  size_t best = codes.size();
  for (size_t i = 0; i < codes.size(); ++i)
    if (device.accepts(codes[i].level) &&
        (best == codes.size() || levelRank(codes[i].level) > levelRank(codes[best].level)))
      best = i;
  if (best == codes.size())
    return fail(ErrorCode::ArtifactLevel, "%s: expects code that device %s executes here, but the artifact holds %s",
                name.c_str(), device.name(), present.empty() ? "none" : present.c_str());
  return best;
}

Result<ChosenCode> ArtifactFile::chooseCode(const Device &device, const char *level) const {
  std::string present;
  for (size_t t = 0; t < parts.size(); ++t) {
    present += (t ? ", " : "") + parts[t].name;
    if (!device.runs(parts[t].name.c_str()))
      continue;
    if (parts[t].alignment > device.alignment())
      return fail(
          ErrorCode::LaunchUnsupported,
          "%s: target %s: expects addresses in multiples of at most %zu bytes, which device %s has, but its code "
          "was compiled for %llu",
          name.c_str(), parts[t].name.c_str(), device.alignment(), device.name(), (ull)parts[t].alignment);
    Result<size_t> section = chooseLevel(parts[t], device, level);
    return section ? Result<ChosenCode>(ChosenCode{t, *section}) : section.error();
  }
  return fail(ErrorCode::DeviceUnavailable, "%s: expects code for device %s, but the artifact holds targets %s",
              name.c_str(), device.name(), present.c_str());
}

ArtifactFile::ArtifactFile(ArtifactFile &&other) noexcept { *this = std::move(other); }

ArtifactFile &ArtifactFile::operator=(ArtifactFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(base, other.base);
  std::swap(length, other.length);
  std::swap(reserved, other.reserved);
  std::swap(head, other.head);
  std::swap(metadataIndex, other.metadataIndex);
  std::swap(weightsIndex, other.weightsIndex);
  std::swap(provenanceIndex, other.provenanceIndex);
  std::swap(functions, other.functions);
  std::swap(parts, other.parts);
  std::swap(copies, other.copies);
  return *this;
}

ArtifactFile::~ArtifactFile() {
  if (!base)
    return;
  forgetMapping(base);
  munmap(const_cast<uint8_t *>(base), reserved);
}

} // namespace stepdown
