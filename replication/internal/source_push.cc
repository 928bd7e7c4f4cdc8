// Pushes: a device's own writes are applied, answered one by one, and known to its marks, all in
// one commit (contract 34 to 36).
#include <algorithm>
#include <limits>

#include "format/coding.h"
#include "format/hex.h"
#include "replication/internal/carried_answers.h"
#include "replication/internal/push_evaluation.h"
#include "replication/internal/push_rows.h"
#include "replication/internal/source_impl.h"

namespace tidemark {
namespace {

using internal::KeptAnswer;
using internal::PushedRecord;
using internal::PushEvaluation;

constexpr int kPushAttempts = 3;
constexpr size_t kIncarnationBytes = 16;
constexpr uint64_t kAnyOperation = std::numeric_limits<uint64_t>::max();
constexpr size_t kFormerIncarnations = 8;
/// Ids that a device wrote while its session is open, which pages leave out; beyond it the session
/// expires.
constexpr size_t kWrittenInSessionMax = 10'000;

/// Of values that are no operation's: what is beyond is a commit of its own. Far below what one
/// holds.
constexpr size_t kPushHeldBytesMax = 16 * 1024 * 1024;

uint64_t HashOfOperation(const BatchView& rows, size_t index) {
  const BatchRow row = rows.row(index);
  return internal::OperationHash(row, rows.entity_name(row.entity));
}

Status CheckOperations(const BatchView& rows) {
  if (rows.size() == 0) return {ErrorCode::kInvalidArgument, "a push has at least one operation"};
  SequenceNumber before;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows.sequence(i) <= before) {
      return {ErrorCode::kMalformedBatch,
              "row " + std::to_string(i) + ": the numbers of operations increase, from 1 on"};
    }
    before = rows.sequence(i);
  }
  return {};
}

bool GrantsWhole(const SelectionRule& rule, std::string_view entity) {
  return rule.everything ||
         std::any_of(rule.grants.begin(), rule.grants.end(), [&](const Grant& grant) {
           return grant.entity == entity && grant.where.empty();
         });
}

Status StaleReplica() {
  return {
      ErrorCode::kIdempotencyMismatch,
      "this device has used these numbers for other operations: the replica is an older copy of "
      "itself, and has to go on under a new incarnation"};
}

Status StaleBundle() {
  return {ErrorCode::kStalePage,
          "the device has taken answers to these operations since, or goes on as another replica: "
          "the bundle is an older one, or of an older copy of the replica"};
}

/// Fills what is known only in the commit, and tells the marks. `sequence` is the last one before
/// the batch.
void NoteRecords(const std::deque<PushedRecord>& records,
                 SequenceNumber sequence,
                 std::vector<PushAnswer>* answers,
                 DeviceMarks* marks) {
  SequenceNumber next = sequence;
  for (const PushedRecord& record : records) {
    OwnWrite own{.live = record.live, .birth = record.birth_before, .older = record.older};
    if (record.written) {
      next = next.Next();
      own.head = next;
      if (record.live && record.version_before == kSequenceZero) own.birth = own.head;
    } else {
      own.head = record.live ? record.version_before : sequence;
    }
    for (const size_t index : record.answers) {
      (*answers)[index].version = own.head;
      (*answers)[index].birth = own.birth;
    }
    if (record.outside || record.merged)
      continue;  // as any other change: if the device holds it, it is told
    if (!record.live && own.birth == kSequenceZero) {
      if (own.older.empty()) continue;
      own.birth = own.older.back();
      own.older.pop_back();
    }
    marks->NoteOwnWrite(own);
  }
}

/// The replica goes on as `incarnation`: what it sent as another may still be on its way.
void Succeed(internal::PushProgress* progress, const std::string& incarnation) {
  if (progress->incarnation == incarnation) return;
  if (!progress->incarnation.empty()) progress->former.push_back(progress->incarnation);
  if (progress->former.size() > kFormerIncarnations) progress->former.pop_front();
  progress->incarnation = incarnation;
}

bool WasFormer(const internal::PushProgress& progress, const std::string& incarnation) {
  return std::find(progress.former.begin(), progress.former.end(), incarnation) !=
         progress.former.end();
}

