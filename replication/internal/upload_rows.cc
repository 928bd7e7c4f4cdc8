#include "replication/internal/upload_rows.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;

Status Damaged(std::string_view what) {
  return DamagedRow("upload state: " + std::string(what));
}

std::string BeginValue() {
  std::string out;
  AppendVarint(&out, kVersion);
  return out;
}

Status CheckVersion(ByteReader& reader, std::string_view what) {
  return ReadRowVersion(&reader, kVersion, "upload state: " + std::string(what)).status();
}

// Times are after 1970; one that is not is kept all the same.
void AppendTime(std::string* out, int64_t time_ms) {
  AppendBigEndian64(out, static_cast<uint64_t>(time_ms));
}

int64_t ReadTime(ByteReader& reader) {
  return static_cast<int64_t>(reader.BigEndian64());
}

std::string KeyOf(char family, uint64_t ordinal) {
  std::string key = "u/";
  key.push_back(family);
  key.push_back('/');
  AppendBigEndian64(&key, ordinal);
  return key;
}

constexpr size_t kFamilyBytes = 4;  // "u/p/"

void AppendEntity(std::string* out, const std::string& name, const SyncEntity& entity) {
  AppendBytes(out, name);
  AppendVarint(out, static_cast<uint64_t>(entity.kind));
  const ReplaceCounts& counts = entity.counts;
  for (const uint64_t number : {entity.pages,
                                entity.refused,
                                entity.accepted,
                                entity.rejected,
                                entity.dangling,
                                counts.created,
                                counts.updated,
                                counts.deleted,
                                counts.unchanged,
                                counts.appended,
                                counts.duplicates,
                                counts.renamed}) {
    AppendVarint(out, number);
  }
}

bool ReadEntity(ByteReader& reader, SyncEntity* entity) {
  const uint64_t kind = reader.Varint();
  ReplaceCounts& counts = entity->counts;
  for (uint64_t* number : {&entity->pages,
                           &entity->refused,
                           &entity->accepted,
                           &entity->rejected,
                           &entity->dangling,
                           &counts.created,
                           &counts.updated,
                           &counts.deleted,
                           &counts.unchanged,
                           &counts.appended,
                           &counts.duplicates,
                           &counts.renamed}) {
    *number = reader.Varint();
  }
  entity->kind = static_cast<EntityKind>(kind);
  return reader.ok() && kind <= static_cast<uint64_t>(EntityKind::kIncremental);
}

constexpr uint8_t kStagedFlag = 1;
constexpr uint8_t kRefusedFlag = 2;

}  // namespace

std::string ActiveKey() {
  return "u/active";
}
std::string NextKey() {
  return "u/next";
}
std::string IdKey(std::string_view id) {
  return "u/i/" + std::string(id);
}
std::string SyncKey(uint64_t ordinal) {
  return KeyOf('s', ordinal);
}
std::string CleanupPrefix() {
  return "u/x/";
}
std::string CleanupKey(uint64_t ordinal) {
  return KeyOf('x', ordinal);
}

Result<uint64_t> OrdinalOfCleanupKey(std::string_view key) {
  if (key.size() != kFamilyBytes + sizeof(uint64_t)) return Damaged("key");
  return LoadBigEndian64(key.data() + kFamilyBytes);
}

std::string PagePrefix(PageFamily family, uint64_t ordinal) {
  return KeyOf(static_cast<char>(family), ordinal);
}

std::string PagePrefix(PageFamily family, uint64_t ordinal, std::string_view entity) {
  std::string key = PagePrefix(family, ordinal);
  AppendOrdered(&key, entity);
  return key;
}

std::string PageKey(PageFamily family, uint64_t ordinal, std::string_view entity, uint32_t page) {
  std::string key = PagePrefix(family, ordinal, entity);
  AppendBigEndian32(&key, page);
  return key;
}

Result<std::pair<std::string, uint32_t>> EntityAndPageOfKey(std::string_view key) {
  ByteReader reader(key.substr(std::min(key.size(), kFamilyBytes)));
  reader.BigEndian64();
  std::string entity = reader.Ordered();
  const uint32_t page = reader.BigEndian32();
  if (!reader.Finished()) return Damaged("key");
  return std::pair(std::move(entity), page);
}

