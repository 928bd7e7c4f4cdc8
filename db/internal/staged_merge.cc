#include "db/internal/staged_merge.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

#include <rocksdb/sst_file_reader.h>

#include "db/internal/rocks_status.h"
#include "db/tuning.h"

namespace tidemark::internal {
namespace {

/// One page, block by block.
class PageInput final : public StagedInput {
 public:
  PageInput(const StagingReader& reader, const std::string& entity, const StagedPage& page)
      : reader_(reader), entity_(entity), page_(page) {}

  bool Next() override {
    while (status_.ok()) {
      if (opened_ > 0 && block_.Next(&id_)) return true;
      if (opened_ == page_.blocks) return false;
      auto bytes = reader_.ReadIds(entity_, page_, opened_);
      status_ = bytes.ok() ? block_.Open(std::move(*bytes), page_, opened_) : bytes.status();
      if (!status_.ok()) {
        status_ = status_.WithContext(entity_ + ", staged page " + std::to_string(page_.page));
      }
      ++opened_;
    }
    return false;
  }

 private:
  const StagingReader& reader_;
  const std::string& entity_;
  const StagedPage page_;
  StagedBlock block_;
  uint32_t opened_ = 0;
};

void EncodeRun(const StagedId& id, std::string* key, std::string* value) {
  key->clear();
  AppendOrdered(key, id.id);
  AppendBigEndian32(key, id.place.page);
  AppendBigEndian32(key, id.row);
  value->clear();
  AppendVarint(value, id.value_size);
  AppendHash(value, id.hash);
  AppendVarint(value, id.place.version);
  AppendVarint(value, id.place.block);
  AppendVarint(value, id.place.index);
}

class RunInput final : public StagedInput {
 public:
  explicit RunInput(std::unique_ptr<rocksdb::Iterator> rows) : rows_(std::move(rows)) {
    if (rows_ != nullptr) rows_->SeekToFirst();
  }

  bool Next() override {
    if (rows_ == nullptr) return false;
    if (started_) rows_->Next();
    started_ = true;
    if (!rows_->Valid()) {
      status_ = FromRocks(rows_->status(), "reading a merged run");
      return false;
    }
    ByteReader key(std::string_view(rows_->key().data(), rows_->key().size()));
    text_ = key.Ordered();
    id_.id = text_;
    id_.place.page = key.BigEndian32();
    id_.row = key.BigEndian32();
    ByteReader value(std::string_view(rows_->value().data(), rows_->value().size()));
    id_.value_size = static_cast<uint32_t>(value.Varint());
    id_.hash = value.Hash();
    id_.place.version = value.Varint();
    id_.place.block = static_cast<uint32_t>(value.Varint());
    id_.place.index = static_cast<uint32_t>(value.Varint());
    if (key.Finished() && value.Finished()) return true;
    status_ = {ErrorCode::kCorruption, "a merged run is damaged"};
    return false;
  }

