#include "tests/model/engine_world.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "format/json.h"
#include "tests/model/engine_conflicts.h"
#include "tests/support/status_matchers.h"

namespace tidemark::model {
namespace {

namespace fs = std::filesystem;

/// Copies files over those of the same names, which stay the same files: a store knows a copy of
/// itself by its guard file. False if background work deleted something meanwhile.
bool CopyContents(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  const auto options = fs::copy_options::recursive | fs::copy_options::overwrite_existing;
  fs::copy(from, to, options, error);
  return !error;
}

void RemoveDatabase(const fs::path& store) {
  std::error_code ignored;
  fs::remove_all(store / "db", ignored);
}

/// Names and sizes of files, to notice background work.
std::map<std::string, uint64_t> Listing(const fs::path& directory) {
  std::map<std::string, uint64_t> listing;
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; at != end; at.increment(error)) {
    listing[at->path()] = at->is_regular_file(error) ? at->file_size(error) : 0;
  }
  return listing;
}

}  // namespace

std::shared_ptr<Runtime> ModelRuntime() {
  static const std::shared_ptr<Runtime> kRuntime =
      *Runtime::Create({.block_cache_bytes = 4 * 1024 * 1024, .background_threads = 1});
  return kRuntime;
}

EngineWorld::EngineWorld(size_t window_records) {
  options_.window_records = window_records;
  path_ = directory_.path() / "store";
  Open();
}

EngineWorld::~EngineWorld() {
  Close();
}

void EngineWorld::Open() {
  auto store = Store::Open(path_, options_, ModelRuntime());
  ASSERT_OK(store);
  store_ = std::move(*store);
  auto source = Source::Open(*store_, {.conflict_resolver = ResolveInModel});
  ASSERT_OK(source);
  source_ = std::move(*source);
  auto uploads = Uploads::Open(*store_);
  ASSERT_OK(uploads);
  uploads_ = std::move(*uploads);
}

void EngineWorld::Close() {
  uploads_.reset();
  source_.reset();
  store_.reset();
}

void EngineWorld::Reopen() {
  uploads_.reset();
  source_.reset();
  EXPECT_OK(store_->Close());
  store_.reset();
  Open();
  for (auto& [id, judge] : judges_) judge.Restarted();
}

void EngineWorld::Kill() {
  const fs::path copy = directory_.path() / "copy";
  bool copied = false;
  for (int attempt = 0; attempt < 20 && !copied; ++attempt) {
    fs::remove_all(copy);
    const auto before = Listing(path_);
    copied = CopyContents(path_, copy) && Listing(path_) == before;
  }
  if (!copied) return Reopen();
  Close();
  RemoveDatabase(path_);
  ASSERT_TRUE(CopyContents(copy, path_));
  Open();
  for (auto& [id, judge] : judges_) judge.Restarted();
}

void EngineWorld::Write(const std::vector<PlainWrite>& writes) {
  WriteBatch batch;
  for (const PlainWrite& write : writes) {
    const auto& [entity, id] = write.key;
    switch (write.op) {
      case WriteOp::kPut:
        batch.Put(entity, id, write.value, ValueKind::kJson);
        break;
      case WriteOp::kDelete:
        batch.Delete(entity, id);
        break;
      case WriteOp::kAppend:
        batch.Append(entity, id, write.value, ValueKind::kJson);
        break;
    }
  }
  const SequenceNumber before = store_->last_sequence();
  const auto committed = store_->Commit(batch, {.want_outcomes = true});
  ASSERT_OK(committed);
  ASSERT_EQ(committed->outcomes.size(), writes.size());
  for (size_t i = 0; i < writes.size(); ++i) {
    const OperationOutcome& outcome = committed->outcomes[i];
    RecordKey key = writes[i].key;
    if (writes[i].op == WriteOp::kAppend) key.second = outcome.id;
    const auto found = records_.live.find(key);
    const bool live = found != records_.live.end();
    WriteOutcome expected = WriteOutcome::kUnchanged;
    if (writes[i].op == WriteOp::kDelete) {
      if (live) expected = WriteOutcome::kDeleted;
    } else if (!live) {
      expected =
          writes[i].op == WriteOp::kAppend ? WriteOutcome::kAppended : WriteOutcome::kCreated;
    } else if (found->second.value != writes[i].value) {
      expected = WriteOutcome::kUpdated;
    }
    ASSERT_EQ(static_cast<int>(outcome.outcome), static_cast<int>(expected))
        << key.first << "/" << key.second;
    if (expected == WriteOutcome::kUnchanged) continue;
    if (expected == WriteOutcome::kDeleted) {
      records_.Delete(key, committed->sequence);
    } else {
      ASSERT_GT(outcome.version, before);
      records_.Put(key, writes[i].value, outcome.version);
    }
  }
}

