// The device side: a store that applies pages of a source. A page is checked, then applied in one
// write batch with the position that follows it, so that a page that is lost, repeated or cut short
// by a crash costs a resend and nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "db/store.h"
#include "format/status.h"
#include "replication/sync_tracker.h"
#include "replication/transport.h"

namespace tidemark {

struct ReplicaOptions {
  StoreOptions store = {};
  PageOptions page{.records_max = 1000};  ///< of every queue: a pull drains all, by importance
  /// Pages acknowledged together; the last ones are always acknowledged at the end.
  size_t pages_per_ack = 1;
};

/// The member that pulls are to sync scopes; statuses are `pull:<entity>`.
inline constexpr std::string_view kPullMember = "pull";

/// What a page said that was not known here, by the words of its instructions (contract 7).
struct ApplyResult {
  uint64_t created = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;
  uint64_t unchanged = 0;  ///< applied already: a repetition
  std::string token;       ///< acknowledge it: the page is durable here
};

struct PullProgress {
  std::string queue = {};      ///< that is drained: the declared ones by importance, then `main`
  uint64_t queue_records = 0;  ///< of that queue
  uint64_t queue_owed = 0;     ///< the same, in all; of `main`, what the others do not have
  uint64_t records = 0;
  uint64_t owed = 0;
  uint64_t pages = 0;
  uint64_t bytes = 0;
};

struct PullResult {
  bool nothing_owed = false;
  bool reset = false;
  uint64_t pages = 0;
  uint64_t bytes = 0;
  uint64_t created = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;    ///< by instructions, and by a reset that did not list them
  uint64_t unchanged = 0;  ///< instructions that were applied already
  std::vector<Gap> gaps;
};

/// Thread-safe; calls are serialised. Reads go to `store()`, at any time.
class Replica {
 public:
  /// `kConflict` for a store that is no replica and holds records; from its first opening on only
  /// pulls change records there (`Store::BecomeReplica`). `kWrongDevice` for another device's.
  static Result<std::unique_ptr<Replica>> Open(const std::filesystem::path& directory,
                                               std::string_view device,
                                               const ReplicaOptions& options = {},
                                               std::shared_ptr<Runtime> runtime = nullptr);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  Hello MakeHello() const;
  /// The session whose pages come next; needed before the first `Apply` of it.
  Status BeginSession(const SessionInfo& session);
  /// Verifies, then applies, a page in one durable step. `kWrongDevice`, `kStalePage` and
  /// `kMalformedBatch` leave everything as it was.
  Result<ApplyResult> Apply(std::string_view page);
  /// The session is drained: ends a reset by dropping what it did not list, keeps the position.
  Status FinishSession();

  /// One whole sync: start, pages, acks. Resumes whatever was cut short before.
  Result<PullResult> Pull(Transport& transport,
                          const std::function<void(const PullProgress&)>& progress = {});

  Store& store();
  const std::string& device() const;
  /// Sync scopes and statuses of this replica. Each `Pull` is a run of the member `pull`.
  SyncTracker& tracker();

 private:
  class Impl;
  explicit Replica(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
