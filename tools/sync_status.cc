// scopes and status: what syncs, how far it is and how it ended; with a live view.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replication/sync_tracker.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

constexpr std::chrono::milliseconds kWatchInterval(500);
constexpr size_t kBarWidth = 20;
constexpr size_t kScreenWidth = 80;
constexpr size_t kScreenRows = 100;
constexpr std::string_view kScopesHeadline = "scope              state       members";
constexpr std::string_view kStatusHeadline = "status                           state       records";

struct WatchOptions {
  std::string id;
  bool watch = false;
};

void DeclareScopes(Arguments& arguments, WatchOptions& options) {
  arguments.Text("scope,--scope", options.id, "Only this sync scope, with its members");
  arguments.Flag("--watch,-w", options.watch, "Go on as states change, until interrupted");
}

void DeclareStatus(Arguments& arguments, WatchOptions& options) {
  arguments.Text("status,--status", options.id, "Only this sync status");
  arguments.Flag("--watch,-w", options.watch, "Go on as states change, until interrupted");
}

std::string Bar(uint64_t done, uint64_t members) {
  const size_t filled = members == 0 ? kBarWidth : kBarWidth * done / members;
  std::string bar;
  for (size_t i = 0; i < kBarWidth; ++i) bar += i < filled ? "█" : "░";
  return bar + " " + std::to_string(done) + "/" + std::to_string(members);
}

std::string Bar(const SyncScope& scope) {
  return Bar(scope.synced + scope.failed + scope.interrupted, scope.members.size());
}

std::string Seconds(int64_t milliseconds) {
  return milliseconds == 0 ? "" : FormatTime(milliseconds);
}

/// What both tables need to be shown once, or again and again.
struct Look {
  std::vector<SyncScope> scopes;
  std::vector<SyncStatus> statuses;
};

/// True while another process has the store open for writing. RocksDB takes a record lock on this
/// file; asking who has it takes nothing. Never to be asked by the owner itself: closing the file
/// would end its lock.
bool HasOwner(const std::filesystem::path& directory) {
  const int file = open((directory / "db" / "LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  struct flock question {};
  question.l_type = F_WRLCK;
  question.l_whence = SEEK_SET;
  const bool owned = fcntl(file, F_GETLK, &question) == 0 && question.l_type != F_UNLCK;
  close(file);
  return owned;
}

/// The store is open for as long as it takes to read: whoever wants to own it is not disturbed.
Result<Look> Read(const GlobalOptions& globals) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(globals, Access::kRead));
  const bool owned = HasOwner(store->directory());
  Look look;
  TIDEMARK_ASSIGN_OR_RETURN(look.scopes, ReadSyncScopes(*store, owned));
  TIDEMARK_ASSIGN_OR_RETURN(look.statuses, ReadSyncStatuses(*store, owned));
  return look;
}

void PrintScopes(Output& output, const std::vector<SyncScope>& scopes) {
  Rows rows(output,
            {"scope",
             "state",
             "not_started",
             "syncing",
             "failed",
             "synced",
             "last_started",
             "last_failed",
             "last_synced",
             "details"});
  for (const SyncScope& scope : scopes) {
    rows.Add({scope.id,
              SyncStateName(scope.state),
              scope.not_started,
              scope.syncing,
              scope.failed,
              scope.synced,
              Cell::Time(scope.last_started_at.value_or(0)),
              Cell::Time(scope.last_failed_at.value_or(0)),
              Cell::Time(scope.last_synced_at.value_or(0)),
              Cell::Json(SyncScopeDetailsToJson(scope), Bar(scope))});
  }
  rows.Finish();
}

void PrintMembers(Output& output, const SyncScope& scope) {
  Rows rows(output, {"member", "state", "entities", "attempts", "started", "ended", "error"});
  for (const SyncMember& member : scope.members) {
    std::vector<std::string> entities;
    for (const SyncStatus& entity : member.entities) entities.push_back(entity.target.entity);
    rows.Add({member.id,
              SyncStateName(member.state),
              Cell::List(entities),
              member.attempts,
              Cell::Time(member.started_at.value_or(0)),
              Cell::Time(member.ended_at.value_or(0)),
              member.error.empty() ? Cell::None() : Cell(member.error)});
  }
  rows.Finish();
}

