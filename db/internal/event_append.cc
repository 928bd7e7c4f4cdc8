#include "db/internal/event_append.h"

#include <algorithm>

#include "db/internal/record_rules.h"
#include "db/internal/rocks_status.h"
#include "db/tuning.h"

namespace tidemark::internal {
namespace {

size_t SlotOf(const StagedPlace& place) {
  return size_t{place.block} * tuning::kStagedBlockRows + place.index;
}

}  // namespace

EventAppend::EventAppend(StoreState& state,
                         const MergeBase& base,
                         const StagingReader& reader,
                         const ReplacePlan& plan,
                         HiddenLog* log,
                         ReplaceProgress& progress,
                         EntityChange* change)
    : state_(state),
      base_(base),
      reader_(reader),
      plan_(plan),
      log_(log),
      progress_(progress),
      change_(*change),
      entity_(change->before),
      liveness_(base.LivenessOf(change->before)),
      values_(reader) {}

Status EventAppend::Run(StagedInput& staged) {
  TIDEMARK_RETURN_IF_ERROR(Compare(staged));
  if (log_ == nullptr || change_.counts.appended == 0) return {};
  to_window_ = change_.counts.appended <= state_.options.window_records / 2;
  log_->Begin(entity_);
  TIDEMARK_RETURN_IF_ERROR(Write());
  TIDEMARK_RETURN_IF_ERROR(log_->End());
  return FinishFile();
}

Status EventAppend::Compare(StagedInput& staged) {
  std::string id;
  bool live = false;
  Hash128 hash;
  while (staged.Next()) {
    const StagedId& row = staged.id();
    progress_.Step();
    if (row.id.empty()) {
      ++change_.counts.appended;
      continue;
    }
    Outcome outcome = Outcome::kAppended;
    staged_looks_made_ = staged_looks_made_ || LooksMade(row.id);
    if (row.id != id) {
      id.assign(row.id);
      TIDEMARK_ASSIGN_OR_RETURN(const IndexEntry before, LookUp(id));
      live = before.live();
      hash = before.hash;
      if (before.head != kSequenceZero) outcome = Outcome::kReappended;
    }
    if (!live) {
      live = true;
      hash = row.hash;
    } else if (hash == row.hash) {
      outcome = Outcome::kUnchanged;
    } else {
      outcome = Outcome::kRenamed;
      ++change_.counts.renamed;
    }
    ++(outcome == Outcome::kUnchanged ? change_.counts.unchanged : change_.counts.appended);
    Note(row, outcome);
  }
  return staged.status();
}

/// The id's entry if it is valid; otherwise at most its head.
Result<IndexEntry> EventAppend::LookUp(std::string_view id) const {
  IndexEntry entry;
  if (entity_ == nullptr) return entry;
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status read = state_.db->Get(
      rocksdb::ReadOptions(), entity_->index.get(), rocksdb::Slice(id.data(), id.size()), &bytes);
  if (read.IsNotFound()) return entry;
  if (!read.ok()) return FromRocks(read, "reading the index of " + entity_->name);
  if (!DecodeIndexEntry({bytes.data(), bytes.size()}, &entry)) {
    return {ErrorCode::kCorruption, "the index of " + entity_->name + " is damaged"};
  }
  if (liveness_.IsValid(entry)) return entry;
  IndexEntry absent;
  absent.head = entry.head;
  return absent;
}

Result<bool> EventAppend::IsTaken(std::string_view id) {
  TIDEMARK_ASSIGN_OR_RETURN(const IndexEntry entry, LookUp(id));
  if (entry.state != IndexState::kAbsent) return true;
  if (!staged_looks_made_) return false;
  if (staged_ids_ == nullptr) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto staged,
                              StagedMerge::Open(reader_, plan_.entity, plan_.skip));
    TIDEMARK_ASSIGN_OR_RETURN(staged_ids_, StagedRun::Build(state_, "made-ids", *staged));
  }
  return staged_ids_->Contains(id);
}

void EventAppend::Note(const StagedId& id, Outcome outcome) {
  if (outcome == Outcome::kAppended) return;
  std::vector<Outcome>& page = outcomes_[id.place.page];
  const size_t slot = SlotOf(id.place);
  if (page.size() <= slot) page.resize(slot + 1, Outcome::kAppended);
  page[slot] = outcome;
}

