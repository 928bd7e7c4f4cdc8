#include "server/tokens.h"

#include <cstring>
#include <unordered_map>
#include <utility>

#include "format/hex.h"
#include "server/internal/private_file.h"
#include "server/internal/sha256.h"

namespace tidemark::server {
namespace {

uint64_t LeadingBytes(const Sha256Digest& digest) {
  uint64_t leading = 0;
  std::memcpy(&leading, digest.data(), sizeof(leading));
  return leading;
}

bool StartsWithWord(std::string_view text, std::string_view lower_word) {
  if (text.size() < lower_word.size()) return false;
  for (size_t i = 0; i < lower_word.size(); ++i) {
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != lower_word[i]) return false;
  }
  return true;
}

std::optional<std::string_view> TokenOf(const http::Request& request) {
  constexpr std::string_view kBearer = "bearer ";
  if (const auto header = request.headers.Find("Authorization")) {
    if (!StartsWithWord(*header, kBearer)) return std::nullopt;
    return header->substr(kBearer.size());
  }
  return request.headers.Find("api-key");
}

}  // namespace

struct Tokens::Table {
  struct Row {
    Sha256Digest digest{};
    Caller caller;
  };
  FileStamp stamp;
  bool damaged = false;
  std::unordered_multimap<uint64_t, Row> rows;      // by the first bytes of the digest
  std::unordered_map<std::string, Caller> callers;  // by the id of the token
};

Tokens::Tokens(std::filesystem::path root, Clock& clock) : root_(std::move(root)), clock_(clock) {}
Tokens::~Tokens() = default;

Result<std::unique_ptr<Tokens>> Tokens::Open(const std::filesystem::path& root, Clock& clock) {
  TIDEMARK_RETURN_IF_ERROR(ReadTokenFile(root).status());
  std::unique_ptr<Tokens> tokens(new Tokens(root, clock));
  TIDEMARK_ASSIGN_OR_RETURN(tokens->use_, ReadTokenUse(root));
  tokens->Current();
  return tokens;
}

std::shared_ptr<const Tokens::Table> Tokens::Current() {
  const FileStamp stamp = StampOf(TokenFilePath(root_));
  const std::lock_guard lock(mutex_);
  if (table_ != nullptr && table_->stamp == stamp) return table_;
  auto table = std::make_shared<Table>();
  table->stamp = stamp;
  const auto file = ReadTokenFile(root_);
  // A file that cannot be read lets nobody in until it can be read again.
  table->damaged = !file.ok();
  if (file.ok()) {
    for (const TokenRecord& token : file->tokens) {
      const auto bytes = DecodeHex(token.sha256);
      Table::Row row;
      if (!bytes || bytes->size() != row.digest.size()) continue;
      std::memcpy(row.digest.data(), bytes->data(), bytes->size());
      row.caller = {.token = token.id,
                    .instance = token.instance,
                    .role = token.role,
                    .device = token.device,
                    .selection = nullptr};
      if (token.selection) {
        row.caller.selection = std::make_shared<const SelectionRule>(*token.selection);
      }
      table->callers.emplace(token.id, row.caller);
      table->rows.emplace(LeadingBytes(row.digest), std::move(row));
    }
  }
  if (table->damaged || !table->rows.empty()) ever_required_ = true;
  table_ = std::move(table);
  ++version_;
  return table_;
}

bool Tokens::required() {
  if (!ever_required_) Current();
  return ever_required_;
}

std::optional<Caller> Tokens::Identify(const http::Request& request) {
  const std::shared_ptr<const Table> table = Current();
  if (!ever_required_) return request.loopback ? std::optional(Caller{}) : std::nullopt;
  const auto token = TokenOf(request);
  if (!token || token->size() != kTokenLength) return std::nullopt;
  const Sha256Digest digest = Sha256(*token);
  const auto [begin, end] = table->rows.equal_range(LeadingBytes(digest));
  for (auto at = begin; at != end; ++at) {
    if (!SameDigest(at->second.digest, digest)) continue;
    const std::lock_guard lock(mutex_);
    use_[at->second.caller.token] = clock_.WallMilliseconds();
    use_changed_ = true;
    return at->second.caller;
  }
  return std::nullopt;
}

bool Tokens::StillGood(const Caller& caller) {
  const std::shared_ptr<const Table> table = Current();
  if (caller.token.empty()) return !ever_required_;
  const auto at = table->callers.find(caller.token);
  return at != table->callers.end() && at->second == caller;
}

uint64_t Tokens::version() {
  Current();
  const std::lock_guard lock(mutex_);
  return version_;
}

Status Tokens::SaveUse() {
  TokenUse use;
  {
    const std::lock_guard lock(mutex_);
    if (!use_changed_) return {};
    use_changed_ = false;
    use = use_;
  }
  return WriteTokenUse(root_, use);
}

}  // namespace tidemark::server
