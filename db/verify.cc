// Verify: reads a store as a whole and reports what contradicts what.
//
// It works on one picture (a view and the liveness sets of the same instant), so writers go on
// meanwhile. Memory is bounded: log, index and sets are walked in order, side by side.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "db/internal/fold.h"
#include "db/internal/rocks_status.h"
#include "db/internal/store_impl.h"
#include "db/internal/view_impl.h"
#include "db/store.h"
#include "format/coding.h"

namespace tidemark {

using internal::EntityState;
using internal::IndexEntry;
using internal::IndexState;
using internal::Layer;
using internal::StoreState;

namespace {

constexpr size_t kProgressRows = 4096;

std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

std::string ToText(SequenceNumber sequence) {
  return std::to_string(sequence.value());
}

/// Walks a set in order, in blocks.
class SetWalker {
 public:
  SetWalker(const SequenceSet& set, SequenceNumber last) : set_(set), last_(last) {}

  /// The next member, nullopt at the end.
  std::optional<SequenceNumber> head() {
    if (at_ == size_ && !exhausted_) {
      size_ = set_.Read(after_, last_.Next(), block_);
      at_ = 0;
      exhausted_ = size_ < block_.size();
      if (size_ > 0) after_ = block_[size_ - 1];
    }
    return at_ < size_ ? std::optional(block_[at_]) : std::nullopt;
  }
  void Advance() { ++at_; }

 private:
  const SequenceSet& set_;
  const SequenceNumber last_;
  SequenceNumber after_;
  std::array<SequenceNumber, 256> block_;
  size_t at_ = 0;
  size_t size_ = 0;
  bool exhausted_ = false;
};

/// One picture of everything that is compared.
struct Picture {
  explicit Picture(StoreState& state) {
    const std::unique_lock lock(state.state_mutex);
    view = std::make_unique<View::Impl>(state);
    for (const auto& [entity, sets] : state.liveness.all()) {
      live[entity] = sets.live;
      tombstones[entity] = sets.tombstones;
    }
    chain = state.visible_chain;  // NOLINT(cppcoreguidelines-prefer-member-initializer): locked
  }

  std::unique_ptr<View::Impl> view;
  std::map<EntityNumber, SequenceSet> live;
  std::map<EntityNumber, SequenceSet> tombstones;
  Hash128 chain;
};

class Verifier {
 public:
  Verifier(StoreState& state,
           const std::function<void(const std::string&)>& problem,
           const std::function<void(uint64_t, uint64_t)>& progress)
      : state_(state), picture_(state), problem_(problem), progress_(progress) {
    for (const auto& [entity, set] : picture_.live) total_ += 2 * set.Count();
    for (const auto& [entity, set] : picture_.tombstones) total_ += set.Count();
  }

  Status Run() {
    CheckFiles();
    CheckRows();
    CheckFold();
    for (const auto& [number, entity] : view().catalog->all()) {
      CheckLog(*entity);
      CheckIndex(*entity);
    }
    if (progress_) progress_(total_, total_);
    if (problems_ == 0) return {};
    return {ErrorCode::kCorruption, std::to_string(problems_) + " problems; the first: " + first_};
  }

 private:
  const View::Impl& view() const { return *picture_.view; }
  void Report(const std::string& text) {
    if (problems_++ == 0) first_ = text;
    if (problem_) problem_(text);
  }
  void Step() {
    if (++done_ % kProgressRows == 0 && progress_) progress_(std::min(done_, total_), total_);
  }
  rocksdb::ReadOptions Options() const {
    rocksdb::ReadOptions options;
    options.snapshot = view().snapshot;
    options.verify_checksums = true;
    options.fill_cache = false;
    return options;
  }
  std::unique_ptr<rocksdb::Iterator> Iterate(const internal::Family& family) const {
    return std::unique_ptr<rocksdb::Iterator>(state_.db->NewIterator(Options(), family.get()));
  }

  void CheckFiles();
  void CheckRows();
  void CheckRow(std::string_view key, std::string_view value);
  void CheckFold();
  void CheckLog(const EntityState& entity);
  void CheckSegment(const EntityState& entity, SequenceNumber key, const BatchView& segment);
  void CheckLogRow(const EntityState& entity, const BatchRow& row);
  void CheckIndexed(const EntityState& entity, const BatchRow& row, bool live);
  void ReportMissing(const EntityState& entity, SetWalker& heads, SequenceNumber below);
  Result<std::optional<IndexEntry>> FindEntry(const EntityState& entity, std::string_view id);
  bool InLayers(const EntityState& entity, std::string_view id, size_t layers) const;
  void CheckIndex(const EntityState& entity);
  void CheckIndexEntry(const EntityState& entity, std::string_view id, const IndexEntry& entry);
  void NameWrongEntry(const EntityState& entity, std::string_view id, const IndexEntry& entry);
  template <typename Visit>
  void ForEachEntry(const EntityState& entity, const Visit& visit);

