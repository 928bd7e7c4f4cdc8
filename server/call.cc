#include "server/call.h"

#include <utility>

namespace tidemark::server {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kReader:
      return "reader";
    case Role::kWriter:
      return "writer";
    case Role::kAdmin:
      return "admin";
  }
  return "reader";
}

std::optional<Role> RoleFromName(std::string_view name) {
  for (const Role role : {Role::kReader, Role::kWriter, Role::kAdmin}) {
    if (RoleName(role) == name) return role;
  }
  return std::nullopt;
}

bool Caller::operator==(const Caller& other) const {
  const auto rule_of = [](const Caller& caller) {
    return caller.selection == nullptr ? SelectionRule::Everything() : *caller.selection;
  };
  return token == other.token && instance == other.instance && role == other.role &&
         device == other.device && rule_of(*this) == rule_of(other);
}

Route Reading(std::vector<std::string_view> query, Route route) {
  route.query = std::move(query);
  return route;
}

Action Answer(std::function<http::Response(const Call& call)> answer) {
  return [answer = std::move(answer)](const std::shared_ptr<Call>& call,
                                      const http::Responder& respond) {
    respond(answer(*call));
  };
}

}  // namespace tidemark::server
