#include "db/internal/fold.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "db/internal/kept_times.h"
#include "db/internal/rocks_status.h"
#include "db/internal/segment_merge.h"
#include "db/internal/sorted_file.h"
#include "db/tuning.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

/// A liveness set as of the fold, and which of its chunks changed since the last one.
struct ChangedSet {
  EntityNumber entity;
  fold_key::Set kind;
  SequenceSet set;
  std::vector<uint64_t> dirty;
};

/// What a fold takes along; immutable once the state mutex is released.
struct FoldInput {
  FoldMark mark;
  LayerStack layers;
  std::shared_ptr<const Catalog> catalog;
  std::vector<ChangedSet> sets;
  std::map<EntityNumber, SmallSegments> small_segments;  // worth merging
  uint64_t forgotten = 0;
};

/// What is done to the log after a fold; the index already says where rows will be.
using MergePlans = std::map<EntityNumber, MergePlan>;

FoldInput Freeze(StoreState& state) {
  const std::unique_lock lock(state.state_mutex);
  FoldInput input;
  const int64_t now = state.runtime->clock().WallMilliseconds();
  state.follower_clock.Note(now, state.visible);
  const SequenceNumber horizon =
      state.follower_clock.Horizon(now, state.options.follower_retention_ms);
  state.trimmed_through = std::max(state.trimmed_through, horizon);
  input.mark = {.through = state.visible,
                .trimmed_through = state.trimmed_through,
                .clock = state.follower_clock,
                .dead_rows = {}};
  for (const auto& [entity, dead] : state.dead_rows) {
    if (dead > 0) input.mark.dead_rows.emplace(entity, dead);
  }
  input.forgotten = std::exchange(state.forgotten, 0);
  input.layers = state.window.BeginFold();
  input.catalog = state.catalog;
  for (const auto& [entity, unused] : state.liveness.all()) {
    Liveness::Sets& sets = state.liveness.Of(entity);
    input.sets.push_back({entity, fold_key::Set::kLive, sets.live, sets.live.TakeDirtyChunks()});
    input.sets.push_back(
        {entity, fold_key::Set::kTombstones, sets.tombstones, sets.tombstones.TakeDirtyChunks()});
  }
  for (const auto& [entity, small] : state.small_segments) {
    if (small.count >= tuning::kMergeSegmentsMin) input.small_segments.emplace(entity, small);
  }
  return input;
}

void Finish(StoreState& state, const FoldInput& input, bool folded) {
  const std::unique_lock lock(state.state_mutex);
  if (folded) {
    state.window.EndFold();
    ++state.folds_done;
    state.fold_wanted = state.window.size() >= state.options.window_records;
    return;
  }
  state.window.AbortFold();
  state.fold_wanted = false;  // the next commit wants it again
  state.forgotten += input.forgotten;
  for (const ChangedSet& changed : input.sets) {
    Liveness::Sets& sets = state.liveness.Of(changed.entity);
    SequenceSet& set = changed.kind == fold_key::Set::kLive ? sets.live : sets.tombstones;
    set.MarkDirty(changed.dirty);
  }
}

/// Visits the newest entry of each id, in order of (entity, id).
template <typename Visit>
void MergeLayers(const LayerStack& layers, const Visit& visit) {
  struct Position {
    const Layer* layer = nullptr;
    size_t at = 0;
    bool done() const { return at == layer->size(); }
    const Layer::Node& node() const { return layer->node(layer->Sorted()[at]); }
    std::string_view id() const { return layer->id(node()); }
  };
  std::vector<Position> positions;
  for (const auto& layer : layers) positions.push_back({layer.get()});
  while (true) {
    Position* lowest = nullptr;  // the newest layer wins a tie, being first
    for (Position& position : positions) {
      if (position.done()) continue;
      if (lowest == nullptr || position.node().entity < lowest->node().entity ||
          (position.node().entity == lowest->node().entity && position.id() < lowest->id())) {
        lowest = &position;
      }
    }
    if (lowest == nullptr) return;
    const EntityNumber entity = lowest->node().entity;
    const std::string_view id = lowest->id();
    visit(lowest->node(), id);
    for (Position& position : positions) {
      if (!position.done() && position.node().entity == entity && position.id() == id) {
        ++position.at;
      }
    }
  }
}

/// The entry, with the place that its row will have.
IndexEntry After(const MergePlan& merge, IndexEntry entry) {
  entry.distance = static_cast<uint32_t>(entry.head - merge.KeyAfter(entry.segment()));
  return entry;
}

