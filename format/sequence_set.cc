#include "format/sequence_set.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstring>
#include <roaring/roaring.hh>
#include <utility>

namespace tidemark {
namespace {

// Single inserts and removals leave runs as they are, and each may add one. Beyond this many edits
// since runs were last made, a chunk gives them up: a long list of runs is slow to edit and count.
constexpr uint32_t kRunEditsMax = 128;

constexpr uint32_t kOffsetMax = SequenceSet::kChunkSize - 1;

// A stored chunk is one byte for its form, then the members as little-endian 16-bit offsets.
constexpr char kFormList = 1;  // 1 to 4,096 offsets, increasing
constexpr char kFormBits = 2;  // 65,536 bits, more than 4,096 of them set
constexpr char kFormRuns = 3;  // a count, then (first offset, length - 1) pairs with gaps between
constexpr size_t kListMembersMax = 4096;
constexpr size_t kBitsBytes = SequenceSet::kChunkSize / 8;

// Roaring's portable format of a bitmap of one container: cookies and where the payload begins.
constexpr uint16_t kCookieRuns = 12347;
constexpr uint16_t kCookieNoRuns = 12346;
constexpr size_t kHeaderRuns = 9;
constexpr size_t kHeaderNoRuns = 16;

uint32_t Offset(SequenceNumber sequence) {
  return static_cast<uint32_t>(sequence.value() % SequenceSet::kChunkSize);
}

SequenceNumber Member(uint64_t key, uint32_t offset) {
  return SequenceNumber(key * SequenceSet::kChunkSize + offset);
}

uint16_t Load16(const char* bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes);
  return static_cast<uint16_t>(at[0] | (at[1] << 8));
}

void Append16(std::string* out, uint16_t value) {
  out->push_back(static_cast<char>(value & 0xff));
  out->push_back(static_cast<char>(value >> 8));
}

// Members in a list, or 0 if it is malformed.
uint32_t CheckList(std::string_view payload) {
  if (payload.size() % 2 != 0 || payload.size() / 2 > kListMembersMax) return 0;
  for (size_t at = 2; at < payload.size(); at += 2) {
    if (Load16(&payload[at]) <= Load16(&payload[at - 2])) return 0;
  }
  return static_cast<uint32_t>(payload.size() / 2);
}

uint32_t CheckBits(std::string_view payload) {
  if (payload.size() != kBitsBytes) return 0;
  uint32_t count = 0;
  for (size_t at = 0; at < payload.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, &payload[at], 8);
    count += static_cast<uint32_t>(std::popcount(word));
  }
  return count > kListMembersMax ? count : 0;
}

uint32_t CheckRuns(std::string_view payload) {
  if (payload.size() < 6) return 0;
  const size_t runs = Load16(payload.data());
  if (payload.size() != 2 + runs * 4) return 0;
  uint32_t count = 0;
  uint32_t free_from = 0;  // lowest offset at which the next run may begin
  for (size_t at = 2; at < payload.size(); at += 4) {
    const uint32_t first = Load16(&payload[at]);
    const uint32_t last = first + Load16(&payload[at + 2]);
    if (first < free_from || last > kOffsetMax) return 0;
    count += last - first + 1;
    free_from = last + 2;
  }
  return count;
}

// The portable roaring bitmap around a checked payload.
std::string PortableBytes(char form, std::string_view payload, uint32_t count) {
  std::string out;
  out.reserve(kHeaderNoRuns + payload.size());
  const auto last = static_cast<uint16_t>(count - 1);
  if (form == kFormRuns) {
    Append16(&out, kCookieRuns);
    Append16(&out, 0);    // one container
    out.push_back('\1');  // which is made of runs
    Append16(&out, 0);
    Append16(&out, last);
  } else {
    Append16(&out, kCookieNoRuns);
    Append16(&out, 0);
    Append16(&out, 1);  // one container
    Append16(&out, 0);
    Append16(&out, 0);
    Append16(&out, last);
    Append16(&out, kHeaderNoRuns);
    Append16(&out, 0);
  }
  out.append(payload);
  return out;
}

}  // namespace

struct SequenceSet::Chunk {
  Chunk() = default;
  Chunk(const Chunk& other) : runs(other.runs), run_edits(other.run_edits), bitmap(other.bitmap) {}
  Chunk(Roaring&& loaded, bool has_runs) : runs(has_runs), bitmap(std::move(loaded)) {}
  ~Chunk() = default;
  Chunk(Chunk&&) = delete;
  Chunk& operator=(const Chunk&) = delete;
  Chunk& operator=(Chunk&&) = delete;

