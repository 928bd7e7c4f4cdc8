// Everything at once against one server over real sockets: many devices sync while writers write,
// connections break, readers are slow and others idle. At the end every device holds what the store
// holds. Runs for TIDEMARK_SOAK_SECONDS, an hour with TIDEMARK_TEST_LONG=1, else a minute, and then
// at a pace that leaves the processors to the tests beside it.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "db/store.h"
#include "format/batch.h"
#include "format/json.h"
#include "server/sell_wire.h"
#include "server/server.h"
#include "tests/support/raw_http.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server::test {
namespace {

using tidemark::test::RawConnection;
using tidemark::test::RawResponse;
using Clock = std::chrono::steady_clock;

constexpr size_t kDevices = 2000;
constexpr size_t kDeviceThreads = 8;
constexpr size_t kWriters = 2;
constexpr size_t kIdle = 300;
constexpr size_t kSlow = 20;
constexpr int kRecords = 150;
constexpr std::chrono::milliseconds kPause{20};
// Both ends of every connection, and what the store has open.
constexpr rlim_t kFiles = 2 * (kDevices + kIdle + 2 * kSlow + kWriters) + 1000;

bool IsLong() {
  const char* is_long = std::getenv("TIDEMARK_TEST_LONG");
  return is_long != nullptr && is_long == std::string_view("1");
}

std::chrono::seconds Duration() {
  const char* seconds = std::getenv("TIDEMARK_SOAK_SECONDS");
  if (seconds != nullptr) return std::chrono::seconds(std::atoi(seconds));
  return std::chrono::seconds(IsLong() ? 3600 : 60);
}

bool RaiseFileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= kFiles) return true;
  limit.rlim_cur = std::min(std::max(kFiles, limit.rlim_cur), limit.rlim_max);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= kFiles;
}

std::string RequestText(std::string_view method,
                        std::string_view path,
                        std::string_view device,
                        bool as_batch,
                        std::string_view body = {}) {
  std::string text(method);
  text.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n");
  text.append(kDeviceHeader).append(": ").append(device).append("\r\nAccept: ");
  text.append(as_batch ? kBatchType : "application/json").append("\r\nContent-Length: ");
  text.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return text;
}

// "entity/id" -> value
using Content = std::map<std::string, std::string>;

/// A device: a map, a connection that may break, and one of the two wires.
class Device {
 public:
  Device(uint16_t port, std::string name, bool as_batch)
      : port_(port), name_(std::move(name)), as_batch_(as_batch) {}

  /// One whole sync, or what of it goes before the connection breaks. True when nothing was owed.
  bool Sync(std::mt19937& random) {
    const auto started = Ask("POST", "/v2/sync/start");
    if (!started) return false;
    if (started->status == 204) return true;
    if (started->status != 201) return Fail(*started);
    const auto session = SessionFromJson(started->body);
    EXPECT_OK(session);
    while (const auto page = Ask("GET", "/v2/sync/" + session->id + "/queues/main?limit=100")) {
      if (page->status == 204) return false;
      if (page->status != 200) return Fail(*page);
      const std::vector<std::string> keys = as_batch_ ? ApplyBatch(*page) : ApplyJson(page->body);
      if (random() % 20 == 0) connection_.reset();  // applied, and never acknowledged
      if (random() % 50 == 0) return false;
      const auto acked = Ask("POST", "/v2/sync/ack", WriteAckBody(keys));
      if (acked && acked->status != 202) return Fail(*acked);
    }
    return false;
  }

  const Content& content() const { return content_; }
  const std::string& name() const { return name_; }

 private:
  std::optional<RawResponse> Ask(std::string_view method,
                                 std::string_view path,
                                 std::string_view body = {}) {
    if (connection_ == nullptr) connection_ = std::make_unique<RawConnection>(port_);
    auto response = connection_->Exchange(RequestText(method, path, name_, as_batch_, body));
    if (!response || response->closed) connection_.reset();
    return response;
  }

  static bool Fail(const RawResponse& response) {
    // Too many at once is told; nothing else goes wrong.
    EXPECT_EQ(response.status, 503) << response.body;
    return false;
  }

  std::vector<std::string> ApplyBatch(const RawResponse& page) {
    const auto batch = BatchView::Parse(page.body, BatchKind::kPage);
    EXPECT_OK(batch);
    for (size_t i = 0; batch.ok() && i < batch->size(); ++i) {
      const BatchRow row = batch->row(i);
      const std::string key =
          std::string(batch->entity_name(row.entity)) + "/" + std::string(row.id);
      if (row.op == RowOp::kDelete) {
        content_.erase(key);
      } else {
        content_[key] = row.value;
      }
    }
    return {page.headers.at("x-tidemark-page")};
  }

  std::vector<std::string> ApplyJson(const std::string& body) {
    std::vector<std::string> keys;
    const auto page = ReadJsonFields(body, {"items"});
    EXPECT_OK(page);
    const auto items = ReadJsonArray(page->front()->text);
    EXPECT_OK(items);
    for (const JsonField& item : *items) {
      const auto parts = *ReadJsonFields(item.text, {"data", "meta"});
      const auto meta = *ReadJsonFields(parts[1]->text, {"type", "id", "sync"});
      const auto sync = *ReadJsonFields(meta[2]->text, {"event_type", "ack_key"});
      const std::string key = meta[0]->text + "/" + meta[1]->text;
      if (sync[0]->text == "deleted") {
        content_.erase(key);
      } else {
        content_[key] = parts[0]->text;
      }
      keys.push_back(sync[1]->text);
    }
    return keys;
  }

