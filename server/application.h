// The application: what becomes of a request, from its path to its answer. No sockets.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/listener.h"
#include "http/message.h"
#include "server/admission.h"
#include "server/call.h"
#include "server/data_root.h"
#include "server/instances.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/tokens.h"

namespace tidemark::server {

struct ApplicationOptions {
  std::filesystem::path data;  ///< data root; made when it is missing
  InstancesOptions instances;
  RuntimeOptions runtime;
  AdmissionOptions admission;
  /// Who can reach the server sees all its figures, also when there are tokens; else an
  /// administrator sees those of his instance.
  bool metrics_without_token = false;
  /// Gets one line of JSON for each event; never values, tokens or ids of bodies. Called from any
  /// thread.
  std::function<void(const std::string& line)> log;
  bool log_requests = true;  ///< each answer is an event
};

/// Thread-safe.
class Application final : public http::Handler {
 public:
  /// `executor` runs what waiters do when they are woken.
  static Result<std::unique_ptr<Application>> Open(ApplicationOptions options,
                                                   Executor executor = {});
  ~Application() override;
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  void Handle(std::shared_ptr<const http::Request> request, http::Responder respond) override;
  http::Response Refuse(int status,
                        std::string_view code,
                        std::string_view message,
                        std::string_view request_id) override;

  /// What a server does now and then: lets events go that are beyond their retention and deletions
  /// that no device needs, closes idle instances, notes the use of tokens.
  void Upkeep();
  /// What cannot wait for that: lets calls find out whose token was revoked, interrupts syncs whose
  /// lease ran out, opens instances anew whose disk was full. To be called about once a second.
  void Watch();
  /// Lets waiting calls go and reads as not ready from now on.
  void BeginStop();
  /// Requires that no call is being handled.
  void Close();

  Tokens& tokens() { return *tokens_; }
  Instances& instances() { return *instances_; }
  const Router& router() const { return *router_; }
  /// Where `/metrics` finds the counters of connections. Must be set before the first call.
  void SetListenerStatistics(std::function<http::ListenerStatistics()> statistics);
  /// One line to the log: `{"time":...,"event":EVENT, MEMBERS}`.
  void Log(std::string_view event, std::string_view members);

 private:
  explicit Application(ApplicationOptions options);

  void Dispatch(const std::shared_ptr<Call>& call,
                const RouteMatch& match,
                const http::Responder& respond);
  http::Responder Observed(const std::shared_ptr<Call>& call,
                           std::string_view route,
                           http::Responder respond);
  std::vector<Route> OpenRoutes();
  http::Response ShowMetrics(const http::Request& request);
  /// Why no work should be sent here; empty when it may be.
  std::string NotReady() const;
  void LogFailure(std::string_view request_id, std::string_view what);
  void NoteUpkeep(std::string_view of, const Status& status);
  /// A sink that writes each line as an event. `event` must be a literal.
  std::function<void(const std::string& line)> LogLines(std::string_view event);

  const ApplicationOptions options_;
  std::shared_ptr<Runtime> runtime_;
  std::optional<ServingLock> serving_lock_;  // let go of after the instances
  Metrics metrics_;
  std::function<http::ListenerStatistics()> listener_statistics_;
  std::unique_ptr<Tokens> tokens_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Instances> instances_;
  std::unique_ptr<Router> router_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> tokens_seen_ = 0;
};

}  // namespace tidemark::server
