// Sequences that leave their session and come back: into other block sizes, devices and processes, and damaged ones.
#include "runtime/Session/SavedSequenceFile.h"

#include "runtime/Checksum.h"
#include "test/device/Kinds.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace stepdown;
using test::ToyModel;
using Bytes = std::vector<uint8_t>;
using Tokens = std::vector<int32_t>;

namespace {

std::unique_ptr<Session> sessionOf(const std::shared_ptr<const Model> &model, int32_t block, int64_t positions = 512) {
  Session::Options options;
  options.kvBlock = block;
  options.kvPositions = positions;
  auto session = Session::create(model, options);
  EXPECT_TRUE(session) << session.error().text();
  return std::move(*session);
}

Tokens someTokens(size_t count) {
  Tokens tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>(i * i * 7 + i) % 41;
  return tokens;
}

/// Computes tokens behind `sequence`, in steps of 13; the row after the last.
std::vector<float> feed(Session &session, int32_t sequence, const Tokens &tokens) {
  for (size_t at = 0; at < tokens.size(); at += 13) {
    std::vector<Session::Token> batch;
    for (size_t i = at; i < std::min(tokens.size(), at + 13); ++i)
      batch.push_back({sequence, tokens[i], i + 1 == tokens.size()});
    Status ok = session.submit(batch.data(), batch.size());
    EXPECT_TRUE(ok) << ok.error().text();
    EXPECT_TRUE(session.step());
  }
  const float *row = session.logits(0);
  return {row, row + session.of().head().vocabulary};
}

Bytes bytesOf(Session &session, int32_t sequence, const SavedSequence &saved) {
  Bytes bytes;
  Status ok = saveSequence(session, sequence, saved, [&](const void *from, size_t size) -> Status {
    const auto *begin = static_cast<const uint8_t *>(from);
    bytes.insert(bytes.end(), begin, begin + size);
    return Done{};
  });
  EXPECT_TRUE(ok) << ok.error().text();
  return bytes;
}

ReadBytes readerOf(const Bytes &bytes) {
  return [&bytes, at = size_t(0)](void *to, size_t size) mutable -> Status {
    if (bytes.size() - at < size)
      return fail(ErrorCode::SavedSequenceDamaged, "expects %zu bytes more", size);
    if (size)
      std::memcpy(to, bytes.data() + at, size);
    at += size;
    return Done{};
  };
}

/// The error of restoring `bytes`, whose blocks must be as free as before; 0 for none.
int refusalOf(const Bytes &bytes, Session &session) {
  std::vector<uint32_t> before;
  for (size_t g = 0; g < session.kv().groupCount(); ++g)
    before.push_back(session.kv().freeBlocks(g));
  auto reader = SavedSequenceReader::open(session.of(), "bytes", readerOf(bytes));
  if (!reader)
    return static_cast<int>(reader.error().code);
  auto restored = reader->restore(session);
  if (restored)
    session.freeSequence(*restored);
  for (size_t g = 0; g < session.kv().groupCount(); ++g)
    EXPECT_EQ(session.kv().freeBlocks(g), before[g]);
  return restored ? 0 : static_cast<int>(restored.error().code);
}

struct Saved : testing::TestWithParam<test::DeviceKind> {
  ToyModel toy;
};

TEST_P(Saved, goesOnInOtherBlocksAndOnAnotherDevice) {
  for (uint32_t window : {0u, 7u, 37u}) {
    toy.window = window;
    const std::string file = toy.write();
    const auto model = *Model::load(file, GetParam().make()), other = *Model::load(file, *openDevice("cpu"));
    for (size_t length : {0, 1, 16, 31, 97, 128})
      for (int32_t block : {16, 64}) {
        auto from = sessionOf(model, 32), to = sessionOf(other, block);
        ASSERT_TRUE(to->createSequence()); // so that the numbers differ
        const int32_t sequence = *from->createSequence();
        SavedSequence saved;
        saved.tokens = someTokens(length + 2);
        saved.held = static_cast<int32_t>(length);
        saved.drawn = 1;
        saved.surprise = 2.5f;
        feed(*from, sequence, {saved.tokens.begin(), saved.tokens.begin() + saved.held});
        const Bytes bytes = bytesOf(*from, sequence, saved);
        auto reader = SavedSequenceReader::open(*other, "bytes", readerOf(bytes));
        ASSERT_TRUE(reader) << reader.error().text();
        EXPECT_EQ(reader->saved().tokens, saved.tokens);
        EXPECT_EQ(reader->saved().held, saved.held);
        EXPECT_EQ(reader->saved().drawn, 1);
        EXPECT_EQ(reader->saved().surprise, 2.5f);
        auto restored = reader->restore(*to);
        ASSERT_TRUE(restored) << restored.error().text();
        EXPECT_EQ(to->length(*restored), saved.held);
        EXPECT_TRUE(std::equal(saved.tokens.begin(), saved.tokens.begin() + saved.held, to->tokens(*restored)));
        // Saved once more, it is the same bytes, whatever the blocks are.
        EXPECT_EQ(bytesOf(*to, *restored, saved), bytes);
        // The original, and a fork of the copy, go on alike, and as the toy does from the tokens alone.
        Tokens all(saved.tokens.begin(), saved.tokens.end());
        const Tokens behind = someTokens(length + 60);
        all.insert(all.end(), behind.begin() + static_cast<ptrdiff_t>(length), behind.end());
        const Tokens rest(all.begin() + saved.held, all.end());
        const int32_t branch = *to->fork(*restored);
        EXPECT_EQ(feed(*to, *restored, rest), toy.logits(all)) << "window " << window << ", length " << length;
        EXPECT_EQ(feed(*to, branch, rest), toy.logits(all));
        EXPECT_EQ(feed(*from, sequence, rest), toy.logits(all));
      }
  }
}

INSTANTIATE_ON_DEVICES(Saved);

TEST(SavedSequence, damagedIsRefusedWhateverByteItIs) {
  ToyModel toy;
  toy.window = 5;
  auto session = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16),
       fresh = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(23);
  saved.held = 22;
  feed(*session, sequence, {saved.tokens.begin(), saved.tokens.end() - 1});
  const Bytes good = bytesOf(*session, sequence, saved);
  ASSERT_EQ(refusalOf(good, *fresh), 0);
  for (size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= static_cast<uint8_t>(1 << at % 8);
    EXPECT_EQ(refusalOf(bad, *fresh), at < 12 ? 1510 : 1511) << at;
  }
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_EQ(refusalOf({good.begin(), good.begin() + static_cast<ptrdiff_t>(length)}, *fresh), 1511) << length;
  for (size_t length : {8, 11, 127, 128, 131}) // of another kind, however short
    EXPECT_EQ(refusalOf(Bytes(length, 'x'), *fresh), 1510) << length;
  // Two layers' keys with their checksums, exchanged.
  const size_t first = 128 + 23 * 4 + 8 + 2 * 32 + 8, keys = 22 * 4 * 4 + 8;
  Bytes moved = good;
  std::swap_ranges(moved.begin() + first, moved.begin() + first + keys, moved.begin() + first + keys);
  EXPECT_NE(moved, good);
  EXPECT_EQ(refusalOf(moved, *fresh), 1511);
}

