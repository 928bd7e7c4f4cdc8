#include "tests/model/engine_conflicts.h"

#include <numeric>
#include <stdexcept>

namespace tidemark::model {
namespace {

using PlainMembers = std::vector<std::pair<std::string, std::string>>;

std::vector<std::string> Split(std::string_view inside) {
  std::vector<std::string> pieces;
  while (!inside.empty()) {
    const size_t comma = inside.find(',');
    pieces.emplace_back(inside.substr(0, comma));
    inside = comma == std::string_view::npos ? std::string_view() : inside.substr(comma + 1);
  }
  return pieces;
}

std::string_view Inside(std::string_view text) {
  return text.substr(1, text.size() - 2);
}

// Names with their quotes.
PlainMembers MembersOf(std::string_view object) {
  PlainMembers members;
  for (const std::string& piece : Split(Inside(object))) {
    const size_t colon = piece.find(':');
    members.emplace_back(piece.substr(0, colon), piece.substr(colon + 1));
  }
  return members;
}

std::string Merge(const std::string& current,
                  const std::string& pushed,
                  const std::optional<std::set<std::string>>& changed) {
  const PlainMembers theirs = MembersOf(current);
  const PlainMembers own = MembersOf(pushed);
  const std::map<std::string, std::string> own_texts(own.begin(), own.end());
  const auto takes = [&](const std::string& name) {
    return changed.has_value() ? changed->contains(name) : own_texts.contains(name);
  };
  PlainMembers merged;
  std::set<std::string> there;
  for (const auto& [name, text] : theirs) {
    there.insert(name);
    if (!takes(name)) merged.emplace_back(name, text);
    if (takes(name) && own_texts.contains(name)) merged.emplace_back(name, own_texts.at(name));
  }
  for (const auto& [name, text] : own) {
    if (takes(name) && !there.contains(name)) merged.emplace_back(name, text);
  }
  if (std::map<std::string, std::string>(merged.begin(), merged.end()) == own_texts) return pushed;
  std::string text;
  for (const auto& [name, value] : merged) {
    text.append(text.empty() ? "{" : ",").append(name).append(":").append(value);
  }
  return text.empty() ? "{}" : text + "}";
}

PlainEnd EndByField(const PlainConflict& conflict) {
  if (!conflict.pushed.has_value() || !conflict.current.has_value()) return {.refused = true};
  if (conflict.base != kSequenceZero && conflict.birth > conflict.base) return {.refused = true};
  if (conflict.base != kSequenceZero && conflict.changed.empty()) return {.refused = true};
  std::optional<std::set<std::string>> changed;
  if (!conflict.changed.empty()) {
    const std::vector<std::string> names = Split(Inside(conflict.changed));
    changed.emplace(names.begin(), names.end());
  }
  return {.value = Merge(*conflict.current, *conflict.pushed, changed)};
}

ConflictResolution Resolve(const std::optional<std::string>& current,
                           const std::optional<std::string>& pushed) {
  const std::string both = current.value_or("gone") + pushed.value_or("gone");
  const int sum = std::accumulate(both.begin(), both.end(), 0);
  switch (sum % 5) {
    case 0:
      return {.choice = ConflictChoice::kKeepCurrent};
    case 1:
      return {.choice = ConflictChoice::kTakePushed};
    case 2:
      throw std::runtime_error("no idea");
    default:
      return {.choice = ConflictChoice::kTakeMerged,
              .value = R"({"value":)" + std::to_string(sum % 3) + R"(,"owner":)" +
                       std::to_string(sum % 4) + "}"};
  }
}

PlainEnd EndByCallback(const PlainConflict& conflict) {
  try {
    const ConflictResolution resolved = Resolve(conflict.current, conflict.pushed);
    if (resolved.choice == ConflictChoice::kKeepCurrent) return {.refused = true};
    if (resolved.choice == ConflictChoice::kTakePushed) return {.value = conflict.pushed};
    return {.value = resolved.value};
  } catch (const std::runtime_error&) {
    return {.refused = true};
  }
}

std::optional<std::string> TextOf(const std::optional<ConflictValue>& value) {
  if (!value.has_value()) return std::nullopt;
  return std::string(value->bytes);
}

}  // namespace

ConflictResolution ResolveInModel(const Conflict& conflict) {
  return Resolve(TextOf(conflict.current), TextOf(conflict.pushed));
}

PlainEnd EndOf(const PlainConflict& conflict, ConflictPolicy policy) {
  switch (policy) {
    case ConflictPolicy::kReject:
      return {.refused = true};
    case ConflictPolicy::kLastWriter:
      return {.value = conflict.pushed};
    case ConflictPolicy::kByField:
      return EndByField(conflict);
    case ConflictPolicy::kCallback:
      return EndByCallback(conflict);
  }
  return {.refused = true};
}

}  // namespace tidemark::model
