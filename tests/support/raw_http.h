// HTTP by hand, over a real socket: for what no client library would send.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark::test {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< chunks joined
  bool closed = false;                         ///< the server ended the connection after it
};

/// One connection to a port of this machine. Not thread-safe.
class RawConnection {
 public:
  explicit RawConnection(uint16_t port);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  bool connected() const { return socket_ >= 0; }
  /// False when the server has closed.
  bool Send(std::string_view bytes) const;
  /// The next response; nullopt when the server closed first or nothing came in time. A response
  /// to HEAD has no body: say so.
  std::optional<RawResponse> Receive(std::chrono::milliseconds timeout = std::chrono::seconds(10),
                                     bool head = false);
  std::optional<RawResponse> Exchange(std::string_view bytes) {
    if (!Send(bytes)) return std::nullopt;
    return Receive();
  }
  /// Some bytes of a stream as they come, framing included; empty at the end or after `timeout`.
  std::string ReceiveSome(std::chrono::milliseconds timeout = std::chrono::seconds(10));
  /// True once the server has closed; waits for it.
  bool WaitForClose(std::chrono::milliseconds timeout = std::chrono::seconds(10));
  /// Drops the connection with a reset.
  void Reset();

 private:
  bool Fill(std::chrono::milliseconds timeout);

  int socket_;
  std::string received_;
  bool ended_ = false;
};

/// One request over a connection of its own.
std::optional<RawResponse> RawExchange(uint16_t port, std::string_view bytes);

}  // namespace tidemark::test
