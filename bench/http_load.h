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
  std::string_view body;  ///< of a long one its beginning, when the rest was not kept
  uint64_t body_bytes = 0;
  double seconds = 0;  ///< from the request's first byte to the answer's last

  /// Of a field as the server writes its name; empty when there is none.
  std::string_view Header(std::string_view name) const;
};

/// What becomes of bodies above 16 KiB: they are read in any case.
enum class LongBodies : uint8_t { kKept, kCounted };

/// Keeps its connections between runs.
class HttpLoad {
 public:
  /// Connects. Ends the program when that fails.
  HttpLoad(uint16_t port, size_t connections, LongBodies long_bodies = LongBodies::kKept);
  ~HttpLoad();
  HttpLoad(const HttpLoad&) = delete;
  HttpLoad& operator=(const HttpLoad&) = delete;

  /// The next request of a connection, after `reply`; null for its first. Empty ends it.
  using Script = std::function<std::string(size_t connection, const HttpReply* reply)>;
  /// Runs the script on the first `connections` until all of them ended, on at most `at_once` at a
  /// time: a server refuses what is beyond its limit of requests in flight.
  void Run(size_t connections, const Script& script, size_t at_once);
  /// The first half of it: sends the first requests of connections from `first` to before `end`.
  void Begin(size_t first, size_t end, const Script& script);
  /// The second half: goes on until all that have begun ended.
  void Wait(const Script& script);

 private:
  struct Connection {
    int socket = -1;
    std::string received;
    std::string unsent;
    size_t head_bytes = 0;  // 0: its end has not come
    uint64_t body_bytes = 0;
    uint64_t missing = 0;  // of the answer
    double began = 0;
  };

  bool Flush(size_t index);
  /// Takes what has arrived. True when the connection has ended its script.
  bool Receive(size_t index, const Script& script);
  void Send(size_t index, std::string request);
  void Watch(size_t index, bool writing, bool add);
  /// Adds what came to the answer. True when it is whole.
  bool Take(Connection& connection, std::string_view bytes) const;

  const LongBodies long_bodies_;
  int poll_ = -1;
  std::vector<Connection> connections_;
  std::string buffer_;
  size_t running_ = 0;
  size_t next_ = 0;  // to begin when another one ends
  size_t end_ = 0;
};

/// A request over a connection that stays. `headers` are whole lines.
std::string HttpRequest(std::string_view method,
                        std::string_view path,
                        std::string_view headers,
                        std::string_view body = {});

}  // namespace tidemark::bench
