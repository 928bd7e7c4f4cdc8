#include "replication/internal/pull_steps.h"

#include <map>
#include <optional>
#include <utility>

#include "format/checksum.h"
#include "format/coding.h"
#include "format/json.h"
#include "format/record_json.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 2;  // 1 did not say what was asked for
constexpr std::string_view kRowName = "the state of a pull";
constexpr int kMergeAttempts = 10;

std::string StateKey(const EntityPull& pull) {
  std::string key = "s/";
  AppendOrdered(&key, pull.member);
  AppendOrdered(&key, pull.entity);
  return key;
}

/// Stages of upload syncs count from 1; those of pulls have the highest bit.
uint64_t StageOf(std::string_view key) {
  return Checksum128(key).low | (uint64_t{1} << 63);
}

/// Pages of a pull are those of one list only if the same is asked for.
Hash128 AskedFor(const EntityPull& pull) {
  std::string text;
  AppendBytes(&text, pull.provider);
  AppendBytes(&text, pull.function_id);
  AppendBytes(&text, pull.range);
  return Checksum128(text);
}

/// What a record is to become.
struct MergedValue {
  std::string bytes;
  ValueKind kind = ValueKind::kJson;
};

using JsonMembers = std::vector<JsonField>;

/// nullopt for JSON that is no object; an error for what cannot be read: nobody knows then which
/// members it has.
Result<std::optional<JsonMembers>> MembersOf(std::string_view json) {
  Result<JsonMembers> members = ReadJsonObject(json);
  if (members.ok()) return std::optional(*std::move(members));
  if (members.status().code() == ErrorCode::kInvalidArgument) return std::optional<JsonMembers>();
  return members.status();
}

/// `newer` with the members of `older` that it lacks, in the order of `older`.
std::string MergeMembers(const JsonMembers& older, const JsonMembers& newer) {
  JsonWriter out;
  const auto write = [&](const JsonField& field) {
    out.Key(field.name).Raw(FieldToJson(field));
  };
  std::map<std::string_view, const JsonField*> changed;
  for (const JsonField& field : newer) changed[field.name] = &field;
  out.BeginObject();
  for (const JsonField& field : older) {
    const auto found = changed.find(field.name);
    write(found == changed.end() ? field : *found->second);
    if (found != changed.end()) changed.erase(found);
  }
  for (const JsonField& field : newer) {
    if (changed.contains(field.name)) write(field);
  }
  out.EndObject();
  return out.Take();
}

/// What is no JSON object replaces, and is replaced, as a whole. `name` is that of the record.
Result<MergedValue> Merge(const std::optional<MergedValue>& older,
                          const ProviderRow& row,
                          const std::string& name) {
  const MergedValue whole{.bytes = row.value, .kind = row.kind};
  if (row.kind != ValueKind::kJson) return whole;
  const auto newer = MembersOf(row.value);
  if (!newer.ok()) return newer.status().WithContext("the provider's row of " + name);
  if (!newer->has_value() || !older) return whole;
  const auto before = MembersOf(older->bytes);
  if (!before.ok() && older->kind != ValueKind::kJson) return whole;  // it never said that it was
  if (!before.ok()) {
    return before.status().WithContext(name +
                                       " cannot be merged with what the provider has: mend " +
                                       "or delete the record, which is no JSON as it is here");
  }
  if (!before->has_value()) return whole;
  return MergedValue{.bytes = MergeMembers(**before, **newer), .kind = ValueKind::kJson};
}

}  // namespace

std::string EncodePullState(const PullState& state) {
  std::string out(1, static_cast<char>(kVersion));
  AppendVarint(&out, static_cast<uint64_t>(state.mode));
  AppendHash(&out, state.asked);
  AppendBytes(&out, state.next);
  AppendVarint(&out, state.pages);
  AppendVarint(&out, state.records);
  AppendVarint(&out, state.bytes);
  return out;
}

Result<PullState> DecodePullState(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_ASSIGN_OR_RETURN(const uint8_t version, ReadRowVersion(&reader, kVersion, kRowName));
  PullState state;
  state.mode = static_cast<PullMode>(reader.Varint());
  if (version >= 2) state.asked = reader.Hash();
  state.next = reader.Bytes();
  state.pages = static_cast<uint32_t>(reader.Varint());
  state.records = reader.Varint();
  state.bytes = reader.Varint();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return state;
}

