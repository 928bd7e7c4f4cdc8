// What the calls share: reading parameters and bodies, and refusing with the place that is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"
#include "format/status.h"
#include "http/message.h"
#include "server/call.h"

namespace tidemark::server {

inline constexpr uint64_t kListLimitMax = 1000;
inline constexpr uint64_t kListLimitDefault = 100;
inline constexpr size_t kListBytesMax = 4 * 1024 * 1024;  ///< a list ends after the item beyond it

/// The refusal of `call`. A message that names its place as `field "x"` fills `field`, too.
http::Response Refuse(const Call& call, const Status& status, std::string_view details = {});
/// The same under another code.
http::Response RefuseAs(const Call& call,
                        std::string_view code,
                        const Status& status,
                        std::string_view details = {});

/// The refusal of a query parameter that the route does not read, or that is there twice: it was
/// meant to change the answer, and would not.
std::optional<http::Response> RefuseQuery(const http::Request& request, const Route& route);

/// The refusal of what a token that is bound to a device asks for another one; nullopt for its own.
std::optional<http::Response> RefuseForeignDevice(const Call& call, std::string_view device);

/// `kInvalidArgument`: `field "NAME" WHAT`.
Status FieldError(std::string_view name, std::string_view what);

/// The whole number of a query parameter; `fallback` when it is absent. `kInvalidArgument` unless
/// it is from `least` to `most`.
Result<uint64_t> ReadNumber(const http::Request& request,
                            std::string_view name,
                            uint64_t fallback,
                            uint64_t least,
                            uint64_t most);
/// `?limit=`, 1 to 1,000, 100 by default.
Result<uint64_t> ReadLimit(const http::Request& request);
/// `?offset=`, 0 by default.
Result<uint64_t> ReadOffset(const http::Request& request);

/// The members of the body, which is a JSON object; none when the body is empty.
Result<std::vector<JsonField>> ReadOptionalBody(const http::Request& request);

// Members of a body. `kInvalidArgument` names the member.
Status UnknownMember(const JsonField& field);
Result<std::string> ReadText(const JsonField& field);
Result<bool> ReadBool(const JsonField& field);
Result<uint64_t> ReadUnsigned(const JsonField& field, uint64_t most);
Result<double> ReadShare(const JsonField& field);  ///< 0 to 1

/// For names that are only read: those of the engine, with a leading `_`, are good, too.
Status CheckReadableName(std::string_view entity);

/// A JSON string: an instant in UTC, as in "2031-05-01T08:30:00.000Z"; null for 0.
std::string TimeToJson(int64_t milliseconds);

}  // namespace tidemark::server
