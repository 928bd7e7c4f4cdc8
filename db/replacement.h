// Replacing snapshot entities as a whole, and appending many events, in one visible step.
//
// Rows are staged page by page in any order, invisible, durable. `Apply` compares what was staged
// with each entity as it is, logs only the difference, builds the entity's next generation beside
// the current one and makes everything visible by one flip (contract 26 to 31). A crash at any
// instant leaves either the old state or the new one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/store.h"
#include "format/batch.h"
#include "format/status.h"

namespace tidemark {

namespace internal {
class StagedRun;
}  // namespace internal

/// One staged record.
struct StagedRow {
  std::string_view id;  ///< events: may be empty
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  std::string_view value;
  uint32_t row = 0;  ///< position in the page as sent
};

/// Counts of one entity. For a snapshot: created + updated + unchanged = rows after the finish.
struct ReplaceCounts {
  uint64_t created = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;
  uint64_t unchanged = 0;
  uint64_t appended = 0;
  uint64_t duplicates = 0;  ///< ids that stood on more than one row; the last one won
  uint64_t renamed = 0;     ///< events whose id was taken by other content
  bool operator==(const ReplaceCounts&) const = default;
};

/// What to do with one entity of a stage.
struct ReplacePlan {
  std::string entity = {};
  EntityKind kind = EntityKind::kSnapshot;  ///< of an entity that does not exist yet
  bool keep_unlisted = false;               ///< deletes nothing
  std::vector<std::string> keep = {};  ///< ids that stay as they are although they are not staged
  /// Of a snapshot: whether a record that is not staged stays all the same, asked about each as it
  /// is at the flip. Must be short, and must not call the store; may be asked more than once.
  std::function<bool(const Record& record)> keeps = {};
  std::optional<double> delete_share_max = {};  ///< refuse with `kDeleteGuard` beyond it
  /// Rows to leave out (page, row), sorted; set aside by reference checks.
  std::vector<std::pair<uint32_t, uint32_t>> skip = {};
};

/// Thread-compatible; several objects may work on one stage.
class Stage {
 public:
  /// The staging area `stage` of `store`; it need not exist. Distinct stages do not see each other.
  Stage(Store& store, uint64_t stage) : store_(store), stage_(stage) {}

  /// Replaces the page (entity, page) entirely and durably. At most 1,000 rows with 16 MiB, in
  /// increasing order of `row`; rows of one page may repeat an id, the last wins. `joined` and
  /// `options` commit in the same write, the precondition included.
  Status PutPage(std::string_view entity,
                 uint32_t page,
                 const std::vector<StagedRow>& rows,
                 const WriteBatch& joined = {},
                 const CommitOptions& options = {});
  /// The page as staged; kNotFound when there is none. The batch holds rows in the order of `row`;
  /// their `sequence` is `row` + 1.
  Result<std::string> GetPage(std::string_view entity, uint32_t page) const;
  /// Calls `visit` for every staged row in (page, row) order until it returns false.
  Status ForEachRow(std::string_view entity,
                    const std::function<bool(uint32_t page, const StagedRow& row)>& visit) const;
  /// True when a row with this id is staged, on any page. The first call for an entity sorts its
  /// ids; pages that other objects put after that are not seen.
  Result<bool> ContainsId(std::string_view entity, std::string_view id) const;
  std::vector<uint32_t> Pages(std::string_view entity) const;
  std::vector<std::string> Entities() const;

  /// What `Apply` would do at the present instant, without doing it.
  Result<std::map<std::string, ReplaceCounts>> DryRun(const std::vector<ReplacePlan>& plans) const;
  /// Replaces, or appends to, the entities of `plans` in one flip: all or nothing, visible at once,
  /// durable on return. An entity without a page stays as it is; one that does not exist is
  /// `kNotFound`.
  ///
  /// `join` is called with the counts just before the flip and may add rows, no operations; an
  /// error refuses everything. `progress` counts staged rows: none before it begins, then every few
  /// thousand; it begins again when commits changed what was merged. Commits may be waiting while
  /// it is called, as they are during `join`: neither may write to the store.
  Result<std::map<std::string, ReplaceCounts>> Apply(
      const std::vector<ReplacePlan>& plans,
      const std::function<Status(const std::map<std::string, ReplaceCounts>&, WriteBatch&)>& join,
      const std::function<void(uint64_t done, uint64_t total)>& progress = {});
  /// Forgets everything staged. Safe to repeat.
  Status Discard();

 private:
  Store& store_;
  uint64_t stage_;
  mutable std::map<std::string, std::shared_ptr<const internal::StagedRun>, std::less<>> lookups_;
};

}  // namespace tidemark
