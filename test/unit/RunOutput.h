// What stepdown-run prints and how it ends.
#pragma once
#include "test/unit/ArtifactBuilder.h"
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/wait.h>
#include <vector>

namespace stepdown::test {

struct Output {
  int status;
  std::string out, err;
};

inline std::string textOf(const std::string &path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline Output run(const std::string &words, const std::string &environment = "") {
  std::string out = temporaryFile({}, ".out"), err = temporaryFile({}, ".err");
  int status = std::system((environment + " " STEPDOWN_RUN " " + words + " >" + out + " 2>" + err).c_str());
  return {WEXITSTATUS(status), textOf(out), textOf(err)};
}

inline std::vector<nlohmann::json> linesOf(const std::string &text) {
  std::vector<nlohmann::json> lines;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(nlohmann::json::parse(text.substr(at, text.find('\n', at) - at)));
  return lines;
}

} // namespace stepdown::test