  bool Contains(uint32_t offset) const { return roaring_bitmap_contains(&bitmap.roaring, offset); }

  uint32_t Size() const { return static_cast<uint32_t>(bitmap.cardinality()); }

  // True if `offset` was absent.
  bool Add(uint32_t offset) {
    if (!runs) return bitmap.addChecked(offset);
    if (bitmap.contains(offset)) return false;
    bitmap.add(offset);
    NoteRunEdit();
    return true;
  }

  // Increasing.
  void AddAll(std::span<const uint32_t> offsets) {
    if (offsets.empty()) return;
    // A stretch without gaps is a run, unless the chunk has given runs up.
    const bool without_gaps = offsets.back() - offsets.front() + 1 == offsets.size();
    if (without_gaps && offsets.size() > 1 && (runs || bitmap.isEmpty())) {
      AddRange(offsets.front(), offsets.back() + 1);
      return;
    }
    if (runs) GiveUpRuns();
    bitmap.addMany(offsets.size(), offsets.data());
  }

  // True if `offset` was present.
  bool Remove(uint32_t offset) {
    if (!runs) return bitmap.removeChecked(offset);
    if (!bitmap.contains(offset)) return false;
    bitmap.remove(offset);
    NoteRunEdit();
    return true;
  }

  // Offsets [first, limit).
  void AddRange(uint32_t first, uint32_t limit) {
    bitmap.addRange(first, limit);
    runs = true;
    NoteRunEdit();
  }

  void NoteRunEdit() {
    if (++run_edits == kRunEditsMax) GiveUpRuns();
  }

  // Member by member: libroaring 0.2.66 never ends when it makes an array of a run that ends with
  // the chunk.
  void GiveUpRuns() {
    std::vector<uint32_t> members(bitmap.cardinality());
    bitmap.toUint32Array(members.data());
    bitmap = Roaring();
    bitmap.addMany(members.size(), members.data());
    runs = false;
    run_edits = 0;
  }

  std::atomic<uint32_t> references{1};
  bool runs = false;       // there may be runs
  uint32_t run_edits = 0;  // since there may be runs
  Roaring bitmap;          // of offsets within the chunk
};

SequenceSet::ChunkPointer::ChunkPointer(const ChunkPointer& other) : chunk_(other.chunk_) {
  if (chunk_ != nullptr) chunk_->references.fetch_add(1, std::memory_order_relaxed);
}

SequenceSet::ChunkPointer& SequenceSet::ChunkPointer::operator=(ChunkPointer other) noexcept {
  std::swap(chunk_, other.chunk_);
  return *this;
}

SequenceSet::ChunkPointer::~ChunkPointer() {
  if (chunk_ == nullptr) return;
  if (chunk_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete chunk_;
}

bool SequenceSet::ChunkPointer::shared() const {
  // Acquire: whoever let go of the chunk last has finished reading it.
  return chunk_->references.load(std::memory_order_acquire) != 1;
}

SequenceSet::Chunk* SequenceSet::ChunkPointer::Writable() {
  if (shared()) *this = ChunkPointer(new Chunk(*chunk_));
  return chunk_;
}

SequenceSet::SequenceSet(SequenceSet&& other) noexcept
    : entries_(std::move(other.entries_)),
      emptied_(std::move(other.emptied_)),
      count_(std::exchange(other.count_, 0)) {}

SequenceSet& SequenceSet::operator=(SequenceSet&& other) noexcept {
  entries_ = std::move(other.entries_);
  emptied_ = std::move(other.emptied_);
  count_ = std::exchange(other.count_, 0);
  return *this;
}

uint32_t SequenceSet::Entry::Count(uint32_t first, uint32_t last) const {
  const uint64_t through = last == kOffsetMax ? count : chunk->bitmap.rank(last);
  const uint64_t before = first == 0 ? 0 : chunk->bitmap.rank(first - 1);
  return static_cast<uint32_t>(through - before);
}

size_t SequenceSet::LowerBound(uint64_t key) const {
  if (entries_.empty() || key <= entries_.front().key) return 0;
  // Keys are distinct, so an entry stands no further from the front than its key is. Where no chunk
  // is missing it stands exactly there.
  const size_t bound = std::min<uint64_t>(key - entries_.front().key, entries_.size());
  if (bound < entries_.size() && entries_[bound].key == key) return bound;
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(bound);
  const auto at = std::lower_bound(
      entries_.begin(), end, key, [](const Entry& entry, uint64_t k) { return entry.key < k; });
  return static_cast<size_t>(at - entries_.begin());
}

const SequenceSet::Entry* SequenceSet::Find(uint64_t key) const {
  const size_t at = LowerBound(key);
  return at < entries_.size() && entries_[at].key == key ? &entries_[at] : nullptr;
}

SequenceSet::Entry& SequenceSet::FindOrInsert(uint64_t key) {
  const size_t at = LowerBound(key);
  if (at < entries_.size() && entries_[at].key == key) return entries_[at];
  const auto emptied = std::lower_bound(emptied_.begin(), emptied_.end(), key);
  if (emptied != emptied_.end() && *emptied == key) emptied_.erase(emptied);
  return *entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(at),
                          Entry{.key = key, .chunk = ChunkPointer(new Chunk), .dirty = true});
}

