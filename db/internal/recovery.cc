#include "db/internal/recovery.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "db/internal/fold.h"
#include "db/internal/guard_verdict.h"
#include "db/internal/record_rules.h"
#include "db/internal/rocks_status.h"
#include "db/internal/runtime_impl.h"
#include "db/tuning.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

constexpr size_t kIdentityBytes = 16;

std::string RandomIdentity(Runtime& runtime) {
  std::array<uint8_t, kIdentityBytes> bytes{};
  runtime.random().Fill(bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string DatabasePath(const StoreState& state) {
  return (state.directory / "db").string();
}

/// Opens every column family there is; RocksDB refuses to open fewer.
class FamilyOpener {
 public:
  explicit FamilyOpener(StoreState& state) : state_(state) {}

  Status Open();
  Family Take(const std::string& name);
  /// One for the log and the index of an entity.
  std::shared_ptr<SegmentFilterFactory> filter(EntityNumber entity) {
    auto& filter = filters_[entity];
    if (filter == nullptr) {
      filter = std::make_shared<SegmentFilterFactory>();
      state_.part_filter->Add(entity, filter);
    }
    return filter;
  }
  /// The families that nobody took: left over from a crash between two steps.
  const std::map<std::string, Family>& rest() const { return families_; }

 private:
  std::vector<rocksdb::ColumnFamilyDescriptor> Describe(const std::vector<std::string>& names);

  StoreState& state_;
  std::map<std::string, Family> families_;
  std::map<EntityNumber, std::shared_ptr<SegmentFilterFactory>> filters_;
};

std::vector<rocksdb::ColumnFamilyDescriptor> FamilyOpener::Describe(
    const std::vector<std::string>& names) {
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) {
    EntityNumber entity = 0;
    uint64_t generation = 0;
    if (ParseLogFamilyName(name, &entity)) {
      descriptors.emplace_back(name, MakeLogOptions(*state_.runtime, filter(entity)));
    } else if (ParseIndexFamilyName(name, &entity, &generation)) {
      auto index_filter = std::make_shared<IndexFilterFactory>(filter(entity));
      descriptors.emplace_back(name, MakeIndexOptions(*state_.runtime, std::move(index_filter)));
    } else if (name == kPartsFamily) {
      descriptors.emplace_back(name, MakePartOptions(*state_.runtime, state_.part_filter));
    } else if (name == kFoldFamily) {
      descriptors.emplace_back(name, MakeIndexOptions(*state_.runtime));
    } else {
      descriptors.emplace_back(name, MakeRowOptions(*state_.runtime));
    }
  }
  return descriptors;
}

/// What RocksDB says when it cannot open a database. A file that is missing is damage.
Status NotOpened(const rocksdb::Status& status, const std::string& path) {
  Status said = FromRocks(status, "opening " + path);
  if (status.IsPathNotFound()) return {ErrorCode::kCorruption, said.message()};
  // Of a table that is missing it looks for the name that LevelDB gave such files, and tells that.
  std::string text = said.message();
  constexpr std::string_view kOldEnding = ".ldb";
  const size_t at = text.find(kOldEnding);
  if (said.code() != ErrorCode::kCorruption || at == std::string::npos) return said;
  return {ErrorCode::kCorruption, text.replace(at, kOldEnding.size(), ".sst")};
}

/// Whether there is a database that has lost its root, and not just a beginning of one: RocksDB
/// would begin anew, over what is there.
bool HasFilesOfADatabase(rocksdb::Env* env, const std::string& path) {
  std::vector<std::string> names;
  if (!env->GetChildren(path, &names).ok()) return false;
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(".sst") || name.ends_with(".log");
  });
}

