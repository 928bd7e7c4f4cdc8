// What the tests of the sync tracker share: a store with its tracker, and rows as they are stored.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "format/json.h"
#include "replication/sync_tracker.h"
#include "tests/db/store_fixture.h"

namespace tidemark::test {

class SyncTrackerTest : public ::testing::Test {
 protected:
  SyncTrackerTest() { Reopen(); }

  void Reopen() {
    tracker_.reset();
    store_.reset();
    store_ = OpenStore(directory_.path());
    auto tracker = SyncTracker::Open(*store_);
    ASSERT_OK(tracker);
    tracker_ = *std::move(tracker);
  }

  SyncScope Scope(std::string_view id) const {
    return tracker_->FindScope(id).value_or(SyncScope{});
  }
  SyncState StateOf(std::string_view status) const {
    const auto found = tracker_->FindStatus(status);
    return found.has_value() ? found->state : SyncState::kNotStarted;
  }
  std::unique_ptr<SyncOperation> Begin(std::string_view member,
                                       const std::vector<SyncTarget>& targets) {
    auto begun = tracker_->Begin(member, targets);
    EXPECT_OK(begun);
    return begun.ok() ? *std::move(begun) : nullptr;
  }
  std::map<std::string, std::string> RowOf(std::string_view entity, std::string_view id) {
    std::map<std::string, std::string> row;
    const auto record = store_->Get(entity, RecordId(id));
    if (!record.ok() || !record->has_value()) return row;
    const auto fields = ReadJsonObject((*record)->value);
    if (!fields.ok()) return row;
    for (const JsonField& field : *fields) {
      row[field.name] = field.type == JsonType::kNull ? "null" : field.text;
    }
    return row;
  }

  TempDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SyncTracker> tracker_;
};

}  // namespace tidemark::test