void WriteIndexFiles(const StoreState& state,
                     const FoldInput& input,
                     const MergePlans& merges,
                     std::vector<std::unique_ptr<SortedFile>>* files) {
  EntityNumber current = 0;
  std::string encoded;
  SortedFile* file = nullptr;
  const MergePlan* merge = nullptr;
  MergeLayers(input.layers, [&](const Layer::Node& node, std::string_view id) {
    if (file == nullptr || node.entity != current) {
      current = node.entity;
      const EntityPtr entity = input.catalog->Find(current);
      if (entity == nullptr) {
        file = nullptr;  // the entity is gone, with its index
        return;
      }
      files->push_back(
          std::make_unique<SortedFile>(state, entity->index, "fold-" + LogFamilyName(current)));
      file = files->back().get();
      const auto planned = merges.find(current);
      merge = planned == merges.end() ? nullptr : &planned->second;
    }
    if (node.entry.state == IndexState::kAbsent) {
      file->Delete(id);
      return;
    }
    encoded.clear();
    EncodeIndexEntry(merge == nullptr ? node.entry : After(*merge, node.entry), &encoded);
    file->Put(id, encoded);
  });
}

std::unique_ptr<SortedFile> WriteFoldFile(const StoreState& state, const FoldInput& input) {
  auto file = std::make_unique<SortedFile>(state, state.folds, "fold-mark");
  file->Put(fold_key::kMark, EncodeFoldMark(input.mark));
  for (const ChangedSet& changed : input.sets) {
    for (const uint64_t chunk : changed.dirty) {
      const std::string key = fold_key::Chunk(changed.entity, changed.kind, chunk);
      const std::string bytes = changed.set.SerializeChunk(chunk);
      if (bytes.empty()) {
        file->Delete(key);
      } else {
        file->Put(key, bytes);
      }
    }
  }
  return file;
}

/// The log must not lose what the index will point to. Requires commit_mutex: RocksDB ends the
/// process when a log is synced after one of its writes failed.
Status SyncLog(StoreState& state) {
  TIDEMARK_RETURN_IF_ERROR(state.write_error);
  state.write_error = FromRocks(state.db->FlushWAL(/*sync=*/true), "syncing the log before a fold");
  return state.write_error;
}

Status WriteAndIngest(StoreState& state, const FoldInput& input, const MergePlans& merges) {
  std::vector<std::unique_ptr<SortedFile>> files;
  WriteIndexFiles(state, input, merges, &files);
  files.push_back(WriteFoldFile(state, input));
  std::vector<rocksdb::IngestExternalFileArg> ingestions;
  for (const auto& file : files) {
    if (const rocksdb::Status finished = file->Finish(); !finished.ok()) {
      return FromRocks(finished, "writing a fold");
    }
    ingestions.push_back(file->Ingestion());
  }
  return FromRocks(state.db->IngestExternalFiles(ingestions), "ingesting a fold");
}

/// Sets each entity's filter basis to the sets of the fold.
void SetBasis(const FoldInput& input) {
  std::map<EntityNumber, std::shared_ptr<FilterBasis>> bases;
  for (const ChangedSet& changed : input.sets) {
    auto& basis = bases[changed.entity];
    if (basis == nullptr) basis = std::make_shared<FilterBasis>();
    basis->through = input.mark.through;
    basis->follower_horizon = input.mark.trimmed_through;
    (changed.kind == fold_key::Set::kLive ? basis->live : basis->tombstones) = changed.set;
  }
  for (auto& [number, basis] : bases) {
    if (const EntityPtr entity = input.catalog->Find(number)) entity->filter->SetBasis(basis);
  }
}

/// `ready`: the log is synced.
Status FoldFrozen(StoreState& state,
                  const FoldInput& input,
                  const Status& ready,
                  const MergePlans& merges) {
  Status folded = ready.ok() ? WriteAndIngest(state, input, merges) : ready;
  Finish(state, input, folded.ok());
  if (!folded.ok()) return folded;
  bool may_drop = false;
  {
    const std::shared_lock lock(state.state_mutex);
    may_drop = state.liveness.MayDrop(input.mark.through);
  }
  if (may_drop) SetBasis(input);
  return {};
}

Status PlanMerges(const StoreState& state, const FoldInput& input, MergePlans* plans) {
  for (const auto& [number, small] : input.small_segments) {
    const EntityPtr entity = input.catalog->Find(number);
    if (entity == nullptr) continue;
    TIDEMARK_ASSIGN_OR_RETURN((*plans)[number],
                              PlanMerge(state, entity, small.first, input.mark.through));
  }
  return {};
}

/// Forgets the small segments of the fold; those that came since begin above it.
void NoteMerged(StoreState& state, const FoldInput& input, const MergePlans& plans) {
  const std::unique_lock lock(state.state_mutex);
  for (const auto& [number, before] : input.small_segments) {
    const auto found = state.small_segments.find(number);
    if (found == state.small_segments.end()) continue;  // the entity is gone
    const uint64_t since = found->second.count - before.count;
    found->second = {};
    if (since > 0) found->second.Note(input.mark.through.Next(), since);
    const auto plan = plans.find(number);
    if (plan != plans.end() && plan->second.next != kSequenceZero) {
      found->second.Note(plan->second.next, tuning::kMergeSegmentsMin);
    }
  }
}

}  // namespace

