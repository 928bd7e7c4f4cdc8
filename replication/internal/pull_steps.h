// One pull of `SyncEntities`: pages from a provider into an entity, going on where it was
// interrupted.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "db/replacement.h"
#include "db/store.h"
#include "format/checksum.h"
#include "format/status.h"
#include "replication/sync_entities.h"

namespace tidemark::internal {

/// Where a pull stands: the row `s/` (docs/storage_format.md).
struct PullState {
  PullMode mode = PullMode::kWipe;
  Hash128 asked;     ///< checksum of what is asked for: provider, function id and range
  std::string next;  ///< where the page to be asked for begins
  uint32_t pages = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;
};

std::string EncodePullState(const PullState& state);
Result<PullState> DecodePullState(std::string_view bytes);

/// Thread-compatible.
class PullStep {
 public:
  PullStep(Store& store, const EntityPull& pull);

  /// To the end, or until it is cancelled (`kClosed`) or fails. `progress` gets totals.
  Status Run(const std::stop_token& cancelled, const std::function<void()>& progress);
  uint64_t records() const { return state_.records; }
  uint64_t bytes() const { return state_.bytes; }

 private:
  bool replaces() const { return pull_.mode == PullMode::kWipe || pull_.mode == PullMode::kRange; }
  Status Begin();
  Status BeginAnew();
  /// Nothing goes on with what arrived; what is visible stays.
  Status Forget();
  Result<ProviderPage> Ask();
  Status CheckPage(const ProviderPage& page);
  /// The state after `page`, in the same write as its rows.
  Status Take(const ProviderPage& page);
  Status StagePage(const ProviderPage& page, const WriteBatch& state);
  Status PutPage(const ProviderPage& page, const WriteBatch& state);
  Status MergePage(const ProviderPage& page, const WriteBatch& state);
  Result<WriteBatch> Merged(const ProviderPage& page) const;
  /// What was staged becomes the entity.
  Status Flip();

  Store& store_;
  const EntityPull& pull_;
  const std::string key_;
  Stage stage_;
  PullState state_;
  std::set<Hash128> cursors_;  // checksums of those seen in this run
};

}  // namespace tidemark::internal
