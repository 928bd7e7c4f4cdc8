#include "db/store.h"

#include <algorithm>
#include <array>
#include <thread>

#include "db/internal/commit_group.h"
#include "db/internal/fold.h"
#include "db/internal/log_cursor.h"
#include "db/internal/recovery.h"
#include "db/internal/replacement.h"
#include "db/internal/rocks_status.h"
#include "db/internal/runtime_impl.h"
#include "db/internal/store_impl.h"
#include "db/internal/view_impl.h"
#include "db/internal/writing_stopped.h"
#include "db/tuning.h"
#include "format/coding.h"

namespace tidemark {

using internal::CommitGroup;
using internal::EntityPtr;
using internal::EntityState;
using internal::IndexEntry;
using internal::StoreState;

namespace {

EntityInfo MakeInfo(const StoreState& state, const EntityState& entity) {
  EntityInfo info;
  info.number = entity.number;
  info.name = entity.name;
  info.declaration = entity.declaration;
  info.generation = entity.generation;
  info.trimmed_through = entity.trimmed_through;
  info.trimmed_count = entity.trimmed_count;
  if (const auto* sets = state.liveness.Find(entity.number)) {
    info.record_count = sets->live.Count();
    info.tombstone_count = sets->tombstones.Count();
  }
  if (!entity.keys.empty()) info.keys_indexed_through = internal::IndexedThrough(state, entity);
  if (info.declaration.type_label.empty()) info.declaration.type_label = entity.name;
  return info;
}

/// Makes them durable too: RocksDB syncs what is in its directory, not the directory's own name.
Status MakeDirectories(const StoreState& state) {
  rocksdb::Env* env = state.runtime->impl().env();
  for (const std::filesystem::path& path : {state.directory, state.directory / "tmp"}) {
    const rocksdb::Status made = env->CreateDirIfMissing(path.string());
    if (!made.ok()) return internal::FromRocks(made, "making " + path.string());
  }
  for (const std::filesystem::path& path : {state.directory, state.directory.parent_path()}) {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    rocksdb::FileSystem& files = *state.runtime->impl().file_system;
    const std::string name = path.empty() ? "." : path.string();
    rocksdb::IOStatus synced = files.NewDirectory(name, {}, &directory, nullptr);
    if (synced.ok()) synced = directory->Fsync({}, nullptr);
    if (!synced.ok()) return internal::FromRocks(synced, "syncing " + name);
  }
  return {};
}

/// Files of folds that a crash cut short.
void ClearTemporaryFiles(const StoreState& state) {
  rocksdb::Env* env = state.runtime->impl().env();
  const std::string directory = (state.directory / "tmp").string();
  std::vector<std::string> names;
  if (!env->GetChildren(directory, &names).ok()) return;
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    env->DeleteFile(std::string(directory).append("/").append(name)).PermitUncheckedError();
  }
}

/// The owner beside a reader removes files between the reader's look at the list and at the files.
/// Then something seems to be missing, and the next look finds it.
bool MayBeOvertaken(const StoreOptions& options, const Status& status) {
  return options.read_only &&
         (status.code() == ErrorCode::kCorruption || status.code() == ErrorCode::kIoError ||
          status.code() == ErrorCode::kDataLoss);
}

}  // namespace

Store::Impl::~Impl() {
  upkeep.reset();
  // Handles close before the database they belong to.
  state.catalog = std::make_shared<internal::Catalog>();
  state.rows.reset();
  state.folds.reset();
  state.stage.reset();
  state.parts.reset();
  state.guard.reset();
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Store::~Store() {
  if (impl_ != nullptr) static_cast<void>(Close().ok());
}

Result<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& directory,
                                           const StoreOptions& options,
                                           std::shared_ptr<Runtime> runtime) {
  if (options.window_records == 0) {
    return {ErrorCode::kInvalidArgument, "window_records must be at least 1"};
  }
  if (runtime == nullptr) {
    TIDEMARK_ASSIGN_OR_RETURN(runtime, Runtime::Create());
  }
  Result<std::unique_ptr<Impl>> opened = OpenImpl(directory, options, runtime);
  for (int attempt = 1; !opened.ok() && MayBeOvertaken(options, opened.status()) &&
                        attempt < tuning::kReaderAttempts;
       ++attempt) {
    std::this_thread::sleep_for(tuning::kReaderPause);
    opened = OpenImpl(directory, options, runtime);
  }
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<Store>(new Store(std::move(*opened)));
}

