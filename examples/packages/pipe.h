// A device in a process of its own, and its way to the source: a pair of pipes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/source.h"
#include "replication/transport.h"

namespace tidemark::examples {

/// The device's end: each call is one message there and one back. `kUnavailable` when the answer
/// was lost on the way.
class PipeTransport final : public Transport {
 public:
  explicit PipeTransport(int socket) : socket_(socket) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override;
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override;
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override;

 private:
  Result<std::string> Call(const std::string& request) const;

  const int socket_;
};

/// What happens to a message on the way.
enum class Fate : uint8_t {
  kDelivered,
  kRequestLost,  ///< the source never hears of it
  kAnswerLost,   ///< the source does, the device never hears the answer
};

/// What went over the pipe.
struct Traffic {
  uint64_t pages = 0;
  uint64_t instructions = 0;
  uint64_t bytes = 0;
  uint64_t lost = 0;
};

/// The source's end: answers until the device hangs up. `fate` is asked for each message.
Status ServePipe(int socket,
                 Source& source,
                 const std::function<Fate(char kind)>& fate,
                 Traffic* traffic);

}  // namespace tidemark::examples
