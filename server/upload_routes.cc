#include "server/upload_routes.h"

#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "format/json.h"
#include "replication/upload.h"
#include "server/long_work.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/schemas.h"
#include "server/upload_json.h"
#include "server/upload_requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kType = "upload_sync";
constexpr size_t kRejectedChunk = 1000;

const std::string& SyncOf(const Call& call) {
  return call.captures[0];
}

Uploads& UploadsOf(const Call& call) {
  return call.instance->uploads();
}

// A closed sync is refused with its state.
http::Response RefuseUpload(const Call& call, const Status& status) {
  if (status.code() == ErrorCode::kStrictRejected) return RefuseAs(call, "strict", status);
  if (status.code() != ErrorCode::kSyncClosed) return Refuse(call, status);
  const Result<UploadInfo> info = UploadsOf(call).Get(SyncOf(call));
  return Refuse(call, status, info.ok() ? UploadStateName(info->state) : std::string_view());
}

// An instance that is not the caller's looks like one that does not exist.
Status CheckInstance(const Call& call) {
  if (call.captures[0] == call.caller.instance) return {};
  return {ErrorCode::kNotFound, "there is no instance \"" + call.captures[0] + "\""};
}

http::Response StartSync(const Call& call) {
  if (Status found = CheckInstance(call); !found.ok()) return Refuse(call, found);
  const Result<bool> force = ReadStart(*call.request);
  if (!force.ok()) return Refuse(call, force.status());
  const Result<std::string> sync = UploadsOf(call).Start(*force);
  if (!sync.ok()) return Refuse(call, sync.status(), UploadsOf(call).active().value_or(""));
  return DataReply(201, SyncStateToJson(*sync, UploadState::kStarted), kType);
}

// --- Pages ---

http::Response PutPage(const Call& call, EntityKind kind) {
  const Result<UploadPage> page = ReadUploadPage(*call.request, kind);
  if (!page.ok()) return Refuse(call, page.status());
  if (Status declared = DeclareBuiltIn(call.instance->store(), page->entity); !declared.ok()) {
    return Refuse(call, declared);
  }
  const Result<UploadPageResult> result =
      call.instance->raw_pages().PutPage(SyncOf(call), *page, call.request->body);
  if (!result.ok()) return RefuseUpload(call, result.status());
  return DataReply(200, PageResultToJson(*result), "upload_page");
}

http::Response PutSnapshotPage(const Call& call) {
  return PutPage(call, EntityKind::kSnapshot);
}

http::Response PutIncrementalPage(const Call& call) {
  return PutPage(call, EntityKind::kIncremental);
}

http::Response GetPage(const Call& call) {
  const std::string& number = call.captures[2];
  uint32_t page = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, page);
  const bool good = error == std::errc() && stop == end && std::to_string(page) == number;
  if (!good) return Refuse(call, Status(ErrorCode::kNotFound, "there is no such page"));
  auto sent = call.instance->raw_pages().Read(SyncOf(call), call.captures[1], page);
  if (!sent.ok()) return Refuse(call, sent.status());
  return JsonReply(200, std::move(*sent));
}

// --- Ending ---

http::Response FinishReply(const Call& call, const Result<UploadInfo>& info) {
  if (!info.ok()) return RefuseUpload(call, info.status());
  const int status = info->state == UploadState::kProcessing ? 202 : 200;
  return DataReply(status, UploadToJson(*info), kType);
}

http::Response TooManyFinishes(const Call& call) {
  ErrorReply error;
  error.status = 503;
  error.code = "busy";
  error.message = "too many uploads are being finished; try again";
  http::Response response = MakeError(error, call.request->id);
  response.headers.Add("Retry-After", "5");
  return response;
}

// The call that waits for a finish: for its outcome, or for as long as a caller is made to wait. It
// holds no worker meanwhile.
class WaitingCall {
 public:
  WaitingCall(std::shared_ptr<Call> call, http::Responder respond)
      : call_(std::move(call)), respond_(std::move(respond)) {}

  /// The first answer counts, and lets go of the call.
  void Answer(const std::function<http::Response(const Call& call)>& answer) {
    std::shared_ptr<Call> call;
    http::Responder respond;
    {
      const std::lock_guard lock(mutex_);
      call = std::exchange(call_, nullptr);
      respond = std::exchange(respond_, nullptr);
    }
    if (call != nullptr) respond(answer(*call));
  }

  /// Of the call; null once it was answered.
  std::shared_ptr<Instance> instance() {
    const std::lock_guard lock(mutex_);
    return call_ == nullptr ? nullptr : call_->instance;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Call> call_;
  http::Responder respond_;
};

http::Response StillProcessing(const Call& call) {
  Result<UploadInfo> info = UploadsOf(call).Get(SyncOf(call));
  // It may wait for its turn, and then is not marked yet.
  if (info.ok() && info->state == UploadState::kStarted && info->error.empty()) {
    info->state = UploadState::kProcessing;
  }
  return FinishReply(call, info);
}

// Answers that it goes on, at `deadline`. What else wakes those who wait, such as a grant, says
// nothing about it.
void AnswerBy(const std::shared_ptr<WaitingCall>& waiting,
              std::chrono::steady_clock::time_point deadline) {
  const std::shared_ptr<Instance> instance = waiting->instance();
  if (instance == nullptr) return;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  instance->waiters().Wait(kSequenceLimit, left, [waiting, deadline] {
    const std::shared_ptr<Instance> still = waiting->instance();
    if (still == nullptr) return;
    if (std::chrono::steady_clock::now() < deadline && !still->waiters().stopped()) {
      AnswerBy(waiting, deadline);
    } else {
      waiting->Answer(StillProcessing);
    }
  });
}

class Finishes {
 public:
  explicit Finishes(const UploadRouteOptions& options) : options_(options) {}

