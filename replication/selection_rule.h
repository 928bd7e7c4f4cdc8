// What a device is granted, as people say it: entities, and records of one by values of its keys.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/status.h"
#include "replication/selection.h"

namespace tidemark {

/// An entity, or those of its records that have one of the values given in every field given.
struct Grant {
  struct Field {
    std::string name;
    std::vector<std::string> values;  ///< JSON scalars, as text; any of them
    bool operator==(const Field&) const = default;
  };
  std::string entity;
  std::vector<Field> where = {};  ///< together the fields of one declared key; empty: the entity
  bool operator==(const Grant&) const = default;
};

/// Grants as data. As JSON `{"everything":true}`, or
/// `{"entities":["contact",{"entity":"visit","where":{"owner":[1,2],"project":7}}]}`.
struct SelectionRule {
  bool everything = true;
  std::vector<Grant> grants = {};

  static SelectionRule Everything() { return {}; }
  static SelectionRule Entities(const std::vector<std::string>& names);
  bool operator==(const SelectionRule&) const = default;
};

/// How many parts the grants name; any number above 4,096 for more than that.
size_t CountParts(const SelectionRule& rule);

std::string SelectionRuleToJson(const SelectionRule& rule);
/// `kInvalidArgument` names the member that is wrong; unknown members are refused. `kTooLarge`
/// above 4,096 parts.
Result<SelectionRule> SelectionRuleFromJson(std::string_view json);

/// Whether the store can tell the records that are granted: `kInvalidArgument` when no key with
/// exactly these fields is declared. An entity need not exist yet.
Status CheckSelectionRule(const Store& store, const SelectionRule& rule);

/// The parts that exist now. What does not exist (any more) is no part.
Selection Resolve(const Store& store, const SelectionRule& rule);

}  // namespace tidemark