  StoreState& state_;
  Picture picture_;
  const std::function<void(const std::string&)>& problem_;
  const std::function<void(uint64_t, uint64_t)>& progress_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  uint64_t problems_ = 0;
  std::string first_;

  // While one entity is read.
  std::optional<SetWalker> live_;
  std::optional<SetWalker> tombstones_;
  SequenceNumber last_;
  uint64_t valid_entries_ = 0;
};

/// The blocks of every file, against their checksums.
void Verifier::CheckFiles() {
  const rocksdb::Status checked = state_.db->VerifyChecksum(Options());
  if (!checked.ok()) Report("file checksums: " + checked.ToString());
}

/// The store's own rows: each can be read, and none points beyond the head.
void Verifier::CheckRows() {
  const auto rows = Iterate(state_.rows);
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    CheckRow(ToView(rows->key()), ToView(rows->value()));
  }
  if (!rows->status().ok()) Report("the rows of the store: " + rows->status().ToString());
}

void Verifier::CheckRow(std::string_view key, std::string_view value) {
  if (key == internal::row_key::kHead) {
    const auto head = internal::DecodeHead(value);
    if (!head.ok()) {
      Report(head.status().ToString());
    } else if (head->sequence < view().sequence) {
      Report("the head row ends at sequence " + ToText(head->sequence) + ", the store at " +
             ToText(view().sequence));
    } else if (head->sequence == view().sequence && head->chain != picture_.chain) {
      Report("the head row has another chain hash than the store");
    }
  } else if (key == internal::row_key::kIdentity) {
    if (const auto identity = internal::DecodeIdentity(value); !identity.ok()) {
      Report(identity.status().ToString());
    }
  } else if (key.front() == internal::row_key::kEntityPrefix) {
    const auto entity = internal::DecodeEntity(value);
    if (!entity.ok()) {
      Report(entity.status().ToString());
    } else if (internal::row_key::Entity(entity->number) != key) {
      Report("the descriptor row of " + entity->name + " has another number than its key");
    }
  } else if (key.front() == internal::row_key::Position(kSequenceZero).front()) {
    ByteReader reader(key.substr(1));
    const SequenceNumber sequence(reader.BigEndian64());
    if (!reader.Finished() || value.size() != sizeof(Hash128)) {
      Report("a position row is damaged");
    } else if (sequence == view().sequence && LoadHash(value.data()) != picture_.chain) {
      Report("the position at sequence " + ToText(sequence) + " has another chain hash");
    }
  }
}

/// The mark and the chunks of liveness as of the last fold.
void Verifier::CheckFold() {
  const auto rows = Iterate(state_.folds);
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    const std::string_view key = ToView(rows->key());
    if (key == internal::fold_key::kMark) {
      if (const auto mark = internal::DecodeFoldMark(ToView(rows->value())); !mark.ok()) {
        Report(mark.status().ToString());
      } else if (mark->through > view().sequence) {
        Report("the last fold ends at sequence " + ToText(mark->through) + ", the store at " +
               ToText(view().sequence));
      }
      continue;
    }
    EntityNumber entity = 0;
    internal::fold_key::Set kind{};
    uint64_t chunk = 0;
    SequenceSet set;
    if (!internal::fold_key::ParseChunk(key, &entity, &kind, &chunk)) {
      Report("a liveness row has a damaged key");
    } else if (const Status loaded = set.LoadChunk(chunk, ToView(rows->value())); !loaded.ok()) {
      Report("liveness of entity " + std::to_string(entity) + ", chunk " + std::to_string(chunk) +
             ": " + loaded.ToString());
    }
  }
  if (!rows->status().ok()) Report("the fold family: " + rows->status().ToString());
}

/// Every segment can be read, its rows are in order, and each current head has exactly one row.
void Verifier::CheckLog(const EntityState& entity) {
  live_.emplace(picture_.live[entity.number], view().sequence);
  tombstones_.emplace(picture_.tombstones[entity.number], view().sequence);
  last_ = kSequenceZero;
  const auto segments = Iterate(entity.log);
  for (segments->SeekToFirst(); segments->Valid(); segments->Next()) {
    if (segments->key().size() != sizeof(uint64_t)) {
      Report("the log of " + entity.name + " has a damaged key");
      continue;
    }
    const SequenceNumber key(LoadBigEndian64(segments->key().data()));
    if (key > view().sequence) break;  // not visible yet
    const auto segment =
        BatchView::Parse(ToView(segments->value()), BatchKind::kSegment, Trust::kNone);
    if (segment.ok()) {
      CheckSegment(entity, key, *segment);
    } else {
      Report("the log of " + entity.name + ", segment at sequence " + ToText(key) + ": " +
             segment.status().ToString());
    }
  }
  if (!segments->status().ok()) {
    Report("the log of " + entity.name + ": " + segments->status().ToString());
  }
  ReportMissing(entity, *live_, kSequenceLimit);
  ReportMissing(entity, *tombstones_, kSequenceLimit);
}

