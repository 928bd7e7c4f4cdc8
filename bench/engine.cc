#include "bench/engine.h"

#include <utility>

namespace tidemark::bench {

std::shared_ptr<Runtime> MakeRuntime(size_t block_cache_bytes) {
  return Require(Runtime::Create({.block_cache_bytes = block_cache_bytes}), "make a runtime");
}

std::unique_ptr<Store> OpenStore(const std::filesystem::path& directory,
                                 Syncing syncing,
                                 const std::shared_ptr<Runtime>& runtime) {
  const StoreOptions options{.durability =
                                 syncing == Syncing::kOn ? Durability::kSync : Durability::kOrder};
  return Require(Store::Open(directory, options, runtime), "open a store");
}

EngineStore::EngineStore(const std::filesystem::path& directory,
                         Syncing syncing,
                         size_t block_cache_bytes)
    : runtime_(MakeRuntime(block_cache_bytes)), store_(OpenStore(directory, syncing, runtime_)) {}

void EngineStore::Apply(Batch batch) {
  batch_.Clear();
  for (const Operation& operation : batch) {
    const RecordId id(View(operation.id));
    if (operation.erase) {
      batch_.Delete(kEntity, id);
    } else {
      batch_.Put(kEntity, id, operation.value);
    }
  }
  Require(store_->Commit(batch_).status(), "commit");
}

bool EngineStore::Get(std::string_view id, std::string* value) const {
  auto record = Require(store_->Get(kEntity, RecordId(id)), "get");
  if (!record.has_value()) return false;
  *value = std::move(record->value);
  return true;
}

Drained EngineStore::Scan() const {
  Drained drained;
  RecordIterator records = store_->GetView().Scan(kEntity);
  while (records.Next()) {
    ++drained.records;
    drained.bytes += records.id().size() + records.value().size();
  }
  Require(records.status(), "scan");
  return drained;
}

Drained EngineStore::ReadLog() const {
  Drained drained;
  const EntityNumber entity = store_->FindEntity(kEntity)->number;
  LogCursor cursor = store_->ReadLog(Require(store_->PinCut(), "pin"), {{.entity = entity}});
  while (cursor.Next()) {
    ++drained.records;
    drained.bytes += cursor.entry().id.size() + cursor.entry().value.size();
  }
  Require(cursor.status(), "read the log");
  return drained;
}

void EngineStore::Settle() {
  Require(store_->Compact(), "compact");
}

}  // namespace tidemark::bench