Status FamilyOpener::Open() {
  const std::string path = DatabasePath(state_);
  rocksdb::DBOptions options = MakeDbOptions(state_.options, *state_.runtime);
  std::vector<std::string> names;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(options, path, &names);
  if (!listed.ok()) {
    const bool absent = state_.runtime->impl().env()->FileExists(path + "/CURRENT").IsNotFound();
    if (!absent) return NotOpened(listed, path);
    if (HasFilesOfADatabase(state_.runtime->impl().env(), path)) {
      return {ErrorCode::kCorruption, path + "/CURRENT is missing, which names all other files"};
    }
    if (!options.create_if_missing) {
      return {ErrorCode::kNotFound, "there is no store in " + state_.directory.string()};
    }
    names = {rocksdb::kDefaultColumnFamilyName};
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = Describe(names);
  const rocksdb::Status opened =
      state_.options.read_only
          ? rocksdb::DB::OpenForReadOnly(options, path, descriptors, &handles, &db)
          : rocksdb::DB::Open(options, path, descriptors, &handles, &db);
  if (!opened.ok()) {
    const std::string text = opened.ToString();
    if (text.find("LOCK") != std::string::npos || text.find("lock hold") != std::string::npos) {
      return {ErrorCode::kBusy, state_.directory.string() + " is open in another process"};
    }
    return NotOpened(opened, path);
  }
  state_.db.reset(db);
  for (size_t i = 0; i < names.size(); ++i) families_[names[i]] = WrapFamily(db, handles[i]);
  return {};
}

Family FamilyOpener::Take(const std::string& name) {
  const auto found = families_.find(name);
  if (found == families_.end()) return nullptr;
  Family family = std::move(found->second);
  families_.erase(found);
  return family;
}

Status TakeOrMake(StoreState& state,
                  FamilyOpener& opener,
                  const std::string& name,
                  const rocksdb::ColumnFamilyOptions& options,
                  Family* family) {
  *family = opener.Take(name);
  if (*family != nullptr) return {};
  if (state.options.read_only) {
    return {ErrorCode::kNotFound, "the store was never opened for writing"};
  }
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  const rocksdb::Status made = state.db->CreateColumnFamily(options, name, &handle);
  if (!made.ok()) return FromRocks(made, "making column family " + name);
  *family = WrapFamily(state.db.get(), handle);
  return {};
}

Status LoadIdentity(StoreState& state) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, ReadRow(state, row_key::kIdentity));
  if (row.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(state.identity, DecodeIdentity(*row));
    return {};
  }
  if (state.options.read_only) {
    return {ErrorCode::kNotFound, "the store was never opened for writing"};
  }
  state.identity.id = RandomIdentity(*state.runtime);
  state.runtime->random().Fill(state.identity.secret);
  state.identity.epochs = {{RandomIdentity(*state.runtime), 1, kSequenceZero}};
  rocksdb::WriteOptions options;
  options.sync = state.syncing();
  return FromRocks(
      state.db->Put(options, state.rows.get(), row_key::kIdentity, EncodeIdentity(state.identity)),
      "writing the identity");
}

Status LoadHead(StoreState& state) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, ReadRow(state, row_key::kHead));
  if (!row.has_value()) return {};
  TIDEMARK_ASSIGN_OR_RETURN(state.head, DecodeHead(*row));
  return {};
}

Status LoadEntities(StoreState& state, FamilyOpener& opener) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto next, ReadRow(state, row_key::kNextEntity));
  if (next.has_value()) {
    ByteReader reader(*next);
    state.catalog = state.catalog->WithNextNumber(static_cast<EntityNumber>(reader.Varint()));
    if (!reader.Finished()) {
      return {ErrorCode::kCorruption, "the row of the next entity's number is damaged"};
    }
  }
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.rows.get()));
  const std::string prefix(1, row_key::kEntityPrefix);
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(EntityState entity,
                              DecodeEntity({rows->value().data(), rows->value().size()}));
    entity.log = opener.Take(LogFamilyName(entity.number));
    entity.index = opener.Take(IndexFamilyName(entity.number, entity.generation));
    entity.filter = opener.filter(entity.number);
    if (entity.log == nullptr || entity.index == nullptr) {
      return {ErrorCode::kCorruption, "the column families of " + entity.name + " are missing"};
    }
    state.catalog = state.catalog->With(std::make_shared<const EntityState>(std::move(entity)));
  }
  return FromRocks(rows->status(), "reading the entities");
}

/// A crash leaves families whose entity or generation was never flipped to, or not dropped yet.
Status DropLeftovers(StoreState& state, FamilyOpener& opener) {
  if (state.options.read_only) return {};
  for (const auto& [name, family] : opener.rest()) {
    const rocksdb::Status dropped = state.db->DropColumnFamily(family.get());
    if (!dropped.ok()) return FromRocks(dropped, "dropping column family " + name);
  }
  return {};
}

