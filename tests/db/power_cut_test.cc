// The power fails at the n-th call that changes a file, for many n; so does one call alone. After
// that the store opens with a prefix of its history that has every acknowledged commit, and nothing
// torn.
//
//   TIDEMARK_TEST_LONG=1   every call in every mode, instead of every 7th in one of them
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "tests/db/store_fixture.h"
#include "tests/support/fault_file_system.h"

namespace tidemark {
namespace {

using test::CrashMode;
using test::FaultFileSystem;
using test::FaultKind;

using State = std::map<std::string, std::string>;  // "entity/id" -> value

/// What a workload did, as far as it was told.
struct Trace {
  std::vector<State> states = {{}};       // after each commit; the last one may not have happened
  std::vector<uint64_t> sequences = {0};  // of each state; 0 where the commit did not answer
  size_t acknowledged = 0;                // the newest state that was durable for sure
  std::vector<Status> errors;
};

class Disk {
 public:
  Disk() : files_(std::make_shared<FaultFileSystem>(directory_ / "disk")) {}

  FaultFileSystem& files() { return *files_; }
  std::filesystem::path path() const { return directory_.path() / "disk" / "store"; }

  Result<std::unique_ptr<Store>> Open(const StoreOptions& options = {.window_records = 12}) {
    // A runtime of its own for each life: memory does not survive a power cut.
    auto runtime = internal::CreateRuntime(
        {.block_cache_bytes = 1024 * 1024, .background_threads = 1}, test::NewFaultEnv(files_));
    if (!runtime.ok()) return runtime.status();
    return Store::Open(path(), options, std::move(*runtime));
  }