// Whoever writes a file can write its checksums: what they cover is checked too.
TEST(SavedSequence, wrongIsRefusedWhateverTheChecksumsSay) {
  ToyModel toy;
  toy.window = 5;
  auto session = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16),
       fresh = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(23);
  saved.held = 22;
  feed(*session, sequence, {saved.tokens.begin(), saved.tokens.end() - 1});
  const Bytes good = bytesOf(*session, sequence, saved);
  // Tokens, groups, keys and values of all positions, and of those from the 18th on; four channels each.
  const size_t parts[] = {23 * 4, 2 * 32, 22 * 16, 22 * 16, 4 * 16, 4 * 16};
  auto signedAgain = [&](Bytes bytes) {
    uint64_t sum = checksumOf(bytes.data(), 120);
    std::memcpy(&bytes[120], &sum, 8);
    size_t at = 128;
    for (size_t size : parts) {
      Bytes part(8 + size);
      std::memcpy(part.data(), &sum, 8);
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), size, part.begin() + 8);
      sum = checksumOf(part.data(), part.size());
      std::memcpy(&bytes[at + size], &sum, 8);
      at += size + 8;
    }
    EXPECT_EQ(at, bytes.size());
    return bytes;
  };
  ASSERT_EQ(signedAgain(good), good);
  auto with = [&](size_t at, auto value) {
    Bytes bytes = good;
    std::memcpy(&bytes[at], &value, sizeof value);
    return refusalOf(signedAgain(bytes), *fresh);
  };
  EXPECT_EQ(with(8, 2), 1510);  // version
  EXPECT_EQ(with(12, 1), 1513); // groups
  EXPECT_EQ(with(12, -1), 1513);
  EXPECT_EQ(with(16, uint64_t(1)), 1512); // model
  for (size_t at : {24, 28, 32})          // held, pending, drawn
    for (int32_t value : {-1, INT32_MIN, INT32_MAX, 258})
      EXPECT_EQ(with(at, value), 1511) << at << ": " << value;
  EXPECT_EQ(with(32, 24), 1511);
  EXPECT_EQ(with(32, 23), 0);
  for (float value : {NAN, -INFINITY, INFINITY})
    EXPECT_EQ(with(36, value), 1511) << value; // surprise
  for (size_t at = 40; at < 48; ++at)
    EXPECT_EQ(with(at, uint8_t(1)), 1512) << at; // adapter
  for (size_t at = 48; at < 120; ++at)
    EXPECT_EQ(with(at, uint8_t(1)), 1511) << at; // reserved
  for (int32_t id : {-1, 41, INT32_MAX})
    EXPECT_EQ(with(128 + 22 * 4, id), 1511) << id;
  for (size_t at = 128 + 23 * 4 + 8, end = at + 2 * 32; at < end; at += 4)
    EXPECT_EQ(with(at, 77), 1513) << at; // of a group
  EXPECT_EQ(with(128 + 23 * 4 + 8 + 64 + 8, 7.0f), 0) << "a key may be any";
}

