#include "db/replacement.h"

#include "db/internal/replacement.h"
#include "db/internal/staged_merge.h"
#include "db/internal/staging.h"
#include "db/internal/store_impl.h"

namespace tidemark {

using internal::StagedMerge;
using internal::StagedPage;
using internal::StagedRun;
using internal::StagingReader;

Status Stage::PutPage(std::string_view entity,
                      uint32_t page,
                      const std::vector<StagedRow>& rows,
                      const WriteBatch& joined,
                      const CommitOptions& options) {
  internal::StoreState& state = store_.impl().state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  TIDEMARK_RETURN_IF_ERROR(internal::CheckNoReplica(state));
  lookups_.clear();
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<internal::JoinedRow> staged,
                            internal::EncodePage(state, stage_, entity, page, rows));
  return store_.impl().committer.Commit(joined, options, staged).status();
}

Result<std::string> Stage::GetPage(std::string_view entity, uint32_t page) const {
  const StagingReader reader(store_.impl().state, stage_);
  TIDEMARK_ASSIGN_OR_RETURN(const StagedPage staged, reader.FindPage(entity, page));
  BatchBuilder builder;
  const uint16_t name = builder.Entity(entity);
  TIDEMARK_RETURN_IF_ERROR(reader.VisitPage(entity, staged, [&](const StagedRow& row) {
    BatchRow encoded;
    encoded.entity = name;
    encoded.id_form = row.id_form;
    encoded.value_kind = row.value_kind;
    encoded.sequence = SequenceNumber(uint64_t{row.row} + 1);
    encoded.id = row.id;
    encoded.value = row.value;
    builder.Add(encoded);
    return true;
  }));
  return builder.Finish({.kind = BatchKind::kUpload, .page = page});
}

Status Stage::ForEachRow(
    std::string_view entity,
    const std::function<bool(uint32_t page, const StagedRow& row)>& visit) const {
  const StagingReader reader(store_.impl().state, stage_);
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader.Pages(entity));
  bool more = true;
  for (const StagedPage& page : pages) {
    TIDEMARK_RETURN_IF_ERROR(reader.VisitPage(
        entity, page, [&](const StagedRow& row) { return more = visit(page.page, row); }));
    if (!more) break;
  }
  return {};
}

Result<bool> Stage::ContainsId(std::string_view entity, std::string_view id) const {
  auto found = lookups_.find(entity);
  if (found == lookups_.end()) {
    const std::string name(entity);
    const StagingReader reader(store_.impl().state, stage_);
    const std::vector<std::pair<uint32_t, uint32_t>> skip_nothing;
    TIDEMARK_ASSIGN_OR_RETURN(const auto merge, StagedMerge::Open(reader, name, skip_nothing));
    TIDEMARK_ASSIGN_OR_RETURN(auto run, StagedRun::Build(store_.impl().state, "lookup", *merge));
    found = lookups_.emplace(name, std::move(run)).first;
  }
  return found->second->Contains(id);
}

std::vector<uint32_t> Stage::Pages(std::string_view entity) const {
  const auto pages = StagingReader(store_.impl().state, stage_).Pages(entity);
  std::vector<uint32_t> numbers;
  if (!pages.ok()) return numbers;
  for (const StagedPage& page : *pages) numbers.push_back(page.page);
  return numbers;
}

std::vector<std::string> Stage::Entities() const {
  auto names = StagingReader(store_.impl().state, stage_).Entities();
  return names.ok() ? std::move(*names) : std::vector<std::string>{};
}

Result<std::map<std::string, ReplaceCounts>> Stage::DryRun(
    const std::vector<ReplacePlan>& plans) const {
  internal::ReplaceRequest request;
  request.stage = stage_;
  request.plans = plans;
  request.dry_run = true;
  return internal::Replace(store_.impl().state, request);
}

Result<std::map<std::string, ReplaceCounts>> Stage::Apply(
    const std::vector<ReplacePlan>& plans,
    const std::function<Status(const std::map<std::string, ReplaceCounts>&, WriteBatch&)>& join,
    const std::function<void(uint64_t done, uint64_t total)>& progress) {
  internal::ReplaceRequest request;
  request.stage = stage_;
  request.plans = plans;
  request.join = join;
  request.progress = progress;
  return internal::Replace(store_.impl().state, request);
}

Status Stage::Discard() {
  internal::StoreState& state = store_.impl().state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  lookups_.clear();
  return internal::DiscardStage(state, stage_);
}

}  // namespace tidemark