/// The answer to one whose condition never held when it was committed.
PushAnswer RefusalOf(const BatchRow& row) {
  if (row.writer_time.has_value()) {
    return {.operation = row.sequence.value(),
            .outcome = PushOutcome::kConflict,
            .code = "not_newer",
            .message = "its timestamp is not newer than that of the deletion"};
  }
  return {.operation = row.sequence.value(),
          .outcome = PushOutcome::kSkipped,
          .code = std::string(kWaitsForOthers),
          .message = "others change the record all the time"};
}

}  // namespace

/// One push on its way.
struct Source::Impl::PushRun {
  BatchView rows;
  const SelectionRule* limit = nullptr;  // of whoever pushes
  std::string incarnation;               // in hex
  internal::PushProgress progress;
  PushResult result;
  bool is_kept = false;                        // asked for by name, it answers as the first time
  internal::CarriedPushes* carried = nullptr;  // of a bundle; null: the device hears at once
};

Result<internal::PushProgress> Source::Impl::LoadPushProgress(const Device& device) const {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                            store_.GetRow(internal::PushProgressKey(device.descriptor.number)));
  return row.has_value() ? internal::DecodePushProgress(*row) : internal::PushProgress{};
}

Result<PushResult> Source::Impl::Push(std::string_view bytes,
                                      const SelectionRule* limit,
                                      internal::CarriedPushes* carried) {
  TIDEMARK_ASSIGN_OR_RETURN(BatchView rows, BatchView::Parse(bytes, BatchKind::kPush));
  const BatchHeader header = rows.header();
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(header.device));
  TIDEMARK_RETURN_IF_ERROR(CheckOperations(rows));
  const auto incarnation = DecodeHex(header.origin);
  if (!incarnation.has_value() || incarnation->size() != kIncarnationBytes) {
    return {ErrorCode::kMalformedBatch, "the origin of a push is an incarnation, 32 hex digits"};
  }
  const Epochs epoch = CurrentEpoch();
  if (!header.store.empty() && header.store != epoch.store) {
    return {ErrorCode::kWrongDevice, "the push is for another store than this one"};
  }
  if (store_.is_replica()) {
    return {ErrorCode::kReadOnly, "this store is a replica itself: push to its source"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const DevicePtr device, FindOrMake(header.device));
  const std::lock_guard lock(device->mutex);
  PushRun run{.rows = std::move(rows),
              .limit = limit,
              .incarnation = header.origin,
              .progress = {},
              .result = {},
              .carried = carried};
  run.result.id = PushId(bytes);
  run.result.device = header.device;
  run.result.time = store_.runtime().clock().WallMilliseconds();
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  if (carried != nullptr) {
    // It may have lain for long: what is refused here resets nothing.
    TIDEMARK_ASSIGN_OR_RETURN(run.progress, LoadPushProgress(*device));
    if (WasFormer(run.progress, run.incarnation)) return StaleBundle();
  }
  TIDEMARK_RETURN_IF_ERROR(CheckWrites(*device,
                                       {.device = header.device,
                                        .incarnation = *incarnation,
                                        .sent_through = kAnyOperation,
                                        .answered_through = header.page}));
  TIDEMARK_ASSIGN_OR_RETURN(run.progress, LoadPushProgress(*device));
  if (WasFormer(run.progress, run.incarnation)) return StaleReplica();
  run.is_kept = std::find(run.progress.pushes.begin(), run.progress.pushes.end(), run.result.id) !=
                run.progress.pushes.end();
  TIDEMARK_RETURN_IF_ERROR(ForgetTakenAnswers(*device, &run));
  TIDEMARK_RETURN_IF_ERROR(DeclareUnknown(*device, run));
  TIDEMARK_RETURN_IF_ERROR(PushRange(*device, &run, 0, run.rows.size()));
  if (carried != nullptr) NoteCarried(run);
  return std::move(run.result);
}

/// The device does not have these answers: later pushes of the bundle go by them.
void Source::Impl::NoteCarried(const PushRun& run) {
  internal::CarriedPushes& carried = *run.carried;
  carried.answers.clear();
  for (size_t i = 0; i < run.result.answers.size(); ++i) {
    const PushAnswer& answer = run.result.answers[i];
    carried.answers.push_back({HashOfOperation(run.rows, i), answer});
    const BatchRow row = run.rows.row(i);
    internal::AnsweredRecord& record =
        carried.records[{std::string(run.rows.entity_name(row.entity)), std::string(row.id)}];
    record = {.answer = {.operation = answer.operation,
                         .outcome = answer.outcome,
                         .version = answer.version,
                         .birth = answer.birth,
                         .code = answer.code},
              .deleted = row.op == RowOp::kDelete};
  }
}

