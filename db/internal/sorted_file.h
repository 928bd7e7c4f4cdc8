// A sorted file on its way into a column family.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <rocksdb/db.h>
#include <rocksdb/sst_file_writer.h>

#include "db/internal/store_state.h"

namespace tidemark::internal {

/// Rows of an index that one file holds at most: the filter of a file is made of all its keys at
/// once, 8 bytes each in memory. As many as a window holds.
inline constexpr size_t kIndexFileRows = 128 * 1024;

/// One sorted file for one column family, in the store's directory for temporary files. The file is
/// removed unless it was ingested. Errors stick and are told by `Finish`.
class SortedFile {
 public:
  /// `name` is unique among the files that exist at a time.
  SortedFile(const StoreState& state, Family family, const std::string& name);
  ~SortedFile();
  SortedFile(const SortedFile&) = delete;
  SortedFile& operator=(const SortedFile&) = delete;

  /// Keys increase.
  void Put(std::string_view key, std::string_view value) {
    Keep([&] { return writer_.Put({key.data(), key.size()}, {value.data(), value.size()}); });
  }
  void Delete(std::string_view key) {
    Keep([&] { return writer_.Delete({key.data(), key.size()}); });
  }
  rocksdb::Status Finish();

  /// Nothing was put: there is no file.
  bool empty() const { return !opened_; }
  const std::string& path() const { return path_; }
  const rocksdb::Status& status() const { return status_; }
  /// Moves the file into its column family. Requires: finished and not empty.
  rocksdb::IngestExternalFileArg Ingestion() const;

 private:
  template <typename Write>
  void Keep(const Write& write) {
    if (!opened_) {
      opened_ = true;
      status_ = writer_.Open(path_);
    }
    if (status_.ok()) status_ = write();
  }

  const Family family_;
  const std::string path_;
  rocksdb::Env* const env_;
  rocksdb::SstFileWriter writer_;
  rocksdb::Status status_;
  bool opened_ = false;
};

}  // namespace tidemark::internal
