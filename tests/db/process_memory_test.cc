// Large buffers go back to the system, also after larger ones were freed.
#include "db/process_memory.h"

#include <malloc.h>

#include <cstdlib>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

// Of a buffer of `size` bytes: those that go back as soon as it is freed.
size_t ReturnedOf(size_t size) {
  const size_t before = mallinfo2().hblkhd;
  void* volatile buffer = std::malloc(size);  // NOLINT(cppcoreguidelines-no-malloc): not elided
  const size_t mapped = mallinfo2().hblkhd - before;
  std::free(buffer);  // NOLINT(cppcoreguidelines-no-malloc)
  return mapped;
}

TEST(ProcessMemoryTest, LargeBuffersGoBackAfterLargerOnesWereFreed) {
  if (ReturnedOf(64 * kLargeBufferBytes) == 0) GTEST_SKIP() << "a sanitizer has its own malloc";
  ReturnLargeBuffers();
  EXPECT_GE(ReturnedOf(16 * kLargeBufferBytes), 16 * kLargeBufferBytes);
  EXPECT_GE(ReturnedOf(kLargeBufferBytes), kLargeBufferBytes);
  EXPECT_EQ(ReturnedOf(kLargeBufferBytes / 2), 0U);
}

}  // namespace
}  // namespace tidemark
