#include "replication/selection_intersection.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "format/json.h"

namespace tidemark {
namespace {

/// Pairs of grants that are compared.
constexpr size_t kPairsMax = 65'536;

/// A grant with its values in one form each: fields by name, values that are equal by their text.
struct PlainGrant {
  std::string entity;
  std::map<std::string, std::set<std::string>> where;
  bool operator<(const PlainGrant& other) const {
    return std::tie(entity, where) < std::tie(other.entity, other.where);
  }
};

// 7 and 7.0 are one value, as they are to keys.
std::string OneForm(const std::string& json) {
  const auto read = ReadJsonArray("[" + json + "]");
  if (!read.ok() || read->size() != 1) return json;
  const JsonField& value = read->front();
  if (value.type == JsonType::kInteger) return std::to_string(value.integer);
  if (value.type == JsonType::kString) return JsonWriter().String(value.text).Take();
  if (value.type != JsonType::kDouble) return json;
  double number = 0;
  std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  constexpr double kLimit = 9'223'372'036'854'775'808.0;  // 2^63
  if (number >= -kLimit && number < kLimit && std::trunc(number) == number) {
    return std::to_string(static_cast<int64_t>(number));
  }
  return JsonWriter().Double(number).Take();
}

PlainGrant ToPlain(const Grant& grant) {
  PlainGrant plain{.entity = grant.entity, .where = {}};
  for (const Grant::Field& field : grant.where) {
    for (const std::string& value : field.values) plain.where[field.name].insert(OneForm(value));
  }
  return plain;
}

Grant FromPlain(const PlainGrant& plain) {
  Grant grant{.entity = plain.entity};
  for (const auto& [name, values] : plain.where) {
    grant.where.push_back({name, {values.begin(), values.end()}});
  }
  return grant;
}

// Grants of one field of an entity are one grant of all their values: then there are fewer pairs.
std::vector<PlainGrant> ToPlain(const SelectionRule& rule) {
  std::vector<PlainGrant> grants;
  std::map<std::pair<std::string, std::string>, size_t> of_one_field;
  for (const Grant& grant : rule.grants) {
    PlainGrant plain = ToPlain(grant);
    if (plain.where.size() == 1) {
      auto& [field, values] = *plain.where.begin();
      const auto [at, added] = of_one_field.try_emplace({plain.entity, field}, grants.size());
      if (!added) {
        grants[at->second].where.begin()->second.merge(values);
        continue;
      }
    }
    grants.push_back(std::move(plain));
  }
  return grants;
}

// nullopt: no record has both.
std::optional<PlainGrant> Both(const PlainGrant& left, const PlainGrant& right) {
  if (left.entity != right.entity) return std::nullopt;
  PlainGrant both = left;
  for (const auto& field : right.where) {
    const auto [at, added] = both.where.insert(field);
    if (added) continue;
    std::erase_if(at->second,
                  [&](const std::string& value) { return !field.second.contains(value); });
    if (at->second.empty()) return std::nullopt;
  }
  return both;
}

// Every record of `inner` is one of `outer`.
bool Covers(const PlainGrant& outer, const PlainGrant& inner) {
  return outer.entity == inner.entity &&
         std::all_of(outer.where.begin(), outer.where.end(), [&](const auto& field) {
           const auto at = inner.where.find(field.first);
           return at != inner.where.end() && std::includes(field.second.begin(),
                                                           field.second.end(),
                                                           at->second.begin(),
                                                           at->second.end());
         });
}

bool HasSameFields(const PlainGrant& left, const PlainGrant& right) {
  return std::equal(left.where.begin(),
                    left.where.end(),
                    right.where.begin(),
                    right.where.end(),
                    [](const auto& a, const auto& b) { return a.first == b.first; });
}

struct Pairs {
  std::set<PlainGrant> plain;     // of fields that one of the two rules names together
  std::set<PlainGrant> combined;  // of more fields: they need a key that neither rule does
};

Status TooMuch() {
  return {ErrorCode::kTooLarge,
          "selection: the token and the device have too many grants to be compared; name several "
          "values in one grant"};
}

Result<Pairs> FindPairs(const std::vector<PlainGrant>& left, const std::vector<PlainGrant>& right) {
  if (left.size() * right.size() > kPairsMax) return TooMuch();
  Pairs pairs;
  for (const PlainGrant& a : left) {
    for (const PlainGrant& b : right) {
      auto both = Both(a, b);
      if (!both.has_value()) continue;
      const bool combined = !HasSameFields(*both, a) && !HasSameFields(*both, b);
      (combined ? pairs.combined : pairs.plain).insert(std::move(*both));
    }
  }
  return pairs;
}

}  // namespace

Result<SelectionRule> Intersect(const Store& store,
                                const SelectionRule& left,
                                const SelectionRule& right) {
  if (left.everything) return right;
  if (right.everything) return left;
  TIDEMARK_ASSIGN_OR_RETURN(const Pairs pairs, FindPairs(ToPlain(left), ToPlain(right)));
  if (pairs.plain.size() * pairs.combined.size() > kPairsMax) return TooMuch();
  SelectionRule rule{.everything = false};
  for (const PlainGrant& grant : pairs.plain) rule.grants.push_back(FromPlain(grant));
  SelectionRule combined{.everything = false};
  for (const PlainGrant& grant : pairs.combined) {
    const bool covered = std::any_of(pairs.plain.begin(),
                                     pairs.plain.end(),
                                     [&](const auto& other) { return Covers(other, grant); });
    if (!covered) combined.grants.push_back(FromPlain(grant));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckSelectionRule(store, combined));
  rule.grants.insert(rule.grants.end(), combined.grants.begin(), combined.grants.end());
  if (CountParts(rule) > kSelectionPartsMax) {
    return {ErrorCode::kTooLarge,
            "selection: the token and the device have more than " +
                std::to_string(kSelectionPartsMax) + " parts in common"};
  }
  return rule;
}

}  // namespace tidemark
