// Many HTTP connections driven by one thread: what a server is asked by, without asking much of the
// machine itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::bench {

struct HttpReply {
  int status = 0;
  std::string_view head;
  std::string_view body;
  double seconds = 0;  ///< from the request's first byte to the answer's last

  /// Of a field as the server writes its name; empty when there is none.
  std::string_view Header(std::string_view name) const;
};

/// Keeps its connections between runs.
class HttpLoad {
 public:
  /// Connects. Ends the program when that fails.
  HttpLoad(uint16_t port, size_t connections);
  ~HttpLoad();
  HttpLoad(const HttpLoad&) = delete;
  HttpLoad& operator=(const HttpLoad&) = delete;

  /// The next request of a connection, after `reply`; null for its first. Empty ends it.
  using Script = std::function<std::string(size_t connection, const HttpReply* reply)>;
  /// Runs the script on the first `connections` until all of them ended. What this thread spent of
  /// the processor meanwhile, in seconds.
  double Run(size_t connections, const Script& script);

 private:
  struct Connection {
    int socket = -1;
    std::string received;
    std::string unsent;
    double began = 0;
  };

  bool Flush(size_t index);
  /// Takes what has arrived. True when the connection has ended its script.
  bool Receive(size_t index, const Script& script);
  void Send(size_t index, std::string request);
  void Watch(size_t index, bool writing, bool add);

  int poll_ = -1;
  std::vector<Connection> connections_;
  std::string buffer_;
};

/// A request over a connection that stays. `headers` are whole lines.
std::string HttpRequest(std::string_view method,
                        std::string_view path,
                        std::string_view headers,
                        std::string_view body = {});

}  // namespace tidemark::bench
