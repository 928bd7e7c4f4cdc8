// The power fails, or a call does, at every call of a finish that changes a file, and at some of
// what comes after it: the store holds exactly the old or the new, no orphan, and goes on.
//
//   TIDEMARK_TEST_LONG=1   every call of everything
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "tests/db/replacement_fixture.h"
#include "tests/support/fault_file_system.h"

namespace tidemark {
namespace {

using test::CrashMode;
using test::FamiliesInUse;
using test::FamiliesOnDisk;
using test::FaultKind;
using test::Log;
using test::ReadAll;
using test::Row;
using test::Staged;
using ::testing::AnyOf;
using ::testing::IsEmpty;

/// A store on a disk that fails on command, and a script that ends in a finish.
class CrashScript {
 public:
  CrashScript() : files_(std::make_shared<test::FaultFileSystem>(directory_ / "disk")) {
    Prepare();
  }

  void Arm(const test::FaultPlan& plan) { files_->Arm(plan); }
  uint64_t calls() const { return files_->calls(); }
  void Crash(CrashMode mode, uint64_t seed) {
    store_.reset();
    files_->Crash(mode, seed);
  }

  Status Open() {
    store_.reset();
    // A runtime of its own for each life: memory does not survive a power cut.
    auto runtime = internal::CreateRuntime(
        {.block_cache_bytes = 1024 * 1024, .background_threads = 1}, test::NewFaultEnv(files_));
    if (!runtime.ok()) return runtime.status();
    StoreOptions options{.window_records = 64};
    options.log = [failed = fold_failed_](const std::string&) {
      *failed = true;
    };
    auto store = Store::Open(directory_.path() / "disk" / "store", options, std::move(*runtime));
    if (!store.ok()) return store.status();
    store_ = std::move(*store);
    return {};
  }

  /// Finish, one more commit, cleaning up, reopening. Stops at the first error.
  Status Run() {
    const uint64_t folds = store_->Statistics().folds;
    TIDEMARK_RETURN_IF_ERROR(Finish());
    applied_ = true;
    WaitForFolds(folds + 2);
    TIDEMARK_RETURN_IF_ERROR(
        store_->Commit(WriteBatch().Put("users", "after", "1").SetRow("after", "yes")).status());
    committed_ = true;
    TIDEMARK_RETURN_IF_ERROR(Stage(*store_, 1).Discard());
    TIDEMARK_RETURN_IF_ERROR(store_->Compact());
    TIDEMARK_RETURN_IF_ERROR(store_->Close());
    return Open();
  }
  Status Finish() {
    Stage stage(*store_, 1);
    return stage
        .Apply({{.entity = "users"}, {.entity = "visits"}, {.entity = "events"}},
               [](const auto&, WriteBatch& batch) {
                 batch.SetRow("finished", "yes");
                 return Status();
               })
        .status();
  }

  bool is_open() const { return store_ != nullptr; }
  Store& store() { return *store_; }
  bool applied() const { return applied_; }
  bool committed() const { return committed_; }

