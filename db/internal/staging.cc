#include "db/internal/staging.h"

#include <algorithm>
#include <array>
#include <deque>
#include <numeric>
#include <optional>

#include "db/internal/record_rules.h"
#include "db/internal/rocks_status.h"
#include "db/internal/writing_stopped.h"
#include "db/tuning.h"

namespace tidemark::internal {
namespace {

enum class Part : char { kPage = 'p', kIds = 'i', kValues = 'v' };

constexpr size_t kSealBytes = 16;

std::string StagePrefix(uint64_t stage) {
  std::string key;
  AppendBigEndian64(&key, stage);
  return key;
}

std::string PartPrefix(uint64_t stage, std::string_view entity, Part part) {
  std::string key = StagePrefix(stage);
  AppendOrdered(&key, entity);
  key.push_back(static_cast<char>(part));
  return key;
}

std::string PageKey(uint64_t stage, std::string_view entity, uint32_t page) {
  std::string key = PartPrefix(stage, entity, Part::kPage);
  AppendBigEndian32(&key, page);
  return key;
}

std::string BlockKey(uint64_t stage,
                     std::string_view entity,
                     Part part,
                     uint32_t page,
                     uint64_t version,
                     uint32_t block) {
  std::string key = PartPrefix(stage, entity, part);
  AppendBigEndian32(&key, page);
  AppendBigEndian64(&key, version);
  AppendBigEndian32(&key, block);
  return key;
}

void Seal(std::string* bytes) {
  AppendHash(bytes, Checksum128(*bytes));
}

/// The bytes before the seal, or nothing when they are damaged.
std::optional<std::string_view> Unseal(std::string_view bytes) {
  if (bytes.size() < kSealBytes) return std::nullopt;
  const std::string_view content = bytes.substr(0, bytes.size() - kSealBytes);
  if (Checksum128(content) != LoadHash(bytes.data() + content.size())) return std::nullopt;
  return content;
}

std::string Where(std::string_view entity, uint32_t page) {
  return std::string(entity) + ", staged page " + std::to_string(page);
}

std::string EncodePageRow(const StagedPage& page) {
  std::string bytes;
  AppendVarint(&bytes, page.version);
  AppendVarint(&bytes, page.rows);
  AppendVarint(&bytes, page.blocks);
  Seal(&bytes);
  return bytes;
}

Result<StagedPage> DecodePageRow(std::string_view entity, uint32_t number, std::string_view bytes) {
  StagedPage page{.page = number};
  const auto content = Unseal(bytes);
  ByteReader reader(content.value_or(std::string_view()));
  page.version = reader.Varint();
  page.rows = static_cast<uint32_t>(reader.Varint());
  page.blocks = static_cast<uint32_t>(reader.Varint());
  if (!content.has_value() || !reader.Finished()) {
    return {ErrorCode::kCorruption, Where(entity, number) + " is damaged"};
  }
  return page;
}

Status CheckRows(std::string_view where, const std::vector<StagedRow>& rows) {
  if (rows.size() > kBatchRecordsMax) {
    return {ErrorCode::kTooManyRecords,
            std::string(where) + " has " + std::to_string(rows.size()) + " rows, more than " +
                std::to_string(kBatchRecordsMax)};
  }
  size_t bytes = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const StagedRow& row = rows[i];
    bytes += row.id.size() + row.value.size();
    Status bad;
    if (!row.id.empty()) bad = CheckRecordId(row.id);
    if (row.value.size() > kValueBytesMax) {
      bad = {ErrorCode::kTooLarge, "a value has at most 1 MiB"};
    }
    if (i > 0 && row.row <= rows[i - 1].row) {
      bad = {ErrorCode::kInvalidArgument, "row numbers must increase"};
    }
    if (!bad.ok()) {
      return bad.WithContext(std::string(where) + ", row " + std::to_string(row.row));
    }
  }
  if (bytes > tuning::kStagedPageBytes) {
    return {ErrorCode::kTooLarge,
            std::string(where) + " has " + std::to_string(bytes) + " bytes, more than " +
                std::to_string(tuning::kStagedPageBytes)};
  }
  return {};
}

/// Cuts the sorted rows of a page into blocks.
class BlockWriter {
 public:
  BlockWriter(StoreState& state,
              uint64_t stage,
              std::string_view entity,
              StagedPage* page,
              std::vector<JoinedRow>* out)
      : state_(state), stage_(stage), entity_(entity), page_(page), out_(out) {}

