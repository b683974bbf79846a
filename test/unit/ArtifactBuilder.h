// Builds an artifact record by record, for the runtime's tests; every table is open, so that a test can spoil one.
#pragma once
#include "include/stepdown/Artifact.h"
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace stepdown::test {

class ArtifactBuilder {
public:
  std::string target = "cpu";
  uint32_t alignment = 64;     ///< as the header has it
  uint64_t codeAlignment = 64; ///< as every code section has it
  stepdown_program head = {};
  std::vector<stepdown_bucket> buckets;
  std::vector<stepdown_buffer> buffers;
  stepdown_cache cache = {
      16,
      64,
      16,
      {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_GROUPS, STEPDOWN_AXIS_CHANNELS, STEPDOWN_AXIS_LANES},
      {STEPDOWN_AXIS_BLOCKS, STEPDOWN_AXIS_HEADS, STEPDOWN_AXIS_POSITIONS, STEPDOWN_AXIS_CHANNELS}};
  std::vector<stepdown_cache_group> groups;
  std::vector<stepdown_layer> layers;
  std::vector<stepdown_run> kinds;
  std::vector<stepdown_weight> weights;
  std::vector<uint32_t> weightLists;
  std::vector<stepdown_kernel> kernels;
  std::vector<uint32_t> code;
  std::vector<stepdown_dispatch> dispatches;
  std::vector<stepdown_operand> operands;
  std::string strings;
  struct Code {
    uint32_t level;
    std::vector<uint8_t> bytes; ///< instructions alone
  };
  std::vector<Code> codes;
  std::vector<stepdown_entry> entries;        ///< of every code section; offsets into its instructions
  std::vector<stepdown_parameter> parameters; ///< of every code section
  std::vector<stepdown_launch> launches;      ///< of every code section; one for each entry
  std::string codeNames;                      ///< strings of every code section
  std::vector<uint8_t> weightBytes, metadata;
  std::string provenance = "{}";

  uint32_t string(const std::string &text);
  uint32_t buffer(const std::string &name, uint64_t bytes);
  uint32_t weight(const std::string &name, std::vector<uint64_t> dims, const std::vector<float> &values);
  /// A kernel from the toy kernels' section of that name, the same code in every bucket and level.
  uint32_t kernel(const std::string &name);
  static stepdown_operand operand(uint32_t place, uint32_t index, std::initializer_list<int64_t> dims);
  /// A dispatch of a kernel that is compiled for just these operands, of elements of four bytes, for tokens of the
  /// vocabulary, and for the last `window` positions of a sequence (0: all).
  uint32_t dispatch(uint32_t kernel, uint32_t extent, std::initializer_list<stepdown_operand> list,
                    uint64_t window = 0);
  /// Metadata pairs of GGUF's types string, array of strings, array of f32, array of i32, u32, f32.
  void pair(const std::string &key, const std::string &value);
  void pair(const std::string &key, const std::vector<std::string> &values);
  void pair(const std::string &key, const std::vector<float> &values);
  void pair(const std::string &key, const std::vector<int32_t> &values);
  void pair(const std::string &key, uint32_t value);
  void pair(const std::string &key, float value);

  /// The metadata section as it stands.
  std::vector<uint8_t> metadataSection() const;
  /// The program section as it stands.
  std::vector<uint8_t> program() const;
  /// The whole file, sealed with checksums.
  std::vector<uint8_t> file() const;
  /// The same with the program and code of `others`, whose weights are in this one's `weightBytes`.
  std::vector<uint8_t> fileWith(const std::vector<const ArtifactBuilder *> &others) const;

private:
  void key(const std::string &key, uint32_t type);
  std::vector<uint8_t> codeSection(const Code &code) const;
  struct Text {
    uint32_t name;
    uint64_t offset;
  };
  std::vector<Text> texts; ///< of kernel()
  uint64_t pairs = 0;
};

/// Recomputes the checksums of a file whose bytes a test has changed; `sections` too, or the header's alone.
void seal(std::vector<uint8_t> &file, bool sections = true);
/// Writes `bytes` into a fresh temporary file and returns its path; removed when the process ends.
std::string temporaryFile(const std::vector<uint8_t> &bytes, const std::string &suffix);

} // namespace stepdown::test
