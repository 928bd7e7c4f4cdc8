// The calls of upload syncs as commands make them: into a data root, or to a server.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication/upload.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/entity_options.h"

namespace tidemark::tools {

/// Meanings and errors are those of `Uploads`. Thread-compatible.
class UploadCalls {
 public:
  virtual ~UploadCalls() = default;

  /// The entity's declaration; declares it as `expected` when it is new and needs more than the
  /// default.
  virtual Result<PreparedEntity> Prepare(const std::string& entity,
                                         const EntityExpectation& expected) = 0;
  /// Takes a declaration back that `Prepare` made.
  virtual Status Drop(const std::string& entity) = 0;

  virtual Result<std::string> Start(bool force) = 0;
  virtual Result<UploadPageResult> PutPage(const std::string& sync, const UploadPage& page) = 0;
  virtual Result<UploadInfo> Finish(const std::string& sync, const FinishOptions& options) = 0;
  virtual Status Abort(const std::string& sync) = 0;

  virtual Result<std::optional<std::string>> Active() = 0;
  virtual Result<UploadInfo> Get(const std::string& sync) = 0;
  virtual Result<std::vector<UploadInfo>> List(size_t limit) = 0;
  virtual Result<std::vector<UploadPageInfo>> Pages(const std::string& sync,
                                                    size_t offset,
                                                    size_t limit) = 0;
  virtual Result<std::vector<RejectedRow>> Rejected(const std::string& sync,
                                                    size_t offset,
                                                    size_t limit) = 0;
};

/// To the data root or the server that the options name. `access` is for a data root.
Result<std::unique_ptr<UploadCalls>> OpenUploadCalls(const GlobalOptions& globals, Access access);
/// To the server.
Result<std::unique_ptr<UploadCalls>> OpenRemoteUploadCalls(const GlobalOptions& globals);

}  // namespace tidemark::tools
