// Logs that grew by single changes: their segments become few, and nothing else is to be noticed.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "db/tuning.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

class SegmentMergeTest : public test::StoreTest {
 protected:
  static std::string Id(int number) { return "u" + std::to_string(number * 7919 % 1000); }
  void PutOneByOne(int begin, int end, const std::string& value) {
    for (int i = begin; i < end; ++i) {
      WriteBatch batch;
      batch.Put("users", Id(i), value + std::to_string(i));
      ASSERT_OK(store_->Commit(batch, {.sync = false}));
    }
  }
  void ExpectAll(int count, const std::string& value) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(Value("users", Id(i)), value + std::to_string(i));
    }
    const View view = store_->GetView();
    EXPECT_EQ(test::ScanAll(view, "users").size(), static_cast<size_t>(count));
    EXPECT_EQ(test::ScanAll(view, "users", {.reverse = true}).size(), static_cast<size_t>(count));
    EXPECT_THAT(test::Problems(*store_), ::testing::IsEmpty());
  }
  /// Closes the store, counts the segments of its first entity, and opens it again.
  size_t CountSegments() {
    EXPECT_OK(store_->Close());
    store_.reset();
    const std::string database = (path() / "db").string();
    std::vector<std::string> names;
    EXPECT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::Options(), database, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    size_t log = 0;
    for (const std::string& name : names) {
      if (name == "l.1") log = families.size();
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    EXPECT_TRUE(
        rocksdb::DB::OpenForReadOnly(rocksdb::Options(), database, families, &handles, &opened)
            .ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    size_t count = 0;
    {
      const std::unique_ptr<rocksdb::Iterator> segments(
          db->NewIterator(rocksdb::ReadOptions(), handles[log]));
      for (segments->SeekToFirst(); segments->Valid(); segments->Next()) ++count;
    }
    for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
    Open(options_);
    return count;
  }
};

TEST_F(SegmentMergeTest, FoldsMergeWhatCameSinceTheLastOne) {
  Open({.window_records = 100});
  PutOneByOne(0, 1000, "a");
  ExpectAll(1000, "a");
  // What the last folds did not reach is left: at most two windows.
  EXPECT_LE(CountSegments(), 1000 / (tuning::kSegmentRecords / 2) + 200);
  ExpectAll(1000, "a");
}

TEST_F(SegmentMergeTest, CompactionMergesTheWholeLog) {
  Open();
  PutOneByOne(0, 1000, "a");
  EXPECT_EQ(CountSegments(), 1000U);
  ASSERT_OK(store_->Compact());
  ExpectAll(1000, "a");
  EXPECT_LE(CountSegments(), 1000 / (tuning::kSegmentRecords / 2));
  ExpectAll(1000, "a");
}

TEST_F(SegmentMergeTest, SegmentsThatLostTheirRowsAreMergedAgain) {
  Open();
  PutOneByOne(0, 1000, "a");
  ASSERT_OK(store_->Compact());
  for (int i = 0; i < 1000; ++i) {
    if (i % 20 == 0) continue;
    ASSERT_OK(store_->Commit(WriteBatch().Delete("users", Id(i))));
  }
  ASSERT_OK(store_->Compact());  // fold and drop
  // The 950 deletions are kept for followers.
  EXPECT_LE(CountSegments(), 1000 / tuning::kSegmentRecords + 2);
  for (int i = 0; i < 1000; i += 20) ASSERT_EQ(Value("users", Id(i)), "a" + std::to_string(i));
  EXPECT_THAT(test::Problems(*store_), ::testing::IsEmpty());
}

TEST_F(SegmentMergeTest, OpenViewsScansAndCursorsGoOn) {
  Open();
  PutOneByOne(0, 500, "a");
  const View view = store_->GetView();
  RecordIterator records = view.Scan("users", ScanOptions());
  ASSERT_TRUE(records.Next());
  const auto cut = Expose();
  LogCursor cursor = store_->ReadLog(cut, {{.entity = store_->FindEntity("users")->number}});
  ASSERT_TRUE(cursor.Next());
  PutOneByOne(0, 300, "b");
  ASSERT_OK(store_->Compact());

  for (int i = 0; i < 500; ++i) {
    const auto record = view.Get("users", Id(i));
    ASSERT_OK(record);
    ASSERT_EQ((*record)->value, "a" + std::to_string(i));
  }
  size_t scanned = 1;
  for (; records.Next(); ++scanned) ASSERT_EQ(records.value()[0], 'a');
  EXPECT_OK(records.status());
  EXPECT_EQ(scanned, 500U);
  size_t followed = 1;
  while (cursor.Next()) ++followed;
  EXPECT_OK(cursor.status());
  EXPECT_EQ(followed, 500U);
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(Value("users", Id(i)), (i < 300 ? "b" : "a") + std::to_string(i));
  }
}

// A reader may see merges in the log and not the folds that they followed.
TEST_F(SegmentMergeTest, ReadersBesideTheOwnerSeeEveryRow) {
  Open({.window_records = 16});
  int written = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 30; ++i) ASSERT_OK(Put("users", ++written, "value"));
    const auto reader = test::OpenStore(path(), {.read_only = true});  // while that is folded
    ASSERT_NE(reader, nullptr);
    ASSERT_EQ(test::ScanAll(reader->GetView(), "users").size(), static_cast<size_t>(written));
  }
}

}  // namespace
}  // namespace tidemark
