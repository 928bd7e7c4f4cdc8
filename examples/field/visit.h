// What a field worker writes down at one door, as records that refer to each other.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "db/write_batch.h"

namespace tidemark::examples {

/// Every record of one visit: the household, who lives there, and what was handed out. Parents come
/// before children. `household` is its id; the rest have ids made from it.
struct Visit {
  std::string household;
  WriteBatch records;
  uint64_t bytes = 0;  ///< of the values
};

Visit RegisterHousehold(const std::string& household,
                        const std::string& worker,
                        std::mt19937_64* random);

/// The household's record with another number of members: an edit a few minutes later.
std::string HouseholdRecord(const std::string& household,
                            const std::string& worker,
                            uint64_t members,
                            uint64_t revision);

}  // namespace tidemark::examples
