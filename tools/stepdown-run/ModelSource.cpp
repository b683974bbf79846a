#include "tools/stepdown-run/ModelSource.h"

#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "runtime/Checksum.h"
#include "runtime/Devices.h"
#include "tools/stepdown-run/UserFolder.h"
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace stepdown::run {
namespace {

/// What a compilation depends on beside the checkpoint and the compiler.
struct CompileOptions {
  bool exact;
  bool verbose; ///< not what it depends on: tells on stderr what is being done
};

/// Identity of a file: what changes when its bytes do. Device and inode distinguish files, size and time versions.
std::string identity(const struct stat &info) {
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) + ":" + std::to_string(info.st_size) + ":" +
         std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + "|";
}

Result<std::string> compilerPath() {
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length <= 0 || length == sizeof self)
    return fail(ErrorCode::CompileFailed, "expects to find stepdown-compile beside stepdown-run, but cannot read where "
                                          "stepdown-run lies");
  std::string path(self, length);
  path = path.substr(0, path.rfind('/') + 1) + "stepdown-compile";
  if (access(path.c_str(), X_OK) != 0)
    return fail(ErrorCode::CompileFailed, "%s: expects the compiler beside stepdown-run, but cannot run it: %s",
                path.c_str(), std::strerror(errno));
  return path;
}

/// Runs the compiler with its messages on our stderr, and nothing of it on stdout.
Status compile(const std::vector<std::string> &words) {
  std::vector<char *> arguments;
  for (const std::string &word : words)
    arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = fork();
  if (child < 0)
    return fail(ErrorCode::CompileFailed, "%s: cannot start: %s", words[0].c_str(), std::strerror(errno));
  if (child == 0) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return fail(ErrorCode::CompileFailed, "%s: cannot wait for it: %s", words[0].c_str(), std::strerror(errno));
  if (WIFSIGNALED(status))
    return fail(ErrorCode::CompileFailed, "%s: the compiler was stopped by signal %d (%s); nothing was written",
                words[1].c_str(), WTERMSIG(status), strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return fail(ErrorCode::CompileFailed, "%s: the compiler refused the checkpoint (exit status %d), as it says above",
                words[1].c_str(), WEXITSTATUS(status));
  return Done{};
}

/// Whether an artifact that was refused so is not as the compiler wrote it.
bool damaged(ErrorCode code) {
  switch (code) {
  case ErrorCode::ArtifactSize:
  case ErrorCode::ArtifactMagic:
  case ErrorCode::ArtifactVersion:
  case ErrorCode::ArtifactHeader:
  case ErrorCode::ArtifactSection:
  case ErrorCode::ArtifactChecksum:
  case ErrorCode::ArtifactTable:
  case ErrorCode::ArtifactOperand:
  case ErrorCode::ArtifactKind:
    return true;
  default:
    return false;
  }
}

/// Refusing a damaged or foreign checkpoint takes no compiler.
Status checkCheckpoint(const std::string &model) {
  Result<Checkpoint> checkpoint = Checkpoint::open(model);
  if (!checkpoint)
    return checkpoint.error();
  return checkModel(*checkpoint);
}

} // namespace

std::vector<std::string> inputsOf(const commandline::Arguments &arguments, const std::string &other) {
  std::vector<std::string> models = arguments.allPositionals(), files;
  models.push_back(other);
  models.push_back(arguments.text("against").value_or(""));
  for (const std::string &model : models)
    for (std::string &file : checkpointFiles(model))
      files.push_back(std::move(file));
  for (const char *option : {"file", "grammar", "json-schema"})
    files.push_back(arguments.text(option).value_or(""));
  return files;
}

Status checkModel(const Checkpoint &checkpoint) {
  Result<ModelParameters> parameters = readParameters(checkpoint);
  if (!parameters)
    return parameters.error();
  return checkTensors(checkpoint, *parameters);
}

