#include "server/sell_routes.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/record.h"
#include "server/accept.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/sell_page.h"
#include "server/sell_wire.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kWaitSecondsMax = 60;
// What the envelope of an item takes beside its value, generously.
constexpr size_t kItemEnvelopeBytes = 1024;

http::Response NoSuchThing(const Call& call) {
  return Refuse(call, Status(ErrorCode::kNotFound, "there is no such session or queue"));
}

/// The device that the call is for; the refusal when it may not be.
std::optional<http::Response> ReadDevice(const Call& call, std::string* device) {
  const auto header = call.request->headers.Find(kDeviceHeader);
  if (!header) return Refuse(call, FieldError(kDeviceHeader, "is missing"));
  if (Status status = CheckDeviceId(*header); !status.ok()) {
    return Refuse(call, FieldError(kDeviceHeader, status.message()));
  }
  if (!call.caller.device.empty() && call.caller.device != *header) {
    return MakeError(
        {.status = 403, .code = "device", .message = "the token is bound to another device"},
        call.request->id);
  }
  *device = *header;
  return std::nullopt;
}

// Start.

/// One start: it may wait until something is owed.
class Start : public std::enable_shared_from_this<Start> {
 public:
  Start(std::shared_ptr<Call> call, http::Responder respond)
      : call_(std::move(call)), respond_(std::move(respond)) {}

  void Run() {
    const auto& request = *call_->request;
    if (auto refusal = ReadDevice(*call_, &hello_.device)) {
      return respond_(std::move(*refusal));
    }
    if (Status status = ReadStartBody(request.body, &hello_); !status.ok()) {
      return respond_(Refuse(*call_, status));
    }
    hello_.limit = call_->caller.selection;
    const auto wait = ReadNumber(request, "wait", 0, 0, kWaitSecondsMax);
    if (!wait.ok()) return respond_(Refuse(*call_, wait.status()));
    deadline_ = clock().Now() + std::chrono::seconds(*wait);
    ticket_ = conversations().BeginStart(hello_.device);
    const Seen seen = Look();
    Take(call_->instance->source().StartSession(hello_), seen);
  }

 private:
  using Session = Result<std::optional<SessionInfo>>;

  // How things were before asking: a commit, or a changed selection, after that wakes the waiter.
  struct Seen {
    SequenceNumber sequence;
    uint64_t changes = 0;
  };

  Clock& clock() { return call_->instance->store().runtime().clock(); }
  Conversations& conversations() { return call_->instance->conversations(); }
  Seen Look() {
    return {call_->instance->store().last_sequence(), call_->instance->waiters().changes()};
  }

  void Take(const Session& session, const Seen& seen) {
    if (!session.ok()) return End(Refuse(*call_, session.status()));
    if (session->has_value()) {
      conversations().NoteSession((*session)->id, hello_.device);
      call_->instance->traffic().CountSession();
      return End(JsonReply(201, SessionToJson(**session)));
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - clock().Now());
    Waiters& waiters = call_->instance->waiters();
    if (left.count() <= 0 || waiters.stopped()) return End(EmptyReply(204));
    waiters.Wait(
        seen.sequence, left, [self = shared_from_this()] { self->Woken(); }, seen.changes);
  }

  void Woken() {
    if (call_->instance->waiters().stopped()) return End(EmptyReply(204));
    if (!call_->StillAdmitted()) return End(Unauthorized(call_->request->id));
    const Seen seen = Look();
    std::optional<Session> session;
    // When the device has asked again since, a session would fence the one of that call.
    conversations().IfNewestStart(
        hello_.device, ticket_, [&] { session = call_->instance->source().StartSession(hello_); });
    if (!session) return End(EmptyReply(204));
    Take(*session, seen);
  }

  void End(http::Response response) {
    conversations().EndStart(hello_.device, ticket_);
    respond_(std::move(response));
  }

  std::shared_ptr<Call> call_;
  http::Responder respond_;
  Hello hello_;
  MonotonicTime deadline_;
  uint64_t ticket_ = 0;
};

// Queue.