TEST(SavedSequence, whatIsNotThereIsNeitherSavedNorCopied) {
  ToyModel toy;
  toy.window = 5;
  auto session = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(53);
  saved.held = 53;
  feed(*session, sequence, saved.tokens);
  Bytes room(1 << 16);
  auto refusal = [&](const CachePart &part) {
    Status read = session->readCache(sequence, part, room.data()),
           written = session->writeCache(sequence, part, room.data());
    EXPECT_EQ(bool(read), bool(written));
    return read ? 0 : static_cast<int>(read.error().code);
  };
  EXPECT_EQ(refusal({0, 0, false, 0, 53}), 0);
  EXPECT_EQ(refusal({1, 0, true, 49, 53}), 0);
  EXPECT_EQ(refusal({1, 0, true, 53, 53}), 0);
  for (const CachePart &part : std::vector<CachePart>{{2, 0, false, 0, 53},
                                                      {0, 1, false, 0, 53},
                                                      {0, 0, true, -1, 53},
                                                      {0, 0, true, 0, 54},
                                                      {0, 0, true, 9, 8},
                                                      {0, 0, true, INT32_MIN, INT32_MAX},
                                                      {1, 0, false, 0, 53}}) // whose window has passed the first
    EXPECT_EQ(refusal(part), 611) << part.group << " " << part.layer << " " << part.first << " " << part.end;
  EXPECT_EQ(refusal({1, 0, false, 15, 53}), 611);
  // Fewer or more tokens than it holds, and others.
  SavedSequence fewer = saved, more = saved, others = saved, none = saved;
  fewer.held = 52, more.held = 54, others.tokens[7] ^= 1, none.tokens.resize(52);
  for (const SavedSequence &wrong : {fewer, more, others, none}) {
    Status ok = saveSequence(*session, sequence, wrong, [](const void *, size_t) -> Status {
      ADD_FAILURE() << "something was written";
      return Done{};
    });
    ASSERT_FALSE(ok);
    EXPECT_EQ(ok.error().code, ErrorCode::RequestField) << ok.error().text();
  }
}

// Which part it is, and what was expected.
TEST(SavedSequence, refusalsSayWhatIsWrong) {
  ToyModel toy;
  const auto model = *Model::load(toy.write(), *openDevice("cpu"));
  auto session = sessionOf(model, 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(7);
  saved.held = 7;
  feed(*session, sequence, saved.tokens);
  const Bytes good = bytesOf(*session, sequence, saved);
  auto message = [&](size_t at) {
    Bytes bad = good;
    bad[at] ^= 1;
    auto reader = SavedSequenceReader::open(*model, "bytes", readerOf(bad));
    if (!reader)
      return reader.error().message;
    auto restored = reader->restore(*session);
    return restored ? std::string() : restored.error().message;
  };
  const size_t tokens = 128, groups = tokens + 7 * 4 + 8, cache = groups + 32 + 8, each = 7 * 16 + 8;
  for (auto [at, expected] : std::vector<std::pair<size_t, const char *>>{
           {40, "bytes: header: expects 120 bytes with checksum "},
           {tokens, "bytes: tokens: expects 28 bytes with checksum "},
           {groups, "bytes: groups: expects 32 bytes with checksum "},
           {cache, "bytes: keys of layer 0 of group 0: expects 112 bytes with checksum "},
           {cache + 3 * each, "bytes: values of layer 1 of group 0: expects 112 bytes with checksum "}})
    EXPECT_EQ(message(at).rfind(expected, 0), 0u) << message(at);
  const std::string path = test::temporaryFile({good.begin(), good.begin() + 141}, ".session");
  auto file = *SequenceFile::open(path);
  auto reader = SavedSequenceReader::open(*model, path, file.reader());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().message, path + ": expects 28 bytes from byte 128 on, but got 13");
}

