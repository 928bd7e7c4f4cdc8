#include "tools/remote_changes.h"

namespace tidemark::tools {
namespace {

constexpr size_t kBodyBytesMax = size_t{16} * 1024 * 1024;

}  // namespace

Result<RemoteChanges> RemoteChanges::Open(const GlobalOptions& globals) {
  TIDEMARK_ASSIGN_OR_RETURN(auto remote, Remote::Open(globals));
  return RemoteChanges(std::move(remote));
}

bool RemoteChanges::HasRoomFor(std::string_view line) const {
  return body_.size() + line.size() + 1 <= kBodyBytesMax;
}

void RemoteChanges::Add(std::string_view line) {
  body_.append(line).append(1, '\n');
  ++lines_;
}

void RemoteChanges::Clear() {
  body_.clear();
  lines_ = 0;
}

Result<CommitResult> RemoteChanges::Commit() {
  lines_ = 0;
  TIDEMARK_ASSIGN_OR_RETURN(
      const std::string answer,
      remote_->Ask(http::Method::kPost, "/v1/changes", std::exchange(body_, {})));
  CommitResult result;
  result.sequence = SequenceNumber(NumberAt(answer, {"data", "sequence"}));
  result.applied = NumberAt(answer, {"data", "applied"});
  result.unchanged = NumberAt(answer, {"data", "unchanged"});
  return result;
}

}  // namespace tidemark::tools