Result<std::unique_ptr<Store::Impl>> Store::OpenImpl(const std::filesystem::path& directory,
                                                     const StoreOptions& options,
                                                     const std::shared_ptr<Runtime>& runtime) {
  auto impl = std::make_unique<Impl>();
  StoreState& state = impl->state;
  state.directory = directory;
  state.options = options;
  state.runtime = runtime;
  if (!options.read_only) {
    const bool exists = state.runtime->impl().env()->FileExists((directory / "db").string()).ok();
    if (!exists && !options.create_if_missing) {
      return {ErrorCode::kNotFound, "there is no store in " + directory.string()};
    }
    TIDEMARK_RETURN_IF_ERROR(MakeDirectories(state));
    TIDEMARK_ASSIGN_OR_RETURN(state.owner_lock, internal::DirectoryLock::Take(directory));
  }
  TIDEMARK_RETURN_IF_ERROR(internal::Recover(state).WithContext(directory.string()));
  if (options.read_only) return impl;
  ClearTemporaryFiles(state);
  impl->upkeep = std::make_unique<internal::Upkeep>(state);
  state.wake_upkeep = [upkeep = impl->upkeep.get()] {
    upkeep->Wake();
  };
  // Compactions go by the liveness of a fold.
  if (state.window.size() >= options.window_records || internal::WantsCompaction(state)) {
    state.fold_wanted = true;
    impl->upkeep->Wake();
  } else if (internal::HasUnindexed(state)) {
    impl->upkeep->Wake();
  }
  return impl;
}

/// What was purged would be back at the next opening. Requires fold_mutex and commit_mutex.
Status Store::Impl::WriteDownForgotten() {
  if (!state.write_error.ok()) return {};
  {
    const std::shared_lock lock(state.state_mutex);
    if (state.forgotten == 0) return {};
  }
  return internal::Fold(state);
}

Status Store::Close() {
  if (impl_->closed) return {};
  impl_->closed = true;
  impl_->upkeep.reset();
  StoreState& state = impl_->state;
  if (state.options.read_only) return {};
  const std::lock_guard fold_lock(state.fold_mutex);
  const std::lock_guard lock(state.commit_mutex);
  const Status folded = impl_->WriteDownForgotten();
  const Status failed = state.write_error;
  state.write_error = {ErrorCode::kClosed, "the store is closed"};
  TIDEMARK_RETURN_IF_ERROR(folded);
  if (!failed.ok()) return {};  // what was acknowledged is durable; the guard says how far
  const rocksdb::Status synced = state.db->FlushWAL(/*sync=*/true);
  if (!synced.ok()) return internal::FromRocks(synced, "syncing the log at close");
  state.guard->Advance(SequenceNumber(state.head.commit));
  return state.guard->Close(/*clean=*/true);
}

Result<CommitResult> Store::Commit(const WriteBatch& batch, const CommitOptions& options) {
  // NOLINTNEXTLINE(readability-container-size-empty): rows alone need no room
  if (impl_->upkeep != nullptr && batch.size() > 0) impl_->upkeep->WaitForRoom();
  return impl_->committer.Commit(batch, options);
}

Status Store::Sync() {
  auto committed = impl_->committer.Commit(WriteBatch(), CommitOptions());
  return committed.status();
}

Result<std::optional<Record>> Store::Get(std::string_view name, const RecordId& id) const {
  const StoreState& state = impl_->state;
  EntityPtr entity;
  IndexEntry entry;
  bool found = false;
  {
    const std::shared_lock lock(state.state_mutex);
    entity = state.catalog->Find(name);
    if (entity == nullptr) return std::optional<Record>{};
    const uint64_t hash = internal::KeyHash(entity->number, id.text());
    if (const IndexEntry* recent = state.window.Find(entity->number, id.text(), hash)) {
      entry = internal::Validated(state, entity->number, *recent);
      found = true;
    }
  }
  if (!found) {
    rocksdb::PinnableSlice bytes;
    const rocksdb::Status read =
        state.db->Get(rocksdb::ReadOptions(), entity->index.get(), id.text(), &bytes);
    if (read.IsNotFound()) return std::optional<Record>{};
    if (!read.ok()) return internal::FromRocks(read, "reading the index of " + entity->name);
    if (!internal::DecodeIndexEntry({bytes.data(), bytes.size()}, &entry)) {
      return {ErrorCode::kCorruption, "the index of " + entity->name + " is damaged"};
    }
    const bool was_live = entry.live();
    {
      const std::shared_lock lock(state.state_mutex);
      entry = internal::Validated(state, entity->number, entry);
    }
    // Replaced between the two looks, or gone: only a view can tell which.
    if (was_live && !entry.live()) return GetView().Get(name, id);
  }
  if (!entry.live()) return std::optional<Record>{};
  Result<Record> record = internal::ReadRecord(state, *entity, entry, id.text());
  if (record.ok()) return std::optional<Record>(std::move(*record));
  {
    const std::shared_lock lock(state.state_mutex);
    if (state.liveness.IsLive(entity->number, entry.head)) return record.status();
  }
  // Without a pin, a compaction may drop a row that was replaced after it was looked up.
  return GetView().Get(name, id);
}

