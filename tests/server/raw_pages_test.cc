#include "server/raw_pages.h"

#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "db/store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

using test::StatusIs;

class WallClock final : public Clock {
 public:
  MonotonicTime Now() override { return {}; }
  int64_t WallMilliseconds() override { return now_ms; }
  int64_t now_ms = 1'000'000;
};

class RawPagesTest : public ::testing::Test {
 protected:
  RawPagesTest() {
    StoreOptions options;
    options.durability = Durability::kOrder;
    auto runtime = Runtime::Create({.clock = clock_});
    EXPECT_OK(runtime);
    auto store = Store::Open(directory_.path() / "store", options, *runtime);
    EXPECT_OK(store);
    store_ = std::move(*store);
    auto uploads = Uploads::Open(*store_);
    EXPECT_OK(uploads);
    uploads_ = std::move(*uploads);
  }

  std::unique_ptr<RawPages> Open(uint64_t bytes_max = kRawPagesBytesMax) {
    return std::make_unique<RawPages>(directory_.path() / "raw", *uploads_, *clock_, bytes_max);
  }
  std::string Start() {
    auto sync = uploads_->Start();
    EXPECT_OK(sync);
    return *sync;
  }
  static void Put(RawPages& pages, const std::string& sync, uint32_t page, std::string_view sent) {
    const UploadPage users = {.entity = "users", .page = page, .records = {R"({"id":"a"})"}};
    EXPECT_OK(pages.PutPage(sync, users, sent));
  }

  test::TempDirectory directory_;
  std::shared_ptr<WallClock> clock_ = std::make_shared<WallClock>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Uploads> uploads_;
};

TEST_F(RawPagesTest, ForSevenDaysAfterTheSyncEnded) {
  const auto pages = Open();
  const std::string sync = Start();
  Put(*pages, sync, 1, "sent");
  clock_->now_ms += 10 * kRawPagesAgeMs;
  pages->Forget();
  EXPECT_EQ(*pages->Read(sync, "users", 1), "sent") << "while it is open";
  ASSERT_OK(uploads_->Abort(sync));
  clock_->now_ms += kRawPagesAgeMs;
  pages->Forget();
  EXPECT_EQ(*pages->Read(sync, "users", 1), "sent");
  clock_->now_ms += 1;
  EXPECT_THAT(pages->Read(sync, "users", 1), StatusIs(ErrorCode::kNotFound));
  pages->Forget();
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path() / "raw"));
}

TEST_F(RawPagesTest, BytesAreBounded) {
  auto pages = Open(2 * (100 + 8));
  const std::string sent(100, 's');
  const std::string first = Start();
  Put(*pages, first, 1, sent);
  Put(*pages, first, 1, sent);  // in the place of the one before
  Put(*pages, first, 2, sent);
  EXPECT_OK(pages->Read(first, "users", 1));
  EXPECT_OK(pages->Read(first, "users", 2));
  Put(*pages, first, 3, sent);
  EXPECT_THAT(pages->Read(first, "users", 3), StatusIs(ErrorCode::kNotFound)) << "no room";
  EXPECT_OK(pages->Read(first, "users", 1));
  ASSERT_OK(uploads_->Abort(first));
  const std::string second = Start();
  pages = Open(2 * (100 + 8));  // counts what is there
  Put(*pages, second, 1, sent);
  EXPECT_OK(pages->Read(second, "users", 1));
  EXPECT_THAT(pages->Read(first, "users", 1), StatusIs(ErrorCode::kNotFound)) << "made room";
}

TEST_F(RawPagesTest, WhatIsTornIsNotThere) {
  const auto pages = Open();
  const std::string sync = Start();
  Put(*pages, sync, 1, "sent");
  std::filesystem::path file;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory_.path() / "raw")) {
    if (entry.is_regular_file()) file = entry.path();
  }
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  EXPECT_THAT(pages->Read(sync, "users", 1), StatusIs(ErrorCode::kNotFound));
  std::filesystem::resize_file(file, 3);
  EXPECT_THAT(pages->Read(sync, "users", 1), StatusIs(ErrorCode::kNotFound));
}

}  // namespace
}  // namespace tidemark::server
