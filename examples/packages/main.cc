// The main job on real input: a machine's package index and package log are uploaded, two devices
// sync in full (one of them over a bad line, killed and restarted), the data changes, and the
// devices sync the difference. Ends by proving that both replicas equal the store.
//
//   package_sync --work DIR --index FILE... --update FILE... --log FILE...
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "db/store.h"
#include "examples/packages/debian_input.h"
#include "examples/packages/pipe.h"
#include "replication/replica.h"
#include "replication/source.h"
#include "replication/upload.h"

// NOLINTNEXTLINE(readability-identifier-naming, readability-redundant-declaration): POSIX names it
extern char** environ;

namespace tidemark::examples {
namespace {

constexpr char kPackages[] = "packages";
constexpr char kEvents[] = "package_events";
constexpr int kDeviceAttempts = 500;

struct Arguments {
  std::filesystem::path work;
  std::vector<std::filesystem::path> index;
  std::vector<std::filesystem::path> update;
  std::vector<std::filesystem::path> log;
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::string Megabytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

void Step(const std::string& title) {
  std::cout << "\n== " << title << "\n" << std::flush;
}

/// Packages of all files, the later file's version of a name winning, as one upload sync.
Status Upload(Uploads& uploads,
              const std::vector<std::filesystem::path>& index,
              const std::vector<std::filesystem::path>& logs) {
  const Stopwatch watch;
  TIDEMARK_ASSIGN_OR_RETURN(const std::string sync, uploads.Start());
  uint64_t records = 0;
  std::map<std::string, UploadPage> filling;
  filling[kPackages] = {.entity = kPackages, .kind = EntityKind::kSnapshot};
  filling[kEvents] = {.entity = kEvents, .kind = EntityKind::kIncremental};
  Status failed;
  const auto flush = [&](UploadPage& page) {
    if (!failed.ok() || page.records.empty()) return;
    const auto put = uploads.PutPage(sync, page);
    if (!put.ok()) failed = put.status();
    page.records.clear();
    ++page.page;
  };
  const auto add = [&](const char* entity) {
    return [&, entity](std::string json) {
      UploadPage& page = filling[entity];
      page.records.push_back(std::move(json));
      ++records;
      if (page.records.size() == kBatchRecordsMax) flush(page);
    };
  };
  for (const auto& file : index) TIDEMARK_RETURN_IF_ERROR(ReadPackageIndex(file, add(kPackages)));
  for (const auto& file : logs) TIDEMARK_RETURN_IF_ERROR(ReadPackageLog(file, add(kEvents)));
  for (auto& [name, page] : filling) flush(page);
  TIDEMARK_RETURN_IF_ERROR(failed);
  const double staged = watch.seconds();
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, uploads.Finish(sync));
  std::printf("uploaded %lu records in %.1f s, finished in %.1f s: %s\n",
              static_cast<unsigned long>(records),
              staged,
              watch.seconds() - staged,
              std::string(UploadStateName(info.state)).c_str());
  for (const auto& [entity, counts] : info.entities) {
    const ReplaceCounts& c = counts.counts;
    std::printf("  %-16s created %lu, updated %lu, deleted %lu, unchanged %lu, appended %lu\n",
                entity.c_str(),
                static_cast<unsigned long>(c.created),
                static_cast<unsigned long>(c.updated),
                static_cast<unsigned long>(c.deleted),
                static_cast<unsigned long>(c.unchanged),
                static_cast<unsigned long>(c.appended));
  }
  return {};
}

/// Starts `self` as a device in a process of its own; `*socket` leads to it.
Result<pid_t> StartDevice(const std::string& self,
                          const std::filesystem::path& replica,
                          const std::string& device,
                          int* socket) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    return {ErrorCode::kIoError, "no socket pair"};
  }
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const std::string fd = std::to_string(ends[1]);
  std::vector<std::string> words = {self, "--device", device, replica.string(), fd};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawn(&child, self.c_str(), nullptr, nullptr, arguments.data(), environ);
  close(ends[1]);
  if (failed != 0) {
    close(ends[0]);
    return {ErrorCode::kIoError, "cannot start " + self};
  }
  *socket = ends[0];
  return child;
}