  void Add(const StagedRow& row) {
    if (values_.size() >= tuning::kStagedBlockRows ||
        (!values_.empty() &&
         values_.payload_bytes() + row.value.size() > tuning::kStagedBlockBytes)) {
      Finish();
    }
    AppendBytes(&ids_, row.id);
    AppendVarint(&ids_, row.row);
    AppendVarint(&ids_, row.value.size());
    AppendHash(&ids_, ValueHash(state_.identity.secret, row.value_kind, row.value));
    BatchRow encoded;
    encoded.entity = values_.Entity(entity_);
    encoded.id_form = row.id_form;
    encoded.value_kind = row.value_kind;
    encoded.id = row.id;
    encoded.value = row.value;
    values_.Add(encoded);
  }

  void Finish() {
    if (values_.empty()) return;
    Seal(&ids_);
    Put(Part::kIds, std::move(ids_));
    ids_.clear();
    Put(Part::kValues, values_.Finish({.kind = BatchKind::kUpload, .page = page_->page}));
    ++page_->blocks;
  }

 private:
  void Put(Part part, std::string value) {
    out_->push_back({state_.stage.get(),
                     BlockKey(stage_, entity_, part, page_->page, page_->version, page_->blocks),
                     std::move(value)});
  }

  StoreState& state_;
  const uint64_t stage_;
  const std::string_view entity_;
  StagedPage* const page_;
  std::vector<JoinedRow>* const out_;
  std::string ids_;
  BatchBuilder values_;
};

uint64_t RandomVersion(Runtime& runtime) {
  std::array<uint8_t, sizeof(uint64_t)> bytes{};
  runtime.random().Fill(bytes);
  uint64_t version = 0;
  for (const uint8_t byte : bytes) version = version << 8 | byte;
  return version;
}

}  // namespace

Result<std::vector<JoinedRow>> EncodePage(StoreState& state,
                                          uint64_t stage,
                                          std::string_view entity,
                                          uint32_t page,
                                          const std::vector<StagedRow>& rows) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(entity));
  TIDEMARK_RETURN_IF_ERROR(CheckRows(Where(entity, page), rows));
  std::vector<uint32_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int compared = rows[a].id.compare(rows[b].id);
    return compared != 0 ? compared < 0 : a < b;
  });
  std::vector<JoinedRow> out;
  StagedPage staged{.page = page,
                    .version = RandomVersion(*state.runtime),
                    .rows = static_cast<uint32_t>(rows.size())};
  BlockWriter writer(state, stage, entity, &staged, &out);
  for (const uint32_t at : order) writer.Add(rows[at]);
  writer.Finish();
  out.push_back({state.stage.get(), PageKey(stage, entity, page), EncodePageRow(staged)});

  // Two writers of one page at a time may leave blocks of one of them behind, until `Discard`.
  const Result<StagedPage> before = StagingReader(state, stage).FindPage(entity, page);
  if (before.ok()) {
    for (uint32_t block = 0; block < before->blocks; ++block) {
      for (const Part part : {Part::kIds, Part::kValues}) {
        out.push_back({state.stage.get(),
                       BlockKey(stage, entity, part, page, before->version, block),
                       std::nullopt});
      }
    }
  }
  return out;
}

