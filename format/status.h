// Errors are values. Every failure a caller can act on has an `ErrorCode`; the catalogue in
// `docs/errors.md` lists each code with its exit code and what to do about it, and a test keeps the
// two in step.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tidemark {

/// What went wrong, as far as a caller can act on it. The names are stable: they travel as the
/// `code` of error envelopes and are printed by the tool.
enum class ErrorCode : uint8_t {
  kOk,
  // The call itself is wrong.
  kInvalidArgument,  // malformed name, id, value, option
  kTooLarge,         // a documented limit was exceeded
  kTooManyRecords,   // more than 1,000 records in a page or batch
  kMalformedBatch,   // bytes that are not a batch, or a damaged one
  kMalformedJson,    // text that is not strict JSON
  kWrongKind,        // snapshot call on an incremental entity, or the reverse
  kReserved,         // a name that begins with `_`
  kUnsupported,      // a version or option this build does not know
  // The state of the store says no.
  kNotFound,
  kConditionFailed,      // if_absent, if_version or if_newer did not hold
  kIdempotencyMismatch,  // the operation id was used before for something else
  kConflict,
  kSuperseded,          // a newer session of the device fences this one
  kSessionExpired,      // idle for too long, or its server restarted
  kSyncActive,          // another upload sync is active
  kSyncClosed,          // the upload sync is finished, aborted or superseded
  kDeleteGuard,         // the finish would delete more than the guard allows
  kMissingPages,        // fewer or more pages than `expected_pages`
  kStrictRejected,      // strict schema or references, and a row violates them
  kDanglingReferences,  // more dangling references than the policy allows
  kTrimmed,             // the position asked for is no longer kept
  kWrongDevice,         // a page made for another device or store
  kWrongEpoch,          // a page of another history of its store
  kStalePage,           // a page of an older session than the one applied
  kIdsExhausted,        // a pool, or what a device was leased of it, has no id left
  kQuotaExceeded,       // a device and user were leased all ids that they may be
  kLeaseVoid,           // the lease was taken back, or is over: its ids are not to be used any more
  kPoolSuspended,       // the pool's history may be incomplete: nothing is leased
  // The world says no.
  kBusy,  // the store is open in another process
  kDiskFull,
  kIoError,
  kReadOnly,     // opened read-only, or writes stopped after a failed sync
  kUnavailable,  // could not ask: no network, no server
  kCorruption,   // stored bytes are damaged
  kDataLoss,     // acknowledged writes are missing
  kNewerFormat,  // written by a newer version of Tidemark
  kNotAllowed,
  kClosed,    // the object was closed or moved from
  kInternal,  // a broken invariant: please report it
};

/// One row of the error catalogue.
struct ErrorInfo {
  std::string_view name;    ///< stable, snake_case
  int exit_code;            ///< of the executable: 1 error, 3 not found, 4 corrupt, 5 conflict, ...
  std::string_view advice;  ///< what to do next, one sentence
};

/// The catalogue's row of `code`.
const ErrorInfo& GetErrorInfo(ErrorCode code);

/// Number of codes; codes are dense from 0.
inline constexpr int kErrorCodeCount = static_cast<int>(ErrorCode::kInternal) + 1;

/// Success, or a code with a message that names what is wrong and where. Cheap when ok.
/// Thread-compatible, like `int`.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// "delete_guard: finish would delete 512 of 600 records of users"
  std::string ToString() const;

  /// The same error with `context` put before its message, as in "users, page 4: ...".
  Status WithContext(std::string_view context) const;

  bool operator==(const Status& other) const { return code_ == other.code_; }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string message_;
};

/// A value, or the reason there is none. `value()` and `*` require `ok()`.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok() && "a Result without a value needs an error");
  }
  Result(ErrorCode code, std::string message) : status_(code, std::move(message)) {}

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status& status() const { return status_; }

  T& value() & { return *Checked(); }
  const T& value() const& { return *Checked(); }
  T&& value() && { return std::move(*Checked()); }
  T& operator*() & { return *Checked(); }
  const T& operator*() const& { return *Checked(); }
  T&& operator*() && { return std::move(*Checked()); }
  T* operator->() { return &*Checked(); }
  const T* operator->() const { return &*Checked(); }

 private:
  std::optional<T>& Checked() {
    assert(value_.has_value() && "value() of a failed Result");
    return value_;
  }
  const std::optional<T>& Checked() const {
    assert(value_.has_value() && "value() of a failed Result");
    return value_;
  }

  std::optional<T> value_;
  Status status_;
};

}  // namespace tidemark

/// Returns the status from the enclosing function unless it is ok.
#define TIDEMARK_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                        \
    if (::tidemark::Status status_of_expression = (expression); !status_of_expression.ok()) { \
      return status_of_expression;                                                            \
    }                                                                                         \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
#define TIDEMARK_CONCAT_INNER(a, b) a##b
#define TIDEMARK_CONCAT(a, b) TIDEMARK_CONCAT_INNER(a, b)

/// `TIDEMARK_ASSIGN_OR_RETURN(auto page, session.NextPage());`
#define TIDEMARK_ASSIGN_OR_RETURN(declaration, expression) \
  TIDEMARK_ASSIGN_OR_RETURN_INNER(TIDEMARK_CONCAT(result_, __LINE__), declaration, expression)
#define TIDEMARK_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                            \
  if (!result.ok()) return result.status();                              \
  declaration = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
