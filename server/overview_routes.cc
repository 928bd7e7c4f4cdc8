#include "server/overview_routes.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/accept.h"
#include "server/overview.h"
#include "server/page_files.h"
#include "server/reply.h"
#include "server/waiters.h"

namespace tidemark::server {
namespace {

using std::chrono::milliseconds;

// --- Live ---

// What a stream and the wake-ups it is waiting for share.
class LiveOverview : public std::enable_shared_from_this<LiveOverview> {
 public:
  using Ready = std::function<void(std::optional<std::string>)>;

  LiveOverview(std::shared_ptr<Call> call, const OverviewRouteOptions& options)
      : call_(std::move(call)), options_(options) {}

  /// Looks at once the first time, then at the pace of the options. Looking is not the business of
  /// the caller's thread, which moves bytes.
  void Next(const Ready& ready) {
    const bool first = shown_.empty();
    WaitFor(kSequenceLimit, first ? milliseconds(0) : options_.pause, [ready](LiveOverview& self) {
      self.WaitForNews(ready);
    });
  }

 private:
  void WaitForNews(const Ready& ready) {
    const bool first = shown_.empty();
    WaitFor(seen_, first ? milliseconds(0) : options_.look, [ready](LiveOverview& self) {
      self.Look(ready);
    });
  }

  void Look(const Ready& ready) {
    if (call_->instance->waiters().stopped() || !call_->StillAdmitted()) {
      return ready(std::nullopt);
    }
    seen_ = call_->instance->store().last_sequence();
    std::string overview = OverviewToJson(*call_->instance);
    if (overview != shown_) {
      shown_ = std::move(overview);
      quiet_ = 0;
      return ready("data: " + shown_ + "\n\n");
    }
    if (++quiet_ == options_.quiet_looks) {
      quiet_ = 0;
      return ready(": alive\n\n");
    }
    WaitForNews(ready);
  }

  template <typename Then>
  void WaitFor(SequenceNumber after, milliseconds timeout, Then then) {
    call_->instance->waiters().Wait(after, timeout, [weak = weak_from_this(), then] {
      if (const auto self = weak.lock()) then(*self);
    });
  }

  const std::shared_ptr<Call> call_;
  const OverviewRouteOptions options_;
  std::string shown_;
  SequenceNumber seen_;
  int quiet_ = 0;  // looks since something was said
};

// Destroyed when the client leaves; the overview goes with it, and a wake-up then finds nobody.
class OverviewStream final : public http::BodyStream {
 public:
  explicit OverviewStream(std::shared_ptr<LiveOverview> live) : live_(std::move(live)) {}
  void Next(std::function<void(std::optional<std::string>)> ready) override { live_->Next(ready); }

 private:
  const std::shared_ptr<LiveOverview> live_;
};

void ShowOverview(const std::shared_ptr<Call>& call,
                  const http::Responder& respond,
                  const OverviewRouteOptions& options) {
  if (!Prefers(call->request->headers, "text/event-stream", "application/json")) {
    return respond(DataReply(200, OverviewToJson(*call->instance), "overview"));
  }
  http::Response response;
  response.content_type = "text/event-stream; charset=utf-8";
  response.headers.Add("Cache-Control", "no-cache");
  response.stream = std::make_shared<OverviewStream>(std::make_shared<LiveOverview>(call, options));
  respond(std::move(response));
}

// --- The page ---

http::Response FileReply(std::string_view bytes, std::string_view type) {
  http::Response response;
  response.content_type = std::string(type) + "; charset=utf-8";
  response.headers.Add("Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; "
                       "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'");
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Referrer-Policy", "no-referrer");
  response.headers.Add("Cache-Control", "no-cache");
  response.body = bytes;
  return response;
}

Route FileRoute(std::string path, std::string_view bytes, std::string_view type) {
  return {.method = http::Method::kGet,
          .pattern = std::move(path),
          .action = Answer([bytes, type](const Call&) { return FileReply(bytes, type); }),
          .open = true};
}

}  // namespace

std::vector<Route> OverviewRoutes(const OverviewRouteOptions& options) {
  const Action show = [options](const std::shared_ptr<Call>& call, const http::Responder& respond) {
    ShowOverview(call, respond, options);
  };
  return {{http::Method::kGet, "/v1/overview", Role::kReader, show}};
}

std::vector<Route> PageRoutes() {
  return {FileRoute("/", page::kHtml, "text/html"),
          FileRoute("/page.css", page::kCss, "text/css"),
          FileRoute("/page.js", page::kJs, "text/javascript")};
}

}  // namespace tidemark::server
