// Commands that ask a server instead of opening a data root.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json.h"
#include "http/client.h"
#include "tools/command.h"

namespace tidemark::tools {

/// True when the options name a server.
inline bool IsRemote(const Context& context) {
  return !context.globals.server.empty();
}

/// The token that the options or the environment give; empty without one. `kInvalidArgument`: the
/// file holds none.
Result<std::string> ReadToken(const GlobalOptions& options);

/// The server that the options name. Thread-compatible.
class Remote {
 public:
  static Result<std::unique_ptr<Remote>> Open(const GlobalOptions& options);

  /// The body of a successful answer; else the error that the server told, by its own code.
  /// `kUnavailable`: it could not be asked.
  Result<std::string> Ask(http::Method method,
                          const std::string& path,
                          std::string body = {},
                          const http::Headers& headers = {});

 private:
  Remote(std::string url, std::string token, http::ClientOptions options)
      : url_(std::move(url)), token_(std::move(token)), client_(std::move(options)) {}

  std::string url_;
  std::string token_;
  http::Client client_;
};

// Values of an answer, named by a path of members; empty or 0 where there is none. Objects, arrays
// and numbers are their JSON.
std::string TextAt(std::string_view json, const std::vector<std::string>& path);
uint64_t NumberAt(std::string_view json, const std::vector<std::string>& path);

/// The error code of that name; `kUnavailable` for one that this build does not know.
ErrorCode CodeNamed(std::string_view name);

/// As a segment of a path or a value of a query.
std::string Escape(std::string_view text);

/// A value of an answer, named by a path of members such as {"marks", "floor"}.
struct RemoteColumn {
  std::string name;
  std::vector<std::string> path;
};

/// Prints the items of the list at `path`, page by page; `limit` of 0 is no limit.
Status PrintRemoteList(Context& context,
                       const std::string& path,
                       const std::vector<RemoteColumn>& columns,
                       uint64_t limit = 0);
/// Prints the member `data` of an answer.
Status PrintRemoteObject(Context& context,
                         std::string_view answer,
                         const std::vector<RemoteColumn>& columns);

/// Prints JSON objects as a list.
Status PrintObjects(Context& context,
                    const std::vector<std::string>& objects,
                    const std::vector<RemoteColumn>& columns);

}  // namespace tidemark::tools
