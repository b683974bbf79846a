// An artifact, mapped and checked: nothing of it is used before header, bounds, checksums and every record of its
// program were verified, and every dispatch is one that its kernel was compiled for. What the kernels' instructions do
// is not verified: an artifact deserves the trust of a program (include/stepdown/Artifact.h).
//
// Program and code sections are copied before they are checked, because a mapping shows what others write to the file
// later; weights stay mapped, shared and read-only, and are only ever data. A caller that cannot rely on a file that
// keeps its length and bytes has all of it copied before it is checked.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Base/Result.h"
#include "runtime/Device.h"
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

/// The records of one table of the program.
template <typename T> struct Records {
  const T *first = nullptr;
  uint32_t count = 0;
  const T *begin() const { return first; }
  const T *end() const { return first + count; }
  const T &operator[](size_t i) const { return first[i]; }
};

/// The program section with its tables located, and, once checkProgram has passed, every index in it valid.
struct Program {
  stepdown_program head;
  Records<stepdown_bucket> buckets;
  Records<stepdown_buffer> buffers;
  Records<stepdown_cache> cache; ///< one
  Records<stepdown_cache_group> groups;
  Records<stepdown_layer> layers;
  Records<stepdown_run> kinds;
  Records<stepdown_weight> weights;
  Records<uint32_t> weightLists;
  Records<stepdown_kernel> kernels;
  Records<uint32_t> code;
  Records<stepdown_dispatch> dispatches;
  Records<stepdown_operand> operands;
  Records<char> strings;
  const char *string(uint32_t at) const { return strings.first + at; }
  /// The bucket of a step of `count` tokens or rows.
  uint32_t bucketOf(uint32_t count) const;
  /// The entry of a kernel's variant in the code section number `level`; ~0 where there is none.
  uint32_t entry(size_t level, uint32_t kernel, uint32_t bucket) const {
    return code[(level * kernels.count + kernel) * buckets.count + bucket];
  }
};

/// The index in front of a CODE section.
struct CodeIndex {
  Records<stepdown_entry> entries;
  Records<stepdown_parameter> parameters;
  Records<stepdown_value> values;
  Records<stepdown_launch> launches;
  Records<char> strings;
  uint64_t alignment = 0;
  /// What the device finds `entry` by in the image at its offset; null where the offset is its place.
  const char *name(const stepdown_entry &entry) const {
    return entry.name == STEPDOWN_NO_NAME ? nullptr : strings.first + entry.name;
  }
};

/// Locates and verifies the index in `bytes` [size], a whole CODE section, aligned to 8: every entry lies inside the
/// instructions, its parameters or values, launch and name inside their tables, and its grid is one of a step.
/// `functions`: entries are functions, not kernels. E0507.
Result<CodeIndex> locateCode(const std::string &file, const uint8_t *bytes, size_t size, bool functions);

/// Locates the tables in `bytes` [size], which must be aligned to 8; E0507.
Result<Program> locateTables(const std::string &file, const uint8_t *bytes, size_t size);
/// Verifies every record: indices, ranges, alignments and limits (E0507), and every dispatch against what its kernel
/// was compiled for (E0560). `alignment` is that of the target, `codes` are its code sections in file order.
Status checkProgram(const std::string &file, const Program &program, uint64_t weightBytes, uint64_t alignment,
                    const std::vector<CodeIndex> &codes);
/// The part of checkProgram that looks at the cache's layout: each axis once, and those that a cache has; E0507.
Status checkCache(const std::string &file, const Program &program);
/// The last part of checkProgram: operands are those that the kernels' entries list, and lie where the largest step has
/// room for them; E0560.
Status checkOperands(const std::string &file, const Program &program, const std::vector<CodeIndex> &codes);

/// The FUNCTIONS section with its tables located, and, once checkFunctions has passed, every index in it valid.
struct FunctionTable {
  Records<stepdown_function> functions;
  Records<stepdown_value> values;
  Records<uint32_t> code;
  Records<char> strings;
  const char *string(uint32_t at) const { return strings.first + at; }
  /// The entry of a function in the code section number `level`.
  uint32_t entry(size_t level, size_t function) const { return code[level * functions.count + function]; }
};

