// What a project outside the tree writes first: open a store, commit, read back.
#include <cstdio>

#include "db/store.h"

namespace {

tidemark::Status PutAndGet(const char* directory) {
  auto store = tidemark::Store::Open(directory);
  if (!store.ok()) return store.status();

  tidemark::WriteBatch batch;
  batch.Put("visits", "2031-05-01/ward-3", R"({"patients":18})");
  if (auto committed = (*store)->Commit(batch, {.sync = true}); !committed.ok()) {
    return committed.status();
  }
  auto records = (*store)->GetView().Scan("visits", {.prefix = "2031-"});
  if (!records.Next()) return {tidemark::ErrorCode::kNotFound, "the record just written"};

  auto record = (*store)->Get("visits", "2031-05-01/ward-3");
  if (!record.ok()) return record.status();
  if (!record->has_value()) return {tidemark::ErrorCode::kNotFound, "the record just written"};
  return (*store)->Close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const tidemark::Status status = PutAndGet(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "consumer: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
