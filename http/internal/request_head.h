// Strict reading of what a client sends before the body. Two readers of one connection that
// disagree about where a request ends can be played against each other, so whatever is ambiguous is
// refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/internal/fault.h"
#include "http/message.h"

namespace tidemark::http::internal {

struct HeadLimits {
  size_t request_line_bytes = 0;
  size_t header_bytes = 0;
  size_t header_fields = 0;
};

/// Looks for the end of a head that may not be complete yet. Bounds it, and finds bare line feeds
/// and bad request lines at once: who sends them may wait for ever.
class HeadScanner {
 public:
  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}

  /// `bytes` is everything received so far. The size of the head with its empty line, 0 when more
  /// is needed. Sets `fault()` when it can be no head any more.
  size_t Scan(std::string_view bytes);
  const std::optional<Fault>& fault() const { return fault_; }

 private:
  // The line that ends before `next`.
  bool EndLine(std::string_view line, size_t next);

  HeadLimits limits_;
  size_t scanned_ = 0;
  size_t line_begin_ = 0;
  size_t fields_begin_ = 0;  // 0: within the request line
  size_t fields_ = 0;
  std::optional<Fault> fault_;
};

/// A head that was read without fault.
struct RequestHead {
  Method method = Method::kOther;
  std::string target;     ///< path and query as sent
  std::string authority;  ///< of a target in absolute form; the field `Host` says the same then
  bool http_1_0 = false;
  Headers headers;  ///< values without the blanks around them

  // How it is framed. Without either, the body is empty.
  uint64_t content_length = 0;
  bool chunked = false;

  bool keep_alive = true;
  bool expects_continue = false;
};

/// Reads a complete head, empty line included.
std::optional<Fault> ReadRequestHead(std::string_view head, RequestHead* read);

}  // namespace tidemark::http::internal
