// Staged pages: how they lie in the column family `stage`, written and read.
//
//   stage | entity | 'p' | page                      the page: version, counts, seal
//   stage | entity | 'i' | page | version | block    ids of a block, sorted, with hashes of values
//   stage | entity | 'v' | page | version | block    the same rows as a batch of kind upload
//
// A page is sorted by (id, row) and cut into blocks when it arrives, so that a finish merges pages
// by streaming: one block of ids a page at a time, and the values of only those rows that differ.
// The version tells the blocks of a page from those of the page it replaced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/snapshot.h>

#include "db/internal/commit_group.h"
#include "db/internal/store_state.h"
#include "db/replacement.h"
#include "format/batch.h"
#include "format/checksum.h"
#include "format/coding.h"
#include "format/status.h"

namespace tidemark::internal {

/// A staged page.
struct StagedPage {
  uint32_t page = 0;
  uint64_t version = 0;
  uint32_t rows = 0;
  uint32_t blocks = 0;
};

/// Where the value of a staged row is.
struct StagedPlace {
  uint64_t version = 0;
  uint32_t page = 0;
  uint32_t block = 0;
  uint32_t index = 0;  // in the block
};

/// A staged row without its value.
struct StagedId {
  std::string_view id;
  uint32_t row = 0;
  uint32_t value_size = 0;
  Hash128 hash;
  StagedPlace place;
};

/// Rows that put the page in the place of whatever the stage holds under its number.
/// `kInvalidArgument`, `kTooManyRecords`, `kTooLarge`.
Result<std::vector<JoinedRow>> EncodePage(StoreState& state,
                                          uint64_t stage,
                                          std::string_view entity,
                                          uint32_t page,
                                          const std::vector<StagedRow>& rows);

/// Deletes everything of a stage, in steps of bounded size. Safe to repeat.
Status DiscardStage(StoreState& state, uint64_t stage);

/// Reads the ids of one block, in order.
class StagedBlock {
 public:
  /// `kCorruption` when the seal does not fit.
  Status Open(std::string bytes, const StagedPage& page, uint32_t block);
  /// False at the end. The id is valid until the next block is opened.
  bool Next(StagedId* id);

 private:
  std::string bytes_;
  ByteReader reader_{std::string_view()};
  StagedPlace next_;
};

/// The ids of a page.
struct StagedPageIds {
  std::vector<std::unique_ptr<StagedBlock>> blocks;
  std::vector<StagedId> rows;  ///< by row number; views of the blocks
};

/// One stage as it is at construction. Thread-compatible.
class StagingReader {
 public:
  StagingReader(const StoreState& state, uint64_t stage);

  Result<std::vector<std::string>> Entities() const;
  /// By number.
  Result<std::vector<StagedPage>> Pages(std::string_view entity) const;
  /// `kNotFound` when there is none.
  Result<StagedPage> FindPage(std::string_view entity, uint32_t page) const;
  Result<std::string> ReadIds(std::string_view entity,
                              const StagedPage& page,
                              uint32_t block) const;
  /// The bytes of a block's batch.
  Result<std::string> ReadValues(std::string_view entity, const StagedPlace& place) const;
  Result<StagedPageIds> ReadPageIds(std::string_view entity, const StagedPage& page) const;
  /// Calls `visit` for the rows of a page in the order of their row numbers, until it returns
  /// false.
  Status VisitPage(std::string_view entity,
                   const StagedPage& page,
                   const std::function<bool(const StagedRow& row)>& visit) const;

  const StoreState& state() const { return state_; }

 private:
  rocksdb::ReadOptions ReadOptions() const;
  Result<std::string> ReadBlock(const std::string& key,
                                std::string_view entity,
                                uint32_t page) const;

  const StoreState& state_;
  const uint64_t stage_;
  const std::unique_ptr<rocksdb::ManagedSnapshot> snapshot_;
};

}  // namespace tidemark::internal
