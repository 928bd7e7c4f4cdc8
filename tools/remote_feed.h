// The change log of a server, read from its beginning.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/record.h"
#include "tools/remote.h"

namespace tidemark::tools {

/// A line of `GET /v1/changes`.
struct ChangeRow {
  uint64_t sequence = 0;
  std::string op;  ///< "put", "append" or "delete"
  std::string entity;
  RecordId id;
  std::optional<std::string> data;  ///< JSON; none of a deletion
};

/// Thread-compatible.
class RemoteFeed {
 public:
  static Result<RemoteFeed> Open(const GlobalOptions& globals);

  /// What follows the rows before, in the order of last changes; waits up to `wait` for the first
  /// of them. Empty: there was none.
  Result<std::vector<ChangeRow>> Next(std::chrono::seconds wait);
  /// Whether the last rows were all that there was at that moment.
  bool at_end() const { return at_end_; }
  Remote& remote() { return *remote_; }

 private:
  explicit RemoteFeed(std::unique_ptr<Remote> remote) : remote_(std::move(remote)) {}

  std::unique_ptr<Remote> remote_;
  std::string cursor_ = "0";
  bool at_end_ = false;
};

}  // namespace tidemark::tools
