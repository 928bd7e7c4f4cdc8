// What a replica remembers of records that it wrote itself and whose writes are on their way: which
// operations those are, on what they build, and how the source has the record meanwhile. And of
// those just answered: that pages which are still on their way know less.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

inline constexpr std::string_view kOutboxStateKey = "R/outbox";
inline constexpr std::string_view kLocalRecordPrefix = "R/w/";
inline constexpr std::string_view kImagePrefix = "R/i/";
inline constexpr std::string_view kFencePrefix = "R/f/";

struct OutboxState {
  uint64_t next_number = 1;
  uint64_t sent_through = 0;  ///< operations up to here may have reached the source
  uint64_t pending = 0;
  uint64_t failed = 0;
  uint64_t records = 0;           ///< with pending operations
  uint64_t fences = 0;            ///< at most
  uint64_t sent = 0;              ///< of the pending ones
  uint64_t answered_through = 0;  ///< the highest operation that was answered
  /// The newest version at the source that an answer told of. What was packed before it lies: it
  /// knows nothing of what this replica has pushed since.
  SequenceNumber answered_version;
};

/// A record with pending operations.
struct LocalRecord {
  std::vector<uint64_t> operations;  ///< numbers, in order
  SequenceNumber base;               ///< version at the source that the first of them builds on;
                                     ///< zero: there was none
};

/// The record as the source has it, as far as this replica was told.
struct Image {
  bool present = false;
  bool answered = false;  ///< by an answer to an own operation, not by a page
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  SequenceNumber birth;
  SequenceNumber head;
  uint64_t session = 0;  ///< number of the session that told it last
  std::string value;
};

/// Of one record: entity and id, as the rest of a key.
std::string LocalKey(std::string_view prefix, std::string_view entity, std::string_view id);

std::string EncodeOutboxState(const OutboxState& state);
Result<OutboxState> DecodeOutboxState(std::string_view bytes);
std::string EncodeLocalRecord(const LocalRecord& record);
Result<LocalRecord> DecodeLocalRecord(std::string_view bytes);
std::string EncodeImage(const Image& image);
Result<Image> DecodeImage(std::string_view bytes);

}  // namespace tidemark::internal
