// The tokens of a data root, on disk: what may be known of them, never themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/runtime.h"
#include "format/status.h"
#include "replication/selection_rule.h"
#include "server/call.h"

namespace tidemark::server {

inline constexpr size_t kTokenLength = 64;     ///< characters, A-Z a-z 0-9
inline constexpr size_t kTokensMax = 100'000;  ///< in one data root
inline constexpr size_t kTokenPartsMax = 256;  ///< of a token's selection

struct TokenRecord {
  std::string id;      ///< 8 hexadecimal digits, to speak of it
  std::string sha256;  ///< 64 hexadecimal digits
  std::string instance;
  Role role = Role::kReader;
  std::string device;                           ///< empty: any
  std::optional<SelectionRule> selection = {};  ///< what it may be shown at most
  int64_t created_at_ms = 0;
};

struct TokenFile {
  bool exists = false;
  std::vector<TokenRecord> tokens;  ///< oldest first
};

std::filesystem::path TokenFilePath(const std::filesystem::path& root);
/// `kCorruption` when the file is damaged: nobody is let in then.
Result<TokenFile> ReadTokenFile(const std::filesystem::path& root);

/// What a new token is for.
struct TokenGrant {
  std::string instance = "default";
  Role role = Role::kReader;
  std::string device = {};
  /// Devices see no more by it, whatever they are granted. For readers and writers only.
  std::optional<SelectionRule> selection = {};
};
struct NewToken {
  std::string token;  ///< told once, here
  TokenRecord record;
};
/// Makes a token. Serves from the moment of return, also in a running server.
Result<NewToken> CreateToken(const std::filesystem::path& root,
                             const TokenGrant& grant,
                             Random& random,
                             Clock& clock);
/// Ends a token, also in a running server. `kNotFound`.
Status RevokeToken(const std::filesystem::path& root, std::string_view id);

/// When tokens were last used, in milliseconds since 1970, by id. Kept in a file of its own, so
/// that noting it never touches secrets.
using TokenUse = std::map<std::string, int64_t>;
Result<TokenUse> ReadTokenUse(const std::filesystem::path& root);
Status WriteTokenUse(const std::filesystem::path& root, const TokenUse& use);

}  // namespace tidemark::server
