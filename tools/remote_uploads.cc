// Upload syncs over HTTP.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <utility>

#include "format/json.h"
#include "tools/byte_source.h"
#include "tools/csv.h"
#include "tools/remote.h"
#include "tools/signals.h"
#include "tools/upload_calls.h"

namespace tidemark::tools {
namespace {

constexpr std::chrono::milliseconds kPollInterval{500};
constexpr size_t kListPage = 1000;
constexpr size_t kReportColumns = 6;

UploadState StateFromName(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(UploadState::kSuperseded); ++i) {
    if (UploadStateName(static_cast<UploadState>(i)) == name) return static_cast<UploadState>(i);
  }
  return UploadState::kStarted;
}

// "2031-05-01T08:30:00.000Z"; 0 for what is none.
int64_t MillisecondsOf(const std::string& text) {
  std::tm parts{};
  int milliseconds = 0;
  const int read = std::sscanf(text.c_str(),
                               "%d-%d-%dT%d:%d:%d.%dZ",
                               &parts.tm_year,
                               &parts.tm_mon,
                               &parts.tm_mday,
                               &parts.tm_hour,
                               &parts.tm_min,
                               &parts.tm_sec,
                               &milliseconds);
  if (read != 7) return 0;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return int64_t{timegm(&parts)} * 1000 + milliseconds;
}

uint32_t NumberOf(const std::string& digits) {
  uint32_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

ReplaceCounts CountsOf(std::string_view json) {
  return {.created = NumberAt(json, {"created"}),
          .updated = NumberAt(json, {"updated"}),
          .deleted = NumberAt(json, {"deleted"}),
          .unchanged = NumberAt(json, {"unchanged"}),
          .appended = NumberAt(json, {"appended"})};
}

Result<UploadInfo> InfoOf(std::string_view data) {
  UploadInfo info;
  info.id = TextAt(data, {"sync_id"});
  info.state = StateFromName(TextAt(data, {"state"}));
  info.started_at_ms = MillisecondsOf(TextAt(data, {"started_at"}));
  info.ended_at_ms = MillisecondsOf(TextAt(data, {"ended_at"}));
  info.error = TextAt(data, {"error"});
  TIDEMARK_ASSIGN_OR_RETURN(const auto entities, ReadJsonObject(TextAt(data, {"entities"})));
  for (const JsonField& entity : entities) {
    UploadEntityCounts& counts = info.entities[entity.name];
    counts.counts = CountsOf(entity.text);
    counts.pages = NumberAt(entity.text, {"pages"});
    counts.rejected = NumberAt(entity.text, {"rejected"});
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto warnings, ReadJsonArray(TextAt(data, {"warnings"})));
  for (const JsonField& warning : warnings) info.warnings.push_back(warning.text);
  return info;
}

uint32_t SmallNumberAt(std::string_view json, const std::string& name) {
  const uint64_t number = NumberAt(json, {name});
  return static_cast<uint32_t>(std::min<uint64_t>(number, std::numeric_limits<uint32_t>::max()));
}

class RemoteUploadCalls final : public UploadCalls {
 public:
  RemoteUploadCalls(std::unique_ptr<Remote> remote, const std::string& instance)
      : remote_(std::move(remote)),
        syncs_("/v2/integrations-sync/instances/" + Escape(instance) + "/syncs") {}

  Result<PreparedEntity> Prepare(const std::string& entity,
                                 const EntityExpectation& expected) override {
    return PrepareRemoteEntity(*remote_, entity, expected);
  }
  Status Drop(const std::string& entity) override {
    return remote_->Ask(http::Method::kDelete, "/v1/entities/" + Escape(entity)).status();
  }

  Result<std::string> Start(bool force) override {
    TIDEMARK_ASSIGN_OR_RETURN(
        const std::string answer,
        remote_->Ask(http::Method::kPost, syncs_, force ? R"({"force":true})" : ""));
    return TextAt(answer, {"data", "sync_id"});
  }

  Result<UploadPageResult> PutPage(const std::string& sync, const UploadPage& page) override {
    JsonWriter body;
    body.BeginObject().Key("entity_name").String(page.entity);
    body.Key("page_number").Unsigned(page.page).Key("records").BeginArray();
    for (const std::string& record : page.records) body.Raw(record);
    body.EndArray().EndObject();
    const bool snapshot = page.kind == EntityKind::kSnapshot;
    TIDEMARK_ASSIGN_OR_RETURN(
        const std::string answer,
        remote_->Ask(http::Method::kPost,
                     PathOf(sync, snapshot ? "/snapshot-data" : "/incremental-data"),
                     body.Take()));
    UploadPageResult result;
    result.accepted = NumberAt(answer, {"data", "accepted"});
    result.hash = TextAt(answer, {"data", "hash"});
    TIDEMARK_ASSIGN_OR_RETURN(const auto rejected,
                              ReadJsonArray(TextAt(answer, {"data", "rejected"})));
    for (const JsonField& row : rejected) {
      result.rejected.push_back({.entity = page.entity,
                                 .page = page.page,
                                 .row = SmallNumberAt(row.text, "row"),
                                 .field = TextAt(row.text, {"field"}),
                                 .code = TextAt(row.text, {"code"}),
                                 .message = TextAt(row.text, {"message"})});
    }
    return result;
  }

  Result<UploadInfo> Finish(const std::string& sync, const FinishOptions& options) override {
    JsonWriter body;
    body.BeginObject().Key("dry_run").Bool(options.dry_run);
    body.Key("force_deletes").Bool(options.force_deletes);
    if (options.delete_share_max) body.Key("max_delete_share").Double(*options.delete_share_max);
    body.EndObject();
    TIDEMARK_ASSIGN_OR_RETURN(
        const std::string answer,
        remote_->Ask(http::Method::kPut, PathOf(sync, "/finish"), body.Take()));
    TIDEMARK_ASSIGN_OR_RETURN(UploadInfo info, InfoOf(TextAt(answer, {"data"})));
    while (info.state == UploadState::kProcessing) {
      if (Interrupted()) return Status(ErrorCode::kClosed, "interrupted; the finish goes on");
      InterruptibleSleep(kPollInterval);
      TIDEMARK_ASSIGN_OR_RETURN(info, Get(sync));
      const bool refused = info.state == UploadState::kStarted && !info.error.empty();
      if (refused || info.state == UploadState::kFailed) return RefusalOf(info.error);
    }
    return info;
  }

  Status Abort(const std::string& sync) override {
    return remote_->Ask(http::Method::kPut, PathOf(sync, "/abort")).status();
  }

  Result<std::optional<std::string>> Active() override {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              remote_->Ask(http::Method::kGet, syncs_ + "?limit=1"));
    std::string active = TextAt(answer, {"meta", "active"});
    return active.empty() ? std::optional<std::string>() : std::move(active);
  }

  Result<UploadInfo> Get(const std::string& sync) override {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              remote_->Ask(http::Method::kGet, PathOf(sync, "?limit=1")));
    return InfoOf(TextAt(answer, {"data"}));
  }

