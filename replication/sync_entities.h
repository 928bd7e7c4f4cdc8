// Syncing several entities as one call (seed 001, sync-entities): pulls from providers, such as
// REST services, and pushes to them, side by side, each step told by `_syncStatus` and
// `_syncScope`.
//
//   tidemark::EntityPull customers{.entity = "customer", .member = "crm",
//                                  .pull = [&](const std::string& from) { return crm.List(from);
//                                  }};
//   auto result = tidemark::SyncEntities(store, *tracker, {.scope = "start-up", .pulls =
//   {customers}});
//
// What replaces (`kWipe`, `kRange`) becomes visible in one step, when the last page has arrived: no
// reader ever sees the entity empty or half. What adds (`kMerge`, `kUpsert`) is visible page by
// page. A sync that was cancelled or killed changes nothing more, reads as interrupted, and goes on
// at the page after the last one that arrived, if the same is asked for: entity, member, mode,
// provider, function id and range. Otherwise it begins at the first page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/record.h"
#include "format/status.h"
#include "replication/sync_tracker.h"

namespace tidemark {

// Public limits (docs/limits.md).
inline constexpr size_t kProviderPageRowsMax = 1000;
inline constexpr size_t kProviderCursorBytesMax = 64 * 1024;
inline constexpr size_t kProviderPagesMax = 100'000;
inline constexpr size_t kSyncEntitiesThreadsMax = 16;

struct ProviderRow {
  RecordId id = "";
  std::string value;
  ValueKind kind = ValueKind::kJson;
};

/// Some of what a provider has.
struct ProviderPage {
  std::vector<ProviderRow> rows;  ///< at most 1,000; of an id that comes twice the last one counts
  std::string next;               ///< where the page after it begins; empty: it is the last one
};

/// What becomes of the records that an entity has.
enum class PullMode : uint8_t {
  kWipe,   ///< the entity is what the provider has, and nothing else
  kRange,  ///< the same for the records in a range; all others stay, unless the provider has them
  /// Rows change the members of JSON objects that they have; everything else stays. A value that is
  /// no JSON object replaces, or is replaced, as a whole. One of kind JSON that is none, or has
  /// numbers beyond 64 bits, ends the pull with `kMalformedJson`, which names the record.
  kMerge,
  kUpsert,  ///< rows replace records as a whole; all others stay
};

struct EntityPull {
  std::string entity;
  std::string member;         ///< of sync scopes; steps with the same one are one sync
  std::string provider = {};  ///< as `_syncStatus` shows it, like the function id
  std::string function_id = {};
  PullMode mode = PullMode::kWipe;
  /// What is asked for, where that is not all ("north", "since 2024-05"): an interrupted pull goes
  /// on only with the same text. `kRange` without it always begins at the first page.
  std::string range = {};
  /// More of them are `kTooLarge`, and so the provider is asked no more; 1 to `kProviderPagesMax`.
  size_t pages_max = kProviderPagesMax;
  /// `kRange`: whether a record is in the range. Must be short, and must not call the store.
  std::function<bool(const Record& record)> in_range = {};
  /// Whether the id is one that the application made until the provider gives another: such
  /// records stay, whatever the mode. The same rules.
  std::function<bool(std::string_view id)> is_temporary = {};
  /// The page that begins at `from`, empty for the first one. Called by one thread at a time, and
  /// after an interruption with what the newest page that arrived called `next`; `kTrimmed` if that
  /// means nothing any more: then it is asked for everything again. A `next` that came before ends
  /// the pull with `kInvalidArgument`.
  std::function<Result<ProviderPage>(const std::string& from)> pull;
};

struct EntityPush {
  std::string entity;
  std::string member;
  std::string provider = {};
  std::string function_id = {};
  /// Sends what is to be sent; tells how far it is by `progress`.
  std::function<Status(const std::function<void(uint64_t records, uint64_t bytes)>& progress)> push;
};

struct SyncEntitiesOptions {
  std::string scope = {};  ///< started with all members; empty: none, or one that is started
  std::vector<EntityPush> pushes = {};
  std::vector<EntityPull> pulls = {};
  size_t threads = 4;              ///< steps at work at once, 1 to 16
  std::stop_token cancelled = {};  ///< asked between pages
};

struct EntitySyncOutcome {
  enum class Direction : uint8_t { kPush, kPull };
  Direction direction = Direction::kPull;
  std::string entity;
  std::string member;
  Status status;  ///< `kClosed`: it was cancelled
  uint64_t records = 0;
  uint64_t bytes = 0;
};

/// Runs the pushes, then the pulls; the pull of an entity whose push failed is left out, since it
/// might wipe what was not sent. One outcome for each step, in their order. Errors are of the call
/// itself: `kInvalidArgument` for steps that are no good, `kConflict` while the scope is syncing,
/// those of the tracker. One sync of an entity by a member at a time.
Result<std::vector<EntitySyncOutcome>> SyncEntities(Store& store,
                                                    SyncTracker& tracker,
                                                    const SyncEntitiesOptions& options);

}  // namespace tidemark
