#include "runtime/Session/SavedSequence.h"

#include "include/stepdown/CacheDims.h"
#include "runtime/Checksum.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace stepdown {
namespace {

constexpr char magic[8] = {'S', 'T', 'E', 'P', 'D', 'S', 'E', 'Q'};
constexpr uint32_t currentVersion = 1;

struct SavedHeader {
  char magic[8];
  uint32_t version, groups;
  uint64_t model; ///< identityOf
  int32_t held, pending, drawn;
  float surprise;
  uint64_t adapter;     ///< AdapterSet::identity, 0 for none
  uint8_t reserved[72]; ///< zeros
  uint64_t checksum;    ///< XXH3 of what is before
};
static_assert(sizeof(SavedHeader) == 128);

struct SavedGroup {
  uint32_t layers, heads, keyChannels, valueChannels, window, element, first, reserved;
};

SavedGroup savedGroup(const stepdown_cache_group &group, int32_t held) {
  const int64_t first = group.window ? std::max<int64_t>(0, int64_t(held) - group.window + 1) : 0;
  return {group.layers,
          group.kv_heads,
          group.key_dim,
          group.value_dim,
          group.window,
          group.element,
          static_cast<uint32_t>(first),
          0};
}

std::string described(const SavedGroup &g) {
  return std::to_string(g.layers) + " layers of " + std::to_string(g.heads) + " heads with " +
         std::to_string(stepdown_cached_channels(g.element, g.keyChannels)) + " and " +
         std::to_string(stepdown_cached_channels(g.element, g.valueChannels)) + " channels in " +
         (stepdown_cached_is_known(g.element) ? stepdown_cached_name(g.element) : "type " + std::to_string(g.element)) +
         (g.window ? ", window " + std::to_string(g.window) : "") + ", from position " + std::to_string(g.first) +
         (g.reserved ? " (reserved: " + std::to_string(g.reserved) + ")" : "");
}

/// Keys or values of one layer, and their bytes.
CachePart partOf(const SavedGroup &group, size_t index, uint32_t layer, bool values, int32_t held) {
  return {index, layer, values, static_cast<int32_t>(group.first), held};
}
size_t bytesOf(const SavedGroup &group, const CachePart &part) {
  return static_cast<size_t>(part.end - part.first) * group.heads *
         (part.values ? group.valueChannels : group.keyChannels) * stepdown_cached_bytes(group.element);
}

} // namespace

uint64_t identityOf(const Model &model) {
  // The provenance is JSON that the compiler writes: the sums of the checkpoint, of merged adapters and of a module
  // that was edited, and the scales of those adapters.
  const std::string_view provenance = model.artifact().provenance(), key = "\"sha256\":\"", scale = "\"scale\":";
  std::string sums;
  for (size_t at = provenance.find(key); at != provenance.npos; at = provenance.find(key, at + 1))
    sums += provenance.substr(at + key.size(), 64);
  for (size_t at = provenance.find(scale); at != provenance.npos; at = provenance.find(scale, at + 1))
    sums += provenance.substr(at, provenance.find_first_of(",}", at) - at);
  if (sums.empty()) {
    sums = model.artifact().metadata();
    const stepdown_header &header = model.artifact().header();
    for (uint32_t i = 0; i < header.section_count; ++i)
      if (header.sections[i].kind == STEPDOWN_SECTION_WEIGHTS)
        sums += std::to_string(header.sections[i].checksum);
  }
  return checksumOf(sums.data(), sums.size());
}

