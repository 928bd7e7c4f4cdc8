#include "db/internal/part_index.h"

#include <algorithm>
#include <string>
#include <utility>

#include "db/internal/entity_keys_data.h"
#include "db/internal/rocks_status.h"
#include "db/internal/store_state.h"
#include "db/tuning.h"
#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr char kMarkPrefix = 'm';
constexpr char kPostingPrefix = 'p';
constexpr uint8_t kMarkVersion = 1;
constexpr std::string_view kMarkName = "a mark of the index of parts";
constexpr size_t kPostingKeyBytes = 1 + 4 + 2 + 8 + 8;

std::string MarkKey(EntityNumber entity) {
  std::string key(1, kMarkPrefix);
  AppendBigEndian32(&key, entity);
  return key;
}

std::string EntityPrefix(EntityNumber entity) {
  std::string key(1, kPostingPrefix);
  AppendBigEndian32(&key, entity);
  return key;
}

std::string PostingPrefix(EntityNumber entity, const KeyValue& value) {
  std::string key = EntityPrefix(entity);
  key.push_back(static_cast<char>(value.key >> 8));
  key.push_back(static_cast<char>(value.key & 0xff));
  AppendBigEndian64(&key, value.value);
  return key;
}

std::string EncodeMark(const PartMark& mark) {
  std::string out(1, static_cast<char>(kMarkVersion));
  AppendVarint(&out, mark.through.value());
  AppendVarint(&out, mark.keys.size());
  for (const uint16_t key : mark.keys) AppendVarint(&out, key);
  return out;
}

Result<PartMark> DecodeMark(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kMarkVersion, kMarkName).status());
  PartMark mark;
  mark.through = reader.Sequence();
  const uint64_t keys = reader.Varint();
  for (uint64_t i = 0; i < keys && reader.ok(); ++i) {
    mark.keys.push_back(static_cast<uint16_t>(reader.Varint()));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kMarkName));
  return mark;
}

// Each head as its distance from the one before.
std::string EncodeHeads(std::span<const SequenceNumber> heads) {
  std::string out;
  SequenceNumber before;
  for (const SequenceNumber head : heads) {
    AppendVarint(&out, head - before);
    before = head;
  }
  return out;
}

// False when the bytes are damaged.
bool DecodeHeads(std::string_view bytes, std::vector<SequenceNumber>* heads) {
  ByteReader reader(bytes);
  heads->clear();
  SequenceNumber head;
  while (reader.ok() && !reader.rest().empty()) {
    head = head + reader.Varint();
    heads->push_back(head);
  }
  return reader.ok() && head < kSequenceLimit;
}

std::vector<uint16_t> KeyNumbers(const EntityState& entity) {
  std::vector<uint16_t> numbers;
  for (const DeclaredKey& key : entity.keys) numbers.push_back(key.number);
  return numbers;
}

// Where indexing goes on. Keys that were declared since begin anew, and the others with them: it
// costs no reader anything but what the log costs instead.
PartMark MarkOf(const StoreState& state, const EntityState& entity) {
  const auto found = state.part_marks.find(entity.number);
  const std::vector<uint16_t> numbers = KeyNumbers(entity);
  if (found == state.part_marks.end() ||
      !std::includes(
          found->second.keys.begin(), found->second.keys.end(), numbers.begin(), numbers.end())) {
    return {.through = kSequenceZero, .keys = numbers};
  }
  return found->second;
}

// One step over the log of one entity.
class Step {
 public:
  Step(const StoreState& state, EntityPtr entity, PartMark mark, SequenceNumber end)
      : state_(state),
        entity_(std::move(entity)),
        keys_(KeysOf(state, *entity_)),
        mark_(std::move(mark)),
        begins_(mark_.through == kSequenceZero),
        end_(end) {}