void EngineWorld::WriteRefused(const RecordKey& key, const std::string& value) {
  const auto found = records_.live.find(key);
  WriteCondition condition;
  if (found == records_.live.end()) {
    condition.if_version = store_->last_sequence() + 1;
  } else {
    condition.if_absent = true;
  }
  WriteBatch batch;
  batch.Put(key.first, "beside it", value);
  batch.Put(key.first, key.second, value, ValueKind::kBytes, condition);
  EXPECT_THAT(store_->Commit(batch), test::StatusIs(ErrorCode::kConditionFailed));
}

void EngineWorld::NoteEnded(const std::string& entity, SequenceNumber head) {
  std::vector<RecordKey> keys;
  for (const auto& [key, state] : records_.live) {
    if (key.first == entity) keys.push_back(key);
  }
  for (const RecordKey& key : keys) records_.Delete(key, head);
}

void EngineWorld::Empty(const std::string& entity) {
  if (!store_->FindEntity(entity).has_value()) return;
  const auto emptied = store_->Empty(entity);
  ASSERT_OK(emptied);
  NoteEnded(entity, emptied->sequence);
}

void EngineWorld::Upload(const PlainUpload& upload) {
  const auto sync = uploads_->Start();
  ASSERT_OK(sync);
  std::map<std::string, std::map<std::string, std::string>> uploaded;
  for (const auto& [entity, rows] : upload) {
    std::map<std::string, std::string>& records = uploaded[entity];
    UploadPage page{.entity = entity, .kind = KindOf(entity)};
    for (const auto& [id, value] : rows) {
      page.records.push_back(R"({"id":")" + id + R"(",)" + value.substr(1));
      records[id] = page.records.back();
      if (page.records.size() < 2) continue;
      ASSERT_OK(uploads_->PutPage(*sync, page));
      ++page.page;
      page.records.clear();
    }
    ASSERT_OK(uploads_->PutPage(*sync, page));
  }
  const SequenceNumber before = store_->last_sequence();
  const auto finished = uploads_->Finish(*sync);
  ASSERT_OK(finished);
  for (const auto& [entity, records] : uploaded) {
    NoteUploaded(entity, records, before, finished->entities.at(entity).counts);
  }
}

/// Adopts the numbers that the finish gave out; whether it gave any is checked.
void EngineWorld::NoteUploaded(const std::string& entity,
                               const std::map<std::string, std::string>& records,
                               SequenceNumber before,
                               const ReplaceCounts& counts) {
  ReplaceCounts expected;
  expected.duplicates = counts.duplicates;
  const bool is_event = KindOf(entity) == EntityKind::kIncremental;
  std::vector<RecordKey> unlisted;
  for (const auto& [key, state] : records_.live) {
    if (key.first == entity && !records.contains(key.second)) unlisted.push_back(key);
  }
  for (const RecordKey& key : unlisted) {
    if (is_event) break;
    records_.Delete(key, store_->last_sequence());
    ++expected.deleted;
  }
  for (const auto& [id, value] : records) {
    const RecordKey key{entity, id};
    const auto found = records_.live.find(key);
    const auto stored = store_->Get(entity, id);
    ASSERT_OK(stored);
    ASSERT_TRUE(stored->has_value()) << entity << "/" << id;
    if (found != records_.live.end() && found->second.value == value) {
      EXPECT_EQ((*stored)->version, found->second.head) << "unchanged, and has a new version";
      ++expected.unchanged;
      continue;
    }
    EXPECT_GT((*stored)->version, before);
    ++(is_event                       ? expected.appended
       : found == records_.live.end() ? expected.created
                                      : expected.updated);
    records_.Put(key, value, (*stored)->version);
  }
  EXPECT_EQ(counts.created, expected.created) << entity;
  EXPECT_EQ(counts.updated, expected.updated) << entity;
  EXPECT_EQ(counts.deleted, expected.deleted) << entity;
  if (!is_event) {
    EXPECT_EQ(counts.unchanged, expected.unchanged) << entity;
  }
  EXPECT_EQ(counts.appended, expected.appended) << entity;
}