Status saveSequence(Session &session, int32_t sequence, const SavedSequence &saved, const WriteBytes &write) {
  const Program &program = session.of().program();
  const int32_t length = session.length(sequence);
  if (length < 0)
    return fail(ErrorCode::SequenceUnknown, "sequence: expects one that was created, but got %d", sequence);
  if (saved.held != length || saved.tokens.size() < static_cast<size_t>(length) ||
      !std::equal(saved.tokens.begin(), saved.tokens.begin() + length, session.tokens(sequence)))
    return fail(
        ErrorCode::RequestField,
        "sequence %d: expects to save the %d tokens that it holds, but got %zu, of which %d are held, or others",
        sequence, length, saved.tokens.size(), saved.held);
  SavedHeader header = {};
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = currentVersion;
  header.groups = program.groups.count;
  header.model = identityOf(session.of());
  const int32_t slot = session.adapterOf(sequence);
  header.adapter = slot ? session.adapters()->identity(slot) : 0;
  header.held = saved.held;
  header.pending = static_cast<int32_t>(saved.tokens.size()) - saved.held;
  header.drawn = saved.drawn;
  header.surprise = saved.surprise;
  header.checksum = checksumOf(&header, offsetof(SavedHeader, checksum));
  if (Status ok = write(&header, sizeof header); !ok)
    return ok;
  std::vector<uint8_t> buffer(sizeof(uint64_t));
  std::memcpy(buffer.data(), &header.checksum, sizeof(uint64_t));
  // The part lies behind the sum of the one before.
  auto part = [&]() -> Status {
    const uint64_t sum = checksumOf(buffer.data(), buffer.size());
    if (Status ok = write(buffer.data() + sizeof sum, buffer.size() - sizeof sum); !ok)
      return ok;
    std::memcpy(buffer.data(), &sum, sizeof sum);
    return write(&sum, sizeof sum);
  };
  auto fill = [&](const void *from, size_t bytes) {
    buffer.resize(sizeof(uint64_t) + bytes);
    if (bytes)
      std::memcpy(buffer.data() + sizeof(uint64_t), from, bytes);
  };
  fill(saved.tokens.data(), saved.tokens.size() * sizeof(int32_t));
  if (Status ok = part(); !ok)
    return ok;
  std::vector<SavedGroup> groups;
  for (const stepdown_cache_group &group : program.groups)
    groups.push_back(savedGroup(group, saved.held));
  fill(groups.data(), groups.size() * sizeof(SavedGroup));
  if (Status ok = part(); !ok)
    return ok;
  for (size_t g = 0; g < groups.size(); ++g)
    for (uint32_t layer = 0; layer < groups[g].layers; ++layer)
      for (bool values : {false, true}) {
        const CachePart which = partOf(groups[g], g, layer, values, saved.held);
        buffer.resize(sizeof(uint64_t) + bytesOf(groups[g], which));
        if (Status ok = session.readCache(sequence, which, buffer.data() + sizeof(uint64_t)); !ok)
          return ok;
        if (Status ok = part(); !ok)
          return ok;
      }
  return Done{};
}

Result<const uint8_t *> SavedSequenceReader::part(size_t size, const std::string &what) {
  buffer.resize(sizeof chain + size);
  std::memcpy(buffer.data(), &chain, sizeof chain);
  if (Status ok = read(buffer.data() + sizeof chain, size); !ok)
    return ok.error();
  uint64_t sum = 0;
  if (Status ok = read(&sum, sizeof sum); !ok)
    return ok.error();
  chain = checksumOf(buffer.data(), buffer.size());
  if (sum != chain)
    return fail(ErrorCode::SavedSequenceDamaged,
                "%s: %s: expects %zu bytes with checksum %016llx, but they have %016llx", name.c_str(), what.c_str(),
                size, static_cast<unsigned long long>(sum), static_cast<unsigned long long>(chain));
  return buffer.data() + sizeof chain;
}

Result<SavedSequenceReader> SavedSequenceReader::open(const Model &model, std::string name, ReadBytes read) {
  SavedSequenceReader reader(std::move(name), std::move(read));
  if (Status ok = reader.readHeader(model); !ok)
    return ok.error();
  return reader;
}

