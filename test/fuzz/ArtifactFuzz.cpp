// Any bytes as an artifact, with checksums made right so that only the checks of sections and records stand in the way:
// opened or refused, and whatever opens makes a model and a session. Its code is mapped, but never run.
#include "runtime/Session/Session.h"
#include "test/unit/ArtifactBuilder.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

using namespace stepdown;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  if (size >= STEPDOWN_PAGE) {
    uint64_t whole = size;
    std::memcpy(bytes.data() + offsetof(stepdown_header, file_size), &whole, sizeof whole);
    test::seal(bytes);
  }
  int file = memfd_create("artifact", MFD_CLOEXEC);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    std::abort();
  auto model = Model::load("/proc/self/fd/" + std::to_string(file), nullptr);
  if (model) {
    Session::Options options;
    options.threads = 1;
    options.maxSequences = 2;
    auto session = Session::create(*model, options);
    if (!session && session.error().message.empty())
      std::abort();
  } else if (model.error().message.empty()) {
    std::abort();
  }
  close(file);
  return 0;
}