void EngineWorld::Redeclare(const std::string& entity, EntityKind kind) {
  if (store_->FindEntity(entity).has_value()) {
    const auto dropped = store_->Drop(entity);
    ASSERT_OK(dropped);
    NoteEnded(entity, dropped->sequence);
  }
  ASSERT_OK(store_->Declare(entity, {.kind = kind}));
  if (CountKeys(entity) > 0) SetKeys(entity, CountKeys(entity));
}

void EngineWorld::DeclareKeys(const std::string& entity) {
  SetKeys(entity, std::min<size_t>(CountKeys(entity) + 1, 2));
}

void EngineWorld::SetKeys(const std::string& entity, size_t count) {
  const auto info = store_->FindEntity(entity);
  EntityDeclaration declaration;
  declaration.kind = KindOf(entity);
  if (info.has_value()) declaration = info->declaration;
  declaration.keys = {{{"owner"}}, {{"area", "owner"}}};
  declaration.keys.resize(count);
  ASSERT_OK(store_->Declare(entity, declaration));
  keyed_[entity] = count;
}

EntityKind EngineWorld::KindOf(const std::string& entity) const {
  const auto info = store_->FindEntity(entity);
  if (info.has_value()) return info->declaration.kind;
  return entity == "events" ? EntityKind::kIncremental : EntityKind::kSnapshot;
}

void EngineWorld::DeclarePolicy(const std::string& entity, ConflictPolicy policy) {
  const auto info = store_->FindEntity(entity);
  EntityDeclaration declaration;
  declaration.kind = KindOf(entity);
  if (info.has_value()) declaration = info->declaration;
  declaration.conflicts = policy;
  ASSERT_OK(store_->Declare(entity, declaration));
}

ConflictPolicy EngineWorld::PolicyOf(const std::string& entity) const {
  const auto info = store_->FindEntity(entity);
  return info.has_value() ? info->declaration.conflicts : ConflictPolicy::kReject;
}

void EngineWorld::CheckLosers() {
  std::vector<std::string> kept;
  RecordIterator rows = store_->GetView().Scan("_conflicts", ScanOptions{});
  while (rows.Next()) {
    const auto fields = ReadJsonFields(rows.value(), {"data"});
    ASSERT_OK(fields);
    kept.push_back(fields->front().has_value() ? fields->front()->text : "");
  }
  ASSERT_OK(rows.status());
  std::sort(kept.begin(), kept.end());
  std::vector<std::string> expected = losers_;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(kept, expected);
}

DeviceJudge& EngineWorld::Add(const std::string& device) {
  return judges_
      .emplace(std::piecewise_construct,
               std::forward_as_tuple(device),
               std::forward_as_tuple(device, records_))
      .first->second;
}

namespace {

SelectionRule RuleOf(const std::set<std::string>& entities, const std::set<PlainPart>& parts) {
  SelectionRule rule = SelectionRule::Entities({entities.begin(), entities.end()});
  for (const PlainPart& part : parts) {
    Grant grant{.entity = part.entity};
    for (const auto& [field, value] : part.where) grant.where.push_back({field, {value}});
    rule.grants.push_back(grant);
  }
  return rule;
}

// Null: everything.
std::shared_ptr<const SelectionRule> LimitOf(const PlainSelection& limit) {
  if (!limit.entities.has_value()) return nullptr;
  return std::make_shared<const SelectionRule>(RuleOf(*limit.entities, limit.parts));
}

}  // namespace

Result<std::optional<SessionInfo>> EngineWorld::Start(Hello hello, const PlainSelection& limit) {
  hello.limit = LimitOf(limit);
  auto answer = source_->StartSession(hello);
  judges_.at(hello.device).Started(answer, store_->last_sequence(), hello.fresh, limit, queues_);
  return answer;
}