 private:
  /// A finish folds when it begins, and has the upkeep thread fold what it did. Debian's RocksDB
  /// ends the process when that happens while another write fails, so nothing is written meanwhile.
  void WaitForFolds(uint64_t folds) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (store_->Statistics().folds < folds && !*fold_failed_ &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  void Prepare() {
    ASSERT_OK(Open());
    EntityDeclaration events;
    events.kind = EntityKind::kIncremental;
    ASSERT_OK(store_->Declare("events", events));
    WriteBatch batch;
    for (int i = 0; i < 30; ++i) batch.Put("users", "u" + std::to_string(i), "old");
    batch.Put("visits", "v", "old").Append("events", "e1", "old");
    ASSERT_OK(store_->Commit(batch));
    ASSERT_OK(store_->Commit(WriteBatch(), {.pin_cut = true}));
    ASSERT_OK(store_->Commit(WriteBatch().Delete("users", "u3")));
    Stage stage(*store_, 1);
    std::vector<Row> users;
    for (int i = 0; i < 40; i += 2) {
      users.emplace_back("u" + std::to_string(i), i % 4 == 0 ? "old" : "new");
    }
    ASSERT_OK(stage.PutPage("users", 0, Staged(users)));
    ASSERT_OK(stage.PutPage("visits", 0, {}));
    std::vector<Row> appended = {{"e1", "old"}, {"e1", "other"}};
    for (int i = 0; i < 60; ++i) appended.emplace_back("n" + std::to_string(i), "new");
    ASSERT_OK(stage.PutPage("events", 0, Staged(appended)));
  }

  test::TempDirectory directory_;
  std::shared_ptr<test::FaultFileSystem> files_;
  std::unique_ptr<Store> store_;
  const std::shared_ptr<std::atomic<bool>> fold_failed_ =
      std::make_shared<std::atomic<bool>>(false);
  bool applied_ = false;
  bool committed_ = false;
};

/// Everything the script may leave behind.
struct Outcomes {
  Log before;
  Log finished;
  Log committed;
  uint64_t finish_calls = 0;  // until the finish answers
  uint64_t calls = 0;         // of the whole script
};

Outcomes OutcomesOfScript() {
  Outcomes outcomes;
  CrashScript script;
  outcomes.before = ReadAll(script.store());
  script.Arm({});
  EXPECT_OK(script.Finish());
  outcomes.finish_calls = script.calls();
  outcomes.finished = ReadAll(script.store());
  CrashScript whole;
  whole.Arm({});
  EXPECT_OK(whole.Run());
  outcomes.calls = whole.calls();
  outcomes.committed = ReadAll(whole.store());
  return outcomes;
}

/// Exactly old or new, and no older than what was acknowledged.
void CheckOutcome(CrashScript& script, const Outcomes& outcomes) {
  Store& store = script.store();
  const Log log = ReadAll(store);
  const auto finished = store.GetRow("finished");
  const auto after = store.GetRow("after");
  ASSERT_OK(finished);
  ASSERT_OK(after);
  ASSERT_EQ(log,
            after->has_value()      ? outcomes.committed
            : finished->has_value() ? outcomes.finished
                                    : outcomes.before);
  ASSERT_TRUE(finished->has_value() || !script.applied());
  ASSERT_TRUE(after->has_value() || !script.committed());
  ASSERT_EQ(FamiliesOnDisk(store), FamiliesInUse(store));
  ASSERT_THAT(test::Problems(store), IsEmpty());
  // It goes on, and a finish that was cut off can be called again.
  if (!finished->has_value()) {
    ASSERT_OK(script.Finish());
    ASSERT_EQ(ReadAll(store), outcomes.finished);
  }
  const uint64_t last = ReadAll(store).rbegin()->first;
  const auto next = store.Commit(WriteBatch().Put("users", "next", "1"));
  ASSERT_OK(next);
  ASSERT_EQ(next->sequence.value(), last + 1);
}

/// The calls at which something goes wrong: with three parameters that start apart, every one of
/// the finish, and some of what comes after it.
std::vector<uint64_t> Instants(const Outcomes& outcomes, int parameter) {
  const bool all = std::getenv("TIDEMARK_TEST_LONG") != nullptr;
  std::vector<uint64_t> instants;
  uint64_t at = all ? 1 : 1 + static_cast<uint64_t>(parameter % 3);
  while (at <= outcomes.calls) {
    instants.push_back(at);
    at += all ? 1 : at <= outcomes.finish_calls ? 3 : 23;
  }
  return instants;
}

class ReplacementCutTest : public ::testing::TestWithParam<CrashMode> {};

TEST_P(ReplacementCutTest, LeavesTheOldOrTheNew) {
  const Outcomes outcomes = OutcomesOfScript();
  for (const uint64_t at : Instants(outcomes, static_cast<int>(GetParam()))) {
    SCOPED_TRACE("power cut at call " + std::to_string(at) + " of " +
                 std::to_string(outcomes.calls));
    CrashScript script;
    script.Arm({.at = at, .kind = FaultKind::kPowerCut});
    (void)script.Run();  // may succeed: files that nobody needs go in the background
    script.Crash(GetParam(), at);
    ASSERT_OK(script.Open());
    CheckOutcome(script, outcomes);
    if (::testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes,
                         ReplacementCutTest,
                         ::testing::Values(CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix));

class ReplacementFaultTest : public ::testing::TestWithParam<FaultKind> {};

TEST_P(ReplacementFaultTest, AnErrorIsToldAndLeavesTheOldOrTheNew) {
  const Outcomes outcomes = OutcomesOfScript();
  for (const uint64_t at : Instants(outcomes, static_cast<int>(GetParam()))) {
    SCOPED_TRACE("fault at call " + std::to_string(at) + " of " + std::to_string(outcomes.calls));
    CrashScript script;
    script.Arm({.at = at, .kind = GetParam()});
    (void)script.Run();
    script.Arm({});
    if (script.is_open()) {  // reading goes on
      EXPECT_THAT(ReadAll(script.store()),
                  AnyOf(outcomes.before, outcomes.finished, outcomes.committed));
    }
    ASSERT_OK(script.Open());
    CheckOutcome(script, outcomes);
    if (::testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         ReplacementFaultTest,
                         ::testing::Values(FaultKind::kIoError,
                                           FaultKind::kNoSpace,
                                           FaultKind::kShortWrite));

}  // namespace
}  // namespace tidemark
