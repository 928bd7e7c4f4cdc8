// A day of field work. Some tablets, offline for hours, register households: each visit is one
// write batch of a household, its members and what was handed out; some are corrected, some
// deleted, and two tablets register one and the same household. In the evening all of them sync
// with a real server over a bad network. In the end every tablet equals the server, and every
// operation has had exactly one answer.
//
//   field_day [HOUSEHOLDS [TABLETS]]      by default 300 and 10
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "examples/field/visit.h"
#include "replication/replica.h"
#include "server/http_transport.h"
#include "server/server.h"

namespace tidemark::examples {
namespace {

constexpr uint64_t kLossPercent = 5;  // of requests, and of answers
constexpr int kAttempts = 200;
const char kShared[] = "household-that-two-register";

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Require(const Status& status, std::string_view what) {
  if (status.ok()) return;
  std::fprintf(stderr, "field_day: %s: %s\n", std::string(what).c_str(), status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Require(Result<T> result, std::string_view what) {
  Require(result.status(), what);
  return std::move(result).value();
}

/// HTTP that now and then loses what was asked, or what was answered.
class BadNetwork final : public Transport {
 public:
  BadNetwork(const std::string& url, const std::string& device, uint64_t seed)
      : http_({.url = url}, device), random_(seed) {}

  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    return Ask<std::optional<SessionInfo>>([&] { return http_.Start(hello); });
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    return Ask<std::optional<Page>>([&] { return http_.Next(session, options); });
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    return Ask<AckResult>([&] { return http_.Acknowledge(device, keys); });
  }
  Result<PushResult> Push(std::string_view batch) override {
    bytes_up += batch.size();
    return Ask<PushResult>([&] { return http_.Push(batch); });
  }

  uint64_t bytes_up = 0;
  uint64_t lost = 0;

 private:
  bool Loses() {
    const bool loses = random_() % 100 < kLossPercent;
    lost += loses ? 1 : 0;
    return loses;
  }
  template <typename T, typename Call>
  Result<T> Ask(const Call& call) {
    const Status gone(ErrorCode::kUnavailable, "lost on the way");
    if (Loses()) return gone;
    Result<T> answer = call();
    if (Loses()) return gone;
    return answer;
  }

  server::HttpTransport http_;
  std::mt19937_64 random_;
};

/// What all tablets together did and moved.
struct Totals {
  std::atomic<uint64_t> operations = 0;
  std::atomic<uint64_t> json_bytes = 0;
  std::atomic<uint64_t> bytes_up = 0;
  std::atomic<uint64_t> bytes_down = 0;
  std::atomic<uint64_t> records_down = 0;
  std::atomic<uint64_t> applied = 0;
  std::atomic<uint64_t> duplicates = 0;
  std::atomic<uint64_t> conflicts = 0;
  std::atomic<uint64_t> lost = 0;
};

class Tablet {
 public:
  Tablet(std::string id, const std::filesystem::path& directory, uint64_t seed)
      : id_(std::move(id)),
        replica_(Require(Replica::Open(directory / id_, id_), "opening a tablet")),
        random_(seed) {
    replica_->Listen([this](const ReplicaChange& change) {
      ++(change.origin == ChangeOrigin::kLocal ? changes_.local : changes_.remote);
      changes_.lost += change.lost;
    });
  }

  /// What a screen would have been told to show anew.
  struct Changes {
    uint64_t local = 0;
    uint64_t remote = 0;
    uint64_t lost = 0;
  };
  const Changes& changes() const { return changes_; }

  /// Out of reach of any network.
  void Work(uint64_t households, bool registers_the_shared_one, Totals* totals) {
    for (uint64_t i = 0; i < households; ++i) {
      Register(id_ + "-h" + std::to_string(i), totals);
      const std::string household = id_ + "-h" + std::to_string(random_() % (i + 1));
      if (random_() % 100 < 8) Correct(household, i, totals);
      if (random_() % 100 < 1) Delete(household + "-t", totals);
    }
    if (registers_the_shared_one) Register(kShared, totals);
  }

  void Push(const std::string& url, uint64_t seed, Totals* totals) {
    BadNetwork network(url, id_, seed);
    Repeat("pushing", [&]() -> Status {
      const auto pushed = replica_->Push(network);
      if (!pushed.ok()) return pushed.status();
      totals->applied += pushed->count(PushOutcome::kApplied);
      totals->duplicates += pushed->count(PushOutcome::kDuplicate);
      totals->conflicts += pushed->count(PushOutcome::kConflict);
      return {};
    });
    totals->bytes_up += network.bytes_up;
    totals->lost += network.lost;
  }

  void Pull(const std::string& url, uint64_t seed, Totals* totals) {
    BadNetwork network(url, id_, seed);
    Repeat("pulling", [&]() -> Status {
      uint64_t records = 0;
      uint64_t bytes = 0;
      const auto pulled = replica_->Pull(network, [&](const PullProgress& progress) {
        records = progress.records;
        bytes = progress.bytes;
      });
      totals->records_down += records;
      totals->bytes_down += bytes;
      return pulled.status();
    });
    totals->lost += network.lost;
  }

  const std::string& id() const { return id_; }
  Replica& replica() { return *replica_; }

 private:
  void Register(const std::string& household, Totals* totals) {
    const Visit visit = RegisterHousehold(household, id_, &random_);
    Note(replica_->Write(visit.records), visit.bytes, totals);
  }
  void Correct(const std::string& household, uint64_t revision, Totals* totals) {
    const std::string value = HouseholdRecord(household, id_, random_() % 8, revision + 2);
    Note(replica_->Write(
             WriteBatch().Put("household", RecordId(household), value, ValueKind::kJson)),
         value.size(),
         totals);
  }
  void Delete(const std::string& task, Totals* totals) {
    Note(replica_->Write(WriteBatch().Delete("task", RecordId(task))), 0, totals);
  }
  static void Note(const Result<LocalWriteResult>& written, uint64_t bytes, Totals* totals) {
    Require(written.status(), "writing offline");
    totals->operations += written->applied;
    totals->json_bytes += bytes;
  }
  template <typename Act>
  static void Repeat(std::string_view what, const Act& act) {
    Status last;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      last = act();
      if (last.ok()) return;
      if (last.code() != ErrorCode::kUnavailable) break;
    }
    Require(last, what);
  }

  const std::string id_;
  const std::unique_ptr<Replica> replica_;
  std::mt19937_64 random_;
  Changes changes_;  // one thread at a time works with a tablet
};

std::map<std::string, std::string> ContentsOf(const Store& store) {
  std::map<std::string, std::string> contents;
  const View view = store.GetView();
  for (const EntityInfo& info : store.ListEntities()) {
    RecordIterator records = view.Scan(info.name, ScanOptions{});
    while (records.Next()) contents[info.name + "/" + records.id()] = records.value();
    Require(records.status(), "reading");
  }
  return contents;
}

void ForEach(std::vector<std::unique_ptr<Tablet>>& tablets,
             const std::function<void(Tablet&, uint64_t)>& act) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < tablets.size(); ++i) {
    threads.emplace_back([&, i] { act(*tablets[i], i); });
  }
  for (std::thread& thread : threads) thread.join();
}

