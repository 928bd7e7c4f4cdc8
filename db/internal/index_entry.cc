#include "db/internal/index_entry.h"

#include "format/coding.h"

namespace tidemark::internal {
namespace {

// First byte of a stored entry: the state, and which optional parts follow.
constexpr uint8_t kStateMask = 0x03;
constexpr uint8_t kHasWriterTime = 0x04;
constexpr uint8_t kHasOrigin = 0x08;
constexpr uint8_t kHasEnded = 0x10;

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

}  // namespace

std::shared_ptr<const IndexExtra> MakeExtra(IndexExtra extra) {
  if (extra == IndexExtra{}) return nullptr;
  return std::make_shared<const IndexExtra>(std::move(extra));
}

void EncodeIndexEntry(const IndexEntry& entry, std::string* out) {
  auto flags = static_cast<uint8_t>(entry.state);
  static const IndexExtra kNone;
  const IndexExtra& extra = entry.extra != nullptr ? *entry.extra : kNone;
  if (extra.writer_time.has_value()) flags |= kHasWriterTime;
  if (extra.origin.has_value()) flags |= kHasOrigin;
  if (!extra.ended.empty()) flags |= kHasEnded;
  out->push_back(static_cast<char>(flags));
  AppendVarint(out, entry.head.value());
  AppendVarint(out, entry.head - entry.birth);
  AppendVarint(out, entry.distance);
  if (entry.live()) AppendHash(out, entry.hash);
  if (extra.writer_time.has_value()) AppendVarint(out, ZigZag(*extra.writer_time));
  if (extra.origin.has_value()) {
    AppendVarint(out, extra.origin->birth.value());
    AppendVarint(out, extra.origin->head.value());
  }
  if (!extra.ended.empty()) {
    AppendVarint(out, extra.ended.size());
    for (const EndedLife& life : extra.ended) {
      AppendVarint(out, life.birth.value());
      AppendVarint(out, life.death - life.birth);
    }
  }
}

bool DecodeIndexEntry(std::string_view bytes, IndexEntry* entry) {
  ByteReader reader(bytes);
  const uint8_t flags = reader.Byte();
  entry->state = static_cast<IndexState>(flags & kStateMask);
  entry->head = reader.Sequence();
  entry->birth = SequenceNumber(entry->head.value() - reader.Varint());
  entry->distance = static_cast<uint32_t>(reader.Varint());
  entry->hash = entry->live() ? reader.Hash() : Hash128{};
  entry->extra = nullptr;
  if ((flags & ~kStateMask) != 0) {
    IndexExtra extra;
    if ((flags & kHasWriterTime) != 0) extra.writer_time = UnZigZag(reader.Varint());
    if ((flags & kHasOrigin) != 0) {
      const SequenceNumber birth = reader.Sequence();
      extra.origin = OriginVersion{birth, reader.Sequence()};
    }
    if ((flags & kHasEnded) != 0) {
      const uint64_t count = reader.Varint();
      if (count > reader.rest().size()) return false;
      for (uint64_t i = 0; i < count; ++i) {
        const SequenceNumber birth = reader.Sequence();
        extra.ended.push_back({birth, birth + reader.Varint()});
      }
    }
    entry->extra = MakeExtra(std::move(extra));
  }
  return reader.Finished() && entry->birth <= entry->head;
}

}  // namespace tidemark::internal