/// As JSON a page must stay below the bound as well: binary values grow by a third, and each item
/// has an envelope.
size_t JsonBytesMax(uint64_t limit) {
  return (kBatchBytesMax - static_cast<size_t>(limit) * kItemEnvelopeBytes) / 4 * 3;
}

http::Response BatchReply(Page page) {
  http::Response response;
  response.content_type = kBatchType;
  response.headers.Add(kPageHeader, page.token);
  response.headers.Add(kRecordsHeader, std::to_string(page.records));
  response.headers.Add(kLeftHeader, std::to_string(page.left));
  response.body = std::move(page.bytes);
  return response;
}

http::Response ReadQueue(const Call& call) {
  const std::string& session = call.captures[0];
  std::string device;
  if (auto refusal = ReadDevice(call, &device)) return std::move(*refusal);
  const auto limit = ReadLimit(*call.request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const auto bytes = ReadNumber(*call.request, "bytes", kBatchBytesMax, 1, kBatchBytesMax);
  if (!bytes.ok()) return Refuse(call, bytes.status());
  Instance& instance = *call.instance;
  const std::string& queue = call.captures[1];
  if (!CheckName(queue).ok() || !instance.conversations().MayRead(session, device)) {
    return NoSuchThing(call);
  }
  const bool as_batch = Prefers(call.request->headers, kBatchType, "application/json");
  const size_t most = as_batch ? kBatchBytesMax : JsonBytesMax(*limit);
  auto page = instance.source().NextPage(session,
                                         {.records_max = *limit,
                                          .bytes_max = std::min<size_t>(*bytes, most),
                                          .queue = queue,
                                          .limit = call.caller.selection});
  if (page.status().code() == ErrorCode::kNotFound) return NoSuchThing(call);
  if (!page.ok()) return Refuse(call, page.status());
  if (!page->has_value()) {
    if (queue == kMainQueue) instance.conversations().EndSession(session);
    return EmptyReply(204);
  }
  instance.traffic().CountPage((*page)->records, (*page)->bytes.size());
  if (as_batch) return BatchReply(std::move(**page));
  auto json = PageToJson(instance, session, **page);
  if (!json.ok()) return Refuse(call, json.status());
  return JsonReply(200, std::move(*json));
}

// Acknowledge.

http::Response Acknowledge(const Call& call) {
  std::string device;
  if (auto refusal = ReadDevice(call, &device)) return std::move(*refusal);
  const auto keys = ReadAckBody(call.request->body);
  if (!keys.ok()) return Refuse(call, keys.status());
  const auto result = call.instance->source().Acknowledge(device, *keys);
  if (!result.ok()) return Refuse(call, result.status());
  call.instance->traffic().CountAck(*result);
  http::Response response = EmptyReply(202);
  response.headers.Add(kAppliedHeader, std::to_string(result->applied));
  response.headers.Add(kRepeatedHeader, std::to_string(result->repeated));
  response.headers.Add(kIgnoredHeader, std::to_string(result->ignored));
  return response;
}

}  // namespace

std::vector<Route> SellRoutes() {
  const Action start = [](const std::shared_ptr<Call>& call, http::Responder respond) {
    std::make_shared<Start>(call, std::move(respond))->Run();
  };
  std::vector<Route> routes;
  routes.push_back({.method = http::Method::kPost,
                    .pattern = "/v2/sync/start",
                    .role = Role::kReader,
                    .action = start,
                    .for_devices = true,
                    .query = {"wait"},
                    .for_foreign_clients = true});
  routes.push_back({.method = http::Method::kGet,
                    .pattern = "/v2/sync/{session}/queues/{queue}",
                    .role = Role::kReader,
                    .action = Answer(ReadQueue),
                    .for_devices = true,
                    .query = {"limit", "bytes"},
                    .for_foreign_clients = true});
  routes.push_back({.method = http::Method::kPost,
                    .pattern = "/v2/sync/ack",
                    .role = Role::kReader,
                    .action = Answer(Acknowledge),
                    .for_devices = true,
                    .for_foreign_clients = true});
  return routes;
}

}  // namespace tidemark::server
