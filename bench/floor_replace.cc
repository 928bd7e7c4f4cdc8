#include "bench/floor_replace.h"

#include <string>

#include <rocksdb/sst_file_writer.h>

#include "bench/floor_rocksdb.h"

namespace tidemark::bench {
namespace {

using rocksdb::Slice;

Slice ToSlice(std::string_view text) {
  return {text.data(), text.size()};
}

// Collects the changes of one replacement and writes them a thousand at a time.
class ChangeWriter {
 public:
  ChangeWriter(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* changes, uint64_t* sequence)
      : db_(db), changes_(changes), sequence_(sequence) {}

  void Add(const Slice& id) {
    char key[sizeof(uint64_t)];
    ++*sequence_;
    for (size_t i = 0; i < sizeof(key); ++i) key[i] = static_cast<char>(*sequence_ >> (56 - 8 * i));
    Require(batch_.Put(changes_, Slice(key, sizeof(key)), id), "put");
    ++count_;
    if (batch_.Count() >= static_cast<int>(kBatchOperations)) Write({});
  }
  void Write(const rocksdb::WriteOptions& options) {
    Require(db_->Write(options, &batch_), "write");
    batch_.Clear();
  }
  uint64_t count() const { return count_; }

 private:
  rocksdb::DB* db_;
  rocksdb::ColumnFamilyHandle* changes_;
  uint64_t* sequence_;
  rocksdb::WriteBatch batch_;
  uint64_t count_ = 0;
};

}  // namespace

FloorTable::FloorTable(const std::filesystem::path& directory, Syncing syncing)
    : directory_(directory), cache_(rocksdb::NewLRUCache(kBlockCacheBytes)), syncing_(syncing) {
  const rocksdb::ColumnFamilyOptions family = FloorFamilyOptions(cache_);
  rocksdb::DB* db = nullptr;
  Require(rocksdb::DB::Open({FloorOptions(), family}, (directory / "db").string(), &db),
          "open the floor");
  db_.reset(db);
  changes_ = db_->DefaultColumnFamily();  // NOLINT(*-prefer-member-initializer): needs db_
  Require(db_->CreateColumnFamily(family, "0", &current_), "create a column family");
}

FloorTable::~FloorTable() {
  db_->DestroyColumnFamilyHandle(current_).PermitUncheckedError();
}

uint64_t FloorTable::Replace(uint64_t count, const std::function<Operation(uint64_t)>& row) {
  rocksdb::ColumnFamilyHandle* next = IngestNext(count, row);
  const uint64_t differences = LogDifferences(next);
  Require(db_->DropColumnFamily(current_), "drop a column family");
  Require(db_->DestroyColumnFamilyHandle(current_), "close a column family");
  current_ = next;
  return differences;
}

rocksdb::ColumnFamilyHandle* FloorTable::IngestNext(uint64_t count,
                                                    const std::function<Operation(uint64_t)>& row) {
  const rocksdb::ColumnFamilyOptions family = FloorFamilyOptions(cache_);
  const std::string file = directory_ / "next.sst";
  rocksdb::SstFileWriter writer({},
                                {FloorOptions(), family},
                                nullptr,
                                /*invalidate_page_cache=*/false);
  Require(writer.Open(file), "open a sorted file");
  for (uint64_t i = 0; i < count; ++i) {
    const Operation operation = row(i);
    Require(writer.Put(ToSlice(View(operation.id)), ToSlice(operation.value)), "put");
  }
  Require(writer.Finish(), "finish a sorted file");

  rocksdb::ColumnFamilyHandle* next = nullptr;
  Require(db_->CreateColumnFamily(family, std::to_string(++generation_), &next),
          "create a column family");
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  Require(db_->IngestExternalFile(next, {file}, ingest), "ingest");
  return next;
}

uint64_t FloorTable::LogDifferences(rocksdb::ColumnFamilyHandle* next) {
  ChangeWriter changes(db_.get(), changes_, &sequence_);
  rocksdb::ReadOptions read;
  read.readahead_size = size_t{2} * 1024 * 1024;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> olds(db_->NewIterator(read, current_));
  const std::unique_ptr<rocksdb::Iterator> news(db_->NewIterator(read, next));
  olds->SeekToFirst();
  news->SeekToFirst();
  while (olds->Valid() || news->Valid()) {
    const int order = !olds->Valid() ? 1 : !news->Valid() ? -1 : olds->key().compare(news->key());
    if (order < 0) changes.Add(olds->key());
    if (order > 0) changes.Add(news->key());
    if (order == 0 && olds->value() != news->value()) changes.Add(news->key());
    if (order <= 0) olds->Next();
    if (order >= 0) news->Next();
  }
  Require(olds->status(), "read the old rows");
  Require(news->status(), "read the new rows");
  rocksdb::WriteOptions last;
  last.sync = syncing_ == Syncing::kOn;
  changes.Write(last);
  return changes.count();
}

}  // namespace tidemark::bench
