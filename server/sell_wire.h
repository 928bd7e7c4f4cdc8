// What both ends of the device protocol agree on: names of headers, and the answer to a start.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/source.h"

namespace tidemark::server {

inline constexpr std::string_view kDeviceHeader = "X-Basecrm-Device-UUID";
inline constexpr std::string_view kBatchType = "application/vnd.tidemark.batch";
inline constexpr std::string_view kPageHeader = "X-Tidemark-Page";  ///< token of the page
inline constexpr std::string_view kLeftHeader = "X-Tidemark-Left";  ///< instructions to come
inline constexpr std::string_view kRecordsHeader = "X-Tidemark-Records";
// What became of the keys of an acknowledgement; its answer has no body.
inline constexpr std::string_view kAppliedHeader = "X-Tidemark-Applied";
inline constexpr std::string_view kRepeatedHeader = "X-Tidemark-Repeated";
inline constexpr std::string_view kIgnoredHeader = "X-Tidemark-Ignored";

/// The body of a start: empty, or `{"data":{"position","incarnation","fresh"}}`. Other members are
/// for others. `kMalformedJson`, `kInvalidArgument`.
Status ReadStartBody(std::string_view body, Hello* hello);
/// The same, written by a replica.
std::string WriteStartBody(const Hello& hello);

/// The session in the envelope of the Sell protocol. `pages` and `total_count` are clamped to what
/// its clients can hold; the members that they do not know say it all.
std::string SessionToJson(const SessionInfo& session);
/// What a replica reads from it. `kUnavailable` when it is no such answer.
Result<SessionInfo> SessionFromJson(std::string_view json);

/// The keys of `{"data":{"ack_keys":[...]}}`. `kMalformedJson`; `kInvalidArgument` names the
/// member.
Result<std::vector<std::string>> ReadAckBody(std::string_view body);
std::string WriteAckBody(const std::vector<std::string>& keys);

}  // namespace tidemark::server
