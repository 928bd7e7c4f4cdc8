// doctor: what could go wrong with a data root and the machine it is on.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "replication/source.h"
#include "replication/upload.h"
#include "tools/command.h"
#include "tools/data_root.h"

namespace tidemark::tools {
namespace {

constexpr uint64_t kFreeBytesLow = 1024ULL * 1024 * 1024;
constexpr uint64_t kFreeBytesFailing = 64ULL * 1024 * 1024;
constexpr double kFreeShareLow = 0.05;
constexpr uint64_t kOpenFilesLow = 4096;
constexpr uint64_t kHeldDeletionsHigh = 1'000'000;
constexpr uint64_t kLagHigh = 10'000'000;

enum class Verdict : uint8_t { kOk, kWarning, kProblem };

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      return "problem";
  }
  return "";
}

// Collects findings; the first problem becomes the answer of the command.
class Findings {
 public:
  explicit Findings(Output& output) : rows_(output, {"check", "verdict", "detail"}) {}

  void Add(std::string_view check, Verdict verdict, const std::string& detail) {
    rows_.Add({check, VerdictName(verdict), detail});
  }
  void AddProblem(std::string_view check, const Status& status) {
    Add(check, Verdict::kProblem, status.ToString());
    if (answer_.ok()) answer_ = status.WithContext(check);
  }
  Status Finish() {
    rows_.Finish();
    return answer_;
  }

 private:
  Rows rows_;
  Status answer_;
};

std::string FileSystemName(uint64_t magic) {
  constexpr std::array<std::pair<uint64_t, std::string_view>, 9> kNames = {{{0xEF53, "ext4"},
                                                                            {0x58465342, "xfs"},
                                                                            {0x9123683E, "btrfs"},
                                                                            {0x2FC12FC1, "zfs"},
                                                                            {0x01021994, "tmpfs"},
                                                                            {0x794C7630, "overlay"},
                                                                            {0x6969, "nfs"},
                                                                            {0xFF534D42, "cifs"},
                                                                            {0x65735546, "fuse"}}};
  for (const auto& [known, name] : kNames) {
    if (known == magic) return std::string(name);
  }
  return fmt::format("type {:#x}", magic);
}

// The nearest folder above `path` that exists.
std::filesystem::path Existing(std::filesystem::path path) {
  std::error_code error;
  path = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  return path;
}

void CheckDisk(const std::filesystem::path& path, Findings& findings) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) {
    findings.AddProblem("free disk", {ErrorCode::kIoError, std::strerror(errno)});
    return;
  }
  const uint64_t unit = info.f_frsize;
  const uint64_t free = unit * info.f_bavail;
  const uint64_t total = unit * info.f_blocks;
  const double share = total == 0 ? 1.0 : static_cast<double>(free) / static_cast<double>(total);
  const std::string detail = fmt::format("{} of {} free", FormatBytes(free), FormatBytes(total));
  if (free < kFreeBytesFailing) {
    findings.AddProblem("free disk", {ErrorCode::kDiskFull, detail});
  } else {
    const bool low = free < kFreeBytesLow || share < kFreeShareLow;
    findings.Add("free disk", low ? Verdict::kWarning : Verdict::kOk, detail);
  }
  const bool inodes_low = info.f_files > 0 && info.f_favail < 1000;
  if (inodes_low) {
    findings.Add("free inodes", Verdict::kWarning, fmt::format("{} left", info.f_favail));
  }
}

void CheckFileSystem(const std::filesystem::path& path, Findings& findings) {
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return;
  const std::string name = FileSystemName(static_cast<uint64_t>(info.f_type) & 0xFFFFFFFFU);
  const bool network = name == "nfs" || name == "cifs" || name == "fuse";
  const bool volatile_memory = name == "tmpfs";
  std::string detail = name;
  if (network) detail += "; locks and syncs of a network file system cannot be relied on";
  if (volatile_memory) detail += "; its contents do not survive the machine";
  findings.Add(
      "file system", network || volatile_memory ? Verdict::kWarning : Verdict::kOk, detail);
}

void CheckWritable(const std::filesystem::path& path, Findings& findings) {
  if (access(path.c_str(), W_OK) == 0) {
    findings.Add("data root", Verdict::kOk, path.string());
  } else {
    findings.AddProblem("data root",
                        {ErrorCode::kIoError, path.string() + ": " + std::strerror(errno)});
  }
}

