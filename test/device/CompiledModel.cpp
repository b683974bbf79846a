#include "test/device/CompiledModel.h"
#include "test/unit/MadeModel.h"
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace stepdown::test {
namespace {

/// A folder that goes when the program ends.
struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/device-model-XXXXXX";
    path = mkdtemp(name) ? name : ".";
  }
  ~Folder() { outputOf("rm -r " + path); }
};

} // namespace

std::string outputOf(const std::string &command) {
  std::string text;
  FILE *pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t n = 0; pipe && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, n);
  if (!pipe || pclose(pipe) != 0) {
    ADD_FAILURE() << command;
    return "";
  }
  return text;
}

std::string compiledModel(const std::string &model, const std::string &options) {
  static Folder folder;
  static std::map<std::string, std::string> made;
  std::string &path = made[model + " " + options];
  if (path.empty()) {
    path = folder.path + "/" + std::to_string(made.size()) + ".stepdown";
    outputOf(std::string(STEPDOWN_COMPILE) + " " + makeModel(model) + " -o " + path + " " + options);
  }
  return path;
}

} // namespace stepdown::test
