// A device as its source keeps it: marks, descriptor, and the session that is open.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "db/change_log.h"
#include "db/runtime.h"
#include "db/write_batch.h"
#include "replication/internal/marks.h"
#include "replication/internal/session_view.h"
#include "replication/selection_rule.h"

namespace tidemark {

/// What a device's descriptor row says; its marks have rows of their own.
struct DeviceDescriptor {
  std::string id;
  uint32_t number = 0;  ///< names the device in tokens and row keys; never reused
  uint64_t epoch = 0;   ///< `EpochTag` of the epoch that its marks belong to
  bool forgotten = false;
  SelectionRule rule;                  ///< what it is granted; entities may not exist yet
  std::optional<SelectionRule> limit;  ///< of the token that its newest session began with
  std::string incarnation;             ///< of the replica that started last; empty on plain wires
  uint64_t acked_session = 0;          ///< newest page that a page token acknowledged
  uint64_t acked_page = 0;
};

std::string EncodeDescriptor(const DeviceDescriptor& descriptor);
Result<DeviceDescriptor> DecodeDescriptor(std::string_view bytes);

/// Keys of a device's rows, among the rows of upper layers.
inline constexpr std::string_view kDescriptorPrefix = "D/";
inline constexpr std::string_view kMarksPrefix = "d/";
std::string DescriptorKey(std::string_view id);
std::string MarksKey(uint32_t number, std::string_view row);

/// Events that were trimmed while the device was owed them, and of which it was not told yet.
struct PendingGap {
  std::string entity;
  SequenceRange range;
  uint64_t count = 0;
};
using PendingGaps = std::map<EntityNumber, PendingGap>;

std::string EncodeGap(const PendingGap& gap);
Result<PendingGap> DecodeGap(std::string_view bytes);
inline constexpr std::string_view kGapsPrefix = "g/";
std::string GapKey(uint32_t device, EntityNumber entity);
/// The device and the entity of a key; nullopt: it is none of a gap.
std::optional<std::pair<uint32_t, EntityNumber>> ParseGapKey(std::string_view key);

/// A mutex that knows its owner, so that a thread may find out that it holds it already.
class DeviceMutex {
 public:
  void lock() {
    mutex_.lock();
    owner_ = std::this_thread::get_id();
  }
  void unlock() {
    owner_ = std::thread::id();
    mutex_.unlock();
  }
  /// False also when the calling thread holds it.
  bool try_lock() {
    if (owner_ == std::this_thread::get_id() || !mutex_.try_lock()) return false;
    owner_ = std::this_thread::get_id();
    return true;
  }

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> owner_;
};

/// What exists only while a session's view is open.
struct OpenSession {
  std::shared_ptr<const Cut> cut;  ///< null once the session is drained
  SessionView view;
  uint64_t pages = 0;
  bool reset = false;
  std::set<std::pair<EntityNumber, std::string>> written;  ///< by the device itself, meanwhile
  PendingGaps told;  ///< by the answer that began it, until a call shows that the answer arrived
  MonotonicTime last_used;
};

struct Device {
  DeviceMutex mutex;  // held over every change and the commit of its rows
  DeviceDescriptor descriptor;
  DeviceMarks marks;
  PendingGaps gaps;
  std::vector<EntityNumber> changed_gaps;  // since they were saved
  std::optional<OpenSession> session;
  Selection resolved;             // what rule and limit come to,
  uint64_t resolved_version = 0;  // as of this version of the store's entities; zero: not known
  bool stale = false;             // a commit of its rows failed: marks must be read again

  /// What rule and limit come to now: what the device may see. Nothing where that cannot be told.
  const Selection& Resolve(const Store& store);
  /// The same for a caller with a limit of its own; null: it has none.
  Selection ResolveFor(const Store& store, const SelectionRule* caller);
  /// Puts what changed in the marks, and the descriptor if asked, into `batch`.
  void SaveTo(WriteBatch* batch, bool with_descriptor);
  /// The device has the answer that told it of gaps: what is left was trimmed since.
  void ForgetToldGaps();
  void ForgetAllGaps();
};

}  // namespace tidemark
