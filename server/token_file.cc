#include "server/token_file.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "format/hex.h"
#include "format/json.h"
#include "format/record.h"
#include "server/data_root.h"
#include "server/internal/private_file.h"
#include "server/internal/sha256.h"

namespace tidemark::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// A file of the second format names selections. A build that does not know them must not let their
// tokens in: it would show them everything.
constexpr int64_t kFormat = 1;
constexpr int64_t kFormatWithSelections = 2;

Status Damaged(const std::string& what) {
  return {ErrorCode::kCorruption, "the tokens of the data root: " + what};
}

std::string MakeSecret(Random& random) {
  // Bytes beyond the last whole multiple of the alphabet are thrown away: each character is as
  // likely as any other.
  constexpr size_t kFair = 256 / kAlphabet.size() * kAlphabet.size();
  std::string secret;
  while (secret.size() < kTokenLength) {
    std::array<uint8_t, kTokenLength> bytes{};
    random.Fill(bytes);
    for (const uint8_t byte : bytes) {
      if (byte < kFair && secret.size() < kTokenLength) {
        secret += kAlphabet[byte % kAlphabet.size()];
      }
    }
  }
  return secret;
}

std::string MakeId(Random& random, const std::vector<TokenRecord>& taken) {
  while (true) {
    std::array<uint8_t, 4> bytes{};
    random.Fill(bytes);
    std::string id = EncodeHex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const bool used = std::any_of(
        taken.begin(), taken.end(), [&](const TokenRecord& token) { return token.id == id; });
    if (!used) return id;
  }
}

Result<TokenRecord> ReadRecord(const JsonField& element) {
  if (element.type != JsonType::kObject) return Damaged("an entry is no object");
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(element.text));
  TokenRecord record;
  bool has_role = false;
  for (const JsonField& member : members) {
    if (member.name == "id") record.id = member.text;
    if (member.name == "sha256") record.sha256 = member.text;
    if (member.name == "instance") record.instance = member.text;
    if (member.name == "device") record.device = member.text;
    if (member.name == "selection") {
      auto selection = SelectionRuleFromJson(member.text);
      if (!selection.ok()) return Damaged("a selection that this build does not know");
      record.selection = std::move(*selection);
    }
    if (member.name == "created_at_ms") record.created_at_ms = member.integer;
    if (member.name != "role") continue;
    const auto role = RoleFromName(member.text);
    if (!role) return Damaged("a role that this build does not know");
    record.role = *role;
    has_role = true;
  }
  if (!has_role || record.id.empty() || record.sha256.size() != 2 * sizeof(Sha256Digest) ||
      !CheckName(record.instance).ok()) {
    return Damaged("an entry is incomplete");
  }
  return record;
}

Status WriteTokenFile(const fs::path& root, const std::vector<TokenRecord>& tokens) {
  JsonWriter writer;
  const bool selections = std::any_of(tokens.begin(), tokens.end(), [](const TokenRecord& token) {
    return token.selection.has_value();
  });
  writer.BeginObject().Key("format").Integer(selections ? kFormatWithSelections : kFormat);
  writer.Key("tokens").BeginArray();
  for (const TokenRecord& token : tokens) {
    writer.BeginObject();
    writer.Key("id").String(token.id);
    writer.Key("sha256").String(token.sha256);
    writer.Key("instance").String(token.instance);
    writer.Key("role").String(RoleName(token.role));
    if (!token.device.empty()) writer.Key("device").String(token.device);
    if (token.selection) writer.Key("selection").Raw(SelectionRuleToJson(*token.selection));
    writer.Key("created_at_ms").Integer(token.created_at_ms);
    writer.EndObject();
  }
  writer.EndArray().EndObject();
  return ReplacePrivateFile(TokenFilePath(root), writer.Take() + "\n");
}

}  // namespace

fs::path TokenFilePath(const fs::path& root) {
  return root / "tokens.json";
}