void Verifier::CheckSegment(const EntityState& entity,
                            SequenceNumber key,
                            const BatchView& segment) {
  const std::string where = "the log of " + entity.name + ", segment at sequence " + ToText(key);
  if (segment.size() == 0) Report(where + " is empty");
  // Hidden segments of a replacement leave the name out: their family says it.
  if (segment.entity_count() > 1 ||
      (segment.entity_count() == 1 && segment.entity_name(0) != entity.name)) {
    Report(where + " belongs to another entity");
  }
  for (size_t i = 0; i < segment.size(); ++i) {
    const BatchRow row = segment.row(i);
    if (row.sequence < key || row.sequence <= last_) {
      Report(where + ": sequence " + ToText(row.sequence) + " is out of order");
    }
    last_ = row.sequence;
    if (row.birth > row.sequence || row.superseded >= row.sequence) {
      Report(where + ": the row at " + ToText(row.sequence) + " refers to its own future");
    }
    CheckLogRow(entity, row);
    Step();
  }
}

void Verifier::CheckLogRow(const EntityState& entity, const BatchRow& row) {
  ReportMissing(entity, *live_, row.sequence);
  ReportMissing(entity, *tombstones_, row.sequence);
  const bool live = live_->head() == row.sequence;
  const bool tombstone = tombstones_->head() == row.sequence;
  if (live) live_->Advance();
  if (tombstone) tombstones_->Advance();
  const std::string where =
      entity.name + " " + std::string(row.id) + " at sequence " + ToText(row.sequence);
  if (live && tombstone) Report(where + " is live and a tombstone at once");
  if (live && row.op == RowOp::kDelete) Report(where + " is live, and its row is a deletion");
  if (tombstone && row.op != RowOp::kDelete) Report(where + " is a tombstone, its row is not");
  if (live || tombstone) CheckIndexed(entity, row, live);
}

/// Reports the current heads below `below` that no row was found for.
void Verifier::ReportMissing(const EntityState& entity, SetWalker& heads, SequenceNumber below) {
  for (; heads.head().has_value() && *heads.head() < below; heads.Advance()) {
    Report("the log of " + entity.name + " has no row at sequence " + ToText(*heads.head()) +
           ", which is current");
  }
}

/// The index knows a current row by its id, number and content. Of its place it has a hint only,
/// which is not compared: after a merge it may be the key that the segment had before, and after a
/// merge that was cut off the one that it was to get. Readers that miss go by the number, and that
/// leads to the row because rows increase through the log and none stands before its segment's key,
/// which is checked.
void Verifier::CheckIndexed(const EntityState& entity, const BatchRow& row, bool live) {
  const std::string where =
      entity.name + " " + std::string(row.id) + " at sequence " + ToText(row.sequence);
  const auto found = FindEntry(entity, row.id);
  if (!found.ok()) return Report(found.status().ToString());
  if (!found->has_value()) return Report(where + " is not in the index");
  const IndexEntry& entry = **found;
  if (entry.head != row.sequence) {
    return Report(where + " is current, and the index points to sequence " + ToText(entry.head));
  }
  if (entry.state != (live ? IndexState::kLive : IndexState::kTombstone)) {
    Report(where + " has another state in the index");
  }
  if (entry.birth != row.birth) Report(where + " has another birth in the index");
  if (entry.writer_time() != row.writer_time) Report(where + " has another time in the index");
  if (live &&
      entry.hash !=
          KeyedHash128(state_.identity.secret, static_cast<uint8_t>(row.value_kind), row.value)) {
    Report(where + " has another content hash in the index");
  }
  const std::vector<EndedStay> ended = entry.ended();
  if (!std::equal(row.ended.begin(), row.ended.end(), ended.begin(), ended.end())) {
    Report(where + " has other ended stays in the index");
  }
  const std::vector<OpenStay> stays = entry.stays();
  if (!std::equal(row.stays.begin(), row.stays.end(), stays.begin(), stays.end())) {
    Report(where + " has other values of keys in the index");
  }
}

