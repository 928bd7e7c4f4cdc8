#include "replication/internal/push_rows.h"

#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
// Of an answer that a reader of version 1 would take for another: it has flags beyond the first.
constexpr uint8_t kAnswerVersionMax = 2;
constexpr uint64_t kOutside = 1;
constexpr uint64_t kMerged = 2;
constexpr std::string_view kProgressName = "the row of a device's pushes";
constexpr std::string_view kAnswerName = "the row of an answer to a push";
constexpr std::string_view kPushName = "the row of a push";
constexpr char kProgressRow = 's';
constexpr char kAnswerRow = 'a';
constexpr char kPushRow = 'p';

std::string DeviceKey(char row, uint32_t device) {
  std::string key(kPushPrefix);
  key.push_back(row);
  AppendBigEndian32(&key, device);
  return key;
}

}  // namespace

void AppendAnswer(std::string* out, const PushAnswer& answer) {
  AppendVarint(out, answer.operation);
  AppendVarint(out, static_cast<uint64_t>(answer.outcome));
  AppendVarint(out, answer.version.value());
  AppendVarint(out, answer.birth.value());
  AppendVarint(out, (answer.outside ? kOutside : 0) | (answer.merged ? kMerged : 0));
  AppendBytes(out, answer.code);
  AppendBytes(out, answer.field);
  AppendBytes(out, answer.message);
}

PushAnswer ReadAnswer(ByteReader* reader) {
  PushAnswer answer;
  answer.operation = reader->Varint();
  answer.outcome = static_cast<PushOutcome>(reader->Varint());
  answer.version = reader->Sequence();
  answer.birth = reader->Sequence();
  const uint64_t flags = reader->Varint();
  answer.outside = (flags & kOutside) != 0;
  answer.merged = (flags & kMerged) != 0;
  answer.code = reader->Bytes();
  answer.field = reader->Bytes();
  answer.message = reader->Bytes();
  return answer;
}

bool IsSound(const PushAnswer& answer) {
  return static_cast<int>(answer.outcome) < kPushOutcomeCount;
}

std::string PushProgressKey(uint32_t device) {
  return DeviceKey(kProgressRow, device);
}

std::string PushAnswersPrefix(uint32_t device) {
  return DeviceKey(kAnswerRow, device);
}

std::string PushAnswerKey(uint32_t device, uint64_t operation) {
  std::string key = PushAnswersPrefix(device);
  AppendBigEndian64(&key, operation);
  return key;
}

uint64_t OperationOfKey(std::string_view key) {
  return LoadBigEndian64(key.data() + key.size() - sizeof(uint64_t));
}

std::string PushKey(std::string_view id) {
  std::string key(kPushPrefix);
  key.push_back(kPushRow);
  return key.append(id);
}

std::string EncodePushProgress(const PushProgress& progress) {
  std::string out(1, static_cast<char>(kVersion));
  AppendBytes(&out, progress.incarnation);
  AppendVarint(&out, progress.handled_through);
  AppendVarint(&out, progress.taken_through);
  AppendVarint(&out, progress.answers);
  AppendVarint(&out, progress.pushes.size());
  for (const std::string& id : progress.pushes) AppendBytes(&out, id);
  AppendVarint(&out, progress.former.size());
  for (const std::string& incarnation : progress.former) AppendBytes(&out, incarnation);
  return out;
}

Result<PushProgress> DecodePushProgress(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kProgressName).status());
  PushProgress progress;
  progress.incarnation = reader.Bytes();
  progress.handled_through = reader.Varint();
  progress.taken_through = reader.Varint();
  progress.answers = reader.Varint();
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) progress.pushes.emplace_back(reader.Bytes());
  const uint64_t former = reader.Varint();
  for (uint64_t i = 0; i < former && reader.ok(); ++i) progress.former.emplace_back(reader.Bytes());
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kProgressName));
  return progress;
}

std::string EncodeKeptAnswer(const KeptAnswer& kept) {
  std::string out(1, static_cast<char>(kept.answer.merged ? kAnswerVersionMax : kVersion));
  AppendBigEndian64(&out, kept.operation_hash);
  AppendAnswer(&out, kept.answer);
  return out;
}

Result<KeptAnswer> DecodeKeptAnswer(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kAnswerVersionMax, kAnswerName).status());
  KeptAnswer kept;
  kept.operation_hash = reader.BigEndian64();
  kept.answer = ReadAnswer(&reader);
  if (!reader.Finished() || !IsSound(kept.answer)) return DamagedRow(kAnswerName);
  return kept;
}

std::string EncodePush(const PushResult& push) {
  std::string out(1, static_cast<char>(kVersion));
  AppendBytes(&out, push.id);
  AppendBytes(&out, push.device);
  AppendVarint(&out, static_cast<uint64_t>(push.time));
  for (const uint64_t count : push.counts) AppendVarint(&out, count);
  AppendVarint(&out, push.total() - push.succeeded());
  for (const PushAnswer& answer : push.answers) {
    const bool applied =
        answer.outcome == PushOutcome::kApplied || answer.outcome == PushOutcome::kDuplicate;
    if (!applied) AppendAnswer(&out, answer);
  }
  return out;
}

Result<PushResult> DecodePush(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kPushName).status());
  PushResult push;
  push.id = reader.Bytes();
  push.device = reader.Bytes();
  push.time = static_cast<int64_t>(reader.Varint());
  for (uint64_t& count : push.counts) count = reader.Varint();
  const uint64_t listed = reader.Varint();
  for (uint64_t i = 0; i < listed && reader.ok(); ++i) {
    push.answers.push_back(ReadAnswer(&reader));
    if (!IsSound(push.answers.back())) return DamagedRow(kPushName);
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kPushName));
  return push;
}

}  // namespace tidemark::internal
