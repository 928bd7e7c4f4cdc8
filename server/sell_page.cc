#include "server/sell_page.h"

#include <optional>
#include <utility>
#include <vector>

#include "format/batch.h"
#include "format/json.h"
#include "format/record_json.h"

namespace tidemark::server {
namespace {

constexpr size_t kItemBytes = 320;  // an item without its value, roughly

/// What items of one entity have in common.
struct Label {
  std::string type;                    // as a JSON string
  std::vector<std::string> id_fields;  // several: the id is an array of them; none: of no field
  std::string with_id;                 // what a stored object that has its id usually begins with
};

std::string Quote(std::string_view text) {
  JsonWriter writer;
  writer.String(text);
  return writer.Take();
}

std::optional<EntityInfo> FindEntity(const Store& store, std::string_view name) {
  if (auto info = store.FindEntity(name)) return info;
  // Dropped entities still owe deletions, under the label that they had.
  for (EntityInfo& info : store.ListEntities(/*dropped=*/true)) {
    if (info.name == name) return std::move(info);
  }
  return std::nullopt;
}

Label LabelOf(const Store& store, std::string_view entity) {
  Label label{.type = Quote(entity), .id_fields = EntityDeclaration().id_fields};
  if (const auto info = FindEntity(store, entity)) {
    const EntityDeclaration& declared = info->declaration;
    if (!declared.type_label.empty()) label.type = Quote(declared.type_label);
    label.id_fields = declared.id_fields;
  }
  if (!label.id_fields.empty()) {
    label.with_id.append("{").append(Quote(label.id_fields.front())).append(":");
  }
  return label;
}

std::string_view TrimLeft(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

// The id fields that an object lacks, as members: `"id":7,`.
std::string MissingIdFields(std::string_view object, const BatchRow& row, const Label& label) {
  const auto fields = ReadJsonFields(object, label.id_fields);
  if (!fields.ok()) return {};
  std::vector<std::string> parts = {IdToJson(row.id, row.id_form)};
  if (fields->size() > 1) {
    parts.clear();
    const auto elements = ReadJsonArray(row.id);
    if (!elements.ok() || elements->size() != fields->size()) return {};
    for (const JsonField& element : *elements) parts.push_back(FieldToJson(element));
  }
  std::string missing;
  for (size_t i = 0; i < fields->size(); ++i) {
    if (!(*fields)[i]) missing += Quote(label.id_fields[i]) + ":" + parts[i] + ",";
  }
  return missing;
}

void AppendValue(std::string* out, const BatchRow& row, const Label& label) {
  if (row.value_kind != ValueKind::kJson) {
    *out += ValueToJson(row.value, row.value_kind);
    return;
  }
  const std::string_view value = TrimLeft(row.value);
  const size_t parts = label.id_fields.size();
  const bool complete = parts == 0 || (parts == 1 && value.starts_with(label.with_id));
  if (complete || !value.starts_with('{')) {
    *out += value;
    return;
  }
  std::string missing = MissingIdFields(value, row, label);
  const std::string_view members = TrimLeft(value.substr(1));
  if (members.starts_with('}') && !missing.empty()) missing.pop_back();  // its comma
  *out += '{';
  *out += missing;
  *out += members;
}

std::string_view EventType(RowOp op) {
  if (op == RowOp::kDelete) return "deleted";
  return op == RowOp::kCreated ? "created" : "updated";
}

void AppendItem(std::string* out,
                const BatchRow& row,
                const Label& label,
                const std::string& ack_key) {
  const std::string id = IdToJson(row.id, row.id_form);
  *out += R"({"data":)";
  if (row.op == RowOp::kDelete) {
    // `id`, whatever the entity calls it: what a client of the protocol looks for.
    *out += R"({"id":)";
    *out += id;
    *out += '}';
  } else {
    AppendValue(out, row, label);
  }
  *out += R"(,"meta":{"type":)";
  *out += label.type;
  *out += R"(,"id":)";
  *out += id;
  *out += R"(,"sync":{"event_type":")";
  *out += EventType(row.op);
  *out += R"(","ack_key":")";
  *out += ack_key;  // URL-safe: nothing in it needs an escape
  *out += R"(","revision":)";
  *out += std::to_string(row.sequence.value());
  *out += "}}}";
}

}  // namespace

Result<std::string> PageToJson(Instance& instance, std::string_view session, const Page& page) {
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView view,
                            BatchView::Parse(page.bytes, BatchKind::kPage, Trust::kChecked));
  std::vector<Label> labels;
  labels.reserve(view.entity_count());
  for (size_t i = 0; i < view.entity_count(); ++i) {
    labels.push_back(LabelOf(instance.store(), view.entity_name(static_cast<uint16_t>(i))));
  }
  const Source& source = instance.source();
  const uint64_t number = view.header().page;
  std::string json;
  json.reserve(page.bytes.size() + view.size() * kItemBytes);
  json += R"({"items":[)";
  for (size_t i = 0; i < view.size(); ++i) {
    if (i > 0) json += ',';
    const BatchRow row = view.row(i);
    const std::string_view entity = view.entity_name(row.entity);
    AppendItem(&json, row, labels[row.entity], source.AckKey(session, number, entity, row));
  }
  json += R"(],"meta":{"type":"collection","count":)";
  json += std::to_string(view.size());
  json += R"(,"count_left":)";
  json += std::to_string(page.left);
  json += R"(,"failed_objects":[]}})";
  return json;
}

}  // namespace tidemark::server
