// An instance as served: its store, and what works on it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "db/runtime.h"
#include "db/store.h"
#include "format/status.h"
#include "replication/id_pool.h"
#include "replication/source.h"
#include "replication/sync_tracker.h"
#include "replication/upload.h"
#include "server/conversations.h"
#include "server/mails.h"
#include "server/outcomes.h"
#include "server/raw_pages.h"
#include "server/sync_operations.h"
#include "server/traffic.h"
#include "server/waiters.h"
#include "server/webhooks.h"

namespace tidemark::server {

/// Who is told of the outcomes of upload syncs: whatever has a URL.
struct TellOptions {
  WebhookOptions webhook;
  MailOptions mail;
  DeliveryOptions delivery;

  bool anyone() const { return !webhook.url.empty() || !mail.server.url.empty(); }
};

/// Thread-safe. Open for as long as someone holds it.
class Instance {
 public:
  /// Who waits is woken by `executor`, or by a thread of the instance. Its traffic counts as that
  /// of `whole` as well.
  static Result<std::shared_ptr<Instance>> Open(const std::string& name,
                                                const std::filesystem::path& directory,
                                                const StoreOptions& options,
                                                std::shared_ptr<Runtime> runtime,
                                                Executor executor = {},
                                                const TellOptions& tell = {},
                                                Traffic* whole = nullptr);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const std::string& name() const { return name_; }
  Store& store() { return *store_; }
  Source& source() { return *source_; }
  Uploads& uploads() { return *uploads_; }
  /// Sync scopes and statuses; upload syncs are the member `upload`.
  SyncTracker& tracker() { return *tracker_; }
  /// What applications report of their own syncs.
  SyncOperations& sync_operations() { return *sync_operations_; }
  IdPools& id_pools() { return *id_pools_; }
  RawPages& raw_pages() { return *raw_pages_; }
  /// Calls that wait for a commit. Stop them before letting go of the instance.
  Waiters& waiters() { return *waiters_; }
  Conversations& conversations() { return *conversations_; }
  /// What was asked of it since it was opened.
  Traffic& traffic() { return *traffic_; }
  /// Outcomes that wait to be told.
  size_t untold() const;

 private:
  Instance() = default;
  Status Tell(OutcomeChannel channel, const DeliveryOptions& options);

  std::string name_;
  std::unique_ptr<Traffic> traffic_;
  std::unique_ptr<Store> store_;  // first: all others work on it, and are destroyed before it
  std::unique_ptr<Source> source_;
  std::unique_ptr<SyncTracker> tracker_;
  std::unique_ptr<SyncOperations> sync_operations_;
  std::unique_ptr<Uploads> uploads_;  // tells the tracker
  std::unique_ptr<IdPools> id_pools_;
  std::unique_ptr<RawPages> raw_pages_;
  std::unique_ptr<Conversations> conversations_;
  std::unique_ptr<Waiters> waiters_;
  std::vector<std::unique_ptr<Outcomes>> outcomes_;  // one for each channel
};

}  // namespace tidemark::server
