// The data root, as the options of every command name it.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "replication/source.h"
#include "server/data_root.h"
#include "tools/command.h"

namespace tidemark::tools {

using server::Access;
using server::CreateDirectories;
using server::InstanceFolder;
using server::InstanceOfFolder;
using server::InstancePath;
using server::ListInstances;

/// Opens the store that the options name. `kNotFound` when it must exist and does not. What the
/// store has to say besides, such as that a new epoch begins, goes to standard error.
inline Result<std::unique_ptr<Store>> OpenInstance(const GlobalOptions& options,
                                                   Access access,
                                                   StoreOptions store_options = {}) {
  const OutputFormat format = options.output.value_or(OutputFormat::kTable);
  store_options.log = [format](const std::string& line) {
    std::fputs(FormatWarning(line, format).c_str(), stderr);
  };
  return server::OpenInstance(options.data, options.instance, access, std::move(store_options));
}

/// A store, and the source over it.
struct OpenedSource {
  std::unique_ptr<Store> store;  ///< outlives `source`
  std::unique_ptr<Source> source;
};

inline Result<OpenedSource> OpenSource(const GlobalOptions& options, Access access) {
  OpenedSource opened;
  TIDEMARK_ASSIGN_OR_RETURN(opened.store, OpenInstance(options, access));
  TIDEMARK_ASSIGN_OR_RETURN(opened.source, Source::Open(*opened.store));
  return opened;
}

}  // namespace tidemark::tools
