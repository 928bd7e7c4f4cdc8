// Bundles at a device: a session's pages or answers that were packed for it, and what it packs for
// its source.
#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "replication/internal/bundle_file.h"
#include "replication/internal/bundle_header.h"
#include "replication/internal/carried_answers.h"
#include "replication/internal/replica_impl.h"

namespace tidemark {
namespace {

using internal::BundleFrame;
using internal::BundleFrameType;
using internal::BundleReader;
using internal::BundleWriter;

}  // namespace

struct Replica::Impl::Applying {
  BundleReader* reader = nullptr;
  const std::function<void(const PullProgress&)>& progress;
  internal::TrackedTransfer* tracked = nullptr;
  BundleApplied* result = nullptr;
  PullProgress sofar = {};
};

bool Replica::Impl::HoldsNothing() const {
  return state_.position.empty() && outbox_.state().sent_through == 0;
}

// What a source finds out from the hello of a device that is there, the device finds out from what
// the bundle says (docs/sync_protocol.md, "Bundles").
Status Replica::Impl::CheckBundle(const BundleHeader& header) const {
  const BundledSession& pull = *header.pull;
  const SessionInfo& session = pull.session;
  const bool begins = HoldsNothing() && pull.complete && pull.handled_through == 0;
  if (header.incarnation != state_.incarnation && !begins) {
    return {ErrorCode::kWrongDevice,
            "the bundle was made for another replica of this device, or for what that has from "
            "earlier ones; pack one with --fresh for a replica that holds nothing, or sync"};
  }
  if (session.number < state_.session) {
    return {ErrorCode::kStalePage, "a newer session of this device was begun here"};
  }
  // What was pushed since the session began is in no page of it, and would be undone by some.
  const internal::OutboxState& outbox = outbox_.state();
  const bool other_history = !state_.epoch.empty() && header.epoch != state_.epoch;
  const bool anew = session.reset || begins;
  if (!other_history && (session.cut < outbox.answered_version ||
                         (!anew && pull.handled_through < outbox.answered_through))) {
    return {ErrorCode::kStalePage,
            "the bundle was packed before the source answered this device's last operations; pack "
            "another one"};
  }
  if (anew) return {};
  if (other_history) {
    return {ErrorCode::kWrongEpoch, "the bundle belongs to another history of its store"};
  }
  if (std::pair(pull.acked_session, pull.acked_page) > std::pair(state_.session, state_.page) ||
      pull.handled_through > outbox.sent_through) {
    return {ErrorCode::kConflict,
            "this replica is an older copy of itself, as its source knows it: sync, or reset the "
            "device at its source and pack another bundle"};
  }
  return {};
}

Result<bool> Replica::Impl::BeginBundle(const BundleHeader& header, uint64_t pages) {
  const SessionInfo& session = header.pull->session;
  const std::lock_guard lock(mutex_);
  if (!state_.source.empty() && header.store != state_.source) {
    return {ErrorCode::kWrongDevice, "the bundle is from another store than the earlier pages"};
  }
  const bool begun = session.number == state_.session && header.epoch == state_.epoch;
  if (begun && header.id != state_.bundle) {
    return {ErrorCode::kWrongEpoch,
            "the replica is in another session of this number: the history of its source was lost "
            "unnoticed; sync, so that the source notices"};
  }
  if (begun && state_.page >= pages) return false;
  TIDEMARK_RETURN_IF_ERROR(CheckBundle(header));
  TIDEMARK_RETURN_IF_ERROR(ForgetKeys(header.pull->acked_session, header.pull->acked_page));
  TIDEMARK_RETURN_IF_ERROR(Begin(session, header.incarnation, header.id));
  return true;
}

Status Replica::Impl::ApplyCarried(const BundleFrame& frame, Applying* applying) {
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView rows,
                            BatchView::Parse(frame.bytes, BatchKind::kPage, Trust::kChecked));
  const BatchHeader header = rows.header();
  PullResult& result = applying->result->pull;
  const std::lock_guard lock(mutex_);
  TIDEMARK_RETURN_IF_ERROR(CheckPage(header));
  if (header.page <= state_.page) {
    // Pages of a bundle come in order, so this one was applied, and the replica may have gone on.
    result.unchanged += rows.size();
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(const ApplyResult applied,
                              ApplyRows(rows, header, /*keeps_token=*/true));
    applying->tracked->NotePage(frame.bytes);
    result.created += applied.created;
    result.updated += applied.updated;
    result.deleted += applied.deleted;
    result.unchanged += applied.unchanged;
  }
  ++result.pages;
  result.bytes += frame.bytes.size();
  applying->sofar.records += rows.size();
  applying->sofar.queue_records = applying->sofar.records;
  applying->sofar.pages = result.pages;
  applying->sofar.bytes = result.bytes;
  return {};
}

