// cublasLt counts columns first: row-major c = a b is its c' = b' a', with the same bytes. The few declarations are
// ours.
#include "tools/stepdown-device-check/Peer.h"

#include <dlfcn.h>

namespace stepdown::devicecheck {
namespace {

constexpr int kFloat = 0, kHalf = 2, kBFloat = 14; // cudaDataType
constexpr int kSums = 68;                          // CUBLAS_COMPUTE_32F
constexpr int kWorkspaceBytes = 1;                 // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES

/// cublasLtMatmulHeuristicResult_t.
struct Proposal {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Proposal) == 96);

struct Library {
  int (*create)(void **handle);
  int (*describe)(void **description, int compute, int scale);
  int (*layout)(void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading);
  int (*prefer)(void **preference);
  int (*set)(void *preference, int attribute, const void *value, size_t bytes);
  int (*propose)(void *handle, void *description, void *a, void *b, void *c, void *d, void *preference, int wanted,
                 Proposal *proposals, int *count);
  int (*multiply)(void *handle, void *description, const void *alpha, const void *a, void *aLayout, const void *b,
                  void *bLayout, const void *beta, const void *c, void *cLayout, void *d, void *dLayout,
                  const void *algorithm, void *workspace, size_t workspaceBytes, void *stream);
};

const Library *open(std::string &said) {
  static Library library;
  static bool ready = false;
  if (ready)
    return &library;
  void *opened = nullptr;
  for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
    if (!opened)
      opened = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!opened) {
    said = "no libcublasLt";
    return nullptr;
  }
  auto find = [&](auto &field, const char *name) {
    field = reinterpret_cast<std::decay_t<decltype(field)>>(dlsym(opened, name));
    if (!field)
      said = std::string("libcublasLt without ") + name;
    return field != nullptr;
  };
  ready = find(library.create, "cublasLtCreate") && find(library.describe, "cublasLtMatmulDescCreate") &&
          find(library.layout, "cublasLtMatrixLayoutCreate") &&
          find(library.prefer, "cublasLtMatmulPreferenceCreate") &&
          find(library.set, "cublasLtMatmulPreferenceSetAttribute") &&
          find(library.propose, "cublasLtMatmulAlgoGetHeuristic") && find(library.multiply, "cublasLtMatmul");
  return ready ? &library : nullptr;
}

int typeOf(const std::string &element) { return element == "f32" ? kFloat : element == "bf16" ? kBFloat : kHalf; }

class CublasLt final : public Peer {
public:
  const Library *library;
  void *handle = nullptr, *description = nullptr, *layouts[3] = {};
  const void *left, *right;
  void *out, *workspace;
  size_t workspaceBytes;
  Proposal chosen = {};
  int count = 0;
  std::string name() const override { return "cublasLt, best of " + std::to_string(count); }
  bool run(void *stream) override { return multiply(chosen, stream); }
  bool multiply(const Proposal &proposal, void *stream) const {
    const float one = 1, zero = 0;
    return library->multiply(handle, description, &one, left, layouts[0], right, layouts[1], &zero, out, layouts[2],
                             out, layouts[2], proposal.algorithm, workspace, workspaceBytes, stream) == 0;
  }
};

} // namespace

std::unique_ptr<Peer> makeProductPeer(const Case &each, uint64_t a, uint64_t b, uint64_t c, uint64_t workspace,
                                      size_t workspaceBytes, void *stream, const TimeOnce &time, std::string &said) {
  const Library *library = open(said);
  if (!library)
    return nullptr;
  auto made = std::make_unique<CublasLt>();
  made->library = library;
  made->left = reinterpret_cast<const void *>(b), made->right = reinterpret_cast<const void *>(a);
  made->out = reinterpret_cast<void *>(c), made->workspace = reinterpret_cast<void *>(workspace);
  made->workspaceBytes = workspaceBytes;
  void *preference = nullptr;
  const int in = typeOf(each.element), result = typeOf(each.result);
  Proposal proposals[32];
  int error = library->create(&made->handle);
  error = error ? error : library->describe(&made->description, kSums, kFloat);
  error = error ? error : library->layout(&made->layouts[0], in, uint64_t(each.n), uint64_t(each.k), each.n);
  error = error ? error : library->layout(&made->layouts[1], in, uint64_t(each.k), uint64_t(each.m), each.k);
  error = error ? error : library->layout(&made->layouts[2], result, uint64_t(each.n), uint64_t(each.m), each.n);
  error = error ? error : library->prefer(&preference);
  error = error ? error : library->set(preference, kWorkspaceBytes, &workspaceBytes, sizeof workspaceBytes);
  error = error ? error
                : library->propose(made->handle, made->description, made->layouts[0], made->layouts[1],
                                   made->layouts[2], made->layouts[2], preference, 32, proposals, &made->count);
  double best = -1;
  for (int i = 0; !error && i < made->count; ++i) {
    double fastest = -1;
    for (int turn = 0; turn < 3; ++turn) {
      const double took = time([&] { return made->multiply(proposals[i], stream); });
      fastest = took >= 0 && (fastest < 0 || took < fastest) ? took : fastest;
    }
    if (fastest >= 0 && (best < 0 || fastest < best))
      best = fastest, made->chosen = proposals[i];
  }
  if (best >= 0)
    return made;
  said = "libcublasLt has no algorithm (status " + std::to_string(error) + ")";
  return nullptr;
}

} // namespace stepdown::devicecheck
