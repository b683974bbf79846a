#include "test/unit/MadeModel.h"
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace stepdown {
namespace {

/// One folder for the process, removed when it ends.
struct Folder {
  std::string path;
  Folder() {
    std::string pattern = ::testing::TempDir() + "/stepdown-models-XXXXXX";
    if (mkdtemp(pattern.data()))
      path = pattern;
  }
  ~Folder() {
    for (auto &[options, file] : made)
      unlink(file.c_str());
    rmdir(path.c_str());
  }
  std::map<std::string, std::string> made;
};

} // namespace

std::string makeModel(const std::string &options) {
  static Folder folder;
  auto [entry, isNew] = folder.made.try_emplace(options);
  if (isNew) {
    std::string file = folder.path + "/" + std::to_string(folder.made.size()) + ".gguf";
    std::string command = std::string(STEPDOWN_PYTHON) + " " STEPDOWN_SOURCE_DIR "/test/data/make_model.py " + file +
                          " " + options + " >/dev/null";
    if (std::system(command.c_str()) == 0)
      entry->second = file;
    else
      ADD_FAILURE() << "cannot make a model with: " << command;
  }
  return entry->second;
}

} // namespace stepdown
