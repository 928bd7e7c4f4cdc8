// A view: an immutable, consistent picture of the store at one sequence number.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "db/write_batch.h"
#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// A record with its value.
struct Record {
  std::string id;
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  std::string value;
  SequenceNumber version;  ///< head: the sequence of its last change
  SequenceNumber birth;    ///< the sequence of its life's creation
  std::optional<int64_t> writer_time;
  std::optional<OriginVersion> origin;
};

struct ScanOptions {
  std::string prefix = {};  ///< only ids that begin with it
  std::string after = {};   ///< only ids beyond it, in scan order; empty starts at the end
  bool reverse = false;
  uint64_t limit = 0;  ///< 0: no limit
  bool values = true;  ///< false leaves `value` empty and reads only the index
};

/// Ordered iteration over an entity's records, by the bytes of their ids. Keeps its view alive.
/// Thread-compatible.
class RecordIterator {
 public:
  class Impl;
  explicit RecordIterator(std::unique_ptr<Impl> impl);
  ~RecordIterator();
  RecordIterator(const RecordIterator&) = delete;
  RecordIterator& operator=(const RecordIterator&) = delete;
  RecordIterator(RecordIterator&&) noexcept;
  RecordIterator& operator=(RecordIterator&&) noexcept;

  /// Moves to the next record; false at the end or on an error. Call it before the first access.
  bool Next();
  const Record& record() const;
  const std::string& id() const { return record().id; }
  const std::string& value() const { return record().value; }
  /// Why `Next` returned false: ok at the end.
  const Status& status() const;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Holds what it needs until it is destroyed; destroy it before its store. While a view is open the
/// log is not compacted beyond it, so keep views short. Copies share. Thread-safe.
class View {
 public:
  class Impl;
  explicit View(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  SequenceNumber sequence() const;
  /// nullopt when the entity or the record does not exist.
  Result<std::optional<Record>> Get(std::string_view entity, const RecordId& id) const;
  RecordIterator Scan(std::string_view entity, const ScanOptions& options = {}) const;
  RecordIterator Scan(std::string_view entity, std::string_view prefix) const {
    return Scan(entity, ScanOptions{.prefix = std::string(prefix)});
  }

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tidemark