View Store::GetView() const {
  StoreState& state = impl_->state;
  const std::unique_lock lock(state.state_mutex);
  return View(std::make_shared<const View::Impl>(state));
}

SequenceNumber Store::last_sequence() const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.visible;
}

SequenceNumber Store::durable_sequence() const {
  return SequenceNumber(impl_->state.durable);
}

bool Store::WaitForCommit(SequenceNumber after, std::chrono::milliseconds timeout) const {
  const StoreState& state = impl_->state;
  std::unique_lock lock(state.wait_mutex);
  ++state.waiters;  // before the first look: a commit after it sees a waiter
  const bool committed =
      state.committed.wait_for(lock, timeout, [&] { return last_sequence() > after; });
  --state.waiters;
  return committed;
}

Result<EntityInfo> Store::Declare(std::string_view name, const EntityDeclaration& declaration) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  // The form that it is stored in has the limits.
  TIDEMARK_ASSIGN_OR_RETURN(const EntityDeclaration stored,
                            DeclarationFromJson(DeclarationToJson(declaration)));
  if (!(stored == declaration)) {
    return {ErrorCode::kInvalidArgument, "the declaration has a value that cannot be stored"};
  }
  return impl_->Describe(name, [&](const EntityState* existing) -> Result<EntityDeclaration> {
    if (existing == nullptr || existing->declaration.kind == declaration.kind) return declaration;
    return {ErrorCode::kWrongKind,
            std::string(name) + " is of the other kind; drop it to declare it anew"};
  });
}

Status Store::FollowKind(std::string_view name, EntityKind kind) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  const auto described = impl_->Describe(name, [kind](const EntityState* existing) {
    EntityDeclaration declaration;
    if (existing != nullptr) declaration = existing->declaration;
    declaration.kind = kind;
    return declaration;
  });
  return described.status();
}

Result<EntityInfo> Store::Impl::Describe(
    std::string_view name,
    const std::function<Result<EntityDeclaration>(const EntityState* existing)>& describe) {
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  const std::lock_guard lock(state.commit_mutex);
  if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
  const auto catalog = state.GetCatalog();
  const EntityPtr existing = catalog->Find(name);
  TIDEMARK_ASSIGN_OR_RETURN(EntityDeclaration declaration, describe(existing.get()));
  EntityState entity;
  if (existing != nullptr) {
    entity = *existing;
    entity.Declare(std::move(declaration), state.head.sequence);
  } else {
    if (catalog->CountOfKind(declaration.kind) >= kEntitiesOfAKindMax) {
      return {
          ErrorCode::kTooLarge,
          "there are " + std::to_string(kEntitiesOfAKindMax) + " entities of this kind already"};
    }
    if (const EntityPtr dropped = catalog->FindDropped(name)) {
      entity = internal::Revived(*dropped, declaration, state.head.sequence);
    } else {
      TIDEMARK_ASSIGN_OR_RETURN(entity,
                                internal::MakeEntity(state, catalog->next_number(), name, {}));
      entity.Declare(std::move(declaration), kSequenceZero);  // every row will say all keys
    }
  }
  if (entity.keys.size() > kEntityKeysEverMax) {
    return {ErrorCode::kTooLarge,
            std::string(name) + " has had " + std::to_string(kEntityKeysEverMax) +
                " keys over time; declare some of them again, or a new entity"};
  }
  CommitGroup group(state);
  group.SetEntity(entity);
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  group.Publish();
  if (!entity.keys.empty()) state.wake_upkeep();
  const std::shared_lock state_lock(state.state_mutex);
  return MakeInfo(state, *state.catalog->Find(name));
}

std::optional<EntityInfo> Store::FindEntity(std::string_view name) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  const EntityPtr entity = impl_->state.catalog->Find(name);
  if (entity == nullptr) return std::nullopt;
  return MakeInfo(impl_->state, *entity);
}