std::string DanglingPrefix(uint64_t ordinal) {
  return KeyOf('d', ordinal);
}

std::string DanglingKey(uint64_t ordinal, uint64_t chunk) {
  std::string key = DanglingPrefix(ordinal);
  AppendBigEndian64(&key, chunk);
  return key;
}

std::string EncodeOrdinal(uint64_t ordinal) {
  std::string out = BeginValue();
  AppendVarint(&out, ordinal);
  return out;
}

Result<uint64_t> DecodeOrdinal(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "ordinal"));
  const uint64_t ordinal = reader.Varint();
  if (!reader.Finished()) return Damaged("ordinal");
  return ordinal;
}

std::string EncodeNext(const NextRow& row) {
  std::string out = BeginValue();
  AppendVarint(&out, row.next);
  AppendVarint(&out, row.oldest);
  return out;
}

Result<NextRow> DecodeNext(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "counter"));
  NextRow row;
  row.next = reader.Varint();
  row.oldest = reader.Varint();
  if (!reader.Finished() || row.oldest == 0 || row.oldest > row.next) return Damaged("counter");
  return row;
}

std::string EncodeSync(const SyncRow& row) {
  std::string out = BeginValue();
  AppendBytes(&out, row.id);
  AppendVarint(&out, static_cast<uint64_t>(row.state));
  AppendTime(&out, row.started_at_ms);
  AppendTime(&out, row.ended_at_ms);
  AppendVarint(&out, row.entities.size());
  for (const auto& [name, entity] : row.entities) AppendEntity(&out, name, entity);
  AppendVarint(&out, row.warnings.size());
  for (const std::string& warning : row.warnings) AppendBytes(&out, warning);
  AppendBytes(&out, row.error);
  AppendBytes(&out, row.finish_options);
  AppendVarint(&out, row.rejected_listed);
  AppendVarint(&out, row.dangling_chunks);
  return out;
}

Result<SyncRow> DecodeSync(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "sync"));
  SyncRow row;
  row.id = reader.Bytes();
  const uint64_t state = reader.Varint();
  if (state > static_cast<uint64_t>(UploadState::kSuperseded)) return Damaged("sync");
  row.state = static_cast<UploadState>(state);
  row.started_at_ms = ReadTime(reader);
  row.ended_at_ms = ReadTime(reader);
  for (uint64_t left = reader.Varint(); left > 0 && reader.ok(); --left) {
    std::string name(reader.Bytes());
    if (!ReadEntity(reader, &row.entities[std::move(name)])) return Damaged("sync");
  }
  for (uint64_t left = reader.Varint(); left > 0 && reader.ok(); --left) {
    row.warnings.emplace_back(reader.Bytes());
  }
  row.error = reader.Bytes();
  row.finish_options = reader.Bytes();
  row.rejected_listed = reader.Varint();
  row.dangling_chunks = reader.Varint();
  if (!reader.Finished()) return Damaged("sync");
  return row;
}

std::string EncodePage(const PageRow& row) {
  std::string out = BeginValue();
  AppendVarint(&out, row.accepted);
  AppendVarint(&out, row.rejected);
  AppendVarint(&out, row.rejected_listed);
  AppendBytes(&out, row.hash);
  AppendTime(&out, row.uploaded_at_ms);
  AppendVarint(&out, (row.staged ? kStagedFlag : 0U) | (row.refused ? kRefusedFlag : 0U));
  return out;
}

Result<PageRow> DecodePage(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "page"));
  PageRow row;
  row.accepted = reader.Varint();
  row.rejected = reader.Varint();
  row.rejected_listed = reader.Varint();
  row.hash = reader.Bytes();
  row.uploaded_at_ms = ReadTime(reader);
  const uint64_t flags = reader.Varint();
  row.staged = (flags & kStagedFlag) != 0;
  row.refused = (flags & kRefusedFlag) != 0;
  if (!reader.Finished()) return Damaged("page");
  return row;
}

