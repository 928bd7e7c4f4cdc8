#include "server/id_pool_json.h"

#include <limits>
#include <optional>
#include <utility>

#include "format/json.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kNumberMax = std::numeric_limits<int64_t>::max();

void WriteRanges(JsonWriter* out, const std::vector<IdRange>& ranges) {
  out->BeginArray();
  for (const IdRange& range : ranges) {
    out->BeginObject().Key("from").Unsigned(range.from).Key("to").Unsigned(range.to).EndObject();
  }
  out->EndArray();
}

void WriteTime(JsonWriter* out, const std::optional<int64_t>& time) {
  out->Key("expires_at");
  if (time) {
    out->Integer(*time);
  } else {
    out->Null();
  }
}

void WriteHolder(JsonWriter* out, const IdHolder& holder) {
  out->Key("device").String(holder.device).Key("user").String(holder.user);
}

void WriteDefinition(JsonWriter* out, const IdPoolDefinition& definition) {
  out->Key("from").Unsigned(definition.range.from).Key("to").Unsigned(definition.range.to);
  out->Key("digits").Unsigned(definition.digits);
  out->Key("block_max").Unsigned(definition.block_max);
  out->Key("expires_after").Unsigned(definition.expires_after_s);
  out->Key("per_day").Unsigned(definition.per_day);
  out->Key("per_holder").Unsigned(definition.per_holder);
  if (definition.low_mark) out->Key("low_mark").Unsigned(*definition.low_mark);
}

/// The member of a holder that `field` is; false for another one.
Result<bool> ReadHolderMember(const JsonField& field, IdHolder* holder) {
  if (field.name == "device") {
    TIDEMARK_ASSIGN_OR_RETURN(holder->device, ReadText(field));
    return true;
  }
  if (field.name == "user") {
    TIDEMARK_ASSIGN_OR_RETURN(holder->user, ReadText(field));
    return true;
  }
  return false;
}

Status NeedDevice(std::string_view own, IdHolder* holder) {
  if (holder->device.empty()) holder->device = own;
  if (holder->device.empty()) return FieldError("device", "must be given");
  return {};
}

Result<HeldLease> ReadHeldLease(const JsonField& element) {
  if (element.type != JsonType::kObject) return FieldError("leases", "must hold objects");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(element.text));
  std::optional<uint64_t> lease;
  std::optional<uint64_t> used;
  for (const JsonField& field : fields) {
    if (field.name == "lease") {
      TIDEMARK_ASSIGN_OR_RETURN(lease, ReadUnsigned(field, kNumberMax));
    } else if (field.name == "used") {
      TIDEMARK_ASSIGN_OR_RETURN(used, ReadUnsigned(field, kNumberMax));
    } else {
      return UnknownMember(field);
    }
  }
  if (!lease) return FieldError("lease", "must be given");
  if (!used) return FieldError("used", "must be given");
  return HeldLease{*lease, *used};
}

Status NoAnswer() {
  return {ErrorCode::kUnavailable, "what answered is no Tidemark server"};
}

Result<std::vector<IdRange>> ReadRanges(const std::optional<JsonField>& field) {
  if (!field || field->type != JsonType::kArray) return NoAnswer();
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(field->text));
  std::vector<IdRange> ranges;
  for (const JsonField& element : elements) {
    if (element.type != JsonType::kObject) return NoAnswer();
    TIDEMARK_ASSIGN_OR_RETURN(const auto ends, ReadJsonFields(element.text, {"from", "to"}));
    const bool good =
        ends[0] && ends[1] && ends[0]->integer >= 0 && ends[1]->integer > ends[0]->integer;
    if (!good) return NoAnswer();
    ranges.push_back(
        {static_cast<uint64_t>(ends[0]->integer), static_cast<uint64_t>(ends[1]->integer)});
  }
  return ranges;
}

uint64_t NumberOf(const std::optional<JsonField>& field) {
  return field && field->integer > 0 ? static_cast<uint64_t>(field->integer) : 0;
}

}  // namespace

// --- What is told ---

