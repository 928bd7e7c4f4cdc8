// Writers' times that are newer than the version they stand for. A write that changes nothing makes
// no version (contract 23), and yet its time is kept with the record (contract 22): in a row beside
// the log, that counts for one version only. An id that one batch both makes and deletes never had
// a version, and like one that was never there it keeps no time: any later one is newer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "db/internal/store_state.h"
#include "format/status.h"

namespace tidemark::internal {

struct KeptTime {
  SequenceNumber head;  ///< of the version, or of the tombstone; for any other the row says nothing
  int64_t time = 0;
};
std::string EncodeKeptTime(const KeptTime& kept);
Result<KeptTime> DecodeKeptTime(std::string_view row);

/// Removes the rows of `entity` whose version is no longer current. Each stands for a dead row of
/// the log, so that it is done together with compactions. Requires fold_mutex.
Status RemoveStaleTimes(StoreState& state, EntityNumber entity);

}  // namespace tidemark::internal
