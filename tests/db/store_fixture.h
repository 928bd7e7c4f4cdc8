// What the tests of the store share: a store in a directory of its own, and its content as maps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "db/store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::test {

/// A runtime that costs a test little. Shared: its threads belong to the process anyway.
inline std::shared_ptr<Runtime> SmallRuntime() {
  static const std::shared_ptr<Runtime> kRuntime =
      *Runtime::Create({.block_cache_bytes = 4 * 1024 * 1024, .background_threads = 1});
  return kRuntime;
}

inline std::unique_ptr<Store> OpenStore(const std::filesystem::path& directory,
                                        const StoreOptions& options = {}) {
  auto store = Store::Open(directory, options, SmallRuntime());
  EXPECT_OK(store);
  return store.ok() ? std::move(*store) : nullptr;
}

/// The value of a record, "-" when there is none, "!" and the error when it cannot be read.
inline std::string ValueOf(const Store& store, std::string_view entity, const RecordId& id) {
  const auto record = store.Get(entity, id);
  if (!record.ok()) return "!" + record.status().ToString();
  return record->has_value() ? (*record)->value : "-";
}

using ScanResult = std::vector<std::pair<std::string, std::string>>;

inline ScanResult ScanAll(const View& view,
                          std::string_view entity,
                          const ScanOptions& options = {}) {
  ScanResult found;
  RecordIterator records = view.Scan(entity, options);
  while (records.Next()) found.emplace_back(records.id(), records.value());
  EXPECT_OK(records.status());
  return found;
}

/// What `Verify` reports.
inline std::vector<std::string> Problems(const Store& store) {
  std::vector<std::string> problems;
  const Status verified =
      store.Verify([&](const std::string& problem) { problems.push_back(problem); });
  EXPECT_EQ(verified.ok(), problems.empty());
  return problems;
}

/// A directory, and a store in it that can be closed and opened again.
class StoreTest : public ::testing::Test {
 protected:
  void Open(const StoreOptions& options = {}) {
    store_.reset();
    options_ = options;
    store_ = OpenStore(path(), options);
    ASSERT_NE(store_, nullptr);
  }
  void Reopen() {
    ASSERT_OK(store_->Close());
    Open(options_);
  }
  std::filesystem::path path() const { return directory_.path() / "store"; }

  Result<CommitResult> Put(std::string_view entity,
                           const RecordId& id,
                           std::string_view value,
                           const WriteCondition& condition = {}) {
    return store_->Commit(WriteBatch().Put(entity, id, value, ValueKind::kBytes, condition));
  }
  Result<CommitResult> Delete(std::string_view entity,
                              const RecordId& id,
                              const WriteCondition& condition = {}) {
    return store_->Commit(WriteBatch().Delete(entity, id, condition));
  }
  std::string Value(std::string_view entity, const RecordId& id) const {
    return ValueOf(*store_, entity, id);
  }
  /// A cut as a session gets it: what is committed counts as seen by a device.
  std::shared_ptr<const Cut> Expose() {
    auto result = store_->Commit(WriteBatch(), {.pin_cut = true});
    EXPECT_OK(result);
    return result.ok() ? result->cut : nullptr;
  }

  TempDirectory directory_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

}  // namespace tidemark::test