  const uint16_t port_;
  const std::string name_;
  const bool as_batch_;
  std::unique_ptr<RawConnection> connection_;
  Content content_;
};

/// Puts and deletes records of two entities in small batches until it is told to stop.
void WriteUntil(const std::atomic<bool>& stop, uint16_t port, unsigned seed) {
  std::mt19937 random(seed);
  RawConnection connection(port);
  for (uint64_t version = 1; !stop; ++version) {
    std::string lines;
    for (unsigned i = 0; i < 1 + random() % 10; ++i) {
      const std::string id = std::to_string(random() % kRecords);
      const std::string entity = random() % 2 == 0 ? "lead" : "contact";
      if (random() % 4 == 0) {
        lines += R"({"op":"delete","entity":")" + entity + R"(","id":)" + id + "}\n";
      } else {
        lines += R"({"op":"put","entity":")" + entity + R"(","id":)" + id + R"(,"data":{"id":)" +
                 id + R"(,"v":)" + std::to_string(version) + R"(,"by":)" + std::to_string(seed) +
                 "}}\n";
      }
    }
    const auto written = connection.Exchange(RequestText("POST", "/v1/changes", "w", false, lines));
    ASSERT_TRUE(written.has_value());
    ASSERT_EQ(written->status, 200) << written->body;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Content ContentOf(Store& store) {
  Content content;
  for (const char* entity : {"lead", "contact"}) {
    RecordIterator records = store.GetView().Scan(entity);
    while (records.Next()) {
      content[entity + ("/" + records.id())] = records.value();
    }
    EXPECT_OK(records.status());
  }
  return content;
}

class SoakTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RaiseFileLimit()) {
      GTEST_SKIP() << "SKIPPED: the soak needs " << kFiles << " open files, and may not have them";
    }
    ServerOptions options;
    options.application.data = directory_.path();
    options.application.admission.requests_per_second = 0;  // all come from this machine
    options.listener.port = 0;
    options.listener.workers = 8;
    options.upkeep_period = std::chrono::seconds(1);
    auto server = Server::Start(options);
    ASSERT_OK(server);
    server_ = std::move(*server);
    for (size_t i = 0; i < kDevices; ++i) {
      devices_.push_back(
          std::make_unique<Device>(server_->port(), "d" + std::to_string(i), i % 5 != 0));
    }
  }

  /// Each thread has its share of the devices.
  template <typename Work>
  void ForAllDevices(const Work& work) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kDeviceThreads; ++t) {
      threads.emplace_back([this, t, &work] {
        std::mt19937 random(static_cast<unsigned>(t));
        std::vector<Device*> share;
        for (size_t i = t; i < kDevices; i += kDeviceThreads) share.push_back(devices_[i].get());
        work(share, random);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  tidemark::test::TempDirectory directory_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Device>> devices_;
};

TEST_F(SoakTest, EveryDeviceConverges) {
  const uint16_t port = server_->port();
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (size_t i = 0; i < kIdle; ++i) idle.push_back(std::make_unique<RawConnection>(port));
  // Who asks and does not read: for the live feed, and for pages.
  std::vector<std::unique_ptr<RawConnection>> slow;
  for (size_t i = 0; i < kSlow; ++i) {
    slow.push_back(std::make_unique<RawConnection>(port));
    slow.back()->Send(
        "GET /v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    slow.push_back(std::make_unique<RawConnection>(port));
    for (int asked = 0; asked < 20; ++asked) {
      slow.back()->Send("GET /v1/changes?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
  }

  std::atomic<bool> stop = false;
  std::vector<std::thread> writers;
  for (size_t i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] { WriteUntil(stop, port, static_cast<unsigned>(i)); });
  }
  const auto end = Clock::now() + Duration();
  std::atomic<uint64_t> syncs = 0;
  ForAllDevices([&](const std::vector<Device*>& share, std::mt19937& random) {
    while (Clock::now() < end) {
      share[random() % share.size()]->Sync(random);
      ++syncs;
      if (!IsLong()) std::this_thread::sleep_for(kPause);
    }
  });
  stop = true;
  for (std::thread& writer : writers) writer.join();

  // Writers rest: each device drains what it is owed.
  ForAllDevices([](const std::vector<Device*>& share, std::mt19937& random) {
    for (Device* device : share) {
      bool drained = false;
      for (int i = 0; i < 100 && !drained; ++i) drained = device->Sync(random);
      EXPECT_TRUE(drained) << device->name();
    }
  });
  const auto instance = server_->application().instances().Acquire("default");
  ASSERT_OK(instance);
  const Content expected = ContentOf((*instance)->store());
  EXPECT_FALSE(expected.empty());
  size_t differing = 0;
  for (const auto& device : devices_) {
    if (device->content() != expected) ++differing;
  }
  EXPECT_EQ(differing, 0U) << "of " << kDevices;
  std::printf("%lu syncs\n", static_cast<unsigned long>(syncs.load()));
}

}  // namespace
}  // namespace tidemark::server::test
