// An instance as served: its store, and what works on it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "db/runtime.h"
#include "db/store.h"
#include "format/status.h"
#include "replication/source.h"
#include "replication/sync_tracker.h"
#include "replication/upload.h"
#include "server/conversations.h"
#include "server/waiters.h"
#include "server/webhooks.h"

namespace tidemark::server {

/// Thread-safe. Open for as long as someone holds it.
class Instance {
 public:
  /// Who waits is woken by `executor`, or by a thread of the instance. Outcomes of upload syncs are
  /// told to `webhook`, if it has a URL.
  static Result<std::shared_ptr<Instance>> Open(const std::string& name,
                                                const std::filesystem::path& directory,
                                                const StoreOptions& options,
                                                std::shared_ptr<Runtime> runtime,
                                                Executor executor = {},
                                                const WebhookOptions& webhook = {});
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const std::string& name() const { return name_; }
  Store& store() { return *store_; }
  Source& source() { return *source_; }
  Uploads& uploads() { return *uploads_; }
  /// Sync scopes and statuses; upload syncs are the member `upload`.
  SyncTracker& tracker() { return *tracker_; }
  /// Calls that wait for a commit. Stop them before letting go of the instance.
  Waiters& waiters() { return *waiters_; }
  Conversations& conversations() { return *conversations_; }

 private:
  Instance() = default;

  std::string name_;
  std::unique_ptr<Store> store_;  // first: all others work on it, and are destroyed before it
  std::unique_ptr<Source> source_;
  std::unique_ptr<SyncTracker> tracker_;
  std::unique_ptr<Uploads> uploads_;  // tells the tracker
  std::unique_ptr<Conversations> conversations_;
  std::unique_ptr<Waiters> waiters_;
  std::unique_ptr<Webhooks> webhooks_;  // null: nobody is told
};

}  // namespace tidemark::server
