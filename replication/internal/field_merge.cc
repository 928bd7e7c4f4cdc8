#include "replication/internal/field_merge.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record.h"
#include "format/record_json.h"

namespace tidemark::internal {
namespace {

using Members = std::vector<JsonField>;
using Texts = std::map<std::string, std::string>;  // of members, by name

Texts TextsOf(const Members& members) {
  Texts texts;
  for (const JsonField& member : members) texts.emplace(member.name, FieldToJson(member));
  return texts;
}

std::optional<std::string> ToList(const std::set<std::string>& names) {
  JsonWriter writer;
  writer.BeginArray();
  for (const std::string& name : names) writer.String(name);
  writer.EndArray();
  if (writer.text().size() > kChangedBytesMax) return std::nullopt;
  return writer.Take();
}

Result<std::string> Merge(const Members& current,
                          const Members& pushed,
                          std::string_view pushed_text,
                          const std::set<std::string>& changed) {
  const Texts theirs = TextsOf(current);
  const Texts own = TextsOf(pushed);
  JsonWriter writer;
  Texts merged;
  const auto add = [&](const std::string& name, const std::string& text) {
    writer.Key(name).Raw(text);
    merged.emplace(name, text);
  };
  writer.BeginObject();
  for (const JsonField& member : current) {
    const auto here = own.find(member.name);
    if (!changed.contains(member.name)) {
      add(member.name, theirs.at(member.name));
    } else if (here != own.end()) {
      add(member.name, here->second);
    }
  }
  for (const JsonField& member : pushed) {
    if (!changed.contains(member.name) || theirs.contains(member.name)) continue;
    add(member.name, own.at(member.name));
  }
  writer.EndObject();
  if (merged == own) return std::string(pushed_text);
  if (writer.text().size() > kValueBytesMax) {
    return {ErrorCode::kTooLarge,
            "with the fields that others changed it has " + std::to_string(writer.text().size()) +
                " bytes, the limit is " + std::to_string(kValueBytesMax)};
  }
  return writer.Take();
}

}  // namespace

Result<std::set<std::string>> ReadMembers(std::string_view list) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(list));
  std::set<std::string> names;
  for (const JsonField& element : elements) {
    if (element.type != JsonType::kString) {
      return {ErrorCode::kMalformedJson, "the changed members are a list of names"};
    }
    names.insert(element.text);
  }
  return names;
}

std::optional<std::string> ChangedMembers(std::string_view before, std::string_view after) {
  if (!before.starts_with('{') || !after.starts_with('{')) return std::nullopt;
  const auto old_members = ReadJsonObject(before);
  const auto new_members = ReadJsonObject(after);
  if (!old_members.ok() || !new_members.ok()) return std::nullopt;
  const Texts old_texts = TextsOf(*old_members);
  const Texts new_texts = TextsOf(*new_members);
  std::set<std::string> changed;
  for (const auto& [name, text] : new_texts) {
    const auto old = old_texts.find(name);
    if (old == old_texts.end() || old->second != text) changed.insert(name);
  }
  for (const auto& [name, text] : old_texts) {
    if (!new_texts.contains(name)) changed.insert(name);
  }
  return ToList(changed);
}

std::optional<std::string> JoinedMembers(const std::string& first, const std::string& second) {
  auto names = ReadMembers(first);
  auto more = ReadMembers(second);
  if (!names.ok() || !more.ok()) return std::nullopt;
  names->merge(*more);
  return ToList(*names);
}

Result<std::string> MergeMembers(std::string_view current,
                                 std::string_view pushed,
                                 std::string_view changed) {
  TIDEMARK_ASSIGN_OR_RETURN(const Members theirs, ReadJsonObject(current));
  TIDEMARK_ASSIGN_OR_RETURN(const Members own, ReadJsonObject(pushed));
  TIDEMARK_ASSIGN_OR_RETURN(const std::set<std::string> names, ReadMembers(changed));
  return Merge(theirs, own, pushed, names);
}

Result<std::string> MergeMembers(std::string_view current, std::string_view pushed) {
  TIDEMARK_ASSIGN_OR_RETURN(const Members theirs, ReadJsonObject(current));
  TIDEMARK_ASSIGN_OR_RETURN(const Members own, ReadJsonObject(pushed));
  std::set<std::string> names;
  for (const JsonField& member : own) names.insert(member.name);
  return Merge(theirs, own, pushed, names);
}

}  // namespace tidemark::internal