TEST(SavedSequence, ofAnotherModelOrCacheOrTooLongIsRefused) {
  ToyModel toy;
  auto session = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(101);
  saved.held = 101;
  feed(*session, sequence, saved.tokens);
  const Bytes bytes = bytesOf(*session, sequence, saved);
  ToyModel windowed = toy;
  windowed.window = 9;
  auto refused = [&](const ToyModel &of, int64_t positions) {
    return refusalOf(bytes, *sessionOf(*Model::load(of.write(), *openDevice("cpu")), 16, positions));
  };
  EXPECT_EQ(refused(toy, 512), 0);
  saved.surprise = NAN;
  EXPECT_EQ(refusalOf(bytesOf(*session, sequence, saved), *session), 1511);
  EXPECT_EQ(refused(windowed, 512), 1513);
  EXPECT_EQ(refused(toy, 96), 606);
  auto full = sessionOf(*Model::load(toy.write(), *openDevice("cpu")), 16, 128);
  feed(*full, *full->createSequence(), someTokens(40));
  auto reader = SavedSequenceReader::open(full->of(), "bytes", readerOf(bytes));
  auto restored = reader->restore(*full);
  ASSERT_FALSE(restored);
  EXPECT_EQ(static_cast<int>(restored.error().code), 608);
  ToyModel deeper = toy;
  deeper.layers = 4;
  EXPECT_EQ(refused(deeper, 512), 1512); // other weights
}

TEST(SavedSequence, asAFileIsWholeOrNotThere) {
  ToyModel toy;
  const auto model = *Model::load(toy.write(), *openDevice("cpu"));
  auto session = sessionOf(model, 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = someTokens(31);
  saved.held = 31;
  feed(*session, sequence, saved.tokens);
  const std::string path = test::temporaryFile({}, ".session");
  ASSERT_TRUE(saveSequenceFile(*session, sequence, saved, path));
  auto refusal = [&] {
    auto file = *SequenceFile::open(path);
    auto reader = SavedSequenceReader::open(*model, path, file.reader());
    if (!reader)
      return static_cast<int>(reader.error().code);
    auto restored = reader->restore(*session);
    if (!restored)
      return static_cast<int>(restored.error().code);
    session->freeSequence(*restored);
    Status end = file.expectEnd();
    return end ? 0 : static_cast<int>(end.error().code);
  };
  EXPECT_EQ(refusal(), 0);
  // What fails on the way leaves the file as it was.
  session->freeSequence(sequence);
  Status failed = saveSequenceFile(*session, sequence, saved, path);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::SequenceUnknown);
  EXPECT_EQ(refusal(), 0);
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_EQ(refusal(), 1511);
  EXPECT_EQ(SequenceFile::open("/nowhere").error().code, ErrorCode::FileOpen);
}

// The prompt is computed here and the answer drawn there: two processes and a socket.
TEST(SavedSequence, goesOnInAnotherProcess) {
  ToyModel toy;
  toy.window = 11;
  const std::string path = toy.write();
  Tokens tokens = someTokens(73);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(ends[0]);
    auto session = sessionOf(*Model::load(path, *openDevice("cpu")), 64);
    auto all = [&](void *to, size_t size) -> Status {
      for (size_t got = 0; got < size;) {
        const ssize_t some = ::read(ends[1], static_cast<uint8_t *>(to) + got, size - got);
        if (some <= 0)
          return fail(ErrorCode::SavedSequenceDamaged, "socket: closed");
        got += static_cast<size_t>(some);
      }
      return Done{};
    };
    auto reader = SavedSequenceReader::open(session->of(), "socket", all);
    auto sequence = reader ? reader->restore(*session) : reader.error();
    if (!sequence)
      _exit(1);
    Tokens next = {tokens.back()};
    for (int i = 0; i < 7; ++i) {
      const std::vector<float> row = feed(*session, *sequence, next);
      next = {static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin())};
      if (::write(ends[1], next.data(), 4) != 4)
        _exit(2);
    }
    _exit(0);
  }
  ::close(ends[1]);
  auto session = sessionOf(*Model::load(path, *openDevice("cpu")), 16);
  const int32_t sequence = *session->createSequence();
  SavedSequence saved;
  saved.tokens = tokens;
  saved.held = 72;
  feed(*session, sequence, {tokens.begin(), tokens.end() - 1});
  ASSERT_TRUE(saveSequence(*session, sequence, saved, [&](const void *from, size_t size) -> Status {
    for (size_t sent = 0; sent < size;) {
      const ssize_t some = ::send(ends[0], static_cast<const uint8_t *>(from) + sent, size - sent, MSG_NOSIGNAL);
      if (some <= 0)
        return fail(ErrorCode::FileWrite, "socket: closed");
      sent += static_cast<size_t>(some);
    }
    return Done{};
  }));
  for (int i = 0; i < 7; ++i) {
    const std::vector<float> row = toy.logits(tokens);
    tokens.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    int32_t got = -1;
    ASSERT_EQ(::recv(ends[0], &got, 4, MSG_WAITALL), 4);
    EXPECT_EQ(got, tokens.back());
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(ends[0]);
}

} // namespace
