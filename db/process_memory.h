// How a process that is all Tidemark keeps its memory small.
#pragma once

#include <cstddef>

namespace tidemark {

/// Buffers from this size on go back to the system when they are freed.
inline constexpr size_t kLargeBufferBytes = size_t{512} * 1024;

/// Has the process give buffers of `kLargeBufferBytes` and more back to the system as soon as they
/// are freed, instead of keeping them for later: the tables of a window and the write buffers come
/// and go with each fold, and what lies between them would stay resident. It is a matter of the
/// process, not of a store, so the library never does it by itself; `tidemark` and the benchmarks
/// do. Call it first thing in `main`. Does something with glibc only.
void ReturnLargeBuffers();

/// Gives what is free now back to the system, whatever its size. A runtime does it when it ends,
/// for the blocks of its cache were many and small. Takes milliseconds. Thread-safe; does something
/// with glibc only.
void ReturnFreeMemory();

}  // namespace tidemark
