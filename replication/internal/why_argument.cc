#include "replication/internal/why_argument.h"

#include <string>
#include <utility>

namespace tidemark {
namespace {

std::string LabelOf(RowOp op) {
  if (op == RowOp::kDelete) return "deleted";
  return op == RowOp::kUpdated ? "updated" : "created";
}

std::string Number(SequenceNumber sequence) {
  return std::to_string(sequence.value());
}

std::string TellRecord(const std::optional<IdHistory>& history) {
  if (!history.has_value()) {
    return "There is no such record and nothing is kept about it: it never was, or it is gone and "
           "no device may still hold it.";
  }
  if (!history->live) {
    return "The record was deleted at " + Number(history->head) +
           "; the deletion is remembered while some device may hold the record.";
  }
  if (history->head == history->birth) {
    return "The record is there: created at " + Number(history->birth) + ", unchanged since.";
  }
  return "The record is there: created at " + Number(history->birth) + ", last changed at " +
         Number(history->head) + ".";
}

std::string TellDevice(const WhyFacts& facts) {
  if (facts.forgotten) {
    return "The device was forgotten: when it returns it is sent everything it may see.";
  }
  if (facts.reset_pending) {
    return "The device is to be reset: its next session sends everything it may see, and tells it "
           "to drop the rest.";
  }
  if (facts.sessions == 0) return "The device has not started a session yet.";
  if (facts.floor == kSequenceZero) {
    return "The device has started " + std::to_string(facts.sessions) +
           " sessions and has completed none.";
  }
  return "The device has completed a session that saw the store as of " + Number(facts.floor) + ".";
}

std::string TellSelection(bool selected) {
  return selected ? "The device's selection has the record."
                  : "The device's selection does not have the record.";
}

std::string TellUnconfirmed(const OutstandingPages::Place& place) {
  return "Session " + std::to_string(place.session) + " handed it out on page " +
         std::to_string(place.page) + " as " + LabelOf(place.instruction.op) + " (version " +
         Number(place.instruction.place) + "); no acknowledgement has arrived.";
}

std::string TellDeletion(const WhyFacts& facts) {
  const std::string held = "The device may hold the record";
  if (facts.history->live) return held + ", which it may no longer see: it is told `deleted`.";
  return held + ", which is gone: it is told `deleted`.";
}

std::string TellNext(const WhyFacts& facts) {
  if (!facts.next.has_value()) {
    if (facts.acknowledged) return "It has acknowledged the newest version: nothing is owed.";
    if (facts.history.has_value() && facts.history->live) {
      return "It holds no version of it: nothing is owed.";
    }
    return "It holds nothing of it: there is nothing to tell.";
  }
  if (facts.next->deleted()) return TellDeletion(facts);
  if (facts.next->op == RowOp::kUpdated) {
    return "It has acknowledged an older version: the newest is sent as `updated`.";
  }
  if (facts.held) {
    return "It was sent a version and acknowledged none since: the newest is sent as `created`.";
  }
  return "It has no version of it: the newest is sent as `created`.";
}

DeliveryState StateOf(const WhyFacts& facts) {
  if (facts.local) return DeliveryState::kNotSelected;
  if (facts.next.has_value()) {
    if (facts.to_be_read) return DeliveryState::kInSession;
    return facts.unconfirmed.empty() ? DeliveryState::kOwed : DeliveryState::kUnconfirmed;
  }
  if (!facts.history.has_value() || !facts.history->live) return DeliveryState::kNothingToTell;
  return facts.selected ? DeliveryState::kUpToDate : DeliveryState::kNotSelected;
}

}  // namespace

std::string_view ToString(DeliveryState state) {
  switch (state) {
    case DeliveryState::kUpToDate:
      return "up_to_date";
    case DeliveryState::kOwed:
      return "owed";
    case DeliveryState::kInSession:
      return "in_session";
    case DeliveryState::kUnconfirmed:
      return "unconfirmed";
    case DeliveryState::kNotSelected:
      return "not_selected";
    case DeliveryState::kNothingToTell:
      return "nothing_to_tell";
  }
  return "unknown";
}

DeliveryExplanation Argue(const WhyFacts& facts) {
  DeliveryExplanation explanation;
  explanation.state = StateOf(facts);
  explanation.selected = facts.selected;
  explanation.held = facts.held;
  explanation.acknowledged = facts.acknowledged;
  if (facts.history.has_value()) {
    explanation.live = facts.history->live;
    explanation.version = facts.history->head;
    if (facts.history->live) explanation.birth = facts.history->birth;
  }
  if (facts.next.has_value()) explanation.next = LabelOf(facts.next->op);

  std::vector<std::string>& reasons = explanation.reasons;
  if (facts.local) {
    reasons.emplace_back(
        "Entities whose names begin with _ are tables of the engine itself: no device is served "
        "them, whatever it is granted.");
    return explanation;
  }
  reasons.push_back(TellRecord(facts.history));
  reasons.push_back(TellDevice(facts));
  reasons.push_back(TellSelection(facts.selected));
  for (const OutstandingPages::Place& place : facts.unconfirmed) {
    explanation.unconfirmed.push_back(
        {place.session, place.page, LabelOf(place.instruction.op), place.instruction.place});
    reasons.push_back(TellUnconfirmed(place));
  }
  reasons.push_back(TellNext(facts));
  if (!facts.next.has_value()) return explanation;
  if (facts.to_be_read) reasons.emplace_back("The open session has yet to hand it out.");
  if (facts.changed_after_cut) {
    reasons.push_back("It changed after the open session began, which sees the store as of " +
                      Number(facts.session_cut) + ": the next session sends it.");
  }
  return explanation;
}

}  // namespace tidemark
