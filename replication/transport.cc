#include "replication/transport.h"

namespace tidemark {

Result<std::optional<SessionInfo>> LocalTransport::Start(const Hello& hello) {
  return source_.StartSession(hello);
}

Result<std::optional<Page>> LocalTransport::Next(std::string_view session,
                                                 const PageOptions& options) {
  return source_.NextPage(session, options);
}

Result<AckResult> LocalTransport::Acknowledge(std::string_view device,
                                              const std::vector<std::string>& keys) {
  return source_.Acknowledge(device, keys);
}

Result<PushResult> Transport::Push(std::string_view) {
  return {ErrorCode::kUnsupported, "nothing is pushed on this way to the source"};
}

Result<PushResult> LocalTransport::Push(std::string_view batch) {
  return source_.Push(batch);
}

}  // namespace tidemark