std::string IdPoolToJson(const IdPoolInfo& pool) {
  JsonWriter out;
  out.BeginObject().Key("id").String(pool.name);
  WriteDefinition(&out, pool.definition);
  out.Key("free").Unsigned(pool.free).Key("reclaimed").Unsigned(pool.reclaimed);
  out.Key("held").Unsigned(pool.held).Key("used").Unsigned(pool.used);
  out.Key("lost").Unsigned(pool.lost).Key("leases").Unsigned(pool.leases);
  out.Key("low").Bool(pool.low).Key("suspended").Bool(pool.suspended).EndObject();
  return out.Take();
}

std::string IdHolderToJson(const IdHolderInfo& holder) {
  JsonWriter out;
  out.BeginObject();
  WriteHolder(&out, holder.holder);
  out.Key("leases").Unsigned(holder.leases).Key("held").Unsigned(holder.held);
  out.Key("used").Unsigned(holder.used).Key("leased_today").Unsigned(holder.leased_today);
  out.EndObject();
  return out.Take();
}

std::string IdLeaseInfoToJson(const IdLeaseInfo& lease) {
  JsonWriter out;
  out.BeginObject().Key("id").Unsigned(lease.number).Key("ranges");
  WriteRanges(&out, lease.ranges);
  out.Key("count").Unsigned(CountIds(lease.ranges)).Key("used").Unsigned(lease.used);
  out.Key("leased_at").Integer(lease.leased_at);
  WriteTime(&out, lease.expires_at);
  out.Key("void").Bool(lease.voided).EndObject();
  return out.Take();
}

std::string IdLeaseToJson(const IdLease& lease) {
  JsonWriter out;
  out.BeginObject().Key("lease").Unsigned(lease.number).Key("ranges");
  WriteRanges(&out, lease.ranges);
  out.Key("count").Unsigned(lease.count()).Key("digits").Unsigned(lease.digits);
  WriteTime(&out, lease.expires_at);
  out.Key("pool_free").Unsigned(lease.free).Key("pool_low").Bool(lease.low).EndObject();
  return out.Take();
}

std::string VoidLeasesToJson(const std::vector<VoidLease>& leases) {
  JsonWriter out;
  out.BeginObject().Key("void").BeginArray();
  for (const VoidLease& lease : leases) {
    out.BeginObject().Key("lease").Unsigned(lease.lease).Key("conflicts");
    WriteRanges(&out, lease.conflicts);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

std::string IdPoolDefinitionToJson(const IdPoolDefinition& definition) {
  JsonWriter out;
  out.BeginObject();
  WriteDefinition(&out, definition);
  out.EndObject();
  return out.Take();
}

std::string WriteIdReclaimBody(const IdReclaim& reclaim) {
  JsonWriter out;
  out.BeginObject();
  WriteHolder(&out, reclaim.holder);
  if (reclaim.lease) out.Key("lease").Unsigned(*reclaim.lease);
  out.EndObject();
  return out.Take();
}

std::string WriteIdLeaseBody(const IdLeaseRequest& request) {
  JsonWriter out;
  out.BeginObject();
  WriteHolder(&out, request.holder);
  out.Key("count").Unsigned(request.count);
  out.Key("request_id").String(request.request_id).EndObject();
  return out.Take();
}

std::string WriteIdReportBody(const IdReport& report) {
  JsonWriter out;
  out.BeginObject();
  WriteHolder(&out, report.holder);
  out.Key("leases").BeginArray();
  for (const HeldLease& lease : report.leases) {
    out.BeginObject().Key("lease").Unsigned(lease.lease).Key("used").Unsigned(lease.used);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

// --- Bodies ---

Result<IdPoolDefinition> IdPoolDefinitionFromJson(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  IdPoolDefinition definition;
  std::optional<uint64_t> from;
  std::optional<uint64_t> to;
  for (const JsonField& field : fields) {
    if (field.name == "low_mark" && field.type == JsonType::kNull) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const uint64_t number, ReadUnsigned(field, kNumberMax));
    if (field.name == "from") {
      from = number;
    } else if (field.name == "to") {
      to = number;
    } else if (field.name == "digits") {
      if (number > kIdDigitsMax) {
        return FieldError(field.name, "must be at most " + std::to_string(kIdDigitsMax));
      }
      definition.digits = static_cast<uint32_t>(number);
    } else if (field.name == "block_max") {
      definition.block_max = number;
    } else if (field.name == "expires_after") {
      definition.expires_after_s = number;
    } else if (field.name == "per_day") {
      definition.per_day = number;
    } else if (field.name == "per_holder") {
      definition.per_holder = number;
    } else if (field.name == "low_mark") {
      definition.low_mark = number;
    } else {
      return UnknownMember(field);
    }
  }
  if (!from) return FieldError("from", "must be given");
  if (!to) return FieldError("to", "must be given");
  definition.range = {*from, *to};
  return definition;
}

Result<IdLeaseRequest> IdLeaseRequestFromJson(std::string_view json, std::string_view own) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  IdLeaseRequest request;
  for (const JsonField& field : fields) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool read, ReadHolderMember(field, &request.holder));
    if (read) continue;
    if (field.name == "count") {
      TIDEMARK_ASSIGN_OR_RETURN(request.count, ReadUnsigned(field, kNumberMax));
    } else if (field.name == "request_id") {
      TIDEMARK_ASSIGN_OR_RETURN(request.request_id, ReadText(field));
    } else {
      return UnknownMember(field);
    }
  }
  TIDEMARK_RETURN_IF_ERROR(NeedDevice(own, &request.holder));
  return request;
}