/// The same for the FUNCTIONS section of a plain module's artifact; E0507, and E0560 where code was compiled for other
/// arguments and results.
Result<FunctionTable> locateFunctions(const std::string &file, const uint8_t *bytes, size_t size);
Status checkFunctions(const std::string &file, const FunctionTable &table, const std::vector<CodeIndex> &codes);

struct CodeSection {
  uint32_t level; ///< enum stepdown_level, or 0
  const uint8_t *bytes;
  uint64_t size, checksum;
  CodeIndex index;
};

/// What an artifact holds for one target.
struct FileTarget {
  std::string name;
  uint64_t alignment = 0;
  std::vector<CodeSection> code;              ///< in file order
  int tables = -1;                            ///< its PROGRAM or FUNCTIONS section
  uint64_t tableBytes = 0;                    ///< of that section
  Program program = {};                       ///< of a model
  FunctionTable functions;                    ///< of a plain module
  uint64_t adapterBytes = 0;                  ///< of the memory that its program reads adapters in
  uint64_t firstWeight = 0, endOfWeights = 0; ///< bytes of the weights section that hold all of its weights

  /// What its code section number `section` is called: the level, or the target where it has none.
  const char *level(size_t section) const;
  /// Whether it is another target's program with adapters, and what that one is called.
  bool isAdapted() const;
  std::string plainName() const;
  /// What a session allocates for adapters: kernels may read some bytes past the last matrix.
  uint64_t adapterMemory() const { return adapterBytes + alignment; }
};

/// What a device is to run.
struct ChosenCode {
  size_t target = 0;  ///< of ArtifactFile::targets
  size_t section = 0; ///< of FileTarget::code
};

enum class FileUse {
  mapped, ///< shared with other processes; the file must keep its length while it is used
  copied  ///< read into memory of this process; the file is not used afterwards
};

class ArtifactFile {
public:
  /// Maps or copies `path`, and verifies it; E0501 to E0507, E0560, E0601, E0901, E0902.
  static Result<ArtifactFile> open(const std::string &path, FileUse use = FileUse::mapped);
  ArtifactFile(ArtifactFile &&other) noexcept;
  ArtifactFile &operator=(ArtifactFile &&other) noexcept;
  ~ArtifactFile();

  const std::string &path() const { return name; }
  const stepdown_header &header() const { return head; }
  /// Whether it holds functions of a plain module; then there is no program, no metadata and no weights.
  bool holdsFunctions() const { return functions; }
  /// E0510 where the artifact is of the other kind.
  Status expectModel() const;
  Status expectFunctions() const;
  const std::vector<FileTarget> &targets() const { return parts; } ///< as the header lists them, at least one
  std::string_view metadata() const { return section(metadataIndex); }
  std::string_view provenance() const;
  const uint8_t *weights() const { return base + head.sections[weightsIndex].offset; }
  uint64_t weightBytes() const { return head.sections[weightsIndex].size; }

  /// What `device` is to run: of the first target that it runs the code of `level`, or, when null, of the best
  /// that it accepts. E0911 where the file has nothing for the device, E0508 for the level, E0920 for the alignment.
  Result<ChosenCode> chooseCode(const Device &device, const char *level) const;

private:
  ArtifactFile() = default;
  Status map(int fd, FileUse use);
  Status copy(int fd);
  Status checkHeader();
  Status checkTargets();
  Status checkSections();
  /// That section `i` belongs to what its kind belongs to, and is the only one of it.
  Status placeSection(uint32_t i);
  Status checkSpans() const;
  Status copyRecords();
  Result<size_t> chooseLevel(const FileTarget &target, const Device &device, const char *level) const;
  /// That programs read adapters where their target says so, and are those of another target but for that.
  Status checkAdapted() const;
  /// Verifies what the sections say.
  Status checkRecords();
  std::string_view section(int index) const {
    const stepdown_section &s = head.sections[index];
    return {reinterpret_cast<const char *>(base + s.offset), s.size};
  }

  std::string name;
  const uint8_t *base = nullptr;
  uint64_t length = 0, reserved = 0;
  stepdown_header head = {};
  int metadataIndex = -1, weightsIndex = -1, provenanceIndex = -1;
  bool functions = false;
  std::vector<FileTarget> parts;
  std::vector<std::vector<uint64_t>> copies; ///< of sections that `parts` point into
};

/// Whether the file at `path` begins with the artifact's magic.
bool isArtifact(const std::string &path);

} // namespace stepdown
