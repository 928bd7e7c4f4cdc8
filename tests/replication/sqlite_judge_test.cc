// SQLite's session extension as an independent judge: it records the net effect of the same random
// writes between two settled sessions. Its INSERT is our `created`, its DELETE our `deleted`, its
// UPDATE our `updated`, or the `created` of a record that was deleted and made again. It does not
// see what ended up with the bytes that it began with; we send that as a new version.
#define SQLITE_ENABLE_SESSION 1
#define SQLITE_ENABLE_PREUPDATE_HOOK 1

#include <sqlite3.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

constexpr uint64_t kHistories = 60;
constexpr int kSessionsOfAHistory = 6;
constexpr uint64_t kIds = 8;
const std::vector<std::string> kEntities = {"users", "visits"};

/// What became of one record, as SQLite sees it.
struct NetChange {
  int op = 0;  // SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE
  std::string value;
};
using NetChanges = std::map<std::string, NetChange>;  // by "entity/id"

class Sqlite {
 public:
  Sqlite() {
    EXPECT_EQ(sqlite3_open(":memory:", &database_), SQLITE_OK);
    for (const std::string& entity : kEntities) {
      Run("CREATE TABLE " + entity + " (id TEXT PRIMARY KEY, value TEXT)");
    }
  }
  ~Sqlite() {
    End();
    sqlite3_close(database_);
  }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  /// Begins to record.
  void Begin() {
    End();
    ASSERT_EQ(sqlite3session_create(database_, "main", &session_), SQLITE_OK);
    ASSERT_EQ(sqlite3session_attach(session_, nullptr), SQLITE_OK);
  }
  void Put(const std::string& entity, const std::string& id, const std::string& value) {
    Run("INSERT INTO " + entity + " VALUES ('" + id + "', '" + value +
        "') ON CONFLICT (id) DO UPDATE SET value = excluded.value");
  }
  void Delete(const std::string& entity, const std::string& id) {
    Run("DELETE FROM " + entity + " WHERE id = '" + id + "'");
  }

  /// The net effect since `Begin`.
  NetChanges Changes() {
    NetChanges changes;
    int size = 0;
    void* bytes = nullptr;
    EXPECT_EQ(sqlite3session_changeset(session_, &size, &bytes), SQLITE_OK);
    sqlite3_changeset_iter* at = nullptr;
    EXPECT_EQ(sqlite3changeset_start(&at, size, bytes), SQLITE_OK);
    while (sqlite3changeset_next(at) == SQLITE_ROW) {
      const char* table = nullptr;
      int columns = 0;
      NetChange change;
      sqlite3changeset_op(at, &table, &columns, &change.op, nullptr);
      sqlite3_value* id = nullptr;
      if (change.op == SQLITE_INSERT) {
        sqlite3changeset_new(at, 0, &id);
      } else {
        sqlite3changeset_old(at, 0, &id);
      }
      if (change.op != SQLITE_DELETE) {
        sqlite3_value* value = nullptr;
        sqlite3changeset_new(at, 1, &value);
        change.value = Text(value);
      }
      changes[std::string(table) + "/" + Text(id)] = change;
    }
    sqlite3changeset_finalize(at);
    sqlite3_free(bytes);
    return changes;
  }

 private:
  void End() {
    if (session_ != nullptr) sqlite3session_delete(session_);
    session_ = nullptr;
  }
  static std::string Text(sqlite3_value* value) {
    const int size = sqlite3_value_bytes(value);
    const void* bytes = sqlite3_value_blob(value);
    return bytes == nullptr
               ? std::string()
               : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
  }
  void Run(const std::string& statement) {
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database_, statement.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << error;
    sqlite3_free(error);
  }

  sqlite3* database_ = nullptr;
  sqlite3_session* session_ = nullptr;
};

struct Instruction {
  RowOp op = RowOp::kCreated;
  std::string value;
};

