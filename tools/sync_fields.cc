#include "tools/sync_fields.h"

#include <string>
#include <vector>

#include "format/json.h"

namespace tidemark::tools {
namespace {

std::string GapsJson(const std::vector<Gap>& gaps) {
  JsonWriter writer;
  writer.BeginArray();
  for (const Gap& gap : gaps) {
    writer.BeginObject();
    writer.Key("entity").String(gap.entity);
    writer.Key("from").Unsigned(gap.range.first.value());
    writer.Key("to").Unsigned(gap.range.limit.value());
    writer.Key("count").Unsigned(gap.count);
    writer.EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

}  // namespace

void AddPullFields(const PullResult& result, Fields* fields) {
  fields->insert(fields->end(),
                 {{"nothing_owed", result.nothing_owed},
                  {"pages", result.pages},
                  {"bytes", Cell::Bytes(result.bytes)},
                  {"created", result.created},
                  {"updated", result.updated},
                  {"deleted", result.deleted},
                  {"unchanged", result.unchanged},
                  {"reset", result.reset}});
  if (!result.gaps.empty()) fields->emplace_back("gaps", Cell::Json(GapsJson(result.gaps)));
}

void AddPushFields(const PushTotals& totals, const OutboxStatus& outbox, Fields* fields) {
  for (int i = 0; i < kPushOutcomeCount; ++i) {
    const auto outcome = static_cast<PushOutcome>(i);
    fields->emplace_back(std::string(PushOutcomeName(outcome)), totals.count(outcome));
  }
  fields->insert(fields->end(),
                 {{"pushed_bytes", Cell::Bytes(totals.bytes)},
                  {"pending", outbox.pending},
                  {"failed", outbox.failed}});
}

Status CheckRefused(const PushTotals& totals) {
  const uint64_t refused = totals.count(PushOutcome::kConflict) +
                           totals.count(PushOutcome::kInvalid) +
                           totals.count(PushOutcome::kSkipped);
  if (refused == 0) return {};
  return {ErrorCode::kConflict,
          "refused and kept in the outbox: " + std::to_string(refused) +
              "; tidemark outbox list says why"};
}

}  // namespace tidemark::tools