/// Adds to *batch what forgets the kept answers to operations below `first`.
Status Source::Impl::ForgetAnswers(const Device& device, uint64_t first, WriteBatch* batch) const {
  return store_.ScanRows(internal::PushAnswersPrefix(device.descriptor.number),
                         [&](std::string_view key, std::string_view) {
                           if (internal::OperationOfKey(key) >= first) return false;
                           batch->DeleteRow(key);
                           return true;
                         });
}

/// Answers below the push's first operation have arrived, or, of pushes that are carried together,
/// those that it says; those of another incarnation are void.
Status Source::Impl::ForgetTakenAnswers(Device& device, PushRun* run) {
  internal::PushProgress& progress = run->progress;
  const bool other = progress.incarnation != run->incarnation;
  const uint64_t first = run->rows.sequence(0).value();
  const bool is_carried = run->carried != nullptr;
  if (!other && first <= progress.taken_through) {
    return is_carried ? StaleBundle() : StaleReplica();
  }
  const uint64_t taken = is_carried ? std::min(run->rows.header().page, first - 1) : first - 1;
  WriteBatch batch;
  TIDEMARK_RETURN_IF_ERROR(ForgetAnswers(device, other ? kAnyOperation : taken + 1, &batch));
  if (other) {
    Succeed(&progress, run->incarnation);
    progress.handled_through = 0;
    progress.answers = 0;
  } else {
    progress.answers -= std::min<uint64_t>(progress.answers, batch.rows().size());
  }
  progress.taken_through = other ? taken : std::max(progress.taken_through, taken);
  if (batch.empty()) return {};
  batch.SetRow(internal::PushProgressKey(device.descriptor.number),
               internal::EncodePushProgress(progress));
  return store_.Commit(batch, CommitOptions{.sync = false}).status();
}

/// What a device may see as a whole, and is the first to write to.
Status Source::Impl::DeclareUnknown(const Device& device, const PushRun& run) {
  const BatchView& rows = run.rows;
  const DeviceDescriptor& descriptor = device.descriptor;
  std::vector<bool> looked(rows.entity_count());
  for (size_t i = 0; i < rows.size(); ++i) {
    const uint16_t entity = rows.entity(i);
    if (looked[entity] || rows.op(i) == RowOp::kDelete) continue;
    looked[entity] = true;
    const std::string name(rows.entity_name(entity));
    if (IsLocalName(name) || store_.FindEntity(name).has_value()) continue;
    const bool granted = GrantsWhole(descriptor.rule, name) &&
                         (!descriptor.limit.has_value() || GrantsWhole(*descriptor.limit, name)) &&
                         (run.limit == nullptr || GrantsWhole(*run.limit, name));
    if (!granted) continue;
    const bool is_event = rows.op(i) == RowOp::kAppend;
    EntityDeclaration declaration;
    declaration.kind = is_event ? EntityKind::kIncremental : EntityKind::kSnapshot;
    const auto declared = store_.Declare(name, declaration);
    // Beyond the number of entities, the operations on it are answered.
    if (!declared.ok() && declared.status().code() != ErrorCode::kTooLarge) {
      return declared.status();
    }
  }
  return {};
}

/// Records that others change all the time refuse the whole again and again; alone, each has a
/// better chance.
Status Source::Impl::PushRange(Device& device, PushRun* run, size_t begin, size_t end) {
  while (begin < end) {
    size_t reached = end;
    Status failed;
    for (int attempt = 0; attempt < kPushAttempts; ++attempt) {
      reached = end;
      failed = TryPush(device, run, begin, &reached, /*refuses=*/false);
      if (failed.code() != ErrorCode::kConditionFailed) break;
    }
    if (failed.code() == ErrorCode::kConditionFailed) {
      if (end - begin == 1) return TryPush(device, run, begin, &reached, /*refuses=*/true);
      const size_t middle = begin + (end - begin) / 2;
      TIDEMARK_RETURN_IF_ERROR(PushRange(device, run, begin, middle));
      return PushRange(device, run, middle, end);
    }
    TIDEMARK_RETURN_IF_ERROR(failed);
    begin = reached;
  }
  return {};
}