Result<std::optional<Page>> EngineWorld::Next(const std::string& device,
                                              const std::string& session,
                                              PageOptions options,
                                              const PlainSelection& limit) {
  options.limit = LimitOf(limit);
  auto answer = source_->NextPage(session, options);
  judges_.at(device).Read(session, options, limit, answer, *source_);
  // A session that had nothing to hand out settles here.
  if (answer.ok() && !answer->has_value()) AtRest(device);
  return answer;
}

Result<AckResult> EngineWorld::Acknowledge(const std::string& device,
                                           const std::vector<std::string>& keys) {
  auto result = source_->Acknowledge(device, keys);
  EXPECT_OK(result);
  if (!result.ok()) return result;
  judges_.at(device).Acknowledged(keys, *result);
  // A session settles here, whether or not the answer reaches the device.
  AtRest(device);
  return result;
}

PushOutcome EngineWorld::Expect(const DeviceJudge& judge,
                                const RecordKey& key,
                                const BatchRow& row,
                                Pushed* record) const {
  const CommonSelection selection = judge.selection();
  if (!selection.Touches(key.first)) return PushOutcome::kInvalid;
  const bool is_event = KindOf(key.first) == EntityKind::kIncremental;
  if (is_event != (row.op == RowOp::kAppend)) return PushOutcome::kInvalid;
  if (record->refused) return PushOutcome::kSkipped;
  const auto found = records_.live.find(key);
  const bool live = found != records_.live.end();
  if (!record->touched && live && !selection.Contains(key, found->second.value)) {
    record->refused = true;
    return PushOutcome::kInvalid;
  }
  // As the operations before it leave it.
  std::optional<std::string> current;
  if (record->touched && record->live) current = record->value;
  if (!record->touched && live) current = found->second.value;
  std::optional<std::string> pushed;
  if (row.op != RowOp::kDelete) pushed = std::string(row.value);
  const bool same = pushed == current;
  const SequenceNumber version = live ? found->second.head : kSequenceZero;
  const bool seen =
      record->touched ? record->as_pushed : record->own.value_or(row.superseded) == version;
  PlainEnd end{.value = pushed};
  if (is_event) {
    end.refused = current.has_value() && !same;
  } else if (!same && !seen) {
    end = EndOf({.current = current,
                 .birth = live ? found->second.birth : kSequenceZero,
                 .pushed = pushed,
                 .base = row.superseded,
                 .changed = std::string(row.changed)},
                PolicyOf(key.first));
    record->overrides = record->overrides || !end.refused;
  }
  record->refused = end.refused;
  if (end.refused) return PushOutcome::kConflict;
  record->touched = true;
  record->as_pushed = end.value == pushed;
  record->live = end.value.has_value();
  record->value = end.value.value_or("");
  return PushOutcome::kApplied;
}

/// Adopts the version that the push made, if it made one.
void EngineWorld::NotePushed(const std::string& device,
                             const RecordKey& key,
                             const Pushed& record,
                             const PushAnswer& answer) {
  const auto found = records_.live.find(key);
  const bool lived = found != records_.live.end();
  DeviceJudge& judge = judges_.at(device);
  const bool shown = !record.live || judge.selection().Contains(key, record.value);
  EXPECT_EQ(answer.outside, !shown);
  EXPECT_EQ(answer.merged, !record.as_pushed);
  const bool replaces =
      lived && record.overrides && !(record.live && found->second.value == record.value);
  if (replaces) losers_.push_back(found->second.value);
  SequenceNumber birth = lived ? found->second.birth : answer.version;
  if (record.live && !(lived && found->second.value == record.value)) {
    records_.Put(key, record.value, answer.version);
  } else if (!record.live && lived) {
    records_.Delete(key, answer.version);
  }
  if (record.live) {
    EXPECT_EQ(answer.version, records_.live.at(key).head);
    EXPECT_EQ(answer.birth, birth);
  }
  // What others have a share in comes to the device like any change of theirs.
  if (shown && record.as_pushed) judge.Wrote(key, birth, answer.version, record.live);
}