  void Finish(const std::shared_ptr<Call>& call, const http::Responder& respond) {
    const Result<FinishOptions> options = ReadFinish(*call->request);
    if (!options.ok()) return respond(Refuse(*call, options.status()));
    auto waiting = std::make_shared<WaitingCall>(call, respond);
    const bool runs =
        work_.Run([waiting, instance = call->instance, sync = SyncOf(*call), options = *options] {
          const Result<UploadInfo> outcome = instance->uploads().Finish(sync, options);
          waiting->Answer([&](const Call& caller) { return FinishReply(caller, outcome); });
        });
    if (!runs) return waiting->Answer(TooManyFinishes);
    // What a dry run finds is told by its answer only, so it is waited for.
    if (options->dry_run) return;
    AnswerBy(waiting, std::chrono::steady_clock::now() + options_.finish_answer_time);
  }

 private:
  const UploadRouteOptions options_;
  LongWork work_;
};

http::Response AbortSync(const Call& call) {
  if (Status aborted = UploadsOf(call).Abort(SyncOf(call)); !aborted.ok()) {
    return RefuseUpload(call, aborted);
  }
  return DataReply(200, SyncStateToJson(SyncOf(call), UploadState::kAborted), kType);
}

// --- Reading ---

Result<std::string> SyncJson(const Call& call) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t offset, ReadOffset(*call.request));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t limit, ReadLimit(*call.request));
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, UploadsOf(call).Get(SyncOf(call)));
  TIDEMARK_ASSIGN_OR_RETURN(auto pages, UploadsOf(call).Pages(SyncOf(call), offset, limit + 1));
  const bool more = pages.size() > limit;
  if (more) pages.pop_back();
  JsonWriter writer;
  writer.BeginObject().Key("data").Raw(UploadToJson(info, pages));
  writer.Key("meta").BeginObject().Key("type").String(kType);
  writer.Key("offset").Unsigned(offset).Key("limit").Unsigned(limit);
  writer.Key("count").Unsigned(pages.size()).Key("more").Bool(more).EndObject().EndObject();
  return writer.Take();
}

http::Response GetSync(const Call& call) {
  Result<std::string> json = SyncJson(call);
  return json.ok() ? JsonReply(200, std::move(*json)) : Refuse(call, json.status());
}

Result<std::string> SyncsJson(const Call& call) {
  TIDEMARK_RETURN_IF_ERROR(CheckInstance(call));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t offset, ReadOffset(*call.request));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t limit, ReadLimit(*call.request));
  const std::vector<UploadInfo> newest = UploadsOf(call).List(offset + limit);
  JsonWriter writer;
  writer.BeginObject().Key("items").BeginArray();
  uint64_t count = 0;
  for (size_t i = offset; i < newest.size(); ++i, ++count) {
    writer.BeginObject().Key("data").Raw(UploadToJson(newest[i]));
    writer.Key("meta").BeginObject().Key("type").String(kType).EndObject().EndObject();
  }
  writer.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  writer.Key("count").Unsigned(count).Key("active");
  if (const std::optional<std::string> active = UploadsOf(call).active()) {
    writer.String(*active);
  } else {
    writer.Null();
  }
  writer.EndObject().EndObject();
  return writer.Take();
}

http::Response ListSyncs(const Call& call) {
  Result<std::string> json = SyncsJson(call);
  return json.ok() ? JsonReply(200, std::move(*json)) : Refuse(call, json.status());
}

// Bounded by the rows that a sync lists.
http::Response GetErrors(const Call& call) {
  http::Response response;
  response.content_type = "text/csv; charset=utf-8";
  response.body = kRejectedCsvHeader;
  for (size_t offset = 0;;) {
    const auto rows = UploadsOf(call).Rejected(SyncOf(call), offset, kRejectedChunk);
    if (!rows.ok()) return Refuse(call, rows.status());
    for (const RejectedRow& row : *rows) response.body += RejectedToCsv(row);
    offset += rows->size();
    if (rows->size() < kRejectedChunk) return response;
  }
}

}  // namespace

std::vector<Route> UploadRoutes(const UploadRouteOptions& options) {
  using http::Method;
  const std::string syncs = "/v2/integrations-sync/instances/{instance}/syncs";
  const std::string sync = "/v2/integrations-sync/syncs/{sync}";
  const auto finishes = std::make_shared<Finishes>(options);
  const Action finish = [finishes](const std::shared_ptr<Call>& call,
                                   const http::Responder& respond) {
    finishes->Finish(call, respond);
  };
  return {
      {Method::kPost, syncs, Role::kWriter, Answer(StartSync)},
      Reading({"offset", "limit"}, {Method::kGet, syncs, Role::kReader, Answer(ListSyncs)}),
      Reading({"offset", "limit"}, {Method::kGet, sync, Role::kReader, Answer(GetSync)}),
      {Method::kPost, sync + "/snapshot-data", Role::kWriter, Answer(PutSnapshotPage)},
      {Method::kPost, sync + "/incremental-data", Role::kWriter, Answer(PutIncrementalPage)},
      {Method::kPut, sync + "/finish", Role::kWriter, finish},
      {Method::kPost, sync + "/finish", Role::kWriter, finish},
      {Method::kPut, sync + "/abort", Role::kWriter, Answer(AbortSync)},
      {Method::kGet, sync + "/pages/{entity}/{page}", Role::kReader, Answer(GetPage)},
      {Method::kGet, sync + "/errors.csv", Role::kReader, Answer(GetErrors)},
  };
}

}  // namespace tidemark::server
