// The batch: a checksummed, versioned run of rows as bytes. It is one format for the change log on
// disk, for pages that travel, for staged upload pages and for files. `docs/storage_format.md`
// describes every byte.
//
// Reading is in three steps that cannot be skipped: the envelope is checked (magic, version,
// length, XXH3-128 over everything), the FlatBuffer inside is verified, the columns are checked
// against each other. Only then is there a `BatchView` to read rows from.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checksum.h"
#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"
#include "format/stay.h"

namespace tidemark {

/// What a batch is for. A reader refuses a batch of another kind than it expects.
enum class BatchKind : uint8_t {
  kSegment = 1,  ///< rows of the change log
  kPage = 2,     ///< instructions for one device
  kUpload = 3,   ///< a staged page of an upload sync
  kFile = 4,     ///< an export
  kPush = 5,     ///< a device's own writes, on their way to its source
};

/// What a row says.
enum class RowOp : uint8_t {
  kPut = 0,      ///< log, upload: the record has this value now
  kDelete = 1,   ///< log: the life ended; page: the device must not have it any more
  kAppend = 2,   ///< log, upload: an event
  kCreated = 3,  ///< page: the device never acknowledged this life
  kUpdated = 4,  ///< page: it did
};

/// One row, decoded. The views point into the batch, or, when building, into the caller's memory.
struct BatchRow {
  uint16_t entity = 0;  ///< index into the batch's entity names
  RowOp op = RowOp::kPut;
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  SequenceNumber sequence;    ///< head of the record; increasing within a batch; push: number of
                              ///< the operation at its device
  SequenceNumber birth;       ///< of the life; zero where it has no meaning (uploads)
  SequenceNumber superseded;  ///< log, push: the head that this row replaces, or zero
  std::string_view id;
  std::string_view value;
  std::optional<int64_t> writer_time;    ///< the writer's timestamp, where one was given
  std::span<const EndedStay> ended;      ///< log: ended stays of the id that still matter
  std::span<const OpenStay> stays = {};  ///< log: values of declared keys that a live row has
  SequenceNumber origin_birth;           ///< log of a replica: the life at its source, or zero
  SequenceNumber origin_head;            ///< log of a replica: the version at its source, or zero
  /// Push: the members of the value that the operation changed, as a JSON array of names; empty
  /// where it is not said.
  std::string_view changed = {};
};

/// What stands before the rows. Only the fields that a kind needs are set.
struct BatchHeader {
  BatchKind kind = BatchKind::kSegment;
  std::string store;     ///< page, file: 16 bytes, identity of the store
  std::string epoch;     ///< page, file: 16 bytes, identity of its history
  std::string device;    ///< page: for whom
  uint64_t session = 0;  ///< page: number of the device's session
  uint64_t page = 0;     ///< page: counts from 1 within a session; upload: the page number;
                         ///< push: the highest operation that was answered to its device
  SequenceNumber cut;    ///< page: what the session delivers up to
  Hash128 cut_chain;     ///< page: chain hash at the cut; completes the position
  bool reset = false;    ///< page: what this session does not list is to be dropped
  std::string token;     ///< page: acknowledges exactly this page
  std::string origin;    ///< push: incarnation of the replica that wrote the rows, in hex
};

class BatchView;

/// A row of another batch, and what the new one says of it.
struct PickedRow {
  uint16_t row = 0;
  RowOp op = RowOp::kCreated;
};

/// Builds one batch. Copies what it is given. Reusable after `Finish`. Thread-compatible.
class BatchBuilder {
 public:
  BatchBuilder();
  ~BatchBuilder();
  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;
  BatchBuilder(BatchBuilder&&) noexcept;
  BatchBuilder& operator=(BatchBuilder&&) noexcept;

  /// Index of an entity name in this batch; adds it when it is new. Pages say of which kind the
  /// entity is.
  uint16_t Entity(std::string_view name, std::optional<EntityKind> kind = {});
  /// Requires: fewer than 1,000 rows so far; sequences do not decrease.
  void Add(const BatchRow& row);
  /// Adds rows of `from`, in increasing order, with other ops: whole columns at a time. Superseded
  /// heads, stays and origins stay behind; a page has none of them. Requires what `Add` does.
  void AddPicked(const BatchView& from, std::span<const PickedRow> picked, uint16_t entity);

  size_t size() const;
  /// Bytes of ids, values and names of changed members so far; the encoded batch adds about 24
  /// bytes a row.
  size_t payload_bytes() const;
  bool empty() const { return size() == 0; }

