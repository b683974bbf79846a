#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "runtime/Session/SessionBytes.h"
#include "tools/stepdown-run/AdapterOptions.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/Serve/Api.h"
#include "tools/stepdown-run/Serve/HttpServer.h"
#include <algorithm>
#include <cstring>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace stepdown::run {
namespace {

constexpr uint64_t usualCacheBytes = uint64_t(1) << 30;

/// glibc raises the size from which memory goes back to the system when it is freed to 64 MB, for each of its arenas,
/// once a request took as much. Its bounds are fixed here, above what the steps of a model take each time.
void boundKeptMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
#endif
}

constexpr char about[] = "Prints `listening on http://HOST:PORT` when it is ready. The interface is OpenAI's: "
                         "/v1/models, /v1/completions, /v1/chat/completions and /v1/embeddings (of encoders); beside "
                         "it /tokenize, /health and /metrics (docs/serving.md). A request "
                         "names MODEL by its file "
                         "name without the ending, and MODEL:NAME with an adapter. What a request is answered does not "
                         "depend on the others. SIGINT or "
                         "SIGTERM ends the server "
                         "when the answers on their way are done; a second one at once.";

/// What a session has by default: the whole context for each sequence, or as much of it as a gigabyte holds.
Session::Options sessionOf(const Arguments &arguments, const Model &model) {
  Session::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  options.maxSequences =
      static_cast<int32_t>(std::min<int64_t>(arguments.integer("parallel"), model.head().max_step_rows));
  options.kvBlock = static_cast<int32_t>(arguments.integer("kv-block"));
  const std::string prefixes = arguments.value("prefix-cache");
  options.prefixBlocks = prefixes == "off"  ? 0
                         : prefixes == "on" ? UINT32_MAX
                                            : static_cast<uint32_t>(*commandline::parseInteger(prefixes));
  if (const int64_t blocks = arguments.integer("kv-blocks")) {
    options.kvPositions = blocks * options.kvBlock;
    return options;
  }
  const auto context = static_cast<int64_t>(model.head().max_context);
  const auto held = static_cast<int64_t>(usualCacheBytes / std::max<uint64_t>(1, model.cacheBytesPerPosition()));
  options.kvPositions = std::clamp(held, context, std::max(context, context * options.maxSequences));
  return options;
}

/// "smollm2" of "models/smollm2.gguf".
std::string idOf(const std::string &path) {
  if (isFolder(path))
    return folderName(path);
  std::string name = path.substr(path.rfind('/') + 1);
  for (const char *ending : {".gguf", ".stepdown"})
    if (const size_t at = name.rfind(ending);
        at != std::string::npos && at > 0 && at + std::strlen(ending) == name.size())
      name.resize(at);
  return name;
}

Status expectPrefixCache(const Arguments &arguments) {
  const std::string value = arguments.value("prefix-cache");
  const std::optional<int64_t> blocks = commandline::parseInteger(value);
  if (value == "on" || value == "off" || (blocks && *blocks >= 1 && *blocks <= INT32_MAX))
    return Done{};
  return arguments.usage("--prefix-cache expects on, off or a whole number of blocks from 1 to 2147483647, but got \"" +
                         value + "\"");
}

/// --prefix-spill=FILE[:SIZE]: the file, and the bytes that it may have.
struct Spill {
  std::string file;
  uint64_t bytes = uint64_t(4) << 30;
};

Result<Spill> spillOf(const Arguments &arguments) {
  Spill spill;
  const std::optional<std::string> value = arguments.text("prefix-spill");
  if (!value)
    return spill;
  spill.file = *value;
  const size_t colon = value->rfind(':');
  if (colon != value->npos && value->find('/', colon) == value->npos) {
    std::string digits = value->substr(colon + 1);
    const std::string units = "KMGT";
    const size_t unit = digits.empty() ? units.npos : units.find(digits.back());
    if (unit != units.npos)
      digits.pop_back();
    const int shift = unit == units.npos ? 0 : 10 * static_cast<int>(unit + 1);
    const std::optional<int64_t> count = commandline::parseInteger(digits);
    if (!count || *count < 1 || *count > (INT64_MAX >> shift))
      return arguments.usage("--prefix-spill expects FILE or FILE:SIZE, a whole number of bytes, or of K, M, G or T "
                             "(powers of 1024) as in spill:4G, but got \"" +
                             *value + "\"");
    spill.bytes = static_cast<uint64_t>(*count) << shift;
    spill.file = value->substr(0, colon);
  }
  if (spill.file.empty())
    return arguments.usage("--prefix-spill expects a file, but got \"" + *value + "\"");
  if (arguments.value("prefix-cache") == "off")
    return arguments.usage("--prefix-spill keeps what --prefix-cache keeps, which is off");
  return spill;
}

/// --speculate: what guesses for every request that says nothing else.
Result<Speculate> speculateOf(const Arguments &arguments) {
  Result<Speculate> how = Speculate::of(arguments);
  if (how && how->kind == Speculate::Kind::Edit)
    return arguments.usage("expects ngram, ngram:N or draft:MODEL for --speculate, for answers to different requests "
                           "are no editions of one text");
  return how;
}