Status SavedSequenceReader::readHeader(const Model &model) {
  const stepdown_program &head = model.head();
  SavedHeader header = {};
  // What is not one says so first: a short file of another kind lacks the rest of a header, too.
  if (Status ok = read(header.magic, sizeof header.magic); !ok)
    return ok;
  if (std::memcmp(header.magic, magic, sizeof magic) != 0)
    return fail(ErrorCode::SavedSequenceFormat, "%s: expects a saved sequence, which begins with \"%.8s\"",
                name.c_str(), magic);
  if (Status ok = read(reinterpret_cast<uint8_t *>(&header) + sizeof magic, sizeof header - sizeof magic); !ok)
    return ok;
  if (header.version != currentVersion)
    return fail(ErrorCode::SavedSequenceFormat, "%s: expects version %u, but got %u", name.c_str(), currentVersion,
                header.version);
  if (const uint64_t sum = checksumOf(&header, offsetof(SavedHeader, checksum)); header.checksum != sum)
    return fail(ErrorCode::SavedSequenceDamaged,
                "%s: header: expects 120 bytes with checksum %016llx, but they have %016llx", name.c_str(),
                static_cast<unsigned long long>(header.checksum), static_cast<unsigned long long>(sum));
  for (uint8_t byte : header.reserved)
    if (byte)
      return fail(ErrorCode::SavedSequenceDamaged, "%s: header: expects zeros where nothing is said, but got %d",
                  name.c_str(), byte);
  if (header.model != identityOf(model))
    return fail(ErrorCode::SavedSequenceModel,
                "%s: expects a sequence of model \"%s\" (%016llx), but got one of another (%016llx)", name.c_str(),
                model.name(), static_cast<unsigned long long>(identityOf(model)),
                static_cast<unsigned long long>(header.model));
  const int64_t tokens = int64_t(header.held) + header.pending;
  if (header.held < 0 || header.pending < 0 || tokens > int64_t(head.max_context) + 1 || header.drawn < 0 ||
      header.drawn > tokens || !std::isfinite(header.surprise))
    return fail(ErrorCode::SavedSequenceDamaged,
                "%s: header: expects at most %u tokens and a finite surprise, but got %d and %d, of which %d are of an "
                "answer, and %g",
                name.c_str(), head.max_context + 1, header.held, header.pending, header.drawn,
                static_cast<double>(header.surprise));
  chain = header.checksum;
  Result<const uint8_t *> ids = part(static_cast<size_t>(tokens) * sizeof(int32_t), "tokens");
  if (!ids)
    return ids.error();
  known.tokens.resize(static_cast<size_t>(tokens));
  if (tokens)
    std::memcpy(known.tokens.data(), *ids, known.tokens.size() * sizeof(int32_t));
  for (int32_t id : known.tokens)
    if (id < 0 || static_cast<uint32_t>(id) >= head.vocabulary)
      return fail(ErrorCode::SavedSequenceDamaged, "%s: tokens: expects ids from 0 to %u, but got %d", name.c_str(),
                  head.vocabulary - 1, id);
  known.held = header.held;
  known.drawn = header.drawn;
  known.surprise = header.surprise;
  known.adapter = header.adapter;
  const Records<stepdown_cache_group> &groups = model.program().groups;
  if (header.groups != groups.count)
    return fail(ErrorCode::SavedSequenceCache, "%s: expects keys and values of %u groups of layers, but got %u",
                name.c_str(), groups.count, header.groups);
  Result<const uint8_t *> records = part(header.groups * sizeof(SavedGroup), "groups");
  if (!records)
    return records.error();
  for (uint32_t g = 0; g < groups.count; ++g) {
    SavedGroup given;
    std::memcpy(&given, *records + g * sizeof given, sizeof given);
    const SavedGroup wanted = savedGroup(groups[g], known.held);
    if (std::memcmp(&given, &wanted, sizeof given) != 0)
      return fail(ErrorCode::SavedSequenceCache, "%s: group %u: expects %s, but got %s", name.c_str(), g,
                  described(wanted).c_str(), described(given).c_str());
  }
  return Done{};
}

Result<int32_t> SavedSequenceReader::restore(Session &session) {
  int32_t slot = 0;
  for (size_t i = 1; known.adapter && session.adapters() && i < session.adapters()->names().size(); ++i)
    if (session.adapters()->identity(static_cast<int32_t>(i)) == known.adapter)
      slot = static_cast<int32_t>(i);
  if (known.adapter && !slot)
    return fail(ErrorCode::SavedSequenceModel,
                "%s: expects the adapter that it was saved with to be loaded, with the same scale, but it is not",
                name.c_str());
  Result<int32_t> sequence = session.adopt(known.tokens.data(), static_cast<size_t>(known.held), slot);
  if (!sequence)
    return sequence;
  struct Freed { // on every way out but the good one, also by an exception
    Session &session;
    int32_t sequence;
    bool good;
    ~Freed() {
      if (!good)
        session.freeSequence(sequence);
    }
  } freed{session, *sequence, false};
  if (Status ok = readCache(session, *sequence); !ok)
    return ok.error();
  freed.good = true;
  return sequence;
}

Status SavedSequenceReader::readCache(Session &session, int32_t sequence) {
  const Records<stepdown_cache_group> &groups = session.of().program().groups;
  for (size_t g = 0; g < groups.count; ++g) {
    const SavedGroup group = savedGroup(groups[g], known.held);
    for (uint32_t layer = 0; layer < group.layers; ++layer)
      for (bool values : {false, true}) {
        const CachePart which = partOf(group, g, layer, values, known.held);
        Result<const uint8_t *> bytes =
            part(bytesOf(group, which), (values ? "values of layer " : "keys of layer ") + std::to_string(layer) +
                                            " of group " + std::to_string(g));
        if (!bytes)
          return bytes.error();
        if (Status ok = session.writeCache(sequence, which, *bytes); !ok)
          return ok;
      }
  }
  return Done{};
}

} // namespace stepdown
