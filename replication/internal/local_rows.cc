#include "replication/internal/local_rows.h"

#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kOutboxVersion = 2;
constexpr uint8_t kOutboxWithoutAnsweredVersion = 1;
constexpr std::string_view kRowName = "a row of a replica's own writes";
// Flags of an image.
constexpr uint64_t kPresent = 1;
constexpr uint64_t kAnswered = 2;

}  // namespace

std::string LocalKey(std::string_view prefix, std::string_view entity, std::string_view id) {
  std::string key(prefix);
  AppendOrdered(&key, entity);
  return key.append(id);
}

std::string EncodeOutboxState(const OutboxState& state) {
  std::string out(1, static_cast<char>(kOutboxVersion));
  for (const uint64_t number : {state.next_number,
                                state.sent_through,
                                state.pending,
                                state.failed,
                                state.records,
                                state.fences,
                                state.sent,
                                state.answered_through,
                                state.answered_version.value()}) {
    AppendVarint(&out, number);
  }
  return out;
}

Result<OutboxState> DecodeOutboxState(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_ASSIGN_OR_RETURN(const uint8_t version,
                            ReadRowVersion(&reader, kOutboxVersion, kRowName));
  OutboxState state;
  state.next_number = reader.Varint();
  state.sent_through = reader.Varint();
  state.pending = reader.Varint();
  state.failed = reader.Varint();
  state.records = reader.Varint();
  state.fences = reader.Varint();
  state.sent = reader.Varint();
  state.answered_through = reader.Varint();
  if (version != kOutboxWithoutAnsweredVersion) state.answered_version = reader.Sequence();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return state;
}

std::string EncodeLocalRecord(const LocalRecord& record) {
  std::string out(1, static_cast<char>(kVersion));
  AppendVarint(&out, record.base.value());
  AppendVarint(&out, record.operations.size());
  for (const uint64_t number : record.operations) AppendVarint(&out, number);
  return out;
}

Result<LocalRecord> DecodeLocalRecord(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  LocalRecord record;
  record.base = reader.Sequence();
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) record.operations.push_back(reader.Varint());
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return record;
}

std::string EncodeImage(const Image& image) {
  std::string out(1, static_cast<char>(kVersion));
  AppendVarint(&out, (image.present ? kPresent : 0) | (image.answered ? kAnswered : 0));
  AppendVarint(&out, static_cast<uint64_t>(image.id_form));
  AppendVarint(&out, static_cast<uint64_t>(image.value_kind));
  AppendVarint(&out, image.birth.value());
  AppendVarint(&out, image.head.value());
  AppendVarint(&out, image.session);
  AppendBytes(&out, image.value);
  return out;
}

Result<Image> DecodeImage(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  Image image;
  const uint64_t flags = reader.Varint();
  image.present = (flags & kPresent) != 0;
  image.answered = (flags & kAnswered) != 0;
  image.id_form = static_cast<IdForm>(reader.Varint());
  image.value_kind = static_cast<ValueKind>(reader.Varint());
  image.birth = reader.Sequence();
  image.head = reader.Sequence();
  image.session = reader.Varint();
  image.value = reader.Bytes();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return image;
}

}  // namespace tidemark::internal
