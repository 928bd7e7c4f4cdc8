// The pages of one device that were handed out and not yet acknowledged. Part of its marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/sequence.h"
#include "format/status.h"
#include "replication/internal/instruction.h"

namespace tidemark {

/// Instructions by (session, page), kept as the bytes of their durable rows: about 4 bytes an
/// instruction, because a device may stop in the middle of a very long first drain.
/// Thread-compatible.
class OutstandingPages {
 public:
  /// Requires a page beyond all others of its session, and places that increase.
  void Add(uint64_t session, uint64_t page, std::span<const Instruction> instructions);

  /// Removes and returns one instruction. Deletions and live versions at one place differ.
  std::optional<Instruction> Take(const AckKey& key);
  /// What is left of a page; empty when there is nothing.
  std::vector<Instruction> FindPage(uint64_t session, uint64_t page) const;
  /// Where instructions that name one of these lives are, oldest first. Reads pages that may hold
  /// one. `births` increase.
  struct Place {
    uint64_t session = 0;
    uint64_t page = 0;
    Instruction instruction;
  };
  std::vector<Place> FindLives(std::span<const SequenceNumber> births) const;
  /// Removes and returns what is left of a page. Its row stays until it is marked as changed.
  std::vector<Instruction> TakePage(uint64_t session, uint64_t page);
  /// The same, as it is kept: for later.
  struct Packed {
    std::string rows;
    uint64_t count = 0;  ///< instructions; zero: nothing is left
  };
  Packed TakePacked(uint64_t session, uint64_t page);
  static std::vector<Instruction> Unpacked(std::string_view rows);
  /// True when the page's row says what the page is.
  bool IsStored(uint64_t session, uint64_t page) const {
    return !changed_.contains({session, page});
  }
  void MarkChanged(uint64_t session, uint64_t page) { changed_.emplace(session, page); }
  /// Makes acknowledgements of these lives meaningless: live versions of births in `live`, and
  /// births in `deleted` as far as deletions name them. Both increasing.
  void Void(std::span<const SequenceNumber> live, std::span<const SequenceNumber> deleted);
  void Clear();

  bool HasSession(uint64_t session) const;
  uint64_t count() const { return count_; }
  uint64_t deletions() const { return deletions_; }
  size_t MemoryBytes() const;

  struct Row {
    uint64_t session = 0;
    uint64_t page = 0;
    std::string bytes;  ///< empty: the page is no more
  };
  /// Pages that changed since they were last taken.
  std::vector<Row> TakeChanged();
  /// Adds a stored page, in any order. `kCorruption` when malformed.
  Status LoadRow(uint64_t session, uint64_t page, std::string_view bytes);

 private:
  struct PageKey {
    uint64_t session = 0;
    uint64_t page = 0;
    SequenceNumber last;  // highest place; with one queue it increases with the page
  };
  struct PagePosition {
    uint64_t session = 0;
    uint64_t page = 0;
  };
  struct PlacePosition {
    uint64_t session = 0;
    SequenceNumber place;
  };
  struct Order {
    using is_transparent = void;
    bool operator()(const PageKey& left, const PageKey& right) const;
    bool operator()(const PageKey& left, const PagePosition& right) const;
    bool operator()(const PagePosition& left, const PageKey& right) const;
    bool operator()(const PageKey& left, const PlacePosition& right) const;
    bool operator()(const PlacePosition& left, const PageKey& right) const;
  };
  struct Page {
    std::string rows;
    uint32_t live = 0;     // live versions in it
    uint32_t deleted = 0;  // deletions in it
    SequenceNumber birth_min = kSequenceLimit;
    SequenceNumber birth_max;
  };
  using Pages = std::map<PageKey, Page, Order>;

  static Page Pack(std::span<const Instruction> instructions);
  static std::optional<std::vector<Instruction>> Unpack(std::string_view rows);
  // Replaces a page by what is left of it, and returns the page after it.
  Pages::iterator Replace(Pages::iterator at, std::span<const Instruction> left);

  Pages pages_;
  std::set<std::pair<uint64_t, uint64_t>> changed_;  // (session, page)
  uint64_t count_ = 0;                               // instructions
  uint64_t deletions_ = 0;                           // those of them that are deletions
};

}  // namespace tidemark