Status LoadLiveness(StoreState& state, SequenceNumber* folded) {
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.folds.get()));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    const std::string_view key(rows->key().data(), rows->key().size());
    const std::string_view value(rows->value().data(), rows->value().size());
    if (key == fold_key::kMark) {
      TIDEMARK_ASSIGN_OR_RETURN(const FoldMark mark, DecodeFoldMark(value));
      *folded = mark.through;
      state.trimmed_through = mark.trimmed_through;
      state.follower_clock = mark.clock;
      state.dead_rows = mark.dead_rows;
      continue;
    }
    EntityNumber entity = 0;
    fold_key::Set kind = fold_key::Set::kLive;
    uint64_t chunk = 0;
    if (!fold_key::ParseChunk(key, &entity, &kind, &chunk)) {
      return {ErrorCode::kCorruption, "a liveness row has a damaged key"};
    }
    if (state.catalog->Find(entity) == nullptr) continue;
    Liveness::Sets& sets = state.liveness.Of(entity);
    SequenceSet& set = kind == fold_key::Set::kLive ? sets.live : sets.tombstones;
    TIDEMARK_RETURN_IF_ERROR(set.LoadChunk(chunk, value).WithContext("reading liveness"));
  }
  return FromRocks(rows->status(), "reading liveness");
}

/// What a replayed row left in the index.
IndexEntry ReplayedEntry(const StoreState& state,
                         const BatchRow& row,
                         SequenceNumber segment,
                         EntityKind kind) {
  IndexEntry entry;
  entry.head = row.sequence;
  entry.birth = row.birth;
  entry.distance = static_cast<uint32_t>(row.sequence - segment);
  IndexExtra extra{.writer_time = row.writer_time,
                   .origin = {},
                   .ended = {row.ended.begin(), row.ended.end()},
                   .stays = {row.stays.begin(), row.stays.end()}};
  if (row.origin_head != kSequenceZero) {
    extra.origin = OriginVersion{row.origin_birth, row.origin_head};
  }
  if (row.op == RowOp::kDelete) {
    entry.state = extra.ended.empty() ? IndexState::kAbsent : IndexState::kTombstone;
  } else {
    entry.state = IndexState::kLive;
    entry.hash = ValueHash(state.identity.secret, row.value_kind, row.value);
  }
  (void)kind;
  entry.extra = MakeExtra(std::move(extra));
  return entry;
}

void ReplayRow(StoreState& state,
               const EntityState& entity,
               const BatchRow& row,
               SequenceNumber segment) {
  if (row.superseded != kSequenceZero) {
    state.liveness.Supersede(entity.number, row.superseded, row.sequence);
    ++state.dead_rows[entity.number];
  }
  IndexEntry entry = ReplayedEntry(state, row, segment, entity.declaration.kind);
  if (entry.state == IndexState::kLive) state.liveness.AddLive(entity.number, entry.head);
  if (entry.state == IndexState::kTombstone) {
    state.liveness.AddTombstone(entity.number, entry.head);
  }
  if (row.sequence <= entity.generation_mark) return;  // the generation's index holds it
  state.window.Set(entity.number, row.id, KeyHash(entity.number, row.id), std::move(entry));
}

/// Replays the rows above `folded`, and deletes segments those above the head: a replacement that
/// never flipped left them.
Status ReplayLog(StoreState& state, const EntityState& entity, SequenceNumber folded) {
  const std::unique_ptr<rocksdb::Iterator> segments(
      state.db->NewIterator(rocksdb::ReadOptions(), entity.log.get()));
  // Beside a running owner, whose newer folds are not seen, its merges may be: then rows above the
  // fold are in a segment that begins below it.
  std::string start;
  AppendBigEndian64(&start, folded.Next().value());
  segments->SeekForPrev(start);
  if (!segments->Valid()) segments->SeekToFirst();
  std::vector<std::string> leftovers;
  for (; segments->Valid(); segments->Next()) {
    const SequenceNumber first(LoadBigEndian64(segments->key().data()));
    if (first > state.head.sequence) {
      leftovers.push_back(segments->key().ToString());
      continue;
    }
    const auto segment = BatchView::Parse(
        {segments->value().data(), segments->value().size()}, BatchKind::kSegment, Trust::kNone);
    if (!segment.ok()) {
      return {ErrorCode::kCorruption,
              "the log of " + entity.name + " at sequence " + std::to_string(first.value()) + ": " +
                  segment.status().message()};
    }
    if (IsSmallSegment(segment->size())) state.small_segments[entity.number].Note(first);
    for (size_t i = 0; i < segment->size(); ++i) {
      if (segment->sequence(i) > folded) ReplayRow(state, entity, segment->row(i), first);
    }
  }
  if (!segments->status().ok()) {
    return FromRocks(segments->status(), "reading the log of " + entity.name);
  }
  if (entity.trimmed_through != kSequenceZero) {
    state.liveness.Of(entity.number).live.RemoveThrough(entity.trimmed_through);
  }
  if (state.options.read_only) return {};
  for (const std::string& key : leftovers) {
    const rocksdb::Status deleted =
        state.db->Delete(rocksdb::WriteOptions(), entity.log.get(), key);
    if (!deleted.ok()) return FromRocks(deleted, "clearing the log of " + entity.name);
  }
  return {};
}

