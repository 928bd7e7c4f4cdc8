// Bundles at the source: a session packed for a device, and what a device packed.
#include "format/hex.h"
#include "replication/internal/bundle_file.h"
#include "replication/internal/bundle_header.h"
#include "replication/internal/carried_answers.h"
#include "replication/internal/source_impl.h"

namespace tidemark {
namespace {

using internal::BundleFrame;
using internal::BundleFrameType;
using internal::BundleReader;
using internal::BundleWriter;

}  // namespace

Result<std::optional<SessionInfo>> Source::Impl::StartCarried(std::string_view id,
                                                              bool fresh,
                                                              BundleHeader* header) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(id));
  TIDEMARK_ASSIGN_OR_RETURN(const DevicePtr device, FindOrMake(id));
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  const DeviceDescriptor& descriptor = device->descriptor;
  Hello hello{.device = std::string(id), .incarnation = descriptor.incarnation};
  if (fresh || hello.incarnation.empty()) {
    hello.incarnation = internal::MakeBundleId(store_.runtime());
    hello.fresh = true;
  }
  // Nobody is there whose token says more, or less.
  if (descriptor.limit.has_value()) {
    hello.limit = std::make_shared<const SelectionRule>(*descriptor.limit);
  }
  const bool held_nothing = device->marks.HoldsNothing();
  TIDEMARK_ASSIGN_OR_RETURN(const auto session, StartLocked(*device, hello));
  if (!session.has_value()) return session;
  if (device->session.has_value()) device->session->told.clear();  // nothing shows that it arrived
  TIDEMARK_ASSIGN_OR_RETURN(const internal::PushProgress pushed, LoadPushProgress(*device));
  const Epochs epoch = CurrentEpoch();
  *header = {.direction = BundleDirection::kPull,
             .id = internal::MakeBundleId(store_.runtime()),
             .store = epoch.store,
             .epoch = session->epoch,
             .device = std::string(id),
             .incarnation = hello.incarnation,
             .created_at = store_.runtime().clock().WallMilliseconds()};
  header->pull = {.session = *session,
                  .complete = session->reset || held_nothing,
                  .acked_session = descriptor.acked_session,
                  .acked_page = descriptor.acked_page};
  if (pushed.incarnation == EncodeHex(hello.incarnation)) {
    header->pull->handled_through = pushed.handled_through;
  }
  return session;
}

Status Source::Impl::PackPages(const SessionInfo& session,
                               size_t page_records,
                               BundleWriter* writer,
                               const BundleProgress& progress) {
  // A reset that lists nothing has no page whose acknowledgement shows that it arrived: it is not
  // drained, so that the next session is a reset again.
  if (session.owed == 0) return {};
  std::vector<std::string> queues;
  for (const QueueInfo& queue : session.queues) queues.push_back(queue.name);
  queues.emplace_back(kMainQueue);
  for (const std::string& queue : queues) {
    while (true) {
      TIDEMARK_ASSIGN_OR_RETURN(
          const auto page, NextPage(session.id, {.records_max = page_records, .queue = queue}));
      if (!page.has_value()) break;
      TIDEMARK_RETURN_IF_ERROR(writer->Add(BundleFrameType::kPage, page->bytes, page->records));
      if (progress) progress(writer->totals().records, session.owed);
    }
  }
  return {};
}

Result<BundlePacked> Source::Impl::PackBundle(std::string_view id,
                                              const std::filesystem::path& path,
                                              const BundlePackOptions& options,
                                              const BundleProgress& progress) {
  // First of all: a path that cannot be written to costs no session.
  TIDEMARK_ASSIGN_OR_RETURN(const auto writer, BundleWriter::Create(path));
  BundlePacked packed;
  TIDEMARK_ASSIGN_OR_RETURN(const auto session, StartCarried(id, options.fresh, &packed.header));
  if (!session.has_value()) {
    packed.nothing = true;
    return packed;
  }
  TIDEMARK_RETURN_IF_ERROR(writer->Begin(packed.header));
  TIDEMARK_RETURN_IF_ERROR(PackPages(*session, options.page_records, writer.get(), progress));
  TIDEMARK_RETURN_IF_ERROR(writer->Finish());
  packed.totals = writer->totals();
  return packed;
}

Status Source::Impl::ApplyFrame(const BundleFrame& frame,
                                internal::CarriedPushes* carried,
                                BundleWriter* answers,
                                BundleTaken* taken) {
  if (frame.type == BundleFrameType::kKeys) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto keys, internal::DecodeBundleKeys(frame.bytes));
    TIDEMARK_ASSIGN_OR_RETURN(const AckResult result, Acknowledge(taken->header.device, keys));
    taken->acknowledged += result.applied;
    taken->ignored_keys += result.repeated + result.ignored;
    return {};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const PushResult result, Push(frame.bytes, nullptr, carried));
  for (size_t i = 0; i < result.counts.size(); ++i) taken->counts[i] += result.counts[i];
  if (answers == nullptr) return {};
  return answers->Add(BundleFrameType::kAnswers,
                      internal::EncodeCarriedAnswers(carried->answers),
                      carried->answers.size());
}

Result<BundleTaken> Source::Impl::ApplyBundle(const std::filesystem::path& path,
                                              const std::filesystem::path& answers,
                                              const BundleProgress& progress) {
  TIDEMARK_ASSIGN_OR_RETURN(const BundleTotals totals, internal::CheckBundle(path));
  TIDEMARK_ASSIGN_OR_RETURN(const auto reader, BundleReader::Open(path));
  const BundleHeader& header = reader->header();
  const Epochs epoch = CurrentEpoch();
  if (header.direction != BundleDirection::kPush) {
    return {ErrorCode::kWrongDevice,
            "the bundle is one for device " + header.device + ", not one that a device packed"};
  }
  if (!header.store.empty() && header.store != epoch.store) {
    return {ErrorCode::kWrongDevice, "the bundle is for another store than this one"};
  }
  BundleTaken taken{.header = header};
  std::unique_ptr<BundleWriter> writer;
  if (!answers.empty() && totals.operations > 0) {
    TIDEMARK_ASSIGN_OR_RETURN(writer, BundleWriter::Create(answers));
    TIDEMARK_RETURN_IF_ERROR(
        writer->Begin({.direction = BundleDirection::kAnswers,
                       .id = internal::MakeBundleId(store_.runtime()),
                       .store = epoch.store,
                       .epoch = epoch.epoch,
                       .device = header.device,
                       .incarnation = header.incarnation,
                       .created_at = store_.runtime().clock().WallMilliseconds()}));
  }
  internal::CarriedPushes carried;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto frame, reader->Next());
    if (!frame.has_value()) break;
    const Status applied = ApplyFrame(*frame, &carried, writer.get(), &taken);
    if (!applied.ok()) return internal::AtFrame(applied, *frame);
    if (progress) progress(reader->totals().operations, totals.operations);
  }
  if (writer != nullptr) TIDEMARK_RETURN_IF_ERROR(writer->Finish());
  return taken;
}

}  // namespace tidemark
