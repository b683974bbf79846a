#include "tools/stepdown-run/Serve/Fresh.h"

#include <mutex>
#include <random>

namespace stepdown::run {

uint64_t freshNumber() {
  static std::mutex mutex;
  static std::mt19937_64 engine{(uint64_t(std::random_device()()) << 32) | std::random_device()()};
  std::lock_guard<std::mutex> lock(mutex);
  return engine();
}

std::string freshCallId() {
  static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr uint64_t count = sizeof letters - 1;
  std::string id(9, ' ');
  uint64_t number = freshNumber(); // 62^9 are less than 2^64
  for (char &letter : id) {
    letter = letters[number % count];
    number /= count;
  }
  return id;
}

} // namespace stepdown::run