void PrintStatuses(Output& output, const std::vector<SyncStatus>& statuses) {
  Rows rows(output,
            {"id",
             "provider",
             "entity",
             "function_id",
             "state",
             "records",
             "bytes",
             "timestamp",
             "error"});
  for (const SyncStatus& status : statuses) {
    rows.Add({status.id,
              status.target.provider.empty() ? Cell::None() : Cell(status.target.provider),
              status.target.entity,
              status.target.function_id.empty() ? Cell::None() : Cell(status.target.function_id),
              SyncStateName(status.state),
              status.records,
              Cell::Bytes(status.bytes),
              Cell::Time(status.timestamp),
              status.error.empty() ? Cell::None() : Cell(status.error)});
  }
  rows.Finish();
}

// --- The live view ---

std::string Column(std::string_view text, size_t width) {
  std::string cell = FitText(PrintableText(text), width);
  cell.append(width - std::min(width, DisplayWidth(cell)), ' ');
  return cell;
}

std::string ScopeLine(const SyncScope& scope) {
  return Column(scope.id, 18) + " " + Column(SyncStateName(scope.state), 11) + " " +
         Column(Bar(scope), kBarWidth + 8) + " " +
         Column(scope.failed == 0 ? "" : std::to_string(scope.failed) + " failed", 10);
}

std::string StatusLine(const SyncStatus& status) {
  return Column(status.id, 32) + " " + Column(SyncStateName(status.state), 11) + " " +
         Column(FormatCount(status.records), 11) + " " +
         Column(status.error.empty() ? Seconds(status.timestamp) : status.error, 22);
}

/// Prints what changed from one look to the next: on a terminal as a screen that is drawn again,
/// elsewhere as a line for each row that is new or other than before.
template <typename Row>
class Watch {
 public:
  Watch(Context& context, std::string (*line)(const Row&), std::string (*json)(const Row&))
      : context_(context), line_(line), json_(json) {}

  void Show(const std::vector<Row>& rows, std::string_view headline) {
    std::vector<std::pair<std::string, std::string>> now;
    now.reserve(rows.size());
    for (const Row& row : rows) now.emplace_back(row.id, json_(row));
    if (shown_ && now == before_) return;
    if (OnScreen()) {
      Draw(rows, headline);
    } else {
      for (const auto& row : now) {
        const bool same = std::find(before_.begin(), before_.end(), row) != before_.end();
        if (!same) context_.output.Line(row.second);
      }
    }
    context_.output.sink().Flush();
    before_ = std::move(now);
    shown_ = true;
  }

 private:
  bool OnScreen() const {
    return context_.output.width() > 0 && context_.output.format() == OutputFormat::kTable;
  }

  void Draw(const std::vector<Row>& rows, std::string_view headline) {
    std::string screen = "\x1b[H\x1b[2J" + std::string(headline) + "\n";
    for (size_t i = 0; i < std::min(rows.size(), kScreenRows); ++i) {
      screen += FitText(line_(rows[i]), std::min(context_.output.width(), kScreenWidth)) + "\n";
    }
    if (rows.size() > kScreenRows) {
      screen += "and " + FormatCount(rows.size() - kScreenRows) + " more\n";
    }
    context_.output.sink().Write(screen);
  }

  Context& context_;
  std::string (*line_)(const Row&);
  std::string (*json_)(const Row&);
  std::vector<std::pair<std::string, std::string>> before_;
  bool shown_ = false;
};

template <typename Row>
Status RunWatch(Context& context,
                const WatchOptions& options,
                std::vector<Row> Look::*table,
                std::string_view headline,
                Watch<Row> watch) {
  while (!Interrupted() && context.output.writable()) {
    TIDEMARK_ASSIGN_OR_RETURN(Look look, Read(context.globals));
    std::vector<Row>& rows = look.*table;
    if (!options.id.empty()) {
      std::erase_if(rows, [&](const Row& row) { return row.id != options.id; });
    }
    watch.Show(rows, headline);
    InterruptibleSleep(kWatchInterval);
  }
  return {};
}

