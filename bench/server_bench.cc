// W5, and what a server does over sockets: pages of 200 KB, small durable writes, one delta to many
// devices. Client and server share the process; the client is one thread, whose time is taken out
// of `server_cpu_us`, so that figure also says something on a machine that is busy with other
// things.
#include "server/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/harness.h"
#include "bench/http_load.h"
#include "bench/workload.h"
#include "server/sell_wire.h"

namespace tidemark::bench {
namespace {

constexpr size_t kManyConnections = 10'000;
// Both ends are here.
constexpr rlim_t kFiles = 2 * kManyConnections + 1000;
constexpr size_t kRecordBytes = 2000;
constexpr int kRecordsAPage = 100;  // 200 KB
constexpr uint64_t kPagesOfAStore = 20;

bool MayHaveManyFiles() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min(std::max(kFiles, limit.rlim_cur), limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= kFiles) return true;
  std::fprintf(stderr,
               "SKIPPED: 10,000 connections need %llu open files, and may have %llu\n",
               static_cast<unsigned long long>(kFiles),
               static_cast<unsigned long long>(limit.rlim_cur));
  return false;
}

double ResidentMiB() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * 4096.0 / (1024.0 * 1024.0);
}

/// A served store on a disk of its own.
class Served {
 public:
  Served() {
    server::ServerOptions options;
    options.application.data = directory_.path();
    options.application.admission.requests_per_second = 0;  // all come from this machine
    options.application.runtime.block_cache_bytes = kBlockCacheBytes;
    options.listener.port = 0;
    server_ = Require(server::Server::Start(std::move(options)), "starting a server");
    instance_ = Require(server_->application().instances().Acquire("default"), "opening");
  }

  uint16_t port() const { return server_->port(); }
  Store& store() { return instance_->store(); }

  void PutRecords(uint64_t first, uint64_t count, size_t bytes) {
    Dice dice(first);
    for (uint64_t done = 0; done < count;) {
      WriteBatch batch;
      for (; batch.size() < kBatchOperations && done < count; ++done) {
        std::string value = R"({"v":")";
        while (value.size() < bytes - 2) value += static_cast<char>('a' + dice.Below(26));
        batch.Put("record", std::to_string(first + done), value + "\"}");
      }
      Require(store().Commit(batch).status(), "filling the store");
    }
  }

 private:
  Directory directory_;
  std::unique_ptr<server::Server> server_;
  std::shared_ptr<server::Instance> instance_;
};

std::string DeviceHeaders(const std::string& device, bool as_batch) {
  return std::string(server::kDeviceHeader) + ": " + device +
         "\r\nAccept: " + std::string(as_batch ? server::kBatchType : "application/json") + "\r\n";
}

double Quantile(std::vector<double>& seconds, double share) {
  if (seconds.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(seconds.size() - 1));
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<ptrdiff_t>(at), seconds.end());
  return seconds[at];
}

/// Devices that sync once, over and over under new names: start, pages, one acknowledgement.
class Devices {
 public:
  Devices(size_t connections, int limit, bool as_batch, std::string prefix)
      : limit_(limit), as_batch_(as_batch), prefix_(std::move(prefix)), states_(connections) {}

  /// How many syncs a connection makes.
  void Allow(uint64_t syncs) { syncs_ = syncs; }

  std::string Next(size_t connection, const HttpReply* reply) {
    State& state = states_[connection];
    if (reply == nullptr) return Start(connection, state);
    switch (state.step) {
      case Step::kStart: {
        Require(reply->status == 201, "starting a session");
        const auto session = server::SessionFromJson(reply->body);
        Require(session.status(), "reading a session");
        state.queue = "/v2/sync/" + session->id + "/queues/main?limit=" + std::to_string(limit_);
        return Page(state);
      }
      case Step::kPage:
        if (reply->status == 204) return Acknowledge(state);
        Require(reply->status == 200, "reading a page");
        latencies_.push_back(reply->seconds);
        bytes_ += reply->body.size();
        Collect(*reply, state);
        return Page(state);
      case Step::kAck:
        Require(reply->status == 202, "acknowledging");
        return Start(connection, state);
    }
    return {};
  }

  std::vector<double>& latencies() { return latencies_; }
  uint64_t bytes() const { return bytes_; }

 private:
  enum class Step : uint8_t { kStart, kPage, kAck };
  struct State {
    Step step = Step::kStart;
    uint64_t begun = 0;
    std::string headers;
    std::string queue;
    std::vector<std::string> keys;
  };

  std::string Start(size_t connection, State& state) {
    if (state.begun == syncs_) {
      state.begun = 0;
      return {};
    }
    const std::string name =
        prefix_ + std::to_string(connection) + "-" + std::to_string(state.begun++);
    state.headers = DeviceHeaders(name, as_batch_);
    state.step = Step::kStart;
    state.keys.clear();
    return HttpRequest("POST", "/v2/sync/start", state.headers);
  }
  std::string Page(State& state) {
    state.step = Step::kPage;
    return HttpRequest("GET", state.queue, state.headers);
  }
  std::string Acknowledge(State& state) {
    state.step = Step::kAck;
    return HttpRequest("POST", "/v2/sync/ack", state.headers, server::WriteAckBody(state.keys));
  }
  void Collect(const HttpReply& reply, State& state) const {
    if (as_batch_) {
      state.keys.emplace_back(reply.Header(server::kPageHeader));
      return;
    }
    constexpr std::string_view kKey = "\"ack_key\":\"";
    for (size_t at = reply.body.find(kKey); at != std::string_view::npos;
         at = reply.body.find(kKey, at + 1)) {
      const size_t begin = at + kKey.size();
      state.keys.emplace_back(reply.body.substr(begin, reply.body.find('"', begin) - begin));
    }
  }

