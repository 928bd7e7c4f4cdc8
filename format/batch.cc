#include "format/batch.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "format/internal/batch_envelope.h"
#include "format/internal/batch_op.h"
#include "format/schema/batch_generated.h"
#include "format/segment_row.h"

namespace tidemark {
namespace {

using internal::MalformedBatch;

constexpr size_t kIdentityBytes = 16;    // of a store, of an epoch
constexpr size_t kHeaderTextMax = 512;   // token, origin
constexpr uint32_t kVerifierDepth = 16;  // there is one table; leave room for later ones
constexpr uint32_t kVerifierTables = 64;

// What an absent sequence column means when `first` is zero.
constexpr uint8_t kUnnumbered[kBatchRecordsMax * sizeof(uint64_t)] = {};

template <typename Number>
Number Load(const uint8_t* column, size_t index) {
  Number value;
  std::memcpy(&value, column + index * sizeof(value), sizeof(value));
  return value;
}

// A vector inside the payload. Its bytes may have any alignment, so it is never touched through
// FlatBuffers' own type.
struct Column {
  const uint8_t* bytes = nullptr;
  size_t size = 0;

  bool absent() const { return bytes == nullptr; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes), size}; }
};

template <typename AnyVector>
Column ColumnOf(const AnyVector* vector) {
  if (vector == nullptr) return {};
  const auto* bytes = reinterpret_cast<const uint8_t*>(vector);
  return {bytes + sizeof(uint32_t), Load<uint32_t>(bytes, 0)};
}

// Requires a payload that was verified.
const wire::Batch* RootOf(std::string_view payload) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
  return reinterpret_cast<const wire::Batch*>(bytes + Load<uint32_t>(bytes, 0));
}

Status VerifyStructure(std::string_view payload) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
  flatbuffers::Verifier verifier(bytes, payload.size(), kVerifierDepth, kVerifierTables);
  if (!wire::VerifyBatchBuffer(verifier)) {
    return MalformedBatch("the payload is no well-formed FlatBuffer of a batch");
  }
  return {};
}

Status CheckHeader(const wire::Batch& table, BatchKind kind) {
  if (table.kind() != static_cast<uint8_t>(kind)) {
    return MalformedBatch("kind " + std::to_string(table.kind()) + ", expected " +
                          std::to_string(static_cast<int>(kind)));
  }
  for (const auto* identity : {table.store(), table.epoch()}) {
    const Column column = ColumnOf(identity);
    if (!column.absent() && column.size != kIdentityBytes) {
      return MalformedBatch("an identity of " + std::to_string(column.size) + " bytes, not 16");
    }
  }
  const Column device = ColumnOf(table.device());
  if (device.size > kDeviceIdBytesMax || !IsUtf8(device.text())) {
    return MalformedBatch("the device id is too long or not UTF-8");
  }
  for (const auto* text : {table.token(), table.origin()}) {
    const Column column = ColumnOf(text);
    if (column.size > kHeaderTextMax || !IsUtf8(column.text())) {
      return MalformedBatch("token or origin is too long or not UTF-8");
    }
  }
  if (table.cut() >= kSequenceLimit.value()) return MalformedBatch("the cut is out of range");
  return {};
}