std::optional<EntityInfo> Store::FindEntity(EntityNumber number) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  const EntityPtr entity = impl_->state.catalog->Find(number);
  if (entity == nullptr) return std::nullopt;
  return MakeInfo(impl_->state, *entity);
}

uint64_t Store::entities_version() const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.catalog->version();
}

EntityKeys Store::KeysOf(EntityNumber number) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  const EntityPtr entity = impl_->state.catalog->Find(number);
  return entity == nullptr ? EntityKeys() : internal::KeysOf(impl_->state, *entity);
}

std::vector<EntityInfo> Store::ListEntities(bool dropped) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  std::vector<EntityInfo> infos;
  for (const auto& [number, entity] : impl_->state.catalog->all()) {
    if (IsLocal(number)) continue;
    if (!entity->dropped || dropped) infos.push_back(MakeInfo(impl_->state, *entity));
  }
  std::sort(infos.begin(), infos.end(), [](const EntityInfo& a, const EntityInfo& b) {
    return a.name < b.name;
  });
  return infos;
}

std::vector<EntityNumber> Store::EntityNumbers() const {
  const auto catalog = impl_->state.GetCatalog();
  std::vector<EntityNumber> numbers;
  numbers.reserve(catalog->all().size());
  for (const auto& [number, entity] : catalog->all()) {
    if (!IsLocal(number)) numbers.push_back(number);
  }
  return numbers;
}

Result<CommitResult> Store::Empty(std::string_view name) {
  StoreState& state = impl_->state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  const std::optional<EntityInfo> entity = FindEntity(name);
  if (!entity.has_value()) {
    return {ErrorCode::kNotFound, "there is no entity " + std::string(name)};
  }
  if (IsLocal(entity->number)) return CheckName(name);
  TIDEMARK_RETURN_IF_ERROR(internal::CheckNoReplica(state));
  CommitResult total;
  if (entity->declaration.kind == EntityKind::kSnapshot) {
    TIDEMARK_ASSIGN_OR_RETURN(const ReplaceCounts counts, internal::EmptySnapshot(state, name));
    total.sequence = last_sequence();
    total.applied = counts.deleted;
    return total;
  }
  const View view = GetView();
  RecordIterator records = view.Scan(name, ScanOptions{.values = false});
  // Batch by batch, so that memory stays bounded and writers of other entities are not held up.
  bool more = true;
  while (more) {
    WriteBatch batch;
    while (batch.size() < kBatchRecordsMax && (more = records.Next())) {
      batch.Delete(name, records.id());
    }
    if (impl_->upkeep != nullptr) impl_->upkeep->WaitForRoom();
    const std::lock_guard lock(state.commit_mutex);
    if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
    CommitGroup group(state);
    TIDEMARK_ASSIGN_OR_RETURN(const CommitResult result,
                              group.Add(batch, CommitOptions{.rewrite_events = true}));
    TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/!more));
    group.Publish();
    total.sequence = result.sequence;
    total.applied += result.applied;
    total.unchanged += result.unchanged;
  }
  TIDEMARK_RETURN_IF_ERROR(records.status());
  return total;
}

Result<CommitResult> Store::Drop(std::string_view name) {
  StoreState& state = impl_->state;
  TIDEMARK_ASSIGN_OR_RETURN(CommitResult result, Empty(name));
  std::unique_lock lock(state.commit_mutex);
  EntityPtr existing = state.GetCatalog()->Find(name);
  // Writers may have been faster than the lock. What they wrote is deleted, too.
  while (existing != nullptr && CountLive(existing->number, kSequenceZero) > 0) {
    lock.unlock();
    TIDEMARK_ASSIGN_OR_RETURN(const CommitResult more, Empty(name));
    result.sequence = more.sequence;
    result.applied += more.applied;
    lock.lock();
    existing = state.GetCatalog()->Find(name);  // emptying it made a new generation
  }
  if (existing == nullptr) return result;
  if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
  EntityState entity = *existing;
  entity.dropped = true;
  CommitGroup group(state);
  group.SetEntity(std::move(entity));
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  group.Publish();
  return result;
}

Result<std::optional<std::string>> Store::GetRow(std::string_view key) const {
  return internal::ReadRow(impl_->state, internal::row_key::Upper(key));
}

