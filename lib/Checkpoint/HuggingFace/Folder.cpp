#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Encoder.h"
#include "lib/Checkpoint/HuggingFace/FolderWeights.h"
#include "lib/Checkpoint/HuggingFace/TokenizerJson.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <iterator>
#include <sys/stat.h>

namespace stepdown {
namespace {

constexpr size_t mostConfigBytes = 16u << 20, mostTokenizerBytes = 256u << 20;
constexpr const char *texts[] = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                                 "chat_template.jinja"};

/// A file of the folder that may be missing.
struct FolderFile {
  std::string path;
  bool there = false;
  std::string_view text;
  nlohmann::json json;
};

Result<FolderFile> openText(const std::string &folder, const char *name, size_t most, CheckpointBuilder &builder) {
  FolderFile file{folder + "/" + name, false, {}, {}};
  Result<bool> there = isThere(file.path);
  if (!there)
    return there.error();
  if (!*there)
    return file;
  Result<MappedFile> mapped = MappedFile::open(file.path);
  if (!mapped)
    return mapped.error();
  if (mapped->size() > most)
    return fail(ErrorCode::FolderJson, "%s: expects at most %zu bytes, but got %zu", file.path.c_str(), most,
                mapped->size());
  file.there = true;
  file.text = {reinterpret_cast<const char *>(mapped->data()), mapped->size()};
  builder.add(std::move(*mapped));
  return file;
}

Result<FolderFile> openJson(const std::string &folder, const char *name, size_t most, CheckpointBuilder &builder) {
  Result<FolderFile> file = openText(folder, name, most, builder);
  if (!file || !file->there)
    return file;
  Result<nlohmann::json> json = readJsonObject(file->path, file->text);
  if (!json)
    return json.error();
  file->json = std::move(*json);
  return file;
}

/// What a folder without config.json holds in its place, or nothing.
std::string heldBy(const std::string &folder) {
  std::string found; // the first by name, whatever the order in which the system lists them
  const std::unique_ptr<DIR, int (*)(DIR *)> listing(opendir(folder.c_str()), &closedir);
  while (const dirent *entry = listing ? readdir(listing.get()) : nullptr) {
    const std::string name = entry->d_name, ending = ".gguf";
    if (name == "adapter_config.json")
      return " (adapter_config.json is there: an adapter: name the model that it is for, and this with --adapter)";
    if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0 &&
        (found.empty() || name < found))
      found = name;
  }
  return found.empty() ? "" : " (" + printable(found) + " is there: name it itself)";
}

} // namespace

Result<bool> isThere(const std::string &path) {
  struct stat info; // of the name itself: a link that leads nowhere is there, and opening it says so
  if (lstat(path.c_str(), &info) == 0)
    return true;
  if (errno == ENOENT)
    return false;
  return fail(ErrorCode::FileOpen, "%s: expects a file that can be read: %s", path.c_str(), std::strerror(errno));
}

bool isFolder(const std::string &path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string folderName(const std::string &path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  const std::string name = real ? std::strrchr(real.get(), '/') + 1 : "";
  return name.empty() ? "model" : name;
}

std::vector<std::string> folderFiles(const std::string &path) {
  std::vector<std::string> files;
  const std::unique_ptr<DIR, int (*)(DIR *)> folder(opendir(path.c_str()), &closedir);
  while (const dirent *entry = folder ? readdir(folder.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.find(".safetensors") != name.npos ||
        std::any_of(std::begin(texts), std::end(texts), [&](const char *each) { return name == each; }))
      files.push_back(path + "/" + name);
  }
  for (std::string &file : encoderFiles(path))
    files.push_back(std::move(file));
  std::sort(files.begin(), files.end());
  return files;
}

Result<Checkpoint> openFolder(const std::string &path, bool metadataOnly) {
  CheckpointBuilder builder;
  Result<FolderFile> config = openJson(path, texts[0], mostConfigBytes, builder);
  if (!config)
    return config.error();
  if (!config->there)
    return fail(ErrorCode::FolderFile, "%s: expects a folder with config.json, but it is missing%s", path.c_str(),
                heldBy(path).c_str());
  Result<FolderFile> generation = openJson(path, texts[1], mostConfigBytes, builder);
  if (!generation)
    return generation.error();
  Result<FolderFile> tokenizer = openJson(path, texts[2], mostTokenizerBytes, builder);
  if (!tokenizer)
    return tokenizer.error();
  Result<FolderFile> settings = openJson(path, texts[3], mostConfigBytes, builder);
  if (!settings)
    return settings.error();
  Result<FolderFile> chat = openText(path, texts[4], mostConfigBytes, builder);
  if (!chat)
    return chat.error();

  PairWriter pairs;
  const JsonObject keys(config->path, config->json, ErrorCode::ConfigValue);
  const JsonObject sampling(generation->path, generation->json, ErrorCode::ConfigValue);
  Result<FolderConfig> model = readConfig(keys, generation->there ? &sampling : nullptr, pairs);
  if (!model)
    return model.error();
  if (model->family->encoder)
    if (Status read = readEncoderModules(path, *model->family, model->width, pairs); !read)
      return read.error();
  if (tokenizer->there) {
    const JsonObject whole(tokenizer->path, tokenizer->json, ErrorCode::TokenizerJsonForm);
    const JsonObject around(settings->path, settings->json, ErrorCode::TokenizerJsonForm);
    TokenizerFiles files{whole,
                         settings->there ? &around : nullptr,
                         chat->there ? &chat->text : nullptr,
                         model->vocabulary,
                         model->bos,
                         model->ends};
    if (Status read = readTokenizerJson(files, pairs); !read)
      return read.error();
  } else {
    pairs.add("tokenizer.folder.missing", true); // for those who tokenize
  }

  auto bytes = std::make_shared<const std::string>(pairs.bytes());
  builder.keep(bytes);
  size_t offset = 0;
  Result<Metadata> metadata =
      Metadata::parse(path, reinterpret_cast<const uint8_t *>(bytes->data()), bytes->size(), offset, pairs.count());
  if (!metadata)
    return metadata.error();
  builder.setMetadata(std::make_shared<const Metadata>(std::move(*metadata)), *bytes);
  if (!metadataOnly)
    if (Status read = readFolderWeights(path, *model, builder); !read)
      return read.error();
  return builder.finish();
}

} // namespace stepdown
