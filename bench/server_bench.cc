// W5, and what a server does over sockets: pages of 200 KB, small durable writes, idle and waiting
// connections, one delta to many devices. The server is a process on one core, its client, one
// thread, is on the other.
#include "server/server.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/child_process.h"
#include "bench/floor_http.h"
#include "bench/harness.h"
#include "bench/http_load.h"
#include "bench/workload.h"
#include "server/sell_wire.h"

namespace tidemark::bench {
namespace {

constexpr size_t kManyConnections = 10'000;
constexpr uint64_t kFiles = kManyConnections + 1000;  // of either process
constexpr size_t kRecordBytes = 2000;
constexpr int kRecordsAPage = 100;  // 200 KB
constexpr uint64_t kPagesOfAStore = 50;
constexpr size_t kDeltaRecords = 1000;
constexpr size_t kAtOnce = 500;  // a server takes 1,000 requests at once

void PutRecords(Store& store, uint64_t count, size_t bytes) {
  Dice dice(1);
  for (uint64_t done = 0; done < count;) {
    WriteBatch batch;
    for (; batch.size() < kBatchOperations && done < count; ++done) {
      std::string value = R"({"v":")";
      while (value.size() < bytes - 2) value += static_cast<char>('a' + dice.Below(26));
      batch.Put("record", std::to_string(done), value + "\"}", ValueKind::kJson);
    }
    Require(store.Commit(batch).status(), "filling the store");
  }
}

/// A served store on a disk of its own, in a process of its own.
class Served {
 public:
  /// With as many records of so many bytes.
  Served(uint64_t records, size_t bytes)
      : process_([this, records, bytes](const auto& ready) { Serve(records, bytes, ready); }) {}

  uint16_t port() const { return process_.port(); }
  const ChildProcess& process() const { return process_; }

 private:
  void Serve(uint64_t records, size_t bytes, const std::function<void(uint16_t port)>& ready) {
    server::ServerOptions options;
    options.application.data = directory_.path();
    options.application.admission.requests_per_second = 0;  // all come from this machine
    options.application.runtime.block_cache_bytes = kBlockCacheBytes;
    options.listener.port = 0;
    auto server = Require(server::Server::Start(std::move(options)), "starting a server");
    {
      auto instance = Require(server->application().instances().Acquire("default"), "opening");
      PutRecords(instance->store(), records, bytes);
    }
    ready(server->port());
  }

  Directory directory_;
  ChildProcess process_;
};

/// What the server spent since this began.
class ServerWatch {
 public:
  explicit ServerWatch(const ChildProcess& process)
      : process_(process), cpu_begin_(process.CpuSeconds()) {}

  double seconds() const { return watch_.spent().seconds; }
  double cpu_seconds() const { return process_.CpuSeconds() - cpu_begin_; }
  const ChildProcess& process() const { return process_; }

