#include "replication/internal/page_filler.h"

#include <utility>

namespace tidemark::internal {

Status PageFiller::Fill(LogCursor* cursor) {
  while (!more_ && cursor->NextRun()) TIDEMARK_RETURN_IF_ERROR(TakeRun(cursor->run()));
  return cursor->status();
}

PageFiller::Finding PageFiller::Examine(const LogRun& run, const RunFacts& facts, uint16_t row) {
  const BatchView& rows = *run.rows;
  const SequenceNumber head = rows.sequence(row);
  const bool live = rows.op(row) != RowOp::kDelete;
  Finding found;
  if (!written_.empty() && written_.contains({run.entity, std::string(rows.id(row))})) return found;
  if (facts.queue.has_value()) {
    found.queue = *facts.queue;
    if (!MayHandOut(found.queue, head)) return found;
    if (facts.examine.has_value() && live) {
      found.verdict = (*facts.examine)(head, rows.birth(row), &found.op);
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
    if (!MayHandOut(found.queue, head)) return found;
  }
  found.verdict = marks_.Examine(entry, &instruction_);
  found.op = instruction_.op;
  return found;
}

Status PageFiller::TakeRun(const LogRun& run) {
  const BatchView& rows = *run.rows;
  RunFacts facts{.examine = {}, .queue = queues_.OfAll(run.entity)};
  if (!rows.has_ended()) {
    if (const auto examine = marks_.ExamineLive(run.entity)) facts.examine.emplace(*examine);
  }
  for (const uint16_t row : run.picked) {
    const Finding found = Examine(run, facts, row);
    if (found.verdict == Verdict::kHandOut) {
      if (IsFull() || !HasRoomFor(rows, row, found.op != RowOp::kDelete)) {
        more_ = true;
        break;
      }
      TIDEMARK_RETURN_IF_ERROR(Take(run, row, found));
    } else if (found.verdict == Verdict::kWithheld) {
      marks_.NoteWithheld();
    }
    position_ = rows.sequence(row);
    if (IsFull() && workspace_.instructions.size() < queues_.left(queue_)) {
      more_ = true;
      break;
    }
  }
  Flush(rows);
  return {};
}

Status PageFiller::Take(const LogRun& run, uint16_t row, const Finding& found) {
  const BatchView& rows = *run.rows;
  TIDEMARK_RETURN_IF_ERROR(NameEntity(run.entity));
  ++taken_[found.queue];
  if (found.whole.has_value()) {
    Flush(rows);
    AddAny(*found.whole);
  } else {
    AddLive(rows.sequence(row), rows.birth(row), row, found.op);
    bytes_ += rows.payload_bytes(row);
  }
  return {};
}

bool PageFiller::HasRoomFor(const BatchView& rows, uint16_t row, bool with_value) const {
  if (workspace_.instructions.empty()) return true;
  const size_t bytes = with_value ? rows.payload_bytes(row) : rows.id(row).size();
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

void PageFiller::AddLive(SequenceNumber head, SequenceNumber birth, uint16_t row, RowOp op) {
  workspace_.picked.push_back({.row = row, .op = op});
  workspace_.instructions.push_back({.op = op, .place = head, .birth = birth, .older = {}});
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