  Result<std::vector<UploadInfo>> List(size_t limit) override {
    std::vector<UploadInfo> infos;
    while (infos.size() < limit) {
      const size_t wanted = std::min(kListPage, limit - infos.size());
      const std::string page =
          syncs_ + "?offset=" + std::to_string(infos.size()) + "&limit=" + std::to_string(wanted);
      TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote_->Ask(http::Method::kGet, page));
      TIDEMARK_ASSIGN_OR_RETURN(const auto items, ReadJsonArray(TextAt(answer, {"items"})));
      for (const JsonField& item : items) {
        TIDEMARK_ASSIGN_OR_RETURN(UploadInfo info, InfoOf(TextAt(item.text, {"data"})));
        infos.push_back(std::move(info));
      }
      if (items.size() < wanted) break;
    }
    return infos;
  }

  Result<std::vector<UploadPageInfo>> Pages(const std::string& sync,
                                            size_t offset,
                                            size_t limit) override {
    const std::string page =
        "?offset=" + std::to_string(offset) + "&limit=" + std::to_string(limit);
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              remote_->Ask(http::Method::kGet, PathOf(sync, page)));
    TIDEMARK_ASSIGN_OR_RETURN(const auto items, ReadJsonArray(TextAt(answer, {"data", "pages"})));
    std::vector<UploadPageInfo> pages;
    pages.reserve(items.size());
    for (const JsonField& item : items) {
      pages.push_back({.entity = TextAt(item.text, {"entity_name"}),
                       .page = SmallNumberAt(item.text, "page_number"),
                       .accepted = NumberAt(item.text, {"accepted"}),
                       .rejected = NumberAt(item.text, {"rejected"}),
                       .hash = TextAt(item.text, {"hash"}),
                       .uploaded_at_ms = MillisecondsOf(TextAt(item.text, {"uploaded_at"}))});
    }
    return pages;
  }

  // The report comes whole: its first call reads it, and later ones go on in it.
  Result<std::vector<RejectedRow>> Rejected(const std::string& sync,
                                            size_t offset,
                                            size_t limit) override {
    if (offset == 0) TIDEMARK_RETURN_IF_ERROR(ReadReport(sync));
    const size_t begin = std::min(offset, report_.size());
    const size_t end = std::min(begin + limit, report_.size());
    return std::vector<RejectedRow>(report_.begin() + static_cast<ptrdiff_t>(begin),
                                    report_.begin() + static_cast<ptrdiff_t>(end));
  }

 private:
  static std::string PathOf(const std::string& sync, std::string_view rest) {
    return "/v2/integrations-sync/syncs/" + Escape(sync) + std::string(rest);
  }

  static Status RefusalOf(const std::string& error) {
    const size_t colon = error.find(": ");
    const std::string code = error.substr(0, colon);
    return {CodeNamed(code), colon == std::string::npos ? std::string() : error.substr(colon + 2)};
  }

  Status ReadReport(const std::string& sync) {
    report_.clear();
    TIDEMARK_ASSIGN_OR_RETURN(std::string csv,
                              remote_->Ask(http::Method::kGet, PathOf(sync, "/errors.csv")));
    StringSource source(std::move(csv));
    CsvReader rows(source);
    TIDEMARK_RETURN_IF_ERROR(rows.ReadHeader());
    while (true) {
      TIDEMARK_ASSIGN_OR_RETURN(const bool found, rows.Next());
      if (!found) return {};
      const auto& cells = rows.row();
      if (cells.size() < kReportColumns) continue;
      report_.push_back({.entity = cells[0],
                         .page = NumberOf(cells[1]),
                         .row = NumberOf(cells[2]),
                         .field = cells[3],
                         .code = cells[4],
                         .message = cells[5]});
    }
  }

  const std::unique_ptr<Remote> remote_;
  const std::string syncs_;
  std::vector<RejectedRow> report_;
};

}  // namespace

Result<std::unique_ptr<UploadCalls>> OpenRemoteUploadCalls(const GlobalOptions& globals) {
  TIDEMARK_ASSIGN_OR_RETURN(auto remote, Remote::Open(globals));
  return std::unique_ptr<UploadCalls>(
      std::make_unique<RemoteUploadCalls>(std::move(remote), globals.instance));
}

}  // namespace tidemark::tools
