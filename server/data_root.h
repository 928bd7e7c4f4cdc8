// A data root holds one folder for each instance, each a store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/options.h"
#include "db/store.h"
#include "format/status.h"

namespace tidemark::server {

/// The folder of an instance: a fixed prefix, so that no name is special to a file system, and
/// lower case letters, digits and `-` as they are; everything else as `%` and two hexadecimal
/// digits, so that names differing in case stay apart on any file system.
std::string InstanceFolder(std::string_view instance);
/// The instance a folder is for; nullopt for other folders.
std::optional<std::string> InstanceOfFolder(std::string_view folder);

enum class Access : uint8_t {
  kRead,    ///< beside a running owner; the store must exist
  kWrite,   ///< the store must exist
  kCreate,  ///< makes the data root and the store when they are missing
};

/// Path of the store of `instance` below `root`. `kInvalidArgument` for a name that is none and
/// for an empty root.
Result<std::filesystem::path> InstancePath(const std::string& root, const std::string& instance);

/// Opens the store of `instance` below `root`. `kNotFound` when it must exist and does not.
Result<std::unique_ptr<Store>> OpenInstance(const std::string& root,
                                            const std::string& instance,
                                            Access access,
                                            StoreOptions store_options = {});

/// Names of the instances below `root`, sorted.
Result<std::vector<std::string>> ListInstances(const std::string& root);

/// The right to serve a data root, of one process at a time.
class ServingLock {
 public:
  /// `kBusy` when another server has it.
  static Result<ServingLock> Take(const std::filesystem::path& root);
  ~ServingLock();
  ServingLock(ServingLock&& other) noexcept;
  ServingLock& operator=(ServingLock&&) = delete;
  ServingLock(const ServingLock&) = delete;
  ServingLock& operator=(const ServingLock&) = delete;

 private:
  struct Held;
  explicit ServingLock(std::unique_ptr<Held> held);
  std::unique_ptr<Held> held_;
};

/// Makes `directory` and its parents.
Status CreateDirectories(const std::filesystem::path& directory);

}  // namespace tidemark::server
