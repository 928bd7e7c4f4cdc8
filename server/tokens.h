// Who may come in: the tokens of a data root, as a running server knows them.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "db/runtime.h"
#include "format/status.h"
#include "http/message.h"
#include "server/call.h"
#include "server/token_file.h"

namespace tidemark::server {

/// Thread-safe. Follows the file: a token that was made or revoked by another process counts at
/// the next call.
class Tokens {
 public:
  static Result<std::unique_ptr<Tokens>> Open(const std::filesystem::path& root, Clock& clock);
  ~Tokens();
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;

  /// Whether callers need a token: there is one, or there was one since this was opened.
  bool required();
  /// Who sends `request`; nullopt when it may not come in. Without tokens, everyone on this machine
  /// may do everything with the instance `default`.
  std::optional<Caller> Identify(const http::Request& request);
  /// Whether the token of `caller` is there, and as it was: neither revoked nor changed.
  bool StillGood(const Caller& caller);
  /// Another number as soon as tokens were made, revoked or changed.
  uint64_t version();
  /// Writes down when tokens were last used, if that changed.
  Status SaveUse();

 private:
  struct Table;

  Tokens(std::filesystem::path root, Clock& clock);
  std::shared_ptr<const Table> Current();

  const std::filesystem::path root_;
  Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Table> table_;
  std::atomic<bool> ever_required_ = false;
  uint64_t version_ = 0;
  TokenUse use_;
  bool use_changed_ = false;
};

}  // namespace tidemark::server