void CheckOpenFiles(Findings& findings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const bool unlimited = limit.rlim_cur == RLIM_INFINITY;
  const bool low = !unlimited && limit.rlim_cur < kOpenFilesLow;
  findings.Add("open files",
               low ? Verdict::kWarning : Verdict::kOk,
               unlimited ? "no limit"
                         : fmt::format("{} allowed{}",
                                       limit.rlim_cur,
                                       low ? fmt::format(", {} advised", kOpenFilesLow) : ""));
}

std::string ShortHex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 8)) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

void CheckDevices(Store& store, Findings& findings) {
  const auto source = Source::Open(store);
  if (!source.ok()) return findings.AddProblem("devices", source.status());
  uint64_t holding = 0;
  uint64_t lag_max = 0;
  std::string last_id;
  const std::vector<DeviceInfo> devices = (*source)->ListDevices();
  for (const DeviceInfo& device : devices) {
    if (device.forgotten) continue;
    holding = std::max(holding, device.holding);
    const uint64_t lag =
        device.floor < store.last_sequence() ? store.last_sequence() - device.floor : 0;
    if (lag >= lag_max) {
      lag_max = lag;
      last_id = device.id;
    }
  }
  const bool behind = lag_max > kLagHigh;
  findings.Add("device lag",
               behind ? Verdict::kWarning : Verdict::kOk,
               devices.empty() ? "no devices"
                               : fmt::format("{} devices; the last is {}, {} behind",
                                             devices.size(),
                                             last_id,
                                             FormatCount(lag_max)));
  const bool held = holding > kHeldDeletionsHigh;
  findings.Add("held back",
               held ? Verdict::kWarning : Verdict::kOk,
               fmt::format("{} deletions are kept, up to {} for one device",
                           FormatCount(store.Statistics().tombstones),
                           FormatCount(holding)));
}

void CheckUploads(Store& store, Findings& findings) {
  const auto uploads = Uploads::Open(store);
  if (!uploads.ok()) return findings.AddProblem("uploads", uploads.status());
  const std::optional<std::string> active = (*uploads)->active();
  findings.Add("uploads",
               active ? Verdict::kWarning : Verdict::kOk,
               active ? "sync " + *active + " is active; resume or abort it if its uploader died"
                      : "none is active");
}

void CheckStore(Context& context, Findings& findings) {
  const auto opened = OpenInstance(context.globals, Access::kRead);
  const std::string check = "store " + context.globals.instance;
  if (!opened.ok()) {
    if (opened.status().code() == ErrorCode::kNotFound) {
      return findings.Add(check, Verdict::kWarning, opened.status().message());
    }
    return findings.AddProblem(check, opened.status());
  }
  Store& store = **opened;
  const StoreIdentity& identity = store.identity();
  findings.Add(check,
               Verdict::kOk,
               fmt::format("identity {}, epoch {}, {} records",
                           ShortHex(identity.id),
                           identity.epochs.empty() ? 0 : identity.epochs.back().ordinal,
                           FormatCount(store.Statistics().records)));
  if (!std::filesystem::exists(store.directory() / "GUARD")) {
    findings.Add(
        "guard",
        Verdict::kWarning,
        "the guard file is missing: nothing shows that every write acknowledged is there, and "
        "the next start begins a new epoch");
  } else {
    findings.Add("guard",
                 Verdict::kOk,
                 fmt::format("every write acknowledged is there, through {}",
                             FormatCount(store.last_sequence().value())));
  }
  CheckDevices(store, findings);
  CheckUploads(store, findings);
}

Status RunDoctor(Context& context, const NoOptions& /*options*/) {
  TIDEMARK_RETURN_IF_ERROR(InstancePath(context.globals.data, context.globals.instance).status());
  Findings findings(context.output);
  const std::filesystem::path root = Existing(context.globals.data);
  CheckWritable(root, findings);
  CheckDisk(root, findings);
  CheckFileSystem(root, findings);
  CheckOpenFiles(findings);
  CheckStore(context, findings);
  return findings.Finish();
}

}  // namespace

void AddDoctorCommand(CommandTable& table) {
  table.Add<NoOptions>({"doctor",
                        "Check the machine, the data root and one instance",
                        "  tidemark doctor --data ./data\n"
                        "  tidemark doctor --data ./data --instance north --output json\n"},
                       &DeclareNothing,
                       &RunDoctor);
}

}  // namespace tidemark::tools