Result<TokenFile> ReadTokenFile(const fs::path& root) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, ReadPrivateFile(TokenFilePath(root)));
  TokenFile file;
  if (!bytes) return file;
  file.exists = true;
  const auto members = ReadJsonObject(*bytes);
  if (!members.ok()) return Damaged(members.status().message());
  for (const JsonField& member : *members) {
    if (member.name == "format" && member.integer != kFormat &&
        member.integer != kFormatWithSelections) {
      return Status(ErrorCode::kNewerFormat, "the tokens of the data root are of a newer build");
    }
    if (member.name != "tokens") continue;
    if (member.type != JsonType::kArray) return Damaged("no list");
    TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadJsonArray(member.text));
    for (const JsonField& element : elements) {
      TIDEMARK_ASSIGN_OR_RETURN(TokenRecord record, ReadRecord(element));
      file.tokens.push_back(std::move(record));
    }
  }
  return file;
}

Result<NewToken> CreateToken(const fs::path& root,
                             const TokenGrant& grant,
                             Random& random,
                             Clock& clock) {
  if (Status status = CheckName(grant.instance); !status.ok()) {
    return status.WithContext("instance \"" + grant.instance + "\"");
  }
  if (!grant.device.empty()) TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(grant.device));
  if (grant.selection && grant.role == Role::kAdmin) {
    return Status(ErrorCode::kInvalidArgument,
                  "a token with a selection speaks for devices: its role is reader or writer");
  }
  if (grant.selection && CountParts(*grant.selection) > kTokenPartsMax) {
    return Status(
        ErrorCode::kTooLarge,
        "the selection of a token has at most " + std::to_string(kTokenPartsMax) + " parts");
  }
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(root));
  TIDEMARK_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(root / "tokens.lock"));
  TIDEMARK_ASSIGN_OR_RETURN(TokenFile file, ReadTokenFile(root));
  if (file.tokens.size() >= kTokensMax) {
    return Status(ErrorCode::kTooLarge,
                  "a data root has at most " + std::to_string(kTokensMax) + " tokens");
  }
  NewToken made;
  made.token = MakeSecret(random);
  const Sha256Digest digest = Sha256(made.token);
  made.record = {.id = MakeId(random, file.tokens),
                 .sha256 = EncodeHex({reinterpret_cast<const char*>(digest.data()), digest.size()}),
                 .instance = grant.instance,
                 .role = grant.role,
                 .device = grant.device,
                 .selection = grant.selection,
                 .created_at_ms = clock.WallMilliseconds()};
  file.tokens.push_back(made.record);
  TIDEMARK_RETURN_IF_ERROR(WriteTokenFile(root, file.tokens));
  return made;
}

Status RevokeToken(const fs::path& root, std::string_view id) {
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    return {ErrorCode::kNotFound, root.string() + " is no data root"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(root / "tokens.lock"));
  TIDEMARK_ASSIGN_OR_RETURN(TokenFile file, ReadTokenFile(root));
  const auto kept = std::remove_if(
      file.tokens.begin(), file.tokens.end(), [&](const TokenRecord& t) { return t.id == id; });
  if (kept == file.tokens.end()) {
    return {ErrorCode::kNotFound, "there is no token \"" + std::string(id) + "\""};
  }
  file.tokens.erase(kept, file.tokens.end());
  return WriteTokenFile(root, file.tokens);
}

Result<TokenUse> ReadTokenUse(const fs::path& root) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, ReadPrivateFile(root / "tokens.used"));
  TokenUse use;
  if (!bytes) return use;
  const auto members = ReadJsonObject(*bytes);
  if (!members.ok()) return use;  // only a convenience: begun anew
  for (const JsonField& member : *members) use[member.name] = member.integer;
  return use;
}

Status WriteTokenUse(const fs::path& root, const TokenUse& use) {
  JsonWriter writer;
  writer.BeginObject();
  for (const auto& [id, time] : use) writer.Key(id).Integer(time);
  writer.EndObject();
  return ReplacePrivateFile(root / "tokens.used", writer.Take() + "\n");
}

}  // namespace tidemark::server
