// What a source remembers of a device's pushes: how far it handled the device's operations, what it
// answered to those whose answers the device may not have yet, and the last pushes as a whole.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "format/coding.h"
#include "format/status.h"
#include "replication/push.h"

namespace tidemark::internal {

inline constexpr std::string_view kPushPrefix = "P/";

struct PushProgress {
  std::string incarnation;         ///< in hex, of the replica whose numbers these are
  uint64_t handled_through = 0;    ///< the highest operation that was answered
  uint64_t taken_through = 0;      ///< answers up to here are at the device, and forgotten here
  uint64_t answers = 0;            ///< kept ones, at most
  std::deque<std::string> pushes;  ///< ids of the kept ones, oldest first
  std::deque<std::string> former;  ///< incarnations that it had before, oldest first
};

/// An answer, and what it was an answer to.
struct KeptAnswer {
  uint64_t operation_hash = 0;
  PushAnswer answer;  ///< without `current`
};

/// An answer as it stands in rows and files, without `current`.
void AppendAnswer(std::string* out, const PushAnswer& answer);
PushAnswer ReadAnswer(ByteReader* reader);
/// False for what was never an answer.
bool IsSound(const PushAnswer& answer);

std::string PushProgressKey(uint32_t device);
std::string PushAnswerKey(uint32_t device, uint64_t operation);
std::string PushAnswersPrefix(uint32_t device);
/// The number of an operation, from the key of its answer.
uint64_t OperationOfKey(std::string_view key);
std::string PushKey(std::string_view id);

std::string EncodePushProgress(const PushProgress& progress);
Result<PushProgress> DecodePushProgress(std::string_view bytes);
std::string EncodeKeptAnswer(const KeptAnswer& kept);
Result<KeptAnswer> DecodeKeptAnswer(std::string_view bytes);
/// Answers that say "applied" are counted, and not listed.
std::string EncodePush(const PushResult& push);
Result<PushResult> DecodePush(std::string_view bytes);

}  // namespace tidemark::internal
