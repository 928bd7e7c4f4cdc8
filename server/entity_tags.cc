#include "server/entity_tags.h"

#include <algorithm>
#include <string_view>

#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kBlanks = " \t";

void SkipBlanks(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(kBlanks), text->size()));
}

bool Contains(const std::vector<std::string>& tags, const std::string& tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

}  // namespace

std::string EntityTag(SequenceNumber version) {
  return '"' + std::to_string(version.value()) + '"';
}

Result<TagConditions::Tags> TagConditions::Parse(std::string_view name, std::string_view text) {
  const auto malformed = [&] {
    return FieldError(name, "must be * or a list of entity tags in double quotes");
  };
  Tags tags;
  SkipBlanks(&text);
  if (text.starts_with('*')) {
    text.remove_prefix(1);
    SkipBlanks(&text);
    if (!text.empty()) return malformed();
    tags.any = true;
    return tags;
  }
  while (true) {
    const bool weak = text.starts_with("W/");
    if (weak) text.remove_prefix(2);
    const size_t end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return malformed();
    (weak ? tags.weak : tags.strong).emplace_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
    SkipBlanks(&text);
    if (text.empty()) return tags;
    if (!text.starts_with(',')) return malformed();
    text.remove_prefix(1);
    SkipBlanks(&text);
  }
}

Result<TagConditions> TagConditions::Read(const http::Request& request) {
  TagConditions conditions;
  if (const auto text = request.headers.Find("If-Match")) {
    TIDEMARK_ASSIGN_OR_RETURN(conditions.match_, Parse("If-Match", *text));
  }
  if (const auto text = request.headers.Find("If-None-Match")) {
    TIDEMARK_ASSIGN_OR_RETURN(conditions.none_match_, Parse("If-None-Match", *text));
  }
  return conditions;
}

bool TagConditions::Matches(const std::optional<SequenceNumber>& version) const {
  if (!match_) return true;
  if (!version) return false;
  return match_->any || Contains(match_->strong, EntityTag(*version));  // never by a weak tag
}

bool TagConditions::NoneMatches(const std::optional<SequenceNumber>& version) const {
  if (!none_match_ || !version) return true;
  const std::string tag = EntityTag(*version);
  return !none_match_->any && !Contains(none_match_->strong, tag) &&
         !Contains(none_match_->weak, tag);
}

}  // namespace tidemark::server
