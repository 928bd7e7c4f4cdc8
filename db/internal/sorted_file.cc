#include "db/internal/sorted_file.h"

#include <utility>

#include "db/internal/runtime_impl.h"

namespace tidemark::internal {

SortedFile::SortedFile(const StoreState& state, Family family, const std::string& name)
    : family_(std::move(family)),
      path_((state.directory / "tmp" / (name + ".sst")).string()),
      env_(state.runtime->impl().env()),
      writer_(rocksdb::EnvOptions(),
              rocksdb::Options(rocksdb::DBOptions(state.db->GetDBOptions()),
                               MakeIndexOptions(*state.runtime)),
              family_.get(),
              /*invalidate_page_cache=*/false) {}

SortedFile::~SortedFile() {
  if (opened_) env_->DeleteFile(path_).PermitUncheckedError();
}

rocksdb::Status SortedFile::Finish() {
  if (opened_ && status_.ok()) status_ = writer_.Finish();
  return status_;
}

rocksdb::IngestExternalFileArg SortedFile::Ingestion() const {
  rocksdb::IngestExternalFileArg arg;
  arg.column_family = family_.get();
  arg.external_files = {path_};
  arg.options.move_files = true;
  return arg;
}

}  // namespace tidemark::internal
