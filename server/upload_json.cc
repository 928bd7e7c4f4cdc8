#include "server/upload_json.h"

#include "format/json.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

void WriteCounts(const UploadEntityCounts& entity, JsonWriter* writer) {
  writer->BeginObject().Key("created").Unsigned(entity.counts.created);
  writer->Key("updated").Unsigned(entity.counts.updated);
  writer->Key("deleted").Unsigned(entity.counts.deleted);
  writer->Key("unchanged").Unsigned(entity.counts.unchanged);
  writer->Key("appended").Unsigned(entity.counts.appended);
  writer->Key("rejected").Unsigned(entity.rejected);
  writer->Key("pages").Unsigned(entity.pages).EndObject();
}

// Why the last finish failed, or was refused: the code of the library and its message.
void WriteLastFinish(std::string_view error, JsonWriter* writer) {
  const size_t colon = error.find(": ");
  writer->Key("last_finish").BeginObject().Key("state").String("failed");
  writer->Key("code").String(error.substr(0, colon));
  writer->Key("message").String(colon == std::string_view::npos ? "" : error.substr(colon + 2));
  writer->EndObject();
}

void WriteUpload(const UploadInfo& info, JsonWriter* writer) {
  writer->Key("sync_id").String(info.id);
  writer->Key("state").String(UploadStateName(info.state));
  writer->Key("started_at").Raw(TimeToJson(info.started_at_ms));
  writer->Key("ended_at").Raw(TimeToJson(info.ended_at_ms));
  writer->Key("entities").BeginObject();
  for (const auto& [name, entity] : info.entities) {
    writer->Key(name);
    WriteCounts(entity, writer);
  }
  writer->EndObject().Key("warnings").BeginArray();
  for (const std::string& warning : info.warnings) writer->String(warning);
  writer->EndArray();
  if (info.error.empty()) return;
  writer->Key("error").String(info.error);
  if (info.state == UploadState::kStarted || info.state == UploadState::kFailed) {
    WriteLastFinish(info.error, writer);
  }
}

void WritePage(const UploadPageInfo& page, JsonWriter* writer) {
  writer->BeginObject().Key("entity_name").String(page.entity);
  writer->Key("page_number").Unsigned(page.page);
  writer->Key("accepted").Unsigned(page.accepted);
  writer->Key("rejected").Unsigned(page.rejected);
  writer->Key("hash").String(page.hash);
  writer->Key("uploaded_at").Raw(TimeToJson(page.uploaded_at_ms)).EndObject();
}

// A field of CSV: in quotes where it needs them.
std::string CsvField(std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string PageResultToJson(const UploadPageResult& result) {
  JsonWriter writer;
  writer.BeginObject().Key("accepted").Unsigned(result.accepted).Key("rejected").BeginArray();
  for (const RejectedRow& row : result.rejected) {
    writer.BeginObject().Key("row").Unsigned(row.row).Key("field").String(row.field);
    writer.Key("code").String(row.code).Key("message").String(row.message).EndObject();
  }
  writer.EndArray().Key("hash").String(result.hash).EndObject();
  return writer.Take();
}

std::string SyncStateToJson(std::string_view sync, UploadState state) {
  JsonWriter writer;
  writer.BeginObject().Key("sync_id").String(sync);
  writer.Key("state").String(UploadStateName(state)).EndObject();
  return writer.Take();
}

std::string UploadToJson(const UploadInfo& info) {
  JsonWriter writer;
  writer.BeginObject();
  WriteUpload(info, &writer);
  writer.EndObject();
  return writer.Take();
}

std::string UploadToJson(const UploadInfo& info, const std::vector<UploadPageInfo>& pages) {
  JsonWriter writer;
  writer.BeginObject();
  WriteUpload(info, &writer);
  writer.Key("pages").BeginArray();
  for (const UploadPageInfo& page : pages) WritePage(page, &writer);
  writer.EndArray().EndObject();
  return writer.Take();
}

std::string RejectedToCsv(const RejectedRow& row) {
  return CsvField(row.entity) + ',' + std::to_string(row.page) + ',' + std::to_string(row.row) +
         ',' + CsvField(row.field) + ',' + CsvField(row.code) + ',' + CsvField(row.message) +
         "\r\n";
}

}  // namespace tidemark::server