  Status Read() {
    const std::unique_ptr<rocksdb::Iterator> segments =
        SeekSegment(state_, *entity_, mark_.through.Next());
    if (!segments->Valid() && segments->status().ok()) segments->SeekToFirst();
    SequenceNumber last = mark_.through;
    for (; segments->Valid() && last < end_; segments->Next()) {
      if (rows_ >= tuning::kPartIndexRows) {
        mark_.through = last;  // all of the segments so far
        return {};
      }
      const auto rows = BatchView::Parse({segments->value().data(), segments->value().size()},
                                         BatchKind::kSegment,
                                         Trust::kChecked);
      if (!rows.ok()) {
        return {ErrorCode::kCorruption,
                "the log of " + entity_->name + ": " + rows.status().message()};
      }
      for (size_t i = 0; i < rows->size(); ++i) {
        const SequenceNumber head = rows->sequence(i);
        if (head > mark_.through && head <= end_) AddRow(rows->row(i));
        last = head;
      }
    }
    TIDEMARK_RETURN_IF_ERROR(FromRocks(segments->status(), "reading the log of " + entity_->name));
    mark_.through = end_;
    return {};
  }

  void WriteTo(rocksdb::ColumnFamilyHandle* family, rocksdb::WriteBatch* batch) const {
    // Postings of one value never overlap: what begins anew begins with none.
    if (begins_) {
      batch->DeleteRange(family, EntityPrefix(entity_->number), EntityPrefix(entity_->number + 1))
          .PermitUncheckedError();
    }
    for (const auto& [value, heads] : postings_) {
      std::string key = PostingPrefix(entity_->number, value);
      AppendBigEndian64(&key, heads.front().value());
      batch->Put(family, key, EncodeHeads(heads)).PermitUncheckedError();
    }
    batch->Put(family, MarkKey(entity_->number), EncodeMark(mark_)).PermitUncheckedError();
  }

  const PartMark& mark() const { return mark_; }

 private:
  void AddRow(const BatchRow& row) {
    ++rows_;
    for (const OpenStay& stay : keys_.StaysOf(row, &scratch_)) Post(stay.in, row.sequence);
    for (const EndedStay& stay : row.ended) {
      if (!stay.in.whole()) Post(stay.in, row.sequence);
    }
  }

  void Post(const KeyValue& value, SequenceNumber head) {
    std::vector<SequenceNumber>& heads = postings_[value];
    if (heads.empty() || heads.back() != head) heads.push_back(head);
  }

  const StoreState& state_;
  const EntityPtr entity_;
  const EntityKeys keys_;
  PartMark mark_;
  const bool begins_;
  const SequenceNumber end_;
  size_t rows_ = 0;
  std::map<KeyValue, std::vector<SequenceNumber>> postings_;
  std::vector<OpenStay> scratch_;
};

class PartFilter final : public rocksdb::CompactionFilter {
 public:
  using Bases = std::map<EntityNumber, std::shared_ptr<const FilterBasis>>;
  explicit PartFilter(Bases bases) : bases_(std::move(bases)) {}

  const char* Name() const override { return "tidemark.part_filter"; }

  Decision FilterV2(int /*level*/,
                    const rocksdb::Slice& key,
                    ValueType type,
                    const rocksdb::Slice& value,
                    std::string* new_value,
                    std::string* /*skip_until*/) const override {
    if (type != ValueType::kValue || key.size() != kPostingKeyBytes || key[0] != kPostingPrefix) {
      return Decision::kKeep;
    }
    const auto basis = bases_.find(LoadBigEndian32(key.data() + 1));
    std::vector<SequenceNumber> heads;
    if (basis == bases_.end() || !DecodeHeads({value.data(), value.size()}, &heads)) {
      return Decision::kKeep;
    }
    const size_t before = heads.size();
    std::erase_if(heads, [&](SequenceNumber head) {
      return head <= basis->second->through && !basis->second->live.Contains(head) &&
             !basis->second->tombstones.Contains(head);
    });
    if (heads.size() == before) return Decision::kKeep;
    if (heads.empty()) return Decision::kRemove;
    *new_value = EncodeHeads(heads);
    return Decision::kChangeValue;
  }

 private:
  const Bases bases_;
};

}  // namespace

Status LoadPartMarks(StoreState& state) {
  if (state.parts == nullptr) return {};
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.parts.get()));
  const std::string prefix(1, kMarkPrefix);
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(PartMark mark,
                              DecodeMark({rows->value().data(), rows->value().size()}));
    if (rows->key().size() != prefix.size() + sizeof(EntityNumber)) continue;
    if (mark.through > state.head.sequence) continue;
    state.part_marks[LoadBigEndian32(rows->key().data() + prefix.size())] = std::move(mark);
  }
  return FromRocks(rows->status(), "reading the index of parts");
}

SequenceNumber IndexedThrough(const StoreState& state, const EntityState& entity) {
  return MarkOf(state, entity).through;
}

