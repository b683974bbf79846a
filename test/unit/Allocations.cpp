#include "test/unit/Allocations.h"
#include <cerrno>
#include <cstdlib>
#include <malloc.h>
#include <new>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STEPDOWN_SANITIZED 1
#endif
#endif

namespace {

// No constructors and no destructors: malloc is called before and after those.
thread_local int64_t liveBytes, peakBytes;
thread_local uint64_t callCount, failingCall; // failingCall 0: none
thread_local bool failingOnwards, hasFailed;

bool fails() {
  ++callCount;
  if (!failingCall || (failingOnwards ? callCount < failingCall : callCount != failingCall))
    return false;
  return hasFailed = true;
}

void *taken(void *place) {
  if (place && (liveBytes += malloc_usable_size(place)) > peakBytes)
    peakBytes = liveBytes;
  return place;
}

void given(void *place) {
  if (place)
    liveBytes -= malloc_usable_size(place);
}

} // namespace

namespace stepdown::test {

int64_t Allocations::live() { return liveBytes; }
int64_t Allocations::peak() { return peakBytes; }
uint64_t Allocations::calls() { return callCount; }
void Allocations::restart() {
  callCount = 0;
  peakBytes = liveBytes;
}
void Allocations::fail(uint64_t number, bool onwards) {
  callCount = 0;
  failingCall = number;
  failingOnwards = onwards;
  hasFailed = false;
}
void Allocations::failNone() { failingCall = 0; }
bool Allocations::failed() { return hasFailed; }

} // namespace stepdown::test

#ifdef STEPDOWN_SANITIZED

void *operator new(size_t bytes) {
  void *place = fails() ? nullptr : taken(std::malloc(bytes ? bytes : 1));
  if (!place)
    throw std::bad_alloc();
  return place;
}
void operator delete(void *place) noexcept {
  given(place);
  std::free(place);
}
void operator delete(void *place, size_t) noexcept { operator delete(place); }

#else

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t bytes) { return fails() ? errno = ENOMEM, nullptr : taken(__libc_malloc(bytes)); }
void *calloc(size_t count, size_t bytes) {
  return fails() ? errno = ENOMEM, nullptr : taken(__libc_calloc(count, bytes));
}
void *realloc(void *old, size_t bytes) {
  if (fails()) {
    errno = ENOMEM;
    return nullptr;
  }
  given(old);
  void *place = __libc_realloc(old, bytes);
  return taken(place || !bytes ? place : (taken(old), nullptr));
}
void *memalign(size_t alignment, size_t bytes) {
  return fails() ? errno = ENOMEM, nullptr : taken(__libc_memalign(alignment, bytes));
}
void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void **place, size_t alignment, size_t bytes) {
  void *got = memalign(alignment, bytes);
  if (!got)
    return ENOMEM;
  *place = got;
  return 0;
}
void free(void *place) {
  given(place);
  __libc_free(place);
}
}

#endif
