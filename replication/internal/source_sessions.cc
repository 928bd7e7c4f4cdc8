// Sessions: start, pages, acknowledgements.
#include <algorithm>

#include "format/coding.h"
#include "replication/internal/page_filler.h"
#include "replication/internal/session_view.h"
#include "replication/internal/source_impl.h"
#include "replication/selection_intersection.h"

namespace tidemark {
namespace {

constexpr size_t kReasonsMax = 100;
/// A new epoch numbers a device's sessions from this far above those known: further than a lost
/// future can have reached, so that its pages stay older than the new ones.
constexpr uint64_t kSessionJump = uint64_t{1} << 32;

Status CheckPageOptions(const PageOptions& options) {
  if (options.records_max < 1 || options.records_max > kBatchRecordsMax) {
    return {ErrorCode::kInvalidArgument, "a page has 1 to 1,000 records"};
  }
  if (options.bytes_max < 1 || options.bytes_max > kBatchBytesMax) {
    return {ErrorCode::kInvalidArgument, "a page has at most 4 MiB"};
  }
  return {};
}

uint64_t PagesOf(uint64_t records) {
  return (records + kPageRecordsDefault - 1) / kPageRecordsDefault;
}

uint64_t RecordHash(std::string_view entity, std::string_view id) {
  std::string key;
  AppendBytes(&key, entity);
  AppendBytes(&key, id);
  return Hash64(key);
}

void Ignore(AckResult* result, std::string reason) {
  ++result->ignored;
  if (result->reasons.size() < kReasonsMax) result->reasons.push_back(std::move(reason));
}

}  // namespace

bool Source::Impl::ShowsLostHistory(const Device& device, const Hello& hello, const Epochs& epoch) {
  const auto position = OpenToken(epoch.secret, TokenKind::kPage, hello.position);
  return position.ok() && position->device == device.descriptor.number &&
         position->epoch == epoch.tag && device.descriptor.epoch == epoch.tag &&
         position->session > device.marks.session();
}

bool Source::Impl::IsKnown(const Device& device, const Hello& hello, const Epochs& epoch) {
  const DeviceDescriptor& descriptor = device.descriptor;
  const DeviceMarks& marks = device.marks;
  if (hello.fresh) return marks.HoldsNothing() && hello.position.empty();
  if (!hello.incarnation.empty() && !descriptor.incarnation.empty() &&
      hello.incarnation != descriptor.incarnation) {
    return false;  // wiped, or another copy of the device
  }
  if (!hello.incarnation.empty() && descriptor.incarnation.empty() && hello.position.empty() &&
      !marks.HoldsNothing()) {
    return false;  // what was served went to somebody who did not say who it is
  }
  // The witness is the token of the page that the replica applied last.
  const auto position = OpenToken(epoch.secret, TokenKind::kPage, hello.position);
  const bool shown =
      position.ok() && position->device == descriptor.number && epoch.Knows(position->epoch);
  if (!hello.position.empty() && (!shown || position->session > marks.session())) {
    return false;  // it holds what another history gave it: a sibling restore, or a lost future
  }
  if (descriptor.epoch != epoch.tag) {
    // A device of an older epoch is what its marks say only if it saw nothing that they do not
    // know: no session beyond theirs, and of theirs nothing after what they have.
    return shown && (position->session < marks.session() || marks.Settled());
  }
  const bool lost_pages =
      shown &&
      (position->session < descriptor.acked_session ||
       (position->session == descriptor.acked_session && position->page < descriptor.acked_page));
  return !lost_pages;  // else restored from a backup of its own
}

bool Source::Impl::CheckWitness(Device& device, const Hello& hello, const Epochs& epoch) {
  DeviceDescriptor& descriptor = device.descriptor;
  const bool is_known = IsKnown(device, hello, epoch);
  if (!is_known) device.marks.Reset();
  if (descriptor.epoch != epoch.tag) device.marks.SkipSessions(kSessionJump);
  const bool changed = descriptor.epoch != epoch.tag || descriptor.forgotten ||
                       (!hello.incarnation.empty() && descriptor.incarnation != hello.incarnation);
  descriptor.epoch = epoch.tag;
  descriptor.forgotten = false;
  if (!hello.incarnation.empty()) descriptor.incarnation = hello.incarnation;
  if (!is_known) {
    descriptor.acked_session = 0;
    descriptor.acked_page = 0;
  }
  return changed || !is_known;
}

Result<bool> Source::Impl::LimitTo(Device& device, const SelectionRule* limit) {
  DeviceDescriptor& descriptor = device.descriptor;
  if (limit != nullptr) {
    TIDEMARK_RETURN_IF_ERROR(Intersect(store_, descriptor.rule, *limit).status());
  }
  const bool same = limit == nullptr ? !descriptor.limit.has_value() : descriptor.limit == *limit;
  if (same) return false;
  descriptor.limit = limit == nullptr ? std::nullopt : std::optional(*limit);
  device.resolved_version = 0;
  return true;
}

Result<std::optional<SessionInfo>> Source::Impl::StartSession(const Hello& hello) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(hello.device));
  if (store_.pinned_deaths() > options_.pinned_deaths_max) ExpireSessions();
  TIDEMARK_ASSIGN_OR_RETURN(const DevicePtr device, FindOrMake(hello.device));
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  return StartLocked(*device, hello);
}

