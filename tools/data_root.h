// The data root, as the options of every command name it.
#pragma once

#include <memory>
#include <utility>

#include "server/data_root.h"
#include "tools/command.h"

namespace tidemark::tools {

using server::Access;
using server::CreateDirectories;
using server::InstanceFolder;
using server::InstanceOfFolder;
using server::InstancePath;
using server::ListInstances;

/// Opens the store that the options name. `kNotFound` when it must exist and does not.
inline Result<std::unique_ptr<Store>> OpenInstance(const GlobalOptions& options,
                                                   Access access,
                                                   StoreOptions store_options = {}) {
  return server::OpenInstance(options.data, options.instance, access, std::move(store_options));
}

}  // namespace tidemark::tools
