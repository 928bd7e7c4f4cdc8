#include "server/upload_requests.h"

#include <limits>
#include <optional>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

Result<std::vector<std::string>> ReadRecords(const JsonField& field) {
  if (field.type != JsonType::kArray) return FieldError(field.name, "must be an array");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements,
                            ReadJsonArray(field.text, kJsonDepthMax + 1));
  std::vector<std::string> records;
  records.reserve(elements.size());
  for (const JsonField& element : elements) records.push_back(FieldToJson(element));
  return records;
}

Result<std::map<std::string, uint64_t>> ReadExpectedPages(const JsonField& field) {
  if (field.type != JsonType::kObject) return FieldError(field.name, "must be an object");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(field.text));
  std::map<std::string, uint64_t> expected;
  for (const JsonField& member : members) {
    Result<uint64_t> pages = ReadUnsigned(member, uint64_t{1} << 32U);
    if (!pages.ok()) return FieldError(field.name, "must count the pages of " + member.name);
    expected.emplace(member.name, *pages);
  }
  return expected;
}

}  // namespace

Result<bool> ReadStart(const http::Request& request) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadOptionalBody(request));
  bool force = false;
  for (const JsonField& member : members) {
    if (member.name != "force") return UnknownMember(member);
    TIDEMARK_ASSIGN_OR_RETURN(force, ReadBool(member));
  }
  return force;
}

Result<UploadPage> ReadUploadPage(const http::Request& request, EntityKind kind) {
  // A record stands in a list in an object.
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members,
                            ReadJsonObject(request.body, kJsonDepthMax + 2));
  UploadPage page;
  page.kind = kind;
  bool has_page = false;
  bool has_records = false;
  for (const JsonField& member : members) {
    if (member.name == "entity_name") {
      TIDEMARK_ASSIGN_OR_RETURN(page.entity, ReadText(member));
    } else if (member.name == "page_number") {
      TIDEMARK_ASSIGN_OR_RETURN(const uint64_t number,
                                ReadUnsigned(member, std::numeric_limits<uint32_t>::max()));
      page.page = static_cast<uint32_t>(number);
      has_page = true;
    } else if (member.name == "records") {
      TIDEMARK_ASSIGN_OR_RETURN(page.records, ReadRecords(member));
      has_records = true;
    } else {
      return UnknownMember(member);
    }
  }
  if (page.entity.empty()) return FieldError("entity_name", "is missing");
  if (Status named = CheckName(page.entity); !named.ok()) {
    return named.WithContext("field \"entity_name\"");
  }
  if (!has_page) return FieldError("page_number", "is missing");
  if (!has_records) return FieldError("records", "is missing");
  return page;
}

Result<FinishOptions> ReadFinish(const http::Request& request) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadOptionalBody(request));
  FinishOptions options;
  for (const JsonField& member : members) {
    if (member.name == "expected_pages") {
      TIDEMARK_ASSIGN_OR_RETURN(options.expected_pages, ReadExpectedPages(member));
    } else if (member.name == "dry_run") {
      TIDEMARK_ASSIGN_OR_RETURN(options.dry_run, ReadBool(member));
    } else if (member.name == "max_delete_share") {
      TIDEMARK_ASSIGN_OR_RETURN(options.delete_share_max, ReadShare(member));
    } else if (member.name == "force_deletes") {
      TIDEMARK_ASSIGN_OR_RETURN(options.force_deletes, ReadBool(member));
    } else {
      return UnknownMember(member);
    }
  }
  return options;
}

}  // namespace tidemark::server
