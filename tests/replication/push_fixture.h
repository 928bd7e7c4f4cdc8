// What the tests of writes of devices share: a source, a replica that writes, and a way between
// them that loses what the test says.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replication/internal/outbox_entry.h"
#include "replication/replica.h"
#include "tests/replication/source_fixture.h"

namespace tidemark::test {

/// A way to the source that loses what the test says.
class LossyTransport final : public Transport {
 public:
  explicit LossyTransport(Source& source) : to_source_(source) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    return to_source_.Start(hello);
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    return to_source_.Next(session, options);
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    return to_source_.Acknowledge(device, keys);
  }
  Result<PushResult> Push(std::string_view batch) override {
    pushed.emplace_back(batch);
    const Status lost(ErrorCode::kUnavailable, "lost on the way");
    if (lose_request) return lost;
    auto answer = to_source_.Push(batch);
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    if (lose_answer) return lost;
    return answer;
  }

  bool lose_request = false;
  bool lose_answer = false;
  std::function<void()> meanwhile;  // once, while the next answer is on its way
  std::vector<std::string> pushed;

 private:
  LocalTransport to_source_;
};

/// One device with its replica.
struct Tablet {
  std::string id;
  std::filesystem::path path;
  std::unique_ptr<Replica> replica;
};

class PushTest : public SourceTest {
 protected:
  PushTest() { Open(&tablet_); }

  void Open(Tablet* tablet) {
    tablet->replica.reset();
    auto opened = Replica::Open(tablet->path, tablet->id, {}, runtime_);
    ASSERT_OK(opened);
    tablet->replica = *std::move(opened);
  }
  static std::map<std::string, std::string> HeldBy(const Tablet& tablet) {
    std::map<std::string, std::string> held;
    const View view = tablet.replica->store().GetView();
    for (const EntityInfo& info : tablet.replica->store().ListEntities()) {
      RecordIterator records = view.Scan(info.name, ScanOptions{});
      while (records.Next()) held[info.name + "/" + records.id()] = records.value();
      EXPECT_OK(records.status());
    }
    return held;
  }
  std::map<std::string, std::string> Held() const { return HeldBy(tablet_); }
  void WriteHere(std::string_view id, std::string_view value) const {
    EXPECT_OK(tablet_.replica->Write(WriteBatch().Put("visits", RecordId(std::string(id)), value)));
  }
  void DeleteHere(std::string_view id) const {
    EXPECT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", RecordId(std::string(id)))));
  }
  PushTotals Push() {
    LocalTransport transport(*source_);
    auto totals = tablet_.replica->Push(transport);
    EXPECT_OK(totals);
    return totals.ok() ? *totals : PushTotals();
  }
  PullResult Pull() {
    LocalTransport transport(*source_);
    auto pulled = tablet_.replica->Pull(transport);
    EXPECT_OK(pulled);
    return pulled.ok() ? *pulled : PullResult();
  }
  /// The operations in the outbox, as "state type record code".
  std::vector<std::string> Outbox() const {
    std::vector<std::string> operations;
    RecordIterator rows = tablet_.replica->store().GetView().Scan(kOutboxEntity, ScanOptions{});
    while (rows.Next()) {
      const auto operation = internal::DecodeOperation(rows.value());
      EXPECT_OK(operation);
      if (!operation.ok()) continue;
      std::string text = operation->state == OperationState::kPending ? "pending " : "failed ";
      text += operation->op == WriteOp::kPut      ? "put "
              : operation->op == WriteOp::kDelete ? "delete "
                                                  : "append ";
      text += operation->entity + "/" + operation->id.text();
      if (!operation->error.code.empty()) text += " " + operation->error.code;
      operations.push_back(text);
    }
    return operations;
  }
  uint64_t FirstOperation() const {
    RecordIterator rows = tablet_.replica->store().GetView().Scan(kOutboxEntity, ScanOptions{});
    EXPECT_TRUE(rows.Next());
    return internal::DecodeOperation(rows.value())->number;
  }

  Tablet tablet_{.id = "tablet", .path = directory_.path() / "tablet", .replica = nullptr};
};

}  // namespace tidemark::test
