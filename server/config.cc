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

Setter Text(const std::function<std::string&(ServerConfig&)>& target) {
  return [target](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<std::string>();
    if (!value) return "must be a string";
    target(config) = *value;
    return kGood;
  };
}

Setter Flag(const std::function<void(ServerConfig&, bool)>& set) {
  return [set](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<bool>();
    if (!value) return "must be true or false";
    set(config, *value);
    return kGood;
  };
}

Setter Number(int64_t least, int64_t most, const std::function<void(ServerConfig&, int64_t)>& set) {
  return [least, most, set](const toml::node& node, ServerConfig& config) -> std::string_view {
    const auto value = node.value_exact<int64_t>();
    if (!value) return "must be a whole number";
    if (*value < least || *value > most) return "is out of its range";
    set(config, *value);
    return kGood;
  };
}

MailOptions& MailOf(ServerConfig& config) {
  return config.options.application.instances.tell.mail;
}

std::string_view SetMailTo(const toml::node& node, ServerConfig& config) {
  constexpr std::string_view kWrong = "must be a list of mail addresses, at most 20";
  const toml::array* list = node.as_array();
  if (list == nullptr || list->size() > http::kMailRecipientsMax) return kWrong;
  for (const toml::node& one : *list) {
    const auto address = one.value_exact<std::string>();
    if (!address || !http::IsMailAddress(*address)) return kWrong;
    MailOf(config).to.push_back(*address);
  }
  return kGood;
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
                c.options.application.admission.requests_per_second = static_cast<double>(v);
              })},
      {"request_burst",
       Number(1,
              1'000'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.admission.request_burst = static_cast<double>(v);
              })},
      {"strangers_per_second",
       Number(0,
              1'000'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.admission.strangers_per_second = static_cast<double>(v);
              })},
      {"stranger_burst",
       Number(1,
              1'000'000'000,
              [](ServerConfig& c, int64_t v) {
                c.options.application.admission.stranger_burst = static_cast<double>(v);
              })},
      {"metrics_without_token",
       Flag([](ServerConfig& c, bool v) { c.options.application.metrics_without_token = v; })},
      {"upkeep_seconds",
       Number(
           1,
           86'400,
           [](ServerConfig& c, int64_t v) { c.options.upkeep_period = std::chrono::seconds(v); })},
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
         return c.options.application.instances.tell.webhook.url;
       })},
      {"webhook_secret", Text([](ServerConfig& c) -> std::string& {
         return c.options.application.instances.tell.webhook.secret;
       })},
      {"mail_url", Text([](ServerConfig& c) -> std::string& { return MailOf(c).server.url; })},
      {"mail_tls", Flag([](ServerConfig& c, bool v) { MailOf(c).server.require_tls = v; })},
      {"mail_user", Text([](ServerConfig& c) -> std::string& { return MailOf(c).server.user; })},
      {"mail_password",
       Text([](ServerConfig& c) -> std::string& { return MailOf(c).server.password; })},
      {"mail_certificate_authority", Text([](ServerConfig& c) -> std::string& {
         return MailOf(c).server.certificate_authority;
       })},
      {"mail_from", Text([](ServerConfig& c) -> std::string& { return MailOf(c).from; })},
      {"mail_to", SetMailTo},
      {"public_url", Text([](ServerConfig& c) -> std::string& { return MailOf(c).public_url; })},
      {"stop_grace_seconds",
       Number(0,
              3600,
              [](ServerConfig& c, int64_t v) { c.options.stop_grace = std::chrono::seconds(v); })},
  };
  return kSetters;
}

Status Wrong(const std::filesystem::path& path,
             const toml::source_region& at,
             const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          path.string() + ", line " + std::to_string(at.begin.line) + ": " + what};
}

bool IsWebUrl(std::string_view url) {
  return url.starts_with("http://") || url.starts_with("https://");
}

// Keys that only make sense together.
Status CheckTelling(const TellOptions& tell) {
  const auto wrong = [](std::string what) {
    return Status(ErrorCode::kInvalidArgument, std::move(what));
  };
  if (tell.webhook.url.empty() != tell.webhook.secret.empty()) {
    return wrong("webhook_url and webhook_secret come together");
  }
  if (!tell.webhook.url.empty() && !IsWebUrl(tell.webhook.url)) {
    return wrong("webhook_url begins with http:// or https://");
  }
  const MailOptions& mail = tell.mail;
  if (!mail.public_url.empty() && (!IsWebUrl(mail.public_url) || mail.public_url.ends_with('/'))) {
    return wrong("public_url begins with http:// or https:// and does not end in a slash");
  }
  const bool mails = !mail.server.url.empty();
  if (mails != !mail.from.empty() || mails != !mail.to.empty()) {
    return wrong("mail_url, mail_from and mail_to come together");
  }
  if (!mails) return {};
  if (!mail.server.url.starts_with("smtp://") && !mail.server.url.starts_with("smtps://")) {
    return wrong("mail_url begins with smtp:// or smtps://");
  }
  if (!http::IsMailAddress(mail.from)) return wrong("mail_from is no mail address");
  if (mail.server.user.empty() != mail.server.password.empty()) {
    return wrong("mail_user and mail_password come together");
  }
  if (!mail.server.user.empty() && !mail.server.require_tls) {
    return wrong("mail_password needs mail_tls: it would be sent in the open");
  }
  return {};
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
  TIDEMARK_RETURN_IF_ERROR(
      CheckTelling(config.options.application.instances.tell).WithContext(path.string()));
  return config;
}

}  // namespace

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  const Status wrong(ErrorCode::kInvalidArgument,
                     std::string(text) + " is not ADDRESS:PORT, with IPv6 in brackets");
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
