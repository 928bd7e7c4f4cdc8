// What the tests of source and replica share: a store with a source, devices that are plain maps,
// and instructions as short texts such as "created users/1=Ada".
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/batch.h"
#include "replication/source.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::test {

/// A clock that stands still until it is told otherwise. Thread-safe.
class ManualClock final : public Clock {
 public:
  MonotonicTime Now() override { return MonotonicTime(std::chrono::milliseconds(now_)); }
  int64_t WallMilliseconds() override { return wall_; }
  void Advance(std::chrono::milliseconds by) { now_ += by.count(); }
  void SetWall(int64_t wall) { wall_ = wall; }

 private:
  std::atomic<int64_t> now_ = 1'000'000;
  std::atomic<int64_t> wall_ = 1'900'000'000'000;
};

/// A session that has nothing left to hand out.
MATCHER(IsDrained, negation ? "has a page" : "is drained") {
  return arg.ok() && !arg->has_value();
}

inline std::string ToText(const BatchView& rows, const BatchRow& row) {
  const std::string name = std::string(rows.entity_name(row.entity)) + "/" + std::string(row.id);
  if (row.op == RowOp::kDelete) return "deleted " + name;
  return (row.op == RowOp::kCreated ? "created " : "updated ") + name + "=" +
         std::string(row.value);
}

inline std::vector<std::string> ToTexts(std::string_view page) {
  const auto rows = BatchView::Parse(page, BatchKind::kPage);
  EXPECT_OK(rows);
  std::vector<std::string> texts;
  for (size_t i = 0; rows.ok() && i < rows->size(); ++i) {
    texts.push_back(ToText(*rows, rows->row(i)));
  }
  return texts;
}

/// A device that applies pages to a map, in the order in which it is given them.
class MapDevice {
 public:
  MapDevice(Source& source, std::string id) : source_(&source), id_(std::move(id)) {}

  /// True if a session began; it is `session()`.
  bool Start(bool fresh = false) {
    auto session = source_->StartSession({.device = id_, .fresh = fresh});
    EXPECT_OK(session);
    if (!session.ok() || !session->has_value()) return false;
    session_ = **session;
    if (session_.reset) map_.clear();
    return true;
  }
  Result<std::optional<Page>> Next(size_t records_max = kPageRecordsDefault) {
    return source_->NextPage(session_.id, {.records_max = records_max});
  }
  /// The next page, which must be there.
  Page Read(size_t records_max = kPageRecordsDefault) {
    auto page = Next(records_max);
    EXPECT_OK(page);
    EXPECT_TRUE(page.ok() && page->has_value()) << "no page";
    return page.ok() && page->has_value() ? **page : Page();
  }
  void Apply(const Page& page) {
    const auto rows = BatchView::Parse(page.bytes, BatchKind::kPage);
    ASSERT_OK(rows);
    for (size_t i = 0; i < rows->size(); ++i) {
      const BatchRow row = rows->row(i);
      const std::string name =
          std::string(rows->entity_name(row.entity)) + "/" + std::string(row.id);
      if (row.op == RowOp::kDelete) {
        map_.erase(name);
      } else {
        map_[name] = std::string(row.value);
      }
    }
  }
  AckResult Acknowledge(const std::vector<std::string>& keys) {
    auto result = source_->Acknowledge(id_, keys);
    EXPECT_OK(result);
    return result.ok() ? *result : AckResult();
  }
  /// The ack keys of a page, in its order.
  std::vector<std::string> Keys(const Page& page) const {
    const auto rows = BatchView::Parse(page.bytes, BatchKind::kPage);
    std::vector<std::string> keys;
    for (size_t i = 0; i < rows->size(); ++i) {
      const BatchRow row = rows->row(i);
      keys.push_back(
          source_->AckKey(session_.id, rows->header().page, rows->entity_name(row.entity), row));
    }
    return keys;
  }
  /// Reads, applies and acknowledges what is left of the session. Returns what was told.
  std::vector<std::string> Drain(size_t records_max = kPageRecordsDefault) {
    std::vector<std::string> told;
    while (true) {
      const auto page = Next(records_max);
      EXPECT_OK(page);
      if (!page.ok() || !page->has_value()) return told;
      for (std::string& text : ToTexts((*page)->bytes)) told.push_back(std::move(text));
      Apply(**page);
      Acknowledge({(*page)->token});
    }
  }
  /// One whole sync. Returns what was told.
  std::vector<std::string> Sync(size_t records_max = kPageRecordsDefault) {
    return Start() ? Drain(records_max) : std::vector<std::string>();
  }

