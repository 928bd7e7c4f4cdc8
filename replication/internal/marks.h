// What one device has, as far as its source knows: the pure unit of replication. No I/O, no locks,
// no clock. What is owed, how it is labelled, what handing out, acknowledgements, settled sessions
// and changed selections do, and which tombstones are still needed, is decided here and only here.
//
// The idea. A device at rest is a floor: at sequence `floor` it held exactly what `floor_selection`
// held, so the floor *speaks for* every life [birth, death) with birth <= floor < death in a part
// of that selection. Since the floor was set there are exceptions, as sets of births:
//
//   served        handed out since (the floor speaks for these no more)
//   acknowledged  and the device said that it has them; a subset of served
//   discharged    births at or below the floor that the device is known to have lost
//
// and as sets of heads: `heads`, acknowledged versions above `drained_through`, at or below which
// nothing is owed but in the parts of `seen`. A life is *held* if it is in `served` or the floor
// speaks for it: the device may have it. It is *acknowledged* if it is in `acknowledged` or the
// floor speaks for it: the device surely has it.
//
// A part is an entity, or a value of a declared key of one. A life is in its entity from birth to
// death, and in a value while it has it: a *stay* [from, until) within the life. So the floor
// speaks for a life through any of its stays that covers the floor, in a part of the floor's
// selection. The ended stays of an id are noted with its newest row, as ended lives are, and so
// found in the order of heads, wherever the record is now.
//
// A selection is state, not marks: `seen` collects the parts in which any session since the floor
// differed from the floor's selection. Granting and revoking costs one reference.
//
// Invariants
//   - Handing out is one step under the device's lock: fence, marks and the page's row together,
//     durable before the page leaves.
//   - One instruction for an id and session; the places of a page's instructions increase.
//   - An instruction voids the outstanding ones of the other kind for the lives it names. Within
//     one kind any order of acknowledgements is right.
//   - A session whose view was handed out, with nothing withheld, and whose pages are acknowledged
//     *settles*: its cut and the cut's selection become the floor, and the exceptions go.
//
// A device's own writes are exceptions like any other: what it wrote it has, and has acknowledged;
// what it deleted it has lost. Those above the newest session's cut are remembered besides, for
// when that session settles, the new floor knows nothing of them:
//
//   own_lives   births of which the device wrote a version above the cut
//   own_losses  births that it deleted, or replaced by a new life, above the cut
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "db/change_log.h"
#include "format/batch.h"
#include "format/sequence.h"
#include "format/sequence_set.h"
#include "format/status.h"
#include "replication/internal/instruction.h"
#include "replication/internal/marks_journal.h"
#include "replication/internal/outstanding.h"
#include "replication/selection.h"

namespace tidemark {

/// What the log holds for one id at a cut: its live version, or the tombstone of its last life.
struct EntryState {
  EntityNumber entity = 0;
  SequenceNumber head;
  bool live = false;
  SequenceNumber birth;                   ///< of the life that lasts; live entries only
  std::span<const EndedStay> ended = {};  ///< stays that ended and may still matter, those of one
                                          ///< life together; a tombstone's own life is among them
  std::span<const OpenStay> stays = {};   ///< values of keys that the record has; live entries only
};

/// The entry is live in some part of the selection.
bool Shows(const Selection& selection, const EntryState& entry);

/// What may be done with an entry of a session's view right now.
enum class Verdict : uint8_t {
  kNothing,   ///< the device needs nothing, or no longer
  kHandOut,   ///< goes into the page
  kWithheld,  ///< owed at the cut, but the selection changed since: the next session tells
};

/// What became of one acknowledged version.
enum class AckOutcome : uint8_t {
  kApplied,
  kRepeated,   ///< acknowledged before, or its session settled
  kOvertaken,  ///< a later instruction of the other kind was handed out for its life
  kUnknown,    ///< never handed out
};

/// What to read of one entity for a session, in order of heads.
struct ReadRange {
  EntityNumber entity = 0;
  SequenceNumber live_after;        ///< live entries with heads above it; see `live`
  SequenceNumber tombstones_after;  ///< tombstones with heads above it; see `tombstones`
  bool live = false;                ///< live entries are needed
  bool tombstones = false;          ///< tombstones are needed
  bool all_live_owed = false;       ///< every live entry of the range is owed: count, do not read
  bool holds_floor = false;         ///< an owed live entry of the range holds `drained_through`
};

/// Counts what a session owes, exactly, and finds how far `drained_through` may move.
class OwedTally {
 public:
  void Add(const Instruction& instruction);
  /// `count` live entries of a range with `all_live_owed`, none of them read. `lowest` is the head
  /// of the first, or any number between it and the range's start.
  void AddWhole(const ReadRange& range, uint64_t count, SequenceNumber lowest);

  uint64_t count() const { return count_; }
  /// Lowest place that holds `drained_through`; kSequenceLimit if none does.
  SequenceNumber lowest() const { return lowest_; }

