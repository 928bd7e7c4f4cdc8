#include "server/feed_routes.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "server/accept.h"
#include "server/feed.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/waiters.h"

namespace tidemark::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint64_t kWaitSecondsMax = 60;
constexpr uint64_t kEventsMax = 100;           // read at once for a live stream
constexpr size_t kEventBytesMax = 256 * 1024;  // buffered for one, but for its last line

Result<FeedPosition> ReadAfter(const Call& call) {
  const http::Request& request = *call.request;
  const std::string_view after = request.Query("after").value_or("0");
  return OpenCursor(call.instance->store(), request.headers.Find("Last-Event-ID").value_or(after));
}

// --- Pages ---

struct PageRequest {
  FeedPosition after;
  uint64_t lines = kListLimitMax;
  milliseconds wait{0};
};

Result<PageRequest> ReadPageRequest(const Call& call) {
  PageRequest page;
  TIDEMARK_ASSIGN_OR_RETURN(page.after, ReadAfter(call));
  TIDEMARK_ASSIGN_OR_RETURN(page.lines,
                            ReadNumber(*call.request, "limit", kListLimitMax, 1, kListLimitMax));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t seconds,
                            ReadNumber(*call.request, "wait", 0, 0, kWaitSecondsMax));
  page.wait = std::chrono::seconds(seconds);
  return page;
}

http::Response PageReply(const Call& call, const FeedPage& page) {
  http::Response response;
  response.content_type = "application/x-ndjson; charset=utf-8";
  for (const FeedLine& line : page.lines) response.body.append(line.json).append(1, '\n');
  response.headers.Add("X-Tidemark-Cursor", SealCursor(call.instance->store(), page.end));
  return response;
}

// One call that waits for a line, for as long as it asked to.
class LongPoll : public std::enable_shared_from_this<LongPoll> {
 public:
  LongPoll(std::shared_ptr<Call> call, http::Responder respond, const PageRequest& request)
      : call_(std::move(call)),
        respond_(std::move(respond)),
        request_(request),
        deadline_(steady_clock::now() + request.wait) {}

  void Read() {
    Waiters& waiters = call_->instance->waiters();
    const uint64_t changes = waiters.changes();  // before looking: none is missed
    if (!call_->StillAdmitted()) return respond_(Unauthorized(call_->request->id));
    const Result<FeedPage> page =
        ReadFeed(call_->instance->store(), request_.after, request_.lines, kListBytesMax);
    if (!page.ok()) return respond_(Refuse(*call_, page.status()));
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - steady_clock::now());
    if (!page->lines.empty() || left.count() <= 0 || waiters.stopped()) {
      return respond_(PageReply(*call_, *page));
    }
    // From 0 it goes on as from 0: nothing was shown yet.
    if (request_.after.head != kSequenceZero) request_.after = page->end;
    waiters.Wait(
        page->end.head, left, [self = shared_from_this()] { self->Read(); }, changes);
  }

 private:
  const std::shared_ptr<Call> call_;
  const http::Responder respond_;
  PageRequest request_;
  const steady_clock::time_point deadline_;
};

// --- Live ---

std::string EventOf(const FeedLine& line) {
  return "id: " + line.cursor + "\ndata: " + line.json + "\n\n";
}

// The stream cannot go on: told as an event, since the answer began long ago.
std::string ErrorEvent(const Status& status) {
  JsonWriter error;
  error.BeginObject().Key("code").String(GetErrorInfo(status.code()).name);
  error.Key("message").String(status.message()).EndObject();
  return "event: error\ndata: " + error.text() + "\n\n";
}

// What a stream and the wake-ups it is waiting for share. Buffers one chunk.
class LiveFeed : public std::enable_shared_from_this<LiveFeed> {
 public:
  using Ready = std::function<void(std::optional<std::string>)>;

  LiveFeed(std::shared_ptr<Call> call, const FeedPosition& after, milliseconds heartbeat)
      : call_(std::move(call)),
        position_(after),
        heartbeat_(heartbeat),
        changes_(call_->instance->waiters().changes()) {}

