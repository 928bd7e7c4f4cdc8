// Threads: workers of one session, starts that race with pages and acknowledgements, writers and
// purges beside them.
#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;

class ConcurrencyTest : public test::SourceTest {};

TEST_F(ConcurrencyTest, WorkersOfOneSessionNeverGetTheSamePage) {
  constexpr int kRecords = 300;
  WriteBatch batch;
  for (int i = 0; i < kRecords; ++i) batch.Put("users", std::to_string(i), "x");
  ASSERT_OK(store_->Commit(batch));
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::mutex mutex;
  std::multiset<std::string> told;
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&, worker] {
      while (true) {
        const auto page = source_->NextPage(device.session().id, {.records_max = 3 + worker});
        ASSERT_OK(page);
        if (!page->has_value()) return;
        EXPECT_OK(source_->Acknowledge("tablet", {(*page)->token}));
        const std::lock_guard lock(mutex);
        for (const std::string& text : test::ToTexts((*page)->bytes)) told.insert(text);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(told.size(), static_cast<size_t>(kRecords));
  EXPECT_EQ(std::set<std::string>(told.begin(), told.end()).size(), told.size());
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
}

TEST_F(ConcurrencyTest, WorkersOfDifferentQueuesNeverGetTheSame) {
  constexpr int kRecords = 100;
  WriteBatch batch;
  for (int i = 0; i < kRecords; ++i) {
    for (const char* entity : {"users", "notes", "visits"}) {
      batch.Put(entity, std::to_string(i), "x");
    }
  }
  ASSERT_OK(store_->Commit(batch));
  ASSERT_OK(source_->DeclareQueue({.name = "notes", .parts = SelectionRule::Entities({"notes"})}));
  ASSERT_OK(source_->DeclareQueue({.name = "users", .parts = SelectionRule::Entities({"users"})}));
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::mutex mutex;
  std::multiset<std::string> told;
  std::vector<std::thread> workers;
  for (const char* queue : {"main", "notes", "users", "main", "notes"}) {
    workers.emplace_back([&, queue] {
      while (true) {
        const auto page =
            source_->NextPage(device.session().id, {.records_max = 3, .queue = queue});
        ASSERT_OK(page);
        if (!page->has_value()) return;
        EXPECT_OK(source_->Acknowledge("tablet", {(*page)->token}));
        const std::lock_guard lock(mutex);
        for (const std::string& text : test::ToTexts((*page)->bytes)) told.insert(text);
      }
    });
  }
  // Declarations change beside them, which is of no concern to this session.
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(source_->DropQueue("users"));
    ASSERT_OK(source_->DeclareQueue(
        {.name = "users", .order = 5, .parts = SelectionRule::Entities({"visits"})}));
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(told.size(), static_cast<size_t>(3 * kRecords));
  EXPECT_EQ(std::set<std::string>(told.begin(), told.end()).size(), told.size());
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
}

TEST_F(ConcurrencyTest, StartsPagesAcksPurgesAndWritersRace) {
  for (int i = 0; i < 20; ++i) Put("users", std::to_string(i), "x");
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> pages = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::string id = t == 2 ? "phone" : "tablet";  // two of them fence each other
      while (!stop) {
        const auto session = source_->StartSession({.device = id});
        ASSERT_OK(session);
        if (!session->has_value()) continue;
        while (true) {
          const auto page = source_->NextPage((*session)->id, {.records_max = 4});
          if (!page.ok()) {
            EXPECT_EQ(page.status().code(), ErrorCode::kSuperseded) << page.status().ToString();
            break;
          }
          if (!page->has_value()) break;
          ++pages;
          EXPECT_OK(source_->Acknowledge(id, {(*page)->token}));
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      Put("users", std::to_string(i % 20), std::to_string(i));
      if (i % 3 == 0) Delete("users", std::to_string((i + 7) % 20));
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      EXPECT_OK(source_->Purge());
      EXPECT_FALSE(source_->ListDevices().size() > 2);
    }
  });
  for (int i = 0; i < 200 && (i < 20 || pages < 50); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(pages, 0U);
  ASSERT_OK(source_->Reset("tablet"));  // nobody knows which of the two holds what
  MapDevice tablet = Device();
  tablet.Sync();
  EXPECT_EQ(tablet.map(), Live());
  Device("phone").Sync();
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
}

}  // namespace
}  // namespace tidemark
