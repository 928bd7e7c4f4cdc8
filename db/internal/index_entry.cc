#include "db/internal/index_entry.h"

#include <algorithm>

#include "format/coding.h"

namespace tidemark::internal {
namespace {

// First byte of a stored entry: the state, and which optional parts follow.
constexpr uint8_t kStateMask = 0x03;
constexpr uint8_t kHasWriterTime = 0x04;
constexpr uint8_t kHasOrigin = 0x08;
constexpr uint8_t kHasEnded = 0x10;       // whole lives only
constexpr uint8_t kHasEndedStays = 0x20;  // instead, if some are no whole lives
constexpr uint8_t kHasStays = 0x40;

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

bool AreWholeLives(const std::vector<EndedStay>& ended) {
  return std::all_of(
      ended.begin(), ended.end(), [](const EndedStay& stay) { return stay.in.whole(); });
}

void AppendKeyValue(std::string* out, const KeyValue& value) {
  AppendVarint(out, value.key);
  AppendBigEndian64(out, value.value);
}

KeyValue ReadKeyValue(ByteReader* reader) {
  const auto key = static_cast<uint16_t>(reader->Varint());
  return {key, reader->BigEndian64()};
}

void AppendEnded(std::string* out, const std::vector<EndedStay>& ended, bool whole_lives) {
  AppendVarint(out, ended.size());
  for (const EndedStay& stay : ended) {
    AppendVarint(out, stay.birth.value());
    AppendVarint(out, stay.until - stay.birth);
    if (whole_lives) continue;
    AppendVarint(out, stay.in.whole() ? 0 : stay.from.value());
    AppendKeyValue(out, stay.in);
  }
}

// False when the bytes are damaged.
bool ReadEnded(ByteReader* reader, bool whole_lives, std::vector<EndedStay>* ended) {
  const uint64_t count = reader->Varint();
  if (count > reader->rest().size()) return false;
  for (uint64_t i = 0; i < count; ++i) {
    EndedStay stay;
    stay.birth = reader->Sequence();
    stay.until = stay.birth + reader->Varint();
    if (!whole_lives) {
      stay.from = reader->Sequence();
      stay.in = ReadKeyValue(reader);
    }
    ended->push_back(stay);
  }
  return true;
}

bool ReadStays(ByteReader* reader, std::vector<OpenStay>* stays) {
  const uint64_t count = reader->Varint();
  if (count > reader->rest().size()) return false;
  for (uint64_t i = 0; i < count; ++i) {
    const SequenceNumber from = reader->Sequence();
    stays->push_back({ReadKeyValue(reader), from});
  }
  return true;
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
  const bool whole_lives = AreWholeLives(extra.ended);
  if (!extra.ended.empty()) flags |= whole_lives ? kHasEnded : kHasEndedStays;
  if (!extra.stays.empty()) flags |= kHasStays;
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
  if (!extra.ended.empty()) AppendEnded(out, extra.ended, whole_lives);
  if (!extra.stays.empty()) {
    AppendVarint(out, extra.stays.size());
    for (const OpenStay& stay : extra.stays) {
      AppendVarint(out, stay.from.value());
      AppendKeyValue(out, stay.in);
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
    if ((flags & (kHasEnded | kHasEndedStays)) != 0 &&
        !ReadEnded(&reader, (flags & kHasEnded) != 0, &extra.ended)) {
      return false;
    }
    if ((flags & kHasStays) != 0 && !ReadStays(&reader, &extra.stays)) return false;
    entry->extra = MakeExtra(std::move(extra));
  }
  return reader.Finished() && entry->birth <= entry->head;
}

}  // namespace tidemark::internal
