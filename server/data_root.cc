#include "server/data_root.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "format/record.h"
#include "server/internal/private_file.h"

namespace tidemark::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "instance-";
constexpr std::string_view kHexadecimal = "0123456789ABCDEF";

bool StandsForItself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

std::string DecodeFolder(std::string_view text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 2 >= text.size()) {
      name += text[i];
      continue;
    }
    const size_t high = kHexadecimal.find(text[i + 1]);
    const size_t low = kHexadecimal.find(text[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return {};
    name += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return name;
}

}  // namespace

std::string InstanceFolder(std::string_view instance) {
  std::string folder(kPrefix);
  for (const char c : instance) {
    if (StandsForItself(c)) {
      folder += c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    folder += '%';
    folder += kHexadecimal[byte >> 4U];
    folder += kHexadecimal[byte & 15U];
  }
  return folder;
}

std::optional<std::string> InstanceOfFolder(std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return {};
  std::string name = DecodeFolder(folder.substr(kPrefix.size()));
  // Only what this program would write: another spelling would be a second folder of the instance.
  if (!CheckName(name).ok() || InstanceFolder(name) != folder) return {};
  return name;
}

Result<fs::path> InstancePath(const std::string& root, const std::string& instance) {
  if (root.empty()) {
    return Status(ErrorCode::kInvalidArgument,
                  "no data root: give --data DIR, or set TIDEMARK_DATA");
  }
  if (Status status = CheckName(instance); !status.ok()) {
    return status.WithContext("instance \"" + instance + "\"");
  }
  return fs::path(root) / InstanceFolder(instance);
}

Result<std::unique_ptr<Store>> OpenInstance(const std::string& root,
                                            const std::string& instance,
                                            Access access,
                                            StoreOptions store_options) {
  TIDEMARK_ASSIGN_OR_RETURN(const fs::path path, InstancePath(root, instance));
  std::error_code error;
  const bool exists = fs::is_directory(path, error);
  if (access == Access::kCreate) {
    if (!exists) TIDEMARK_RETURN_IF_ERROR(CreateDirectories(path));
  } else if (!exists) {
    return Status(ErrorCode::kNotFound, root + " has no instance \"" + instance + "\"");
  }
  store_options.read_only = access == Access::kRead;
  store_options.create_if_missing = access == Access::kCreate;
  return Store::Open(path, store_options);
}

Result<std::vector<std::string>> ListInstances(const std::string& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    auto name = InstanceOfFolder(it->path().filename().string());
    if (name) names.push_back(std::move(*name));
  }
  if (error) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    return Status(missing ? ErrorCode::kNotFound : ErrorCode::kIoError,
                  root + ": " + error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct ServingLock::Held {
  FileLock lock;
};

ServingLock::ServingLock(std::unique_ptr<Held> held) : held_(std::move(held)) {}
ServingLock::~ServingLock() = default;
ServingLock::ServingLock(ServingLock&& other) noexcept = default;

Result<ServingLock> ServingLock::Take(const fs::path& root) {
  auto lock = FileLock::TryTake(root / "serve.lock");
  if (lock.status().code() == ErrorCode::kBusy) {
    return Status(ErrorCode::kBusy, "another server serves " + root.string());
  }
  TIDEMARK_RETURN_IF_ERROR(lock.status());
  return ServingLock(std::make_unique<Held>(Held{std::move(*lock)}));
}

Status CreateDirectories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error) return {};
  const bool full = error == std::errc::no_space_on_device;
  return {full ? ErrorCode::kDiskFull : ErrorCode::kIoError,
          "creating " + directory.string() + ": " + error.message()};
}

}  // namespace tidemark::server