Result<PushResult> EngineWorld::Push(const std::string& device, std::string_view batch) {
  const auto rows = BatchView::Parse(batch, BatchKind::kPush);
  EXPECT_OK(rows);
  std::map<RecordKey, Pushed> records;
  std::vector<PushOutcome> expected;
  std::map<uint64_t, PushAnswer>& first = pushed_[device];
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    const RecordKey key{std::string(rows->entity_name(row.entity)), std::string(row.id)};
    Pushed& record = records[key];
    const auto answered = first.find(row.sequence.value());
    if (answered != first.end()) {
      const bool applied = answered->second.outcome == PushOutcome::kApplied;
      expected.push_back(applied ? PushOutcome::kDuplicate : answered->second.outcome);
      record.refused = !applied;
      const bool gone = row.op == RowOp::kDelete && !records_.live.contains(key);
      if (!answered->second.merged) {
        record.own = gone ? kSequenceZero : answered->second.version;
      }
      continue;
    }
    expected.push_back(Expect(judges_.at(device), key, row, &record));
    if (expected.back() == PushOutcome::kApplied) record.answers.push_back(i);
  }
  auto answer = source_->Push(batch);
  EXPECT_OK(answer);
  if (!answer.ok()) return answer;
  EXPECT_EQ(answer->answers.size(), expected.size());
  for (size_t i = 0; i < std::min(expected.size(), answer->answers.size()); ++i) {
    const BatchRow row = rows->row(i);
    EXPECT_EQ(PushOutcomeName(answer->answers[i].outcome), PushOutcomeName(expected[i]))
        << device << " operation " << row.sequence.value() << " of "
        << rows->entity_name(row.entity) << "/" << row.id << ": " << answer->answers[i].message;
    first.emplace(row.sequence.value(), answer->answers[i]);
  }
  for (const auto& [key, record] : records) {
    if (record.touched) NotePushed(device, key, record, answer->answers[record.answers.back()]);
  }
  AtRest(device);
  return answer;
}

void EngineWorld::Grant(const std::string& device, const PlainSelection& selection) {
  SelectionRule rule;
  if (selection.entities.has_value()) rule = RuleOf(*selection.entities, selection.parts);
  ASSERT_OK(source_->Select(device, rule));
  judges_.at(device).Selected(selection);
}

void EngineWorld::DeclareQueue(const PlainQueue& queue) {
  ASSERT_OK(source_->DeclareQueue(
      {.name = queue.name, .order = queue.order, .parts = RuleOf(queue.entities, queue.parts)}));
  std::erase_if(queues_, [&](const PlainQueue& other) { return other.name == queue.name; });
  queues_.push_back(queue);
  std::sort(queues_.begin(), queues_.end(), [](const PlainQueue& a, const PlainQueue& b) {
    return std::tie(a.order, a.name) < std::tie(b.order, b.name);
  });
}

void EngineWorld::DropQueue(const std::string& name) {
  const size_t dropped =
      std::erase_if(queues_, [&](const PlainQueue& queue) { return queue.name == name; });
  EXPECT_EQ(source_->DropQueue(name).code(), dropped == 0 ? ErrorCode::kNotFound : ErrorCode::kOk);
}

void EngineWorld::CheckQueues() const {
  const std::vector<QueueDeclaration> declared = source_->ListQueues();
  ASSERT_EQ(declared.size(), queues_.size());
  for (size_t i = 0; i < declared.size(); ++i) {
    const PlainQueue& queue = queues_[i];
    EXPECT_EQ(declared[i],
              (QueueDeclaration{queue.name, queue.order, RuleOf(queue.entities, queue.parts)}));
  }
}

void EngineWorld::Reset(const std::string& device, bool forget) {
  const Status reset = forget ? source_->Forget(device) : source_->Reset(device);
  if (reset.code() == ErrorCode::kNotFound) return;
  ASSERT_OK(reset);
  judges_.at(device).WasReset();
}

