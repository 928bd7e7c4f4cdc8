#include "db/process_memory.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace tidemark {
namespace {

/// Free memory at the end of a heap that is kept: enough for a page and its columns, which every
/// page of a drain asks for anew.
constexpr int kKeptBytes = 4 * 1024 * 1024;

}  // namespace

void ReturnLargeBuffers() {
#if defined(__GLIBC__)
  // Left alone, glibc raises this limit to the largest buffer that was ever freed. To set one of
  // the two switches that off for both.
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(kLargeBufferBytes));
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
#endif
}

void ReturnFreeMemory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace tidemark