void SequenceSet::EraseEmptied(size_t first, size_t limit) {
  if (first == limit) return;
  const auto begin = entries_.begin() + static_cast<ptrdiff_t>(first);
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(limit);
  const auto middle = static_cast<ptrdiff_t>(emptied_.size());
  for (auto entry = begin; entry != end; ++entry) emptied_.push_back(entry->key);
  std::inplace_merge(emptied_.begin(), emptied_.begin() + middle, emptied_.end());
  entries_.erase(begin, end);
}

bool SequenceSet::Add(SequenceNumber sequence) {
  assert(sequence < kSequenceLimit);
  Entry& entry = FindOrInsert(ChunkKey(sequence));
  if (entry.chunk.shared() && entry.chunk->Contains(Offset(sequence))) return false;
  if (!entry.chunk.Writable()->Add(Offset(sequence))) return false;
  ++entry.count;
  entry.dirty = true;
  ++count_;
  return true;
}

void SequenceSet::AddAll(std::span<const SequenceNumber> increasing) {
  assert(std::is_sorted(increasing.begin(), increasing.end()));
  std::array<uint32_t, 1024> offsets;  // NOLINT(cppcoreguidelines-pro-type-member-init): hot
  for (size_t at = 0; at < increasing.size();) {
    const uint64_t key = ChunkKey(increasing[at]);
    size_t size = 0;
    for (; at < increasing.size() && size < offsets.size(); ++at) {
      assert(increasing[at] < kSequenceLimit);
      if (ChunkKey(increasing[at]) != key) break;
      offsets[size++] = Offset(increasing[at]);
    }
    Entry& entry = FindOrInsert(key);
    Chunk* chunk = entry.chunk.Writable();
    chunk->AddAll({offsets.data(), size});
    const uint32_t count = chunk->Size();
    if (count != entry.count) entry.dirty = true;
    count_ += count - entry.count;
    entry.count = count;
  }
}

void SequenceSet::AddUnordered(std::span<const SequenceNumber> any) {
  Entry* entry = nullptr;
  Chunk* chunk = nullptr;
  for (const SequenceNumber sequence : any) {
    assert(sequence < kSequenceLimit);
    if (entry == nullptr || entry->key != ChunkKey(sequence)) {
      entry = &FindOrInsert(ChunkKey(sequence));
      chunk = entry->chunk.Writable();
    }
    if (!chunk->Add(Offset(sequence))) continue;
    ++entry->count;
    entry->dirty = true;
    ++count_;
  }
}

void SequenceSet::AddSet(const SequenceSet& other) {
  for (const Entry& from : other.entries_) {
    Entry& entry = FindOrInsert(from.key);
    if (entry.count == 0) {
      entry.chunk = from.chunk;
    } else {
      Chunk* chunk = entry.chunk.Writable();
      chunk->bitmap |= from.chunk->bitmap;
      chunk->runs = chunk->runs || from.chunk->runs;
    }
    const uint32_t count = entry.chunk->Size();
    if (count != entry.count) entry.dirty = true;
    count_ += count - entry.count;
    entry.count = count;
  }
}

void SequenceSet::AddRange(SequenceRange range) {
  assert(range.limit <= kSequenceLimit);
  for (SequenceNumber at = range.first; at < range.limit;) {
    const uint64_t key = ChunkKey(at);
    const SequenceNumber limit = std::min(range.limit, Member(key + 1, 0));
    Entry& entry = FindOrInsert(key);
    Chunk* chunk = entry.chunk.Writable();
    chunk->AddRange(Offset(at), Offset(at) + static_cast<uint32_t>(limit - at));
    const uint32_t count = chunk->Size();
    if (count != entry.count) entry.dirty = true;
    count_ += count - entry.count;
    entry.count = count;
    at = limit;
  }
}

