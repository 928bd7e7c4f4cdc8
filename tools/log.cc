// log: the change log.
#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record_json.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote_feed.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

constexpr uint64_t kTailLinesDefault = 10;
// A look at the log costs an opening of the store: often enough for people, rare for the machine.
constexpr std::chrono::milliseconds kFollowInterval(1000);
// How long a server is asked to wait for a change; an interrupt is noticed after it.
constexpr std::chrono::seconds kFollowWait(2);

Status StatRemote(Context& context) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                            remote->Ask(http::Method::kGet, "/v1/overview"));
  const auto figure = [&](const char* name) {
    return NumberAt(answer, {"data", "store", name});
  };
  TIDEMARK_ASSIGN_OR_RETURN(const auto entities,
                            ReadJsonArray(TextAt(answer, {"data", "entities"})));
  context.output.Object({{"sequence", figure("sequence")},
                         {"epoch", figure("epoch")},
                         {"entities", static_cast<uint64_t>(entities.size())},
                         {"records", figure("records")},
                         {"deletions", figure("tombstones")},
                         {"disk_bytes", Cell::Bytes(figure("disk_bytes"))}});
  return {};
}

Status RunStat(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) return StatRemote(context);
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  const StoreStatistics statistics = store->Statistics();
  const StoreIdentity& identity = store->identity();
  context.output.Object({{"sequence", store->last_sequence().value()},
                         {"durable_sequence", store->durable_sequence().value()},
                         {"trimmed_through", store->trimmed_through().value()},
                         {"epoch", identity.epochs.empty() ? 0 : identity.epochs.back().ordinal},
                         {"entities", static_cast<uint64_t>(store->ListEntities().size())},
                         {"records", statistics.records},
                         {"deletions", statistics.tombstones},
                         {"log_rows", statistics.log_rows},
                         {"window_records", statistics.window_records},
                         {"disk_bytes", Cell::Bytes(statistics.disk_bytes)}});
  return {};
}

struct TailOptions {
  std::optional<uint64_t> after;
  std::optional<uint64_t> lines;
  std::vector<std::string> entities;
  bool follow = false;
};

void DeclareTail(Arguments& arguments, TailOptions& options) {
  arguments.Unsigned("--after", options.after, "Every change after this sequence number; 0 is all");
  arguments.Unsigned("--lines,-n", options.lines, "Without --after: the last N changes, 10");
  arguments.List("--entity", options.entities, "Only these entities");
  arguments.Flag("--follow,-f", options.follow, "Go on as changes come, until interrupted");
}

std::string_view OpName(const Store& store, const LogEntry& entry) {
  if (!entry.live) return "delete";
  const std::optional<EntityInfo> entity = store.FindEntity(entry.entity);
  const bool event = entity && entity->declaration.kind == EntityKind::kIncremental;
  return event ? "append" : "put";
}

std::string EntityName(const Store& store, EntityNumber number) {
  const std::optional<EntityInfo> entity = store.FindEntity(number);
  return entity ? entity->name : "#" + std::to_string(number);
}

const std::vector<std::string> kChangeColumns = {
    "sequence", "op", "entity", "id", "version", "data"};

// Prints changes, from one opening of the store to the next.
class Tail {
 public:
  Tail(Context& context, const TailOptions& options)
      : context_(context),
        options_(options),
        rows_(context.output, kChangeColumns, OutputFormat::kNdjson) {}

  Status Run() {
    TIDEMARK_RETURN_IF_ERROR(Begin());
    while (options_.follow && !Interrupted() && context_.output.writable()) {
      context_.output.sink().Flush();
      InterruptibleSleep(kFollowInterval);
      TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context_.globals, Access::kRead));
      if (store->last_sequence() > after_) TIDEMARK_RETURN_IF_ERROR(Print(*store));
    }
    rows_.Finish();
    return {};
  }

 private:
  Status Begin() {
    TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context_.globals, Access::kRead));
    if (options_.after) {
      after_ = SequenceNumber(*options_.after);
      if (after_ > store->last_sequence()) {
        return {ErrorCode::kWrongEpoch,
                "--after " + std::to_string(after_.value()) + " is beyond the last change, " +
                    std::to_string(store->last_sequence().value()) +
                    ": the position is of another history of this store; follow from 0"};
      }
      const SequenceNumber trimmed = store->trimmed_through();
      if (after_ != kSequenceZero && after_ < trimmed) {
        return {ErrorCode::kTrimmed,
                "deletions up to " + std::to_string(trimmed.value()) +
                    " are no longer kept; follow from 0"};
      }
    } else {
      TIDEMARK_ASSIGN_OR_RETURN(after_,
                                StartOfLast(*store, options_.lines.value_or(kTailLinesDefault)));
    }
    return Print(*store);
  }

  bool Wanted(const Store& store, const LogEntry& entry) const {
    if (options_.entities.empty()) return true;
    const std::string name = EntityName(store, entry.entity);
    return std::find(options_.entities.begin(), options_.entities.end(), name) !=
           options_.entities.end();
  }

  // The position that exactly `count` wanted changes come after. Looks back in growing steps, so
  // that the cost goes with `count` and not with the log.
  Result<SequenceNumber> StartOfLast(const Store& store, uint64_t count) const {
    TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store.PinCut());
    const uint64_t last = cut->sequence().value();
    if (count == 0) return cut->sequence();
    for (uint64_t step = count;; step *= 4) {
      const SequenceNumber after(step >= last ? 0 : last - step);
      std::vector<SequenceNumber> newest;  // a ring of the newest heads
      uint64_t seen = 0;
      LogCursor entries = store.FollowLog(cut, after);
      while (entries.Next()) {
        if (!Wanted(store, entries.entry())) continue;
        if (newest.size() < count) {
          newest.push_back(entries.entry().head);
        } else {
          newest[seen % count] = entries.entry().head;
        }
        ++seen;
      }
      TIDEMARK_RETURN_IF_ERROR(entries.status());
      if (seen >= count) return newest[seen % count].Previous();
      if (after == kSequenceZero) return after;
    }
  }

  Status Print(const Store& store) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store.PinCut());
    LogCursor entries = store.FollowLog(cut, after_);
    while (context_.output.writable() && !Interrupted() && entries.Next()) {
      const LogEntry& entry = entries.entry();
      if (!Wanted(store, entry)) continue;
      rows_.Add(
          {entry.head.value(),
           OpName(store, entry),
           EntityName(store, entry.entity),
           Cell::Id(entry.id, entry.id_form),
           entry.head.value(),
           entry.live ? Cell::Json(ValueToJson(entry.value, entry.value_kind)) : Cell::None()});
    }
    after_ = cut->sequence();
    return entries.status();
  }

  Context& context_;
  const TailOptions& options_;
  Rows rows_;
  SequenceNumber after_;
};

