// What two selections grant together: a device's registration, and the token that speaks for it.
#pragma once

#include "db/store.h"
#include "format/status.h"
#include "replication/selection_rule.h"

namespace tidemark {

/// The grants that cover exactly the records which both rules grant. Two grants of one entity are
/// together the records that have a value of each of their fields, for which the entity needs a key
/// of all those fields. `kInvalidArgument` names the key that is not declared: nothing less would
/// be exact, and nothing more may be shown. `kTooLarge`: more than 4,096 parts, or rules of so many
/// grants that they are not compared.
Result<SelectionRule> Intersect(const Store& store,
                                const SelectionRule& left,
                                const SelectionRule& right);

}  // namespace tidemark
