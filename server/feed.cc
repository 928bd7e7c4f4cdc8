#include "server/feed.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "format/token.h"

namespace tidemark::server {
namespace {

// Reading starts anew when a fold moves the horizon between two looks at it.
constexpr int kAttemptsMax = 4;

uint64_t EpochOf(const StoreIdentity& identity) {
  return EpochTag(identity.epochs.back().id);
}

// Makes lines of entries until a limit is reached.
class PageBuilder {
 public:
  PageBuilder(const Store& store, const FeedPosition& from, uint64_t lines_max, size_t bytes_max)
      : store_(store), identity_(store.identity()), lines_max_(lines_max), bytes_max_(bytes_max) {
    page_.end = from;
  }

  // Adds the entries of `cursor` with heads up to `through`. False when a limit was reached.
  Result<bool> Add(LogCursor cursor, SequenceNumber through) {
    while (cursor.Next() && cursor.entry().head <= through) {
      const LogEntry& entry = cursor.entry();
      const Entity& entity = EntityOf(entry.entity);
      if (entity.name.starts_with('_')) continue;
      if (page_.lines.size() == lines_max_ || bytes_ > bytes_max_) {
        page_.more = true;
        return false;
      }
      AddLine(entry, entity);
    }
    TIDEMARK_RETURN_IF_ERROR(cursor.status());
    page_.end.head = std::max(page_.end.head, through);
    return true;
  }

  FeedPage Take() { return std::move(page_); }

 private:
  struct Entity {
    std::string name;
    bool incremental = false;
  };

  const Entity& EntityOf(EntityNumber number) {
    const auto known = entities_.find(number);
    if (known != entities_.end()) return known->second;
    Entity entity;
    if (const std::optional<EntityInfo> info = store_.FindEntity(number)) {
      entity = {info->name, info->declaration.kind == EntityKind::kIncremental};
    }
    return entities_.emplace(number, std::move(entity)).first->second;
  }

  void AddLine(const LogEntry& entry, const Entity& entity) {
    page_.end.head = entry.head;
    FeedLine line;
    Token token;
    token.kind = TokenKind::kCursor;
    token.epoch = EpochOf(identity_);
    token.head = page_.end.head;
    token.birth = page_.end.begun;
    line.cursor = SealToken(identity_.secret, token);
    JsonWriter json;
    json.BeginObject().Key("cursor").String(line.cursor);
    json.Key("sequence").Unsigned(entry.head.value());
    json.Key("op").String(!entry.live ? "delete" : entity.incremental ? "append" : "put");
    json.Key("entity").String(entity.name);
    json.Key("id").Raw(IdToJson(entry.id, entry.id_form));
    json.Key("version").Unsigned(entry.head.value());
    json.Key("data").Raw(entry.live ? ValueToJson(entry.value, entry.value_kind) : "null");
    json.EndObject();
    line.json = json.Take();
    bytes_ += line.json.size();
    page_.lines.push_back(std::move(line));
  }

  const Store& store_;
  const StoreIdentity identity_;
  const uint64_t lines_max_;
  const size_t bytes_max_;
  std::map<EntityNumber, Entity> entities_;
  FeedPage page_;
  size_t bytes_ = 0;
};

std::vector<LogRange> LiveRows(const Store& store, SequenceNumber after) {
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store.EntityNumbers()) {
    LogRange range;
    range.entity = entity;
    range.after = after;
    range.tombstones = false;
    ranges.push_back(range);
  }
  return ranges;
}

Result<FeedPage> ReadOnce(const Store& store,
                          FeedPosition position,
                          uint64_t lines_max,
                          size_t bytes_max) {
  const SequenceNumber trimmed = store.trimmed_through();
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store.PinCut());
  const bool from_start = position.head == kSequenceZero;
  if (from_start) position.begun = cut->sequence();
  PageBuilder page(store, position, lines_max, bytes_max);
  if (from_start || position.head >= trimmed) {
    TIDEMARK_RETURN_IF_ERROR(
        page.Add(store.FollowLog(cut, position.head), cut->sequence()).status());
    return page.Take();
  }
  // Deletions up to the horizon are gone, and only who began before them would need them.
  TIDEMARK_ASSIGN_OR_RETURN(const bool go_on,
                            page.Add(store.ReadLog(cut, LiveRows(store, position.head)), trimmed));
  if (go_on) {
    TIDEMARK_RETURN_IF_ERROR(page.Add(store.FollowLog(cut, trimmed), cut->sequence()).status());
  }
  return page.Take();
}

}  // namespace

std::string SealCursor(const Store& store, const FeedPosition& position) {
  const StoreIdentity identity = store.identity();
  Token token;
  token.kind = TokenKind::kCursor;
  token.epoch = EpochOf(identity);
  token.head = position.head;
  token.birth = position.begun;
  return SealToken(identity.secret, token);
}

Result<FeedPosition> OpenCursor(const Store& store, std::string_view cursor) {
  if (cursor == "0") return FeedPosition{};
  const StoreIdentity identity = store.identity();
  const Result<Token> token = OpenToken(identity.secret, TokenKind::kCursor, cursor);
  if (!token.ok()) {
    return Status(ErrorCode::kInvalidArgument,
                  "field \"after\" must be 0 or the cursor of a line of this feed");
  }
  if (token->epoch != EpochOf(identity)) {
    return Status(ErrorCode::kTrimmed,
                  "the cursor is of another history of the store; read everything again from 0");
  }
  return FeedPosition{token->head, token->birth};
}

Result<FeedPage> ReadFeed(const Store& store,
                          const FeedPosition& position,
                          uint64_t lines_max,
                          size_t bytes_max) {
  for (int attempt = 1;; ++attempt) {
    const SequenceNumber complete = std::max(position.head, position.begun);
    const SequenceNumber trimmed = store.trimmed_through();
    if (position.head != kSequenceZero && complete < trimmed) {
      return Status(ErrorCode::kTrimmed,
                    "deletions up to sequence " + std::to_string(trimmed.value()) +
                        " are no longer kept; read everything again from 0");
    }
    Result<FeedPage> page = ReadOnce(store, position, lines_max, bytes_max);
    const bool overtaken = page.status().code() == ErrorCode::kTrimmed;
    if (!overtaken || attempt == kAttemptsMax) return page;
  }
}

}  // namespace tidemark::server
