#include "replication/internal/device.h"

#include "format/coding.h"
#include "format/stored_row.h"
#include "replication/selection_intersection.h"

namespace tidemark {
namespace {

constexpr uint8_t kDescriptorVersion = 2;
constexpr uint8_t kDescriptorVersionWithLimit = 3;
constexpr uint8_t kDescriptorVersionOfNames = 1;  // entities only
constexpr uint8_t kGapVersion = 1;
constexpr std::string_view kDescriptorName = "a device's descriptor";
constexpr std::string_view kGapName = "the row of a gap";
constexpr uint64_t kForgotten = 1;
constexpr uint64_t kEverything = 2;

SelectionRule ReadNames(ByteReader* reader, bool everything) {
  std::vector<std::string> names;
  const uint64_t count = reader->Varint();
  for (uint64_t i = 0; i < count && reader->ok(); ++i) names.emplace_back(reader->Bytes());
  return everything ? SelectionRule::Everything() : SelectionRule::Entities(names);
}

Selection ResolveBoth(const Store& store, const SelectionRule& rule, const SelectionRule* limit) {
  if (limit == nullptr) return tidemark::Resolve(store, rule);
  const auto both = Intersect(store, rule, *limit);
  return both.ok() ? tidemark::Resolve(store, *both) : Selection::Nothing();
}

}  // namespace

std::string EncodeDescriptor(const DeviceDescriptor& descriptor) {
  // One without a limit is what older builds read, too.
  const bool limited = descriptor.limit.has_value();
  std::string out(1, static_cast<char>(limited ? kDescriptorVersionWithLimit : kDescriptorVersion));
  AppendBytes(&out, descriptor.id);
  AppendVarint(&out, descriptor.number);
  AppendVarint(&out, descriptor.epoch);
  AppendVarint(&out, descriptor.forgotten ? kForgotten : 0);
  AppendBytes(&out, SelectionRuleToJson(descriptor.rule));
  AppendBytes(&out, descriptor.incarnation);
  AppendVarint(&out, descriptor.acked_session);
  AppendVarint(&out, descriptor.acked_page);
  if (limited) AppendBytes(&out, SelectionRuleToJson(*descriptor.limit));
  return out;
}

Result<DeviceDescriptor> DecodeDescriptor(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_ASSIGN_OR_RETURN(const uint8_t version,
                            ReadRowVersion(&reader, kDescriptorVersionWithLimit, kDescriptorName));
  DeviceDescriptor descriptor;
  descriptor.id = reader.Bytes();
  descriptor.number = static_cast<uint32_t>(reader.Varint());
  descriptor.epoch = reader.Varint();
  const uint64_t flags = reader.Varint();
  descriptor.forgotten = (flags & kForgotten) != 0;
  if (version != kDescriptorVersionOfNames) {
    TIDEMARK_ASSIGN_OR_RETURN(descriptor.rule, SelectionRuleFromJson(reader.Bytes()));
  } else {
    descriptor.rule = ReadNames(&reader, (flags & kEverything) != 0);
  }
  descriptor.incarnation = reader.Bytes();
  descriptor.acked_session = reader.Varint();
  descriptor.acked_page = reader.Varint();
  if (version == kDescriptorVersionWithLimit) {
    TIDEMARK_ASSIGN_OR_RETURN(descriptor.limit, SelectionRuleFromJson(reader.Bytes()));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kDescriptorName));
  return descriptor;
}

std::string DescriptorKey(std::string_view id) {
  return std::string(kDescriptorPrefix) + std::string(id);
}

std::string MarksKey(uint32_t number, std::string_view row) {
  std::string key(kMarksPrefix);
  AppendBigEndian32(&key, number);
  key.append(row);
  return key;
}

std::string EncodeGap(const PendingGap& gap) {
  std::string out(1, static_cast<char>(kGapVersion));
  AppendBytes(&out, gap.entity);
  AppendVarint(&out, gap.range.first.value());
  AppendVarint(&out, gap.range.limit.value());
  AppendVarint(&out, gap.count);
  return out;
}

Result<PendingGap> DecodeGap(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kGapVersion, kGapName).status());
  PendingGap gap;
  gap.entity = reader.Bytes();
  gap.range.first = reader.Sequence();
  gap.range.limit = reader.Sequence();
  gap.count = reader.Varint();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kGapName));
  return gap;
}

std::string GapKey(uint32_t device, EntityNumber entity) {
  std::string key(kGapsPrefix);
  AppendBigEndian32(&key, device);
  AppendBigEndian32(&key, entity);
  return key;
}

std::optional<std::pair<uint32_t, EntityNumber>> ParseGapKey(std::string_view key) {
  if (!key.starts_with(kGapsPrefix)) return std::nullopt;
  ByteReader reader(key.substr(kGapsPrefix.size()));
  const uint32_t device = reader.BigEndian32();
  const EntityNumber entity = reader.BigEndian32();
  if (!reader.Finished()) return std::nullopt;
  return std::pair(device, entity);
}

const Selection& Device::Resolve(const Store& store) {
  // Read first: what is declared meanwhile is resolved the next time.
  const uint64_t version = store.entities_version();
  if (version != resolved_version) {
    const SelectionRule* limit = descriptor.limit.has_value() ? &*descriptor.limit : nullptr;
    resolved = ResolveBoth(store, descriptor.rule, limit);
    resolved_version = version;
  }
  return resolved;
}

Selection Device::ResolveFor(const Store& store, const SelectionRule* caller) {
  if (caller == nullptr || descriptor.limit == *caller) return Resolve(store);
  if (!descriptor.limit.has_value()) return ResolveBoth(store, descriptor.rule, caller);
  const auto limit = Intersect(store, *descriptor.limit, *caller);
  return limit.ok() ? ResolveBoth(store, descriptor.rule, &*limit) : Selection::Nothing();
}

void Device::SaveTo(WriteBatch* batch, bool with_descriptor) {
  if (with_descriptor) {
    batch->SetRow(DescriptorKey(descriptor.id), EncodeDescriptor(descriptor));
  }
  for (const MarksRow& row : marks.TakeRows()) {
    const std::string key = MarksKey(descriptor.number, row.key);
    if (row.value.has_value()) {
      batch->SetRow(key, *row.value);
    } else {
      batch->DeleteRow(key);
    }
  }
  for (const EntityNumber entity : std::exchange(changed_gaps, {})) {
    const std::string key = GapKey(descriptor.number, entity);
    if (const auto gap = gaps.find(entity); gap != gaps.end()) {
      batch->SetRow(key, EncodeGap(gap->second));
    } else {
      batch->DeleteRow(key);
    }
  }
}

void Device::ForgetToldGaps() {
  for (const auto& [entity, told] : std::exchange(session->told, {})) {
    const auto found = gaps.find(entity);
    if (found == gaps.end()) continue;
    PendingGap& gap = found->second;
    gap.range.first = told.range.limit;
    gap.count -= told.count;
    if (gap.count == 0) gaps.erase(found);
    changed_gaps.push_back(entity);
  }
}

void Device::ForgetAllGaps() {
  for (const auto& [entity, gap] : gaps) changed_gaps.push_back(entity);
  gaps.clear();
}

}  // namespace tidemark
