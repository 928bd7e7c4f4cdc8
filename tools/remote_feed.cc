#include "tools/remote_feed.h"

#include <algorithm>
#include <string_view>

#include "format/json.h"
#include "format/record_json.h"

namespace tidemark::tools {
namespace {

constexpr size_t kRowsAtOnce = 1000;
// A page of changes also ends after so many bytes.
constexpr size_t kPageBytesMax = size_t{4} * 1024 * 1024;

Result<ChangeRow> ReadRow(std::string_view line, std::string* cursor) {
  TIDEMARK_ASSIGN_OR_RETURN(
      auto fields, ReadJsonFields(line, {"cursor", "sequence", "op", "entity", "id", "data"}));
  for (size_t i = 0; i < 5; ++i) {
    if (!fields[i]) return Status(ErrorCode::kUnavailable, "a change lacks a member");
  }
  *cursor = fields[0]->text;
  const bool number = fields[4]->type == JsonType::kInteger;
  ChangeRow row{.sequence = static_cast<uint64_t>(fields[1]->integer),
                .op = fields[2]->text,
                .entity = fields[3]->text,
                .id = RecordId(fields[4]->text, number ? IdForm::kInteger : IdForm::kText),
                .data = {}};
  if (fields[5] && row.op != "delete") row.data = FieldToJson(*fields[5]);
  return row;
}

}  // namespace

Result<RemoteFeed> RemoteFeed::Open(const GlobalOptions& globals) {
  TIDEMARK_ASSIGN_OR_RETURN(auto remote, Remote::Open(globals));
  return RemoteFeed(std::move(remote));
}

Result<std::vector<ChangeRow>> RemoteFeed::Next(std::chrono::seconds wait) {
  const std::string path = "/v1/changes?after=" + Escape(cursor_) +
                           "&limit=" + std::to_string(kRowsAtOnce) +
                           "&wait=" + std::to_string(wait.count());
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote_->Ask(http::Method::kGet, path));
  std::vector<ChangeRow> rows;
  for (std::string_view rest = answer; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    TIDEMARK_ASSIGN_OR_RETURN(ChangeRow row, ReadRow(rest.substr(0, end), &cursor_));
    rows.push_back(std::move(row));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  at_end_ = rows.size() < kRowsAtOnce && answer.size() < kPageBytesMax;
  return rows;
}

}  // namespace tidemark::tools