/// The path of an artifact of `model`: itself, or the cache's, compiled now where it is missing, or in any case where
/// `again`; E0901, E0903, E0906.
static Result<std::string> artifactOf(const std::string &model, const CompileOptions &options, bool again = false) {
  struct stat info, compilerInfo;
  if (stat(model.c_str(), &info) != 0)
    return fail(ErrorCode::FileOpen, "%s: cannot open: %s", model.c_str(), std::strerror(errno));
  if (isArtifact(model))
    return model;
  Result<std::string> compiler = compilerPath();
  if (!compiler) {
    Status good = checkCheckpoint(model);
    return good ? compiler.error() : good.error();
  }
  if (stat(compiler->c_str(), &compilerInfo) != 0)
    return fail(ErrorCode::CompileFailed, "%s: cannot read: %s", compiler->c_str(), std::strerror(errno));
  Result<std::string> folder = userFolder("cache", "XDG_CACHE_HOME", "/.cache");
  if (!folder)
    return folder.error();

  std::string key = identity(info);
  for (const std::string &shard : checkpointFiles(model)) // of a checkpoint in several files each counts
    if (shard != model && stat(shard.c_str(), &info) == 0)
      key += identity(info);
  key += identity(compilerInfo) + (options.exact ? "exact" : "default");
  size_t slash = model.rfind('/');
  std::string stem = isFolder(model) ? folderName(model) : model.substr(slash == std::string::npos ? 0 : slash + 1);
  stem = stem.substr(0, stem.rfind(".gguf")).substr(0, 100);
  char name[32];
  std::snprintf(name, sizeof name, "-%016llx", (unsigned long long)checksumOf(key.data(), key.size()));
  std::string target = *folder + "/" + stem + name + (options.exact ? "-exact" : "") + ".stepdown";
  if (!again && isArtifact(target))
    return target;
  if (Status good = checkCheckpoint(model); !good)
    return good.error();
  if (options.verbose || isatty(STDERR_FILENO))
    std::fprintf(stderr, "compiling %s, once, into %s\n", model.c_str(), target.c_str());
  std::vector<std::string> words = {*compiler, model, "-o", target};
  if (options.exact)
    words.push_back("--exact");
  if (options.verbose)
    words.push_back("--verbose");
  if (Status compiled = compile(words); !compiled)
    return compiled.error();
  if (!isArtifact(target))
    return fail(ErrorCode::CompileFailed, "%s: expects the compiler to write %s, but it is not there", model.c_str(),
                target.c_str());
  return target;
}

Result<std::shared_ptr<const Model>> loadModel(const commandline::Arguments &arguments) {
  auto words = arguments.positionals(1);
  return words ? loadModel(arguments, (*words)[0]) : words.error();
}

Result<std::shared_ptr<const Model>> loadModel(const commandline::Arguments &arguments, const std::string &model) {
  const CompileOptions options = {arguments.has("exact"), arguments.has("verbose")};
  const auto named = arguments.text("isa");
  const char *isa = named ? named->c_str() : nullptr;
  Result<std::shared_ptr<Device>> device = openDevice(arguments.value("device").c_str()); // before anything is compiled
  if (!device)
    return device.error();
  Result<std::string> path = artifactOf(model, options);
  if (!path)
    return path.error();
  Result<std::shared_ptr<const Model>> loaded = Model::load(*path, *device, isa);
  if (!loaded && *path != model && damaged(loaded.error().code)) { // the cache is ours to repair
    std::fprintf(stderr, "stepdown-run: warning: %s; compiling %s again\n", loaded.error().text().c_str(),
                 model.c_str());
    path = artifactOf(model, options, true);
    if (!path)
      return path.error();
    loaded = Model::load(*path, *device, isa);
  }
  if (loaded && options.exact && !(*loaded)->head().exact)
    return fail(ErrorCode::ExactMismatch,
                "%s: expects an artifact that keeps activations float32; compile it with stepdown-compile --exact",
                model.c_str());
  return loaded;
}

Result<MetadataSource> MetadataSource::open(const std::string &model) {
  MetadataSource source;
  if (!isArtifact(model)) {
    Result<Checkpoint> checkpoint = Checkpoint::open(model, true);
    if (!checkpoint)
      return checkpoint.error();
    source.checkpoint = std::move(*checkpoint);
    return source;
  }
  Result<ArtifactFile> artifact = ArtifactFile::open(model);
  if (!artifact)
    return artifact.error();
  if (Status holdsModel = artifact->expectModel(); !holdsModel)
    return holdsModel.error();
  source.artifact = std::move(*artifact);
  Result<Metadata> pairs = parseMetadata(model, source.artifact->metadata());
  if (!pairs)
    return pairs.error();
  source.pairs = std::move(*pairs);
  return source;
}

Result<Tokenizer> openTokenizer(const Metadata &metadata) {
  Result<Tokenizer> tokenizer = Tokenizer::create(metadata);
  if (tokenizer)
    for (const std::string &warning : tokenizer->warnings())
      std::fprintf(stderr, "stepdown-run: warning: %s\n", warning.c_str());
  return tokenizer;
}

Result<std::unique_ptr<TextModel>> TextModel::open(const commandline::Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  return open(arguments, (*words)[0]);
}

Result<std::unique_ptr<TextModel>> TextModel::open(const commandline::Arguments &arguments, const std::string &path) {
  auto model = loadModel(arguments, path);
  if (!model)
    return model.error();
  auto tokenizer = openTokenizer((*model)->metadata());
  if (!tokenizer)
    return tokenizer.error();
  return std::unique_ptr<TextModel>(new TextModel{std::move(*model), std::move(*tokenizer)});
}

} // namespace stepdown::run