Status DiscardStage(StoreState& state, uint64_t stage) {
  const std::string prefix = StagePrefix(stage);
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.stage.get()));
  rocksdb::WriteBatch batch;
  const auto write = [&]() -> Status {
    const std::lock_guard lock(state.commit_mutex);
    if (!state.write_error.ok()) return WritingStopped(state.write_error);
    const rocksdb::Status written = state.db->Write(rocksdb::WriteOptions(), &batch);
    batch.Clear();
    if (written.ok()) return {};
    state.write_error = FromRocks(written, "discarding a stage; reopen the store to go on");
    return state.write_error;
  };
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    batch.Delete(state.stage.get(), rows->key()).PermitUncheckedError();
    if (batch.GetDataSize() < tuning::kDiscardBytes) continue;
    TIDEMARK_RETURN_IF_ERROR(write());
  }
  if (!rows->status().ok()) return FromRocks(rows->status(), "discarding a stage");
  return batch.Count() == 0 ? Status() : write();
}

StagingReader::StagingReader(const StoreState& state, uint64_t stage)
    : state_(state),
      stage_(stage),
      snapshot_(std::make_unique<rocksdb::ManagedSnapshot>(state.db.get())) {}

rocksdb::ReadOptions StagingReader::ReadOptions() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_->snapshot();
  return options;
}

Result<std::vector<std::string>> StagingReader::Entities() const {
  std::vector<std::string> names;
  const std::string prefix = StagePrefix(stage_);
  const std::unique_ptr<rocksdb::Iterator> rows(
      state_.db->NewIterator(ReadOptions(), state_.stage.get()));
  rows->Seek(prefix);
  while (rows->Valid() && rows->key().starts_with(prefix)) {
    ByteReader reader(
        std::string_view(rows->key().data(), rows->key().size()).substr(prefix.size()));
    const std::string name = reader.Ordered();
    if (!reader.ok()) return {ErrorCode::kCorruption, "a staged row has a damaged key"};
    const std::string pages = PartPrefix(stage_, name, Part::kPage);
    rows->Seek(pages);
    if (rows->Valid() && rows->key().starts_with(pages)) names.push_back(name);
    std::string beyond = PartPrefix(stage_, name, Part::kValues);
    ++beyond.back();
    rows->Seek(beyond);
  }
  if (!rows->status().ok()) return FromRocks(rows->status(), "reading a stage");
  return names;
}

Result<std::vector<StagedPage>> StagingReader::Pages(std::string_view entity) const {
  std::vector<StagedPage> pages;
  const std::string prefix = PartPrefix(stage_, entity, Part::kPage);
  const std::unique_ptr<rocksdb::Iterator> rows(
      state_.db->NewIterator(ReadOptions(), state_.stage.get()));
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    if (rows->key().size() != prefix.size() + sizeof(uint32_t)) {
      return {ErrorCode::kCorruption, "a staged page of " + std::string(entity) + " is damaged"};
    }
    const uint32_t number = LoadBigEndian32(rows->key().data() + prefix.size());
    TIDEMARK_ASSIGN_OR_RETURN(
        const StagedPage page,
        DecodePageRow(entity, number, {rows->value().data(), rows->value().size()}));
    pages.push_back(page);
  }
  if (!rows->status().ok()) return FromRocks(rows->status(), "reading a stage");
  return pages;
}

Result<StagedPage> StagingReader::FindPage(std::string_view entity, uint32_t page) const {
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status read =
      state_.db->Get(ReadOptions(), state_.stage.get(), PageKey(stage_, entity, page), &bytes);
  if (read.IsNotFound()) return {ErrorCode::kNotFound, "there is no " + Where(entity, page)};
  if (!read.ok()) return FromRocks(read, "reading " + Where(entity, page));
  return DecodePageRow(entity, page, {bytes.data(), bytes.size()});
}

Result<std::string> StagingReader::ReadBlock(const std::string& key,
                                             std::string_view entity,
                                             uint32_t page) const {
  std::string bytes;
  const rocksdb::Status read = state_.db->Get(ReadOptions(), state_.stage.get(), key, &bytes);
  if (read.IsNotFound()) return {ErrorCode::kCorruption, Where(entity, page) + " lacks a block"};
  if (!read.ok()) return FromRocks(read, "reading " + Where(entity, page));
  return bytes;
}