// All columns of a payload, as they lie there.
struct Columns {
  explicit Columns(const wire::Batch& table)
      : first(table.first()),
        names(ColumnOf(table.entity_names())),
        name_end(ColumnOf(table.entity_name_end())),
        entity_kind(ColumnOf(table.entity_kind())),
        entity(ColumnOf(table.entity())),
        op(ColumnOf(table.op())),
        sequence(ColumnOf(table.sequence())),
        birth(ColumnOf(table.birth())),
        superseded(ColumnOf(table.superseded())),
        time(ColumnOf(table.writer_time())),
        time_present(ColumnOf(table.writer_time_present())),
        origin_birth(ColumnOf(table.origin_birth())),
        origin_head(ColumnOf(table.origin_head())),
        ended_row(ColumnOf(table.ended_row())),
        ended_birth(ColumnOf(table.ended_birth())),
        ended_death(ColumnOf(table.ended_death())),
        ended_key(ColumnOf(table.ended_key())),
        ended_value(ColumnOf(table.ended_value())),
        ended_from(ColumnOf(table.ended_from())),
        stay_row(ColumnOf(table.stay_row())),
        stay_key(ColumnOf(table.stay_key())),
        stay_value(ColumnOf(table.stay_value())),
        stay_from(ColumnOf(table.stay_from())),
        changed_end(ColumnOf(table.changed_end())),
        changed(ColumnOf(table.changed())),
        id_end(ColumnOf(table.id_end())),
        ids(ColumnOf(table.ids())),
        value_end(ColumnOf(table.value_end())),
        values(ColumnOf(table.values())) {}

  uint64_t first;
  Column names;
  Column name_end;
  Column entity_kind;
  Column entity;
  Column op;
  Column sequence;
  Column birth;
  Column superseded;
  Column time;
  Column time_present;
  Column origin_birth;
  Column origin_head;
  Column ended_row;
  Column ended_birth;
  Column ended_death;
  Column ended_key;
  Column ended_value;
  Column ended_from;
  Column stay_row;
  Column stay_key;
  Column stay_value;
  Column stay_from;
  Column changed_end;
  Column changed;
  Column id_end;
  Column ids;
  Column value_end;
  Column values;
};

// The checks that columns agree with each other. Nothing is read from a column before its length
// was checked. Loops run through whole columns without leaving early, so that the compiler can make
// them wide; only when one failed is the row looked for.
class ColumnChecker {
 public:
  ColumnChecker(const Columns& columns, size_t rows, BatchKind kind)
      : columns_(columns), rows_(rows), kind_(kind) {}

  Status Check() {
    TIDEMARK_RETURN_IF_ERROR(CheckLengths());
    TIDEMARK_RETURN_IF_ERROR(CheckEntities());
    TIDEMARK_RETURN_IF_ERROR(CheckOps());
    TIDEMARK_RETURN_IF_ERROR(CheckSequences());
    TIDEMARK_RETURN_IF_ERROR(CheckLives());
    TIDEMARK_RETURN_IF_ERROR(CheckEnded());
    const size_t id_bytes_min = kind_ == BatchKind::kUpload ? 0 : 1;  // events may come without
    TIDEMARK_RETURN_IF_ERROR(
        CheckEnds("id_end", columns_.id_end, rows_, columns_.ids.size, id_bytes_min, kIdBytesMax));
    const size_t value_max = kind_ == BatchKind::kSegment ? kLocalValueBytesMax : kValueBytesMax;
    TIDEMARK_RETURN_IF_ERROR(
        CheckEnds("value_end", columns_.value_end, rows_, columns_.values.size, 0, value_max));
    TIDEMARK_RETURN_IF_ERROR(CheckChanged());
    return CheckIdText();
  }