Status Replica::Impl::ApplyPages(Applying* applying) {
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto frame, applying->reader->Next());
    if (!frame.has_value()) break;
    const Status applied = ApplyCarried(*frame, applying);
    if (!applied.ok()) return internal::AtFrame(applied, *frame);
    if (applying->progress) applying->progress(applying->sofar);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t dropped, FinishSession());
  applying->result->pull.deleted += dropped;
  return {};
}

Status Replica::Impl::ApplyAnswers(Applying* applying) {
  const std::lock_guard pushing(push_mutex_);
  const BundleHeader& header = applying->result->header;
  const std::lock_guard lock(mutex_);
  if (header.incarnation != state_.incarnation) {
    return {ErrorCode::kWrongDevice, "the answers are for another replica of this device"};
  }
  if (!state_.source.empty() && header.store != state_.source) {
    return {ErrorCode::kWrongDevice, "the answers are from another store than the pages here"};
  }
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto frame, applying->reader->Next());
    if (!frame.has_value()) return {};
    TIDEMARK_ASSIGN_OR_RETURN(const auto carried, internal::DecodeCarriedAnswers(frame->bytes));
    TIDEMARK_ASSIGN_OR_RETURN(const auto answers, outbox_.Recognise(carried));
    const Status taken = outbox_.TakeAnswers(answers, &applying->result->push);
    if (!taken.ok()) return internal::AtFrame(taken, *frame);
  }
}

Result<BundleApplied> Replica::Impl::ApplyBundle(
    const std::filesystem::path& path, const std::function<void(const PullProgress&)>& progress) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard pulling(pull_mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(const BundleTotals totals, internal::CheckBundle(path));
  TIDEMARK_ASSIGN_OR_RETURN(const auto reader, BundleReader::Open(path));
  BundleApplied result{.header = reader->header(), .pull = {}, .push = {}};
  const BundleHeader& header = result.header;
  if (header.device != device_id) {
    return {ErrorCode::kWrongDevice, "the bundle is for device " + header.device};
  }
  if (header.direction == BundleDirection::kPush) {
    return {ErrorCode::kWrongDevice, "the bundle is one that a device packed for its source"};
  }
  Applying applying{
      .reader = reader.get(), .progress = progress, .tracked = nullptr, .result = &result};
  if (header.direction == BundleDirection::kAnswers) {
    TIDEMARK_RETURN_IF_ERROR(ApplyAnswers(&applying));
    return result;
  }
  TIDEMARK_ASSIGN_OR_RETURN(const bool lacks_pages, BeginBundle(header, totals.pages));
  result.pull.reset = header.pull->session.reset;
  result.pull.gaps = header.pull->session.gaps;
  if (!lacks_pages) {
    result.pull.pages = totals.pages;
    result.pull.unchanged = totals.records;
    TIDEMARK_ASSIGN_OR_RETURN(result.pull.deleted, FinishSession());
    return result;
  }
  applying.sofar = {
      .queue = std::string(kMainQueue), .queue_owed = totals.records, .owed = totals.records};
  std::set<std::string> entities;
  for (const EntityInfo& entity : store->ListEntities()) entities.insert(entity.name);
  internal::TrackedTransfer tracked(*tracker, kPullMember, entities);
  applying.tracked = &tracked;
  const Status applied = ApplyPages(&applying);
  tracked.End(applied);
  TIDEMARK_RETURN_IF_ERROR(applied);
  return result;
}

// Acknowledging what came in bundles.

