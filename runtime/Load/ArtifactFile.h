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
};

/// Locates and verifies the index in `bytes` [size], a whole CODE section, aligned to 8: every entry lies inside the
/// instructions, and its parameters or values inside their tables. `functions`: entries are functions, not kernels.
/// E0507.
Result<CodeIndex> locateCode(const std::string &file, const uint8_t *bytes, size_t size, bool functions);

/// Locates the tables in `bytes` [size], which must be aligned to 8; E0507.
Result<Program> locateTables(const std::string &file, const uint8_t *bytes, size_t size);
/// Verifies every record: indices, ranges, alignments and limits (E0507), and every dispatch against what its kernel
/// was compiled for (E0560). `codes` are the code sections in file order.
Status checkProgram(const std::string &file, const Program &program, uint64_t weightBytes,
                    const std::vector<CodeIndex> &codes);
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
  uint32_t level; ///< enum stepdown_level
  const uint8_t *bytes;
  uint64_t size, checksum;
  CodeIndex index;
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
  uint64_t fileBytes() const { return length; }
  const stepdown_header &header() const { return head; }
  /// Whether it holds functions of a plain module; then there is no program, no metadata and no weights.
  bool holdsFunctions() const { return functionsIndex >= 0; }
  /// E0510 where the artifact is of the other kind.
  Status expectModel() const;
  Status expectFunctions() const;
  const Program &program() const { return tables; }
  const FunctionTable &functions() const { return functionTable; }
  const std::vector<CodeSection> &code() const { return codes; } ///< in file order
  std::string_view metadata() const { return section(metadataIndex); }
  std::string_view provenance() const;
  const uint8_t *weights() const { return base + head.sections[weightsIndex].offset; }
  uint64_t weightBytes() const { return head.sections[weightsIndex].size; }

  /// Which of code() `device` is to run: the one called `isa`, or, when null, the best that it accepts; E0508.
  Result<size_t> chooseCode(const Device &device, const char *isa) const;

private:
  ArtifactFile() = default;
  Status map(int fd, FileUse use);
  Status copy(int fd);
  Status checkHeader();
  Status checkSections();
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
  int metadataIndex = -1, programIndex = -1, weightsIndex = -1, provenanceIndex = -1, functionsIndex = -1;
  std::vector<CodeSection> codes;
  std::vector<std::vector<uint64_t>> copies; ///< of sections that `codes`, `tables` or `functionTable` point into
  Program tables = {};
  FunctionTable functionTable = {};
};

/// Whether the file at `path` begins with the artifact's magic.
bool isArtifact(const std::string &path);

} // namespace stepdown
