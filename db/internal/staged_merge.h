// The rows of all staged pages of an entity, merged by (id, page, row).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/internal/sorted_file.h"
#include "db/internal/staging.h"
#include "format/status.h"

namespace tidemark::internal {

/// A sorted run of staged rows.
class StagedInput {
 public:
  virtual ~StagedInput() = default;
  /// Moves to the next row; false at the end or on an error.
  virtual bool Next() = 0;
  const StagedId& id() const { return id_; }
  const Status& status() const { return status_; }

 protected:
  StagedId id_;
  Status status_;
};

/// Rows merged into one file, for stages of more pages than can be merged at once, and for looking
/// ids up.
class StagedRun {
 public:
  /// Takes everything from `input`. `name` is the file's.
  static Result<std::shared_ptr<StagedRun>> Build(const StoreState& state,
                                                  const std::string& name,
                                                  StagedInput& input);
  ~StagedRun();
  StagedRun(const StagedRun&) = delete;
  StagedRun& operator=(const StagedRun&) = delete;
  std::unique_ptr<StagedInput> Read() const;
  Result<bool> Contains(std::string_view id) const;

 private:
  struct Files;
  explicit StagedRun(std::unique_ptr<Files> files);
  const std::unique_ptr<Files> files_;
};

/// Merges pages; memory is bounded by the blocks of `tuning::kMergePages` pages.
class StagedMerge final : public StagedInput {
 public:
  /// `skip` names rows to leave out as sorted (page, row); it must outlive the merge.
  static Result<std::unique_ptr<StagedMerge>> Open(
      const StagingReader& reader,
      const std::string& entity,
      const std::vector<std::pair<uint32_t, uint32_t>>& skip);

  bool Next() override;

 private:
  StagedMerge() = default;
  void Add(std::unique_ptr<StagedInput> input);
  void Start();
  void Replay(size_t leaf);
  bool Before(size_t a, size_t b) const;

  struct Leaf {
    std::unique_ptr<StagedInput> input;
    uint64_t head = 0;  // the first bytes of the id, for quick comparison
    bool done = true;
  };
  void Advance(size_t leaf);

  std::vector<std::shared_ptr<StagedRun>> runs_;
  std::vector<Leaf> leaves_;
  std::vector<size_t> losers_;  // a loser tree; losers_[0] is the winner
  bool started_ = false;
  const std::vector<std::pair<uint32_t, uint32_t>>* skip_ = nullptr;
};

}  // namespace tidemark::internal
