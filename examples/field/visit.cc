#include "examples/field/visit.h"

#include "format/json.h"

namespace tidemark::examples {
namespace {

constexpr uint64_t kVillages = 900;

/// What all records of a campaign say of themselves.
void WriteCommon(JsonWriter* out,
                 const std::string& id,
                 const std::string& worker,
                 uint64_t revision) {
  out->Key("clientReferenceId").String(id);
  out->Key("tenantId").String("mz");
  out->Key("rowVersion").Unsigned(revision);
  out->Key("isDeleted").Bool(false);
  out->Key("clientAuditDetails").BeginObject().Key("createdBy").String(worker);
  out->Key("createdTime").Unsigned(1'725'148'800'000 + revision);
  out->Key("lastModifiedBy").String(worker).EndObject();
  out->Key("additionalFields").BeginObject().Key("schema").String("HCM");
  out->Key("version").Unsigned(1).Key("fields").BeginArray().BeginObject();
  out->Key("key").String("appVersion").Key("value").String("2.1").EndObject().EndArray();
  out->EndObject();
}

std::string Individual(const std::string& id, const std::string& worker, uint64_t dice) {
  static const char* const kNames[] = {"Maria", "João", "Ana", "Nguyễn", "Zé", "Amélia"};
  JsonWriter out;
  out.BeginObject();
  WriteCommon(&out, id, worker, 1);
  out.Key("name").BeginObject().Key("givenName").String(kNames[dice % 6]);
  out.Key("familyName").String(kNames[dice / 6 % 6]).EndObject();
  out.Key("dateOfBirth").String("25/01/" + std::to_string(1930 + dice % 95));
  out.Key("gender").String(dice % 2 == 0 ? "FEMALE" : "MALE");
  out.Key("mobileNumber").String(std::to_string(800'000'000 + dice % 100'000'000));
  return out.EndObject().Take();
}

std::string Member(const std::string& id,
                   const std::string& worker,
                   const std::string& household,
                   const std::string& individual,
                   bool is_head) {
  JsonWriter out;
  out.BeginObject();
  WriteCommon(&out, id, worker, 1);
  out.Key("householdClientReferenceId").String(household);
  out.Key("individualClientReferenceId").String(individual);
  out.Key("isHeadOfHousehold").Bool(is_head);
  return out.EndObject().Take();
}

std::string Delivery(const std::string& id,
                     const std::string& worker,
                     const std::string& household) {
  JsonWriter out;
  out.BeginObject();
  WriteCommon(&out, id, worker, 1);
  out.Key("householdClientReferenceId").String(household);
  out.Key("status").String("ADMINISTRATION_SUCCESS");
  out.Key("resources").BeginArray().BeginObject().Key("productVariantId").String("PVAR-BEDNET");
  out.Key("quantity").Unsigned(2).Key("isDelivered").Bool(true).EndObject().EndArray();
  return out.EndObject().Take();
}

}  // namespace

std::string HouseholdRecord(const std::string& household,
                            const std::string& worker,
                            uint64_t members,
                            uint64_t revision) {
  const uint64_t village = std::hash<std::string>()(household) % kVillages;
  JsonWriter out;
  out.BeginObject();
  WriteCommon(&out, household, worker, revision);
  out.Key("memberCount").Unsigned(members);
  out.Key("address").BeginObject().Key("locality").String("VIL" + std::to_string(village));
  out.Key("type").String("PERMANENT").Key("locationAccuracy").Double(21.3).EndObject();
  return out.EndObject().Take();
}

Visit RegisterHousehold(const std::string& household,
                        const std::string& worker,
                        std::mt19937_64* random) {
  Visit visit{.household = household, .records = {}};
  const auto put = [&](std::string_view entity, const std::string& id, const std::string& value) {
    visit.records.Put(entity, RecordId(id), value, ValueKind::kJson);
    visit.bytes += value.size();
  };
  const uint64_t members = 1 + (*random)() % 7;
  put("household", household, HouseholdRecord(household, worker, members, 1));
  for (uint64_t i = 0; i < members; ++i) {
    const std::string number = std::to_string(i);
    const std::string individual = std::string(household).append("-i").append(number);
    put("individual", individual, Individual(individual, worker, (*random)()));
    const std::string member = std::string(household).append("-m").append(number);
    put("household_member", member, Member(member, worker, household, individual, i == 0));
  }
  const std::string task = household + "-t";
  put("task", task, Delivery(task, worker, household));
  return visit;
}

}  // namespace tidemark::examples
