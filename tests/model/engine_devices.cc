#include "tests/model/engine_devices.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "replication/internal/outbox_entry.h"
#include "tests/model/engine_choices.h"
#include "tests/support/status_matchers.h"

namespace tidemark::model {
namespace {

constexpr int kRoundsMax = 6;

}  // namespace

ModelDevice::ModelDevice(std::string id, EngineWorld& world, std::mt19937_64& random)
    : id_(std::move(id)), world_(world), random_(random) {
  world_.Add(id_);
}

void ModelDevice::CheckSettled() {
  if (!world_.AtRest(id_) || changed_) return;
  ++settled_;
  DeviceMap held = Contents();
  DeviceMap right = world_.judge(id_).AtCut();
  std::set<RecordKey> own = world_.judge(id_).written();
  own.merge(Waiting());
  for (const RecordKey& key : own) {
    held.erase(key);
    right.erase(key);
  }
  EXPECT_EQ(held, right) << id_ << " settled and differs from its cut";
}

void ScriptedDevice::Step() {
  switch (Below(16)) {
    case 0:
    case 1:
      return Start();
    case 2:
    case 3:
    case 4:
    case 5:
      return Read();
    case 6:
    case 7:
    case 8:
      return Apply();
    case 9:
    case 10:
    case 11:
      return Acknowledge();
    case 12:  // a page is lost
      if (!arriving_.empty()) arriving_.pop_back();
      return;
    case 13:
      if (!OneIn(6)) return;
      map_.clear();
      wiped_ = true;
      changed_ = true;
      return;
    case 14:
      if (OneIn(3)) return Flicker();
      return Sync(1 + Below(8));
    default:
      return Sync(1 + Below(8));
  }
}

/// What the device has is revoked, told deleted, and granted again, with nothing settled in
/// between.
void ScriptedDevice::Flicker() {
  const PlainSelection before = world_.judge(id_).granted();
  world_.Grant(id_, PlainSelection{std::set<std::string>{}, {}});
  Start();
  Read();
  Apply();
  if (OneIn(2)) Acknowledge();
  world_.Grant(id_, before);
  Start();
  Read();
  Apply();
}

void ScriptedDevice::Start() {
  // Contract 15: what was not applied by now is dropped.
  arriving_.clear();
  if (OneIn(5)) limit_ = OneIn(2) ? PlainSelection() : AnySelection(world_, random_);
  const auto answer = world_.Start({.device = id_, .fresh = wiped_}, limit_);
  if (!answer.ok()) return;
  wiped_ = false;
  changed_ = false;
  if (!answer->has_value()) return CheckSettled();
  if ((*answer)->reset) map_.clear();
  sessions_.push_back((*answer)->id);
}

void ScriptedDevice::Read() {
  if (sessions_.empty()) return Start();
  // Another worker may still believe in an older session.
  const std::string session = OneIn(10) ? sessions_[Below(sessions_.size())] : sessions_.back();
  const auto page = world_.Next(id_, session, {.records_max = 1 + Below(5), .queue = AnyQueue()});
  if (!page.ok()) return;
  if (page->has_value()) return arriving_.push_back(**page);
  CheckSettled();  // a session without instructions settles when it is read to its end
}

/// One that a worker may ask for, whether the session has it or not.
std::string ScriptedDevice::AnyQueue() {
  const std::vector<PlainQueue>& queues = world_.queues();
  if (queues.empty() || OneIn(3)) return OneIn(20) ? "nowhere" : std::string(kMainQueue);
  return queues[Below(queues.size())].name;
}

void ScriptedDevice::Apply() {
  if (arriving_.empty() || wiped_) return;
  const size_t which = Below(arriving_.size());
  const Page page = std::move(arriving_[which]);
  arriving_.erase(arriving_.begin() + static_cast<ptrdiff_t>(which));
  const auto rows = BatchView::Parse(page.bytes, BatchKind::kPage);
  ASSERT_OK(rows);
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    const RecordKey key{std::string(rows->entity_name(row.entity)), std::string(row.id)};
    if (row.op == RowOp::kDelete) {
      map_.erase(key);
    } else {
      map_[key] = std::string(row.value);
    }
  }
  applied_.push_back(page.token);
  if (OneIn(3)) {
    for (std::string& key : world_.judge(id_).AckKeysOfPage(page.token)) {
      owing_.push_back(std::move(key));
    }
  } else {
    owing_.push_back(page.token);
  }
}

