// What a view holds, and how it iterates.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rocksdb/iterator.h>

#include "db/internal/commit_group.h"
#include "db/internal/store_state.h"
#include "db/tuning.h"
#include "db/view.h"
#include "format/segment_row.h"

namespace tidemark {

class View::Impl {
 public:
  /// Takes the picture. Requires the state mutex, exclusively.
  explicit Impl(internal::StoreState& state);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<std::optional<Record>> Get(std::string_view entity, const RecordId& id) const;

  /// The newest entry of the id, live or not; nullopt: it has none.
  Result<std::optional<internal::IndexEntry>> FindEntry(const internal::EntityState& entity,
                                                        std::string_view id) const;

  internal::StoreState& state;
  SequenceNumber sequence;
  internal::LayerStack layers;
  std::shared_ptr<const internal::Catalog> catalog;
  const rocksdb::Snapshot* snapshot;
  // Keeps the log's rows; released last, without the state mutex.
  std::shared_ptr<internal::PinnedCut> pin;

  /// Live in this view, as far as the index and trimming say.
  bool IsLive(const internal::EntityState& entity, const internal::IndexEntry& entry) const;
};

/// Merges the layers' entries of one entity with the index, in the order of ids or against it.
class RecordIterator::Impl {
 public:
  Impl(std::shared_ptr<const View::Impl> view, internal::EntityPtr entity, ScanOptions options);

  bool Next();

  Record record;
  Status status;

 private:
  /// One frozen layer's run of the entity's entries.
  struct Run {
    const internal::Layer* layer;
    int64_t at;
    int64_t begin;
    int64_t end;
  };

  void PlaceRuns();
  void PlaceIndex();
  std::string_view RunId(const Run& run) const;
  const internal::IndexEntry& RunEntry(const Run& run) const;
  bool RunDone(const Run& run) const { return run.at < run.begin || run.at >= run.end; }
  bool IndexDone() const;
  std::string_view IndexId() const;
  bool Before(std::string_view a, std::string_view b) const {
    return options_.reverse ? a > b : a < b;
  }
  /// A record of the batch, and where its row is.
  struct Slot {
    Record record;
    SequenceNumber segment;  // as the index knows it
    bool read = false;       // its value is there
  };

  /// The next id and its newest entry, live or not; false at the end.
  bool NextEntry(std::string* id, internal::IndexEntry* entry);
  /// Collects the next records; false at the end.
  bool FillBatch();
  /// Reads values of the batch, each segment once, as far as they fit in memory.
  Status ReadValues();
  Status ReadValue(Slot* slot);
  /// Out of `rows_`, which must be set.
  Status ReadRow(Slot* slot) const;

  std::shared_ptr<const View::Impl> view_;
  internal::EntityPtr entity_;  // null: an entity that does not exist is empty
  ScanOptions options_;
  std::string lower_;                 // first id that may be returned
  std::optional<std::string> upper_;  // first id beyond
  std::vector<Run> runs_;
  std::unique_ptr<rocksdb::Iterator> index_;
  std::unique_ptr<rocksdb::Iterator> log_;  // null until a value is wanted
  std::optional<SegmentRows> rows_;         // at log_, when set
  SequenceNumber segment_;                  // where the index says that they are
  // Records are collected batch by batch, because values lie in the order of the log: read in that
  // order, a segment serves all its records of the batch.
  std::vector<Slot> batch_;
  size_t batch_size_ = tuning::kScanRecordsMin;  // of the next one
  size_t at_ = 0;
  uint64_t returned_ = 0;
};

}  // namespace tidemark