void DeclareEntities(Store& store) {
  EntityDeclaration member;
  member.references = {{.field = "householdClientReferenceId", .entity = "household"},
                       {.field = "individualClientReferenceId", .entity = "individual"}};
  member.reference_policy = ReferencePolicy::kStrict;
  for (const char* name : {"household", "individual", "task"}) {
    Require(store.Declare(name, {}).status(), "declaring");
  }
  Require(store.Declare("household_member", member).status(), "declaring");
}

/// A tablet that was never there before: how long until its first record can be read.
void ReportFirstRow(const std::filesystem::path& directory, const std::string& url) {
  Tablet late("late", directory, 1);
  server::HttpTransport network({.url = url}, late.id());
  const double begin = Now();
  double first = 0;
  const auto pulled = late.replica().Pull(network, [&](const PullProgress&) {
    if (first == 0) first = Now() - begin;
  });
  Require(pulled.status(), "pulling everything");
  std::printf(
      "a new tablet     first page readable after %.0f ms, all of %llu records after %.2f s\n",
      first * 1000,
      static_cast<unsigned long long>(pulled->created),
      Now() - begin);
}

void Report(const Totals& totals, double offline, double up, double down) {
  const auto number = [](const std::atomic<uint64_t>& count) {
    return static_cast<unsigned long long>(count.load());
  };
  const auto rate = [](const std::atomic<uint64_t>& count, double seconds) {
    return static_cast<double>(count.load()) / seconds;
  };
  std::printf("written offline  %llu operations, %.0f a second over all tablets\n",
              number(totals.operations),
              rate(totals.operations, offline));
  std::printf(
      "up               %.0f operations a second; %llu bytes, resends included, of %llu as JSON\n",
      rate(totals.operations, up),
      number(totals.bytes_up),
      number(totals.json_bytes));
  std::printf("down             %.0f records a second; %llu records, %llu bytes\n",
              rate(totals.records_down, down),
              number(totals.records_down),
              number(totals.bytes_down));
  std::printf("network          %llu messages lost; %llu operations answered twice\n",
              number(totals.lost),
              number(totals.duplicates));
  std::printf("conflicts        %llu\n", number(totals.conflicts));
}

