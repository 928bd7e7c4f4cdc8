#include "replication/internal/carried_answers.h"

#include <utility>

#include "format/checksum.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
/// What follows an answer: the record as its source has it.
constexpr uint64_t kNoCurrent = 0;
constexpr uint64_t kCurrentWithoutValue = 1;
constexpr uint64_t kCurrentWithValue = 2;

void AppendCurrent(std::string* out, const std::optional<PushCurrent>& current) {
  if (!current.has_value()) return AppendVarint(out, kNoCurrent);
  AppendVarint(out, current->value.has_value() ? kCurrentWithValue : kCurrentWithoutValue);
  AppendVarint(out, current->version.value());
  AppendVarint(out, static_cast<uint64_t>(current->value_kind));
  if (current->value.has_value()) AppendBytes(out, *current->value);
}

/// False: there is no such form.
bool ReadCurrent(ByteReader* reader, std::optional<PushCurrent>* current) {
  const uint64_t form = reader->Varint();
  if (form == kNoCurrent) return true;
  if (form > kCurrentWithValue) return false;
  PushCurrent read;
  read.version = reader->Sequence();
  const uint64_t kind = reader->Varint();
  if (kind > static_cast<uint64_t>(ValueKind::kReference)) return false;
  read.value_kind = static_cast<ValueKind>(kind);
  if (form == kCurrentWithValue) read.value = std::string(reader->Bytes());
  *current = std::move(read);
  return true;
}

Status Malformed() {
  return {ErrorCode::kMalformedBatch, "these are no answers to a push"};
}

}  // namespace

uint64_t OperationHash(const BatchRow& row, std::string_view entity) {
  std::string text;
  text.push_back(static_cast<char>(row.op));
  text.push_back(static_cast<char>(row.value_kind));
  text.push_back(static_cast<char>(row.id_form));
  AppendVarint(&text, static_cast<uint64_t>(row.writer_time.value_or(0)));
  AppendBytes(&text, entity);
  AppendBytes(&text, row.id);
  AppendBytes(&text, row.value);
  return Hash64(text);
}

std::string EncodeCarriedAnswers(const std::vector<KeptAnswer>& answers) {
  std::string out(1, static_cast<char>(kVersion));
  AppendVarint(&out, answers.size());
  for (const KeptAnswer& kept : answers) {
    AppendBigEndian64(&out, kept.operation_hash);
    AppendAnswer(&out, kept.answer);
    AppendCurrent(&out, kept.answer.current);
  }
  return out;
}

Result<std::vector<KeptAnswer>> DecodeCarriedAnswers(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.Byte() != kVersion) return Malformed();
  const uint64_t count = reader.Varint();
  if (count < 1 || count > kPushOperationsMax) return Malformed();
  std::vector<KeptAnswer> answers;
  for (uint64_t i = 0; i < count; ++i) {
    KeptAnswer kept;
    kept.operation_hash = reader.BigEndian64();
    kept.answer = ReadAnswer(&reader);
    const bool known = ReadCurrent(&reader, &kept.answer.current);
    if (!known || !reader.ok() || !IsSound(kept.answer)) return Malformed();
    answers.push_back(std::move(kept));
  }
  if (!reader.Finished()) return Malformed();
  return answers;
}

}  // namespace tidemark::internal
