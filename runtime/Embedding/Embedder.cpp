// A text is a sequence that lives for one step: its keys and values lie in cache blocks, of which each step finds all
// free. Rows are pooled here, in double precision and in their order, so that neither threads nor targets can change
// a bit of it.
#include "runtime/Embedding/Embedder.h"

#include <algorithm>
#include <cmath>

namespace stepdown {
namespace {

constexpr int32_t kTexts = 64;      ///< of a step, at most
constexpr double kShortest = 1e-12; ///< an embedding that is shorter is divided by this, as PyTorch's normalize does

} // namespace

Result<std::unique_ptr<Embedder>> Embedder::create(std::shared_ptr<const Model> model, const Options &options) {
  const stepdown_program &head = model->head();
  if (!head.outputs)
    return fail(ErrorCode::EncoderMissing, "model of architecture %s: expects an encoder, but it continues texts",
                model->architecture());
  Result<PoolingParameters> how = readPooling(model->metadata());
  if (!how)
    return how.error();
  std::unique_ptr<Embedder> made(new Embedder);
  made->how = {options.pooling.value_or(how->pooling), options.normalises.value_or(how->normalises)};
  if (made->how.pooling == Pooling::None)
    return fail(ErrorCode::EmbeddingPooling,
                "model of architecture %s: expects a checkpoint that says how rows are pooled, or mean, cls or last to "
                "be asked for, but there is neither",
                model->architecture());
  made->most = std::min(head.max_context, head.max_step_tokens);
  made->sequences = static_cast<int32_t>(std::min<uint32_t>(kTexts, head.max_step_tokens));
  Session::Options session;
  session.threads = options.threads;
  session.maxSequences = made->sequences;
  // Each text may leave most of its last block unused.
  session.kvBlock = KVCache::blockSizes(model->program().cache[0]).front();
  session.kvPositions = int64_t(head.max_step_tokens) + int64_t(made->sequences) * session.kvBlock;
  made->sums.resize(head.outputs);
  Result<std::unique_ptr<Session>> opened = Session::open(std::move(model), session);
  if (!opened)
    return opened.error();
  made->session = std::move(*opened);
  return made;
}

Status Embedder::check(const Text *texts, size_t count) const {
  const uint32_t vocabulary = session->of().head().vocabulary;
  for (size_t i = 0; i < count; ++i) {
    if (texts[i].empty())
      return fail(ErrorCode::EmbeddingInput, "text %zu: expects at least one token, but it has none", i);
    if (texts[i].size() > most)
      return fail(ErrorCode::EmbeddingLength, "text %zu: expects at most %zu tokens, but it has %zu", i, most,
                  texts[i].size());
    for (int32_t id : texts[i])
      if (id < 0 || static_cast<uint32_t>(id) >= vocabulary)
        return fail(ErrorCode::EmbeddingInput, "text %zu: expects ids from 0 to %u, but got %d", i, vocabulary - 1, id);
  }
  return Done{};
}

Status Embedder::embed(const Text *texts, size_t count, float *out) {
  if (Status good = check(texts, count); !good)
    return good;
  for (size_t done = 0; done < count;) {
    size_t next = done, tokens = 0;
    while (next < count && next - done < static_cast<size_t>(sequences) &&
           tokens + texts[next].size() <= session->of().head().max_step_tokens)
      tokens += texts[next++].size();
    if (Status stepped = step(texts + done, next - done, out + done * width()); !stepped)
      return stepped;
    done = next;
  }
  return Done{};
}

Status Embedder::step(const Text *texts, size_t count, float *out) {
  std::vector<int32_t> opened;
  batch.clear();
  Status status = Done{};
  for (size_t i = 0; i < count && status; ++i) {
    Result<int32_t> sequence = session->createSequence();
    if (!sequence) {
      status = sequence.error();
      break;
    }
    opened.push_back(*sequence);
    for (size_t t = 0; t < texts[i].size(); ++t)
      batch.push_back({*sequence, texts[i][t],
                       how.pooling == Pooling::Mean || t == (how.pooling == Pooling::First ? 0 : texts[i].size() - 1)});
  }
  if (status)
    status = session->submit(batch.data(), batch.size());
  if (status)
    status = session->step();
  for (size_t i = 0, row = 0; i < count && status; ++i) {
    const size_t rows = how.pooling == Pooling::Mean ? texts[i].size() : 1;
    pool(row, rows, out + i * width());
    row += rows;
  }
  for (int32_t sequence : opened)
    session->freeSequence(sequence);
  return status;
}

void Embedder::pool(size_t row, size_t rows, float *out) {
  std::fill(sums.begin(), sums.end(), 0.0);
  for (size_t r = row; r < row + rows; ++r) {
    const float *values = session->logits(r);
    for (size_t c = 0; c < sums.size(); ++c)
      sums[c] += values[c];
  }
  double squares = 0;
  for (double &sum : sums) {
    sum /= static_cast<double>(rows);
    squares += sum * sum;
  }
  const double length = how.normalises ? std::max(std::sqrt(squares), kShortest) : 1;
  for (size_t c = 0; c < sums.size(); ++c)
    out[c] = static_cast<float>(sums[c] / length);
}

} // namespace stepdown
