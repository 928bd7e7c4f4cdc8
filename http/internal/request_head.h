// Strict checks of what a client sends before the body. Two readers of one connection that disagree
// about where a request ends can be played against each other, so whatever is ambiguous is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::http::internal {

/// Why bytes are no request: what the refusal says.
struct Fault {
  int status = 400;
  std::string_view code = "bad_request";
  std::string message = {};  // NOLINT(readability-redundant-member-init): others are given alone
};

struct HeadLimits {
  size_t request_line_bytes = 0;
  size_t header_bytes = 0;
  size_t header_fields = 0;
};

/// Looks for the end of a head that may not be complete yet. Bounds it, and finds bare line feeds
/// at once: who ends lines with them would wait for ever.
class HeadScanner {
 public:
  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}

  /// `bytes` is everything received so far. The size of the head with its empty line, 0 when more
  /// is needed. Sets `fault()` when it can be no head any more.
  size_t Scan(std::string_view bytes);
  const std::optional<Fault>& fault() const { return fault_; }

 private:
  HeadLimits limits_;
  size_t scanned_ = 0;
  size_t line_begin_ = 0;
  size_t fields_begin_ = 0;  // 0: within the request line
  size_t fields_ = 0;
  std::optional<Fault> fault_;
};

/// Checks a complete head, empty line included: the request line, each field, and that exactly one
/// framing of the body is given.
std::optional<Fault> CheckHead(std::string_view head);

}  // namespace tidemark::http::internal
