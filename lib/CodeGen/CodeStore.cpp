#include "lib/CodeGen/CodeStore.h"
#include "lib/Base/PartFile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cstdlib>
#include <elf.h>
#include <fcntl.h>
#include <filesystem>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {
namespace {

constexpr size_t kDigest = LLVM_BLAKE3_OUT_LEN; // bytes; a file is the digest of key and code, then the code
constexpr size_t kOthers = 3;                   // builds beside this one that keep what they have
constexpr llvm::StringLiteral kBuild = "build-";

/// What the notes of the program and its libraries say of their builds.
struct Builds {
  std::string all;      ///< in the order in which they are loaded
  bool complete = true; ///< each has said something

  /// One object; its segments are in memory.
  static int read(dl_phdr_info *object, size_t, void *out) {
    auto &builds = *static_cast<Builds *>(out);
    if (llvm::StringRef(object->dlpi_name).contains("linux-vdso")) // the kernel's
      return 0;
    const size_t before = builds.all.size();
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const ElfW(Phdr) &segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_NOTE)
        continue;
      const char *at = reinterpret_cast<const char *>(object->dlpi_addr + segment.p_vaddr);
      const char *const end = at + segment.p_memsz;
      while (at + sizeof(ElfW(Nhdr)) <= end) {
        const auto *note = reinterpret_cast<const ElfW(Nhdr) *>(at);
        const char *name = at + sizeof *note, *value = name + llvm::alignTo(note->n_namesz, 4);
        at = value + llvm::alignTo(note->n_descsz, 4);
        if (note->n_type == NT_GNU_BUILD_ID && at <= end &&
            llvm::StringRef(name, note->n_namesz) == llvm::StringRef("GNU", 4))
          builds.all += llvm::toHex(llvm::StringRef(value, note->n_descsz)) + ",";
      }
    }
    builds.complete &= builds.all.size() > before;
    return 0;
  }
};

std::string digestOf(llvm::ArrayRef<llvm::StringRef> parts) {
  llvm::BLAKE3 hash;
  for (llvm::StringRef part : parts) {
    const uint64_t size = part.size();
    hash.update(llvm::StringRef(reinterpret_cast<const char *>(&size), sizeof size));
    hash.update(part);
  }
  const auto digest = hash.final<kDigest>();
  return std::string(digest.begin(), digest.end());
}

} // namespace

CodeStore::CodeStore(std::string given) : folder(std::move(given)) {
  if (folder.empty())
    return;
  Builds builds;
  dl_iterate_phdr(Builds::read, &builds);
  if (!builds.complete) {
    folder.clear();
    return;
  }
  build = std::move(builds.all);
  own = kBuild.str() + llvm::toHex(digestOf({build}), /*LowerCase=*/true);
}

CodeStore CodeStore::ofEnvironment() {
  const char *named = std::getenv("STEPDOWN_CODE_STORE");
  return CodeStore(named ? named : "");
}

Status CodeStore::open() const {
  if (!isOpen())
    return Done{};
  const std::string path = folder + "/" + own;
  std::error_code code = llvm::sys::fs::create_directories(path);
  if (!code && access(path.c_str(), W_OK | X_OK) != 0)
    code = std::error_code(errno, std::generic_category());
  if (code)
    return fail(ErrorCode::FileWrite, "STEPDOWN_CODE_STORE: expects a folder that can be written, but got %s: %s",
                folder.c_str(), code.message().c_str());
  utimensat(AT_FDCWD, path.c_str(), nullptr, 0); // when it was opened last
  removeOtherBuilds();
  return Done{};
}

/// Another process may be doing the same, or use what is removed: it finds nothing then, and makes the folder again.
void CodeStore::removeOtherBuilds() const {
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> others;
  std::error_code code;
  for (std::filesystem::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    const std::string name = at->path().filename().string();
    llvm::StringRef digest = name;
    std::error_code gone;
    if (name == own || !digest.consume_front(kBuild) || digest.size() != 2 * kDigest ||
        digest.find_first_not_of("0123456789abcdef") != llvm::StringRef::npos || at->is_symlink(gone) ||
        !at->is_directory(gone))
      continue;
    if (const auto opened = at->last_write_time(gone); !gone)
      others.push_back({opened, at->path()});
  }
  llvm::sort(others, std::greater<>());
  for (size_t i = kOthers; i < others.size(); ++i)
    std::filesystem::remove_all(others[i].second, code);
}

std::string CodeStore::keyOf(llvm::ArrayRef<llvm::StringRef> parts) const {
  llvm::SmallVector<llvm::StringRef> all = {build};
  all.append(parts.begin(), parts.end());
  return llvm::toHex(digestOf(all), /*LowerCase=*/true);
}

std::string CodeStore::pathOf(const std::string &key) const {
  return folder + "/" + own + "/" + key.substr(0, 2) + "/" + key;
}

std::optional<llvm::SmallVector<char, 0>> CodeStore::find(const std::string &key) const {
  auto file = llvm::MemoryBuffer::getFile(pathOf(key), /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file || (*file)->getBufferSize() < kDigest)
    return std::nullopt;
  const llvm::StringRef digest = (*file)->getBuffer().take_front(kDigest),
                        code = (*file)->getBuffer().drop_front(kDigest);
  if (digest != digestOf({key, code}))
    return std::nullopt;
  return llvm::SmallVector<char, 0>(code.begin(), code.end());
}

bool CodeStore::keep(const std::string &key, llvm::StringRef bytes) const {
  const std::string path = pathOf(key);
  return !llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path)) &&
         writeFile(path, digestOf({key, bytes}) + bytes.str());
}

} // namespace stepdown
