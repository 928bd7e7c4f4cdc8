// One call of the server: who asks, for which instance, and the table of what is answered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "replication/selection_rule.h"
#include "server/instance.h"

namespace tidemark::server {

/// What a token may do; each role includes the one before it.
enum class Role : uint8_t { kReader, kWriter, kAdmin };
std::string_view RoleName(Role role);
std::optional<Role> RoleFromName(std::string_view name);

/// Who asks, as its token says.
struct Caller {
  std::string token;  ///< short id of the token; empty when none was needed
  std::string instance = "default";
  Role role = Role::kAdmin;
  std::string device;  ///< the only device it may act for; empty: any
  /// What devices may be shown at most when it speaks for them; null: what they are granted.
  std::shared_ptr<const SelectionRule> selection;

  /// It is good for calls of devices only: others show, or change, more than a device may.
  bool is_for_devices() const { return !device.empty() || selection != nullptr; }
  bool operator==(const Caller& other) const;
};

struct Call {
  std::shared_ptr<const http::Request> request;
  Caller caller;
  std::shared_ptr<Instance> instance;
  std::vector<std::string> captures;  ///< what stands for the `{...}` of the route
  std::function<bool()> admitted;     ///< whether the caller's token is as it was; none: always

  /// What waits or streams asks this before each thing that it tells: tokens end at once.
  bool StillAdmitted() const { return !admitted || admitted(); }
};

/// Answers a call, now or later, from any thread.
using Action = std::function<void(const std::shared_ptr<Call>& call, http::Responder respond)>;

/// An action that answers at once.
Action Answer(std::function<http::Response(const Call& call)> answer);

/// One row of the table of calls.
struct Route {
  http::Method method = http::Method::kGet;
  std::string pattern;  ///< "/v2/sync/{session}/queues/{queue}"
  Role role = Role::kReader;
  Action action;
  bool open = false;         ///< needs no token and no instance: health
  bool for_devices = false;  ///< also for a token bound to a device; the action checks which
  /// Query parameters that it reads. Others, and one given twice, are refused by name; open calls
  /// are asked by probes with parameters of their own and look at none.
  std::vector<std::string_view> query = {};
  /// Clients that were written for another server call it: what they add to the query is ignored.
  bool for_foreign_clients = false;
};

/// `route` with the query parameters that it reads.
Route Reading(std::vector<std::string_view> query, Route route);

}  // namespace tidemark::server
