// Any bytes as a checkpoint: opened from a file, hyper-parameters and tensors checked, or refused.
#include "lib/Checkpoint/ModelParameters.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

using namespace stepdown;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = memfd_create("checkpoint", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  Result<Checkpoint> gguf = Checkpoint::open(path);
  if (!gguf)
    return 0;
  Result<ModelParameters> p = readParameters(*gguf);
  if (!p)
    return 0;
  // What every user of the parameters relies on.
  if (p->layers == 0 || p->heads.size() != p->layers || p->kvHeads.size() != p->layers ||
      p->feedForward.size() != p->layers || p->local.size() != p->layers || p->headSize == 0 ||
      p->rope.dimensions % 2 != 0 || p->rope.dimensions > p->headSize || !(p->rope.base > 0) || !(p->epsilon >= 0) ||
      !(p->attentionScale > 0) || !(p->rope.factor > 0))
    std::abort();
  for (uint32_t i = 0; i < p->layers; ++i)
    if (p->kvHeads[i] == 0 || p->heads[i] % p->kvHeads[i] != 0)
      std::abort();
  if (checkTensors(*gguf, *p))
    (void)static_cast<bool>(checkFinite(*gguf));
  return 0;
}
