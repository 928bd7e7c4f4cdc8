// Turns a page as sent into rows to stage and rows to set aside. Pure: no I/O, no locks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/entity.h"
#include "db/replacement.h"
#include "format/record.h"
#include "format/status.h"
#include "replication/internal/upload_rows.h"
#include "replication/upload.h"

namespace tidemark::internal {

struct PreparedPage {
  struct Row {
    std::optional<RecordId> id;  ///< events may come without one
    std::string value;           ///< minified JSON
    uint32_t row = 0;
  };
  std::vector<Row> rows;
  std::vector<RejectedRow> rejected;
  KeepRow keep;      ///< snapshots: what the rows set aside stood for
  std::string hash;  ///< 32 hexadecimal digits of (row, id, form, value) of every row to stage

  /// Views of `rows`, valid as long as they stay.
  std::vector<StagedRow> Staged() const;
};

/// What no page may break, whatever its entity: name, number of records, bytes.
Status CheckPageLimits(const UploadPage& page);

/// Checks every row against `declaration`. Requires `CheckPageLimits`.
PreparedPage PreparePage(const EntityDeclaration& declaration, const UploadPage& page);

/// "users, page 4, row 22, email: email is required"
std::string Describe(const RejectedRow& row);

}  // namespace tidemark::internal