void ScriptedDevice::Acknowledge() {
  std::shuffle(owing_.begin(), owing_.end(), random_);
  std::vector<std::string> keys;
  for (size_t count = Below(owing_.size() + 1); count > 0; --count) {
    if (!OneIn(12)) keys.push_back(owing_.back());  // else it is never acknowledged
    owing_.pop_back();
  }
  if (!keys.empty() && OneIn(4)) keys.push_back(keys.front());
  if (!applied_.empty() && OneIn(3)) keys.push_back(applied_[Below(applied_.size())]);
  if (OneIn(8)) keys.insert(keys.begin(), "neither a token nor a key");
  if (keys.empty()) return;
  const bool is_lost = OneIn(8);
  if (is_lost) return;
  EXPECT_OK(world_.Acknowledge(id_, keys));
  CheckSettled();
}

void ScriptedDevice::Sync(size_t records_max) {
  Start();
  if (sessions_.empty()) return;
  // Some queue first, as far as it is there, then all the rest: an old client asks for no other.
  for (const std::string& queue : {AnyQueue(), std::string(kMainQueue)}) {
    while (true) {
      const auto page =
          world_.Next(id_, sessions_.back(), {.records_max = records_max, .queue = queue}, limit_);
      if (!page.ok() || !page->has_value()) break;
      arriving_.push_back(**page);
    }
  }
  while (!arriving_.empty()) Apply();
  if (owing_.empty()) return;
  EXPECT_OK(world_.Acknowledge(id_, owing_));
  owing_.clear();
  CheckSettled();
}

void ScriptedDevice::Converge() {
  for (int round = 0; round < kRoundsMax; ++round) {
    Sync(kPageRecordsDefault);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(map_, world_.judge(id_).Now()) << id_;
  EXPECT_TRUE(world_.AtRest(id_)) << id_;
}

/// Everything goes through the world, which judges it.
class ReplicaDevice::Network final : public Transport {
 public:
  Network(ReplicaDevice& device, uint64_t faults_one_in)
      : device_(device), faults_one_in_(faults_one_in) {}

  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    if (Fails()) return Unavailable();
    auto answer = device_.world_.Start(hello);
    device_.changed_ = false;
    if (Fails()) return Unavailable();
    return answer;
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    if (Fails()) return Unavailable();
    auto answer = device_.world_.Next(device_.id_, std::string(session), options);
    if (Fails()) return Unavailable();
    return answer;
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    if (Fails()) return Unavailable();
    auto answer = device_.world_.Acknowledge(std::string(device), keys);
    if (Fails()) return Unavailable();
    return answer;
  }
  Result<PushResult> Push(std::string_view batch) override {
    if (Fails()) return Unavailable();
    auto answer = device_.world_.Push(device_.id_, batch);
    if (Fails()) return Unavailable();
    return answer;
  }

 private:
  bool Fails() { return faults_one_in_ > 0 && device_.OneIn(faults_one_in_); }
  static Status Unavailable() { return {ErrorCode::kUnavailable, "the network failed"}; }

  ReplicaDevice& device_;
  const uint64_t faults_one_in_;
};

ReplicaDevice::ReplicaDevice(std::string id, EngineWorld& world, std::mt19937_64& random)
    : ModelDevice(std::move(id), world, random) {
  options_.page.records_max = 1 + Below(6);
  options_.pages_per_ack = 1 + Below(3);
  options_.store.window_records = 1 + Below(24);
  Open();
}

ReplicaDevice::~ReplicaDevice() = default;

void ReplicaDevice::Open() {
  replica_.reset();
  auto replica = Replica::Open(directory_.path() / "replica", id_, options_, ModelRuntime());
  ASSERT_OK(replica);
  replica_ = std::move(*replica);
}