 private:
  test::TempDirectory directory_;
  std::shared_ptr<FaultFileSystem> files_;
};

/// One commit of the script: it touches two entities and a row, so that a torn one shows.
void CommitStep(Store& store, int step, bool sync, Trace* trace) {
  const std::string number = std::to_string(step);
  WriteBatch batch;
  State state = trace->states.back();
  const auto put = [&](const std::string& entity, const std::string& id, const std::string& value) {
    batch.Put(entity, id, value);
    state[entity + "/" + id] = value;
  };
  put("users", "u" + std::to_string(step % 9), "user " + number);
  put("visits", "v" + std::to_string(step % 5), "visit " + number);
  if (step % 3 == 0) {
    batch.Delete("users", "u" + std::to_string((step + 4) % 9));
    state.erase("users/u" + std::to_string((step + 4) % 9));
  }
  batch.Append("events", "e" + number, "event " + number);
  state["events/e" + number] = "event " + number;
  batch.SetRow("step", number);
  state["row"] = number;
  trace->states.push_back(std::move(state));
  trace->sequences.push_back(0);
  const auto result = store.Commit(batch, {.sync = sync});
  if (!result.ok()) {
    trace->errors.push_back(result.status());
    return;
  }
  trace->sequences.back() = result->sequence.value();
  if (sync) trace->acknowledged = trace->states.size() - 1;
}

/// Every kind of write there is, and two lives of the store. Stops at the first error.
void RunScript(Disk& disk, Trace* trace) {
  int step = 0;
  for (int life = 0; life < 2; ++life) {
    auto opened = disk.Open();
    if (!opened.ok()) return trace->errors.push_back(opened.status());
    Store& store = **opened;
    const auto note = [&](const Status& status) {
      if (!status.ok()) trace->errors.push_back(status);
      return trace->errors.empty();
    };
    if (!note(store.Declare("places", {.id_fields = {"code"}}).status())) return;
    for (int i = 0; i < 5; ++i) {
      CommitStep(store, ++step, /*sync=*/i % 3 != 1, trace);
      if (!trace->errors.empty()) return;
      if (i == 2 && !note(store.Compact())) return;
      if (i == 3 && !note(store.Commit(WriteBatch(), {.pin_cut = true}).status())) return;
    }
    if (!note(store.Compact())) return;
    if (!note(store.Close())) return;
    trace->acknowledged = trace->states.size() - 1;
  }
}

State ReadState(const Store& store) {
  State state;
  const View view = store.GetView();
  for (const char* entity : {"users", "visits", "events"}) {
    for (const auto& [id, value] : test::ScanAll(view, entity)) {
      state[std::string(entity) + "/" + id] = value;
    }
  }
  const auto row = store.GetRow("step");
  EXPECT_OK(row);
  if (row.ok() && row->has_value()) state["row"] = **row;
  return state;
}

/// Position in the trace of the state that the store has; nullopt when it has none of them.
std::optional<size_t> FindState(const Trace& trace, const State& state) {
  for (size_t i = trace.states.size(); i-- > 0;) {
    if (trace.states[i] == state) return i;
  }
  return std::nullopt;
}

/// The store opens, is one of the states from the last acknowledged one on, is sound, and goes on
/// with numbers that no earlier change had.
void CheckRecovered(Disk& disk, const Trace& trace) {
  auto opened = disk.Open();
  ASSERT_OK(opened);
  Store& store = **opened;
  const auto found = FindState(trace, ReadState(store));
  ASSERT_TRUE(found.has_value()) << "a state that never was";
  ASSERT_GE(*found, trace.acknowledged) << "an acknowledged commit is gone";
  EXPECT_THAT(test::Problems(store), ::testing::IsEmpty());
  for (size_t i = 0; i <= *found; ++i) {
    EXPECT_GE(store.last_sequence().value(), trace.sequences[i]);
  }
  const auto next = store.Commit(WriteBatch().Put("users", "after", "the cut"));
  ASSERT_OK(next);
  EXPECT_GT(next->sequence.value(), trace.sequences[trace.acknowledged]);
  ASSERT_OK(store.Close());
}

uint64_t CallsOfScript() {
  Disk disk;
  disk.files().Arm({});
  Trace trace;
  RunScript(disk, &trace);
  EXPECT_TRUE(trace.errors.empty()) << trace.errors.front().ToString();
  return disk.files().calls();
}

/// How far apart the chosen calls are.
uint64_t Stride() {
  return std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 1 : 21;
}

class PowerCutTest : public ::testing::TestWithParam<CrashMode> {};

TEST_P(PowerCutTest, NothingAcknowledgedIsLostAndNothingIsTorn) {
  const uint64_t calls = CallsOfScript();
  // The modes start apart, so that together they see every 7th call.
  for (uint64_t at = 1 + 7 * static_cast<uint64_t>(GetParam()); at <= calls; at += Stride()) {
    SCOPED_TRACE("power cut at call " + std::to_string(at) + " of " + std::to_string(calls));
    Disk disk;
    disk.files().Arm({.at = at, .kind = FaultKind::kPowerCut});
    Trace trace;
    RunScript(disk, &trace);
    disk.files().Crash(GetParam(), at);
    CheckRecovered(disk, trace);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes,
                         PowerCutTest,
                         ::testing::Values(CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix),
                         [](const auto& mode) {
                           return mode.param == CrashMode::kDrop   ? "Drop"
                                  : mode.param == CrashMode::kTorn ? "Torn"
                                                                   : "Prefix";
                         });

// The control: a harness that cannot see loss proves nothing.
TEST(PowerCutControlTest, ADiskThatLiesLosesAcknowledgedCommits) {
  int losses = 0;
  const uint64_t calls = CallsOfScript();
  for (uint64_t at = calls / 4; at <= calls; at += calls / 6) {
    Disk disk;
    disk.files().set_sync_is_a_lie(true);
    disk.files().Arm({.at = at, .kind = FaultKind::kPowerCut});
    Trace trace;
    RunScript(disk, &trace);
    disk.files().Crash(CrashMode::kDrop, at);
    disk.files().set_sync_is_a_lie(false);
    auto opened = disk.Open();
    if (!opened.ok()) {
      ++losses;
      continue;
    }
    const auto found = FindState(trace, ReadState(**opened));
    if (!found.has_value() || *found < trace.acknowledged) ++losses;
  }
  EXPECT_GT(losses, 0);
}

/// One call fails, the machine lives on.
void FailOnce(FaultKind kind, uint64_t at) {
  SCOPED_TRACE("call " + std::to_string(at) + " fails");
  Disk disk;
  disk.files().Arm({.at = at, .kind = kind});
  Trace trace;
  RunScript(disk, &trace);
  for (const Status& error : trace.errors) {
    EXPECT_TRUE(error.code() == ErrorCode::kIoError || error.code() == ErrorCode::kDiskFull ||
                error.code() == ErrorCode::kReadOnly)
        << error.ToString();
  }
  disk.files().Arm({});
  CheckRecovered(disk, trace);
}

TEST(IoErrorTest, OneFailedCallLosesNothing) {
  const uint64_t calls = CallsOfScript();
  for (uint64_t at = 1; at <= calls && !HasFailure(); at += Stride()) {
    FailOnce(FaultKind::kIoError, at);
  }
}

TEST(IoErrorTest, ADiskThatIsFullForAMomentLosesNothing) {
  const uint64_t calls = CallsOfScript();
  for (uint64_t at = 11; at <= calls && !HasFailure(); at += Stride()) {
    FailOnce(FaultKind::kNoSpace, at);
  }
}

// After a failed sync nothing is written any more, and everything can be read.
TEST(IoErrorTest, AFailedSyncStopsWritesAndReadingGoesOn) {
  Disk disk;
  auto opened = disk.Open();
  ASSERT_OK(opened);
  Store& store = **opened;
  ASSERT_OK(store.Commit(WriteBatch().Put("users", "a", "1")));
  disk.files().Arm({.at = 1, .kind = FaultKind::kIoError, .sticky = true, .syncs_only = true});
  EXPECT_THAT(store.Commit(WriteBatch().Put("users", "a", "2")),
              test::StatusIs(ErrorCode::kIoError));
  disk.files().Arm({});
  EXPECT_THAT(store.Commit(WriteBatch().Put("users", "a", "3")),
              test::StatusIs(ErrorCode::kReadOnly));
  EXPECT_EQ(test::ValueOf(store, "users", "a"), "1");
  EXPECT_EQ(test::ScanAll(store.GetView(), "users").size(), 1U);
  opened->reset();
  opened = disk.Open();
  ASSERT_OK(opened);
  // An error answer means unknown: the write may have survived.
  const std::string value = test::ValueOf(**opened, "users", "a");
  EXPECT_TRUE(value == "1" || value == "2") << value;
  ASSERT_OK((*opened)->Commit(WriteBatch().Put("users", "a", "4")));
}

}  // namespace
}  // namespace tidemark
