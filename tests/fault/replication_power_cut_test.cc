// The power of a source fails at the n-th call that changes a file, for many n, while devices are
// served. After that: what was acknowledged stays acknowledged, what may have been applied and is
// gone is told to be deleted, labels are right, and the device ends up equal (cases 24 and 26).
//
//   TIDEMARK_TEST_LONG=1   every call instead of every 7th
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "replication/source.h"
#include "tests/model/engine_oracle.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using model::CommonSelection;
using model::DeviceOracle;
using model::RecordKey;
using model::RecordMap;
using model::ToldRow;
using test::CrashMode;
using test::FaultFileSystem;
using test::FaultKind;

constexpr int kSteps = 60;
const char kDevice[] = "tablet";

/// A device on the other side of the network, and all that is known of it there.
struct Outside {
  std::map<RecordKey, std::string> map;
  DeviceOracle certain;   // with the acknowledgements that were answered
  DeviceOracle possible;  // and with one that was not
  std::string session;
  std::vector<std::pair<std::string, std::vector<ToldRow>>> unacknowledged;  // by token
  bool page_in_flight = false;  // a page was asked for and never arrived
};

class Server {
 public:
  Server() : files_(std::make_shared<FaultFileSystem>(directory_ / "disk")) {}

  FaultFileSystem& files() { return *files_; }

  Status Open() {
    auto runtime = internal::CreateRuntime(
        {.block_cache_bytes = 1024 * 1024, .background_threads = 1}, test::NewFaultEnv(files_));
    if (!runtime.ok()) return runtime.status();
    auto store = Store::Open(
        directory_.path() / "disk" / "store", {.window_records = 8}, std::move(*runtime));
    if (!store.ok()) return store.status();
    store_ = std::move(*store);
    auto source = Source::Open(*store_);
    if (!source.ok()) return source.status();
    source_ = std::move(*source);
    return {};
  }
  void Close() {
    source_.reset();
    store_.reset();
  }

  /// One step of the script; an error ends it.
  Status Step(int step, Outside* device);
  /// A whole sync; checks every instruction.
  void SyncAndCheck(Outside* device);

  Store& store() { return *store_; }
  Source& source() { return *source_; }
  RecordMap Live() const;

 private:
  Status Write(int step);
  Status Start(Outside* device);
  Status Read(Outside* device);
  Status Acknowledge(Outside* device);

  test::TempDirectory directory_;
  std::shared_ptr<FaultFileSystem> files_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
};

RecordMap Server::Live() const {
  RecordMap live;
  const View view = store_->GetView();
  for (const EntityInfo& info : store_->ListEntities()) {
    RecordIterator records = view.Scan(info.name, ScanOptions{});
    while (records.Next()) {
      const Record& record = records.record();
      live[{info.name, record.id}] = {record.birth, record.version, record.value};
    }
    EXPECT_OK(records.status());
  }
  return live;
}

Status Server::Write(int step) {
  WriteBatch batch;
  const std::string number = std::to_string(step);
  batch.Put("users", "u" + std::to_string(step % 7), "user " + number);
  batch.Put("visits", "v" + std::to_string(step % 3), "visit " + number);
  if (step % 2 == 0) batch.Delete("users", "u" + std::to_string((step + 3) % 7));
  if (step % 5 == 0) batch.Delete("visits", "v" + std::to_string((step + 1) % 3));
  return store_->Commit(batch, {.sync = step % 3 == 0}).status();
}

Status Server::Start(Outside* device) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto session, source_->StartSession({.device = kDevice}));
  EXPECT_FALSE(session.has_value() && (*session).reset) << "nothing calls for a reset";
  if (session.has_value()) device->session = session->id;
  return {};
}

Status Server::Read(Outside* device) {
  device->page_in_flight = true;
  const auto page = source_->NextPage(device->session, {.records_max = 3});
  if (!page.ok()) return page.status();
  device->page_in_flight = false;
  if (!page->has_value()) return {};
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView rows,
                            BatchView::Parse((*page)->bytes, BatchKind::kPage));
  const BatchHeader header = rows.header();
  std::vector<ToldRow> told;
  for (size_t i = 0; i < rows.size(); ++i) {
    const BatchRow row = rows.row(i);
    const RecordKey key{std::string(rows.entity_name(row.entity)), std::string(row.id)};
    told.push_back({key, header.session, header.page, row.op, row.birth, row.sequence});
    device->certain.HandOut(told.back());
    device->possible.HandOut(told.back());
    if (row.op == RowOp::kDelete) {
      device->map.erase(key);
    } else {
      device->map[key] = std::string(row.value);
    }
  }
  device->unacknowledged.emplace_back((*page)->token, std::move(told));
  return {};
}