bool EngineWorld::AtRest(const std::string& device) {
  const auto info = source_->GetDevice(device);
  if (info.status().code() == ErrorCode::kNotFound) return false;  // it never started
  EXPECT_OK(info);
  if (!info.ok() || !info->at_rest || info->reset_pending) {
    EXPECT_FALSE(judges_.at(device).MustHaveSettled()) << device << " did not settle";
    return false;
  }
  EXPECT_EQ(info->unacknowledged, 0U);
  judges_.at(device).Settled();
  return true;
}

/// Tombstones of `entity` that some device, or `only` one, may need.
uint64_t EngineWorld::CountNeeded(const std::string& entity, const DeviceJudge* only) const {
  uint64_t needed = 0;
  for (const auto& [ended_key, lives] : records_.ended) {
    const RecordKey& key = ended_key;  // a lambda cannot capture the binding itself
    if (key.first != entity || records_.live.contains(key)) continue;
    needed += std::any_of(lives.begin(), lives.end(), [&](const EndedStay& life) {
      if (only != nullptr) return only->Needs(key, life);
      return std::any_of(judges_.begin(), judges_.end(), [&](const auto& judge) {
        return judge.second.Needs(key, life);
      });
    });
  }
  return needed;
}

void EngineWorld::Purge() {
  ASSERT_OK(source_->Purge());
  std::map<std::string, uint64_t> kept;
  for (const EntityInfo& info : store_->ListEntities(/*dropped=*/true)) {
    kept[info.name] += info.tombstone_count;
  }
  for (const auto& [name, count] : kept) {
    EXPECT_EQ(count, CountNeeded(name, nullptr)) << "tombstones of " << name;
  }
}

void EngineWorld::Compact() {
  ASSERT_OK(store_->Compact());
}

void EngineWorld::Retire() {
  for (const auto& [id, judge] : judges_) {
    const Status forgotten = source_->Forget(id);
    EXPECT_TRUE(forgotten.ok() || forgotten.code() == ErrorCode::kNotFound);
  }
  judges_.clear();
  for (const EntityInfo& info : store_->ListEntities()) Empty(info.name);
  Purge();
  records_ = PlainStore();
}

void EngineWorld::CheckDevices() {
  CheckQueues();
  ASSERT_OK(source_->Purge());
  for (const DeviceInfo& info : source_->ListDevices()) {
    const auto judged = judges_.find(info.id);
    if (judged == judges_.end()) continue;  // of a history that ended
    const DeviceJudge& judge = judged->second;
    EXPECT_EQ(info.owed, judge.OwedNow()) << info.id;
    EXPECT_EQ(info.reset_pending, judge.reset_pending()) << info.id;
    EXPECT_EQ(info.session_open, judge.session_open()) << info.id;
    std::set<std::string> entities;
    for (const auto& [key, lives] : records_.ended) entities.insert(key.first);
    uint64_t holding = 0;
    for (const std::string& entity : entities) holding += CountNeeded(entity, &judge);
    EXPECT_EQ(info.holding, holding) << info.id;
    CheckExplanations(info);
  }
}

void EngineWorld::CheckExplanations(const DeviceInfo& info) {
  std::set<RecordKey> keys;
  for (const auto& [key, record] : records_.live) keys.insert(key);
  for (const auto& [key, lives] : records_.ended) keys.insert(key);
  uint64_t owed = 0;
  for (const auto& [entity, id] : keys) {
    const auto why = source_->Explain(info.id, entity, id);
    if (why.ok() && !why->next.empty()) ++owed;
  }
  // What is owed of a dropped entity is hidden by a new one of its name.
  const bool dropped =
      store_->ListEntities(/*dropped=*/true).size() > store_->ListEntities().size();
  EXPECT_TRUE(owed == info.owed || (dropped && owed < info.owed))
      << info.id << " is owed " << info.owed << ", explained are " << owed;
}

void EngineWorld::CheckRecords() {
  std::map<RecordKey, std::string> found;
  const View view = store_->GetView();
  for (const EntityInfo& info : store_->ListEntities()) {
    RecordIterator records = view.Scan(info.name, ScanOptions{});
    while (records.Next()) found[{info.name, records.id()}] = records.value();
    EXPECT_OK(records.status());
  }
  EXPECT_EQ(found, Select(records_.live, CommonSelection()));
}

}  // namespace tidemark::model
