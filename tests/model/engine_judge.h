// Watches one device's sessions with a real source and says what the contract says about every
// answer: counts, labels, order, values, selections, settling. The device itself may be anything.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replication/source.h"
#include "tests/model/engine_oracle.h"

namespace tidemark::model {

/// What is checked when a session starts, hands out and is acknowledged. Failures are GoogleTest's.
class DeviceJudge {
 public:
  DeviceJudge(std::string id, const PlainStore& records) : id_(std::move(id)), records_(records) {}

  const std::string& id() const { return id_; }

  // What happened. Each call checks what it is told.

  /// `limit` of who asks; `queues` as declared by then, in order of importance.
  void Started(const Result<std::optional<SessionInfo>>& answer,
               SequenceNumber cut,
               bool fresh,
               const PlainSelection& limit,
               const std::vector<PlainQueue>& queues);
  /// `session` as the caller named it, of any age.
  void Read(const std::string& session,
            const PageOptions& options,
            const PlainSelection& limit,
            const Result<std::optional<Page>>& answer,
            const Source& source);
  void Acknowledged(const std::vector<std::string>& keys, const AckResult& result);
  void Selected(PlainSelection selection);
  void WasReset();
  /// The device's own write was applied, and is its to see; `live` says what it made.
  void Wrote(const RecordKey& key, SequenceNumber birth, SequenceNumber head, bool live);
  /// The source says that the newest session settled.
  void Settled() { reset_pending_ = false; }
  /// Sessions ended with the process.
  void Restarted() { current_.open = false; }

  // What is known.

  /// Instructions that a session would be owed if it started now.
  uint64_t OwedNow() const;
  /// A tombstone of this ended life is needed for the device.
  bool Needs(const RecordKey& key, const EndedStay& life) const;
  /// The newest session was read to its end and everything it handed out is acknowledged.
  bool MustHaveSettled() const;
  /// What the device holds if the newest session settled.
  std::map<RecordKey, std::string> AtCut() const;
  /// What the device holds when it lacks nothing.
  std::map<RecordKey, std::string> Now() const;
  /// Records that the device wrote since its newest session began.
  const std::set<RecordKey>& written() const { return current_.written; }
  SequenceNumber cut() const { return current_.cut; }
  bool session_open() const { return current_.open && !current_.drained; }
  bool reset_pending() const { return reset_pending_; }
  const PlainSelection& granted() const { return granted_; }
  CommonSelection selection() const { return {{granted_, limit_}}; }
  /// Page tokens and ack keys of everything ever handed out.
  const std::map<std::string, std::vector<ToldRow>>& keys() const { return told_; }
  std::vector<std::string> AckKeysOfPage(const std::string& token) const;

 private:
  struct Session {
    std::string id;
    uint64_t number = 0;
    SequenceNumber cut;
    RecordMap view;
    CommonSelection selection;
    std::set<RecordKey> owed;  // at the start
    std::set<RecordKey> handed;
    std::set<RecordKey> written;  // by the device itself, since
    std::set<std::pair<RecordKey, SequenceNumber>> unacknowledged;
    std::vector<PlainQueue> queues;
    std::map<std::string, uint64_t> left;              // by queue; of `main`, of all
    std::map<std::string, SequenceNumber> last_place;  // by the queue that was asked
    uint64_t last_page = 0;
    bool open = false;
    bool drained = false;
    bool disturbed = false;          // acknowledgements of older sessions: less may be owed
    bool selection_changed = false;  // something may have been withheld
  };

  std::optional<RowOp> OwedAtCut(const RecordKey& key) const;
  std::set<RecordKey> AllOwed(const RecordMap& view, const CommonSelection& selection) const;
  /// The queue that an instruction about `key` belongs to in the session.
  std::string QueueOf(const RecordKey& key) const;
  void CheckQueues(const SessionInfo& info);
  void ReadRow(const BatchRow& row, std::string_view entity, uint64_t page, std::string_view queue);
  void NoteLeft(const std::string& queue, uint64_t taken);
  void QueueEnded(const std::string& queue);
  void Drained();

  const std::string id_;
  const PlainStore& records_;
  DeviceOracle oracle_;
  PlainSelection granted_;
  PlainSelection limit_;      // of who started the newest session
  CommonSelection in_force_;  // for the page that is read
  bool reset_pending_ = false;
  uint64_t sessions_ = 0;  // highest number seen
  Session current_;
  std::map<std::string, std::vector<ToldRow>> told_;  // page token or ack key -> what it says
  std::map<std::string, std::vector<std::string>> ack_keys_;  // page token -> its ack keys
};

std::map<RecordKey, std::string> Select(const RecordMap& records, const CommonSelection& selection);

}  // namespace tidemark::model