// The same of a server. It gives positions of its own, so the only one to name is the beginning.
class RemoteTail {
 public:
  RemoteTail(Context& context, const TailOptions& options, RemoteFeed feed)
      : context_(context),
        options_(options),
        feed_(std::move(feed)),
        rows_(context.output, kChangeColumns, OutputFormat::kNdjson) {}

  Status Run() {
    TIDEMARK_RETURN_IF_ERROR(Begin());
    while (options_.follow && !Interrupted() && context_.output.writable()) {
      context_.output.sink().Flush();
      TIDEMARK_ASSIGN_OR_RETURN(const auto changes, feed_.Next(kFollowWait));
      for (const ChangeRow& change : changes) Print(change);
    }
    rows_.Finish();
    return {};
  }

 private:
  // Goes through the log to its end, for the newest lines or for all.
  Status Begin() {
    const uint64_t lines = options_.lines.value_or(kTailLinesDefault);
    std::deque<ChangeRow> newest;
    while (!feed_.at_end() && !Interrupted() && context_.output.writable()) {
      TIDEMARK_ASSIGN_OR_RETURN(auto changes, feed_.Next(std::chrono::seconds(0)));
      for (ChangeRow& change : changes) {
        if (options_.after) {
          Print(change);
        } else if (Wanted(change)) {
          newest.push_back(std::move(change));
          if (newest.size() > lines) newest.pop_front();
        }
      }
    }
    for (const ChangeRow& change : newest) Print(change);
    return {};
  }

  bool Wanted(const ChangeRow& change) const {
    return options_.entities.empty() ||
           std::find(options_.entities.begin(), options_.entities.end(), change.entity) !=
               options_.entities.end();
  }

  void Print(const ChangeRow& change) {
    if (!Wanted(change)) return;
    rows_.Add({change.sequence,
               change.op,
               change.entity,
               Cell::Id(change.id.text(), change.id.form()),
               change.sequence,
               change.data ? Cell::Json(*change.data) : Cell::None()});
  }

  Context& context_;
  const TailOptions& options_;
  RemoteFeed feed_;
  Rows rows_;
};

Status TailRemote(Context& context, const TailOptions& options) {
  if (options.after.value_or(0) > 0) {
    return {ErrorCode::kInvalidArgument, "over a server --after is 0, or left out"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(RemoteFeed feed, RemoteFeed::Open(context.globals));
  return RemoteTail(context, options, std::move(feed)).Run();
}

Status RunTail(Context& context, const TailOptions& options) {
  if (options.lines && *options.lines > 1'000'000) {
    return {ErrorCode::kInvalidArgument, "--lines may be 1,000,000 at most; use --after"};
  }
  if (IsRemote(context)) return TailRemote(context, options);
  return Tail(context, options).Run();
}

}  // namespace

void AddLogCommands(CommandTable& table) {
  table.AddGroup("log", "The change log");
  table.Add<NoOptions>({"log stat",
                        "Show how long the log is",
                        "  tidemark log stat --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunStat);
  table.Add<TailOptions>({"log tail",
                          "Print changes as NDJSON lines",
                          "  tidemark log tail --data ./data\n"
                          "  tidemark log tail --data ./data --after 1200\n"
                          "  tidemark log tail --data ./data --entity contact -f\n"
                          "  tidemark log tail --server http://127.0.0.1:8787 -f\n",
                          /*over_http=*/true},
                         &DeclareTail,
                         &RunTail);
}

}  // namespace tidemark::tools
