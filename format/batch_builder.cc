#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>
#include <unordered_map>

#include <flatbuffers/flatbuffers.h>

#include "format/batch.h"
#include "format/internal/batch_envelope.h"
#include "format/internal/batch_op.h"
#include "format/schema/batch_generated.h"

namespace tidemark {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using flatbuffers::Vector;

constexpr size_t kFirstRows = 128;  // a segment; larger batches grow once

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

// An absent field when `wanted` is false.
template <typename T>
Offset<Vector<T>> Encode(FlatBufferBuilder* flat, const std::vector<T>& column, bool wanted) {
  return wanted ? flat->CreateVector(column) : Offset<Vector<T>>();
}

template <typename T>
Offset<Vector<T>> EncodeRows(FlatBufferBuilder* flat,
                             const std::vector<T>& column,
                             size_t rows,
                             bool wanted) {
  return wanted && rows > 0 ? flat->CreateVector(column.data(), rows) : Offset<Vector<T>>();
}

Offset<Vector<uint8_t>> EncodeBytes(FlatBufferBuilder* flat, std::string_view bytes) {
  if (bytes.empty()) return {};
  return flat->CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

uint32_t LoadEnd(const uint8_t* ends, size_t index) {
  uint32_t end = 0;
  std::memcpy(&end, ends + index * sizeof(end), sizeof(end));
  return end;
}

// Appends `count` of the pieces that end at `ends`, from `first` on, and tells where they end now.
void CopyPieces(std::string_view bytes,
                const uint8_t* ends,
                size_t first,
                size_t count,
                std::string* out,
                uint32_t* out_ends) {
  const uint32_t begin = first == 0 ? 0 : LoadEnd(ends, first - 1);
  const uint32_t end = LoadEnd(ends, first + count - 1);
  const auto moved = static_cast<uint32_t>(out->size()) - begin;  // wraps around, and back
  for (size_t i = 0; i < count; ++i) out_ends[i] = LoadEnd(ends, first + i) + moved;
  out->append(bytes.substr(begin, end - begin));
}

Offset<flatbuffers::String> EncodeText(FlatBufferBuilder* flat, std::string_view text) {
  if (text.empty()) return {};
  return flat->CreateString(text.data(), text.size());
}

}  // namespace

// Everything is collected column by column, in buffers that outlive a batch.
struct BatchBuilder::Columns {
  size_t rows = 0;
  // One element a row; sized ahead, so that adding a row is plain stores.
  std::vector<uint16_t> entity;
  std::vector<uint8_t> op;
  std::vector<uint64_t> sequence;
  std::vector<uint64_t> birth;
  std::vector<uint64_t> superseded;
  std::vector<int64_t> time;
  std::vector<uint64_t> origin_birth;
  std::vector<uint64_t> origin_head;
  std::vector<uint32_t> id_end;
  std::vector<uint32_t> value_end;
  std::vector<uint8_t> time_present;  // one bit a row

  std::vector<uint16_t> ended_row;
  std::vector<uint64_t> ended_birth;
  std::vector<uint64_t> ended_death;
  std::vector<uint16_t> ended_key;
  std::vector<uint64_t> ended_value;
  std::vector<uint64_t> ended_from;
  std::vector<uint16_t> stay_row;
  std::vector<uint16_t> stay_key;
  std::vector<uint64_t> stay_value;
  std::vector<uint64_t> stay_from;
  std::vector<uint32_t> changed_end;  // one element a row from the first that says something on
  std::string changed;
  std::string ids;
  std::string values;
  std::string names;
  std::vector<uint32_t> name_end;
  std::vector<uint8_t> entity_kind;  // one element a name
  std::unordered_map<std::string, uint16_t, TextHash, std::equal_to<>> entity_index;

  // What the rows so far have in common: a column that says nothing is left out.
  bool contiguous = true;
  bool all_unnumbered = true;
  bool born_with_sequence = true;
  bool any_superseded = false;
  size_t times = 0;
  bool any_entity = false;
  bool any_origin = false;
  bool any_kind = false;
  bool any_ended_key = false;

  FlatBufferBuilder flat;

