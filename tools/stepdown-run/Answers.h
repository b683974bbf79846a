// Answers in the making, and how the command generate prints them.
#pragma once
#include "lib/Base/Sha256.h"
#include "runtime/Generate/Generation.h"
#include "tools/stepdown-run/Request.h"

namespace stepdown::run {

/// One of the answers to a request.
struct Answer {
  const Request *request;
  std::unique_ptr<Generation> generation;
  std::optional<Sha256> rows; ///< the hash of those drawn from, where it is wanted
};

/// "; 31 of 40 guesses were right, 1.94 in each step", of all answers; empty where nothing guesses.
std::string guessesOf(const std::vector<Generation *> &answers);

/// Prints answers in the order of their requests, and on stderr why others are not answered.
class Printer {
public:
  Printer(const std::vector<RequestLine> &lines, const std::vector<std::vector<Answer *>> &answers, bool asJson,
          bool single)
      : lines(lines), answers(answers), asJson(asJson), single(single) {}

  /// Prints those that are done and whose predecessors are.
  Status finished();
  /// What the command ends with; an error where a request was refused.
  Status refused() const;

private:
  std::string textOf(const Generation &g) const;
  void tell(const Error &refusal);

  const std::vector<RequestLine> &lines;
  const std::vector<std::vector<Answer *>> &answers;
  const bool asJson, single;
  size_t line = 0, index = 0; ///< the next
  size_t count = 0, told = SIZE_MAX;
  ErrorCode last = ErrorCode::RequestField;
  std::optional<Error> problem; ///< of a request of the command line
};

} // namespace stepdown::run