Result<std::vector<PushAnswer>> Source::Impl::FindKeptAnswers(const Device& device,
                                                              const PushRun& run,
                                                              size_t begin,
                                                              size_t end) const {
  std::vector<PushAnswer> kept;
  for (size_t i = begin; i < end; ++i) {
    const uint64_t number = run.rows.sequence(i).value();
    if (number > run.progress.handled_through) break;
    TIDEMARK_ASSIGN_OR_RETURN(
        const auto row, store_.GetRow(internal::PushAnswerKey(device.descriptor.number, number)));
    if (!row.has_value()) return StaleReplica();
    TIDEMARK_ASSIGN_OR_RETURN(KeptAnswer answer, internal::DecodeKeptAnswer(*row));
    if (answer.operation_hash != HashOfOperation(run.rows, i)) return StaleReplica();
    if (answer.answer.outcome == PushOutcome::kApplied) {
      answer.answer.outcome = PushOutcome::kDuplicate;
    }
    kept.push_back(std::move(answer.answer));
  }
  return kept;
}

bool Source::Impl::AdoptIncarnation(Device& device, const std::string& hex) {
  const std::string incarnation = DecodeHex(hex).value_or(std::string());
  DeviceDescriptor& descriptor = device.descriptor;
  if (descriptor.incarnation == incarnation) return false;
  // Wiped, or another copy of the device, or one that was served without saying who it is.
  if (!descriptor.incarnation.empty() || !device.marks.HoldsNothing()) {
    CloseSession(device);
    device.marks.Reset();
    descriptor.acked_session = 0;
    descriptor.acked_page = 0;
  }
  descriptor.incarnation = incarnation;
  return true;
}

Status Source::Impl::TryPush(
    Device& device, PushRun* run, size_t begin, size_t* stop, bool refuses) {
  size_t& end = *stop;
  TIDEMARK_RETURN_IF_ERROR(Refresh(device));
  bool changed = AdoptIncarnation(device, run->incarnation);
  changed = std::exchange(device.descriptor.forgotten, false) || changed;  // it is back
  const Selection selection = device.ResolveFor(store_, run->limit);
  device.marks.Select(selection);
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<PushAnswer> kept,
                            FindKeptAnswers(device, *run, begin, end));
  PushEvaluation evaluation(store_,
                            device.descriptor.id,
                            selection,
                            options_.conflict_resolver,
                            run->carried != nullptr ? &run->carried->records : nullptr);
  for (size_t i = 0; i < begin; ++i) {
    evaluation.NoteAnswered(run->rows, i, run->result.answers[i]);
  }
  for (size_t i = 0; i < kept.size(); ++i) evaluation.AddAnswered(run->rows, begin + i, kept[i]);
  for (size_t i = begin + kept.size(); i < end; ++i) {
    if (refuses) {
      evaluation.AddAnswered(run->rows, i, RefusalOf(run->rows.row(i)));
    } else {
      TIDEMARK_RETURN_IF_ERROR(evaluation.Add(run->rows, i));
      if (evaluation.held_bytes() > kPushHeldBytesMax) end = i + 1;
    }
  }
  TIDEMARK_RETURN_IF_ERROR(evaluation.Finish());

  internal::PushProgress progress = run->progress;
  PushResult result = run->result;
  progress.answers += end - begin - kept.size();
  if (progress.answers > kPushAnswersKept) {
    return {ErrorCode::kTooLarge,
            "the device has not taken 10,000 answers yet; push from its first pending operation"};
  }
  progress.handled_through =
      std::max(progress.handled_through, run->rows.sequence(end - 1).value());
  CommitOptions options;
  options.exposes = true;
  options.local = true;
  options.rewrite_events = true;  // events are put where none is
  options.precondition = [&](CommitContext& context) -> Status {
    std::vector<PushAnswer>& answers = evaluation.answers();
    NoteRecords(evaluation.records(), context.sequence(), &answers, &device.marks);
    for (const PushAnswer& answer : answers) {
      ++result.counts[static_cast<size_t>(answer.outcome)];
      result.answers.push_back(answer);
    }
    WriteBatch rows;
    device.SaveTo(&rows, changed);
    for (size_t i = kept.size(); i < answers.size(); ++i) {
      rows.SetRow(internal::PushAnswerKey(device.descriptor.number, answers[i].operation),
                  internal::EncodeKeptAnswer({HashOfOperation(run->rows, begin + i), answers[i]}));
    }
    if (!run->is_kept) KeepPush(result, &progress, &rows);
    rows.SetRow(internal::PushProgressKey(device.descriptor.number),
                internal::EncodePushProgress(progress));
    context.AddRows(rows);
    return {};
  };
  const auto committed = store_.Commit(evaluation.batch(), options);
  if (!committed.ok()) {
    device.stale = true;
    return committed.status();
  }
  run->progress = std::move(progress);
  run->result = std::move(result);
  NoteWritten(device, evaluation.records());
  if (evaluation.has_overridden()) TrimConflicts();
  return {};
}

