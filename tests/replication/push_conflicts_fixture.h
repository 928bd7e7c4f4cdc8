// What the tests of conflicts share: an entity with a policy, writers on both sides, and the
// versions that lost.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/replication/push_fixture.h"

namespace tidemark::test {

class PushConflictsTest : public PushTest {
 protected:
  void Declare(ConflictPolicy policy) {
    EntityDeclaration declaration;
    declaration.conflicts = policy;
    Declare(declaration);
  }
  void Declare(const EntityDeclaration& declaration) {
    ASSERT_OK(store_->Declare("visits", declaration));
  }
  void ByField() { Declare(ConflictPolicy::kByField); }
  /// Conflicts go to `resolver` from now on.
  void ByCallback(ConflictResolver resolver) {
    Declare(ConflictPolicy::kCallback);
    source_options_.conflict_resolver = std::move(resolver);
    OpenSource();
  }
  /// Somebody else writes at the source.
  void There(std::string_view id, std::string_view json) {
    EXPECT_OK(store_->Commit(WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson)));
  }
  void DeleteThere(std::string_view id) { Delete("visits", std::string(id)); }
  static void WriteAt(const Tablet& tablet, std::string_view id, std::string_view json) {
    EXPECT_OK(
        tablet.replica->Write(WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson)));
  }
  void Here(std::string_view id, std::string_view json) { WriteAt(tablet_, id, json); }
  std::string AtSource(std::string_view id) { return Live()["visits/" + std::string(id)]; }
  std::string AtDevice(std::string_view id) { return Held()["visits/" + std::string(id)]; }
  /// The versions that lost, oldest first.
  std::vector<std::string> Lost() {
    std::vector<std::string> lost;
    RecordIterator rows = store_->GetView().Scan("_conflicts", ScanOptions{});
    while (rows.Next()) lost.push_back(rows.value());
    EXPECT_OK(rows.status());
    return lost;
  }
  std::vector<PushAnswer> PushRaw(LossyTransport* transport) {
    EXPECT_OK(tablet_.replica->Push(*transport));
    const auto again = source_->Push(transport->pushed.back());
    EXPECT_OK(again);
    return again.ok() ? again->answers : std::vector<PushAnswer>();
  }
  /// After a pull the device has what the source has, and lacks nothing.
  void ExpectEqualAfterPull() {
    Pull();
    EXPECT_EQ(Held(), Live());
    EXPECT_TRUE(Pull().nothing_owed);
    EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
  }
};

}  // namespace tidemark::test