/// How bad the line is.
struct Line {
  double lost_requests = 0;
  double lost_answers = 0;
  int kills = 0;  ///< how often the device is killed in the middle of a page
};

/// Lets a device sync until nothing is owed.
Result<Traffic> SyncDevice(const std::string& self,
                           Source& source,
                           const std::filesystem::path& replica,
                           const std::string& device,
                           const Line& line) {
  Traffic traffic;
  std::mt19937 random(7);
  std::uniform_real_distribution<double> chance(0, 1);
  for (int life = 0;; ++life) {
    int socket = -1;
    TIDEMARK_ASSIGN_OR_RETURN(const pid_t child, StartDevice(self, replica, device, &socket));
    const bool doomed = life < line.kills;
    int messages_left = doomed ? 10 + static_cast<int>(random() % 20) : -1;
    const auto fate = [&](char) {
      if (messages_left > 0 && --messages_left == 0) kill(child, SIGKILL);
      const double at = chance(random);
      if (at < line.lost_requests) return Fate::kRequestLost;
      if (at < line.lost_requests + line.lost_answers) return Fate::kAnswerLost;
      return Fate::kDelivered;
    };
    const Status served = ServePipe(socket, source, fate, &traffic);
    close(socket);
    int outcome = 0;
    waitpid(child, &outcome, 0);
    TIDEMARK_RETURN_IF_ERROR(served);
    if (WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0) return traffic;
    if (life > line.kills + 3) return {ErrorCode::kInternal, "the device gives up"};
  }
}

/// The device's process: pulls until nothing is owed, whatever is lost on the way.
int RunDevice(const std::string& device, const std::filesystem::path& directory, int socket) {
  PipeTransport transport(socket);
  auto replica = Replica::Open(directory, device);
  if (!replica.ok()) {
    std::cerr << device << ": " << replica.status().ToString() << "\n";
    return 1;
  }
  for (int attempt = 0; attempt < kDeviceAttempts; ++attempt) {
    const auto pulled = (*replica)->Pull(transport);
    if (pulled.ok() && pulled->nothing_owed) return (*replica)->store().Close().ok() ? 0 : 1;
    if (!pulled.ok() && pulled.status().code() != ErrorCode::kUnavailable) {
      std::cerr << device << ": " << pulled.status().ToString() << "\n";
      return 1;
    }
  }
  return 2;
}

/// Compares every record of every entity, byte for byte.
Result<uint64_t> CompareStores(const Store& left, const Store& right) {
  uint64_t compared = 0;
  const View left_view = left.GetView();
  const View right_view = right.GetView();
  for (const char* entity : {kPackages, kEvents}) {
    RecordIterator a = left_view.Scan(entity);
    RecordIterator b = right_view.Scan(entity);
    while (true) {
      const bool more = a.Next();
      if (more != b.Next()) return {ErrorCode::kDataLoss, std::string(entity) + " differs"};
      if (!more) break;
      if (a.id() != b.id() || a.value() != b.value()) {
        return {ErrorCode::kDataLoss, std::string(entity) + " " + a.id() + " differs"};
      }
      ++compared;
    }
    TIDEMARK_RETURN_IF_ERROR(a.status());
    TIDEMARK_RETURN_IF_ERROR(b.status());
  }
  return compared;
}

struct Round {
  std::string device;
  Traffic traffic;
  double seconds = 0;
};

Status SyncBoth(const std::string& self,
                Source& source,
                const std::filesystem::path& work,
                int kills,
                std::vector<Round>* rounds) {
  const std::vector<std::pair<std::string, Line>> devices = {
      {"tablet (good line)", {}},
      {"phone (bad line)", {.lost_requests = 0.05, .lost_answers = 0.1, .kills = kills}},
  };
  for (const auto& [device, line] : devices) {
    const Stopwatch watch;
    TIDEMARK_ASSIGN_OR_RETURN(
        const Traffic traffic,
        SyncDevice(self, source, work / "replicas" / device.substr(0, 5), device, line));
    rounds->push_back({device, traffic, watch.seconds()});
    std::printf("  %-20s %8lu instructions in %4lu pages, %10s, %.2f s%s\n",
                device.c_str(),
                static_cast<unsigned long>(traffic.instructions),
                static_cast<unsigned long>(traffic.pages),
                Megabytes(traffic.bytes).c_str(),
                watch.seconds(),
                traffic.lost == 0 ? ""
                                  : (", " + std::to_string(traffic.lost) +
                                     " messages lost, killed " + std::to_string(kills) + " times")
                                        .c_str());
  }
  return {};
}