/// An encoder, which embeds texts and continues none.
Status addEncoder(const Arguments &arguments, const std::string &id, TextModel &source, Api &api) {
  Embedder::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  auto embedder = Embedder::create(source.model, options);
  if (!embedder)
    return embedder.error();
  ServedModel &model = api.add(id, source.model, std::move(source.tokenizer));
  model.embedding =
      std::make_unique<EmbeddingService>(std::move(*embedder), static_cast<size_t>(arguments.integer("queue")));
  std::fprintf(stderr, "%s: embeddings of %zu numbers, texts of at most %zu tokens\n", id.c_str(),
               model.embedding->width(), model.embedding->longest());
  return Done{};
}

Status addModel(const Arguments &arguments, const std::string &path, const Speculate &speculate, const Spill &spill,
                Api &api) {
  const std::string id = idOf(path);
  for (const ServedModel &other : api.models())
    if (other.id == id)
      return arguments.usage("expects models of different names, but two are called \"" + id + "\"");
  auto source = TextModel::open(arguments, path);
  if (!source)
    return source.error();
  if ((*source)->model->head().outputs)
    return addEncoder(arguments, id, **source, api);
  Engine::Options options;
  options.session = sessionOf(arguments, *(*source)->model);
  // Prompt lookup takes what rows others leave; a draft model's guesses that find none were drawn for nothing.
  auto guesses = guessesFor(speculate, arguments, **source,
                            speculate.kind == Speculate::Kind::Draft ? options.session.maxSequences : 1);
  if (!guesses)
    return guesses.error();
  const auto adapters = adaptersOf(arguments);
  if (!adapters)
    return adapters.error();
  if (!adapters->empty())
    options.prepare = [&adapters](Session &session) { return loadAdapters(session, *adapters); };
  const Session::Options drafts = options.session; // which do not spill
  if (guesses->draft)
    guesses->draft->readInPieces(static_cast<size_t>(arguments.integer("chunk")));
  options.session.spillFile = spill.file;
  options.session.spillBytes = spill.bytes;
  options.warn = [id](const Error &error) {
    std::fprintf(stderr, "stepdown-run: warning: %s: %s; answers go on without what is lost (see /metrics)\n",
                 id.c_str(), error.text().c_str());
  };
  if (Status opened = guesses->open(drafts); !opened)
    return opened;
  ServedModel &model = api.add(id, (*source)->model, std::move((*source)->tokenizer));
  model.guesses = std::move(*guesses);
  options.steps.chunk = static_cast<uint32_t>(arguments.integer("chunk"));
  options.steps.stepTokens = static_cast<uint32_t>(arguments.integer("step-tokens"));
  options.waiting = static_cast<size_t>(arguments.integer("queue"));
  options.seconds = static_cast<double>(arguments.integer("timeout"));
  options.trace = api.options.trace;
  auto engine = Engine::create(model.model, model.tokenizer, options);
  if (!engine)
    return engine.error();
  model.engine = std::move(*engine);
  const auto tell = [](const std::string &name, const Session &session) {
    const KVCache &cache = session.kv();
    std::fprintf(stderr, "%s: %d sequences, %u blocks of %d positions in %.0f MB, %d threads, %s\n", name.c_str(),
                 cache.sequences(), cache.blocks(0), cache.blockSize(), double(cache.bytes()) / 1e6, session.threads(),
                 session.of().level());
  };
  tell(id, model.engine->of());
  if (const SpillFile *file = model.engine->of().spilled())
    std::fprintf(stderr, "%s: %llu of %llu spilled blocks of %.2f MB in %s\n", id.c_str(),
                 static_cast<unsigned long long>(file->figures().slots),
                 static_cast<unsigned long long>(file->capacity()), double(file->slotBytes()) / 1e6,
                 spill.file.c_str());
  if (model.guesses.session)
    tell(id + ", draft model " + idOf(speculate.file), *model.guesses.session);
  return Done{};
}