  void Next(Ready ready) {
    if (ended_) return ready(std::nullopt);
    if (!greeted_) {  // the headers reach the client although nothing changes
      greeted_ = true;
      return ready(": connected\n\n");
    }
    WaitThenRead(std::move(ready));
  }

 private:
  // Reading is not the business of the caller's thread, which moves bytes.
  void WaitThenRead(Ready ready) {
    const SequenceNumber after = behind_ ? kSequenceZero : position_.head;
    const milliseconds timeout = behind_ ? milliseconds(0) : heartbeat_;
    call_->instance->waiters().Wait(
        after,
        timeout,
        [weak = weak_from_this(), ready = std::move(ready)] {
          if (const auto self = weak.lock()) self->Read(ready);
        },
        changes_);
  }

  void Read(const Ready& ready) {
    changes_ = call_->instance->waiters().changes();  // before looking: none is missed
    if (call_->instance->waiters().stopped() || !call_->StillAdmitted()) {
      return ready(std::nullopt);
    }
    Result<FeedPage> page =
        ReadFeed(call_->instance->store(), position_, kEventsMax, kEventBytesMax);
    if (!page.ok()) {
      ended_ = true;
      return ready(ErrorEvent(page.status()));
    }
    behind_ = page->more;
    if (!page->lines.empty() || position_.head != kSequenceZero) position_ = page->end;
    std::string chunk;
    for (const FeedLine& line : page->lines) chunk += EventOf(line);
    ready(chunk.empty() ? ": alive\n\n" : std::move(chunk));
  }

  const std::shared_ptr<Call> call_;
  FeedPosition position_;
  const milliseconds heartbeat_;
  uint64_t changes_;
  bool greeted_ = false;
  bool behind_ = true;
  bool ended_ = false;
};

// Destroyed when the client leaves; the feed goes with it, and a wake-up then finds nobody.
class LiveStream final : public http::BodyStream {
 public:
  explicit LiveStream(std::shared_ptr<LiveFeed> feed) : feed_(std::move(feed)) {}
  void Next(std::function<void(std::optional<std::string>)> ready) override {
    feed_->Next(std::move(ready));
  }

 private:
  const std::shared_ptr<LiveFeed> feed_;
};

http::Response StreamReply(const std::shared_ptr<Call>& call, milliseconds heartbeat) {
  const Result<FeedPosition> after = ReadAfter(*call);
  if (!after.ok()) return Refuse(*call, after.status());
  // What is too old is refused by a status, before the stream begins.
  const Result<FeedPage> first = ReadFeed(call->instance->store(), *after, 1, kEventBytesMax);
  if (!first.ok()) return Refuse(*call, first.status());
  http::Response response;
  response.content_type = "text/event-stream; charset=utf-8";
  response.headers.Add("Cache-Control", "no-cache");
  response.stream =
      std::make_shared<LiveStream>(std::make_shared<LiveFeed>(call, *after, heartbeat));
  return response;
}

void FollowChanges(const std::shared_ptr<Call>& call,
                   const http::Responder& respond,
                   milliseconds heartbeat) {
  if (Prefers(call->request->headers, "text/event-stream", "application/x-ndjson")) {
    return respond(StreamReply(call, heartbeat));
  }
  const Result<PageRequest> request = ReadPageRequest(*call);
  if (!request.ok()) return respond(Refuse(*call, request.status()));
  std::make_shared<LongPoll>(call, respond, *request)->Read();
}

}  // namespace

std::vector<Route> FeedRoutes(const FeedRouteOptions& options) {
  const Action follow = [heartbeat = options.heartbeat](const std::shared_ptr<Call>& call,
                                                        const http::Responder& respond) {
    FollowChanges(call, respond, heartbeat);
  };
  return {Reading({"after", "limit", "wait"},
                  {http::Method::kGet, "/v1/changes", Role::kReader, follow})};
}

}  // namespace tidemark::server