std::string EncodeKeep(const KeepRow& row) {
  std::string out = BeginValue();
  AppendVarint(&out, row.unreadable);
  AppendVarint(&out, row.ids.size());
  for (const std::string& id : row.ids) AppendBytes(&out, id);
  return out;
}

Result<KeepRow> DecodeKeep(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "list of ids"));
  KeepRow row;
  row.unreadable = reader.Varint();
  for (uint64_t left = reader.Varint(); left > 0 && reader.ok(); --left) {
    row.ids.emplace_back(reader.Bytes());
  }
  if (!reader.Finished()) return Damaged("list of ids");
  return row;
}

std::string EncodeCleanup(Cleanup cleanup) {
  std::string out = BeginValue();
  AppendVarint(&out, static_cast<uint64_t>(cleanup));
  return out;
}

Result<Cleanup> DecodeCleanup(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "cleanup"));
  const uint64_t cleanup = reader.Varint();
  if (!reader.Finished() || cleanup < static_cast<uint64_t>(Cleanup::kStage) ||
      cleanup > static_cast<uint64_t>(Cleanup::kHistory)) {
    return Damaged("cleanup");
  }
  return static_cast<Cleanup>(cleanup);
}

std::string EncodeRejected(const std::vector<RejectedRow>& rows, size_t count) {
  count = std::min(count, rows.size());
  std::string out = BeginValue();
  AppendVarint(&out, count);
  for (size_t i = 0; i < count; ++i) {
    const RejectedRow& row = rows[i];
    AppendBytes(&out, row.entity);
    AppendVarint(&out, row.page);
    AppendVarint(&out, row.row);
    AppendBytes(&out, row.field);
    AppendBytes(&out, row.code);
    AppendBytes(&out, row.message);
  }
  return out;
}

Result<uint64_t> CountRejected(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "rejected rows"));
  const uint64_t count = reader.Varint();
  if (!reader.ok()) return Damaged("rejected rows");
  return count;
}

Result<std::vector<RejectedRow>> DecodeRejected(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(reader, "rejected rows"));
  std::vector<RejectedRow> rows;
  for (uint64_t left = reader.Varint(); left > 0 && reader.ok(); --left) {
    RejectedRow row;
    row.entity = reader.Bytes();
    row.page = static_cast<uint32_t>(reader.Varint());
    row.row = static_cast<uint32_t>(reader.Varint());
    row.field = reader.Bytes();
    row.code = reader.Bytes();
    row.message = reader.Bytes();
    rows.push_back(std::move(row));
  }
  if (!reader.Finished()) return Damaged("rejected rows");
  return rows;
}

std::string FingerprintOf(const FinishOptions& options) {
  std::string out = BeginValue();
  AppendVarint(&out, options.expected_pages.size());
  for (const auto& [entity, pages] : options.expected_pages) {
    AppendBytes(&out, entity);
    AppendVarint(&out, pages);
  }
  AppendVarint(&out, options.force_deletes ? 1 : 0);
  AppendVarint(&out, options.delete_share_max ? 1 : 0);
  AppendBigEndian64(&out, std::bit_cast<uint64_t>(options.delete_share_max.value_or(0)));
  return out;
}

bool IsClosed(UploadState state) {
  switch (state) {
    case UploadState::kStarted:
    case UploadState::kProcessing:
    case UploadState::kFailed:
      return false;
    case UploadState::kFinished:
    case UploadState::kFinishedWithWarnings:
    case UploadState::kAborted:
    case UploadState::kSuperseded:
      return true;
  }
  return true;
}

UploadInfo InfoOf(const SyncRow& row) {
  UploadInfo info;
  info.id = row.id;
  info.state = row.state;
  info.started_at_ms = row.started_at_ms;
  info.ended_at_ms = row.ended_at_ms;
  for (const auto& [name, entity] : row.entities) {
    info.entities[name] = {
        entity.counts, entity.pages, entity.accepted, entity.rejected + entity.dangling};
  }
  info.warnings = row.warnings;
  info.error = row.error;
  return info;
}

}  // namespace tidemark::internal