void ReportChanges(const std::vector<std::unique_ptr<Tablet>>& tablets) {
  Tablet::Changes all;
  for (const auto& tablet : tablets) {
    all.local += tablet->changes().local;
    all.remote += tablet->changes().remote;
    all.lost += tablet->changes().lost;
  }
  std::printf(
      "screens          told of %llu changes made there and %llu made elsewhere, %llu lost\n",
      static_cast<unsigned long long>(all.local),
      static_cast<unsigned long long>(all.remote),
      static_cast<unsigned long long>(all.lost));
}

int Run(uint64_t households, uint64_t count) {
  std::string name = std::filesystem::temp_directory_path() / "tidemark-field-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    std::perror("field_day");
    return 1;
  }
  const std::filesystem::path directory = name;
  server::ServerOptions options;
  options.application.data = directory / "server";
  options.application.admission.requests_per_second = 0;  // all come from this machine
  options.listener.port = 0;
  auto server = Require(server::Server::Start(std::move(options)), "starting the server");
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port());
  auto instance = Require(server->application().instances().Acquire("default"), "opening");
  DeclareEntities(instance->store());

  std::vector<std::unique_ptr<Tablet>> tablets;
  for (uint64_t i = 0; i < count; ++i) {
    tablets.push_back(std::make_unique<Tablet>("tablet-" + std::to_string(i), directory, i));
  }
  Totals totals;
  const double morning = Now();
  ForEach(tablets, [&](Tablet& tablet, uint64_t i) {
    tablet.Work(households / count, /*registers_the_shared_one=*/i < 2, &totals);
  });
  const double evening = Now();
  ForEach(tablets, [&](Tablet& tablet, uint64_t i) { tablet.Push(url, 100 + i, &totals); });
  const double pushed = Now();
  ForEach(tablets, [&](Tablet& tablet, uint64_t i) { tablet.Pull(url, 200 + i, &totals); });
  const double pulled = Now();
  Report(totals, evening - morning, pushed - evening, pulled - pushed);
  ReportChanges(tablets);
  ReportFirstRow(directory, url);

  int differ = 0;
  const auto there = ContentsOf(instance->store());
  for (const auto& tablet : tablets) {
    const bool equal = ContentsOf(tablet->replica().store()) == there;
    const OutboxStatus outbox = tablet->replica().outbox();
    if (!equal || outbox.pending > 0) {
      ++differ;
      std::printf("%s differs from the server\n", tablet->id().c_str());
    }
  }
  std::printf("%llu records at the server; %s\n",
              static_cast<unsigned long long>(there.size()),
              differ == 0 ? "every tablet equals it" : "NOT EQUAL");
  tablets.clear();
  instance.reset();
  server->Stop();
  server.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return differ == 0 ? 0 : 1;
}

uint64_t NumberOr(int argc, char** argv, int index, uint64_t otherwise) {
  if (argc <= index) return otherwise;
  const uint64_t number = std::strtoull(argv[index], nullptr, 10);
  return number == 0 ? otherwise : number;
}

}  // namespace
}  // namespace tidemark::examples

int main(int argc, char** argv) {
  const uint64_t tablets = tidemark::examples::NumberOr(argc, argv, 2, 10);
  return tidemark::examples::Run(tidemark::examples::NumberOr(argc, argv, 1, 300), tablets);
}