 private:
  const ChildProcess& process_;
  const double cpu_begin_;
  Stopwatch watch_;
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
        bytes_ += reply->body_bytes;
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
            const ServerWatch& watch,
            uint64_t count,
            std::vector<double>& latencies) {
  const auto counted = static_cast<double>(count);
  const double seconds = watch.seconds();
  state.SetIterationTime(seconds);
  state.counters["per_second"] = counted / seconds;
  state.counters["each_us"] = seconds * 1e6 / counted;
  state.counters["server_cpu_us"] = watch.cpu_seconds() * 1e6 / counted;
  state.counters["p50_ms"] = Quantile(latencies, 0.50) * 1e3;
  state.counters["p99_ms"] = Quantile(latencies, 0.99) * 1e3;
  state.counters["resident_mib"] = watch.process().ResidentMiB();
}

/// Pages of 200 KB to devices on `connections`, with `idle` further ones that only stay.
void Pages(benchmark::State& state, size_t connections, size_t idle, bool as_batch) {
  const Served served(kPagesOfAStore * kRecordsAPage, kRecordBytes);
  const HttpLoad resting(served.port(), idle);
  HttpLoad load(served.port(), connections, as_batch ? LongBodies::kCounted : LongBodies::kKept);
  Devices devices(connections, kRecordsAPage, as_batch, "d");
  devices.Allow(
      std::max<uint64_t>(1, Scaled(as_batch ? 10'000 : 2000) / kPagesOfAStore / connections));
  for (auto _ : state) {
    const ServerWatch watch(served.process());
    load.Run(
        connections,
        [&](size_t i, const HttpReply* reply) { return devices.Next(i, reply); },
        kAtOnce);
    Report(state, watch, devices.latencies().size(), devices.latencies());
  }
}

void FloorPages(benchmark::State& state, size_t connections) {
  const ChildProcess server(
      [](const auto& ready) { ServeFixedBodies(kRecordBytes * kRecordsAPage, ready); });
  HttpLoad load(server.port(), connections, LongBodies::kCounted);
  const uint64_t each = std::max<uint64_t>(1, Scaled(10'000) / connections);
  std::vector<uint64_t> done(connections);
  std::vector<double> latencies;
  for (auto _ : state) {
    const ServerWatch watch(server);
    load.Run(
        connections,
        [&](size_t i, const HttpReply* reply) {
          if (reply != nullptr) {
            latencies.push_back(reply->seconds);
            if (++done[i] == each) return std::string();
          }
          return HttpRequest("GET", "/", "");
        },
        kAtOnce);
    Report(state, watch, latencies.size(), latencies);
  }
}

/// One record a request, durable when it is answered.
void Writes(benchmark::State& state, size_t connections) {
  const Served served(0, 0);
  HttpLoad load(served.port(), connections);
  const uint64_t each =
      std::max<uint64_t>(1, Scaled(connections < 16 ? 2000 : 20'000) / connections);
  std::vector<uint64_t> done(connections);
  std::vector<double> latencies;
  for (auto _ : state) {
    const ServerWatch watch(served.process());
    load.Run(
        connections,
        [&](size_t i, const HttpReply* reply) {
          if (reply != nullptr) {
            Require(reply->status == 200, "writing");
            latencies.push_back(reply->seconds);
            if (++done[i] == each) return std::string();
          }
          const std::string line =
              R"({"op":"put","entity":"record","id":)" + std::to_string(i * each + done[i]) +
              R"(,"data":{"text":"a hundred bytes or so, as small writes are"}})";
          return HttpRequest("POST", "/v1/changes", "", line);
        },
        kAtOnce);
    Report(state, watch, latencies.size(), latencies);
  }
}

/// A request a connection, all of them answered with `status`.
void AskOnce(HttpLoad& load, size_t connections, int status, const std::string& request) {
  load.Run(
      connections,
      [&](size_t, const HttpReply* reply) {
        if (reply == nullptr) return request;
        Require(reply->status == status, "asking");
        return std::string();
      },
      kAtOnce);
}

/// What a connection costs the server that was used once and then only stays.
void Idle(benchmark::State& state) {
  const Served served(0, 0);
  for (auto _ : state) {
    const double before = served.process().ResidentMiB();
    const ServerWatch watch(served.process());
    HttpLoad load(served.port(), kManyConnections);
    AskOnce(load, kManyConnections, 200, HttpRequest("GET", "/v1/entities", ""));
    state.SetIterationTime(watch.seconds());
    const double resident = served.process().ResidentMiB();
    state.counters["resident_mib"] = resident;
    state.counters["each_kib"] = (resident - before) * 1024.0 / kManyConnections;
  }
}

/// Devices that wait until they are owed something, and then are, all of them.
void Waiting(benchmark::State& state) {
  const Served served(0, 0);
  HttpLoad load(served.port(), kManyConnections);
  HttpLoad writer(served.port(), 1);
  const std::string change = R"({"op":"put","entity":"record","id":1,"data":{"text":"news"}})";
  for (auto _ : state) {
    const double before = served.process().ResidentMiB();
    for (size_t first = 0; first < kManyConnections; first += kAtOnce) {
      load.Begin(first, first + kAtOnce, [](size_t i, const HttpReply*) {
        return HttpRequest(
            "POST", "/v2/sync/start?wait=60", DeviceHeaders("d" + std::to_string(i), true));
      });
      // Answered in turn: those before it have been heard.
      AskOnce(writer, 1, 200, HttpRequest("GET", "/v1/entities", ""));
    }
    const double resident = served.process().ResidentMiB();
    const ServerWatch watch(served.process());
    AskOnce(writer, 1, 200, HttpRequest("POST", "/v1/changes", "", change));
    std::vector<double> latencies;
    load.Wait([&](size_t, const HttpReply* reply) {
      Require(reply->status == 201, "waking");
      latencies.push_back(watch.seconds());
      return std::string();
    });
    Report(state, watch, latencies.size(), latencies);
    state.counters["resident_mib"] = resident;
    state.counters["each_kib"] = (resident - before) * 1024.0 / kManyConnections;
  }
}

/// W5: 1,000 changes, then every device syncs them.
void Delta(benchmark::State& state, size_t device_count) {
  const Served served(kDeltaRecords, kValueBytes);
  HttpLoad load(served.port(), device_count, LongBodies::kCounted);
  const auto sync = [&](Devices& devices) {
    load.Run(
        device_count,
        [&](size_t i, const HttpReply* reply) { return devices.Next(i, reply); },
        kAtOnce);
  };
  Devices first(device_count, kDeltaRecords, true, "d");
  sync(first);
  std::string changes;
  const std::string text(kValueBytes, 'c');
  for (size_t i = 0; i < kDeltaRecords; ++i) {
    changes.append(R"({"op":"put","entity":"record","id":)").append(std::to_string(i));
    changes.append(R"(,"data":{"v":")").append(text).append("\"}}\n");
  }
  HttpLoad writer(served.port(), 1);
  AskOnce(writer, 1, 200, HttpRequest("POST", "/v1/changes", "", changes));
  Devices second(device_count, kDeltaRecords, true, "d");
  for (auto _ : state) {
    const ServerWatch watch(served.process());
    sync(second);
    Report(state, watch, device_count, second.latencies());
  }
}

void RegisterOne(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void RegisterManyConnections() {
  const std::string idle = "16_and_" + std::to_string(kManyConnections) + "_idle";
  for (const bool as_batch : {false, true}) {
    RegisterOne((as_batch ? "SERVER_pages_batch/engine/" : "SERVER_pages_json/engine/") + idle,
                [=](benchmark::State& state) { Pages(state, 16, kManyConnections, as_batch); });
  }
  RegisterOne("SERVER_connections/engine/idle", Idle);
  RegisterOne("SERVER_connections/engine/waiting", Waiting);
  RegisterOne("W5_delta/engine/10000",
              [](benchmark::State& state) { Delta(state, kManyConnections); });
}

}  // namespace

void RegisterBenchmarks() {
  StayOn(kClientCore);
  for (const size_t connections : {size_t{16}, size_t{200}}) {
    const std::string name = std::to_string(connections);
    RegisterOne("SERVER_pages_batch/floor/" + name,
                [=](benchmark::State& state) { FloorPages(state, connections); });
    RegisterOne("SERVER_pages_batch/engine/" + name,
                [=](benchmark::State& state) { Pages(state, connections, 0, true); });
    RegisterOne("SERVER_pages_json/engine/" + name,
                [=](benchmark::State& state) { Pages(state, connections, 0, false); });
  }
  for (const size_t connections : {size_t{1}, size_t{16}, size_t{200}}) {
    RegisterOne("SERVER_writes/engine/" + std::to_string(connections),
                [=](benchmark::State& state) { Writes(state, connections); });
  }
  RegisterOne("W5_delta/engine/1000", [](benchmark::State& state) { Delta(state, 1000); });
  if (AllowFiles(kFiles)) return RegisterManyConnections();
  std::fprintf(
      stderr, "SKIPPED: 10,000 connections need %d open files\n", static_cast<int>(kFiles));
}

}  // namespace tidemark::bench