class SqliteJudgeTest : public test::SourceTest {
 protected:
  /// One whole sync; what was told, by "entity/id".
  std::map<std::string, Instruction> Sync(test::MapDevice* device, size_t records_max) {
    std::map<std::string, Instruction> told;
    if (!device->Start()) return told;
    while (true) {
      const auto page = device->Next(records_max);
      EXPECT_OK(page);
      if (!page.ok() || !page->has_value()) return told;
      const auto rows = BatchView::Parse((*page)->bytes, BatchKind::kPage);
      EXPECT_OK(rows);
      for (size_t i = 0; rows.ok() && i < rows->size(); ++i) {
        const BatchRow row = rows->row(i);
        const std::string name =
            std::string(rows->entity_name(row.entity)) + "/" + std::string(row.id);
        EXPECT_TRUE(told.emplace(name, Instruction{row.op, std::string(row.value)}).second)
            << name << " was told twice";
      }
      device->Apply(**page);
      device->Acknowledge({(*page)->token});
    }
  }

  /// `deleted_meanwhile`: ids that were deleted between the sessions. `before`: the device's map.
  static void Compare(const std::map<std::string, Instruction>& told,
                      const NetChanges& changes,
                      const std::set<std::string>& deleted_meanwhile,
                      const std::map<std::string, std::string>& before) {
    for (const auto& [name, change] : changes) {
      const auto found = told.find(name);
      ASSERT_NE(found, told.end()) << name << " changed and was not told";
      const Instruction& instruction = found->second;
      EXPECT_EQ(instruction.value, change.value) << name;
      RowOp expected = RowOp::kUpdated;
      if (change.op == SQLITE_DELETE) expected = RowOp::kDelete;
      if (change.op == SQLITE_INSERT ||
          (change.op == SQLITE_UPDATE && deleted_meanwhile.contains(name))) {
        expected = RowOp::kCreated;
      }
      EXPECT_EQ(static_cast<int>(instruction.op), static_cast<int>(expected)) << name;
    }
    for (const auto& [name, instruction] : told) {
      if (changes.contains(name)) continue;
      ASSERT_TRUE(before.contains(name)) << name << " was told and did not change";
      EXPECT_EQ(instruction.value, before.at(name)) << name;
      EXPECT_EQ(instruction.op == RowOp::kCreated, deleted_meanwhile.contains(name)) << name;
    }
  }
};

TEST_F(SqliteJudgeTest, NetEffectsAgree) {
  const char* only = std::getenv("TIDEMARK_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  const uint64_t last = only == nullptr ? kHistories : first;
  for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
    SCOPED_TRACE("replay with TIDEMARK_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    for (const std::string& entity : kEntities) {
      if (store_->FindEntity(entity).has_value()) {
        EXPECT_OK(store_->Empty(entity));
      }
    }
    Sqlite sqlite;
    test::MapDevice device = Device("device" + std::to_string(seed));
    for (int session = 0; session < kSessionsOfAHistory && !HasFailure(); ++session) {
      sqlite.Begin();
      std::set<std::string> deleted;
      for (uint64_t count = random() % 30; count > 0; --count) {
        const std::string& entity = kEntities[random() % kEntities.size()];
        const std::string id = "id" + std::to_string(random() % kIds);
        if (random() % 3 == 0) {
          Delete(entity, id);
          sqlite.Delete(entity, id);
          if (device.map().contains(entity + "/" + id)) deleted.insert(entity + "/" + id);
        } else {
          const std::string value = "value" + std::to_string(random() % 4);
          Put(entity, id, value);
          sqlite.Put(entity, id, value);
        }
        if (random() % 20 == 0) {
          EXPECT_OK(store_->Compact());
        }
      }
      const std::map<std::string, std::string> before = device.map();
      const auto told = Sync(&device, 1 + random() % 10);
      Compare(told, sqlite.Changes(), deleted, before);
      EXPECT_EQ(device.map(), Live());
      if (random() % 2 == 0) {
        EXPECT_OK(source_->Purge());
      }
    }
    EXPECT_OK(source_->Forget(device.id()));
  }
}

}  // namespace
}  // namespace tidemark