  void Move(Source& source) { source_ = &source; }
  const std::string& id() const { return id_; }
  const SessionInfo& session() const { return session_; }
  std::map<std::string, std::string>& map() { return map_; }

 private:
  Source* source_;
  const std::string id_;
  SessionInfo session_;
  std::map<std::string, std::string> map_;
};

/// A store and its source in a directory of their own.
class SourceTest : public ::testing::Test {
 protected:
  SourceTest() { Open(); }

  static std::shared_ptr<Runtime> MakeRuntime(std::shared_ptr<Clock> clock) {
    auto runtime = Runtime::Create(
        {.block_cache_bytes = 4 * 1024 * 1024, .background_threads = 1, .clock = std::move(clock)});
    EXPECT_OK(runtime);
    return *runtime;
  }

  void Open() {
    auto store = Store::Open(path_, store_options_, runtime_);
    ASSERT_OK(store);
    store_ = std::move(*store);
    OpenSource();
  }
  void OpenSource() {
    source_.reset();
    auto source = Source::Open(*store_, source_options_);
    ASSERT_OK(source);
    source_ = std::move(*source);
  }
  void Close() {
    source_.reset();
    EXPECT_OK(store_->Close());
    store_.reset();
  }
  void Reopen() {
    Close();
    Open();
  }

  /// Makes `to` the store that `from` is. The guard file stays the same file: a store knows a copy
  /// of itself by it.
  static void CopyStore(const std::filesystem::path& from, const std::filesystem::path& to) {
    constexpr int kAttempts = 20;
    std::error_code failed;
    for (int attempt = 0; attempt == 0 || (failed && attempt < kAttempts); ++attempt) {
      // A store that is open removes old files beside the copy.
      std::filesystem::remove_all(to / "db");
      std::filesystem::create_directories(to);
      std::filesystem::copy(from,
                            to,
                            std::filesystem::copy_options::recursive |
                                std::filesystem::copy_options::overwrite_existing,
                            failed);
    }
    ASSERT_FALSE(failed) << failed.message();
  }

  void Put(std::string_view entity, const std::string& id, std::string_view value) {
    EXPECT_OK(store_->Commit(WriteBatch().Put(entity, id, value)));
  }
  void Delete(std::string_view entity, const std::string& id) {
    EXPECT_OK(store_->Commit(WriteBatch().Delete(entity, id)));
  }
  MapDevice Device(const std::string& id = "tablet") { return {*source_, id}; }
  uint64_t Tombstones() const {
    uint64_t count = 0;
    for (const EntityInfo& info : store_->ListEntities(/*dropped=*/true)) {
      count += info.tombstone_count;
    }
    return count;
  }
  /// What a device that sees everything holds when it lacks nothing.
  std::map<std::string, std::string> Live() const {
    std::map<std::string, std::string> live;
    const View view = store_->GetView();
    for (const EntityInfo& info : store_->ListEntities()) {
      RecordIterator records = view.Scan(info.name, ScanOptions{});
      while (records.Next()) live[info.name + "/" + records.id()] = records.value();
      EXPECT_OK(records.status());
    }
    return live;
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "store";
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::shared_ptr<Runtime> runtime_ = MakeRuntime(clock_);
  StoreOptions store_options_;
  SourceOptions source_options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
};

}  // namespace tidemark::test