/// The newest entry of `id` in the picture.
Result<std::optional<IndexEntry>> Verifier::FindEntry(const EntityState& entity,
                                                      std::string_view id) {
  const uint64_t hash = internal::KeyHash(entity.number, id);
  for (const auto& layer : view().layers) {
    if (const IndexEntry* entry = layer->Find(entity.number, id, hash)) {
      return std::optional<IndexEntry>(*entry);
    }
  }
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status read =
      state_.db->Get(Options(), entity.index.get(), {id.data(), id.size()}, &bytes);
  if (read.IsNotFound()) return std::optional<IndexEntry>{};
  const std::string where = "the index of " + entity.name + ", id " + std::string(id);
  if (!read.ok()) return internal::FromRocks(read, where);
  IndexEntry entry;
  if (!internal::DecodeIndexEntry(ToView(bytes), &entry)) {
    return {ErrorCode::kCorruption, where + ": the entry is damaged"};
  }
  return std::optional<IndexEntry>(std::move(entry));
}

/// True if one of the newest `layers` layers has the id.
bool Verifier::InLayers(const EntityState& entity, std::string_view id, size_t layers) const {
  const uint64_t hash = internal::KeyHash(entity.number, id);
  for (size_t i = 0; i < layers; ++i) {
    if (view().layers[i]->Find(entity.number, id, hash) != nullptr) return true;
  }
  return false;
}

/// Visits the newest entry of every id, in no particular order.
template <typename Visit>
void Verifier::ForEachEntry(const EntityState& entity, const Visit& visit) {
  const auto& layers = view().layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    for (size_t at = 0; at < layers[i]->size(); ++at) {
      const Layer::Node& node = layers[i]->node(at);
      if (node.entity != entity.number) continue;
      const std::string_view id = layers[i]->id(node);
      if (!InLayers(entity, id, i)) visit(id, node.entry);
    }
  }
  const auto index = Iterate(entity.index);
  for (index->SeekToFirst(); index->Valid(); index->Next()) {
    const std::string_view id = ToView(index->key());
    if (InLayers(entity, id, layers.size())) continue;
    IndexEntry entry;
    if (internal::DecodeIndexEntry(ToView(index->value()), &entry)) {
      visit(id, entry);
    } else {
      Report("the index of " + entity.name + ", id " + std::string(id) + ": the entry is damaged");
    }
  }
  if (!index->status().ok()) {
    Report("the index of " + entity.name + ": " + index->status().ToString());
  }
}

/// No entry points where nothing current is, and none does twice.
void Verifier::CheckIndex(const EntityState& entity) {
  valid_entries_ = 0;
  ForEachEntry(entity, [&](std::string_view id, const IndexEntry& entry) {
    CheckIndexEntry(entity, id, entry);
    Step();
  });
  const uint64_t current =
      picture_.live[entity.number].Count() + picture_.tombstones[entity.number].Count();
  if (valid_entries_ == current) return;
  Report("the index of " + entity.name + " has " + std::to_string(valid_entries_) +
         " current entries, the log has " + std::to_string(current));
  ForEachEntry(entity, [&](std::string_view id, const IndexEntry& entry) {
    NameWrongEntry(entity, id, entry);
  });
}

void Verifier::CheckIndexEntry(const EntityState& entity,
                               std::string_view id,
                               const IndexEntry& entry) {
  const std::string where = "the index of " + entity.name + ", id " + std::string(id) +
                            ": sequence " + ToText(entry.head);
  if (entry.head > view().sequence) return Report(where + " is beyond the end of the store");
  if (entry.state == IndexState::kTombstone) {
    // One that was purged stays until the index is compacted.
    if (picture_.tombstones[entity.number].Contains(entry.head)) ++valid_entries_;
  } else if (entry.live()) {
    if (picture_.live[entity.number].Contains(entry.head)) {
      ++valid_entries_;
    } else if (entry.head > entity.trimmed_through) {
      Report(where + " is not live");
    }
  }
}

/// Reports the entry if its row belongs to another id. Only for indexes whose counts are wrong.
void Verifier::NameWrongEntry(const EntityState& entity,
                              std::string_view id,
                              const IndexEntry& entry) {
  if (entry.state == IndexState::kAbsent) return;
  const auto& set = entry.live() ? picture_.live : picture_.tombstones;
  const auto found = set.find(entity.number);
  if (found == set.end() || !found->second.Contains(entry.head)) return;
  const auto record = internal::ReadRecord(state_, entity, entry, id);
  if (!record.ok()) Report(record.status().ToString());
}

}  // namespace

Status Store::Verify(const std::function<void(const std::string& problem)>& problem,
                     const std::function<void(uint64_t done, uint64_t total)>& progress) const {
  return Verifier(impl_->state, problem, progress).Run();
}

}  // namespace tidemark
