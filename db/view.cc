#include "db/view.h"

#include <algorithm>
#include <numeric>

#include "db/internal/rocks_status.h"
#include "db/internal/view_impl.h"
#include "format/coding.h"
#include "format/segment_row.h"

namespace tidemark {

using internal::IndexEntry;
using internal::KeyHash;
using internal::Layer;

namespace {

/// The first string that does not begin with `prefix` and sorts after all that do.
std::optional<std::string> PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

rocksdb::Slice ToSlice(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

View::Impl::Impl(internal::StoreState& store)
    : state(store),
      sequence(store.visible),
      layers(store.window.Freeze()),
      catalog(store.catalog),
      snapshot(store.db->GetSnapshot()),
      pin(std::make_shared<internal::PinnedCut>(store, store.visible, store.visible_chain)) {
  pin->Pin();
}

View::Impl::~Impl() {
  state.db->ReleaseSnapshot(snapshot);
}

bool View::Impl::IsLive(const internal::EntityState& entity, const IndexEntry& entry) const {
  // A head above the view belongs to a flip that was under way.
  return entry.live() && entry.head > entity.trimmed_through && entry.head <= sequence;
}

Result<std::optional<IndexEntry>> View::Impl::FindEntry(const internal::EntityState& entity,
                                                        std::string_view id) const {
  const uint64_t hash = KeyHash(entity.number, id);
  for (const auto& layer : layers) {
    const IndexEntry* recent = layer->Find(entity.number, id, hash);
    if (recent != nullptr) return std::optional(*recent);
  }
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status read = state.db->Get(options, entity.index.get(), ToSlice(id), &bytes);
  if (read.IsNotFound()) return std::optional<IndexEntry>{};
  if (!read.ok()) return internal::FromRocks(read, "reading the index of " + entity.name);
  IndexEntry entry;
  if (!internal::DecodeIndexEntry({bytes.data(), bytes.size()}, &entry)) {
    return {ErrorCode::kCorruption, "the index of " + entity.name + " is damaged"};
  }
  return std::optional(std::move(entry));
}

Result<std::optional<Record>> View::Impl::Get(std::string_view name, const RecordId& id) const {
  const internal::EntityPtr entity = catalog->Find(name);
  if (entity == nullptr) return std::optional<Record>{};
  TIDEMARK_ASSIGN_OR_RETURN(const auto entry, FindEntry(*entity, id.text()));
  if (!entry.has_value() || !IsLive(*entity, *entry)) return std::optional<Record>{};
  TIDEMARK_ASSIGN_OR_RETURN(Record record, internal::ReadRecord(state, *entity, *entry, id.text()));
  return std::optional<Record>(std::move(record));
}

SequenceNumber View::sequence() const {
  return impl_->sequence;
}

Result<std::optional<Record>> View::Get(std::string_view entity, const RecordId& id) const {
  return impl_->Get(entity, id);
}

RecordIterator View::Scan(std::string_view entity, const ScanOptions& options) const {
  return RecordIterator(
      std::make_unique<RecordIterator::Impl>(impl_, impl_->catalog->Find(entity), options));
}

RecordIterator::RecordIterator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RecordIterator::~RecordIterator() = default;
RecordIterator::RecordIterator(RecordIterator&&) noexcept = default;
RecordIterator& RecordIterator::operator=(RecordIterator&&) noexcept = default;
bool RecordIterator::Next() {
  return impl_->Next();
}
const Record& RecordIterator::record() const {
  return impl_->record;
}
const Status& RecordIterator::status() const {
  return impl_->status;
}

RecordIterator::Impl::Impl(std::shared_ptr<const View::Impl> view,
                           internal::EntityPtr entity,
                           ScanOptions options)
    : view_(std::move(view)),
      entity_(std::move(entity)),
      options_(std::move(options)),
      lower_(options_.prefix),
      upper_(PrefixEnd(options_.prefix)) {
  if (entity_ == nullptr) return;
  if (!options_.after.empty()) {
    if (options_.reverse) {
      if (!upper_.has_value() || options_.after < *upper_) upper_ = options_.after;
    } else {
      lower_ = std::max(lower_, options_.after + '\0');  // the next possible id
    }
  }
  PlaceRuns();
  PlaceIndex();
}

void RecordIterator::Impl::PlaceRuns() {
  for (const auto& layer : view_->layers) {
    const std::vector<uint32_t>& sorted = layer->Sorted();
    const auto first_at = [&](std::string_view id) {
      return std::partition_point(sorted.begin(),
                                  sorted.end(),
                                  [&](uint32_t at) {
                                    const Layer::Node& node = layer->node(at);
                                    return node.entity != entity_->number
                                               ? node.entity < entity_->number
                                               : layer->id(node) < id;
                                  }) -
             sorted.begin();
    };
    Run run{.layer = layer.get(), .begin = first_at(lower_)};
    if (upper_.has_value()) {
      run.end = first_at(*upper_);
    } else {
      run.end = std::partition_point(
                    sorted.begin(),
                    sorted.end(),
                    [&](uint32_t at) { return layer->node(at).entity <= entity_->number; }) -
                sorted.begin();
    }
    run.at = options_.reverse ? run.end - 1 : run.begin;
    if (!RunDone(run)) runs_.push_back(run);
  }
}

void RecordIterator::Impl::PlaceIndex() {
  rocksdb::ReadOptions options;
  options.snapshot = view_->snapshot;
  index_.reset(view_->state.db->NewIterator(options, entity_->index.get()));
  if (!options_.reverse) {
    index_->Seek(lower_);
  } else if (upper_.has_value()) {
    index_->SeekForPrev(*upper_);
    if (index_->Valid() && IndexId() >= *upper_) index_->Prev();
  } else {
    index_->SeekToLast();
  }
}

std::string_view RecordIterator::Impl::RunId(const Run& run) const {
  return run.layer->id(run.layer->node(run.layer->Sorted()[static_cast<size_t>(run.at)]));
}

const IndexEntry& RecordIterator::Impl::RunEntry(const Run& run) const {
  return run.layer->node(run.layer->Sorted()[static_cast<size_t>(run.at)]).entry;
}

bool RecordIterator::Impl::IndexDone() const {
  if (!index_->Valid()) return true;
  return options_.reverse ? IndexId() < lower_ : upper_.has_value() && IndexId() >= *upper_;
}

std::string_view RecordIterator::Impl::IndexId() const {
  return {index_->key().data(), index_->key().size()};
}

bool RecordIterator::Impl::NextEntry(std::string* id, IndexEntry* entry) {
  const Run* first = nullptr;  // of equal ids, the newest layer's comes first
  for (const Run& run : runs_) {
    if (!RunDone(run) && (first == nullptr || Before(RunId(run), RunId(*first)))) first = &run;
  }
  const bool index_done = IndexDone();
  if (first == nullptr && index_done) {
    if (!index_->status().ok()) {
      status = internal::FromRocks(index_->status(), "reading the index of " + entity_->name);
    }
    return false;
  }
  if (first != nullptr && (index_done || !Before(IndexId(), RunId(*first)))) {
    *id = RunId(*first);
    *entry = RunEntry(*first);
  } else {
    *id = IndexId();
    if (!internal::DecodeIndexEntry({index_->value().data(), index_->value().size()}, entry)) {
      status = {ErrorCode::kCorruption, "the index of " + entity_->name + " is damaged"};
      return false;
    }
  }
  for (Run& run : runs_) {
    if (!RunDone(run) && RunId(run) == *id) run.at += options_.reverse ? -1 : 1;
  }
  if (!index_done && IndexId() == *id) options_.reverse ? index_->Prev() : index_->Next();
  return true;
}

bool RecordIterator::Impl::FillBatch() {
  batch_.clear();
  at_ = 0;
  size_t wanted = std::exchange(batch_size_, std::min(2 * batch_size_, tuning::kScanRecordsMax));
  if (options_.limit > 0) wanted = std::min(wanted, options_.limit - returned_);
  std::string id;
  IndexEntry entry;
  while (batch_.size() < wanted && NextEntry(&id, &entry)) {
    if (!view_->IsLive(*entity_, entry)) continue;
    Slot& slot = batch_.emplace_back();
    slot.record.id = std::move(id);
    slot.record.version = entry.head;
    slot.record.birth = entry.birth;
    slot.record.origin = entry.origin();
    slot.segment = entry.segment();
    slot.read = !options_.values;
  }
  if (status.ok() && options_.values) status = ReadValues();
  return status.ok() && !batch_.empty();
}

Status RecordIterator::Impl::ReadValues() {
  std::vector<uint32_t> order(batch_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return batch_[a].record.version < batch_[b].record.version;
  });
  size_t bytes = 0;
  for (const uint32_t at : order) {
    TIDEMARK_RETURN_IF_ERROR(ReadValue(&batch_[at]));
    bytes += batch_[at].record.value.size();
    if (bytes < tuning::kScanBytes) continue;
    batch_size_ = tuning::kScanRecordsMin;  // large values: little is gained by reading ahead
    break;
  }
  return {};
}

Status RecordIterator::Impl::ReadValue(Slot* slot) {
  const SequenceNumber head = slot->record.version;
  if (log_ == nullptr) {
    // Made after the view was, it sees all of its rows.
    log_.reset(view_->state.db->NewIterator(rocksdb::ReadOptions(), entity_->log.get()));
  }
  if (rows_.has_value() && segment_ == slot->segment && ReadRow(slot).ok()) return {};
  rows_.reset();
  std::string key;
  AppendBigEndian64(&key, head.value());
  log_->SeekForPrev(key);
  if (!log_->Valid()) {
    TIDEMARK_RETURN_IF_ERROR(
        internal::FromRocks(log_->status(), "reading the log of " + entity_->name));
    return {ErrorCode::kCorruption, "the log of " + entity_->name + " begins too late"};
  }
  auto rows = SegmentRows::Open({log_->value().data(), log_->value().size()});
  if (!rows.ok()) return {ErrorCode::kCorruption, rows.status().message()};
  rows_ = *rows;
  segment_ = slot->segment;
  return ReadRow(slot);
}

Status RecordIterator::Impl::ReadRow(Slot* slot) const {
  const auto row = rows_->Find(slot->record.version);
  if (!row.ok()) return {ErrorCode::kCorruption, row.status().message()};
  Record& found = slot->record;
  if (row->id != found.id) {
    return {ErrorCode::kCorruption, "the log of " + entity_->name + " does not have " + found.id};
  }
  found.id_form = row->id_form;
  found.value_kind = row->value_kind;
  found.value = row->value;
  found.writer_time = row->writer_time;
  slot->read = true;
  return {};
}

bool RecordIterator::Impl::Next() {
  if (entity_ == nullptr || !status.ok()) return false;
  if (options_.limit > 0 && returned_ == options_.limit) return false;
  if (at_ == batch_.size() && !FillBatch()) return false;
  Slot& slot = batch_[at_];
  if (!slot.read) {
    status = ReadValue(&slot);
    if (!status.ok()) return false;
  }
  ++at_;
  record = std::move(slot.record);
  ++returned_;
  return true;
}

}  // namespace tidemark