void ReplicaDevice::Pull(uint64_t faults_one_in) {
  Network network(*this, faults_one_in);
  const auto pulled = replica_->Pull(network);
  if (!pulled.ok()) {
    EXPECT_EQ(pulled.status().code(), ErrorCode::kUnavailable) << pulled.status().ToString();
    EXPECT_GT(faults_one_in, 0U);
    return;
  }
  CheckSettled();
}

void ReplicaDevice::Push(uint64_t faults_one_in) {
  Network network(*this, faults_one_in);
  const auto pushed = replica_->Push(network);
  if (pushed.ok()) return;
  EXPECT_EQ(pushed.status().code(), ErrorCode::kUnavailable) << pushed.status().ToString();
  EXPECT_GT(faults_one_in, 0U);
}

void ReplicaDevice::Write() {
  WriteBatch batch;
  for (uint64_t count = 1 + Below(3); count > 0; --count) {
    const std::string& entity = kEntityNames[Below(kEntityNames.size())];
    const std::string id = "id" + std::to_string(Below(6));
    const uint64_t which = Below(3 * 4 * 3);
    const std::string value = ValueOf(which);
    const auto known = replica_->store().FindEntity(entity);
    const EntityKind kind = known.has_value() ? known->declaration.kind : world_.KindOf(entity);
    if (kind == EntityKind::kIncremental) {
      batch.Append(entity, RecordId(id + "-own" + std::to_string(which)), value, ValueKind::kJson);
    } else if (OneIn(3)) {
      batch.Delete(entity, RecordId(id));
    } else {
      batch.Put(entity, RecordId(id), value, ValueKind::kJson);
    }
  }
  EXPECT_OK(replica_->Write(batch, {.replace = OneIn(3)}));
}

// Somebody looks after what failed.
void ReplicaDevice::TendOutbox() {
  std::vector<uint64_t> numbers;
  RecordIterator rows = replica_->store().GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) numbers.push_back(std::strtoull(rows.id().c_str(), nullptr, 10));
  EXPECT_OK(rows.status());
  if (numbers.empty()) return;
  const uint64_t number = numbers[Below(numbers.size())];
  const Status tended =
      OneIn(2) ? replica_->RetryOperation(number) : replica_->DropOperation(number);
  EXPECT_TRUE(tended.ok() || tended.code() == ErrorCode::kNotFound ||
              tended.code() == ErrorCode::kBusy || tended.code() == ErrorCode::kConflict)
      << tended.ToString();
}

std::set<RecordKey> ReplicaDevice::Waiting() {
  std::set<RecordKey> waiting;
  RecordIterator rows = replica_->store().GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) {
    const auto operation = internal::DecodeOperation(rows.value());
    EXPECT_OK(operation);
    if (operation->state == OperationState::kPending) {
      waiting.insert({operation->entity, operation->id.text()});
    }
  }
  EXPECT_EQ(waiting.size(), replica_->outbox().records);
  return waiting;
}

void ReplicaDevice::Step() {
  switch (Below(12)) {
    case 0:
      return Open();
    case 1:
    case 2:
      return Pull(0);
    case 3:
    case 4:
      return Pull(2 + Below(8));
    case 5:
    case 6:
    case 7:
      return Write();
    case 8:
      return Push(0);
    case 9:
      return Push(2 + Below(4));
    case 10:
      return TendOutbox();
    default:
      return;
  }
}

DeviceMap ReplicaDevice::Contents() {
  DeviceMap found;
  const View view = replica_->store().GetView();
  for (const EntityInfo& info : replica_->store().ListEntities()) {
    RecordIterator records = view.Scan(info.name, ScanOptions{});
    while (records.Next()) found[{info.name, records.id()}] = records.value();
    EXPECT_OK(records.status());
  }
  return found;
}

void ReplicaDevice::Converge() {
  for (int round = 0; round < 3; ++round) {
    Push(0);
    Pull(0);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(replica_->outbox().pending, 0U) << "an operation has no outcome";
  EXPECT_EQ(replica_->outbox().records, 0U);
  EXPECT_EQ(Contents(), world_.judge(id_).Now()) << id_;
  for (const auto& [key, value] : Contents()) {
    EXPECT_EQ(replica_->store().FindEntity(key.first)->declaration.kind, world_.KindOf(key.first))
        << id_ << " " << key.first;
  }
}

}  // namespace tidemark::model