// --- Over a server ---

Status ListRemoteScopes(Context& context) {
  return PrintRemoteList(context,
                         "/v1/sync-scopes",
                         {{"scope", {"data", "id"}},
                          {"state", {"data", "state"}},
                          {"not_started", {"data", "notStarted"}},
                          {"syncing", {"data", "syncing"}},
                          {"failed", {"data", "failed"}},
                          {"synced", {"data", "synced"}},
                          {"last_started", {"data", "lastStartedAt"}},
                          {"last_failed", {"data", "lastFailedAt"}},
                          {"last_synced", {"data", "lastSyncedAt"}},
                          {"details", {"data", "details"}}});
}

const std::vector<RemoteColumn> kRemoteStatus = {{"id", {"data", "id"}},
                                                 {"provider", {"data", "provider"}},
                                                 {"entity", {"data", "entity"}},
                                                 {"function_id", {"data", "functionId"}},
                                                 {"state", {"data", "state"}},
                                                 {"records", {"data", "records"}},
                                                 {"bytes", {"data", "bytes"}},
                                                 {"timestamp", {"data", "timestamp"}},
                                                 {"error", {"data", "error"}}};

Status ListRemoteStatuses(Context& context) {
  return PrintRemoteList(context, "/v1/sync-status", kRemoteStatus);
}

/// A scope or a status as a server tells it.
struct RemoteRow {
  std::string id;
  std::string json;
};

std::string RemoteJson(const RemoteRow& row) {
  return row.json;
}

std::string RemoteScopeLine(const RemoteRow& row) {
  const auto count = [&](const std::vector<std::string>& path) {
    return NumberAt(row.json, path);
  };
  const uint64_t failed = count({"failed"});
  const uint64_t done = count({"synced"}) + failed + count({"details", "interrupted"});
  const uint64_t members = done + count({"notStarted"}) + count({"syncing"});
  return Column(row.id, 18) + " " + Column(TextAt(row.json, {"state"}), 11) + " " +
         Column(Bar(done, members), kBarWidth + 8) + " " +
         Column(failed == 0 ? "" : std::to_string(failed) + " failed", 10);
}

std::string RemoteStatusLine(const RemoteRow& row) {
  const std::string error = TextAt(row.json, {"error"});
  const auto timestamp = static_cast<int64_t>(NumberAt(row.json, {"timestamp"}));
  return Column(row.id, 32) + " " + Column(TextAt(row.json, {"state"}), 11) + " " +
         Column(FormatCount(NumberAt(row.json, {"records"})), 11) + " " +
         Column(error.empty() ? Seconds(timestamp) : error, 22);
}

/// All rows of a table, or the one that the options name, if it is there.
Result<std::vector<RemoteRow>> ReadRemote(Remote& remote,
                                          const std::string& path,
                                          const std::string& id) {
  std::vector<RemoteRow> rows;
  std::string after;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(
        const std::string answer,
        remote.Ask(http::Method::kGet, path + "?limit=1000&after=" + Escape(after)));
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> items,
                              ReadJsonArray(TextAt(answer, {"items"})));
    for (const JsonField& item : items) {
      after = TextAt(item.text, {"data", "id"});
      if (id.empty() || id == after) rows.push_back({after, TextAt(item.text, {"data"})});
    }
    if (items.empty() || TextAt(answer, {"meta", "more"}) != "true") return rows;
  }
}

Status WatchRemote(Context& context,
                   const WatchOptions& options,
                   const std::string& path,
                   std::string_view headline,
                   std::string (*line)(const RemoteRow&)) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  Watch<RemoteRow> watch(context, line, &RemoteJson);
  while (!Interrupted() && context.output.writable()) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<RemoteRow> rows,
                              ReadRemote(*remote, path, options.id));
    watch.Show(rows, headline);
    InterruptibleSleep(kWatchInterval);
  }
  return {};
}

