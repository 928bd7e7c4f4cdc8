// A process is killed at random instants inside the finish of an upload sync (case 24; the check of
// Zluri's rule Z21): after it the store holds all of the upload or nothing, over all its entities,
// and finish may be called again.
//
//   TIDEMARK_TEST_LONG=1   200 kills instead of 12
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "replication/upload.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

constexpr int kRows = 3000;
constexpr char kReady = 'R';
constexpr char kFinished = 'F';
const std::vector<std::string> kEntities = {"users", "group_users"};

std::unique_ptr<Store> OpenStore(const std::string& directory) {
  StoreOptions options;
  options.window_records = 1024;  // small beside the upload: it is merged beside commits
  options.durability = Durability::kOrder;
  auto store = Store::Open(directory, options);
  EXPECT_OK(store);
  return store.ok() ? std::move(*store) : nullptr;
}

std::string Record(int id, const std::string& value) {
  return R"({"id":)" + std::to_string(id) + R"(,"value":")" + value + R"("})";
}

/// What the child does: goes on with the sync there is, or stages one, and finishes it.
void StageAndFinish(const std::string& directory, const std::string& value, int out) {
  const auto store = OpenStore(directory);
  auto uploads = Uploads::Open(*store);
  ASSERT_OK(uploads);
  std::optional<std::string> sync = (*uploads)->active();
  if (!sync.has_value()) {
    const auto started = (*uploads)->Start();
    ASSERT_OK(started);
    sync = *started;
    for (const std::string& entity : kEntities) {
      UploadPage page{.entity = entity};
      for (int i = 0; i < kRows; ++i) {
        page.records.push_back(Record(i, value));
        if (page.records.size() < kBatchRecordsMax) continue;
        ASSERT_OK((*uploads)->PutPage(*sync, page));
        page.records.clear();
        ++page.page;
      }
    }
  }
  ASSERT_EQ(write(out, &kReady, 1), 1);
  ASSERT_OK((*uploads)->Finish(*sync));
  ASSERT_EQ(write(out, &kFinished, 1), 1);
}

// Run by the other test, in a process of its own.
TEST(UploadKillTest, DISABLED_Child) {
  const char* directory = std::getenv("TIDEMARK_KILL_DIRECTORY");
  const char* value = std::getenv("TIDEMARK_KILL_VALUE");
  const char* out = std::getenv("TIDEMARK_KILL_PIPE");
  if (directory == nullptr || value == nullptr || out == nullptr) GTEST_SKIP();
  StageAndFinish(directory, value, std::atoi(out));
}

class Child {
 public:
  Child(const std::string& directory, const std::string& value) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe(ends), 0);
    in_ = ends[0];
    EXPECT_EQ(fcntl(in_, F_SETFD, FD_CLOEXEC), 0);
    setenv("TIDEMARK_KILL_DIRECTORY", directory.c_str(), 1);
    setenv("TIDEMARK_KILL_VALUE", value.c_str(), 1);
    setenv("TIDEMARK_KILL_PIPE", std::to_string(ends[1]).c_str(), 1);
    std::string arguments[] = {"upload_kill_test",
                               "--gtest_also_run_disabled_tests",
                               "--gtest_filter=UploadKillTest.DISABLED_Child"};
    char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    EXPECT_EQ(posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    close(in_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// False if the child ended without saying it.
  bool WaitFor(char word) const {
    char read_word = 0;
    return read(in_, &read_word, 1) == 1 && read_word == word;
  }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
};

/// The values of all records; one, if the entities are of one upload.
std::set<std::string> Values(const Store& store) {
  std::set<std::string> values;
  const View view = store.GetView();
  for (const std::string& entity : kEntities) {
    int count = 0;
    RecordIterator records = view.Scan(entity);
    for (; records.Next(); ++count) {
      const std::string& value = records.value();
      values.insert(value.substr(value.find("value")));
    }
    EXPECT_OK(records.status());
    EXPECT_TRUE(count == kRows) << entity << " has " << count;
  }
  return values;
}

TEST(UploadKillTest, AKilledFinishLeavesAllOrNothingAndIsFinishedAgain) {
  const test::TempDirectory directory;
  const std::string path = (directory.path() / "store").string();
  std::chrono::steady_clock::duration whole{};
  {
    const Child child(path, "0");
    ASSERT_TRUE(child.WaitFor(kReady));
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(child.WaitFor(kFinished));
    whole = std::chrono::steady_clock::now() - start;
  }
  std::mt19937_64 random(21);
  std::set<std::string> before;
  int undone = 0;
  const int rounds = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 200 : 12;
  for (int round = 1; round <= rounds; ++round) {
    SCOPED_TRACE(round);
    {
      const Child child(path, std::to_string(round));
      ASSERT_TRUE(child.WaitFor(kReady));
      std::this_thread::sleep_for(whole * (random() % 120) / 100);
    }
    const auto store = OpenStore(path);
    ASSERT_NE(store, nullptr);
    const auto uploads = Uploads::Open(*store);
    ASSERT_OK(uploads);
    const std::set<std::string> values = Values(*store);
    ASSERT_EQ(values.size(), 1U) << "a mix of two uploads";
    const auto active = (*uploads)->active();
    if (active.has_value()) {
      EXPECT_TRUE(before.empty() || values == before) << "visible, and not finished";
      EXPECT_EQ((*uploads)->Get(*active)->state, UploadState::kStarted);
      ++undone;
    } else {
      EXPECT_NE(values, before) << "finished, and not visible";
    }
    before = values;
    std::vector<std::string> problems;
    EXPECT_OK(store->Verify([&](const std::string& problem) { problems.push_back(problem); }));
    EXPECT_TRUE(problems.empty()) << problems.front();
  }
  EXPECT_GT(undone, 0) << "no kill came in time";
}

}  // namespace
}  // namespace tidemark
