#include "replication/internal/bundle_frames.h"

#include "format/batch.h"
#include "format/coding.h"
#include "format/hex.h"
#include "replication/internal/carried_answers.h"

namespace tidemark::internal {
namespace {

Status Malformed(std::string what) {
  return {ErrorCode::kMalformedBatch, std::move(what)};
}

Status CountPage(const BundleHeader& header, std::string_view bytes, BundleTotals* totals) {
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView rows, BatchView::Parse(bytes, BatchKind::kPage));
  const BatchHeader page = rows.header();
  const SessionInfo& session = header.pull->session;
  if (page.device != header.device || page.store != header.store || page.epoch != header.epoch ||
      page.session != session.number || page.reset != session.reset) {
    return {ErrorCode::kWrongDevice, "the page is not of the session that the bundle carries"};
  }
  if (page.page != totals->pages + 1) return Malformed("a page is missing before it");
  ++totals->pages;
  totals->records += rows.size();
  return {};
}

Status CountPush(const BundleHeader& header, std::string_view bytes, BundleTotals* totals) {
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView rows, BatchView::Parse(bytes, BatchKind::kPush));
  const BatchHeader push = rows.header();
  if (push.device != header.device || push.store != header.store ||
      push.origin != EncodeHex(header.incarnation)) {
    return {ErrorCode::kWrongDevice, "the push is not of the device whose bundle it is in"};
  }
  ++totals->pushes;
  totals->operations += rows.size();
  return {};
}

}  // namespace

std::string EncodeBundleKeys(const std::vector<std::string>& keys) {
  std::string out;
  AppendVarint(&out, keys.size());
  for (const std::string& key : keys) AppendBytes(&out, key);
  return out;
}

Result<std::vector<std::string>> DecodeBundleKeys(std::string_view bytes) {
  ByteReader reader(bytes);
  const uint64_t count = reader.Varint();
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < count && reader.ok() && i <= kBundleKeysOfAFrame; ++i) {
    keys.emplace_back(reader.Bytes());
  }
  if (!reader.Finished() || count > kBundleKeysOfAFrame) return Malformed("these are no keys");
  return keys;
}

Status CountBundleFrame(const BundleHeader& header,
                        const BundleFrame& frame,
                        BundleTotals* totals) {
  const BundleDirection direction = header.direction;
  if (direction == BundleDirection::kPull && frame.type == BundleFrameType::kPage) {
    return CountPage(header, frame.bytes, totals);
  }
  if (direction == BundleDirection::kPush && frame.type == BundleFrameType::kPush) {
    return CountPush(header, frame.bytes, totals);
  }
  if (direction == BundleDirection::kPush && frame.type == BundleFrameType::kKeys) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto keys, DecodeBundleKeys(frame.bytes));
    totals->keys += keys.size();
    return {};
  }
  if (direction == BundleDirection::kAnswers && frame.type == BundleFrameType::kAnswers) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto answers, DecodeCarriedAnswers(frame.bytes));
    ++totals->pushes;
    totals->operations += answers.size();
    return {};
  }
  return Malformed("such a frame has no place in a bundle of this direction");
}

}  // namespace tidemark::internal
