// Why a device was, or was not, sent a record (contract 40).
#include <algorithm>
#include <string>
#include <utility>

#include "replication/internal/source_impl.h"
#include "replication/internal/why_argument.h"

namespace tidemark {
namespace {

/// Every life of the id that a device may hold, increasing.
std::vector<SequenceNumber> LivesOf(const IdHistory& history) {
  std::vector<SequenceNumber> births;
  for (const EndedStay& life : history.ended) births.push_back(life.birth);
  if (history.live) births.push_back(history.birth);
  std::sort(births.begin(), births.end());
  return births;
}

Result<EntityNumber> NumberOf(const Store& store, std::string_view name) {
  if (const auto info = store.FindEntity(name)) return info->number;
  for (const EntityInfo& info : store.ListEntities(/*dropped=*/true)) {
    if (info.name == name) return info.number;
  }
  return {ErrorCode::kNotFound, "there is no entity " + std::string(name)};
}

// The session that is read has not come to the entry, as its view shows it.
bool IsAhead(const Device& device, const EntryState& entry) {
  const SessionQueues& queues = device.session->view.queues;
  return !queues.IsBehind(queues.Of(entry, device.marks.ShownAtCut(entry)), entry.head);
}

}  // namespace

Result<DeliveryExplanation> Source::Impl::Explain(std::string_view device_id,
                                                  std::string_view entity,
                                                  const RecordId& id) {
  const DevicePtr device = Find(device_id);
  if (device == nullptr) {
    return {ErrorCode::kNotFound, "there is no device " + std::string(device_id)};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const EntityNumber number, NumberOf(store_, entity));
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(id.text()));
  const auto named = [&](DeliveryExplanation explanation) {
    explanation.device = device_id;
    explanation.entity = entity;
    explanation.id = id.text();
    return explanation;
  };
  if (IsLocal(number)) {  // marks know nothing of it
    WhyFacts facts;
    facts.local = true;
    TIDEMARK_ASSIGN_OR_RETURN(facts.history, store_.FindHistory(number, id));
    return named(Argue(facts));
  }
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  TIDEMARK_ASSIGN_OR_RETURN(const auto history, store_.FindHistory(number, id));
  // Later than the history, and no lower than the cut of any session the device began.
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store_.PinCut());

  const DeviceMarks& marks = device->marks;
  WhyFacts facts;
  facts.forgotten = device->descriptor.forgotten;
  facts.reset_pending = marks.reset_pending() || device->descriptor.epoch != CurrentEpoch().tag;
  facts.sessions = marks.session();
  facts.floor = marks.floor();
  DeviceMarks next = marks;
  next.Select(device->Resolve(store_));
  const Selection selection = next.selection();
  facts.selected = selection.Touches(number);
  if (facts.reset_pending) next.Reset();
  next.StartSession(cut->sequence());
  if (history.has_value()) {
    const EntryState entry{.entity = number,
                           .head = history->head,
                           .live = history->live,
                           .birth = history->birth,
                           .ended = history->ended,
                           .stays = history->stays};
    facts.selected = Shows(selection, entry) || (!entry.live && selection.Touches(number));
    facts.history = *history;
    facts.next = next.Owed(entry);
    facts.acknowledged = history->live && next.HasLasting(entry);
    facts.held = (history->live && next.HoldsLasting(entry)) ||
                 std::any_of(history->ended.begin(),
                             history->ended.end(),
                             [&](const EndedStay& life) { return next.Held(number, life); });
    facts.unconfirmed = marks.Unacknowledged(LivesOf(*history));
    facts.changed_after_cut = IsReading(*device) && history->head > marks.session_cut();
    facts.to_be_read = IsReading(*device) && !facts.changed_after_cut && IsAhead(*device, entry) &&
                       marks.Owed(entry).has_value();
  }
  facts.session_cut = marks.session_cut();

  return named(Argue(facts));
}

}  // namespace tidemark