bool SequenceSet::Remove(SequenceNumber sequence) {
  const size_t at = LowerBound(ChunkKey(sequence));
  if (at == entries_.size() || entries_[at].key != ChunkKey(sequence)) return false;
  Entry& entry = entries_[at];
  if (entry.chunk.shared() && !entry.chunk->Contains(Offset(sequence))) return false;
  if (!entry.chunk.Writable()->Remove(Offset(sequence))) return false;
  --count_;
  --entry.count;
  entry.dirty = true;
  if (entry.count == 0) EraseEmptied(at, at + 1);
  return true;
}

void SequenceSet::RemoveThrough(SequenceNumber sequence) {
  const size_t whole = LowerBound(ChunkKey(sequence));
  for (size_t at = 0; at < whole; ++at) count_ -= entries_[at].count;
  EraseEmptied(0, whole);
  if (entries_.empty() || entries_.front().key != ChunkKey(sequence)) return;

  Entry& entry = entries_.front();
  const uint32_t removed = entry.Count(0, Offset(sequence));
  if (removed == 0) return;
  count_ -= removed;
  entry.count -= removed;
  if (entry.count == 0) {
    EraseEmptied(0, 1);
    return;
  }
  roaring_bitmap_remove_range_closed(&entry.chunk.Writable()->bitmap.roaring, 0, Offset(sequence));
  entry.dirty = true;
}

void SequenceSet::Clear() {
  EraseEmptied(0, entries_.size());
  count_ = 0;
}

bool SequenceSet::Contains(SequenceNumber sequence) const {
  if (entries_.empty()) return false;
  const Entry* entry = Find(ChunkKey(sequence));
  return entry != nullptr && entry->chunk->Contains(Offset(sequence));
}

bool SequenceSet::ContainsAll(std::span<const SequenceNumber> increasing) const {
  const Entry* entry = nullptr;
  uint64_t key = ~uint64_t{0};
  return std::all_of(increasing.begin(), increasing.end(), [&](SequenceNumber sequence) {
    if (ChunkKey(sequence) != key) {
      key = ChunkKey(sequence);
      entry = Find(key);
    }
    return entry != nullptr && entry->chunk->Contains(Offset(sequence));
  });
}

uint64_t SequenceSet::CountAfter(SequenceNumber after) const {
  return CountRange({after.Next(), kSequenceLimit});
}

uint64_t SequenceSet::CountRange(SequenceRange range) const {
  if (range.empty()) return 0;
  const SequenceNumber last = range.limit.Previous();
  const uint64_t first_key = ChunkKey(range.first);
  const uint64_t last_key = ChunkKey(last);
  const size_t begin = LowerBound(first_key);
  uint64_t count = 0;
  for (size_t at = begin; at < entries_.size() && entries_[at].key <= last_key; ++at) {
    const Entry& entry = entries_[at];
    if (entry.key != first_key && entry.key != last_key) {
      count += entry.count;
      continue;
    }
    const uint32_t from = entry.key == first_key ? Offset(range.first) : 0;
    const uint32_t to = entry.key == last_key ? Offset(last) : kOffsetMax;
    count += entry.Count(from, to);
  }
  return count;
}

std::optional<SequenceNumber> SequenceSet::Last() const {
  if (entries_.empty()) return std::nullopt;
  return Member(entries_.back().key, entries_.back().chunk->bitmap.maximum());
}

std::optional<SequenceNumber> SequenceSet::NextFrom(SequenceNumber from) const {
  std::array<SequenceNumber, 1> next;
  if (from == kSequenceZero && Contains(from)) return from;
  const SequenceNumber after = from == kSequenceZero ? from : from.Previous();
  if (Read(after, kSequenceLimit, next) == 0) return std::nullopt;
  return next[0];
}

size_t SequenceSet::Read(SequenceNumber after,
                         SequenceNumber limit,
                         std::span<SequenceNumber> out) const {
  if (limit <= after.Next() || out.empty()) return 0;
  const SequenceNumber first = after.Next();
  std::array<uint32_t, 256> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): hot
  size_t filled = 0;
  for (size_t at = LowerBound(ChunkKey(first)); at < entries_.size(); ++at) {
    const Entry& entry = entries_[at];
    if (Member(entry.key, 0) >= limit) return filled;

    roaring_uint32_iterator_t members;
    roaring_init_iterator(&entry.chunk->bitmap.roaring, &members);
    if (entry.key == ChunkKey(first) && Offset(first) != 0 &&
        !roaring_move_uint32_iterator_equalorlarger(&members, Offset(first))) {
      continue;
    }
    while (filled < out.size()) {
      const auto wanted = static_cast<uint32_t>(std::min(block.size(), out.size() - filled));
      const uint32_t got = roaring_read_uint32_iterator(&members, block.data(), wanted);
      for (uint32_t i = 0; i < got; ++i) {
        const SequenceNumber member = Member(entry.key, block[i]);
        if (member >= limit) return filled;
        out[filled++] = member;
      }
      if (got < wanted) break;
    }
    if (filled == out.size()) return filled;
  }
  return filled;
}