Status Server::Acknowledge(Outside* device) {
  if (device->unacknowledged.empty()) return {};
  const auto [token, told] = device->unacknowledged.back();
  device->unacknowledged.pop_back();
  for (const ToldRow& row : told) device->possible.Acknowledge(row);
  const auto result = source_->Acknowledge(kDevice, {token});
  if (!result.ok()) return result.status();
  for (const ToldRow& row : told) device->certain.Acknowledge(row);
  return {};
}

Status Server::Step(int step, Outside* device) {
  switch (step % 6) {
    case 0:
    case 3:
      TIDEMARK_RETURN_IF_ERROR(Write(step));
      return step % 4 == 0 ? source_->Purge().status() : Status();
    case 1:
      return Start(device);
    case 2:
    case 4:
      if (device->session.empty()) return {};
      TIDEMARK_RETURN_IF_ERROR(Read(device));
      return step % 4 == 0 ? Acknowledge(device) : Status();
    default:
      TIDEMARK_RETURN_IF_ERROR(Acknowledge(device));
      return step % 24 == 23 ? store_->Compact() : Status();
  }
}

void Server::SyncAndCheck(Outside* device) {
  const CommonSelection everything;
  const RecordMap live = Live();
  const auto session = source_->StartSession({.device = kDevice});
  ASSERT_OK(session);
  if (session->has_value()) {
    EXPECT_FALSE((*session)->reset);
    while (true) {
      const auto page = source_->NextPage((*session)->id, {.records_max = 3});
      ASSERT_OK(page);
      if (!page->has_value()) break;
      const auto rows = BatchView::Parse((*page)->bytes, BatchKind::kPage);
      ASSERT_OK(rows);
      for (size_t i = 0; i < rows->size(); ++i) {
        const BatchRow row = rows->row(i);
        const RecordKey key{std::string(rows->entity_name(row.entity)), std::string(row.id)};
        const auto found = live.find(key);
        const auto* state = found == live.end() ? nullptr : &found->second;
        const auto certain = device->certain.Owed(key, state, everything);
        const auto possible = device->possible.Owed(key, state, everything);
        const bool is_allowed =
            row.op == certain || row.op == possible ||
            (row.op == RowOp::kDelete && state == nullptr && device->page_in_flight);
        EXPECT_TRUE(is_allowed) << key.first << "/" << key.second << ": told op "
                                << static_cast<int>(row.op);
        if (row.op == RowOp::kDelete) {
          device->map.erase(key);
        } else {
          device->map[key] = std::string(row.value);
        }
      }
      ASSERT_OK(source_->Acknowledge(kDevice, {(*page)->token}));
    }
  }
  std::map<RecordKey, std::string> expected;
  for (const auto& [key, state] : live) expected[key] = state.value;
  EXPECT_EQ(device->map, expected);
  EXPECT_EQ(source_->GetDevice(kDevice)->owed, 0U);
  ASSERT_OK(source_->Purge());
  EXPECT_EQ(store_->Statistics().tombstones, 0U);
}

/// The number of calls that the whole script makes.
uint64_t CountCalls() {
  Server server;
  Outside device;
  EXPECT_OK(server.Open());
  server.files().Arm({});
  for (int step = 0; step < kSteps; ++step) EXPECT_OK(server.Step(step, &device));
  const uint64_t calls = server.files().calls();
  server.SyncAndCheck(&device);
  server.Close();
  return calls;
}

TEST(ReplicationPowerCutTest, Case24PowerCutAtManyCalls) {
  const uint64_t stride = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 1 : 7;
  const uint64_t calls = CountCalls();
  ASSERT_GT(calls, 50U);
  for (uint64_t at = 1; at <= calls && !HasFailure(); at += stride) {
    SCOPED_TRACE("power cut at call " + std::to_string(at));
    Server server;
    Outside device;
    ASSERT_OK(server.Open());
    server.files().Arm({.at = at, .kind = FaultKind::kPowerCut});
    for (int step = 0; step < kSteps; ++step) {
      if (!server.Step(step, &device).ok()) break;
    }
    server.Close();
    const CrashMode modes[] = {CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix};
    server.files().Crash(modes[at % 3], at);
    ASSERT_OK(server.Open());
    server.SyncAndCheck(&device);
    server.Close();
  }
}

}  // namespace
}  // namespace tidemark
