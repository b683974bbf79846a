// What the header of an artifact lists: targets, and sections that belong to one of them or to all.
#include "runtime/Load/ArtifactFile.h"

#include "runtime/Checksum.h"
#include "runtime/cpu/Processor.h"
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace stepdown {
namespace {

using ull = unsigned long long;

const char *sectionName(uint32_t kind) {
  switch (kind) {
  case STEPDOWN_SECTION_METADATA:
    return "metadata";
  case STEPDOWN_SECTION_PROGRAM:
    return "program";
  case STEPDOWN_SECTION_CODE:
    return "code";
  case STEPDOWN_SECTION_WEIGHTS:
    return "weights";
  case STEPDOWN_SECTION_PROVENANCE:
    return "provenance";
  case STEPDOWN_SECTION_FUNCTIONS:
    return "functions";
  }
  return nullptr;
}

/// Where the record of section `i` begins in the file.
unsigned long recordOf(uint32_t i) { return offsetof(stepdown_header, sections) + i * sizeof(stepdown_section); }

bool ofATarget(uint32_t kind) {
  return kind == STEPDOWN_SECTION_PROGRAM || kind == STEPDOWN_SECTION_FUNCTIONS || kind == STEPDOWN_SECTION_CODE;
}

} // namespace

Status ArtifactFile::checkTargets() {
  const char *file = name.c_str();
  if (head.target_count < 1 || head.target_count > STEPDOWN_MAX_TARGETS)
    return fail(ErrorCode::ArtifactHeader, "%s: offset %zu: expects 1 to %u targets, but got %u", file,
                offsetof(stepdown_header, target_count), STEPDOWN_MAX_TARGETS, head.target_count);
  for (uint32_t t = 0; t < head.target_count; ++t) {
    const stepdown_target &target = head.targets[t];
    const size_t offset = offsetof(stepdown_header, targets) + t * sizeof target;
    const size_t length = strnlen(target.name, sizeof target.name);
    const bool printable = std::all_of(target.name, target.name + length, [](char c) { return c > ' ' && c < '\x7f'; });
    const bool ends = length < sizeof target.name &&
                      std::all_of(target.name + length, std::end(target.name), [](char c) { return c == 0; });
    if (length == 0 || !printable || !ends)
      return fail(ErrorCode::ArtifactHeader,
                  "%s: offset %zu: expects the name of target %u: 1 to %zu printable characters, then zeros", file,
                  offset, t, sizeof target.name - 1);
    for (const FileTarget &other : parts)
      if (other.name == target.name)
        return fail(ErrorCode::ArtifactHeader,
                    "%s: offset %zu: expects a name of its own for target %u, but got \"%s\"", file, offset, t,
                    target.name);
    if (target.alignment == 0 || target.alignment > STEPDOWN_PAGE || (target.alignment & (target.alignment - 1)))
      return fail(ErrorCode::ArtifactHeader,
                  "%s: offset %zu: expects an alignment of target %s that is a power of two up to %u, but got %u", file,
                  offset + offsetof(stepdown_target, alignment), target.name, STEPDOWN_PAGE, target.alignment);
    parts.emplace_back();
    parts.back().name = target.name;
    parts.back().alignment = target.alignment;
  }
  return Done{};
}

Status ArtifactFile::placeSection(uint32_t i) {
  const char *file = name.c_str();
  const stepdown_section &s = head.sections[i];
  const char *kind = sectionName(s.kind);
  if (!kind)
    return fail(ErrorCode::ArtifactSection, "%s: offset %lu: section %u: expects a known kind, but got %u", file,
                recordOf(i), i, s.kind);
  if (s.offset % STEPDOWN_PAGE || s.offset < STEPDOWN_PAGE || s.offset > length || s.size > length - s.offset)
    return fail(ErrorCode::ArtifactSection,
                "%s: section %u (%s): expects whole pages within %llu bytes, but got offset %llu, size %llu", file, i,
                kind, (ull)length, (ull)s.offset, (ull)s.size);
  if (ofATarget(s.kind) && s.target >= parts.size())
    return fail(ErrorCode::ArtifactSection,
                "%s: offset %lu: section %u (%s): expects one of the %zu targets of the header, but got number %u",
                file, recordOf(i) + offsetof(stepdown_section, target), i, kind, parts.size(), s.target);
  if (!ofATarget(s.kind) && s.target != STEPDOWN_ALL_TARGETS)
    return fail(ErrorCode::ArtifactSection,
                "%s: offset %lu: section %u (%s): expects target %u, since it belongs to all, but got %u", file,
                recordOf(i) + offsetof(stepdown_section, target), i, kind, STEPDOWN_ALL_TARGETS, s.target);
  FileTarget *target = ofATarget(s.kind) ? &parts[s.target] : nullptr;
  if (s.kind == STEPDOWN_SECTION_CODE) {
    if (s.level && !levelName(s.level))
      return fail(ErrorCode::ArtifactSection, "%s: section %u (code): expects a known level, but got %u", file, i,
                  s.level);
    for (const CodeSection &other : target->code)
      if (other.level == s.level || !other.level || !s.level)
        return fail(ErrorCode::ArtifactSection,
                    "%s: section %u: expects one code section of target %s for each level, but got level %u beside %u",
                    file, i, target->name.c_str(), s.level, other.level);
    target->code.push_back({s.level, nullptr, s.size, s.checksum, {}}); // bytes and index: once they are copied
    return Done{};
  }
  if (s.level)
    return fail(ErrorCode::ArtifactSection, "%s: section %u (%s): expects level 0, but got %u", file, i, kind, s.level);
  int *only = s.kind == STEPDOWN_SECTION_METADATA  ? &metadataIndex
              : s.kind == STEPDOWN_SECTION_WEIGHTS ? &weightsIndex
              : target                             ? &target->tables
                                                   : &provenanceIndex;
  if (*only >= 0)
    return fail(ErrorCode::ArtifactSection, "%s: section %u: expects one %s section%s%s, but section %d is one too",
                file, i, target ? "program or functions" : kind, target ? " of target " : "",
                target ? target->name.c_str() : "", *only);
  *only = static_cast<int>(i);
  if (target)
    target->tableBytes = s.size;
  functions |= s.kind == STEPDOWN_SECTION_FUNCTIONS;
  return Done{};
}

Status ArtifactFile::checkSpans() const {
  std::vector<std::pair<uint64_t, uint64_t>> spans; // begin, end
  for (uint32_t i = 0; i < head.section_count; ++i)
    spans.emplace_back(head.sections[i].offset, head.sections[i].offset + head.sections[i].size);
  std::sort(spans.begin(), spans.end());
  for (size_t i = 1; i < spans.size(); ++i)
    if (spans[i].first < spans[i - 1].second)
      return fail(ErrorCode::ArtifactSection, "%s: the section at offset %llu overlaps the one at offset %llu",
                  name.c_str(), (ull)spans[i].first, (ull)spans[i - 1].first);
  return Done{};
}

Status ArtifactFile::checkSections() {
  const char *file = name.c_str();
  for (uint32_t i = 0; i < head.section_count; ++i)
    if (Status placed = placeSection(i); !placed)
      return placed;
  for (auto [index, kind] : {std::pair{metadataIndex, "metadata"}, {weightsIndex, "weights"}})
    if (functions && index >= 0)
      return fail(ErrorCode::ArtifactSection, "%s: section %d (%s): expects none beside functions", file, index, kind);
    else if (!functions && index < 0)
      return fail(ErrorCode::ArtifactSection, "%s: expects a %s section, but there is none", file, kind);
  const uint32_t tables = functions ? STEPDOWN_SECTION_FUNCTIONS : STEPDOWN_SECTION_PROGRAM;
  for (const FileTarget &target : parts) {
    if (target.tables < 0)
      return fail(ErrorCode::ArtifactSection, "%s: expects a %s section of target %s, but there is none", file,
                  sectionName(tables), target.name.c_str());
    if (head.sections[target.tables].kind != tables)
      return fail(ErrorCode::ArtifactSection,
                  "%s: section %d (program): expects functions of target %s, as the file holds functions", file,
                  target.tables, target.name.c_str());
  }
  if (Status apart = checkSpans(); !apart)
    return apart;
  if (Status copied = copyRecords(); !copied)
    return copied;
  return checkRecords();
}

// Records are copied first, so that what is summed and checked is what is used.
Status ArtifactFile::copyRecords() {
  copies.resize(head.section_count);
  std::vector<size_t> code(parts.size(), 0);
  for (uint32_t i = 0; i < head.section_count; ++i) {
    const stepdown_section &s = head.sections[i];
    const uint8_t *bytes = base + s.offset;
    if (ofATarget(s.kind)) {
      copies[i].resize((s.size + 7) / 8);
      if (s.size) // an empty section has no bytes to point to; the check of its records refuses it
        std::memcpy(copies[i].data(), bytes, s.size);
      bytes = reinterpret_cast<const uint8_t *>(copies[i].data());
    }
    if (s.kind == STEPDOWN_SECTION_CODE)
      parts[s.target].code[code[s.target]++].bytes = bytes;
    if (uint64_t actual = checksumOf(bytes, s.size); actual != s.checksum)
      return fail(ErrorCode::ArtifactChecksum,
                  "%s: section %u (%s, offset %llu): expects checksum %016llx, but got %016llx", name.c_str(), i,
                  sectionName(s.kind), (ull)s.offset, (ull)s.checksum, (ull)actual);
  }
  return Done{};
}

Status ArtifactFile::checkRecords() {
  for (FileTarget &target : parts) {
    // Messages name the target where there are several.
    const std::string where = parts.size() > 1 ? name + ": target " + target.name : name;
    std::vector<CodeIndex> indices;
    for (CodeSection &section : target.code) {
      Result<CodeIndex> index = locateCode(where, section.bytes, section.size, functions);
      if (!index)
        return index.error();
      if (index->alignment != target.alignment)
        return fail(ErrorCode::ArtifactOperand,
                    "%s: target %s: expects an alignment of %llu bytes, which its code was compiled for, but got %llu",
                    name.c_str(), target.name.c_str(), (ull)index->alignment, (ull)target.alignment);
      section.index = *index;
      indices.push_back(*index);
    }
    const auto *bytes = reinterpret_cast<const uint8_t *>(copies[target.tables].data());
    if (functions) {
      Result<FunctionTable> found = locateFunctions(where, bytes, target.tableBytes);
      if (!found)
        return found.error();
      target.functions = *found;
      if (Status good = checkFunctions(where, target.functions, indices); !good)
        return good;
      continue;
    }
    Result<Program> located = locateTables(where, bytes, target.tableBytes);
    if (!located)
      return located.error();
    target.program = *located;
    if (Status good = checkProgram(where, target.program, weightBytes(), target.alignment, indices); !good)
      return good;
    // What a device gets of the weights: from the first of its own to what may be read past the last.
    target.firstWeight = target.program.weights.count ? weightBytes() : 0;
    for (const stepdown_weight &weight : target.program.weights) {
      if (weight.packing == STEPDOWN_PACKING_ADAPTERS) {
        target.adapterBytes = std::max(target.adapterBytes, weight.offset + weight.bytes);
        continue;
      }
      target.firstWeight = std::min(target.firstWeight, weight.offset);
      target.endOfWeights = std::max(target.endOfWeights, weight.offset + weight.bytes);
    }
    target.endOfWeights = (target.endOfWeights + target.alignment - 1) / target.alignment * target.alignment;
    target.endOfWeights = std::min(target.endOfWeights + target.alignment, weightBytes());
  }
  return functions ? Done{} : checkAdapted();
}

bool FileTarget::isAdapted() const {
  const size_t ending = sizeof STEPDOWN_ADAPTED - 1;
  return name.size() > ending && name.compare(name.size() - ending, ending, STEPDOWN_ADAPTED) == 0;
}

std::string FileTarget::plainName() const {
  return isAdapted() ? name.substr(0, name.size() - (sizeof STEPDOWN_ADAPTED - 1)) : name;
}

Status ArtifactFile::checkAdapted() const {
  for (const FileTarget &target : parts) {
    const Program &p = target.program;
    const bool reads = std::any_of(p.operands.begin(), p.operands.end(), [](const stepdown_operand &operand) {
      return operand.place == STEPDOWN_AT_ADAPTERS;
    });
    if (!target.isAdapted()) {
      if (reads || target.adapterBytes)
        return fail(ErrorCode::ArtifactOperand, "%s: target %s: expects a program without adapters, but it reads some",
                    name.c_str(), target.name.c_str());
      continue;
    }
    const std::string plain = target.plainName();
    const auto base =
        std::find_if(parts.begin(), parts.end(), [&](const FileTarget &other) { return other.name == plain; });
    if (base == parts.end())
      return fail(ErrorCode::ArtifactHeader, "%s: target %s: expects target %s beside it, but there is none",
                  name.c_str(), target.name.c_str(), plain.c_str());
    // A session runs both on one cache, one set of inputs and one row of logits.
    const Program &b = base->program;
    const auto key = [](const stepdown_program &h) {
      return std::array<uint32_t, 8>{h.vocabulary,    h.width, h.max_context,   h.max_step_tokens,
                                     h.max_step_rows, h.exact, h.logits_stride, h.outputs};
    };
    const auto same = [](const auto &x, const auto &y) {
      return x.count == y.count && (x.count == 0 || !std::memcmp(x.begin(), y.begin(), x.count * sizeof *x.begin()));
    };
    bool layers = p.layers.count == b.layers.count;
    for (uint32_t i = 0; layers && i < p.layers.count; ++i)
      layers = p.layers[i].cache_group == b.layers[i].cache_group && p.layers[i].cache_index == b.layers[i].cache_index;
    if (key(p.head) != key(b.head) || !same(p.buckets, b.buckets) || !same(p.cache, b.cache) ||
        !same(p.groups, b.groups) || !layers || target.alignment != base->alignment)
      return fail(ErrorCode::ArtifactOperand, "%s: target %s: expects the sizes, buckets and cache of target %s",
                  name.c_str(), target.name.c_str(), plain.c_str());
  }
  return Done{};
}

} // namespace stepdown
