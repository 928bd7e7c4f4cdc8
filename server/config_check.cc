#include "server/config_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "server/token_file.h"

namespace tidemark::server {
namespace {

namespace fs = std::filesystem;

// Makes a folder in the data root, or where it would be made, and removes it.
Status CheckWritable(const fs::path& root) {
  std::error_code error;
  fs::path where = fs::absolute(root, error);
  while (!where.empty() && !fs::exists(where, error) && where.has_relative_path()) {
    where = where.parent_path();
  }
  std::string probe = (where / "tidemark-check-XXXXXX").string();
  if (mkdtemp(probe.data()) == nullptr) {
    return {ErrorCode::kInvalidArgument, "data: " + root.string() + " cannot be written"};
  }
  fs::remove(probe, error);
  return {};
}

}  // namespace

bool IsLoopbackAddress(const std::string& address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Status CheckReach(const std::string& address, bool has_tokens) {
  if (has_tokens || IsLoopbackAddress(address)) return {};
  return {ErrorCode::kNotAllowed,
          "others can reach " + address +
              ", and the data root has no token: make one with `tidemark token create`"};
}

Status CheckConfig(const ServerConfig& config) {
  if (config.data.empty()) {
    return {ErrorCode::kInvalidArgument, "data: no data root; name one here or by --data DIR"};
  }
  TIDEMARK_RETURN_IF_ERROR(CheckWritable(config.data));
  TIDEMARK_ASSIGN_OR_RETURN(const TokenFile tokens, ReadTokenFile(config.data));
  TIDEMARK_RETURN_IF_ERROR(
      CheckReach(config.listen.address, !tokens.tokens.empty()).WithContext("listen"));
  return http::Listener::CheckTls(config.options.listener);
}

}  // namespace tidemark::server