Status Replica::Impl::AcknowledgeCarried(Transport& transport) const {
  while (true) {
    std::vector<std::string> tokens;
    WriteBatch acknowledged;
    TIDEMARK_RETURN_IF_ERROR(
        store->ScanRows(kCarriedKeysPrefix, [&](std::string_view key, std::string_view token) {
          tokens.emplace_back(token);
          acknowledged.DeleteRow(key);
          return tokens.size() < internal::kBundleKeysOfAFrame;
        }));
    if (tokens.empty()) return {};
    TIDEMARK_RETURN_IF_ERROR(transport.Acknowledge(device_id, tokens).status());
    TIDEMARK_RETURN_IF_ERROR(store->Commit(acknowledged, {.sync = false}).status());
  }
}

Status Replica::Impl::ForgetKeys(uint64_t session, uint64_t page) const {
  const std::string last = CarriedKeyRow(session, page);
  while (true) {
    WriteBatch taken;
    size_t found = 0;
    TIDEMARK_RETURN_IF_ERROR(store->ScanRows(kCarriedKeysPrefix, [&](std::string_view key, auto) {
      if (key > last) return false;
      taken.DeleteRow(key);
      return ++found < internal::kBundleKeysOfAFrame;
    }));
    if (found == 0) return {};
    TIDEMARK_RETURN_IF_ERROR(store->Commit(taken, {.sync = false}).status());
  }
}

// Packing.

Status Replica::Impl::PackKeys(BundleWriter* writer) const {
  std::vector<std::string> tokens;
  Status added;
  const auto add = [&] {
    added = writer->Add(BundleFrameType::kKeys, internal::EncodeBundleKeys(tokens), tokens.size());
    tokens.clear();
  };
  TIDEMARK_RETURN_IF_ERROR(
      store->ScanRows(kCarriedKeysPrefix, [&](std::string_view, std::string_view token) {
        tokens.emplace_back(token);
        if (tokens.size() == internal::kBundleKeysOfAFrame) add();
        return added.ok();
      }));
  if (added.ok() && !tokens.empty()) add();
  return added;
}

Status Replica::Impl::PackOperations(BundleWriter* writer, const BundleProgress& progress) {
  const std::lock_guard lock(mutex_);
  const uint64_t pending = outbox_.state().pending;
  internal::PushRange which{.last = outbox_.state().next_number - 1};
  for (size_t left = kBundleOperationsMax; left > 0;) {
    which.operations_max = left;
    TIDEMARK_ASSIGN_OR_RETURN(const auto push, outbox_.NextPush(device_id, which));
    if (!push.has_value()) return {};
    TIDEMARK_RETURN_IF_ERROR(writer->Add(BundleFrameType::kPush, push->bytes, push->operations));
    if (progress) progress(writer->totals().operations, pending);
    which.after = push->through;
    left -= push->operations;
  }
  return {};
}

Result<BundlePacked> Replica::Impl::PackBundle(const std::filesystem::path& path,
                                               const BundleProgress& progress) {
  const std::lock_guard pulling(pull_mutex_);
  const std::lock_guard pushing(push_mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(const auto writer, BundleWriter::Create(path));
  BundlePacked packed;
  {
    const std::lock_guard lock(mutex_);
    packed.header = {.direction = BundleDirection::kPush,
                     .id = internal::MakeBundleId(store->runtime()),
                     .store = state_.source,
                     .epoch = state_.epoch,
                     .device = device_id,
                     .incarnation = state_.incarnation,
                     .created_at = store->runtime().clock().WallMilliseconds()};
  }
  TIDEMARK_RETURN_IF_ERROR(writer->Begin(packed.header));
  TIDEMARK_RETURN_IF_ERROR(PackKeys(writer.get()));
  TIDEMARK_RETURN_IF_ERROR(PackOperations(writer.get(), progress));
  packed.nothing = writer->totals().keys == 0 && writer->totals().operations == 0;
  if (packed.nothing) return packed;
  TIDEMARK_RETURN_IF_ERROR(writer->Finish());
  packed.totals = writer->totals();
  const uint64_t pending = Outbox().pending;
  packed.left = pending - std::min(pending, packed.totals.operations);
  return packed;
}

}  // namespace tidemark