Result<std::optional<SessionInfo>> Source::Impl::StartLocked(Device& device, const Hello& hello) {
  Epochs epoch = CurrentEpoch();
  if (ShowsLostHistory(device, hello, epoch)) {
    TIDEMARK_RETURN_IF_ERROR(store_.BeginEpoch("a position proves that history was lost"));
    epoch = CurrentEpoch();
  }
  TIDEMARK_RETURN_IF_ERROR(CheckWrites(device, hello));
  TIDEMARK_ASSIGN_OR_RETURN(const bool limit_changed, LimitTo(device, hello.limit.get()));
  const bool descriptor_changed = CheckWitness(device, hello, epoch) || limit_changed;
  const Selection selection = device.Resolve(store_);
  if (!descriptor_changed && device.gaps.empty() && !MayOwe(store_, device.marks, selection)) {
    return std::optional<SessionInfo>{};
  }
  device.marks.Select(selection);
  TIDEMARK_ASSIGN_OR_RETURN(SessionInfo info, Begin(device, epoch, descriptor_changed));
  if (info.owed > 0 || info.reset || !info.gaps.empty()) {
    return std::optional<SessionInfo>(std::move(info));
  }
  // Nothing is owed: the session settles at once, or stays as unsettled as the older ones left it.
  device.marks.FinishDrain(info.number);
  CloseSession(device);
  TIDEMARK_RETURN_IF_ERROR(Save(device, /*with_descriptor=*/false, /*sync=*/false));
  return std::optional<SessionInfo>{};
}

Result<SessionInfo> Source::Impl::Begin(Device& device, const Epochs& epoch, bool with_descriptor) {
  CloseSession(device);
  const bool reset = device.marks.reset_pending();
  CommitOptions options;
  options.pin_cut = true;
  // The cut is known in the commit only, and the fence must be durable with it.
  options.precondition = [&](CommitContext& context) -> Status {
    device.marks.StartSession(context.sequence());
    WriteBatch rows;
    device.SaveTo(&rows, with_descriptor);
    context.AddRows(rows);
    return {};
  };
  auto committed = store_.Commit(WriteBatch(), options);
  if (!committed.ok()) {
    device.stale = true;
    return committed.status();
  }
  OpenSession session;
  session.cut = committed->cut;
  session.reset = reset;
  session.last_used = store_.runtime().clock().Now();
  // As they are now: what is declared or dropped further on concerns later sessions.
  TIDEMARK_ASSIGN_OR_RETURN(session.view, MakeSessionView(store_, device.marks, queues_.Resolve()));
  TIDEMARK_ASSIGN_OR_RETURN(const OwedTally tally,
                            CountOwed(store_, session.cut, device.marks, &session.view));
  device.marks.AdvanceFloor(tally);

  SessionInfo info;
  info.number = device.marks.session();
  info.epoch = epoch.epoch;
  info.cut = session.cut->sequence();
  info.owed = tally.count();
  info.pages = PagesOf(info.owed);
  const SessionQueues& queues = session.view.queues;
  for (size_t queue = 0; queue < queues.main(); ++queue) {
    const uint64_t owed = queues.left(queue);
    info.queues.push_back({queues.declared(queue).name, owed, PagesOf(owed)});
  }
  info.reset = reset;
  info.id = SealToken(epoch.secret,
                      {.kind = TokenKind::kSession,
                       .epoch = epoch.tag,
                       .device = device.descriptor.number,
                       .session = info.number});
  device.session = std::move(session);
  TellGaps(device, &info);
  return info;
}