Status Store::ScanRows(
    std::string_view prefix,
    const std::function<bool(std::string_view key, std::string_view value)>& visit) const {
  const StoreState& state = impl_->state;
  const std::string full = internal::row_key::Upper(prefix);
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.rows.get()));
  for (rows->Seek(full); rows->Valid() && rows->key().starts_with(full); rows->Next()) {
    const std::string_view key(rows->key().data() + 1, rows->key().size() - 1);
    if (!visit(key, {rows->value().data(), rows->value().size()})) return {};
  }
  return internal::FromRocks(rows->status(), "reading rows");
}

Result<std::shared_ptr<const Cut>> Store::PinCut() const {
  StoreState& state = impl_->state;
  const std::unique_lock lock(state.state_mutex);
  auto cut = std::make_shared<internal::PinnedCut>(state, state.visible, state.visible_chain);
  cut->Pin();
  return std::shared_ptr<const Cut>(std::move(cut));
}

LogCursor Store::ReadLog(std::shared_ptr<const Cut> cut,
                         const std::vector<LogRange>& ranges) const {
  const StoreState& state = impl_->state;
  auto impl = std::make_unique<LogCursor::Impl>();
  const auto catalog = state.GetCatalog();
  for (const LogRange& range : ranges) {
    if (EntityPtr entity = catalog->Find(range.entity)) {
      impl->Add(std::make_unique<internal::CurrentCursor>(
          state, std::move(entity), cut->sequence(), range));
    }
  }
  impl->cut = std::move(cut);
  return LogCursor(std::move(impl));
}

LogCursor Store::FollowLog(std::shared_ptr<const Cut> cut, SequenceNumber after) const {
  const StoreState& state = impl_->state;
  auto impl = std::make_unique<LogCursor::Impl>();
  const SequenceNumber trimmed = trimmed_through();
  if (after != kSequenceZero && after < trimmed) {
    impl->status = {ErrorCode::kTrimmed,
                    "deletions at or below sequence " + std::to_string(trimmed.value()) +
                        " are no longer kept; read everything again from 0"};
    return LogCursor(std::move(impl));
  }
  for (const auto& [number, entity] : state.GetCatalog()->all()) {
    if (IsLocal(number)) continue;
    impl->Add(std::make_unique<internal::FollowCursor>(state, entity, cut->sequence(), after));
  }
  impl->cut = std::move(cut);
  return LogCursor(std::move(impl));
}

Result<PartRows> Store::FindPartRows(EntityNumber entity,
                                     const std::vector<PartBound>& parts) const {
  return internal::FindPartRows(impl_->state, entity, parts);
}

uint64_t Store::CountLive(EntityNumber entity, SequenceNumber after) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  const auto* sets = impl_->state.liveness.Find(entity);
  return sets == nullptr ? 0 : sets->live.CountAfter(after);
}

uint64_t Store::CountLiveAt(const Cut& cut, EntityNumber entity, SequenceNumber after) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.liveness.CountLiveAt(entity, cut.sequence(), after);
}

std::optional<SequenceNumber> Store::FirstLiveAt(const Cut& cut,
                                                 EntityNumber entity,
                                                 SequenceNumber after) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  std::array<SequenceNumber, 1> first;
  const size_t found = impl_->state.liveness.Read(
      entity, cut.sequence(), after, /*live=*/true, /*tombstones=*/false, first);
  return found == 1 ? std::optional(first[0]) : std::nullopt;
}

uint64_t Store::pinned_deaths() const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.liveness.death_count();
}

uint64_t Store::CountTombstones(EntityNumber entity, SequenceNumber after) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  const auto* sets = impl_->state.liveness.Find(entity);
  return sets == nullptr ? 0 : sets->tombstones.CountAfter(after);
}

Result<std::optional<IdHistory>> Store::FindHistory(EntityNumber number, const RecordId& id) const {
  StoreState& state = impl_->state;
  const auto view = [&] {
    const std::unique_lock lock(state.state_mutex);
    return std::make_unique<const View::Impl>(state);
  }();
  const internal::EntityPtr entity = view->catalog->Find(number);
  if (entity == nullptr) return std::optional<IdHistory>{};
  TIDEMARK_ASSIGN_OR_RETURN(const auto entry, view->FindEntry(*entity, id.text()));
  if (!entry.has_value()) return std::optional<IdHistory>{};
  const bool live = view->IsLive(*entity, *entry);
  std::vector<OpenStay> stays;
  if (live) {
    TIDEMARK_ASSIGN_OR_RETURN(stays, internal::StaysOf(state, *entity, *entry, id.text()));
  }
  const std::shared_lock lock(state.state_mutex);
  if (!live && !state.liveness.IsTombstone(number, entry->head)) return std::optional<IdHistory>{};
  return std::optional<IdHistory>({.head = entry->head,
                                   .birth = entry->birth,
                                   .live = live,
                                   .ended = entry->ended(),
                                   .stays = std::move(stays)});
}

