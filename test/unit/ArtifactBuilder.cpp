#include "test/unit/ArtifactBuilder.h"

#include "runtime/Checksum.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unistd.h>

namespace stepdown::test {
namespace {

void put(std::vector<uint8_t> &out, const void *bytes, size_t size) {
  auto *p = static_cast<const uint8_t *>(bytes);
  out.insert(out.end(), p, p + size);
}

namespace gguf {
constexpr uint32_t u32 = 4, i32 = 5, f32 = 6, string = 8, array = 9;
}

void putString(std::vector<uint8_t> &out, const std::string &text) {
  uint64_t length = text.size();
  put(out, &length, 8);
  put(out, text.data(), text.size());
}

void putArray(std::vector<uint8_t> &out, uint32_t element, uint64_t count) {
  put(out, &element, 4);
  put(out, &count, 8);
}

template <typename Records> stepdown_table table(std::vector<uint8_t> &out, const Records &records) {
  out.resize((out.size() + 7) / 8 * 8);
  stepdown_table where = {static_cast<uint32_t>(out.size()), static_cast<uint32_t>(records.size())};
  put(out, records.data(), records.size() * sizeof(records[0]));
  return where;
}

std::vector<uint8_t> toyKernel(const std::string &name) {
  std::ifstream in(std::string(STEPDOWN_TOY_KERNELS) + "/" + name + ".bin", std::ios::binary);
  if (!in)
    throw std::runtime_error("no toy kernel " + name);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct TemporaryFiles {
  std::vector<std::string> paths;
  ~TemporaryFiles() {
    for (const std::string &path : paths)
      unlink(path.c_str());
  }
};

} // namespace

uint32_t ArtifactBuilder::string(const std::string &text) {
  uint32_t at = static_cast<uint32_t>(strings.size());
  strings += text;
  strings += '\0';
  return at;
}

uint32_t ArtifactBuilder::buffer(const std::string &name, uint64_t bytes) {
  buffers.push_back({string(name), 0, head.arena_bytes, bytes});
  head.arena_bytes += (bytes + 63) / 64 * 64;
  return static_cast<uint32_t>(buffers.size() - 1);
}

uint32_t ArtifactBuilder::weight(const std::string &name, std::vector<uint64_t> dims,
                                 const std::vector<float> &values) {
  stepdown_weight w = {string(name), 0, STEPDOWN_PACKING_ROWS, static_cast<uint32_t>(dims.size()), {}, 0, 0, 0, 0};
  std::copy(dims.begin(), dims.end(), w.dims);
  weightBytes.resize((weightBytes.size() + 63) / 64 * 64);
  w.offset = weightBytes.size();
  w.bytes = values.size() * sizeof(float);
  put(weightBytes, values.data(), w.bytes);
  weights.push_back(w);
  return static_cast<uint32_t>(weights.size() - 1);
}

uint32_t ArtifactBuilder::kernel(const std::string &name) {
  std::vector<uint8_t> bytes = toyKernel(name);
  for (Code &level : codes) {
    level.bytes.resize((level.bytes.size() + 63) / 64 * 64, 0xcc);
    if (&level == &codes.front())
      texts.push_back({string(name), level.bytes.size()});
    put(level.bytes, bytes.data(), bytes.size());
  }
  return static_cast<uint32_t>(texts.size() - 1);
}

stepdown_operand ArtifactBuilder::operand(uint32_t place, uint32_t index, std::initializer_list<int64_t> dims) {
  stepdown_operand o = {place, index, static_cast<uint32_t>(dims.size()), 0, {}};
  std::copy(dims.begin(), dims.end(), o.dims);
  return o;
}

uint32_t ArtifactBuilder::dispatch(uint32_t kernel, uint32_t extent, std::initializer_list<stepdown_operand> list,
                                   uint64_t window) {
  const auto count = static_cast<uint32_t>(list.size());
  for (const stepdown_bucket &bucket : buckets) {
    entries.push_back({texts[kernel].offset, static_cast<uint32_t>(parameters.size()), count, 0, extent, bucket.tile,
                       static_cast<uint32_t>(launches.size()), STEPDOWN_NO_NAME, 0});
    const int32_t symbol = extent == STEPDOWN_BY_ROWS ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS;
    launches.push_back({{{symbol, bucket.tile}, {1, 1}, {1, 1}}, {1, 1, 1}, {1, 1, 1}, 0});
  }
  for (const stepdown_operand &o : list) {
    stepdown_parameter q = {o.place, o.rank, 4, 0, 0, {}};
    q.bound = o.place == STEPDOWN_AT_TOKENS ? head.vocabulary : o.place == STEPDOWN_AT_BLOCK_TABLE ? window : 0;
    std::copy(std::begin(o.dims), std::end(o.dims), q.dims);
    parameters.push_back(q);
  }
  // Entries are ordered by kernel and bucket, the same in each level.
  kernels.push_back({texts[kernel].name, 0});
  code.clear();
  for (size_t level = 0; level < codes.size(); ++level)
    for (uint32_t entry = 0; entry < entries.size(); ++entry)
      code.push_back(entry);
  dispatches.push_back(
      {static_cast<uint32_t>(kernels.size() - 1), extent, static_cast<uint32_t>(operands.size()), count});
  operands.insert(operands.end(), list.begin(), list.end());
  return static_cast<uint32_t>(dispatches.size() - 1);
}

void ArtifactBuilder::key(const std::string &key, uint32_t type) {
  putString(metadata, key);
  put(metadata, &type, 4);
  ++pairs;
}

void ArtifactBuilder::pair(const std::string &name, const std::string &value) {
  key(name, gguf::string);
  putString(metadata, value);
}

void ArtifactBuilder::pair(const std::string &name, const std::vector<std::string> &values) {
  key(name, gguf::array);
  putArray(metadata, gguf::string, values.size());
  for (const std::string &value : values)
    putString(metadata, value);
}

void ArtifactBuilder::pair(const std::string &name, const std::vector<float> &values) {
  key(name, gguf::array);
  putArray(metadata, gguf::f32, values.size());
  put(metadata, values.data(), values.size() * 4);
}

void ArtifactBuilder::pair(const std::string &name, const std::vector<int32_t> &values) {
  key(name, gguf::array);
  putArray(metadata, gguf::i32, values.size());
  put(metadata, values.data(), values.size() * 4);
}

void ArtifactBuilder::pair(const std::string &name, uint32_t value) {
  key(name, gguf::u32);
  put(metadata, &value, 4);
}

void ArtifactBuilder::pair(const std::string &name, float value) {
  key(name, gguf::f32);
  put(metadata, &value, 4);
}

std::vector<uint8_t> ArtifactBuilder::metadataSection() const {
  std::vector<uint8_t> out(8);
  std::memcpy(out.data(), &pairs, 8);
  put(out, metadata.data(), metadata.size());
  return out;
}

std::vector<uint8_t> ArtifactBuilder::program() const {
  stepdown_program p = head;
  std::vector<uint8_t> out(sizeof p);
  p.buckets = table(out, buckets);
  p.buffers = table(out, buffers);
  p.cache = table(out, std::vector<stepdown_cache>{cache});
  p.groups = table(out, groups);
  p.layers = table(out, layers);
  p.kinds = table(out, kinds);
  p.weights = table(out, weights);
  p.weight_lists = table(out, weightLists);
  p.kernels = table(out, kernels);
  p.code = table(out, code);
  p.dispatches = table(out, dispatches);
  p.operands = table(out, operands);
  p.strings = table(out, strings);
  std::memcpy(out.data(), &p, sizeof p);
  return out;
}

std::vector<uint8_t> ArtifactBuilder::codeSection(const Code &code) const {
  stepdown_code index = {};
  std::vector<uint8_t> out(sizeof index);
  const size_t size = sizeof index + entries.size() * sizeof(stepdown_entry) +
                      parameters.size() * sizeof(stepdown_parameter) + launches.size() * sizeof(stepdown_launch) +
                      codeNames.size() + 3 * sizeof(uint64_t);
  index.alignment = codeAlignment;
  index.instructions = (size + STEPDOWN_PAGE - 1) / STEPDOWN_PAGE * STEPDOWN_PAGE;
  std::vector<stepdown_entry> placed = entries;
  for (stepdown_entry &entry : placed)
    entry.offset += index.instructions;
  index.entries = table(out, placed);
  index.parameters = table(out, parameters);
  index.launches = table(out, launches);
  index.strings = table(out, codeNames);
  std::memcpy(out.data(), &index, sizeof index);
  out.resize(index.instructions);
  put(out, code.bytes.data(), code.bytes.size());
  return out;
}

std::vector<uint8_t> ArtifactBuilder::file() const { return fileWith({}); }

std::vector<uint8_t> ArtifactBuilder::fileWith(const std::vector<const ArtifactBuilder *> &others) const {
  stepdown_header header = {};
  std::memcpy(header.magic, STEPDOWN_ARTIFACT_MAGIC, 8);
  header.abi_version = STEPDOWN_ABI_VERSION;
  std::vector<uint8_t> out(STEPDOWN_PAGE), pairBytes = metadataSection();
  auto section = [&](uint16_t kind, uint16_t of, uint32_t level, const void *bytes, size_t size) {
    out.resize((out.size() + STEPDOWN_PAGE - 1) / STEPDOWN_PAGE * STEPDOWN_PAGE);
    header.sections[header.section_count++] = {kind, of, level, out.size(), size, 0};
    put(out, bytes, size);
  };
  section(STEPDOWN_SECTION_METADATA, STEPDOWN_ALL_TARGETS, 0, pairBytes.data(), pairBytes.size());
  std::vector<const ArtifactBuilder *> all = {this};
  all.insert(all.end(), others.begin(), others.end());
  for (const ArtifactBuilder *one : all) {
    const uint16_t number = header.target_count++;
    one->target.copy(header.targets[number].name, sizeof header.targets[number].name);
    header.targets[number].alignment = one->alignment;
    std::vector<uint8_t> tables = one->program();
    section(STEPDOWN_SECTION_PROGRAM, number, 0, tables.data(), tables.size());
    for (const Code &c : one->codes) {
      std::vector<uint8_t> bytes = one->codeSection(c);
      section(STEPDOWN_SECTION_CODE, number, c.level, bytes.data(), bytes.size());
    }
  }
  section(STEPDOWN_SECTION_PROVENANCE, STEPDOWN_ALL_TARGETS, 0, provenance.data(), provenance.size());
  section(STEPDOWN_SECTION_WEIGHTS, STEPDOWN_ALL_TARGETS, 0, weightBytes.data(), weightBytes.size());
  header.file_size = out.size();
  std::memcpy(out.data(), &header, sizeof header);
  seal(out);
  return out;
}

void seal(std::vector<uint8_t> &file, bool sections) {
  stepdown_header header;
  std::memcpy(&header, file.data(), sizeof header);
  for (uint32_t i = 0; sections && i < header.section_count && i < STEPDOWN_MAX_SECTIONS; ++i) {
    stepdown_section &s = header.sections[i];
    if (s.offset <= file.size() && s.size <= file.size() - s.offset)
      s.checksum = checksumOf(file.data() + s.offset, s.size);
  }
  header.checksum = 0;
  std::memcpy(file.data(), &header, sizeof header);
  header.checksum = checksumOf(file.data(), STEPDOWN_PAGE);
  std::memcpy(file.data(), &header, sizeof header);
}

std::string temporaryFile(const std::vector<uint8_t> &bytes, const std::string &suffix) {
  static TemporaryFiles files;
  const char *folder = std::getenv("TMPDIR");
  std::string path = std::string(folder ? folder : "/tmp") + "/stepdown-test-XXXXXX" + suffix;
  int fd = mkstemps(path.data(), static_cast<int>(suffix.size()));
  if (fd < 0)
    throw std::runtime_error("no temporary file");
  close(fd);
  files.paths.push_back(path);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  return path;
}

} // namespace stepdown::test