void Source::Impl::TellGaps(Device& device, SessionInfo* info) {
  for (const auto& [entity, gap] : device.gaps) {
    if (!device.marks.selection().Touches(entity)) continue;  // told once it is selected again
    info->gaps.push_back({gap.entity, gap.range, gap.count});
    device.session->told[entity] = gap;
  }
}

Result<std::optional<Page>> Source::Impl::NextPage(std::string_view session_id,
                                                   const PageOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckPageOptions(options));
  const Epochs epoch = CurrentEpoch();
  auto token = OpenToken(epoch.secret, TokenKind::kSession, session_id);
  if (!token.ok()) return {ErrorCode::kNotFound, "there is no such session"};
  const DevicePtr device = Find(token->device);
  if (device == nullptr) return {ErrorCode::kNotFound, "there is no such session"};
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  if (token->session < device->marks.session()) {
    return {ErrorCode::kSuperseded, "a newer session of the device fences this one"};
  }
  if (IsExpired(*device)) CloseSession(*device);
  if (token->epoch != epoch.tag || token->session != device->marks.session() ||
      !device->session.has_value()) {
    return {ErrorCode::kSessionExpired, "the session has expired; start a new one"};
  }
  const SessionQueues& queues = device->session->view.queues;
  const std::optional<size_t> queue = queues.Find(options.queue);
  if (!queue.has_value()) return {ErrorCode::kNotFound, "the session has no such queue"};
  device->session->last_used = store_.runtime().clock().Now();
  if (!device->session->told.empty()) device->ForgetToldGaps();
  if (device->session->cut == nullptr || queues.IsDrained(*queue)) {
    return std::optional<Page>{};  // for every worker
  }
  device->marks.Select(device->ResolveFor(store_, options.limit.get()));
  return BuildPage(*device, epoch, *queue, options);
}

Result<std::optional<Page>> Source::Impl::BuildPage(Device& device,
                                                    const Epochs& epoch,
                                                    size_t queue,
                                                    const PageOptions& options) {
  OpenSession& session = *device.session;
  SessionQueues& queues = session.view.queues;
  PageWorkspaces::Loan workspace(workspaces_);
  BatchBuilder& builder = workspace->builder;
  LogCursor cursor = ReadOwed(store_, session.cut, device.marks, session.view, queue);
  internal::PageFiller filler(
      store_, options, session.written, queues, queue, &device.marks, workspace.get());
  TIDEMARK_RETURN_IF_ERROR(filler.Fill(&cursor));

  const uint64_t number = device.marks.session();
  std::optional<Page> page;
  if (!builder.empty()) {
    page.emplace();
    page->records = builder.size();
    TIDEMARK_RETURN_IF_ERROR(
        device.marks.HandOut(number, session.pages + 1, workspace->instructions));
    session.pages += 1;
    for (size_t i = 0; i <= queues.main(); ++i) queues.NoteHandedOut(i, filler.taken()[i]);
    page->token = SealToken(epoch.secret,
                            {.kind = TokenKind::kPage,
                             .epoch = epoch.tag,
                             .device = device.descriptor.number,
                             .session = number,
                             .page = session.pages});
    page->bytes = builder.Finish({.kind = BatchKind::kPage,
                                  .store = epoch.store,
                                  .epoch = epoch.epoch,
                                  .device = device.descriptor.id,
                                  .session = number,
                                  .page = session.pages,
                                  .cut = session.cut->sequence(),
                                  .cut_chain = session.cut->chain(),
                                  .reset = session.reset,
                                  .token = page->token});
  }
  queues.NoteRead(queue, filler.position());
  if (!filler.more()) queues.NoteDrained(queue);
  if (page.has_value()) page->left = queues.left(queue);
  if (queues.IsDone()) {
    device.marks.FinishDrain(number);
    session.cut.reset();
    session.view.ForgetRows();
  }
  // What was served is durable before the page leaves; an empty page leaves nothing.
  TIDEMARK_RETURN_IF_ERROR(Save(device, /*with_descriptor=*/false, /*sync=*/page.has_value()));
  return page;
}