Result<IdReport> IdReportFromJson(std::string_view json, std::string_view own) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  IdReport report;
  for (const JsonField& field : fields) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool read, ReadHolderMember(field, &report.holder));
    if (read) continue;
    if (field.name != "leases") return UnknownMember(field);
    if (field.type != JsonType::kArray) return FieldError(field.name, "must be an array");
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(field.text));
    for (const JsonField& element : elements) {
      TIDEMARK_ASSIGN_OR_RETURN(const HeldLease held, ReadHeldLease(element));
      report.leases.push_back(held);
    }
  }
  TIDEMARK_RETURN_IF_ERROR(NeedDevice(own, &report.holder));
  if (report.leases.empty()) return FieldError("leases", "must be given");
  return report;
}

Result<IdReclaim> IdReclaimFromJson(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  IdReclaim reclaim;
  for (const JsonField& field : fields) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool read, ReadHolderMember(field, &reclaim.holder));
    if (read) continue;
    if (field.name != "lease") return UnknownMember(field);
    TIDEMARK_ASSIGN_OR_RETURN(reclaim.lease, ReadUnsigned(field, kNumberMax));
  }
  TIDEMARK_RETURN_IF_ERROR(NeedDevice({}, &reclaim.holder));
  return reclaim;
}

// --- Answers ---

Result<IdLease> IdLeaseFromJson(std::string_view data) {
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto fields,
      ReadJsonFields(data, {"lease", "ranges", "digits", "expires_at", "pool_free", "pool_low"}));
  IdLease lease;
  lease.number = NumberOf(fields[0]);
  TIDEMARK_ASSIGN_OR_RETURN(lease.ranges, ReadRanges(fields[1]));
  const uint64_t digits = NumberOf(fields[2]);
  if (lease.number == 0 || digits > kIdDigitsMax) return NoAnswer();
  lease.digits = static_cast<uint32_t>(digits);
  if (fields[3] && fields[3]->type == JsonType::kInteger) lease.expires_at = fields[3]->integer;
  lease.free = NumberOf(fields[4]);
  lease.low = fields[5] && fields[5]->boolean;
  return lease;
}

Result<std::vector<VoidLease>> VoidLeasesFromJson(std::string_view data) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(data, {"void"}));
  if (!fields[0] || fields[0]->type != JsonType::kArray) return NoAnswer();
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(fields[0]->text));
  std::vector<VoidLease> leases;
  for (const JsonField& element : elements) {
    if (element.type != JsonType::kObject) return NoAnswer();
    TIDEMARK_ASSIGN_OR_RETURN(const auto members,
                              ReadJsonFields(element.text, {"lease", "conflicts"}));
    TIDEMARK_ASSIGN_OR_RETURN(std::vector<IdRange> conflicts, ReadRanges(members[1]));
    leases.push_back({NumberOf(members[0]), std::move(conflicts)});
  }
  return leases;
}

}  // namespace tidemark::server