  const int limit_;
  const bool as_batch_;
  const std::string prefix_;
  uint64_t syncs_ = 1;
  std::vector<State> states_;
  std::vector<double> latencies_;
  uint64_t bytes_ = 0;
};

void Report(benchmark::State& state,
            const Spent& spent,
            double client_seconds,
            uint64_t count,
            std::vector<double>& latencies) {
  const auto counted = static_cast<double>(count);
  state.SetIterationTime(spent.seconds);
  state.counters["per_second"] = counted / spent.seconds;
  state.counters["server_cpu_us"] = (spent.cpu_seconds - client_seconds) * 1e6 / counted;
  state.counters["p50_ms"] = Quantile(latencies, 0.50) * 1e3;
  state.counters["p99_ms"] = Quantile(latencies, 0.99) * 1e3;
  state.counters["resident_mib"] = ResidentMiB();
}

/// Pages of 200 KB to devices on `connections`, with `idle` further ones that only stay.
void Pages(benchmark::State& state, size_t connections, size_t idle, bool as_batch) {
  Served served;
  served.PutRecords(0, kPagesOfAStore * kRecordsAPage, kRecordBytes);
  const HttpLoad resting(served.port(), idle);
  HttpLoad load(served.port(), connections);
  Devices devices(connections, kRecordsAPage, as_batch, "d");
  devices.Allow(std::max<uint64_t>(1, Scaled(8000) / kPagesOfAStore / connections));
  for (auto _ : state) {
    const Stopwatch watch;
    const double client = load.Run(
        connections, [&](size_t i, const HttpReply* reply) { return devices.Next(i, reply); });
    Report(state, watch.spent(), client, devices.latencies().size(), devices.latencies());
  }
}

/// One record a request, durable when it is answered.
void Writes(benchmark::State& state, size_t connections) {
  Served served;
  HttpLoad load(served.port(), connections);
  const uint64_t each = std::max<uint64_t>(1, Scaled(20'000) / connections);
  std::vector<uint64_t> done(connections);
  std::vector<double> latencies;
  for (auto _ : state) {
    const Stopwatch watch;
    const double client = load.Run(connections, [&](size_t i, const HttpReply* reply) {
      if (reply != nullptr) {
        Require(reply->status == 200, "writing");
        latencies.push_back(reply->seconds);
        if (++done[i] == each) return std::string();
      }
      const std::string line = R"({"op":"put","entity":"record","id":)" +
                               std::to_string(i * each + done[i]) +
                               R"(,"data":{"text":"a hundred bytes or so, as small writes are"}})";
      return HttpRequest("POST", "/v1/changes", "", line);
    });
    Report(state, watch.spent(), client, latencies.size(), latencies);
  }
}

/// W5: 1,000 changes, then every device syncs them.
void Delta(benchmark::State& state, size_t device_count) {
  Served served;
  served.PutRecords(0, 1000, kValueBytes);
  HttpLoad load(served.port(), device_count);
  const auto sync = [&](Devices& devices) {
    return load.Run(device_count,
                    [&](size_t i, const HttpReply* reply) { return devices.Next(i, reply); });
  };
  Devices first(device_count, 1000, true, "d");
  sync(first);
  served.PutRecords(0, 1, kValueBytes + 1);  // leaves the burst of new devices behind
  for (uint64_t i = 0; i < 1000; i += 1000) served.PutRecords(i, 1000, kValueBytes + 7);
  Devices second(device_count, 1000, true, "d");
  for (auto _ : state) {
    const Stopwatch watch;
    const double client = sync(second);
    Report(state, watch.spent(), client, device_count, second.latencies());
  }
}

void RegisterOne(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

void RegisterBenchmarks() {
  const bool many = MayHaveManyFiles();
  for (const bool as_batch : {false, true}) {
    const std::string wire = as_batch ? "batch" : "json";
    for (const size_t connections : {size_t{16}, size_t{200}}) {
      RegisterOne("SERVER_pages/" + wire + "/" + std::to_string(connections),
                  [=](benchmark::State& state) { Pages(state, connections, 0, as_batch); });
    }
    if (!many) continue;
    RegisterOne("SERVER_pages/" + wire + "/16_and_" + std::to_string(kManyConnections) + "_idle",
                [=](benchmark::State& state) { Pages(state, 16, kManyConnections, as_batch); });
  }
  for (const size_t connections : {size_t{1}, size_t{16}, size_t{200}}) {
    RegisterOne("SERVER_writes/json/" + std::to_string(connections),
                [=](benchmark::State& state) { Writes(state, connections); });
  }
  RegisterOne("W5_delta/batch/1000", [](benchmark::State& state) { Delta(state, 1000); });
  if (many) {
    RegisterOne("W5_delta/batch/10000",
                [](benchmark::State& state) { Delta(state, kManyConnections); });
  }
}

}  // namespace tidemark::bench