std::string Source::Impl::AckKeyOf(std::string_view session,
                                   uint64_t page,
                                   std::string_view entity,
                                   const BatchRow& row) const {
  const Epochs epoch = CurrentEpoch();
  const auto token = OpenToken(epoch.secret, TokenKind::kSession, session);
  if (!token.ok()) return {};
  return SealToken(epoch.secret,
                   {.kind = TokenKind::kAck,
                    .epoch = token->epoch,
                    .device = token->device,
                    .session = token->session,
                    .page = page,
                    .head = row.sequence,
                    .birth = row.birth,
                    .op = static_cast<uint8_t>(row.op),
                    .record = RecordHash(entity, row.id)});
}

Status Source::Impl::AcknowledgeOne(Device& device, const Token& token, AckResult* result) {
  if (token.kind == TokenKind::kPage) {
    if (const auto rows = device.marks.AcknowledgePage(token.session, token.page)) {
      result->applied += *rows;
    } else {
      ++result->repeated;
    }
    DeviceDescriptor& descriptor = device.descriptor;
    if (std::pair(token.session, token.page) >
        std::pair(descriptor.acked_session, descriptor.acked_page)) {
      descriptor.acked_session = token.session;
      descriptor.acked_page = token.page;
    }
    return {};
  }
  const AckOutcome outcome = device.marks.Acknowledge({.session = token.session,
                                                       .page = token.page,
                                                       .birth = token.birth,
                                                       .head = token.head,
                                                       .op = static_cast<RowOp>(token.op)});
  switch (outcome) {
    case AckOutcome::kApplied:
      ++result->applied;
      break;
    case AckOutcome::kRepeated:
      ++result->repeated;
      break;
    case AckOutcome::kOvertaken:
      Ignore(result, "overtaken: a later instruction was handed out for this record");
      break;
    case AckOutcome::kUnknown:
      Ignore(result, "unknown: this was never handed out to the device");
      break;
  }
  return {};
}

Result<AckResult> Source::Impl::Acknowledge(std::string_view id,
                                            const std::vector<std::string>& keys) {
  if (keys.size() > kAckKeysMax) {
    return {ErrorCode::kTooLarge, "an acknowledgement has at most 10,000 keys"};
  }
  AckResult result;
  const DevicePtr device = Find(id);
  if (device == nullptr) {
    for (size_t i = 0; i < keys.size(); ++i) Ignore(&result, "unknown device");
    return result;
  }
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  const Epochs epoch = CurrentEpoch();
  const bool was_at_rest = device->marks.AtRest();
  bool with_page = false;
  bool rewound = false;
  for (const std::string& key : keys) {
    auto token = OpenToken(epoch.secret, TokenKind::kPage, key);
    if (!token.ok()) token = OpenToken(epoch.secret, TokenKind::kAck, key);
    if (!token.ok()) {
      Ignore(&result, "malformed or forged key");
    } else if (token->device != device->descriptor.number) {
      Ignore(&result, "a key of another device");
    } else if (token->epoch != epoch.tag || device->descriptor.epoch != epoch.tag) {
      Ignore(&result, "a key of an older epoch");
    } else if (token->session > device->marks.session() || token->head > store_.last_sequence()) {
      rewound = true;
      Ignore(&result, "a key of a history that this store has lost");
    } else {
      with_page = with_page || token->kind == TokenKind::kPage;
      TIDEMARK_RETURN_IF_ERROR(AcknowledgeOne(*device, *token, &result));
    }
  }
  if (rewound) {
    // The seal is ours and what it names never happened here: the store was rewound unnoticed.
    CloseSession(*device);
    device->stale = true;
    TIDEMARK_RETURN_IF_ERROR(store_.BeginEpoch("an acknowledgement proves that history was lost"));
    return result;
  }
  const bool settled = !was_at_rest && device->marks.AtRest();
  TIDEMARK_RETURN_IF_ERROR(Save(*device, with_page, /*sync=*/true));
  NoteReleased(result.applied, settled);
  return result;
}

}  // namespace tidemark
