// Changes on their way to a server: lines of `POST /v1/changes`, which commit as one batch.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "db/write_batch.h"
#include "tools/remote.h"

namespace tidemark::tools {

/// Thread-compatible.
class RemoteChanges {
 public:
  static Result<RemoteChanges> Open(const GlobalOptions& globals);

  /// False: the request would be larger than a server takes.
  bool HasRoomFor(std::string_view line) const;
  void Add(std::string_view line);
  size_t size() const { return lines_; }
  void Clear();
  /// Sends the lines, and forgets them. A message that names a line begins with `line N: `, counted
  /// from 1. When the answer is lost, `kUnavailable`, they may have been applied.
  Result<CommitResult> Commit();

 private:
  explicit RemoteChanges(std::unique_ptr<Remote> remote) : remote_(std::move(remote)) {}

  std::unique_ptr<Remote> remote_;
  std::string body_;
  size_t lines_ = 0;
};

}  // namespace tidemark::tools