 private:
  uint64_t count_ = 0;
  SequenceNumber lowest_ = kSequenceLimit;
};

/// A durable row of a device's marks: the key is relative to the device, no value means deletion.
struct MarksRow {
  std::string key;
  std::optional<std::string> value;
};

/// A version that a device wrote itself, or a life that it ended (contract 36).
struct OwnWrite {
  SequenceNumber head;                     ///< of the write; above every earlier cut
  bool live = false;                       ///< false: the device deleted the record
  SequenceNumber birth;                    ///< of the life that was written, or ended
  std::vector<SequenceNumber> older = {};  ///< other lives of the id: the device lost them
};

/// The marks of one device. Thread-compatible: one lock for a device, held over each call and the
/// commit of its rows. After every change, `TakeRows` has what must become durable; if that fails,
/// drop the object and load it again. At rest it owns no memory beside its two selections.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): assignment by value copies or moves
class DeviceMarks {
 public:
  /// A device that was never seen: it is owed everything in `selection`.
  explicit DeviceMarks(Selection selection = Selection::Everything());
  DeviceMarks(const DeviceMarks& other);
  DeviceMarks(DeviceMarks&&) noexcept;
  DeviceMarks& operator=(DeviceMarks other) noexcept;
  ~DeviceMarks();

  // Selections.

  /// In force from now on: later pages obey it, the next session fills what it grants.
  void Select(Selection selection);
  const Selection& selection() const { return selection_; }

  // Sessions.

  /// Leaves out the next `count` session numbers: another history may have used them.
  void SkipSessions(uint64_t count);
  /// Begins a session, which fences the older one, and returns its number. The cut must be pinned
  /// and durable, and no lower than any earlier one.
  uint64_t StartSession(SequenceNumber cut);
  /// What to read for the newest session; nullopt: nothing of this entity. Ask for every entity
  /// there is or was, dropped ones included.
  std::optional<ReadRange> Range(EntityNumber entity) const;
  /// The parts of an entity of which alone the newest session may owe anything; nullopt: all of
  /// `Range` has to be read.
  std::optional<std::vector<PartBound>> PartsToRead(EntityNumber entity) const;
  /// What the newest session owes about an entry of its view; nullopt: nothing.
  std::optional<Instruction> Owed(const EntryState& entry) const;
  /// Moves `drained_through` up to what was found at the session's start, before the first page.
  void AdvanceFloor(const OwedTally& tally);

  /// `Owed`, checked against the selection in force, for entries that the session did not hand out
  /// yet: that is for the caller to know. `*instruction` means something for `kHandOut` only. Note
  /// what is withheld, or the session claims to have told it.
  Verdict Examine(const EntryState& entry, Instruction* instruction) const;

 private:
  struct Open;  // whatever a device at rest does not have

 public:
  /// `Examine` for many live entries of one entity that have no ended stays, for a device that sees
  /// it as a whole. Valid until the marks change.
  class LiveExaminer {
   public:
    /// `*op` is the label, and means something for `kHandOut` only.
    Verdict operator()(SequenceNumber head, SequenceNumber birth, RowOp* op) const {
      const bool head_acknowledged = head <= last_head_ && IsHeadAcknowledged(head);
      const bool acknowledged = birth <= floor_ ? floor_is_whole_ || IsAcknowledged(birth)
                                                : birth <= last_birth_ && IsAcknowledged(birth);
      const bool current = head_acknowledged || head <= drained_through_;
      if (acknowledged ? current : head_acknowledged) return Verdict::kNothing;
      *op = acknowledged ? RowOp::kUpdated : RowOp::kCreated;
      return selected_now_ ? Verdict::kHandOut : Verdict::kWithheld;
    }

   private:
    friend class DeviceMarks;
    LiveExaminer(const DeviceMarks& marks, EntityNumber entity);
    bool IsAcknowledged(SequenceNumber birth) const;
    bool IsHeadAcknowledged(SequenceNumber head) const;

    const Open& open_;
    SequenceNumber drained_through_;
    SequenceNumber floor_;       // zero where the floor says nothing
    SequenceNumber last_head_;   // above it none is acknowledged but by this session's own pages
    SequenceNumber last_birth_;  // the same
    bool floor_is_whole_;        // it speaks for every life at or below it
    bool selected_now_;
  };
  /// nullopt: the session does not show the whole entity, so that each entry has to be looked at.
  std::optional<LiveExaminer> ExamineLive(EntityNumber entity) const;

  void NoteWithheld();
  /// Records a page of instructions, just examined under the same lock, as served. Errors:
  /// `kSuperseded` for an older session, `kSessionExpired` when the session was closed. Pages must
  /// increase within a session, places within a page.
  Status HandOut(uint64_t session, uint64_t page, std::span<const Instruction> instructions);
  /// The whole view was handed out. The session settles now, or with its last acknowledgement.
  void FinishDrain(uint64_t session);
  /// The view is gone: idle for too long, or the server restarted.
  void CloseSession();

  AckOutcome Acknowledge(const AckKey& key);
  /// Everything of the page that is still outstanding; nullopt: nothing is.
  std::optional<uint64_t> AcknowledgePage(uint64_t session, uint64_t page);

