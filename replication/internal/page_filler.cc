#include "replication/internal/page_filler.h"

#include <optional>

namespace tidemark::internal {

Status PageFiller::Fill(LogCursor* cursor, uint64_t left) {
  while (!more_ && cursor->NextRun()) TIDEMARK_RETURN_IF_ERROR(TakeRun(cursor->run(), left));
  return cursor->status();
}

Status PageFiller::TakeRun(const LogRun& run, uint64_t left) {
  const BatchView& rows = *run.rows;
  const auto examine = marks_.ExamineLive(run.entity);
  const bool plain = examine.has_value() && !rows.has_ended();
  for (const uint16_t row : run.picked) {
    const SequenceNumber head = rows.sequence(row);
    const SequenceNumber birth = rows.birth(row);
    const bool live = rows.op(row) != RowOp::kDelete;
    Verdict verdict = Verdict::kNothing;
    RowOp op = RowOp::kCreated;
    std::optional<BatchRow> whole;
    if (plain && live) {
      verdict = (*examine)(head, birth, &op);
    } else {
      whole = rows.row(row);
      verdict = marks_.Examine({.entity = run.entity,
                                .head = head,
                                .live = live,
                                .birth = birth,
                                .ended = whole->ended,
                                .stays = run.keys->StaysOf(*whole, &stays_)},
                               &instruction_);
      op = instruction_.op;
    }
    if (verdict == Verdict::kHandOut) {
      const std::vector<Instruction>& taken = workspace_.instructions;
      if (taken.size() == options_.records_max || !HasRoomFor(rows, row, op != RowOp::kDelete)) {
        more_ = true;
        break;
      }
      TIDEMARK_RETURN_IF_ERROR(NameEntity(run.entity));
      if (whole.has_value()) {
        Flush(rows);
        AddAny(*whole);
      } else {
        AddLive(head, birth, row, op);
        bytes_ += rows.payload_bytes(row);
      }
    } else if (verdict == Verdict::kWithheld) {
      marks_.NoteWithheld();
    }
    position_ = head;
    if (workspace_.instructions.size() == options_.records_max &&
        workspace_.instructions.size() < left) {
      more_ = true;
      break;
    }
  }
  Flush(rows);
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
