#include "db/internal/kept_times.h"

#include <memory>
#include <vector>

#include "db/internal/commit_group.h"
#include "db/internal/rocks_status.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

/// Rows that are looked at while commits wait.
constexpr size_t kRowsAtATime = 10'000;

bool IsCurrent(const StoreState& state, EntityNumber entity, SequenceNumber head) {
  const std::shared_lock lock(state.state_mutex);
  return state.liveness.IsLive(entity, head) || state.liveness.IsTombstone(entity, head);
}

}  // namespace

std::string EncodeKeptTime(const KeptTime& kept) {
  std::string row;
  AppendVarint(&row, kept.head.value());
  AppendBigEndian64(&row, static_cast<uint64_t>(kept.time));
  return row;
}

Result<KeptTime> DecodeKeptTime(std::string_view row) {
  ByteReader reader(row);
  KeptTime kept;
  kept.head = reader.Sequence();
  kept.time = static_cast<int64_t>(reader.BigEndian64());
  if (!reader.Finished()) return {ErrorCode::kCorruption, "the row of a writer's time is damaged"};
  return kept;
}

Status RemoveStaleTimes(StoreState& state, EntityNumber entity) {
  const std::string prefix = row_key::WriterTime(entity, {});
  std::string next = prefix;
  while (!next.empty()) {
    const std::lock_guard lock(state.commit_mutex);  // nobody gives a row another version
    TIDEMARK_RETURN_IF_ERROR(state.write_error);
    const std::unique_ptr<rocksdb::Iterator> rows(
        state.db->NewIterator(rocksdb::ReadOptions(), state.rows.get()));
    std::vector<JoinedRow> stale;
    size_t looked_at = 0;
    for (rows->Seek(next); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
      if (++looked_at > kRowsAtATime) break;
      TIDEMARK_ASSIGN_OR_RETURN(const KeptTime kept,
                                DecodeKeptTime({rows->value().data(), rows->value().size()}));
      if (IsCurrent(state, entity, kept.head)) continue;
      stale.push_back({state.rows.get(), rows->key().ToString(), std::nullopt});
    }
    next = looked_at > kRowsAtATime ? rows->key().ToString() : std::string();
    TIDEMARK_RETURN_IF_ERROR(FromRocks(rows->status(), "reading writers' times"));
    if (stale.empty()) continue;
    CommitGroup group(state);
    group.Join(stale);
    TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/false));
    group.Publish();
  }
  return {};
}

}  // namespace tidemark::internal