  /// Nothing is owed of what the device wrote. The selection in force shows a live version, and
  /// pages of the open session leave the id out from now on.
  void NoteOwnWrite(const OwnWrite& write);

  /// Forgets everything: the next session is told to drop what is not listed, and so is every one
  /// after it until one settles.
  void Reset();
  bool reset_pending() const { return reset_pending_; }

  // Questions.

  bool AtRest() const;
  /// True if its newest session settled: it is at rest, or wrote something since.
  bool Settled() const;
  /// True if the device surely holds nothing: nothing was handed out to it since it began, or since
  /// a reset.
  bool HoldsNothing() const;
  SequenceNumber floor() const { return floor_; }
  const Selection& floor_selection() const { return floor_selection_; }
  SequenceNumber drained_through() const { return drained_through_; }
  /// Number of the newest session; zero before the first.
  uint64_t session() const { return session_; }
  bool session_open() const;
  SequenceNumber session_cut() const;
  /// The entry is live in some part of what the newest session's cut selects.
  bool ShownAtCut(const EntryState& entry) const;
  uint64_t outstanding() const;  ///< instructions handed out and not acknowledged
  /// The device may have the life of which this is a stay, as far as the stay tells.
  bool Held(EntityNumber entity, const EndedStay& stay) const;
  bool Acknowledged(EntityNumber entity, const EndedStay& stay) const;
  /// The same of a live entry's own life, by all of its stays.
  bool HoldsLasting(const EntryState& entry) const;
  bool HasLasting(const EntryState& entry) const;
  /// True if a tombstone, or the note on a live entry, is still needed for `stay`.
  bool Keeps(EntityNumber entity, const EndedStay& stay) const;
  /// Of the events of `entity` at or below `through`, all of them in `events`: how many the device
  /// is not known to have, and the first of them. Zero for a device without a session.
  struct Lack {
    uint64_t count = 0;
    SequenceNumber first;
  };
  Lack Lacks(EntityNumber entity, const SequenceSet& events, SequenceNumber through) const;
  /// What was handed out about these lives and is not acknowledged, oldest first. `births`
  /// increase.
  std::vector<OutstandingPages::Place> Unacknowledged(std::span<const SequenceNumber> births) const;
  size_t MemoryBytes() const;

  // Storing.

  /// The rows that changed since they were last taken.
  std::vector<MarksRow> TakeRows();
  /// Rebuilds marks from all rows of a device, in any order. The session is closed. `kCorruption`
  /// names the row.
  static Result<DeviceMarks> Load(std::span<const MarksRow> rows);

 private:
  Open& Exceptions();
  bool FindOwed(const EntryState& entry, Instruction* instruction) const;
  // Questions too bring the sets up to date: they need the device's lock like any other call.
  void MergeBacklog() const;
  bool SeesValuesOf(EntityNumber entity) const;
  bool IsException(SequenceNumber birth) const;
  bool FloorSpeaksThrough(EntityNumber entity, const EndedStay& stay) const;
  bool FloorSpeaksForLasting(const EntryState& entry) const;
  void CollectEndedHeld(const EntryState& entry, std::vector<SequenceNumber>* births) const;
  bool IsShownOutsideSeen(const EntryState& entry) const;
  std::optional<RowOp> LabelOf(bool acknowledged,
                               SequenceNumber head,
                               bool head_acknowledged) const;
  void VoidOvertaken(std::span<const Instruction> instructions);
  void HandOutLater(uint64_t session, uint64_t page);
  void HandOutNow(std::span<const Instruction> instructions);
  void HandOutDeleted(const Instruction& instruction);
  uint64_t AcknowledgeLater(uint64_t page);
  uint64_t AcknowledgeNow(uint64_t session, uint64_t page);
  void ApplyAcks(std::span<const Instruction> rows);
  void Discharge(SequenceNumber birth);
  bool CanSettle() const;
  void SettleIfDone();
  void Settle();
  void KeepOwnWrites();
  void ForgetExceptions();
  void AppendSetRows(std::vector<MarksRow>* rows);
  Status ReplayJournal();
  Status LoadRow(const MarksRow& row);
  Status LoadHeader(std::string_view bytes);
  std::string EncodeHeader() const;

  SequenceNumber drained_through_;  // W
  SequenceNumber floor_;            // F
  Selection floor_selection_;       // what the floor speaks for
  Selection selection_;             // in force
  uint64_t session_ = 0;            // the fence
  bool reset_pending_ = false;
  bool header_dirty_ = true;
  std::unique_ptr<Open> open_;
};

/// The floors of many devices at rest, for purge: one search a distinct selection answers for all.
/// Build, then ask. Thread-compatible.
class RestingFloors {
 public:
  /// Requires `marks.AtRest()`.
  void Add(const DeviceMarks& marks);
  /// Call once, after the last `Add`.
  void Seal();
  /// True if some device at rest surely holds the life of which this is a stay.
  bool Keeps(EntityNumber entity, const EndedStay& stay) const;

 private:
  std::unordered_map<Selection, std::vector<SequenceNumber>> floors_;
};

}  // namespace tidemark