Status Run(const std::string& self, const Arguments& arguments) {
  std::filesystem::remove_all(arguments.work);
  std::filesystem::create_directories(arguments.work / "replicas");
  std::filesystem::create_directories(arguments.work / "data");
  TIDEMARK_ASSIGN_OR_RETURN(const auto store,
                            Store::Open(arguments.work / "data" / "instance-default"));
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, Uploads::Open(*store));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, Source::Open(*store));

  Step("1. The package index and the package log of this machine become a store");
  TIDEMARK_RETURN_IF_ERROR(Upload(*uploads, arguments.index, arguments.log));

  Step("2. Two devices sync in full");
  std::vector<Round> full;
  TIDEMARK_RETURN_IF_ERROR(SyncBoth(self, *source, arguments.work, 3, &full));

  Step("3. The data changes: security and other updates are folded in");
  std::vector<std::filesystem::path> updated = arguments.index;
  updated.insert(updated.end(), arguments.update.begin(), arguments.update.end());
  TIDEMARK_RETURN_IF_ERROR(Upload(*uploads, updated, {}));

  Step("4. The devices sync the difference");
  std::vector<Round> delta;
  TIDEMARK_RETURN_IF_ERROR(SyncBoth(self, *source, arguments.work, 0, &delta));

  Step("5. Beside a naive full resend");
  const Traffic& naive = full[0].traffic;  // what the good line carried: each record once
  for (const Round& round : delta) {
    const Traffic& sent = round.traffic;
    std::printf("  %-20s %lu instructions instead of %lu, %s instead of %s: %.1f %%\n",
                round.device.c_str(),
                static_cast<unsigned long>(sent.instructions),
                static_cast<unsigned long>(naive.instructions),
                Megabytes(sent.bytes).c_str(),
                Megabytes(naive.bytes).c_str(),
                100.0 * static_cast<double>(sent.bytes) / static_cast<double>(naive.bytes));
  }

  Step("6. Both replicas equal the store, byte for byte");
  for (const Round& round : delta) {
    const auto replica = Store::Open(arguments.work / "replicas" / round.device.substr(0, 5),
                                     StoreOptions{.read_only = true});
    if (!replica.ok()) return replica.status();
    TIDEMARK_ASSIGN_OR_RETURN(const uint64_t compared, CompareStores(*store, **replica));
    std::printf("  %-20s %lu records compared, all equal\n",
                round.device.c_str(),
                static_cast<unsigned long>(compared));
  }
  return store->Close();
}

Arguments Parse(int count, char** words) {
  Arguments arguments;
  std::string option;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word.starts_with("--")) {
      option = word;
    } else if (option == "--work") {
      arguments.work = word;
    } else if (option == "--index") {
      arguments.index.emplace_back(word);
    } else if (option == "--update") {
      arguments.update.emplace_back(word);
    } else if (option == "--log") {
      arguments.log.emplace_back(word);
    }
  }
  return arguments;
}

}  // namespace
}  // namespace tidemark::examples

int main(int argc, char** argv) {
  using tidemark::examples::Parse;
  if (argc == 5 && std::string(argv[1]) == "--device") {
    return tidemark::examples::RunDevice(argv[2], argv[3], std::stoi(argv[4]));
  }
  const auto arguments = Parse(argc, argv);
  if (arguments.work.empty() || arguments.index.empty()) {
    std::cerr << "usage: package_sync --work DIR --index FILE... --update FILE... --log FILE...\n";
    return 2;
  }
  const tidemark::Status ran = tidemark::examples::Run("/proc/self/exe", arguments);
  if (ran.ok()) return 0;
  std::cerr << ran.ToString() << "\n" << tidemark::GetErrorInfo(ran.code()).advice << "\n";
  return tidemark::GetErrorInfo(ran.code()).exit_code;
}