 private:
  std::unique_ptr<rocksdb::Iterator> rows_;
  std::string text_;
  bool started_ = false;
};

uint64_t HeadOf(std::string_view id) {
  if (id.size() >= sizeof(uint64_t)) return LoadBigEndian64(id.data());
  char bytes[sizeof(uint64_t)] = {};
  std::memcpy(bytes, id.data(), id.size());
  return LoadBigEndian64(bytes);
}

/// A name that no other run of this process has.
std::string RunName(std::string_view what) {
  static std::atomic<uint64_t> counter{0};
  return "run-" + std::string(what) + "-" + std::to_string(++counter);
}

}  // namespace

struct StagedRun::Files {
  Files(const StoreState& state, const std::string& name)
      : file(state, nullptr, RunName(name)),
        reader(rocksdb::Options(rocksdb::DBOptions(state.db->GetDBOptions()),
                                MakeIndexOptions(*state.runtime))) {}
  SortedFile file;
  rocksdb::SstFileReader reader;
};

StagedRun::StagedRun(std::unique_ptr<Files> files) : files_(std::move(files)) {}
StagedRun::~StagedRun() = default;

Result<std::shared_ptr<StagedRun>> StagedRun::Build(const StoreState& state,
                                                    const std::string& name,
                                                    StagedInput& input) {
  auto files = std::make_unique<Files>(state, name);
  std::string key;
  std::string value;
  while (input.Next() && files->file.status().ok()) {
    EncodeRun(input.id(), &key, &value);
    files->file.Put(key, value);
  }
  TIDEMARK_RETURN_IF_ERROR(input.status());
  rocksdb::Status built = files->file.Finish();
  if (built.ok() && !files->file.empty()) built = files->reader.Open(files->file.path());
  if (!built.ok()) return FromRocks(built, "merging staged pages");
  return std::shared_ptr<StagedRun>(new StagedRun(std::move(files)));
}

std::unique_ptr<StagedInput> StagedRun::Read() const {
  std::unique_ptr<rocksdb::Iterator> rows;
  if (!files_->file.empty()) rows.reset(files_->reader.NewIterator(rocksdb::ReadOptions()));
  return std::make_unique<RunInput>(std::move(rows));
}

Result<bool> StagedRun::Contains(std::string_view id) const {
  if (files_->file.empty()) return false;
  std::string key;
  AppendOrdered(&key, id);
  const std::unique_ptr<rocksdb::Iterator> rows(files_->reader.NewIterator(rocksdb::ReadOptions()));
  rows->Seek(key);
  if (!rows->status().ok()) return FromRocks(rows->status(), "reading a merged run");
  return rows->Valid() && rows->key().starts_with(key);
}

Result<std::unique_ptr<StagedMerge>> StagedMerge::Open(
    const StagingReader& reader,
    const std::string& entity,
    const std::vector<std::pair<uint32_t, uint32_t>>& skip) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader.Pages(entity));
  std::unique_ptr<StagedMerge> merge(new StagedMerge());
  merge->skip_ = &skip;
  for (size_t begin = 0; begin < pages.size(); begin += tuning::kMergePages) {
    const std::span<const StagedPage> group(pages.data() + begin,
                                            std::min(tuning::kMergePages, pages.size() - begin));
    if (pages.size() <= tuning::kMergePages) {
      for (const StagedPage& page : group) {
        merge->Add(std::make_unique<PageInput>(reader, entity, page));
      }
      break;
    }
    StagedMerge part;
    for (const StagedPage& page : group) {
      part.Add(std::make_unique<PageInput>(reader, entity, page));
    }
    TIDEMARK_ASSIGN_OR_RETURN(auto run, StagedRun::Build(reader.state(), "merge", part));
    merge->Add(run->Read());
    merge->runs_.push_back(std::move(run));
  }
  return merge;
}

void StagedMerge::Add(std::unique_ptr<StagedInput> input) {
  leaves_.push_back({.input = std::move(input)});
}

void StagedMerge::Advance(size_t leaf) {
  Leaf& at = leaves_[leaf];
  at.done = !at.input->Next();
  if (!at.done) {
    at.head = HeadOf(at.input->id().id);
  } else if (status_.ok()) {
    status_ = at.input->status();
  }
}

bool StagedMerge::Before(size_t a, size_t b) const {
  const Leaf& left = leaves_[a];
  const Leaf& right = leaves_[b];
  if (left.done || right.done) return !left.done;
  if (left.head != right.head) return left.head < right.head;
  const StagedId& x = left.input->id();
  const StagedId& y = right.input->id();
  if (const int compared = x.id.compare(y.id); compared != 0) return compared < 0;
  return x.place.page != y.place.page ? x.place.page < y.place.page : x.row < y.row;
}

void StagedMerge::Start() {
  started_ = true;
  for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) Advance(leaf);
  // Leaf i sits at node i + n of a complete tree; each inner node keeps the loser of its match.
  const size_t n = leaves_.size();
  losers_.assign(n, 0);
  std::vector<size_t> winners(2 * n);
  for (size_t leaf = 0; leaf < n; ++leaf) winners[n + leaf] = leaf;
  for (size_t node = n - 1; node >= 1; --node) {
    const size_t left = winners[2 * node];
    const size_t right = winners[2 * node + 1];
    const bool left_wins = Before(left, right);
    winners[node] = left_wins ? left : right;
    losers_[node] = left_wins ? right : left;
  }
  losers_[0] = n == 1 ? 0 : winners[1];
}

void StagedMerge::Replay(size_t leaf) {
  size_t winner = leaf;
  for (size_t node = (leaf + leaves_.size()) / 2; node >= 1; node /= 2) {
    if (Before(losers_[node], winner)) std::swap(losers_[node], winner);
  }
  losers_[0] = winner;
}

bool StagedMerge::Next() {
  if (leaves_.empty()) return false;
  while (true) {
    if (!started_) {
      Start();
    } else {
      const size_t last = losers_[0];
      if (leaves_[last].done) return false;
      Advance(last);
      Replay(last);
    }
    if (!status_.ok()) return false;
    const Leaf& winner = leaves_[losers_[0]];
    if (winner.done) return false;
    id_ = winner.input->id();
    const bool skipped =
        skip_ != nullptr && !skip_->empty() &&
        std::binary_search(skip_->begin(), skip_->end(), std::pair(id_.place.page, id_.row));
    if (!skipped) return true;
  }
}

}  // namespace tidemark::internal
