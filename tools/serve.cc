// serve: the HTTP server, in the foreground.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/config.h"
#include "server/config_check.h"
#include "server/server.h"
#include "tools/command.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

struct ServeOptions {
  std::optional<std::string> listen;
  std::optional<std::string> config;
  bool log_requests = false;
};

void DeclareServe(Arguments& arguments, ServeOptions& options) {
  arguments.Text("--listen", options.listen, "ADDRESS:PORT; port 0 is any free one");
  arguments.Text("--config", options.config, "TOML file; options win over it");
  arguments.Flag("--log-requests", options.log_requests, "Write a line of JSON for each answer");
}

/// Tells the service manager how the program stands, if there is one that wants to know.
void NotifyManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || path[0] == '\0' || std::strlen(path) >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // a name without a file
  const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent = sendto(file,
                              state.data(),
                              state.size(),
                              MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address),
                              size);
  static_cast<void>(sent);  // a manager that does not listen is no reason to stop
  close(file);
}

Result<server::ServerConfig> Configure(const Context& context, const ServeOptions& options) {
  server::ServerConfig config;
  if (options.config) {
    TIDEMARK_ASSIGN_OR_RETURN(config, server::ReadServerConfig(*options.config));
  }
  if (options.listen) {
    TIDEMARK_ASSIGN_OR_RETURN(config.listen, server::ParseListenAddress(*options.listen));
  }
  if (!context.globals.data.empty()) config.data = context.globals.data;
  if (config.data.empty()) {
    return Status(ErrorCode::kInvalidArgument,
                  "no data root: give --data DIR, or set TIDEMARK_DATA");
  }
  config.log_requests = config.log_requests || options.log_requests;
  return config;
}

Status RunServe(Context& context, const ServeOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(server::ServerConfig config, Configure(context, options));
  umask(S_IRWXG | S_IRWXO);  // what it writes is for its own user
  std::mutex log_mutex;
  server::ServerOptions server_options = config.options;
  server_options.listener.address = config.listen.address;
  server_options.listener.port = config.listen.port;
  server_options.application.data = config.data;
  server_options.application.log_requests = config.log_requests;
  server_options.application.log = [&](const std::string& line) {
    const std::lock_guard lock(log_mutex);
    context.errors.Write(line + "\n");
    context.errors.Flush();
  };
  TIDEMARK_ASSIGN_OR_RETURN(const auto server, server::Server::Start(std::move(server_options)));
  config.listen.port = server->port();
  const std::string_view scheme = config.options.listener.tls_key.empty() ? "http" : "https";
  context.output.sink().Write("tidemark: serving " + config.data + " on " + std::string(scheme) +
                              "://" + server::FormatListenAddress(config.listen) + "\n");
  context.output.sink().Flush();
  NotifyManager("READY=1");
  while (!Interrupted()) InterruptibleSleep(std::chrono::milliseconds(200));
  NotifyManager("STOPPING=1");
  server->Stop();
  return {};
}

struct ConfigCheckOptions {
  std::string file;
};

void DeclareConfigCheck(Arguments& arguments, ConfigCheckOptions& options) {
  arguments.RequiredText("file", options.file, "TOML file");
}

Status RunConfigCheck(Context& context, const ConfigCheckOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(auto config, server::ReadServerConfig(options.file));
  if (!context.globals.data.empty()) config.data = context.globals.data;
  if (Status checked = server::CheckConfig(config); !checked.ok()) {
    return checked.WithContext(options.file);
  }
  context.output.Object({{"ok", true},
                         {"data", config.data},
                         {"listen", server::FormatListenAddress(config.listen)}});
  return {};
}

}  // namespace

void AddServeCommands(CommandTable& table) {
  table.Add<ServeOptions>({"serve",
                           "Serve a data root over HTTP until it is told to stop",
                           "  tidemark serve --data ./data\n"
                           "  tidemark serve --data ./data --listen '[::1]:0'\n"
                           "  tidemark serve --config ./tidemark.toml\n"},
                          &DeclareServe,
                          &RunServe);
  table.AddGroup("config", "Read configurations of servers");
  table.Add<ConfigCheckOptions>({"config check",
                                 "Say what is wrong with a configuration",
                                 "  tidemark config check ./tidemark.toml\n"},
                                &DeclareConfigCheck,
                                &RunConfigCheck);
}

}  // namespace tidemark::tools