namespace fold_key {

std::string EntityPrefix(EntityNumber entity) {
  std::string key(1, kChunkPrefix);
  AppendBigEndian32(&key, entity);
  return key;
}

std::string Chunk(EntityNumber entity, Set set, uint64_t chunk) {
  std::string key = EntityPrefix(entity);
  key.push_back(static_cast<char>(set));
  AppendBigEndian64(&key, chunk);
  return key;
}

bool ParseChunk(std::string_view key, EntityNumber* entity, Set* set, uint64_t* chunk) {
  ByteReader reader(key);
  const bool prefixed = reader.Byte() == static_cast<uint8_t>(kChunkPrefix);
  *entity = reader.BigEndian32();
  *set = static_cast<Set>(reader.Byte());
  *chunk = reader.BigEndian64();
  return prefixed && reader.Finished();
}

}  // namespace fold_key

std::string EncodeFoldMark(const FoldMark& mark) {
  std::string out;
  AppendVarint(&out, mark.through.value());
  AppendVarint(&out, mark.trimmed_through.value());
  AppendVarint(&out, mark.clock.instants().size());
  for (const FollowerClock::Instant& instant : mark.clock.instants()) {
    AppendVarint(&out, static_cast<uint64_t>(instant.wall_ms));
    AppendVarint(&out, instant.sequence.value());
  }
  AppendVarint(&out, mark.dead_rows.size());
  for (const auto& [entity, dead] : mark.dead_rows) {
    AppendVarint(&out, entity);
    AppendVarint(&out, dead);
  }
  return out;
}

Result<FoldMark> DecodeFoldMark(std::string_view bytes) {
  ByteReader reader(bytes);
  FoldMark mark;
  mark.through = reader.Sequence();
  mark.trimmed_through = reader.Sequence();
  const uint64_t instants = reader.Varint();
  for (uint64_t i = 0; i < instants && reader.ok(); ++i) {
    const auto wall_ms = static_cast<int64_t>(reader.Varint());
    mark.clock.Add({wall_ms, reader.Sequence()});
  }
  const uint64_t with_dead_rows = reader.rest().empty() ? 0 : reader.Varint();  // older marks end
  for (uint64_t i = 0; i < with_dead_rows && reader.ok(); ++i) {
    const auto entity = static_cast<EntityNumber>(reader.Varint());
    mark.dead_rows[entity] = reader.Varint();
  }
  if (!reader.Finished()) return {ErrorCode::kCorruption, "the fold mark is damaged"};
  return mark;
}

Status Fold(StoreState& state) {
  const FoldInput input = Freeze(state);
  return FoldFrozen(state, input, SyncLog(state), {});
}

Status FoldBesideCommits(StoreState& state) {
  const FoldInput input = Freeze(state);
  Status ready;
  {
    const std::lock_guard lock(state.commit_mutex);
    ready = SyncLog(state);
  }
  MergePlans merges;
  if (ready.ok()) ready = PlanMerges(state, input, &merges);
  TIDEMARK_RETURN_IF_ERROR(FoldFrozen(state, input, ready, merges));
  for (const auto& [number, merge] : merges) {
    TIDEMARK_RETURN_IF_ERROR(MergeSegments(state, merge));
  }
  NoteMerged(state, input, merges);
  return {};
}

namespace {

/// Requires state_mutex.
bool LogWantsCompaction(const StoreState& state, EntityNumber number) {
  const auto found = state.dead_rows.find(number);
  const uint64_t dead = found == state.dead_rows.end() ? 0 : found->second;
  const Liveness::Sets* sets = state.liveness.Find(number);
  const uint64_t live = sets == nullptr ? 0 : sets->live.Count();
  return dead >= tuning::kCompactDeadRows && dead >= live;
}

}  // namespace

bool WantsCompaction(const StoreState& state) {
  const auto& entities = state.catalog->all();
  return std::any_of(entities.begin(), entities.end(), [&](const auto& numbered) {
    return LogWantsCompaction(state, numbered.first);
  });
}

Status CompactLogs(StoreState& state, bool force) {
  std::vector<EntityPtr> wanted;
  {
    const std::unique_lock lock(state.state_mutex);
    for (const auto& [number, entity] : state.catalog->all()) {
      if (!force && !LogWantsCompaction(state, number)) continue;
      state.dead_rows[number] = 0;
      ++state.forgotten;
      wanted.push_back(entity);
    }
  }
  for (const EntityPtr& entity : wanted) {
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    const rocksdb::Status compacted =
        state.db->CompactRange(options, entity->log.get(), nullptr, nullptr);
    if (!compacted.ok()) return FromRocks(compacted, "compacting the log of " + entity->name);
    TIDEMARK_RETURN_IF_ERROR(MergeLog(state, entity));
    TIDEMARK_RETURN_IF_ERROR(RemoveStaleTimes(state, entity->number));
    if (!force) continue;
    const rocksdb::Status index =
        state.db->CompactRange(options, entity->index.get(), nullptr, nullptr);
    if (!index.ok()) return FromRocks(index, "compacting the index of " + entity->name);
  }
  return {};
}

}  // namespace tidemark::internal
