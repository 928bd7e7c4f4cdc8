#include "replication/internal/page_filler.h"

#include <algorithm>
#include <utility>

namespace tidemark::internal {

Status PageFiller::Fill(LogCursor* cursor) {
  while (!more_ && cursor->NextRun()) TIDEMARK_RETURN_IF_ERROR(TakeRun(cursor->run()));
  return cursor->status();
}

PageFiller::RunFacts PageFiller::FactsOf(const LogRun& run) const {
  RunFacts facts{.examine = {}, .queue = queues_.OfAll(run.entity), .asked_after = {}};
  if (facts.queue.has_value()) facts.asked_after = AskedAfter(*facts.queue);
  if (!run.rows->has_ended()) {
    if (const auto examine = marks_.ExamineLive(run.entity)) facts.examine.emplace(*examine);
  }
  return facts;
}

PageFiller::Finding PageFiller::Examine(const LogRun& run,
                                        const RunFacts& facts,
                                        uint16_t row,
                                        const RowOutline& outline) {
  const BatchView& rows = *run.rows;
  const SequenceNumber head = outline.sequence;
  const bool live = outline.op != RowOp::kDelete;
  Finding found;
  if (!written_.empty() && written_.contains({run.entity, std::string(rows.id(row))})) return found;
  if (facts.queue.has_value()) {
    found.queue = *facts.queue;
    if (head <= facts.asked_after) return found;
    if (facts.examine.has_value() && live) {
      found.verdict = (*facts.examine)(head, outline.birth, &found.op);
      return found;
    }
  }
  found.whole = rows.row(row);
  const EntryState entry{.entity = run.entity,
                         .head = head,
                         .live = live,
                         .birth = found.whole->birth,
                         .ended = found.whole->ended,
                         .stays = run.keys->StaysOf(*found.whole, &stays_)};
  if (!facts.queue.has_value()) {
    found.queue = queues_.Of(entry, marks_.ShownAtCut(entry));
    if (head <= AskedAfter(found.queue)) return found;
  }
  found.verdict = marks_.Examine(entry, &instruction_);
  found.op = instruction_.op;
  return found;
}

Result<size_t> PageFiller::TakePlain(const LogRun& run, const RunFacts& facts, size_t from) {
  if (!facts.queue.has_value() || !facts.examine.has_value() || !written_.empty()) return from;
  std::vector<Instruction>& instructions = workspace_.instructions;
  const std::vector<RowOutline>& outlines = workspace_.outlines;
  const size_t limit =
      std::min(outlines.size(), from + (options_.records_max - instructions.size()));
  size_t bytes = bytes_;
  size_t at = from;
  for (; at < limit; ++at) {
    const RowOutline& row = outlines[at];
    RowOp op = RowOp::kCreated;
    if (row.op == RowOp::kDelete || row.sequence <= facts.asked_after ||
        (*facts.examine)(row.sequence, row.birth, &op) != Verdict::kHandOut) {
      break;
    }
    const size_t grown = bytes + row.id_bytes + row.value_bytes;
    if (grown > options_.bytes_max && !instructions.empty()) break;
    if (at == from) TIDEMARK_RETURN_IF_ERROR(NameEntity(run.entity));
    bytes = grown;
    workspace_.picked.push_back({.row = run.picked[at], .op = op});
    Instruction& instruction = instructions.emplace_back();
    instruction.op = op;
    instruction.place = row.sequence;
    instruction.birth = row.birth;
  }
  if (at == from) return at;
  taken_[*facts.queue] += at - from;
  bytes_ = bytes;
  position_ = outlines[at - 1].sequence;
  return at;
}

Status PageFiller::TakeRun(const LogRun& run) {
  const RunFacts facts = FactsOf(run);
  const std::vector<RowOutline>& outlines = workspace_.outlines;
  run.rows->Outline(run.picked, &workspace_.outlines);
  for (size_t i = 0; i < outlines.size() && !more_;) {
    TIDEMARK_ASSIGN_OR_RETURN(const size_t rest, TakePlain(run, facts, i));
    if (rest == i) {
      TIDEMARK_RETURN_IF_ERROR(TakeOne(run, facts, i));
      ++i;
    } else {
      i = rest;
    }
    if (IsFull() && workspace_.instructions.size() < queues_.left(queue_)) more_ = true;
  }
  Flush(*run.rows);
  return {};
}

Status PageFiller::TakeOne(const LogRun& run, const RunFacts& facts, size_t index) {
  const uint16_t row = run.picked[index];
  const RowOutline& outline = workspace_.outlines[index];
  const Finding found = Examine(run, facts, row, outline);
  if (found.verdict == Verdict::kHandOut) {
    if (IsFull() || !HasRoomFor(outline, found.op != RowOp::kDelete)) {
      more_ = true;
      return {};
    }
    TIDEMARK_RETURN_IF_ERROR(Take(run, row, outline, found));
  } else if (found.verdict == Verdict::kWithheld) {
    marks_.NoteWithheld();
  }
  position_ = outline.sequence;
  return {};
}

Status PageFiller::Take(const LogRun& run,
                        uint16_t row,
                        const RowOutline& outline,
                        const Finding& found) {
  TIDEMARK_RETURN_IF_ERROR(NameEntity(run.entity));
  ++taken_[found.queue];
  if (found.whole.has_value()) {
    Flush(*run.rows);
    AddAny(*found.whole);
    return {};
  }
  workspace_.picked.push_back({.row = row, .op = found.op});
  workspace_.instructions.push_back(
      {.op = found.op, .place = outline.sequence, .birth = outline.birth, .older = {}});
  bytes_ += outline.id_bytes + outline.value_bytes;
  return {};
}

bool PageFiller::HasRoomFor(const RowOutline& outline, bool with_value) const {
  if (workspace_.instructions.empty()) return true;
  const size_t bytes = outline.id_bytes + (with_value ? outline.value_bytes : 0);
  return bytes_ + bytes <= options_.bytes_max;
}

Status PageFiller::NameEntity(EntityNumber entity) {
  if (!workspace_.instructions.empty() && entity == named_entity_) return {};
  const auto info = store_.FindEntity(entity);
  if (!info.has_value()) return {ErrorCode::kInternal, "an entry without its entity"};
  named_entity_ = entity;
  name_ = workspace_.builder.Entity(info->name, info->declaration.kind);
  return {};
}

void PageFiller::AddAny(const BatchRow& row) {
  const std::string_view value = instruction_.deleted() ? std::string_view() : row.value;
  // Of a record that left the selection nothing is told but its id.
  const bool left = instruction_.deleted() && row.op != RowOp::kDelete;
  workspace_.builder.Add({.entity = name_,
                          .op = instruction_.op,
                          .id_form = row.id_form,
                          .value_kind = left ? ValueKind::kBytes : row.value_kind,
                          .sequence = instruction_.place,
                          .birth = instruction_.birth,
                          .superseded = {},
                          .id = row.id,
                          .value = value,
                          .writer_time = left ? std::nullopt : row.writer_time,
                          .ended = {},
                          .origin_birth = {},
                          .origin_head = {}});
  bytes_ += row.id.size() + value.size();
  workspace_.instructions.push_back(instruction_);
}

void PageFiller::Flush(const BatchView& rows) {
  if (workspace_.picked.empty()) return;
  workspace_.builder.AddPicked(rows, workspace_.picked, name_);
  workspace_.picked.clear();
}

}  // namespace tidemark::internal