  /// The encoded batch; the builder is empty afterwards.
  std::string Finish(const BatchHeader& header);

 private:
  struct Columns;
  void AddPickedTimes(const BatchView& from, std::span<const PickedRow> picked);

  std::unique_ptr<Columns> columns_;
};

/// What there is to know of a row but for its bytes.
struct RowOutline {
  SequenceNumber sequence;
  SequenceNumber birth;
  uint32_t id_bytes = 0;
  uint32_t value_bytes = 0;
  RowOp op = RowOp::kPut;
};

/// How much of a batch's bytes to distrust.
enum class Trust : uint8_t {
  kNone,     ///< from outside: checksum, structure and meaning are all checked
  kChecked,  ///< just read through a checksum of the same strength: structure and meaning only
};

/// A verified batch. Refers to the bytes, which must outlive it. Rows are read in place; any
/// alignment of the bytes is fine. Immutable, so thread-safe.
class BatchView {
 public:
  /// `kMalformedBatch` with what is wrong and where; `kNewerFormat` for a later major version.
  static Result<BatchView> Parse(std::string_view bytes,
                                 BatchKind kind,
                                 Trust trust = Trust::kNone);

  size_t size() const { return size_; }
  BatchHeader header() const;
  /// Requires index < size().
  BatchRow row(size_t index) const;
  SequenceNumber sequence(size_t index) const {
    if (sequence_column_ == nullptr) return SequenceNumber(first_ + index);
    uint64_t number = 0;
    std::memcpy(&number, sequence_column_ + index * sizeof(number), sizeof(number));
    return SequenceNumber(number);
  }
  std::string_view id(size_t index) const;
  RowOp op(size_t index) const;
  uint16_t entity(size_t index) const;
  SequenceNumber birth(size_t index) const {
    if (birth_column_ == nullptr) return sequence(index);
    uint64_t number = 0;
    std::memcpy(&number, birth_column_ + index * sizeof(number), sizeof(number));
    return SequenceNumber(number);
  }
  /// The same of many rows, whose indexes increase, into `*outlines`: cheaper than one by one.
  void Outline(std::span<const uint16_t> indexes, std::vector<RowOutline>* outlines) const;
  /// True if there may be rows with ended stays.
  bool has_ended() const { return !ended_.empty(); }
  /// Position of the row with this sequence, found by binary search; size() when absent.
  size_t Find(SequenceNumber sequence) const;

  size_t entity_count() const { return entities_.size(); }
  std::string_view entity_name(uint16_t index) const { return entities_[index]; }
  /// nullopt where the batch does not say: older writers never did.
  std::optional<EntityKind> entity_kind(uint16_t index) const;

 private:
  friend class BatchBuilder;
  BatchView() = default;
  std::optional<int64_t> writer_time(size_t index) const;

  std::string_view payload_;
  size_t size_ = 0;
  std::vector<std::string_view> entities_;
  // Columns, as unaligned little-endian arrays; null where a column is absent.
  const uint8_t* entity_column_ = nullptr;
  const uint8_t* op_column_ = nullptr;
  const uint8_t* sequence_column_ = nullptr;
  const uint8_t* birth_column_ = nullptr;
  const uint8_t* superseded_column_ = nullptr;
  const uint8_t* id_end_column_ = nullptr;
  const uint8_t* value_end_column_ = nullptr;
  const uint8_t* time_column_ = nullptr;
  const uint8_t* time_present_ = nullptr;
  const uint8_t* origin_birth_column_ = nullptr;
  const uint8_t* origin_head_column_ = nullptr;
  const uint8_t* entity_kind_column_ = nullptr;
  const uint8_t* changed_end_column_ = nullptr;
  std::string_view ids_;
  std::string_view values_;
  std::string_view changed_;
  uint64_t first_ = 0;
  std::vector<EndedStay> ended_;
  std::vector<uint32_t> ended_begin_;  // by row, size_ + 1 entries, or empty
  std::vector<OpenStay> stays_;
  std::vector<uint32_t> stays_begin_;  // the same
};

/// The checksum that an encoded batch carries. Requires bytes that `BatchBuilder` made.
Hash128 BatchChecksum(std::string_view batch);

/// Batch format written by this build, as `major.minor`; any minor of the same major is read.
inline constexpr int kBatchFormatMajor = 1;
inline constexpr int kBatchFormatMinor = 3;

}  // namespace tidemark
