// What the two ways of importing share: row by row, and as one upload sync.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/status.h"
#include "replication/upload.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/entity_options.h"
#include "tools/import_rows.h"
#include "tools/upload_calls.h"

namespace tidemark::tools {

struct ImportOptions {
  std::string entity;
  std::string file;
  EntityExpectation expected;
  std::string format;  ///< "ndjson", "csv" or "auto"
  bool replace = false;
  bool dry_run = false;
  bool force = false;
  bool force_deletes = false;
  bool allow_empty = false;
  std::optional<double> delete_share_max;
};

/// Reads the rows of `source` in the format that the options or the name of the file say.
Result<std::unique_ptr<RowReader>> ReadRows(const ImportOptions& options,
                                            ByteSource& source,
                                            const EntityDeclaration& declaration);

/// What an import did, for printing.
struct ImportOutcome {
  std::string sync;  ///< empty without an upload sync
  std::string state;
  uint64_t rows = 0;
  ReplaceCounts counts;
  std::optional<uint64_t> applied;  ///< instead of what was created, updated and appended
  uint64_t rejected = 0;
};

/// Replaces the entity, or appends to it, by one upload sync; nothing is visible before the end,
/// nothing remains after a failure.
Result<ImportOutcome> ImportAsUpload(Context& context,
                                     UploadCalls& uploads,
                                     const ImportOptions& options,
                                     ByteSource& source,
                                     const EntityDeclaration& declaration);

/// Sends all pages of `source` to the started upload `sync`; pages that an earlier uploader sent
/// beyond them are made empty. Returns the number of rows; says on standard error which rows were
/// set aside.
Result<uint64_t> SendPages(Context& context,
                           UploadCalls& uploads,
                           const std::string& sync,
                           const ImportOptions& options,
                           ByteSource& source,
                           const EntityDeclaration& declaration);

/// The outcome of a finished upload for one entity.
ImportOutcome OutcomeOf(const UploadInfo& info, const std::string& entity);

}  // namespace tidemark::tools
