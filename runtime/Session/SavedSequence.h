// A sequence outside its session: in a file, or on its way to another process or device.
//
// Little-endian, in order:
//
//   header     128 bytes, see SavedHeader; checksummed
//   tokens     int32 [held + pending]
//   groups     of each cache group: layers, heads, channels of keys, channels of values, window, element, the first
//              position that is here, 0: 8 uint32
//   then for each group and each of its layers, keys and values: [positions, heads, channels], elements of the group,
//   from the first position that a later query sees to the last that is held
//
// Behind the tokens, the groups, each layer's keys and each layer's values follow 8 bytes: XXH3 of the 8 bytes of the
// part before (at first the header's checksum) and of the part. So a part that is missing, doubled or moved shows, and
// what a stream brings is checked before it is used, without all of it being in memory. Sizes are compared with the
// model's before memory is taken for them.
#pragma once
#include "runtime/Session/Session.h"
#include <functional>

namespace stepdown {

/// Takes `size` bytes: of a file, a pipe, a socket.
using WriteBytes = std::function<Status(const void *bytes, size_t size)>;
/// Gives exactly `size` bytes, or an error: E1511 where there are fewer.
using ReadBytes = std::function<Status(void *bytes, size_t size)>;

/// What is known of a sequence beside its keys and values.
struct SavedSequence {
  std::vector<int32_t> tokens; ///< all of them
  int32_t held = 0;            ///< the first so many have keys and values; the others are yet to be computed
  int32_t drawn = 0;           ///< the last so many are of an answer that may go on
  float surprise = 0;          ///< mirostat's state behind them, see Sampler::surprise()
  uint64_t adapter = 0;        ///< read alone: AdapterSet::identity of the one that it had, 0 for none
};

/// Writes an idle sequence and the tokens behind it: `saved.tokens` begin with those that it holds, and `saved.held` is
/// its length. E0604, E0610, E0611 for other tokens or another length, E1047, and what `write` refuses with.
Status saveSequence(Session &session, int32_t sequence, const SavedSequence &saved, const WriteBytes &write);

/// Reads one: first what is known of it, then its keys and values into a session of the same model.
class SavedSequenceReader {
public:
  /// `name`: of the file or stream, for messages. E1510, E1511; E1512 of another model than `model`; E1513 for other
  /// keys and values than its target has.
  static Result<SavedSequenceReader> open(const Model &model, std::string name, ReadBytes read);
  const SavedSequence &saved() const { return known; }
  /// A new sequence of `session` that holds what was saved; none where anything fails. E0605, E0606, E0608, E1511.
  Result<int32_t> restore(Session &session);

private:
  SavedSequenceReader(std::string name, ReadBytes read) : name(std::move(name)), read(std::move(read)) {}
  Status readHeader(const Model &model);
  /// The `size` bytes of the next part, which is `what`.
  Result<const uint8_t *> part(size_t size, const std::string &what);
  Status readCache(Session &session, int32_t sequence);
  std::string name;
  ReadBytes read;
  SavedSequence known;
  std::vector<uint8_t> buffer; ///< the checksum of the part before, and a part
  uint64_t chain = 0;
};

/// What a model is told by: of the checkpoint that its artifact was compiled from, whatever for. Of an artifact that
/// does not name it, of its metadata and weights.
uint64_t identityOf(const Model &model);

} // namespace stepdown
