#include "server/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <toml++/toml.h>

#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <string_view>

namespace tidemark::server {
namespace {

/// Takes one value into the configuration; what it must be, when it is not that.
using Setter = std::function<std::string_view(const toml::node& node, ServerConfig& config)>;

constexpr std::string_view kGood;

Setter Text(std::function<std::string&(ServerConfig&)> target) {
  return [target](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<std::string>();
    if (!value) return "must be a string";
    target(config) = *value;
    return kGood;
  };
}

Setter Flag(std::function<void(ServerConfig&, bool)> set) {
  return [set](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<bool>();
    if (!value) return "must be true or false";
    set(config, *value);
    return kGood;
  };
}

Setter Number(int64_t least, int64_t most, std::function<void(ServerConfig&, int64_t)> set) {
  return [least, most, set](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<int64_t>();
    if (!value) return "must be a whole number";
    if (*value < least || *value > most) return "is out of its range";
    set(config, *value);
    return kGood;
  };
}

std::string_view SetListen(const toml::node& node, ServerConfig& config) {
  const auto value = node.value_exact<std::string>();
  const auto listen = ParseListenAddress(value.value_or(""));
  if (!listen.ok()) return "must be ADDRESS:PORT";
  config.listen = *listen;
  return kGood;
}

const std::map<std::string, Setter, std::less<>>& Setters() {
  static const std::map<std::string, Setter, std::less<>> kSetters = {
      {"data", Text([](ServerConfig& c) -> std::string& { return c.data; })},
      {"listen", SetListen},
      {"tls_certificate",
       Text([](ServerConfig& c) -> std::string& { return c.options.listener.tls_certificate; })},
      {"tls_key", Text([](ServerConfig& c) -> std::string& { return c.options.listener.tls_key; })},
      {"log_requests", Flag([](ServerConfig& c, bool v) { c.log_requests = v; })},
      {"io_threads",
       Number(1,
              64,
              [](ServerConfig& c, int64_t v) {
                c.options.listener.io_threads = static_cast<int>(v);
              })},
      {"workers",
       Number(
           1,
           512,
           [](ServerConfig& c, int64_t v) { c.options.listener.workers = static_cast<int>(v); })},
      {"connections",
       Number(1,
              1'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.listener.limits.connections = static_cast<uint32_t>(v);
              })},
      {"requests_per_second",
       Number(0,
              1'000'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.requests_per_second = static_cast<double>(v);
              })},
      {"request_burst",
       Number(1,
              1'000'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.request_burst = static_cast<double>(v);
              })},
      {"instances_open",
       Number(1,
              10'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.instances.open_max = static_cast<size_t>(v);
              })},
      {"instance_idle_seconds",
       Number(1,
              86'400,
              [](ServerConfig& c, int64_t v) {
                c.options.application.instances.idle_max = std::chrono::seconds(v);
              })},
      {"follower_retention_seconds",
       Number(0,
              366 * 86'400,
              [](ServerConfig& c, int64_t v) {
                c.options.application.instances.store.follower_retention_ms = v * 1000;
              })},
      {"block_cache_mib",
       Number(1,
              1'048'576,
              [](ServerConfig& c, int64_t v) {
                c.options.application.runtime.block_cache_bytes = static_cast<size_t>(v) << 20U;
              })},
      {"write_buffer_mib",
       Number(1,
              1'048'576,
              [](ServerConfig& c, int64_t v) {
                c.options.application.runtime.write_buffer_bytes = static_cast<size_t>(v) << 20U;
              })},
      {"background_threads",
       Number(1,
              64,
              [](ServerConfig& c, int64_t v) {
                c.options.application.runtime.background_threads = static_cast<int>(v);
              })},
      {"webhook_url", Text([](ServerConfig& c) -> std::string& {
         return c.options.application.instances.webhook.url;
       })},
      {"webhook_secret", Text([](ServerConfig& c) -> std::string& {
         return c.options.application.instances.webhook.secret;
       })},
      {"stop_grace_seconds",
       Number(0,
              3600,
              [](ServerConfig& c, int64_t v) { c.options.stop_grace = std::chrono::seconds(v); })},
  };
  return kSetters;
}

Status Wrong(const std::filesystem::path& path, const toml::source_region& at, std::string what) {
  return {ErrorCode::kInvalidArgument,
          path.string() + ", line " + std::to_string(at.begin.line) + ": " + what};
}

Result<ServerConfig> FromTable(const std::filesystem::path& path, const toml::table& table) {
  ServerConfig config;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const auto setter = Setters().find(name);
    if (setter == Setters().end()) return Wrong(path, key.source(), name + " is not known");
    const std::string_view wrong = setter->second(node, config);
    if (!wrong.empty()) return Wrong(path, node.source(), name + " " + std::string(wrong));
  }
  const http::ListenerOptions& listener = config.options.listener;
  if (listener.tls_certificate.empty() != listener.tls_key.empty()) {
    return Status(ErrorCode::kInvalidArgument,
                  path.string() + ": tls_certificate and tls_key come together");
  }
  const WebhookOptions& webhook = config.options.application.instances.webhook;
  if (webhook.url.empty() != webhook.secret.empty()) {
    return Status(ErrorCode::kInvalidArgument,
                  path.string() + ": webhook_url and webhook_secret come together");
  }
  if (!webhook.url.empty() && !webhook.url.starts_with("http://") &&
      !webhook.url.starts_with("https://")) {
    return Status(ErrorCode::kInvalidArgument,
                  path.string() + ": webhook_url begins with http:// or https://");
  }
  return config;
}

}  // namespace

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  const Status wrong(ErrorCode::kInvalidArgument,
                     "\"" + std::string(text) + "\" is not ADDRESS:PORT, with IPv6 in brackets");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  ListenAddress listen;
  std::string_view address = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), listen.port);
  if (port.empty() || error != std::errc() || stop != port.data() + port.size()) return wrong;
  const bool v6 = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (v6) address = address.substr(1, address.size() - 2);
  listen.address = address == "localhost" ? "127.0.0.1" : std::string(address);
  in6_addr binary{};
  const int family = v6 ? AF_INET6 : AF_INET;
  if (inet_pton(family, listen.address.c_str(), &binary) != 1) return wrong;
  return listen;
}

std::string FormatListenAddress(const ListenAddress& listen) {
  const bool v6 = listen.address.find(':') != std::string::npos;
  return (v6 ? "[" + listen.address + "]" : listen.address) + ":" + std::to_string(listen.port);
}

Result<ServerConfig> ReadServerConfig(const std::filesystem::path& path) {
  try {
    return FromTable(path, toml::parse_file(path.string()));
  } catch (const toml::parse_error& failure) {
    if (failure.source().begin.line == 0) {
      return Status(ErrorCode::kNotFound,
                    path.string() + ": " + std::string(failure.description()));
    }
    return Wrong(path, failure.source(), std::string(failure.description()));
  }
}

}  // namespace tidemark::server
