#include "replication/internal/bundle_header.h"

#include <array>

#include "format/coding.h"
#include "format/record.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::string_view kName = "a bundle's header";
constexpr size_t kIdentityBytes = 16;

Status Malformed(std::string what) {
  return {ErrorCode::kMalformedBatch, "the header of the bundle: " + std::move(what)};
}

void AppendSession(std::string* out, const BundledSession& pull) {
  const SessionInfo& session = pull.session;
  AppendVarint(out, session.number);
  AppendVarint(out, session.cut.value());
  AppendVarint(out, session.owed);
  AppendVarint(out, session.reset ? 1 : 0);
  AppendVarint(out, pull.complete ? 1 : 0);
  AppendVarint(out, pull.acked_session);
  AppendVarint(out, pull.acked_page);
  AppendVarint(out, pull.handled_through);
  AppendVarint(out, session.gaps.size());
  for (const Gap& gap : session.gaps) {
    AppendBytes(out, gap.entity);
    AppendVarint(out, gap.range.first.value());
    AppendVarint(out, gap.range.limit.value());
    AppendVarint(out, gap.count);
  }
}

BundledSession ReadSession(ByteReader* reader, const std::string& epoch) {
  BundledSession pull;
  SessionInfo& session = pull.session;
  session.epoch = epoch;
  session.number = reader->Varint();
  session.cut = reader->Sequence();
  session.owed = reader->Varint();
  session.reset = reader->Varint() != 0;
  pull.complete = reader->Varint() != 0;
  pull.acked_session = reader->Varint();
  pull.acked_page = reader->Varint();
  pull.handled_through = reader->Varint();
  const uint64_t gaps = reader->Varint();
  for (uint64_t i = 0; i < gaps && reader->ok(); ++i) {
    Gap gap;
    gap.entity = reader->Bytes();
    gap.range.first = reader->Sequence();
    gap.range.limit = reader->Sequence();
    gap.count = reader->Varint();
    session.gaps.push_back(std::move(gap));
  }
  return pull;
}

Status CheckIdentities(const BundleHeader& header) {
  const bool may_lack = header.direction == BundleDirection::kPush;  // nothing was pulled yet
  for (const std::string* identity : {&header.store, &header.epoch}) {
    const bool lacks = identity->empty() && may_lack;
    if (identity->size() != kIdentityBytes && !lacks)
      return Malformed("an identity is not 16 bytes");
  }
  if (header.id.size() != kIdentityBytes) return Malformed("its id is not 16 bytes");
  if (header.incarnation.size() != kIdentityBytes)
    return Malformed("the incarnation is not 16 bytes");
  if (!CheckDeviceId(header.device).ok()) return Malformed("this names no device");
  return {};
}

}  // namespace

std::string MakeBundleId(Runtime& runtime) {
  std::array<uint8_t, kIdentityBytes> bytes{};
  runtime.random().Fill(bytes);
  return {bytes.begin(), bytes.end()};
}

std::string EncodeBundleHeader(const BundleHeader& header) {
  std::string out(1, static_cast<char>(kVersion));
  AppendVarint(&out, static_cast<uint64_t>(header.direction));
  AppendBytes(&out, header.id);
  AppendBytes(&out, header.store);
  AppendBytes(&out, header.epoch);
  AppendBytes(&out, header.device);
  AppendBytes(&out, header.incarnation);
  AppendVarint(&out, static_cast<uint64_t>(header.created_at));
  if (header.pull.has_value()) AppendSession(&out, *header.pull);
  return out;
}

Result<BundleHeader> DecodeBundleHeader(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto version = ReadRowVersion(&reader, kVersion, kName);
  if (version.status().code() == ErrorCode::kNewerFormat) return version.status();
  if (!version.ok()) return Malformed(version.status().message());
  BundleHeader header;
  const uint64_t direction = reader.Varint();
  if (direction < 1 || direction > static_cast<uint64_t>(BundleDirection::kAnswers)) {
    return Malformed("this is no direction: " + std::to_string(direction));
  }
  header.direction = static_cast<BundleDirection>(direction);
  header.id = reader.Bytes();
  header.store = reader.Bytes();
  header.epoch = reader.Bytes();
  header.device = reader.Bytes();
  header.incarnation = reader.Bytes();
  header.created_at = static_cast<int64_t>(reader.Varint());
  if (header.direction == BundleDirection::kPull) {
    header.pull = ReadSession(&reader, header.epoch);
  }
  if (!reader.Finished()) return Malformed("its fields do not end where it does");
  TIDEMARK_RETURN_IF_ERROR(CheckIdentities(header));
  return header;
}

}  // namespace tidemark::internal