PullStep::PullStep(Store& store, const EntityPull& pull)
    : store_(store), pull_(pull), key_(StateKey(pull)), stage_(store, StageOf(key_)) {}

Status PullStep::BeginAnew() {
  state_ = PullState{.mode = pull_.mode, .asked = AskedFor(pull_)};
  cursors_.clear();
  return Forget();
}

Status PullStep::Forget() {
  TIDEMARK_RETURN_IF_ERROR(stage_.Discard());
  WriteBatch rows;
  rows.DeleteRow(key_);
  return store_.Commit(rows, {.sync = false}).status();
}

/// Goes on where an earlier pull of the same stopped.
Status PullStep::Begin() {
  const auto entity = store_.FindEntity(pull_.entity);
  if (!entity) {
    const EntityDeclaration snapshot{.kind = EntityKind::kSnapshot};
    TIDEMARK_RETURN_IF_ERROR(store_.Declare(pull_.entity, snapshot).status());
  } else if (entity->declaration.kind == EntityKind::kIncremental) {
    return {ErrorCode::kWrongKind, pull_.entity + " holds events, which are only appended"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, store_.GetRow(key_));
  if (!row) return BeginAnew();
  TIDEMARK_ASSIGN_OR_RETURN(state_, DecodePullState(*row));
  const bool range_is_known = pull_.mode != PullMode::kRange || !pull_.range.empty();
  const bool same = state_.mode == pull_.mode && state_.asked == AskedFor(pull_) && range_is_known;
  return same ? Status() : BeginAnew();
}

Result<ProviderPage> PullStep::Ask() {
  Result<ProviderPage> page = pull_.pull(state_.next);
  if (page.status().code() == ErrorCode::kTrimmed && !state_.next.empty()) {
    TIDEMARK_RETURN_IF_ERROR(BeginAnew());
    page = pull_.pull(state_.next);
  }
  TIDEMARK_RETURN_IF_ERROR(page.status());
  TIDEMARK_RETURN_IF_ERROR(CheckPage(*page));
  return page;
}

Status PullStep::CheckPage(const ProviderPage& page) {
  if (page.rows.size() > kProviderPageRowsMax) {
    return {ErrorCode::kTooManyRecords,
            "the provider answered a page of more than " + std::to_string(kProviderPageRowsMax) +
                " rows"};
  }
  if (page.next.size() > kProviderCursorBytesMax) {
    return {ErrorCode::kTooLarge, "the provider names its next page by too many bytes"};
  }
  if (page.next.empty()) return {};
  cursors_.insert(Checksum128(state_.next));
  if (!cursors_.insert(Checksum128(page.next)).second) {
    TIDEMARK_RETURN_IF_ERROR(Forget());
    return {ErrorCode::kInvalidArgument, "the provider answers the same page again and again"};
  }
  if (state_.pages + 1 >= pull_.pages_max) {
    TIDEMARK_RETURN_IF_ERROR(Forget());
    return {ErrorCode::kTooLarge,
            "the provider has more than " + std::to_string(pull_.pages_max) +
                " pages: let it answer larger ones, or pull a range at a time"};
  }
  return {};
}

Status PullStep::Run(const std::stop_token& cancelled, const std::function<void()>& progress) {
  TIDEMARK_RETURN_IF_ERROR(Begin());
  while (true) {
    if (cancelled.stop_requested()) return {ErrorCode::kClosed, "the sync was cancelled"};
    TIDEMARK_ASSIGN_OR_RETURN(const ProviderPage page, Ask());
    const bool last = page.next.empty();
    TIDEMARK_RETURN_IF_ERROR(Take(page));
    progress();
    if (last) break;
  }
  if (!replaces()) return {};
  if (cancelled.stop_requested()) return {ErrorCode::kClosed, "the sync was cancelled"};
  return Flip();
}

Status PullStep::Take(const ProviderPage& page) {
  PullState after = state_;
  after.next = page.next;
  ++after.pages;
  after.records += page.rows.size();
  for (const ProviderRow& row : page.rows) after.bytes += row.value.size();
  WriteBatch state;
  if (page.next.empty() && !replaces()) {
    state.DeleteRow(key_);  // it is over with these rows
  } else if (!page.next.empty()) {
    state.SetRow(key_, EncodePullState(after));
  }
  if (replaces()) {
    TIDEMARK_RETURN_IF_ERROR(StagePage(page, state));
  } else if (pull_.mode == PullMode::kUpsert) {
    TIDEMARK_RETURN_IF_ERROR(PutPage(page, state));
  } else {
    TIDEMARK_RETURN_IF_ERROR(MergePage(page, state));
  }
  state_ = std::move(after);
  return {};
}

Status PullStep::StagePage(const ProviderPage& page, const WriteBatch& state) {
  std::vector<StagedRow> rows;
  for (const ProviderRow& row : page.rows) {
    TIDEMARK_RETURN_IF_ERROR(CheckRecordId(row.id.text()));
    rows.push_back({.id = row.id.text(),
                    .id_form = row.id.form(),
                    .value_kind = row.kind,
                    .value = row.value,
                    .row = static_cast<uint32_t>(rows.size())});
  }
  return stage_.PutPage(pull_.entity, state_.pages, rows, state);
}

Status PullStep::PutPage(const ProviderPage& page, const WriteBatch& state) {
  WriteBatch batch = state;
  for (const ProviderRow& row : page.rows) batch.Put(pull_.entity, row.id, row.value, row.kind);
  return store_.Commit(batch).status();
}

Result<WriteBatch> PullStep::Merged(const ProviderPage& page) const {
  const View view = store_.GetView();
  std::map<std::string, MergedValue> values;  // of the page so far: an id may come twice
  std::map<std::string, WriteCondition> conditions;
  for (const ProviderRow& row : page.rows) {
    const std::string& id = row.id.text();
    std::optional<MergedValue> older;
    if (const auto value = values.find(id); value != values.end()) {
      older = value->second;
    } else {
      TIDEMARK_ASSIGN_OR_RETURN(const auto record, view.Get(pull_.entity, row.id));
      WriteCondition& condition = conditions[id];
      condition.if_absent = !record;
      if (record) condition.if_version = record->version;
      if (record) older = MergedValue{.bytes = record->value, .kind = record->value_kind};
    }
    TIDEMARK_ASSIGN_OR_RETURN(MergedValue merged, Merge(older, row, pull_.entity + "/" + id));
    values.insert_or_assign(id, std::move(merged));
  }
  WriteBatch batch;
  for (const ProviderRow& row : page.rows) {
    const auto value = values.find(row.id.text());
    if (value == values.end()) continue;
    const auto& [bytes, kind] = value->second;
    batch.Put(pull_.entity, row.id, bytes, kind, conditions[row.id.text()]);
    values.erase(value);
  }
  return batch;
}

/// Others may write the records meanwhile: then it is merged anew.
Status PullStep::MergePage(const ProviderPage& page, const WriteBatch& state) {
  for (int attempt = 1;; ++attempt) {
    TIDEMARK_ASSIGN_OR_RETURN(WriteBatch batch, Merged(page));
    batch.AddRows(state);
    Status committed = store_.Commit(batch).status();
    const bool changed = committed.code() == ErrorCode::kConditionFailed;
    if (!changed || attempt == kMergeAttempts) return committed;
  }
}

Status PullStep::Flip() {
  ReplacePlan plan{.entity = pull_.entity};
  if (pull_.is_temporary || pull_.mode == PullMode::kRange) {
    plan.keeps = [this](const Record& record) {
      if (pull_.is_temporary && pull_.is_temporary(record.id)) return true;
      return pull_.mode == PullMode::kRange && !pull_.in_range(record);
    };
  }
  const auto applied = stage_.Apply({plan}, [this](const auto& /*counts*/, WriteBatch& rows) {
    rows.DeleteRow(key_);
    return Status();
  });
  TIDEMARK_RETURN_IF_ERROR(applied.status());
  // What is left of the stage is discarded when the next pull begins, if it cannot be now.
  static_cast<void>(stage_.Discard().ok());
  return {};
}

}  // namespace tidemark::internal
