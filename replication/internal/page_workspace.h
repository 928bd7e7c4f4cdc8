// What building a page needs in memory, kept from one page to the next: a page's buffers are large
// enough that asking for them anew would cost more than filling them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "format/batch.h"
#include "replication/internal/instruction.h"

namespace tidemark {

struct PageWorkspace {
  BatchBuilder builder;
  std::vector<Instruction> instructions;
  std::vector<RowOutline> outlines;  // of the rows of one run
  std::vector<PickedRow> picked;     // rows of one segment, on their way into the builder
};

/// Lends workspaces. Thread-safe. What is not in use is at most `kKept` of them.
class PageWorkspaces {
 public:
  /// A workspace for as long as this lives; empty at first.
  class Loan {
   public:
    explicit Loan(PageWorkspaces& owner) : owner_(owner), workspace_(owner.Take()) {}
    ~Loan() { owner_.GiveBack(std::move(workspace_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    PageWorkspace* get() { return workspace_.get(); }
    PageWorkspace* operator->() { return workspace_.get(); }

   private:
    PageWorkspaces& owner_;
    std::unique_ptr<PageWorkspace> workspace_;
  };

 private:
  static constexpr size_t kKept = 2;

  std::unique_ptr<PageWorkspace> Take() {
    const std::lock_guard lock(mutex_);
    if (kept_.empty()) return std::make_unique<PageWorkspace>();
    std::unique_ptr<PageWorkspace> workspace = std::move(kept_.back());
    kept_.pop_back();
    return workspace;
  }

  void GiveBack(std::unique_ptr<PageWorkspace> workspace) {
    if (!workspace->builder.empty()) return;  // a page that failed half way
    workspace->instructions.clear();
    workspace->picked.clear();
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kKept) kept_.push_back(std::move(workspace));
  }

  std::mutex mutex_;  // a leaf: nothing is called under it
  std::vector<std::unique_ptr<PageWorkspace>> kept_;
};

}  // namespace tidemark