  /// Comes first: it makes reading any element of any column safe.
  Status CheckLengths() const {
    TIDEMARK_RETURN_IF_ERROR(CheckLength("op", columns_.op, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("id_end", columns_.id_end, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("value_end", columns_.value_end, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("entity", columns_.entity, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("sequence", columns_.sequence, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("birth", columns_.birth, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("superseded", columns_.superseded, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("writer_time", columns_.time, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("origin_birth", columns_.origin_birth, rows_));
    TIDEMARK_RETURN_IF_ERROR(CheckOptionalLength("origin_head", columns_.origin_head, rows_));
    if (columns_.origin_birth.absent() != columns_.origin_head.absent()) {
      return MalformedBatch("origin_birth and origin_head go together");
    }
    TIDEMARK_RETURN_IF_ERROR(
        CheckOptionalLength("writer_time_present", columns_.time_present, (rows_ + 7) / 8));
    if (columns_.time.absent() && !columns_.time_present.absent()) {
      return MalformedBatch("writer_time_present without writer_time");
    }
    TIDEMARK_RETURN_IF_ERROR(
        CheckLength("ended_birth", columns_.ended_birth, columns_.ended_row.size));
    const size_t ended = columns_.ended_row.size;
    TIDEMARK_RETURN_IF_ERROR(CheckLength("ended_death", columns_.ended_death, ended));
    const size_t keyed = columns_.ended_key.absent() ? 0 : ended;
    TIDEMARK_RETURN_IF_ERROR(CheckLength("ended_key", columns_.ended_key, keyed));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("ended_value", columns_.ended_value, keyed));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("ended_from", columns_.ended_from, keyed));
    const size_t stays = columns_.stay_row.size;
    TIDEMARK_RETURN_IF_ERROR(CheckLength("stay_key", columns_.stay_key, stays));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("stay_value", columns_.stay_value, stays));
    TIDEMARK_RETURN_IF_ERROR(CheckLength("stay_from", columns_.stay_from, stays));
    return CheckOptionalLength("changed_end", columns_.changed_end, rows_);
  }

 private:
  // Calls is_bad(i) for every i below `count`; fails at the first that is.
  template <typename IsBad>
  static Status CheckAll(size_t count, std::string_view what, IsBad is_bad) {
    size_t bad = 0;
    for (size_t i = 0; i < count; ++i) bad += static_cast<size_t>(is_bad(i));
    if (bad == 0) return {};
    size_t index = 0;
    while (!is_bad(index)) ++index;
    return MalformedBatch(std::string(what).append(" ").append(std::to_string(index)) +
                          " is out of range or out of order");
  }

  static Status CheckEnds(std::string_view what,
                          const Column& ends,
                          size_t count,
                          size_t bytes,
                          size_t length_min,
                          size_t length_max) {
    // A decrease wraps around to a length far above every limit.
    const auto spread = static_cast<uint32_t>(length_max - length_min);
    const auto is_bad = [&ends, length_min, spread](size_t i) {
      const uint32_t begin = i == 0 ? 0 : Load<uint32_t>(ends.bytes, i - 1);
      const uint32_t length = Load<uint32_t>(ends.bytes, i) - begin;
      return length - static_cast<uint32_t>(length_min) > spread;
    };
    TIDEMARK_RETURN_IF_ERROR(CheckAll(count, what, is_bad));
    const size_t end = count == 0 ? 0 : Load<uint32_t>(ends.bytes, count - 1);
    if (end == bytes) return {};
    return MalformedBatch(std::string(what).append(" ends at ") + std::to_string(end) + " of " +
                          std::to_string(bytes) + " bytes");
  }

  static Status CheckLength(std::string_view what, const Column& column, size_t wanted) {
    if (column.size == wanted) return {};
    return MalformedBatch(std::string(what).append(" has ") + std::to_string(column.size) +
                          " elements, not " + std::to_string(wanted));
  }

  static Status CheckOptionalLength(std::string_view what, const Column& column, size_t wanted) {
    return column.absent() ? Status() : CheckLength(what, column, wanted);
  }

  Status CheckEntities() const {
    if (columns_.name_end.size > kBatchRecordsMax) {
      return MalformedBatch(std::to_string(columns_.name_end.size) + " entities, the limit is " +
                            std::to_string(kBatchRecordsMax));
    }
    TIDEMARK_RETURN_IF_ERROR(CheckEnds("entity_name_end",
                                       columns_.name_end,
                                       columns_.name_end.size,
                                       columns_.names.size,
                                       1,
                                       kNameBytesMax));
    uint32_t begin = 0;
    for (size_t i = 0; i < columns_.name_end.size; ++i) {
      const auto end = Load<uint32_t>(columns_.name_end.bytes, i);
      std::string_view name = columns_.names.text().substr(begin, end - begin);
      if (name.starts_with('_')) name.remove_prefix(1);  // the engine's own names may travel
      const Status checked = CheckName(name);
      if (!checked.ok()) {
        return MalformedBatch("entity name " + std::to_string(i) + ": " + checked.message());
      }
      begin = end;
    }
    TIDEMARK_RETURN_IF_ERROR(CheckEntityKinds());
    if (columns_.entity.absent()) {
      // A segment may leave it to its key to say which entity it is of.
      if (columns_.name_end.size > 0 || rows_ == 0 || kind_ == BatchKind::kSegment) return {};
      return MalformedBatch("rows without an entity");
    }
    return CheckAll(rows_, "entity", [this](size_t i) {
      return Load<uint16_t>(columns_.entity.bytes, i) >= columns_.name_end.size;
    });
  }

  Status CheckEntityKinds() const {
    if (columns_.entity_kind.absent()) return {};
    TIDEMARK_RETURN_IF_ERROR(
        CheckLength("entity_kind", columns_.entity_kind, columns_.name_end.size));
    return CheckAll(columns_.entity_kind.size, "entity_kind", [this](size_t i) {
      return columns_.entity_kind.bytes[i] > internal::PackEntityKind(EntityKind::kIncremental);
    });
  }

  Status CheckOps() const {
    return CheckAll(rows_, "op", [this](size_t i) {
      return !internal::IsOpOfKind(columns_.op.bytes[i], kind_);
    });
  }

  Status CheckSequences() const {
    const uint64_t limit = kSequenceLimit.value();
    const bool is_log = kind_ == BatchKind::kSegment;
    if (columns_.sequence.absent()) {
      if (columns_.first >= limit || limit - columns_.first < rows_) {
        return MalformedBatch("first is out of range");
      }
      if (is_log && rows_ > 0 && columns_.first == 0) {
        return MalformedBatch("a segment without sequences");
      }
      return {};
    }
    if (columns_.first != 0) return MalformedBatch("both first and sequence are given");
    const uint64_t step = is_log ? 1 : 0;
    return CheckAll(rows_, "sequence", [this, step](size_t i) {
      const uint64_t before = i == 0 ? 0 : Load<uint64_t>(columns_.sequence.bytes, i - 1);
      const auto here = Load<uint64_t>(columns_.sequence.bytes, i);
      return here >= limit || here < before + step;
    });
  }

  uint64_t SequenceOf(size_t row) const {
    if (!columns_.sequence.absent()) return Load<uint64_t>(columns_.sequence.bytes, row);
    return columns_.first == 0 ? 0 : columns_.first + row;
  }

  // A life begins no later than its newest change; an upload's births are its receiver's business.
  uint64_t BirthLimit(size_t row) const {
    return kind_ == BatchKind::kUpload ? kSequenceLimit.value() : SequenceOf(row) + 1;
  }

  Status CheckLives() const {
    if (!columns_.birth.absent()) {
      TIDEMARK_RETURN_IF_ERROR(CheckAll(rows_, "birth", [this](size_t i) {
        return Load<uint64_t>(columns_.birth.bytes, i) >= BirthLimit(i);
      }));
    }
    for (const Column& origin : {columns_.origin_birth, columns_.origin_head}) {
      TIDEMARK_RETURN_IF_ERROR(CheckAll(origin.absent() ? 0 : rows_, "origin", [&origin](size_t i) {
        return Load<uint64_t>(origin.bytes, i) >= kSequenceLimit.value();
      }));
    }
    if (columns_.superseded.absent()) return {};
    // A device's own write supersedes a head of its server, and has no sequence yet.
    const bool is_log = kind_ == BatchKind::kSegment;
    return CheckAll(rows_, "superseded", [this, is_log](size_t i) {
      const auto head = Load<uint64_t>(columns_.superseded.bytes, i);
      return head >= (is_log ? SequenceOf(i) : kSequenceLimit.value());
    });
  }

  Status CheckChanged() const {
    if (columns_.changed_end.absent()) {
      if (columns_.changed.absent()) return {};
      return MalformedBatch("changed without changed_end");
    }
    if (kind_ != BatchKind::kPush) return MalformedBatch("changed is of pushes only");
    return CheckEnds(
        "changed_end", columns_.changed_end, rows_, columns_.changed.size, 0, kChangedBytesMax);
  }

  Status CheckEnded() const {
    TIDEMARK_RETURN_IF_ERROR(CheckAll(columns_.ended_row.size, "ended stay", [this](size_t i) {
      const uint16_t before =
          i == 0 ? uint16_t{0} : Load<uint16_t>(columns_.ended_row.bytes, i - 1);
      const auto row = Load<uint16_t>(columns_.ended_row.bytes, i);
      const auto until = Load<uint64_t>(columns_.ended_death.bytes, i);
      const auto birth = Load<uint64_t>(columns_.ended_birth.bytes, i);
      const bool in_range = row < rows_ && until < kSequenceLimit.value();
      if (!in_range || row < before || birth >= until) return true;
      if (columns_.ended_key.absent()) return false;
      // A stay in a key begins within the life; the life itself says no beginning.
      const auto from = Load<uint64_t>(columns_.ended_from.bytes, i);
      const bool whole = Load<uint16_t>(columns_.ended_key.bytes, i) == 0;
      return whole ? from != 0 || Load<uint64_t>(columns_.ended_value.bytes, i) != 0
                   : from < birth || from >= until;
    }));
    return CheckAll(columns_.stay_row.size, "stay", [this](size_t i) {
      const uint16_t before = i == 0 ? uint16_t{0} : Load<uint16_t>(columns_.stay_row.bytes, i - 1);
      const auto row = Load<uint16_t>(columns_.stay_row.bytes, i);
      return row >= rows_ || row < before || Load<uint16_t>(columns_.stay_key.bytes, i) == 0 ||
             Load<uint64_t>(columns_.stay_from.bytes, i) >= BirthLimit(row);
    });
  }

  // The log holds only ids that were checked when they were written; others come from outside.
  Status CheckIdText() const {
    if (kind_ == BatchKind::kSegment) return {};
    size_t unusual = 0;
    for (size_t i = 0; i < columns_.ids.size; ++i) {
      unusual += static_cast<uint8_t>(columns_.ids.bytes[i] - 0x20) >= 0x7f - 0x20 ? 1U : 0U;
    }
    if (unusual == 0) return {};
    return CheckAll(rows_, "id", [this](size_t i) {
      const uint32_t begin = i == 0 ? 0 : Load<uint32_t>(columns_.id_end.bytes, i - 1);
      const uint32_t size = Load<uint32_t>(columns_.id_end.bytes, i) - begin;
      return size > 0 && !CheckRecordId(columns_.ids.text().substr(begin, size)).ok();
    });
  }

  const Columns& columns_;
  const size_t rows_;
  const BatchKind kind_;
};

std::vector<std::string_view> SplitNames(const Column& names, const Column& ends) {
  std::vector<std::string_view> split;
  split.reserve(ends.size);
  uint32_t begin = 0;
  for (size_t i = 0; i < ends.size; ++i) {
    const auto end = Load<uint32_t>(ends.bytes, i);
    split.push_back(names.text().substr(begin, end - begin));
    begin = end;
  }
  return split;
}

std::vector<EndedStay> ReadEnded(const Columns& columns) {
  std::vector<EndedStay> ended(columns.ended_row.size);
  for (size_t i = 0; i < ended.size(); ++i) {
    ended[i].birth = SequenceNumber(Load<uint64_t>(columns.ended_birth.bytes, i));
    ended[i].until = SequenceNumber(Load<uint64_t>(columns.ended_death.bytes, i));
    if (columns.ended_key.absent()) continue;
    ended[i].from = SequenceNumber(Load<uint64_t>(columns.ended_from.bytes, i));
    ended[i].in = {Load<uint16_t>(columns.ended_key.bytes, i),
                   Load<uint64_t>(columns.ended_value.bytes, i)};
  }
  return ended;
}

std::vector<OpenStay> ReadStays(const Columns& columns) {
  std::vector<OpenStay> stays(columns.stay_row.size);
  for (size_t i = 0; i < stays.size(); ++i) {
    stays[i].in = {Load<uint16_t>(columns.stay_key.bytes, i),
                   Load<uint64_t>(columns.stay_value.bytes, i)};
    stays[i].from = SequenceNumber(Load<uint64_t>(columns.stay_from.bytes, i));
  }
  return stays;
}

// Where each row's elements begin in columns that are ordered by row; one entry more than rows.
std::vector<uint32_t> RowBegins(const Column& row_column, size_t rows) {
  std::vector<uint32_t> begins(rows + 1);
  for (size_t i = 0; i < row_column.size; ++i) {
    ++begins[Load<uint16_t>(row_column.bytes, i) + size_t{1}];
  }
  for (size_t i = 0; i < rows; ++i) begins[i + 1] += begins[i];
  return begins;
}

// The `index`-th of `bytes`, cut at `ends`.
std::string_view Piece(std::string_view bytes, const uint8_t* ends, size_t index) {
  const uint32_t begin = index == 0 ? 0 : Load<uint32_t>(ends, index - 1);
  return {bytes.data() + begin, Load<uint32_t>(ends, index) - begin};
}

}  // namespace

Result<BatchView> BatchView::Parse(std::string_view bytes, BatchKind kind, Trust trust) {
  auto opened = internal::OpenEnvelope(bytes, trust == Trust::kNone);
  if (!opened.ok()) return opened.status();
  TIDEMARK_RETURN_IF_ERROR(VerifyStructure(opened->payload));
  const wire::Batch& table = *RootOf(opened->payload);
  TIDEMARK_RETURN_IF_ERROR(CheckHeader(table, kind));
  const Columns columns(table);
  TIDEMARK_RETURN_IF_ERROR(ColumnChecker(columns, opened->rows, kind).Check());

  BatchView view;
  view.payload_ = opened->payload;
  view.size_ = opened->rows;
  view.entities_ = SplitNames(columns.names, columns.name_end);
  view.entity_kind_column_ = columns.entity_kind.bytes;
  view.entity_column_ = columns.entity.bytes;
  view.op_column_ = columns.op.bytes;
  const bool unnumbered = columns.sequence.absent() && columns.first == 0;
  view.sequence_column_ = unnumbered ? kUnnumbered : columns.sequence.bytes;
  view.birth_column_ = columns.birth.bytes;
  view.superseded_column_ = columns.superseded.bytes;
  view.id_end_column_ = columns.id_end.bytes;
  view.value_end_column_ = columns.value_end.bytes;
  view.time_column_ = columns.time.bytes;
  view.time_present_ = columns.time_present.bytes;
  view.origin_birth_column_ = columns.origin_birth.bytes;
  view.origin_head_column_ = columns.origin_head.bytes;
  view.changed_end_column_ = columns.changed_end.bytes;
  view.changed_ = columns.changed.text();
  view.ids_ = columns.ids.text();
  view.values_ = columns.values.text();
  view.first_ = columns.first;
  if (columns.ended_row.size > 0) {
    view.ended_ = ReadEnded(columns);
    view.ended_begin_ = RowBegins(columns.ended_row, view.size_);
  }
  if (columns.stay_row.size > 0) {
    view.stays_ = ReadStays(columns);
    view.stays_begin_ = RowBegins(columns.stay_row, view.size_);
  }
  return view;
}

std::optional<EntityKind> BatchView::entity_kind(uint16_t index) const {
  assert(index < entities_.size());
  return entity_kind_column_ == nullptr ? std::nullopt
                                        : internal::UnpackEntityKind(entity_kind_column_[index]);
}

namespace {

// Where a piece lies in its column; nullopt: it does not.
std::optional<std::string_view> CheckedPiece(const Column& bytes,
                                             const Column& ends,
                                             size_t index,
                                             size_t length_max) {
  const uint32_t begin = index == 0 ? 0 : Load<uint32_t>(ends.bytes, index - 1);
  const auto end = Load<uint32_t>(ends.bytes, index);
  if (begin > end || end > bytes.size || end - begin > length_max) return std::nullopt;
  return bytes.text().substr(begin, end - begin);
}

// Index of the row with this sequence; `rows` when there is none.
size_t FindSequence(const Columns& columns, size_t rows, uint64_t sequence) {
  if (columns.sequence.absent()) {
    return sequence < columns.first ? rows : std::min<uint64_t>(sequence - columns.first, rows);
  }
  size_t begin = 0;
  size_t end = rows;
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (Load<uint64_t>(columns.sequence.bytes, middle) < sequence) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  const bool found = begin < rows && Load<uint64_t>(columns.sequence.bytes, begin) == sequence;
  return found ? begin : rows;
}

}  // namespace

Result<SegmentRows> SegmentRows::Open(std::string_view segment) {
  auto opened = internal::OpenEnvelope(segment, /*check_checksum=*/false);
  if (!opened.ok()) return opened.status();
  TIDEMARK_RETURN_IF_ERROR(VerifyStructure(opened->payload));
  const wire::Batch& table = *RootOf(opened->payload);
  TIDEMARK_RETURN_IF_ERROR(CheckHeader(table, BatchKind::kSegment));
  const Columns columns(table);
  const ColumnChecker checker(columns, opened->rows, BatchKind::kSegment);
  TIDEMARK_RETURN_IF_ERROR(checker.CheckLengths());
  return SegmentRows(opened->payload, opened->rows);
}

Result<BatchRow> SegmentRows::Find(SequenceNumber sequence) const {
  const Columns columns(*RootOf(payload_));
  const size_t index = FindSequence(columns, rows_, sequence.value());
  if (index == rows_) {
    return MalformedBatch("no row has sequence " + std::to_string(sequence.value()));
  }
  const auto id = CheckedPiece(columns.ids, columns.id_end, index, kIdBytesMax);
  const auto value = CheckedPiece(columns.values, columns.value_end, index, kLocalValueBytesMax);
  const uint8_t packed = columns.op.bytes[index];
  const uint64_t birth =
      columns.birth.absent() ? sequence.value() : Load<uint64_t>(columns.birth.bytes, index);
  const uint64_t superseded =
      columns.superseded.absent() ? 0 : Load<uint64_t>(columns.superseded.bytes, index);
  if (!id.has_value() || id->empty() || !value.has_value() || birth > sequence.value() ||
      superseded >= sequence.value() || !internal::IsOpOfKind(packed, BatchKind::kSegment)) {
    return MalformedBatch("row " + std::to_string(index) + " is out of range");
  }
  BatchRow row{.op = internal::UnpackOp(packed),
               .id_form = internal::UnpackIdForm(packed),
               .value_kind = internal::UnpackValueKind(packed),
               .sequence = sequence,
               .birth = SequenceNumber(birth),
               .superseded = SequenceNumber(superseded),
               .id = *id,
               .value = *value,
               .writer_time = {},
               .ended = {},
               .origin_birth = {},
               .origin_head = {}};
  const bool has_time =
      !columns.time.absent() && (columns.time_present.absent() ||
                                 (columns.time_present.bytes[index / 8] >> index % 8 & 1) != 0);
  if (has_time) row.writer_time = Load<int64_t>(columns.time.bytes, index);
  return row;
}

BatchHeader BatchView::header() const {
  const wire::Batch& table = *RootOf(payload_);
  BatchHeader header;
  header.kind = static_cast<BatchKind>(table.kind());
  header.store = ColumnOf(table.store()).text();
  header.epoch = ColumnOf(table.epoch()).text();
  header.device = ColumnOf(table.device()).text();
  header.session = table.session();
  header.page = table.page();
  header.cut = SequenceNumber(table.cut());
  header.cut_chain = {table.cut_chain_low(), table.cut_chain_high()};
  header.reset = table.reset();
  header.token = ColumnOf(table.token()).text();
  header.origin = ColumnOf(table.origin()).text();
  return header;
}

BatchRow BatchView::row(size_t index) const {
  assert(index < size_);
  const uint8_t packed = op_column_[index];
  BatchRow row;
  row.entity = entity(index);
  row.op = internal::UnpackOp(packed);
  row.id_form = internal::UnpackIdForm(packed);
  row.value_kind = internal::UnpackValueKind(packed);
  row.sequence = sequence(index);
  row.birth = birth(index);
  if (superseded_column_ != nullptr) {
    row.superseded = SequenceNumber(Load<uint64_t>(superseded_column_, index));
  }
  row.id = id(index);
  row.value = Piece(values_, value_end_column_, index);
  if (time_column_ != nullptr) row.writer_time = writer_time(index);
  if (origin_head_column_ != nullptr) {
    row.origin_birth = SequenceNumber(Load<uint64_t>(origin_birth_column_, index));
    row.origin_head = SequenceNumber(Load<uint64_t>(origin_head_column_, index));
  }
  if (changed_end_column_ != nullptr) row.changed = Piece(changed_, changed_end_column_, index);
  if (!ended_.empty()) {
    row.ended = std::span(ended_).subspan(ended_begin_[index],
                                          ended_begin_[index + 1] - ended_begin_[index]);
  }
  if (!stays_.empty()) {
    row.stays = std::span(stays_).subspan(stays_begin_[index],
                                          stays_begin_[index + 1] - stays_begin_[index]);
  }
  return row;
}

std::optional<int64_t> BatchView::writer_time(size_t index) const {
  const bool has_time = time_column_ != nullptr &&
                        (time_present_ == nullptr || (time_present_[index / 8] >> index % 8 & 1));
  if (!has_time) return std::nullopt;
  return Load<int64_t>(time_column_, index);
}

void BatchView::Outline(std::span<const uint16_t> indexes,
                        std::vector<RowOutline>* outlines) const {
  const auto bytes_of = [](const uint8_t* ends, size_t index) {
    const uint32_t begin = index == 0 ? 0 : Load<uint32_t>(ends, index - 1);
    return Load<uint32_t>(ends, index) - begin;
  };
  outlines->resize(indexes.size());
  for (size_t i = 0; i < indexes.size(); ++i) {
    const size_t index = indexes[i];
    assert(index < size_);
    RowOutline& outline = (*outlines)[i];
    outline.sequence = sequence(index);
    outline.birth = birth(index);
    outline.id_bytes = bytes_of(id_end_column_, index);
    outline.value_bytes = bytes_of(value_end_column_, index);
    outline.op = internal::UnpackOp(op_column_[index]);
  }
}

std::string_view BatchView::id(size_t index) const {
  assert(index < size_);
  return Piece(ids_, id_end_column_, index);
}

RowOp BatchView::op(size_t index) const {
  assert(index < size_);
  return internal::UnpackOp(op_column_[index]);
}

uint16_t BatchView::entity(size_t index) const {
  assert(index < size_);
  return entity_column_ == nullptr ? uint16_t{0} : Load<uint16_t>(entity_column_, index);
}

size_t BatchView::Find(SequenceNumber wanted) const {
  size_t begin = 0;
  size_t end = size_;
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (sequence(middle) < wanted) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin < size_ && sequence(begin) == wanted ? begin : size_;
}

}  // namespace tidemark
