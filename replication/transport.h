// How a replica reaches a source. The library moves no bytes: any transport and any test fits.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/push.h"
#include "replication/source.h"

namespace tidemark {

/// One device's way to its source. `kUnavailable` means "could not ask" and nothing else.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<std::optional<SessionInfo>> Start(const Hello& hello) = 0;
  virtual Result<std::optional<Page>> Next(std::string_view session,
                                           const PageOptions& options) = 0;
  virtual Result<AckResult> Acknowledge(std::string_view device,
                                        const std::vector<std::string>& keys) = 0;
  /// Sends a batch of the device's own writes. An error says nothing about what became of it; but
  /// `kUnsupported` is that of a way on which nothing is pushed.
  virtual Result<PushResult> Push(std::string_view batch);
};

/// A source in the same process.
class LocalTransport final : public Transport {
 public:
  explicit LocalTransport(Source& source) : source_(source) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override;
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override;
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override;
  Result<PushResult> Push(std::string_view batch) override;

 private:
  Source& source_;
};

}  // namespace tidemark