GuardState GuardStateOf(const StoreState& state) {
  GuardState guard;
  const Epoch& epoch = state.identity.epochs.back();
  std::copy(state.identity.id.begin(), state.identity.id.end(), guard.store.begin());
  std::copy(epoch.id.begin(), epoch.id.end(), guard.epoch.begin());
  guard.epoch_ordinal = epoch.ordinal;
  guard.durable = SequenceNumber(state.head.commit);
  return guard;
}

Status OpenGuard(StoreState& state, const GuardState& guard) {
  TIDEMARK_ASSIGN_OR_RETURN(
      state.guard, GuardWriter::Open(state.runtime->impl().file_system, GuardPath(state), guard));
  return {};
}

Status WritesLost(const StoreState& state, const GuardState& guard) {
  const uint64_t epoch = state.identity.epochs.empty() ? 0 : state.identity.epochs.back().ordinal;
  const bool of_later_epoch = guard.epoch_ordinal > epoch;
  return {ErrorCode::kDataLoss,
          "the store lost acknowledged writes: it has commit " + std::to_string(state.head.commit) +
              " and had commit " + std::to_string(guard.durable.value()) +
              (of_later_epoch ? " in a later epoch" : "") +
              "; restore a backup, or go on without them with `tidemark recover --accept-loss`"};
}

/// The past is known and whole, or the store says so, or it begins a new epoch.
Status CheckGuard(StoreState& state, const std::optional<GuardState>& guard, bool is_new) {
  if (is_new && !state.options.read_only) {
    TIDEMARK_ASSIGN_OR_RETURN(
        const GuardState made,
        Guard::Create(*state.runtime->impl().file_system, GuardPath(state), GuardStateOf(state)));
    return OpenGuard(state, made);
  }
  const GuardVerdict verdict = JudgeGuard(guard, state.identity, state.head.commit);
  if (verdict.past == Past::kLost && (state.options.read_only || !state.options.accept_loss)) {
    return WritesLost(state, *guard);
  }
  if (state.options.read_only) return {};
  switch (verdict.past) {
    case Past::kWhole:
      return OpenGuard(state, *guard);
    case Past::kUnknown:
      break;
    case Past::kLost:
      return BeginEpoch(state, "acknowledged writes were lost, and that was accepted", guard);
  }
  return BeginEpoch(state, verdict.reason, guard);
}

}  // namespace

std::string GuardPath(const StoreState& state) {
  return (state.directory / "GUARD").string();
}