  void Grow();
  void Clear();
  void AddTime(size_t row, int64_t writer_time);
  void NoteSequence(uint64_t number, uint64_t born);
  void AddEnded(const BatchRow& row);
  void AddStays(const BatchRow& row);
  void AddChanged(std::string_view members);
  bool IsSequenceImplied() const { return all_unnumbered || (contiguous && sequence[0] != 0); }
  void EncodeHead(const BatchHeader& header);
};

void BatchBuilder::Columns::Grow() {
  const size_t capacity = op.empty() ? kFirstRows : kBatchRecordsMax;
  entity.resize(capacity);
  op.resize(capacity);
  sequence.resize(capacity);
  birth.resize(capacity);
  superseded.resize(capacity);
  time.resize(capacity);
  origin_birth.resize(capacity);
  origin_head.resize(capacity);
  id_end.resize(capacity);
  value_end.resize(capacity);
  time_present.resize((capacity + 7) / 8);
}

void BatchBuilder::Columns::Clear() {
  // What most rows leave out stays zero.
  const auto clear = [this](auto* column) {
    std::fill_n(column->begin(), std::min(rows, column->size()), 0);
  };
  if (any_superseded) clear(&superseded);
  if (any_origin) clear(&origin_birth);
  if (any_origin) clear(&origin_head);
  if (times > 0) clear(&time);
  if (times > 0) clear(&time_present);
  rows = 0;
  ended_row.clear();
  ended_birth.clear();
  ended_death.clear();
  ended_key.clear();
  ended_value.clear();
  ended_from.clear();
  stay_row.clear();
  stay_key.clear();
  stay_value.clear();
  stay_from.clear();
  changed_end.clear();
  changed.clear();
  ids.clear();
  values.clear();
  names.clear();
  name_end.clear();
  entity_kind.clear();
  entity_index.clear();
  contiguous = true;
  all_unnumbered = true;
  born_with_sequence = true;
  any_superseded = false;
  times = 0;
  any_entity = false;
  any_origin = false;
  any_kind = false;
  any_ended_key = false;
  flat.Clear();
}

void BatchBuilder::Columns::AddTime(size_t row, int64_t writer_time) {
  time[row] = writer_time;
  time_present[row / 8] |= static_cast<uint8_t>(1U << row % 8);
  ++times;
}

// Of the row that is being added.
inline void BatchBuilder::Columns::NoteSequence(uint64_t number, uint64_t born) {
  assert(rows == 0 || sequence[rows - 1] <= number);
  contiguous &= number == sequence[0] + rows;
  all_unnumbered &= number == 0;
  born_with_sequence &= born == number;
}

void BatchBuilder::Columns::AddEnded(const BatchRow& row) {
  for (const EndedStay& stay : row.ended) {
    ended_row.push_back(static_cast<uint16_t>(rows));
    ended_birth.push_back(stay.birth.value());
    ended_death.push_back(stay.until.value());
    ended_key.push_back(stay.in.key);
    ended_value.push_back(stay.in.value);
    ended_from.push_back(stay.from.value());
    any_ended_key |= !stay.in.whole();
  }
}

void BatchBuilder::Columns::AddStays(const BatchRow& row) {
  for (const OpenStay& stay : row.stays) {
    stay_row.push_back(static_cast<uint16_t>(rows));
    stay_key.push_back(stay.in.key);
    stay_value.push_back(stay.in.value);
    stay_from.push_back(stay.from.value());
  }
}

// Rows before this one that said nothing end where the ones before them do.
void BatchBuilder::Columns::AddChanged(std::string_view members) {
  changed_end.resize(rows, static_cast<uint32_t>(changed.size()));
  changed.append(members);
  changed_end.push_back(static_cast<uint32_t>(changed.size()));
}

// Encodes all but the bytes of the values, as a FlatBuffer that ends in an empty `values` vector:
// what is created first stands last. Writing the true length over that vector's and appending the
// bytes makes the same FlatBuffer as creating it whole, and saves one copy of all values.
void BatchBuilder::Columns::EncodeHead(const BatchHeader& header) {
  const auto values_field = flat.CreateVector(static_cast<const uint8_t*>(nullptr), 0);
  const auto ids_field = EncodeBytes(&flat, ids);
  const bool any_changed = !changed_end.empty();
  if (any_changed) changed_end.resize(rows, static_cast<uint32_t>(changed.size()));
  const auto changed_field = EncodeBytes(&flat, changed);
  const auto changed_end_field = Encode(&flat, changed_end, any_changed);
  const auto value_end_field = EncodeRows(&flat, value_end, rows, true);
  const auto id_end_field = EncodeRows(&flat, id_end, rows, true);
  const bool any_stay = !stay_row.empty();
  const auto stay_from_field = Encode(&flat, stay_from, any_stay);
  const auto stay_value_field = Encode(&flat, stay_value, any_stay);
  const auto stay_key_field = Encode(&flat, stay_key, any_stay);
  const auto stay_row_field = Encode(&flat, stay_row, any_stay);
  const auto ended_from_field = Encode(&flat, ended_from, any_ended_key);
  const auto ended_value_field = Encode(&flat, ended_value, any_ended_key);
  const auto ended_key_field = Encode(&flat, ended_key, any_ended_key);
  const bool any_ended = !ended_row.empty();
  const auto ended_death_field = Encode(&flat, ended_death, any_ended);
  const auto ended_birth_field = Encode(&flat, ended_birth, any_ended);
  const auto ended_row_field = Encode(&flat, ended_row, any_ended);
  const bool some_times_absent = times > 0 && times < rows;
  const auto present_field = EncodeRows(&flat, time_present, (rows + 7) / 8, some_times_absent);
  const auto time_field = EncodeRows(&flat, time, rows, times > 0);
  const auto origin_head_field = EncodeRows(&flat, origin_head, rows, any_origin);
  const auto origin_birth_field = EncodeRows(&flat, origin_birth, rows, any_origin);
  const auto superseded_field = EncodeRows(&flat, superseded, rows, any_superseded);
  const auto birth_field = EncodeRows(&flat, birth, rows, !born_with_sequence);
  const bool numbered = rows > 0 && !IsSequenceImplied();
  const auto sequence_field = EncodeRows(&flat, sequence, rows, numbered);
  const auto op_field = EncodeRows(&flat, op, rows, true);
  const auto entity_field = EncodeRows(&flat, entity, rows, any_entity);
  const auto kind_field = Encode(&flat, entity_kind, any_kind);
  const auto name_end_field = Encode(&flat, name_end, !name_end.empty());
  const auto names_field = EncodeBytes(&flat, names);
  const auto origin_field = EncodeText(&flat, header.origin);
  const auto token_field = EncodeText(&flat, header.token);
  const auto device_field = EncodeText(&flat, header.device);
  const auto epoch_field = EncodeBytes(&flat, header.epoch);
  const auto store_field = EncodeBytes(&flat, header.store);

  wire::BatchBuilder table(flat);
  table.add_kind(static_cast<uint8_t>(header.kind));
  table.add_store(store_field);
  table.add_epoch(epoch_field);
  table.add_device(device_field);
  table.add_session(header.session);
  table.add_page(header.page);
  table.add_cut(header.cut.value());
  table.add_cut_chain_low(header.cut_chain.low);
  table.add_cut_chain_high(header.cut_chain.high);
  table.add_reset(header.reset);
  table.add_token(token_field);
  table.add_origin(origin_field);
  table.add_entity_names(names_field);
  table.add_entity_name_end(name_end_field);
  table.add_entity(entity_field);
  table.add_op(op_field);
  table.add_first(rows > 0 && !numbered ? sequence[0] : 0);
  table.add_sequence(sequence_field);
  table.add_birth(birth_field);
  table.add_superseded(superseded_field);
  table.add_writer_time(time_field);
  table.add_writer_time_present(present_field);
  table.add_ended_row(ended_row_field);
  table.add_ended_birth(ended_birth_field);
  table.add_ended_death(ended_death_field);
  table.add_id_end(id_end_field);
  table.add_ids(ids_field);
  table.add_value_end(value_end_field);
  table.add_values(values_field);
  table.add_origin_birth(origin_birth_field);
  table.add_origin_head(origin_head_field);
  table.add_entity_kind(kind_field);
  table.add_ended_key(ended_key_field);
  table.add_ended_value(ended_value_field);
  table.add_ended_from(ended_from_field);
  table.add_stay_row(stay_row_field);
  table.add_stay_key(stay_key_field);
  table.add_stay_value(stay_value_field);
  table.add_stay_from(stay_from_field);
  table.add_changed_end(changed_end_field);
  table.add_changed(changed_field);
  flat.Finish(table.Finish());
}

BatchBuilder::BatchBuilder() : columns_(std::make_unique<Columns>()) {}
BatchBuilder::~BatchBuilder() = default;
BatchBuilder::BatchBuilder(BatchBuilder&&) noexcept = default;
BatchBuilder& BatchBuilder::operator=(BatchBuilder&&) noexcept = default;

uint16_t BatchBuilder::Entity(std::string_view name, std::optional<EntityKind> kind) {
  Columns& columns = *columns_;
  const auto found = columns.entity_index.find(name);
  if (found != columns.entity_index.end()) return found->second;
  assert(columns.name_end.size() < kBatchRecordsMax);
  const auto index = static_cast<uint16_t>(columns.name_end.size());
  columns.names.append(name);
  columns.name_end.push_back(static_cast<uint32_t>(columns.names.size()));
  columns.entity_kind.push_back(internal::PackEntityKind(kind));
  columns.any_kind |= kind.has_value();
  columns.entity_index.emplace(name, index);
  return index;
}

void BatchBuilder::Add(const BatchRow& row) {
  Columns& columns = *columns_;
  const size_t at = columns.rows;
  assert(at < kBatchRecordsMax);
  if (at == columns.op.size()) columns.Grow();
  const uint64_t sequence = row.sequence.value();

  columns.entity[at] = row.entity;
  columns.op[at] = internal::PackOp(row.op, row.id_form, row.value_kind);
  columns.sequence[at] = sequence;
  columns.birth[at] = row.birth.value();
  if (row.superseded != kSequenceZero) columns.superseded[at] = row.superseded.value();
  if (row.origin_head != kSequenceZero) {
    columns.origin_birth[at] = row.origin_birth.value();
    columns.origin_head[at] = row.origin_head.value();
    columns.any_origin = true;
  }
  if (row.writer_time.has_value()) columns.AddTime(at, *row.writer_time);
  if (!row.ended.empty()) columns.AddEnded(row);
  if (!row.stays.empty()) columns.AddStays(row);
  if (!row.changed.empty()) columns.AddChanged(row.changed);
  columns.ids.append(row.id);
  columns.values.append(row.value);
  columns.id_end[at] = static_cast<uint32_t>(columns.ids.size());
  columns.value_end[at] = static_cast<uint32_t>(columns.values.size());

  columns.NoteSequence(sequence, row.birth.value());
  columns.any_superseded |= row.superseded != kSequenceZero;
  columns.any_entity |= row.entity != 0;
  ++columns.rows;
}

void BatchBuilder::AddPicked(const BatchView& from,
                             std::span<const PickedRow> picked,
                             uint16_t entity) {
  Columns& columns = *columns_;
  while (columns.op.size() < columns.rows + picked.size()) columns.Grow();
  assert(columns.rows + picked.size() <= kBatchRecordsMax);
  // The compiler must assume that a byte which is written may be part of any vector.
  uint16_t* const entities = columns.entity.data() + columns.rows;
  uint8_t* const ops = columns.op.data() + columns.rows;
  uint64_t* const sequences = columns.sequence.data() + columns.rows;
  uint64_t* const births = columns.birth.data() + columns.rows;
  const uint8_t* const from_ops = from.op_column_;
  for (size_t i = 0; i < picked.size(); ++i) {
    const size_t row = picked[i].row;
    assert(row < from.size());
    entities[i] = entity;
    sequences[i] = from.sequence(row).value();
    births[i] = from.birth(row).value();
    ops[i] = internal::WithOp(from_ops[row], picked[i].op);
  }
  for (size_t i = 0; i < picked.size(); ++i) {
    columns.NoteSequence(sequences[i], births[i]);
    ++columns.rows;
  }
  if (from.time_column_ != nullptr) AddPickedTimes(from, picked);
  columns.any_entity |= entity != 0 && !picked.empty();

  // Rows that stand side by side there stand side by side here.
  size_t at = columns.rows - picked.size();
  for (size_t begin = 0; begin < picked.size();) {
    size_t end = begin + 1;
    while (end < picked.size() && picked[end].row == picked[end - 1].row + 1) ++end;
    const size_t row = picked[begin].row;
    const size_t count = end - begin;
    CopyPieces(from.ids_, from.id_end_column_, row, count, &columns.ids, &columns.id_end[at]);
    CopyPieces(
        from.values_, from.value_end_column_, row, count, &columns.values, &columns.value_end[at]);
    at += count;
    begin = end;
  }
}

// Of the rows that were picked last.
void BatchBuilder::AddPickedTimes(const BatchView& from, std::span<const PickedRow> picked) {
  Columns& columns = *columns_;
  size_t at = columns.rows - picked.size();
  for (const PickedRow& one : picked) {
    if (const auto time = from.writer_time(one.row)) columns.AddTime(at, *time);
    ++at;
  }
}

size_t BatchBuilder::size() const {
  return columns_->rows;
}

size_t BatchBuilder::payload_bytes() const {
  return columns_->ids.size() + columns_->values.size() + columns_->changed.size();
}

std::string BatchBuilder::Finish(const BatchHeader& header) {
  Columns& columns = *columns_;
  columns.EncodeHead(header);
  const auto values_bytes = static_cast<uint32_t>(columns.values.size());
  const size_t head_bytes = columns.flat.GetSize() - sizeof(values_bytes);
  const size_t payload_bytes = head_bytes + sizeof(values_bytes) + values_bytes;

  std::string batch;
  batch.reserve(internal::kEnvelopeBytes + payload_bytes);
  internal::AppendEnvelope(&batch, payload_bytes, columns.rows);
  batch.append(reinterpret_cast<const char*>(columns.flat.GetBufferPointer()), head_bytes);
  char length[sizeof(values_bytes)];
  std::memcpy(length, &values_bytes, sizeof(length));
  batch.append(length, sizeof(length));
  batch.append(columns.values);
  internal::SealEnvelope(&batch);
  columns.Clear();
  return batch;
}

}  // namespace tidemark
