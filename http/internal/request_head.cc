#include "http/internal/request_head.h"

#include <algorithm>

#include "http/internal/ascii.h"

namespace tidemark::http::internal {
namespace {

constexpr size_t kContentLengthDigitsMax = 18;

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsTokenChar(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) ||
         kOthers.find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

std::string_view Trim(std::string_view text) {
  const auto is_blank = [](char c) {
    return c == ' ' || c == '\t';
  };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

Fault Malformed(std::string message) {
  return {.message = std::move(message)};
}

std::optional<Fault> CheckVersion(std::string_view version) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return std::nullopt;
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") &&
                          IsDigit(version[5]) && version[6] == '.' && IsDigit(version[7]);
  if (!is_version) return Malformed("the request line does not end in an HTTP version");
  return Fault{505, "unsupported", "HTTP/1.1 and HTTP/1.0 are spoken here"};
}

std::optional<Fault> CheckRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return Malformed("the request line lacks a part");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (!IsToken(method)) return Malformed("the method is no token");
  const bool printable =
      std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!printable) return Malformed("the request target has a byte that must be encoded");
  if (!target.starts_with('/')) return Malformed("the request target is no path");
  return CheckVersion(line.substr(second + 1));
}

// What the fields say about framing.
struct Framing {
  std::optional<Fault> Add(std::string_view name, std::string_view value);
  std::optional<Fault> Check(bool is_http_1_0) const;

  bool has_length = false;
  bool is_chunked = false;
  int hosts = 0;
};

std::optional<Fault> Framing::Add(std::string_view name, std::string_view value) {
  if (EqualsIgnoringCase(name, "content-length")) {
    if (has_length) return Malformed("more than one Content-Length");
    has_length = true;
    const bool is_number = !value.empty() && value.size() <= kContentLengthDigitsMax &&
                           std::all_of(value.begin(), value.end(), IsDigit);
    if (!is_number) return Malformed("Content-Length is no number");
  } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
    if (is_chunked) return Malformed("more than one Transfer-Encoding");
    is_chunked = true;
    if (!EqualsIgnoringCase(value, "chunked")) {
      return Malformed("the only Transfer-Encoding understood is chunked");
    }
  } else if (EqualsIgnoringCase(name, "host")) {
    ++hosts;
  } else if (EqualsIgnoringCase(name, "expect")) {
    if (!EqualsIgnoringCase(value, "100-continue")) {
      return Fault{417, "unsupported", "the only expectation understood is 100-continue"};
    }
  }
  return std::nullopt;
}

std::optional<Fault> Framing::Check(bool is_http_1_0) const {
  if (has_length && is_chunked) {
    return Malformed("both Content-Length and Transfer-Encoding are given");
  }
  if (is_http_1_0 && is_chunked) return Malformed("HTTP/1.0 has no Transfer-Encoding");
  if (hosts > 1) return Malformed("more than one Host");
  if (hosts == 0 && !is_http_1_0) return Malformed("Host is missing");
  return std::nullopt;
}

std::optional<Fault> CheckField(std::string_view line, Framing* framing) {
  if (line.front() == ' ' || line.front() == '\t') {
    return Malformed("a header field goes on in the next line");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Malformed("a header line without a colon");
  const std::string_view name = line.substr(0, colon);
  if (!IsToken(name)) return Malformed("the name of a header field is no token");
  const std::string_view value = line.substr(colon + 1);
  const bool clean = std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
  });
  if (!clean) return Malformed("a header field has a control character");
  return framing->Add(name, Trim(value));
}

}  // namespace

size_t HeadScanner::Scan(std::string_view bytes) {
  for (; scanned_ < bytes.size(); ++scanned_) {
    const char c = bytes[scanned_];
    const bool in_fields = fields_begin_ > 0;
    const size_t size = scanned_ + 1 - (in_fields ? fields_begin_ : 0);
    const size_t size_max = in_fields ? limits_.header_bytes : limits_.request_line_bytes;
    if (size > size_max + 2) {  // the line break is no part of it
      fault_ =
          Fault{431,
                "headers_too_large",
                in_fields ? "the header fields are too large" : "the request line is too long"};
      return 0;
    }
    const bool after_cr = scanned_ > 0 && bytes[scanned_ - 1] == '\r';
    if (after_cr != (c == '\n')) {
      fault_ = Malformed("lines end in CR LF, and neither stands alone");
      return 0;
    }
    if (c != '\n') continue;
    const size_t line_size = scanned_ - 1 - line_begin_;
    line_begin_ = scanned_ + 1;
    if (!in_fields) {
      fields_begin_ = line_begin_;
    } else if (line_size == 0) {
      return ++scanned_;
    } else if (++fields_ > limits_.header_fields) {
      fault_ = Fault{431, "headers_too_large", "too many header fields"};
      return 0;
    }
  }
  return 0;
}

std::optional<Fault> CheckHead(std::string_view head) {
  const size_t line_end = head.find("\r\n");
  if (line_end == std::string_view::npos) return Malformed("the request line is not ended");
  const std::string_view request_line = head.substr(0, line_end);
  if (auto fault = CheckRequestLine(request_line)) return fault;

  Framing framing;
  for (size_t at = line_end + 2; at < head.size();) {
    const size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos) return Malformed("a header line is not ended");
    if (end == at) break;
    if (auto fault = CheckField(head.substr(at, end - at), &framing)) return fault;
    at = end + 2;
  }
  return framing.Check(request_line.ends_with("HTTP/1.0"));
}

}  // namespace tidemark::http::internal