Status BeginEpoch(StoreState& state,
                  std::string_view reason,
                  const std::optional<GuardState>& guard) {
  StoreIdentity identity = state.identity;
  const uint64_t last = identity.epochs.back().ordinal;
  HeadRow head = state.head;
  uint64_t lost = last;  // the newest epoch that is known to have begun
  if (guard.has_value() && IsOf(*guard, identity)) {
    lost = std::max(last, guard->epoch_ordinal);
    head.commit = std::max(head.commit, guard->durable.value());  // counts on, also after a crash
  }
  const uint64_t jumps = lost - last + 1;  // each lost epoch began with one of its own
  if (jumps > (kSequenceLimit - head.sequence) / tuning::kEpochJump) {
    return {ErrorCode::kTooLarge, "the store has used up its sequence numbers"};
  }
  identity.epochs.push_back({RandomIdentity(*state.runtime), lost + 1, state.head.sequence});
  head.sequence = head.sequence + jumps * tuning::kEpochJump;
  head.exposed = head.sequence;
  head.chain = ChainHash(head.chain, identity.epochs.back().id);
  ++head.commit;
  if (state.guard != nullptr) {
    TIDEMARK_RETURN_IF_ERROR(state.guard->Close(/*clean=*/false));
    state.guard.reset();
  }
  rocksdb::WriteBatch batch;
  batch.Put(state.rows.get(), row_key::kIdentity, EncodeIdentity(identity)).PermitUncheckedError();
  batch.Put(state.rows.get(), row_key::kHead, EncodeHead(head)).PermitUncheckedError();
  rocksdb::WriteOptions options;
  options.sync = true;  // whatever the store's durability: the guard that names it is synced, too
  const rocksdb::Status written = state.db->Write(options, &batch);
  if (!written.ok()) return FromRocks(written, "beginning a new epoch");
  state.head = head;
  state.durable = head.sequence.value();
  state.synced_commit = head.commit;
  {
    const std::unique_lock lock(state.state_mutex);
    state.identity = std::move(identity);
    state.visible = head.sequence;
    state.visible_chain = head.chain;
  }
  state.guarded_commit = 0;
  state.Log("a new epoch begins: " + std::string(reason));
  TIDEMARK_ASSIGN_OR_RETURN(
      const GuardState made,
      Guard::Create(*state.runtime->impl().file_system, GuardPath(state), GuardStateOf(state)));
  return OpenGuard(state, made);
}

Status Recover(StoreState& state) {
  // The guard is read before the log: beside a running owner it can only be behind.
  TIDEMARK_ASSIGN_OR_RETURN(const std::optional<GuardState> guard,
                            Guard::Read(*state.runtime->impl().file_system, GuardPath(state)));
  FamilyOpener opener(state);
  TIDEMARK_RETURN_IF_ERROR(opener.Open());
  Runtime& runtime = *state.runtime;
  state.rows = opener.Take(rocksdb::kDefaultColumnFamilyName);
  TIDEMARK_RETURN_IF_ERROR(
      TakeOrMake(state, opener, kFoldFamily, MakeIndexOptions(runtime), &state.folds));
  TIDEMARK_RETURN_IF_ERROR(
      TakeOrMake(state, opener, kStageFamily, MakeRowOptions(runtime), &state.stage));
  if (state.options.read_only) {
    state.parts = opener.Take(kPartsFamily);
  } else {
    TIDEMARK_RETURN_IF_ERROR(TakeOrMake(
        state, opener, kPartsFamily, MakePartOptions(runtime, state.part_filter), &state.parts));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto known, ReadRow(state, row_key::kIdentity));
  // Early in its life a store has everything in its log: without that it must not pass for new.
  if (!known.has_value() && guard.has_value() && guard->durable.value() > 0 &&
      !state.options.accept_loss) {
    return WritesLost(state, *guard);
  }
  TIDEMARK_RETURN_IF_ERROR(LoadIdentity(state));
  TIDEMARK_RETURN_IF_ERROR(LoadHead(state));
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, ReadRow(state, row_key::kReplica));
  state.is_replica = replica.has_value();
  TIDEMARK_RETURN_IF_ERROR(LoadEntities(state, opener));
  TIDEMARK_RETURN_IF_ERROR(DropLeftovers(state, opener));
  SequenceNumber folded;
  TIDEMARK_RETURN_IF_ERROR(LoadLiveness(state, &folded));
  for (const auto& [number, entity] : state.catalog->all()) {
    TIDEMARK_RETURN_IF_ERROR(ReplayLog(state, *entity, folded));
  }
  TIDEMARK_RETURN_IF_ERROR(LoadPartMarks(state));
  state.visible = state.head.sequence;
  state.visible_chain = state.head.chain;
  // Opening wrote what the log had into files, and synced them.
  state.durable = state.head.sequence.value();
  state.synced_commit = state.head.commit;
  // A store cut down while it was made has an identity and no guard, and was never acknowledged.
  const bool unguarded = !guard.has_value() || (!known.has_value() && guard->durable.value() == 0);
  const bool is_new = unguarded && state.head.commit == 0;
  return CheckGuard(state, guard, is_new);
}

}  // namespace tidemark::internal
