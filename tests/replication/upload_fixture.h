// Upload syncs over a store of their own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "replication/built_in_schemas.h"
#include "replication/upload.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::test {

inline constexpr EntityKind kSnapshot = EntityKind::kSnapshot;
inline constexpr EntityKind kIncremental = EntityKind::kIncremental;

inline std::string Row(std::string_view id, std::string_view value = "1") {
  return R"({"id":")" + std::string(id) + R"(","value":)" + std::string(value) + "}";
}

// Ids `prefix`0 to `prefix`(count - 1).
inline std::vector<std::string> Rows(const std::string& prefix,
                                     size_t count,
                                     std::string_view value = "1") {
  std::vector<std::string> rows;
  for (size_t i = 0; i < count; ++i) rows.push_back(Row(prefix + std::to_string(i), value));
  return rows;
}

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() { Reopen(); }

  // Closes and opens the store again, as a restart does.
  void Reopen() {
    uploads_.reset();
    store_.reset();
    StoreOptions options;
    options.durability = Durability::kOrder;
    auto store = Store::Open(directory_.path(), options);
    ASSERT_OK(store);
    store_ = std::move(store).value();
    auto uploads = Uploads::Open(*store_);
    ASSERT_OK(uploads);
    uploads_ = std::move(uploads).value();
  }

  std::string Start(bool force = false) {
    const auto id = uploads_->Start(force);
    EXPECT_OK(id);
    return id.ok() ? *id : std::string();
  }

  Result<UploadPageResult> Put(const std::string& sync,
                               const std::string& entity,
                               uint32_t page,
                               std::vector<std::string> records,
                               EntityKind kind = kSnapshot) {
    UploadPage upload;
    upload.entity = entity;
    upload.page = page;
    upload.kind = kind;
    upload.records = std::move(records);
    return uploads_->PutPage(sync, upload);
  }

  // One whole sync of one page.
  Result<UploadInfo> Replace(const std::string& entity,
                             std::vector<std::string> records,
                             const FinishOptions& options = {},
                             EntityKind kind = kSnapshot) {
    const std::string sync = Start();
    EXPECT_OK(Put(sync, entity, 1, std::move(records), kind));
    auto finished = uploads_->Finish(sync, options);
    if (!finished.ok()) {
      EXPECT_OK(uploads_->Abort(sync));
    }
    return finished;
  }

  // "id=value" of every record, by id.
  std::vector<std::string> Content(const std::string& entity) const {
    std::vector<std::string> content;
    auto records = store_->GetView().Scan(entity);
    while (records.Next()) content.push_back(records.id() + "=" + records.value());
    EXPECT_OK(records.status());
    return content;
  }

  std::vector<std::string> Ids(const std::string& entity) const {
    std::vector<std::string> ids;
    auto records = store_->GetView().Scan(entity);
    while (records.Next()) ids.push_back(records.id());
    EXPECT_OK(records.status());
    return ids;
  }

  void Declare(const std::string& entity, std::string_view json) {
    const auto declaration = DeclarationFromJson(json);
    ASSERT_OK(declaration);
    ASSERT_OK(store_->Declare(entity, *declaration));
  }

  void DeclareBuiltIn() {
    for (const auto& [name, declaration] : BuiltInDeclarations()) {
      ASSERT_OK(store_->Declare(name, declaration));
    }
  }

  UploadState StateOf(const std::string& sync) const {
    const auto info = uploads_->Get(sync);
    EXPECT_OK(info);
    return info.ok() ? info->state : UploadState::kFailed;
  }

  TempDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Uploads> uploads_;
};

}  // namespace tidemark::test
