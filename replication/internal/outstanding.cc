#include "replication/internal/outstanding.h"

#include <algorithm>
#include <cassert>
#include <tuple>

#include "format/coding.h"

namespace tidemark {
namespace {

// A stored instruction begins with a varint: the distance of its place from the one before, three
// bits to the left, over its op and whether further lives follow.
constexpr uint64_t kFurtherLives = 1;
constexpr RowOp kOps[] = {RowOp::kCreated, RowOp::kUpdated, RowOp::kDelete};

uint64_t OpCode(RowOp op) {
  if (op == RowOp::kDelete) return 2;
  return op == RowOp::kUpdated ? 1 : 0;
}

bool AnyWithin(std::span<const SequenceNumber> births, SequenceNumber low, SequenceNumber high) {
  const auto at = std::lower_bound(births.begin(), births.end(), low);
  return at != births.end() && *at <= high;
}

bool Contains(std::span<const SequenceNumber> births, SequenceNumber birth) {
  return std::binary_search(births.begin(), births.end(), birth);
}

// Takes the births out of a deletion; false when none is left.
bool Strip(Instruction* deletion, std::span<const SequenceNumber> births) {
  std::erase_if(deletion->older, [&](SequenceNumber birth) { return Contains(births, birth); });
  if (!Contains(births, deletion->birth)) return true;
  if (deletion->older.empty()) return false;
  deletion->birth = deletion->older.front();
  deletion->older.erase(deletion->older.begin());
  return true;
}

}  // namespace

bool OutstandingPages::Order::operator()(const PageKey& left, const PageKey& right) const {
  return std::tie(left.session, left.page) < std::tie(right.session, right.page);
}
bool OutstandingPages::Order::operator()(const PageKey& left, const PagePosition& right) const {
  return std::tie(left.session, left.page) < std::tie(right.session, right.page);
}
bool OutstandingPages::Order::operator()(const PagePosition& left, const PageKey& right) const {
  return std::tie(left.session, left.page) < std::tie(right.session, right.page);
}
bool OutstandingPages::Order::operator()(const PageKey& left, const PlacePosition& right) const {
  return std::tie(left.session, left.last) < std::tie(right.session, right.place);
}
bool OutstandingPages::Order::operator()(const PlacePosition& left, const PageKey& right) const {
  return std::tie(left.session, left.place) < std::tie(right.session, right.last);
}

OutstandingPages::Page OutstandingPages::Pack(std::span<const Instruction> instructions) {
  Page page;
  size_t numbers = 0;
  for (const Instruction& instruction : instructions) numbers += 3 + instruction.older.size();
  std::string buffer(numbers * kVarintBytesMax, '\0');
  char* at = buffer.data();
  SequenceNumber before;
  for (const Instruction& instruction : instructions) {
    const uint64_t further = instruction.older.empty() ? 0 : kFurtherLives;
    at = WriteVarint(at, (instruction.place - before) << 3 | OpCode(instruction.op) << 1 | further);
    before = instruction.place;
    at = WriteVarint(at, instruction.place - instruction.birth);
    if (further != 0) at = WriteVarint(at, instruction.older.size());
    for (const SequenceNumber birth : instruction.older) {
      at = WriteVarint(at, instruction.place - birth);
    }

    ++(instruction.deleted() ? page.deleted : page.live);
    page.birth_min = std::min(page.birth_min, instruction.birth);
    page.birth_max = std::max(page.birth_max, instruction.birth);
    if (!instruction.deleted()) continue;  // only deletions are looked up by their older lives
    for (const SequenceNumber birth : instruction.older) {
      page.birth_min = std::min(page.birth_min, birth);
      page.birth_max = std::max(page.birth_max, birth);
    }
  }
  page.rows.assign(buffer.data(), static_cast<size_t>(at - buffer.data()));
  return page;
}

std::optional<std::vector<Instruction>> OutstandingPages::Unpack(std::string_view rows) {
  std::vector<Instruction> instructions;
  instructions.reserve(rows.size() / 2);  // two bytes for each at least
  ByteReader reader(rows);
  SequenceNumber place;
  while (reader.ok() && !reader.empty()) {
    Instruction instruction;
    const uint64_t head = reader.Varint();
    const uint64_t op = (head >> 1) & 3;
    const uint64_t distance = head >> 3;
    if (op > 2 || distance == 0 || distance >= kSequenceLimit - place) return std::nullopt;
    place = place + distance;
    instruction.op = kOps[op];
    instruction.place = place;

    const auto read_birth = [&] {
      const uint64_t back = reader.Varint();
      return back > place.value() ? kSequenceLimit : SequenceNumber(place.value() - back);
    };
    instruction.birth = read_birth();
    if (instruction.birth > place) return std::nullopt;
    const uint64_t further = (head & kFurtherLives) != 0 ? reader.Varint() : 0;
    if (further > rows.size()) return std::nullopt;
    for (uint64_t i = 0; i < further; ++i) {
      instruction.older.push_back(read_birth());
      if (instruction.older.back() > place) return std::nullopt;
    }
    instructions.push_back(std::move(instruction));
  }
  if (!reader.Finished() || instructions.empty()) return std::nullopt;
  return instructions;
}

void OutstandingPages::Add(uint64_t session,
                           uint64_t page,
                           std::span<const Instruction> instructions) {
  if (instructions.empty()) return;
  const auto at = pages_.emplace_hint(
      pages_.end(), PageKey{session, page, instructions.back().place}, Pack(instructions));
  changed_.emplace(session, page);
  count_ += instructions.size();
  deletions_ += at->second.deleted;
}

OutstandingPages::Pages::iterator OutstandingPages::Replace(Pages::iterator at,
                                                            std::span<const Instruction> left) {
  count_ -= at->second.live + at->second.deleted;
  deletions_ -= at->second.deleted;
  changed_.emplace(at->first.session, at->first.page);
  if (left.empty()) return pages_.erase(at);
  at->second = Pack(left);
  count_ += left.size();
  deletions_ += at->second.deleted;
  return std::next(at);
}

std::optional<Instruction> OutstandingPages::Take(const AckKey& key) {
  const auto at = key.page != 0 ? pages_.find(PagePosition{key.session, key.page})
                                : pages_.lower_bound(PlacePosition{key.session, key.head});
  if (at == pages_.end() || at->first.session != key.session) return std::nullopt;
  std::vector<Instruction> instructions = *Unpack(at->second.rows);
  const bool deleted = key.op == RowOp::kDelete;
  const auto found = std::find_if(instructions.begin(), instructions.end(), [&](const auto& row) {
    // The newest life of a deletion may have been voided since; what is left of it still counts.
    return row.place == key.head && row.deleted() == deleted &&
           (row.birth == key.birth || (deleted && row.birth < key.birth));
  });
  if (found == instructions.end()) return std::nullopt;
  Instruction taken = std::move(*found);
  instructions.erase(found);
  Replace(at, instructions);
  return taken;
}

std::vector<Instruction> OutstandingPages::FindPage(uint64_t session, uint64_t page) const {
  const auto at = pages_.find(PagePosition{session, page});
  if (at == pages_.end()) return {};
  return *Unpack(at->second.rows);
}

std::vector<OutstandingPages::Place> OutstandingPages::FindLives(
    std::span<const SequenceNumber> births) const {
  std::vector<Place> places;
  for (const auto& [key, page] : pages_) {
    if (!AnyWithin(births, page.birth_min, page.birth_max)) continue;
    auto instructions = Unpack(page.rows);
    if (!instructions.has_value()) continue;
    for (Instruction& instruction : *instructions) {
      const auto& older = instruction.older;
      const bool named = Contains(births, instruction.birth) ||
                         std::any_of(older.begin(), older.end(), [&](SequenceNumber birth) {
                           return Contains(births, birth);
                         });
      if (named) places.push_back({key.session, key.page, std::move(instruction)});
    }
  }
  return places;
}

std::vector<Instruction> OutstandingPages::TakePage(uint64_t session, uint64_t page) {
  return Unpacked(TakePacked(session, page).rows);
}

std::vector<Instruction> OutstandingPages::Unpacked(std::string_view rows) {
  return rows.empty() ? std::vector<Instruction>() : *Unpack(rows);
}

OutstandingPages::Packed OutstandingPages::TakePacked(uint64_t session, uint64_t page) {
  const auto at = pages_.find(PagePosition{session, page});
  if (at == pages_.end()) return {};
  Packed taken{.rows = std::move(at->second.rows),
               .count = uint64_t{at->second.live} + at->second.deleted};
  count_ -= taken.count;
  deletions_ -= at->second.deleted;
  pages_.erase(at);
  return taken;
}

void OutstandingPages::Void(std::span<const SequenceNumber> live,
                            std::span<const SequenceNumber> deleted) {
  const bool nothing_live = live.empty() || count_ == deletions_;
  const bool nothing_deleted = deleted.empty() || deletions_ == 0;
  if (nothing_live && nothing_deleted) return;
  for (auto at = pages_.begin(); at != pages_.end();) {
    const Page& page = at->second;
    const bool affected = (page.live > 0 && AnyWithin(live, page.birth_min, page.birth_max)) ||
                          (page.deleted > 0 && AnyWithin(deleted, page.birth_min, page.birth_max));
    if (!affected) {
      ++at;
      continue;
    }
    std::vector<Instruction> left = *Unpack(page.rows);
    std::erase_if(left, [&](Instruction& row) {
      return row.deleted() ? !Strip(&row, deleted) : Contains(live, row.birth);
    });
    at = Replace(at, left);
  }
}

void OutstandingPages::Clear() {
  for (const auto& [key, page] : pages_) changed_.emplace(key.session, key.page);
  pages_.clear();
  count_ = 0;
  deletions_ = 0;
}

bool OutstandingPages::HasSession(uint64_t session) const {
  const auto at = pages_.lower_bound(PagePosition{session, 0});
  return at != pages_.end() && at->first.session == session;
}

size_t OutstandingPages::MemoryBytes() const {
  constexpr size_t kNode = sizeof(Pages::value_type) + 4 * sizeof(void*);
  size_t bytes = 0;
  for (const auto& [key, page] : pages_) bytes += kNode + page.rows.capacity();
  return bytes;
}

std::vector<OutstandingPages::Row> OutstandingPages::TakeChanged() {
  std::vector<Row> rows;
  rows.reserve(changed_.size());
  for (const auto& [session, page] : changed_) {
    const auto at = pages_.find(PagePosition{session, page});
    rows.push_back({session, page, at == pages_.end() ? std::string() : at->second.rows});
  }
  changed_.clear();
  return rows;
}

Status OutstandingPages::LoadRow(uint64_t session, uint64_t page, std::string_view bytes) {
  const auto instructions = Unpack(bytes);
  if (!instructions.has_value()) return {ErrorCode::kCorruption, "malformed page of instructions"};
  const auto [at, added] =
      pages_.emplace(PageKey{session, page, instructions->back().place}, Pack(*instructions));
  if (!added) return {ErrorCode::kCorruption, "page of instructions stored twice"};
  count_ += instructions->size();
  deletions_ += at->second.deleted;
  return {};
}

}  // namespace tidemark