/// One row of a table; of a scope its members.
Status ShowRemote(Context& context,
                  const std::string& path,
                  const std::vector<std::string>& list,
                  const std::vector<RemoteColumn>& columns) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote->Ask(http::Method::kGet, path));
  std::vector<std::string> objects;
  if (list.empty()) {
    objects.push_back(TextAt(answer, {"data"}));
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> items,
                              ReadJsonArray(TextAt(answer, list)));
    for (const JsonField& item : items) objects.push_back(item.text);
  }
  return PrintObjects(context, objects, columns);
}

Status RunRemoteScopes(Context& context, const WatchOptions& options) {
  const std::string path = "/v1/sync-scopes";
  if (options.watch) {
    return WatchRemote(context, options, path, kScopesHeadline, &RemoteScopeLine);
  }
  if (options.id.empty()) return ListRemoteScopes(context);
  return ShowRemote(context,
                    path + "/" + Escape(options.id),
                    {"data", "details", "members"},
                    {{"member", {"id"}},
                     {"state", {"state"}},
                     {"entities", {"entities"}},
                     {"attempts", {"attempts"}},
                     {"started", {"startedAt"}},
                     {"ended", {"endedAt"}},
                     {"error", {"error"}}});
}

Status RunRemoteStatus(Context& context, const WatchOptions& options) {
  const std::string path = "/v1/sync-status";
  if (options.watch) {
    return WatchRemote(context, options, path, kStatusHeadline, &RemoteStatusLine);
  }
  if (options.id.empty()) return ListRemoteStatuses(context);
  std::vector<RemoteColumn> columns = kRemoteStatus;
  for (RemoteColumn& column : columns) column.path.erase(column.path.begin());
  return ShowRemote(context, path + "/" + Escape(options.id), {}, columns);
}

Status RunScopes(Context& context, const WatchOptions& options) {
  if (IsRemote(context)) return RunRemoteScopes(context, options);
  if (options.watch) {
    return RunWatch(context,
                    options,
                    &Look::scopes,
                    kScopesHeadline,
                    Watch<SyncScope>(context, &ScopeLine, &SyncScopeToJson));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const Look look, Read(context.globals));
  if (options.id.empty()) {
    PrintScopes(context.output, look.scopes);
    return {};
  }
  for (const SyncScope& scope : look.scopes) {
    if (scope.id != options.id) continue;
    PrintMembers(context.output, scope);
    return {};
  }
  return {ErrorCode::kNotFound, "there is no sync scope \"" + options.id + "\""};
}

Status RunStatus(Context& context, const WatchOptions& options) {
  if (IsRemote(context)) return RunRemoteStatus(context, options);
  if (options.watch) {
    return RunWatch(context,
                    options,
                    &Look::statuses,
                    kStatusHeadline,
                    Watch<SyncStatus>(context, &StatusLine, &SyncStatusToJson));
  }
  TIDEMARK_ASSIGN_OR_RETURN(Look look, Read(context.globals));
  if (!options.id.empty()) {
    std::erase_if(look.statuses, [&](const SyncStatus& row) { return row.id != options.id; });
    if (look.statuses.empty()) {
      return {ErrorCode::kNotFound, "there is no sync status \"" + options.id + "\""};
    }
  }
  PrintStatuses(context.output, look.statuses);
  return {};
}

}  // namespace

void AddSyncStatusCommands(CommandTable& table) {
  table.Add<WatchOptions>({"scopes",
                           "Sync scopes: groups of syncs whose progress is tracked together",
                           "  tidemark scopes --data ./tablet\n"
                           "  tidemark scopes --data ./tablet start-up\n"
                           "  tidemark scopes --data ./tablet --watch\n",
                           /*over_http=*/true},
                          &DeclareScopes,
                          &RunScopes);
  table.Add<WatchOptions>({"status",
                           "Sync statuses: what syncs, how far it is and how it ended",
                           "  tidemark status --data ./tablet\n"
                           "  tidemark status --data ./tablet pull:contact\n"
                           "  tidemark status --data ./tablet --watch --output ndjson\n",
                           /*over_http=*/true},
                          &DeclareStatus,
                          &RunStatus);
}

}  // namespace tidemark::tools
