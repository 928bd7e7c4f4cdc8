#include "replication/internal/upload_page.h"

#include <utility>

#include "format/checksum.h"
#include "format/coding.h"
#include "replication/internal/row_check.h"

namespace tidemark::internal {
namespace {

std::string HashOf(const std::vector<PreparedPage::Row>& rows) {
  std::string bytes;
  for (const PreparedPage::Row& row : rows) {
    AppendVarint(&bytes, row.row);
    AppendVarint(&bytes, row.id ? static_cast<uint64_t>(row.id->form()) + 1 : 0);
    AppendBytes(&bytes, row.id ? row.id->text() : std::string());
    AppendBytes(&bytes, row.value);
  }
  return ToHex(Checksum128(bytes));
}

void SetAside(const UploadPage& page, uint32_t row, CheckedRow checked, PreparedPage* out) {
  out->rejected.push_back({page.entity,
                           page.page,
                           row,
                           std::move(checked.fault->field),
                           std::move(checked.fault->code),
                           std::move(checked.fault->message)});
  if (page.kind != EntityKind::kSnapshot) return;
  if (checked.id) {
    out->keep.ids.push_back(checked.id->text());
  } else {
    ++out->keep.unreadable;
  }
}

}  // namespace

std::vector<StagedRow> PreparedPage::Staged() const {
  std::vector<StagedRow> staged;
  staged.reserve(rows.size());
  for (const Row& row : rows) {
    StagedRow& out = staged.emplace_back();
    if (row.id) {
      out.id = row.id->text();
      out.id_form = row.id->form();
    }
    out.value_kind = ValueKind::kJson;
    out.value = row.value;
    out.row = row.row;
  }
  return staged;
}

Status CheckPageLimits(const UploadPage& page) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(page.entity));
  const std::string where = page.entity + ", page " + std::to_string(page.page) + ": ";
  if (page.records.size() > kBatchRecordsMax) {
    return {ErrorCode::kTooManyRecords,
            where + std::to_string(page.records.size()) + " records, more than " +
                std::to_string(kBatchRecordsMax)};
  }
  size_t bytes = 0;
  for (const std::string& record : page.records) bytes += record.size();
  if (bytes > kUploadPageBytesMax) {
    return {
        ErrorCode::kTooLarge,
        where + std::to_string(bytes) + " bytes, more than " + std::to_string(kUploadPageBytesMax)};
  }
  return {};
}

PreparedPage PreparePage(const EntityDeclaration& declaration, const UploadPage& page) {
  const RowChecker checker(declaration);
  PreparedPage out;
  out.rows.reserve(page.records.size());
  for (uint32_t row = 0; row < page.records.size(); ++row) {
    CheckedRow checked = checker.Check(page.records[row]);
    if (checked.fault) {
      SetAside(page, row, std::move(checked), &out);
    } else {
      out.rows.push_back({std::move(checked.id), std::move(checked.value), row});
    }
  }
  out.hash = HashOf(out.rows);
  return out;
}

std::string Describe(const RejectedRow& row) {
  std::string text =
      row.entity + ", page " + std::to_string(row.page) + ", row " + std::to_string(row.row);
  if (!row.field.empty()) text += ", " + row.field;
  return text + ": " + row.message;
}

}  // namespace tidemark::internal
