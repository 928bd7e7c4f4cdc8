// A set of sequence numbers: what is live, what a device was served, what it acknowledged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// Compressed, in chunks of 65,536 numbers; at most 8 KiB a chunk, two bytes a member where members
/// are sparse, four bytes a run where they are dense. An empty set allocates nothing.
///
/// Copies share their chunks until one of them writes: a copy costs O(chunks), the first write to a
/// shared chunk copies that chunk. A copy may be read, and destroyed, while another thread writes
/// to the original; one object alone is thread-compatible, like `int`.
class SequenceSet {
 public:
  /// Numbers with the same `value() / kChunkSize` share a chunk; that quotient is the chunk's key.
  static constexpr uint64_t kChunkSize = 65'536;
  static constexpr uint64_t ChunkKey(SequenceNumber sequence) {
    return sequence.value() / kChunkSize;
  }

  SequenceSet() = default;
  SequenceSet(const SequenceSet&) = default;
  SequenceSet(SequenceSet&& other) noexcept;
  SequenceSet& operator=(const SequenceSet&) = default;
  SequenceSet& operator=(SequenceSet&& other) noexcept;
  ~SequenceSet() = default;

  /// True if `sequence` was not a member before. Requires sequence < kSequenceLimit.
  bool Add(SequenceNumber sequence);
  /// Adds all of `increasing`, without repeats: cheaper than one by one.
  void AddAll(std::span<const SequenceNumber> increasing);
  /// Adds all of `any`, in any order, repeats allowed.
  void AddUnordered(std::span<const SequenceNumber> any);
  /// Adds all members of `other`, chunk by chunk.
  void AddSet(const SequenceSet& other);
  /// Costs O(chunks in the range). Requires range.limit <= kSequenceLimit.
  void AddRange(SequenceRange range);
  /// True if `sequence` was a member before.
  bool Remove(SequenceNumber sequence);
  /// Removes every member at or below `sequence`.
  void RemoveThrough(SequenceNumber sequence);
  /// Removes all members, and marks their chunks dirty.
  void Clear();

  bool Contains(SequenceNumber sequence) const;
  /// True if every number of `increasing` is a member.
  bool ContainsAll(std::span<const SequenceNumber> increasing) const;
  bool empty() const { return count_ == 0; }
  uint64_t Count() const { return count_; }
  /// Members above `after`.
  uint64_t CountAfter(SequenceNumber after) const;
  uint64_t CountRange(SequenceRange range) const;
  std::optional<SequenceNumber> First() const { return NextFrom(kSequenceZero); }
  std::optional<SequenceNumber> Last() const;
  /// The lowest member above `after`.
  std::optional<SequenceNumber> NextAfter(SequenceNumber after) const {
    return NextFrom(after.Next());
  }

  /// Writes the lowest members in (after, limit) to `out`, in increasing order, as many as fit, and
  /// returns how many. To go on, pass the last one as `after`.
  size_t Read(SequenceNumber after, SequenceNumber limit, std::span<SequenceNumber> out) const;

  bool operator==(const SequenceSet& other) const;

  // Storing: one row a chunk.

  /// Keys of the chunks that have members, increasing.
  std::vector<uint64_t> ChunkKeys() const;
  /// The chunk as bytes, in the smallest of three forms (docs/storage_format.md); empty if it has
  /// no members: its row is to be deleted.
  std::string SerializeChunk(uint64_t key) const;
  /// Replaces a chunk by what `SerializeChunk` wrote, and leaves it clean. Anything else is
  /// `kCorruption`, and changes nothing.
  Status LoadChunk(uint64_t key, std::string_view bytes);

  /// Keys of the chunks that changed since they were last taken, increasing; emptied ones included.
  /// A copy of the set carries them along.
  std::vector<uint64_t> TakeDirtyChunks();
  /// Gives keys back whose rows could not be stored.
  void MarkDirty(std::span<const uint64_t> keys);

  /// Heap bytes of this set, shared chunks counted in full.
  size_t MemoryBytes() const;

 private:
  struct Chunk;

  // Owns one reference to a chunk. The count is atomic, with the ordering that lets a writer who
  // finds itself alone write in place.
  // Assignment takes its argument by value, which copies or moves.
  // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions)
  class ChunkPointer {
   public:
    ChunkPointer() = default;
    explicit ChunkPointer(Chunk* chunk) : chunk_(chunk) {}
    ChunkPointer(const ChunkPointer& other);
    ChunkPointer(ChunkPointer&& other) noexcept : chunk_(other.chunk_) { other.chunk_ = nullptr; }
    ChunkPointer& operator=(ChunkPointer other) noexcept;
    ~ChunkPointer();

    const Chunk& operator*() const { return *chunk_; }
    const Chunk* operator->() const { return chunk_; }
    bool shared() const;
    // The chunk to write to; copies it first if it is shared.
    Chunk* Writable();

   private:
    Chunk* chunk_ = nullptr;
  };

  struct Entry {
    // Members with offsets in [first, last].
    uint32_t Count(uint32_t first, uint32_t last) const;

    uint64_t key = 0;
    ChunkPointer chunk;
    uint32_t count = 0;  // members, never zero
    bool dirty = false;
  };

  size_t LowerBound(uint64_t key) const;
  const Entry* Find(uint64_t key) const;
  Entry& FindOrInsert(uint64_t key);
  // Erases entries [first, limit), all of them emptied.
  void EraseEmptied(size_t first, size_t limit);
  std::optional<SequenceNumber> NextFrom(SequenceNumber from) const;

  std::vector<Entry> entries_;     // by key
  std::vector<uint64_t> emptied_;  // dirty keys without an entry; increasing
  uint64_t count_ = 0;
};

}  // namespace tidemark