bool SequenceSet::operator==(const SequenceSet& other) const {
  return count_ == other.count_ && std::equal(entries_.begin(),
                                              entries_.end(),
                                              other.entries_.begin(),
                                              other.entries_.end(),
                                              [](const Entry& left, const Entry& right) {
                                                return left.key == right.key &&
                                                       left.count == right.count &&
                                                       left.chunk->bitmap == right.chunk->bitmap;
                                              });
}

std::vector<uint64_t> SequenceSet::ChunkKeys() const {
  std::vector<uint64_t> keys;
  keys.reserve(entries_.size());
  for (const Entry& entry : entries_) keys.push_back(entry.key);
  return keys;
}

std::string SequenceSet::SerializeChunk(uint64_t key) const {
  const Entry* entry = Find(key);
  if (entry == nullptr) return {};
  Roaring smallest = entry->chunk->bitmap;
  smallest.runOptimize();
  std::string bytes(smallest.getSizeInBytes(true), '\0');
  smallest.write(bytes.data(), true);

  // Keep the container alone, under a byte for its form.
  const bool runs = Load16(bytes.data()) == kCookieRuns;
  bytes.erase(0, (runs ? kHeaderRuns : kHeaderNoRuns) - 1);
  bytes[0] = runs ? kFormRuns : entry->count > kListMembersMax ? kFormBits : kFormList;
  return bytes;
}

Status SequenceSet::LoadChunk(uint64_t key, std::string_view bytes) {
  const auto corrupt = [key](const char* what) {
    return Status(ErrorCode::kCorruption,
                  "chunk " + std::to_string(key) + " of a sequence set: " + what);
  };
  if (key > ChunkKey(kSequenceLimit.Previous())) return corrupt("key out of range");
  if (bytes.size() < 3) return corrupt("truncated");
  const char form = bytes[0];
  const std::string_view payload = bytes.substr(1);
  const uint32_t count = form == kFormList   ? CheckList(payload)
                         : form == kFormBits ? CheckBits(payload)
                         : form == kFormRuns ? CheckRuns(payload)
                                             : 0;
  if (count == 0) return corrupt("malformed");

  const std::string portable = PortableBytes(form, payload, count);
  roaring_bitmap_t* loaded =
      roaring_bitmap_portable_deserialize_safe(portable.data(), portable.size());
  if (loaded == nullptr) return corrupt("out of memory");

  Entry& entry = FindOrInsert(key);
  entry.chunk = ChunkPointer(new Chunk(Roaring(loaded), form == kFormRuns));
  count_ += count;
  count_ -= entry.count;
  entry.count = count;
  entry.dirty = false;
  return {};
}

std::vector<uint64_t> SequenceSet::TakeDirtyChunks() {
  std::vector<uint64_t> keys = std::move(emptied_);
  emptied_.clear();
  const auto middle = static_cast<ptrdiff_t>(keys.size());
  for (Entry& entry : entries_) {
    if (std::exchange(entry.dirty, false)) keys.push_back(entry.key);
  }
  std::inplace_merge(keys.begin(), keys.begin() + middle, keys.end());
  return keys;
}

void SequenceSet::MarkDirty(std::span<const uint64_t> keys) {
  for (const uint64_t key : keys) {
    const size_t at = LowerBound(key);
    if (at < entries_.size() && entries_[at].key == key) {
      entries_[at].dirty = true;
      continue;
    }
    const auto emptied = std::lower_bound(emptied_.begin(), emptied_.end(), key);
    if (emptied == emptied_.end() || *emptied != key) emptied_.insert(emptied, key);
  }
}

size_t SequenceSet::MemoryBytes() const {
  size_t bytes = entries_.capacity() * sizeof(Entry) + emptied_.capacity() * sizeof(uint64_t);
  for (const Entry& entry : entries_) {
    bytes += sizeof(Chunk) + entry.chunk->bitmap.getSizeInBytes(true);
  }
  return bytes;
}

}  // namespace tidemark