bool Store::IsCurrent(EntityNumber entity, SequenceNumber head) const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.liveness.IsLive(entity, head) ||
         impl_->state.liveness.IsTombstone(entity, head);
}

SequenceNumber Store::trimmed_through() const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.trimmed_through;
}

void Store::SetStayFilter(StayFilter filter) {
  const std::lock_guard lock(impl_->state.commit_mutex);
  impl_->state.stay_filter = std::move(filter);
}

StoreIdentity Store::identity() const {
  const std::shared_lock lock(impl_->state.state_mutex);
  return impl_->state.identity;
}

const std::filesystem::path& Store::directory() const {
  return impl_->state.directory;
}
Runtime& Store::runtime() const {
  return *impl_->state.runtime;
}

Status Store::WritingState() const {
  StoreState& state = impl_->state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  // Whoever holds the lock is about to write, and so was told of no error yet.
  const std::unique_lock lock(state.commit_mutex, std::try_to_lock);
  if (!lock.owns_lock() || state.write_error.ok()) return {};
  return internal::WritingStopped(state.write_error);
}

StoreStatistics Store::Statistics() const {
  const StoreState& state = impl_->state;
  StoreStatistics statistics;
  statistics.commits = state.commits;
  statistics.commit_groups = state.groups;
  statistics.wal_syncs = state.syncs;
  statistics.wal_sync_micros = state.sync_micros;
  statistics.folds = state.folds_done;
  uint64_t dead = 0;
  {
    const std::shared_lock lock(state.state_mutex);
    for (const auto& [number, sets] : state.liveness.all()) {
      if (IsLocal(number)) continue;
      statistics.records += sets.live.Count();
      statistics.tombstones += sets.tombstones.Count();
    }
    for (const auto& [number, rows] : state.dead_rows) dead += IsLocal(number) ? 0 : rows;
    statistics.window_records = state.window.size();
    statistics.pins = state.liveness.pin_count();
    statistics.pinned_deaths = state.liveness.death_count();
  }
  statistics.log_rows = statistics.records + statistics.tombstones + dead;
  for (const auto& [number, entity] : state.GetCatalog()->all()) {
    for (const internal::Family& family : {entity->log, entity->index}) {
      uint64_t bytes = 0;
      if (state.db->GetIntProperty(
              family.get(), rocksdb::DB::Properties::kLiveSstFilesSize, &bytes)) {
        statistics.disk_bytes += bytes;
      }
    }
  }
  return statistics;
}

Status Store::BecomeReplica() {
  StoreState& state = impl_->state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  const std::lock_guard lock(state.commit_mutex);
  if (state.is_replica) return {};
  if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
  CommitGroup group(state);
  group.SetRow(internal::row_key::kReplica, "1");
  group.OnPublish([](StoreState& published) { published.is_replica = true; });
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  group.Publish();
  return {};
}

bool Store::is_replica() const {
  return impl_->state.is_replica;
}

Status Store::BeginEpoch(std::string_view reason) {
  if (impl_->state.options.read_only) {
    return {ErrorCode::kReadOnly, "the store was opened read-only"};
  }
  const std::lock_guard fold_lock(impl_->state.fold_mutex);  // no replacement has reserved numbers
  const std::lock_guard lock(impl_->state.commit_mutex);
  if (!impl_->state.write_error.ok()) {
    return internal::WritingStopped(impl_->state.write_error);
  }
  Status begun = internal::BeginEpoch(impl_->state, reason);
  if (!begun.ok()) impl_->state.write_error = begun;  // the guard may be closed already
  return begun;
}

Status Store::Compact() {
  StoreState& state = impl_->state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  const std::lock_guard lock(state.fold_mutex);
  Status status = internal::FoldBesideCommits(state);
  if (status.ok()) status = internal::CompactLogs(state, /*force=*/true);
  if (status.ok()) {
    state.wake_upkeep();  // for the index of parts
    return {};
  }
  // A file that failed once is not written again: RocksDB would end the process.
  const std::lock_guard commit_lock(state.commit_mutex);
  if (state.write_error.ok()) state.write_error = status;
  return status;
}

}  // namespace tidemark
