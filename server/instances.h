// The instances of a data root, opened when they are first asked for.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "db/runtime.h"
#include "server/instance.h"

namespace tidemark::server {

struct InstancesOptions {
  StoreOptions store;
  TellOptions tell;            ///< who is told of the outcomes of upload syncs
  Traffic* traffic = nullptr;  ///< of all instances together; outlives them
  /// Open at once; beyond it the one unused for longest is closed, and if all are in use the caller
  /// is told `kBusy`.
  size_t open_max = 64;
  /// Unused for this long, an instance is closed.
  std::chrono::milliseconds idle_max = std::chrono::minutes(10);
  /// A session that was used this recently, and may have more to hand out, keeps its instance open:
  /// closing ends sessions.
  std::chrono::milliseconds session_max = std::chrono::minutes(15);
  /// The same while another instance needs the room.
  std::chrono::milliseconds session_max_for_others = std::chrono::minutes(1);
  /// Sync operations keep their instance open until their lease runs out, and scopes that are
  /// syncing as long as they are. While another instance needs the room, a scope does so only if
  /// it changed its state this recently: nobody may speak for it any more.
  std::chrono::milliseconds scope_max_for_others = std::chrono::minutes(15);
};

/// Thread-safe. An instance is in use while someone outside holds it.
class Instances {
 public:
  Instances(std::filesystem::path root,
            InstancesOptions options,
            std::shared_ptr<Runtime> runtime,
            Executor executor);
  ~Instances();
  Instances(const Instances&) = delete;
  Instances& operator=(const Instances&) = delete;

  /// Opens it, and makes it when it is not there. First uses at the same time open it once.
  Result<std::shared_ptr<Instance>> Acquire(const std::string& name);
  /// The instance if it is open. Looking is no use of it: it closes when nobody else asks.
  std::shared_ptr<Instance> Find(const std::string& name) const;
  /// Those that are open now.
  std::vector<std::shared_ptr<Instance>> Open() const;
  size_t open_count() const;
  /// Closes what was unused for long enough.
  void CloseIdle();
  /// Opens some of the closed instances that may have outcomes to tell, while half of the room is
  /// free: a closed one tells nobody. They take turns, and make way for whoever is asked for.
  void OpenUntold();
  /// Opens instances anew that stopped writing because their disk was full, once there is room
  /// again. Until then, and if that fails, at growing intervals. To be called about once a second.
  void ReopenFull();
  /// Wakes all calls that wait: each looks again at what it waits for.
  void WakeAll();
  /// Lets all go that wait, now and from now on: the server stops.
  void StopWaiting();
  /// Requires that nobody holds an instance.
  void CloseAll();

 private:
  enum class Reason : uint8_t { kIdle, kRoomNeeded };
  struct Slot {
    std::mutex mutex;  // held while opening and closing
    std::shared_ptr<Instance> instance;
    MonotonicTime last_use;
    // While its disk was full.
    std::optional<MonotonicTime> leaving_since;  // it is to be closed, so nobody gets it any more
    MonotonicTime retry_at;
    std::chrono::milliseconds pause{0};
  };

  std::shared_ptr<Slot> FindSlot(const std::string& name);
  std::vector<std::shared_ptr<Slot>> Slots() const;
  Result<std::shared_ptr<Instance>> OpenIn(Slot& slot, const std::string& name);
  /// Closes the instance unless it is in use, its sessions are young or its syncs would be cut
  /// short.
  bool TryClose(Slot& slot, Reason reason);
  Status MakeRoom(const Slot& opening);
  void ReopenIfFull(Slot& slot);

  const std::filesystem::path root_;
  const InstancesOptions options_;
  const std::shared_ptr<Runtime> runtime_;
  const Executor executor_;
  mutable std::mutex mutex_;  // never held while an instance opens or closes
  std::map<std::string, std::shared_ptr<Slot>> slots_;
  std::deque<std::string> untold_;  // closed ones that may have outcomes to tell; each once
  bool stopping_ = false;
};

}  // namespace tidemark::server
