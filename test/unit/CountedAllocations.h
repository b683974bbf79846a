// The count of SessionAllocationTest.cpp's malloc and its kin, for the files of that program.
#pragma once
#include <atomic>
#include <cstdint>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STEPDOWN_SANITIZED 1
#endif
#endif

namespace stepdown::test {
extern std::atomic<uint64_t> allocations; ///< calls so far, unless STEPDOWN_SANITIZED
}
