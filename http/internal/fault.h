// Why bytes are no request: what the refusal says.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace tidemark::http::internal {

struct Fault {
  int status = 400;
  std::string_view code = "bad_request";
  std::string message = {};  // NOLINT(readability-redundant-member-init): others are given alone
};

inline Fault Malformed(std::string message) {
  return {.message = std::move(message)};
}

}  // namespace tidemark::http::internal