bool HasUnindexed(const StoreState& state) {
  const auto& entities = state.catalog->all();
  return std::any_of(entities.begin(), entities.end(), [&](const auto& numbered) {
    const EntityState& entity = *numbered.second;
    return !entity.keys.empty() && MarkOf(state, entity).through < state.visible;
  });
}

Result<bool> IndexParts(StoreState& state) {
  EntityPtr chosen;
  PartMark mark;
  SequenceNumber end;
  bool more = false;
  {
    const std::shared_lock lock(state.state_mutex);
    end = state.visible;
    for (const auto& [number, entity] : state.catalog->all()) {
      if (entity->keys.empty()) continue;
      PartMark candidate = MarkOf(state, *entity);
      if (candidate.through >= end) continue;
      more = chosen != nullptr;
      if (more) break;
      chosen = entity;
      mark = std::move(candidate);
    }
  }
  if (chosen == nullptr) return false;
  Step step(state, chosen, std::move(mark), end);
  TIDEMARK_RETURN_IF_ERROR(step.Read());
  rocksdb::WriteBatch batch;
  step.WriteTo(state.parts.get(), &batch);
  const rocksdb::Status written = state.db->Write(rocksdb::WriteOptions(), &batch);
  if (!written.ok()) return FromRocks(written, "writing the index of parts");
  const std::unique_lock lock(state.state_mutex);
  state.part_marks[chosen->number] = step.mark();
  return more || step.mark().through < end;
}

Status ForgetParts(StoreState& state, EntityNumber entity) {
  {
    const std::unique_lock lock(state.state_mutex);
    if (state.part_marks.erase(entity) == 0) return {};
  }
  rocksdb::WriteBatch batch;
  rocksdb::Status removed =
      batch.DeleteRange(state.parts.get(), EntityPrefix(entity), EntityPrefix(entity + 1));
  if (removed.ok()) removed = batch.Delete(state.parts.get(), MarkKey(entity));
  if (removed.ok()) removed = state.db->Write(rocksdb::WriteOptions(), &batch);
  return FromRocks(removed, "removing an entity from the index of parts");
}

Result<PartRows> FindPartRows(const StoreState& state,
                              EntityNumber number,
                              std::span<const PartBound> parts) {
  PartRows found;
  std::unique_ptr<rocksdb::Iterator> rows;
  {
    const std::shared_lock lock(state.state_mutex);
    const EntityPtr entity = state.catalog->Find(number);
    if (entity == nullptr || state.parts == nullptr) return found;
    found.through = MarkOf(state, *entity).through;
    if (found.through == kSequenceZero) return found;
    // Made here, it sees what the mark says: an index begins anew after a declaration only, and
    // then the mark says nothing.
    rows.reset(state.db->NewIterator(rocksdb::ReadOptions(), state.parts.get()));
  }
  std::vector<SequenceNumber> heads;
  for (const PartBound& part : parts) {
    const std::string prefix = PostingPrefix(number, part.in);
    std::string start = prefix;
    AppendBigEndian64(&start, part.after.value());
    rows->SeekForPrev(start);  // the posting that may reach beyond the bound
    if (!rows->Valid() || !rows->key().starts_with(prefix)) rows->Seek(start);
    for (; rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
      if (!DecodeHeads({rows->value().data(), rows->value().size()}, &heads)) {
        return {ErrorCode::kCorruption, "the index of parts is damaged"};
      }
      std::erase_if(
          heads, [&](SequenceNumber head) { return head <= part.after || head > found.through; });
      found.heads.AddUnordered(heads);
    }
    TIDEMARK_RETURN_IF_ERROR(FromRocks(rows->status(), "reading the index of parts"));
  }
  return found;
}

void PartFilterFactory::Add(EntityNumber entity, std::shared_ptr<const SegmentFilterFactory> log) {
  const std::lock_guard lock(mutex_);
  logs_[entity] = std::move(log);
}

std::unique_ptr<rocksdb::CompactionFilter> PartFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context& /*context*/) {
  PartFilter::Bases bases;
  const std::lock_guard lock(mutex_);
  for (const auto& [entity, log] : logs_) {
    if (auto basis = log->basis()) bases[entity] = std::move(basis);
  }
  return std::make_unique<PartFilter>(std::move(bases));
}

}  // namespace tidemark::internal
