// The one committer: writers queue, the first leads, and the others wait for its write.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "db/internal/commit_group.h"
#include "db/internal/store_state.h"
#include "db/write_batch.h"

namespace tidemark::internal {

class Committer {
 public:
  explicit Committer(StoreState& state) : state_(state) {}

  /// `joined` are rows of other column families that commit with the batch, or not at all.
  Result<CommitResult> Commit(const WriteBatch& batch,
                              const CommitOptions& options,
                              const std::vector<JoinedRow>& joined = {});

 private:
  struct Waiter {
    const WriteBatch* batch;
    const CommitOptions* options;
    const std::vector<JoinedRow>* joined;
    Result<CommitResult> result = Status(ErrorCode::kInternal, "the commit was not run");
    bool done = false;
    std::condition_variable turn;
  };

  /// Takes what fits one group off the queue, without removing it. Requires mutex_.
  std::deque<Waiter*> TakeGroup();
  void RunGroup(const std::deque<Waiter*>& group);

  StoreState& state_;
  std::mutex mutex_;
  std::deque<Waiter*> queue_;  // the first one leads; guarded by mutex_
};

}  // namespace tidemark::internal
