// The header of a GGUF file and the joining of shards. Order of reading: header, metadata pairs, tensor infos, data.
#include "lib/Checkpoint/Gguf.h"
#include "lib/Checkpoint/GgufShard.h"

#include <cinttypes>

namespace stepdown {
namespace {

constexpr size_t headerBytes = 24;
constexpr uint64_t leastPairBytes = 14; // key length 8, one key byte, type 4, one value byte
constexpr uint64_t leastInfoBytes = 25; // name length 8, one name byte, rank 4, type 4, offset 8
constexpr uint64_t mostAlignment = 1u << 20;

/// What a file that is no GGUF looks like, and what to name in its place; or nothing. Of 24 bytes or more.
const char *likely(const uint8_t *bytes) {
  const auto begins = [&](const char *with) { return std::memcmp(bytes, with, 4) == 0; };
  if (begins("PK\x03\x04"))
    return " (a zip file, as PyTorch writes weights, which are programs there and are not read)";
  if (begins("lmgg") || begins("fmgg") || begins("tjgg"))
    return " (a model from before there was GGUF, to be converted again)";
  constexpr uint8_t short32[4] = {}; // the upper half of a length of 64 bits
  if (bytes[8] == '{' && std::memcmp(bytes + 4, short32, 4) == 0)
    return " (safetensors: name the folder that it lies in)";
  if (bytes[0] == '{')
    return " (JSON: of a Hugging Face folder name the folder)";
  return "";
}

/// The header: magic, version and the two counts, each checked against what the file can hold.
Status readHeader(const std::string &file, ByteCursor &cursor, uint64_t &tensorCount, uint64_t &pairCount) {
  if (!cursor.holds(headerBytes))
    return fail(ErrorCode::GgufHeaderShort, "%s: offset 0: header: expects %zu bytes, but the file has %zu",
                file.c_str(), headerBytes, cursor.size);
  if (std::memcmp(cursor.span, "GGUF", 4) != 0)
    return fail(ErrorCode::GgufMagic,
                "%s: offset 0: magic: expects 47 47 55 46 (\"GGUF\"), but got %02x %02x %02x %02x%s", file.c_str(),
                cursor.span[0], cursor.span[1], cursor.span[2], cursor.span[3], likely(cursor.span));
  cursor.offset = 4;
  uint32_t version = 0;
  cursor.read(version);
  if (version != 0 && (version & 0xffff) == 0)
    return fail(ErrorCode::GgufByteOrder,
                "%s: offset 4: version: expects a little-endian file, but got 0x%08x (a big-endian GGUF)", file.c_str(),
                version);
  if (version != 2 && version != 3)
    return fail(ErrorCode::GgufVersion, "%s: offset 4: version: expects 2 or 3, but got %u", file.c_str(), version);
  cursor.read(tensorCount);
  cursor.read(pairCount);
  if (tensorCount > cursor.remaining() / leastInfoBytes)
    return fail(ErrorCode::GgufTensorCount,
                "%s: offset 8: tensor count: expects at most %zu, as many as the file has room for, but got %" PRIu64,
                file.c_str(), cursor.remaining() / static_cast<size_t>(leastInfoBytes), tensorCount);
  if (pairCount > cursor.remaining() / leastPairBytes)
    return fail(
        ErrorCode::GgufPairCount,
        "%s: offset 16: metadata count: expects at most %zu, as many as the file has room for, but got %" PRIu64,
        file.c_str(), cursor.remaining() / static_cast<size_t>(leastPairBytes), pairCount);
  return Done{};
}

Result<uint64_t> readAlignment(const std::string &file, const Metadata &meta) {
  const GgufValue *value = meta.find("general.alignment");
  if (!value)
    return uint64_t(32);
  if (value->type != GgufType::U32)
    return fail(ErrorCode::GgufAlignment, "%s: offset %" PRIu64 ": general.alignment: expects type u32, but got %s",
                file.c_str(), value->offset, ggufValueTypeName(static_cast<uint32_t>(value->type)));
  uint32_t alignment;
  std::memcpy(&alignment, value->bytes, sizeof alignment);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > mostAlignment)
    return fail(ErrorCode::GgufAlignment,
                "%s: offset %" PRIu64 ": general.alignment: expects a power of two from 1 to %" PRIu64 ", but got %u",
                file.c_str(), value->offset, mostAlignment, alignment);
  return uint64_t(alignment);
}

} // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 80)) {
    char hex[5];
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
      out += hex;
    }
  }
  return text.size() > 80 ? out + "..." : out;
}

Result<GgufShard> readShard(const std::string &file, const uint8_t *span, size_t size, bool metadataOnly) {
  ByteCursor cursor{span, size};
  GgufShard shard;
  uint64_t tensorCount = 0;
  if (Status ok = readHeader(file, cursor, tensorCount, shard.pairs); !ok)
    return ok.error();
  shard.pairsBegin = cursor.offset;
  Result<Metadata> meta = Metadata::parse(file, span, size, cursor.offset, shard.pairs);
  if (!meta)
    return meta.error();
  shard.pairsEnd = cursor.offset;
  shard.meta = std::make_shared<Metadata>(std::move(*meta));
  Result<uint64_t> alignment = readAlignment(file, *shard.meta);
  if (!alignment)
    return alignment.error();
  Result<std::vector<StoredTensor>> tensors = readTensorInfos(file, cursor, tensorCount, *alignment, metadataOnly);
  if (!tensors)
    return tensors.error();
  shard.tensors = std::move(*tensors);
  return shard;
}

Result<Checkpoint> openGguf(const std::string &path, bool metadataOnly) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  Result<GgufShard> shard = readShard(path, file->data(), file->size(), metadataOnly);
  if (!shard)
    return shard.error();
  CheckpointBuilder builder;
  const char *pairs = reinterpret_cast<const char *>(file->data()) + shard->pairsBegin;
  builder.setMetadata(shard->meta, {pairs, static_cast<size_t>(shard->pairsEnd - shard->pairsBegin)});
  builder.add(std::move(*file));
  if (!metadataOnly)
    if (Status ok = readOtherShards(path, *shard->meta, builder, shard->tensors); !ok)
      return ok.error();
  for (const StoredTensor &tensor : shard->tensors)
    if (!builder.add(tensor))
      return fail(ErrorCode::GgufSplitDuplicate, "%s: tensor '%s': expects one shard that holds it, but got two",
                  path.c_str(), printable(tensor.name).c_str());
  return builder.finish();
}

} // namespace stepdown