void Source::Impl::KeepPush(const PushResult& result,
                            internal::PushProgress* progress,
                            WriteBatch* rows) {
  std::deque<std::string>& pushes = progress->pushes;
  if (pushes.empty() || pushes.back() != result.id) pushes.push_back(result.id);
  for (; pushes.size() > kPushesKept; pushes.pop_front()) {
    rows->DeleteRow(internal::PushKey(pushes.front()));
  }
  rows->SetRow(internal::PushKey(result.id), internal::EncodePush(result));
}

/// Pages of the session that is open say no more of what the device wrote meanwhile.
void Source::Impl::NoteWritten(Device& device, const std::deque<PushedRecord>& records) {
  if (!device.session.has_value() || device.session->cut == nullptr) return;
  for (const PushedRecord& record : records) {
    if (!record.outside && !record.merged)
      device.session->written.emplace(record.entity, record.id);
  }
  if (device.session->written.size() > kWrittenInSessionMax) CloseSession(device);
}

void Source::Impl::TrimConflicts() {
  const auto info = store_.FindEntity(internal::kConflictsEntity);
  constexpr uint64_t kKept = internal::kConflictsKept;
  if (!info.has_value() || store_.CountLive(info->number, kSequenceZero) <= kKept + kKept / 10) {
    return;
  }
  // The lowest sequence number above which there are no more than are kept.
  uint64_t low = 0;
  uint64_t high = store_.last_sequence().value();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (store_.CountLive(info->number, SequenceNumber(middle)) <= kKept) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  // What cannot be trimmed now is trimmed with the next one.
  static_cast<void>(store_.Trim(internal::kConflictsEntity, SequenceNumber(low)).ok());
}

Status Source::Impl::CheckWrites(Device& device, const Hello& hello) {
  if (hello.incarnation.empty() || !hello.sent_through.has_value()) return {};
  TIDEMARK_ASSIGN_OR_RETURN(internal::PushProgress progress, LoadPushProgress(device));
  const std::string incarnation = EncodeHex(hello.incarnation);
  const uint64_t answered = hello.answered_through.value_or(0);
  const bool known =
      progress.incarnation == incarnation
          ? answered <= progress.handled_through && progress.handled_through <= *hello.sent_through
          : answered == 0;
  if (known) return {};
  CloseSession(device);
  device.marks.Reset();
  device.descriptor.acked_session = 0;
  device.descriptor.acked_page = 0;
  Succeed(&progress, incarnation);
  progress.handled_through = answered;
  progress.taken_through = answered;
  progress.answers = 0;
  WriteBatch batch;
  device.SaveTo(&batch, /*with_descriptor=*/true);
  TIDEMARK_RETURN_IF_ERROR(ForgetAnswers(device, kAnyOperation, &batch));
  batch.SetRow(internal::PushProgressKey(device.descriptor.number),
               internal::EncodePushProgress(progress));
  const auto committed = store_.Commit(batch);
  if (!committed.ok()) device.stale = true;
  return committed.status();
}

Result<PushResult> Source::Impl::FindPush(std::string_view id) const {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, store_.GetRow(internal::PushKey(id)));
  if (!row.has_value()) return {ErrorCode::kNotFound, "there is no such push"};
  return internal::DecodePush(*row);
}

}  // namespace tidemark