Status runServe(const Arguments &arguments) {
  boundKeptMemory();
  if (Status good = expectPrefixCache(arguments); !good)
    return good;
  auto paths = arguments.somePositionals();
  if (!paths)
    return paths.error();
  const Result<Speculate> speculate = speculateOf(arguments);
  if (!speculate)
    return speculate.error();
  const Result<Spill> spill = spillOf(arguments);
  if (!spill)
    return spill.error();
  HttpServer::Options http;
  http.host = arguments.value("host");
  http.port = static_cast<int>(arguments.integer("port"));
  http.body = static_cast<size_t>(arguments.integer("max-body"));
  http.connections = static_cast<size_t>(arguments.integer("connections"));
  std::unique_ptr<Trace> trace; // outlives all that writes to it
  if (const std::optional<std::string> path = arguments.text("trace")) {
    auto made = Trace::create(*path, inputsOf(arguments, speculate->file));
    if (!made)
      return made.error();
    trace = std::move(*made);
  }
  http.trace = trace.get();
  Api api;
  api.options.trace = trace.get();
  api.options.key = apiKey(arguments);
  auto server = HttpServer::create(http, api); // before anything is loaded: a port that is taken is told at once
  if (!server)
    return server.error();
  api.options.changeAdapters = arguments.has("change-adapters");
  if (arguments.has("adapter") && paths->size() > 1)
    return arguments.usage("expects one model beside --adapter");
  api.options.mostPriority = static_cast<int32_t>(arguments.integer("most-priority"));
  api.options.localOnly = (*server)->isLoopback() && api.options.key.empty();
  for (const std::string &path : *paths) {
    Spill its = *spill;
    if (!its.file.empty() && paths->size() > 1)
      its.file += "." + idOf(path);
    if (Status added = addModel(arguments, path, *speculate, its, api); !added)
      return added;
  }
  api.connections = [&] { return (*server)->connections(); };
  if (!(*server)->isLoopback() && api.options.key.empty())
    std::fprintf(stderr, "stepdown-run: warning: whoever reaches this address can use the server%s; see --api-key\n",
                 api.options.changeAdapters ? ", and have it read files of this machine" : "");
  if (Status printed = print("listening on " + (*server)->url() + "\n"); !printed)
    return printed;
  const auto grace = static_cast<double>(arguments.integer("grace"));
  (*server)->run(
      [&] {
        std::fputs("stepdown-run: stopping\n", stderr);
        for (ServedModel &model : api.models())
          if (model.engine)
            model.engine->stop(grace);
          else
            model.embedding->stop();
      },
      grace + 2);
  // Answers that are left hold connections, which end with the server.
  for (ServedModel &model : api.models()) {
    model.engine.reset();
    model.embedding.reset();
  }
  return trace ? trace->close() : Status(Done{});
}

} // namespace

Command serveCommand() {
  return {
      "serve",
      "MODEL...",
      "Serves models to clients of OpenAI's interface.",
      {{nullptr, 0, nullptr, "Address"},
       Option("host", 0, "ADDRESS", "where to listen; 0.0.0.0 or :: for all networks").by("127.0.0.1"),
       Option("port", 0, "N", "the port; 0: any that is free").whole(0, 65535).by("8080"),
       Option("api-key", 0, "KEY", "ask for this key; also from the environment's STEPDOWN_API_KEY")
           .otherwiseIt("none is asked for"),
       {nullptr, 0, nullptr, "Adapters"},
       adapterOption(),
       {"change-adapters", 0, nullptr,
        "let requests load and unload adapters, by paths on this machine (/v1/load_lora_adapter)"},
       {nullptr, 0, nullptr, "Limits"},
       Option("parallel", 0, "N", "answers of a model that are drawn together").whole(1, 65536).by("16"),
       Option("queue", 0, "N", "answers that may wait for their turn").whole(0, 1000000).by("64"),
       Option("most-priority", 0, "N", "that a request may ask for; more puts it before others, whose blocks it takes")
           .whole(0, Scheduler::mostPriority)
           .by("0"),
       Option("timeout", 0, "SECONDS", "that an answer may take with its waiting").whole(1, 1000000).by("600"),
       Option("grace", 0, "SECONDS", "for answers on their way when the server is stopped").whole(0, 86400).by("30"),
       Option("max-body", 0, "BYTES", "of a request").whole(1, INT32_MAX).by("4194304"),
       Option("connections", 0, "N", "clients at a time; more wait").whole(1, 65536).by("1000"),
       {nullptr, 0, nullptr, "Execution (never changes an answer)"},
       Option("kv-blocks", 0, "N", "blocks of each model's cache")
           .whole(1, INT32_MAX)
           .otherwiseIt("the context for each sequence, or what 1 GB holds"),
       kvBlockOption(),
       Option("prefix-cache", 0, "on|off|BLOCKS",
              "keep what was computed for prompts that begin alike; at most so many blocks")
           .among({"on", "off"})
           .by("on"),
       Option("prefix-spill", 0, "FILE[:SIZE]",
              "where that goes for which the cache has no more room, up to so many bytes (4G); of several models "
              "FILE.NAME")
           .otherwiseIt("it is computed again"),
       Option("chunk", 0, "N", "prompt tokens that one step takes at most").whole(1, INT32_MAX).by("128"),
       Option("step-tokens", 0, "N", "tokens that one step takes at most, drawn ones and those of prompts")
           .whole(1, INT32_MAX)
           .otherwiseIt("what the model's step holds"),
       Option("speculate", 0, "ngram[:N]|draft:MODEL",
              "guess ahead for requests that say nothing of it, as generate does")
           .otherwiseIt("a token in each step"),
       threadsOption(),
       deviceOption(),
       isaOption(),
       exactOption(),
       verboseOption(),
       Option("trace", 0, "FILE", "write what is done when, as a trace that Perfetto and Chrome read")},
      "stepdown-run serve smollm2.gguf --port 8080",
      runServe,
      about};
}

} // namespace stepdown::run