EventAppend::Outcome EventAppend::OutcomeOf(const StagedId& id) const {
  const auto page = outcomes_.find(id.place.page);
  const size_t slot = SlotOf(id.place);
  const bool noted = page != outcomes_.end() && slot < page->second.size();
  return noted ? page->second[slot] : Outcome::kAppended;
}

Status EventAppend::Write() {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader_.Pages(plan_.entity));
  for (const StagedPage& page : pages) {
    TIDEMARK_ASSIGN_OR_RETURN(const StagedPageIds ids, reader_.ReadPageIds(plan_.entity, page));
    for (const StagedId& id : ids.rows) {
      const bool skipped =
          std::binary_search(plan_.skip.begin(), plan_.skip.end(), std::pair(page.page, id.row));
      if (!skipped) TIDEMARK_RETURN_IF_ERROR(WriteRow(id));
    }
  }
  return {};
}

Status EventAppend::WriteRow(const StagedId& id) {
  const Outcome outcome = OutcomeOf(id);
  if (outcome == Outcome::kUnchanged) return {};
  // A made id names the sequence number, so its length is known only roughly when the row gets one.
  TIDEMARK_ASSIGN_OR_RETURN(const HiddenLog::Place place,
                            log_->Allocate(id.id.size(), id.value_size));
  const bool own_id = !id.id.empty() && outcome != Outcome::kRenamed;
  std::string text = own_id ? std::string(id.id) : MadeEventId(id.id, place.sequence);
  while (!own_id) {  // until nobody else's id is met
    TIDEMARK_ASSIGN_OR_RETURN(const bool taken, IsTaken(text));
    if (!taken) break;
    text = MadeEventId(text, place.sequence);
  }
  IndexEntry before;
  if (outcome == Outcome::kReappended) {
    TIDEMARK_ASSIGN_OR_RETURN(before, LookUp(id.id));
  }
  HiddenRow row;
  row.op = RowOp::kAppend;
  row.id = text;
  row.sequence = place.sequence;
  row.birth = place.sequence;
  row.superseded = before.head;
  RecordChange change{.before = before,
                      .stays_before = {},
                      .deleted = false,
                      .values = {},
                      .sequence = place.sequence,
                      .exposed = base_.exposed};
  if (!entity_->keys.empty()) {
    TIDEMARK_ASSIGN_OR_RETURN(const BatchRow staged, values_.Read(plan_.entity, id.place));
    change.values =
        ReadKeyValues(state_.identity.secret, entity_->keys, staged.value_kind, staged.value);
  }
  StaysAfter stays = StaysAfterChange(change, *entity_, base_.stay_filter);
  row.ended = std::move(stays.ended);
  row.stays = std::move(stays.open);
  row.place = id.place;
  log_->Add(row);

  IndexEntry entry;
  entry.head = place.sequence;
  entry.birth = place.sequence;
  entry.hash = id.hash;
  entry.distance = place.distance;
  entry.state = IndexState::kLive;
  entry.extra = MakeExtra({.writer_time = {},
                           .origin = {},
                           .ended = std::move(row.ended),
                           .stays = std::move(row.stays)});
  if (before.head != kSequenceZero) change_.superseded.emplace_back(before.head, place.sequence);
  change_.AddLive(place.sequence);
  return Index(std::move(text), std::move(entry));
}

Status EventAppend::Index(std::string id, IndexEntry entry) {
  if (to_window_) {
    change_.window.push_back({std::move(id), std::move(entry)});
    return {};
  }
  std::string encoded;
  EncodeIndexEntry(entry, &encoded);
  file_rows_.emplace_back(std::move(id), std::move(encoded));
  return file_rows_.size() < tuning::kReplaceRows ? Status() : FinishFile();
}

Status EventAppend::FinishFile() {
  if (file_rows_.empty()) return {};
  std::sort(file_rows_.begin(), file_rows_.end());
  const std::string name =
      "events-" + std::to_string(entity_->number) + "-" + std::to_string(change_.files.size());
  const auto& file =
      change_.files.emplace_back(std::make_unique<SortedFile>(state_, entity_->index, name));
  for (const auto& [id, entry] : file_rows_) file->Put(id, entry);
  file_rows_.clear();
  return FromRocks(file->Finish(), "writing the index of " + entity_->name);
}

}  // namespace tidemark::internal