Result<std::string> StagingReader::ReadIds(std::string_view entity,
                                           const StagedPage& page,
                                           uint32_t block) const {
  return ReadBlock(
      BlockKey(stage_, entity, Part::kIds, page.page, page.version, block), entity, page.page);
}

Result<std::string> StagingReader::ReadValues(std::string_view entity,
                                              const StagedPlace& place) const {
  return ReadBlock(BlockKey(stage_, entity, Part::kValues, place.page, place.version, place.block),
                   entity,
                   place.page);
}

Result<StagedPageIds> StagingReader::ReadPageIds(std::string_view entity,
                                                 const StagedPage& page) const {
  StagedPageIds ids;
  ids.rows.reserve(page.rows);
  for (uint32_t number = 0; number < page.blocks; ++number) {
    const auto& block = ids.blocks.emplace_back(std::make_unique<StagedBlock>());
    TIDEMARK_ASSIGN_OR_RETURN(std::string bytes, ReadIds(entity, page, number));
    TIDEMARK_RETURN_IF_ERROR(
        block->Open(std::move(bytes), page, number).WithContext(Where(entity, page.page)));
    StagedId id;
    while (block->Next(&id)) ids.rows.push_back(id);
  }
  if (ids.rows.size() != page.rows) {
    return {ErrorCode::kCorruption, Where(entity, page.page) + " lacks rows"};
  }
  std::sort(ids.rows.begin(), ids.rows.end(), [](const StagedId& a, const StagedId& b) {
    return a.row < b.row;
  });
  return ids;
}

Status StagingReader::VisitPage(std::string_view entity,
                                const StagedPage& page,
                                const std::function<bool(const StagedRow& row)>& visit) const {
  TIDEMARK_ASSIGN_OR_RETURN(const StagedPageIds ids, ReadPageIds(entity, page));
  std::deque<std::string> blocks;  // keeps what the batches refer to in place
  std::vector<BatchView> batches;
  for (uint32_t number = 0; number < page.blocks; ++number) {
    const StagedPlace place{.version = page.version, .page = page.page, .block = number};
    TIDEMARK_ASSIGN_OR_RETURN(std::string bytes, ReadValues(entity, place));
    blocks.push_back(std::move(bytes));
    auto parsed = BatchView::Parse(blocks.back(), BatchKind::kUpload, Trust::kNone);
    if (!parsed.ok()) {
      return {ErrorCode::kCorruption, Where(entity, page.page) + ": " + parsed.status().message()};
    }
    batches.push_back(std::move(*parsed));
  }
  for (const StagedId& id : ids.rows) {
    const BatchView& batch = batches[id.place.block];
    if (id.place.index >= batch.size()) {
      return {ErrorCode::kCorruption, Where(entity, page.page) + " lacks values"};
    }
    const BatchRow row = batch.row(id.place.index);
    const StagedRow staged{.id = row.id,
                           .id_form = row.id_form,
                           .value_kind = row.value_kind,
                           .value = row.value,
                           .row = id.row};
    if (!visit(staged)) break;
  }
  return {};
}

Status StagedBlock::Open(std::string bytes, const StagedPage& page, uint32_t block) {
  bytes_ = std::move(bytes);
  const auto content = Unseal(bytes_);
  if (!content.has_value()) return {ErrorCode::kCorruption, "a block of ids is damaged"};
  reader_ = ByteReader(*content);
  next_ = {.version = page.version, .page = page.page, .block = block, .index = 0};
  return {};
}

bool StagedBlock::Next(StagedId* id) {
  if (reader_.empty() || !reader_.ok()) return false;
  id->id = reader_.Bytes();
  id->row = static_cast<uint32_t>(reader_.Varint());
  id->value_size = static_cast<uint32_t>(reader_.Varint());
  id->hash = reader_.Hash();
  id->place = next_;
  ++next_.index;
  return reader_.ok();
}

}  // namespace tidemark::internal
