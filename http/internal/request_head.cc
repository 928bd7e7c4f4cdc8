#include "http/internal/request_head.h"

#include <algorithm>
#include <charconv>

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

// Methods are told apart by case.
Method MethodOf(std::string_view name) {
  for (const Method method :
       {Method::kGet, Method::kHead, Method::kPost, Method::kPut, Method::kDelete}) {
    if (MethodName(method) == name) return method;
  }
  return Method::kOther;
}

std::optional<Fault> ReadVersion(std::string_view version, RequestHead* read) {
  read->http_1_0 = version == "HTTP/1.0";
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return std::nullopt;
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") &&
                          IsDigit(version[5]) && version[6] == '.' && IsDigit(version[7]);
  if (!is_version) return Malformed("the request line does not end in an HTTP version");
  return Fault{505, "unsupported", "HTTP/1.1 and HTTP/1.0 are spoken here"};
}

// The absolute form "http://HOST/PATH?QUERY" (RFC 9112, 3.2.2) as the path that it leads to and the
// host that counts instead of the field's. False when it is none, or names a user.
bool SplitAbsoluteForm(std::string_view target, RequestHead* read) {
  std::string_view rest;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (EqualsIgnoringCase(target.substr(0, scheme.size()), scheme)) {
      rest = target.substr(scheme.size());
    }
  }
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  read->authority = std::string(rest.substr(0, end));
  const bool named = !read->authority.empty() &&
                     read->authority.find_first_of("@\\\"<>^`{|}%,") == std::string::npos;
  const std::string_view path = rest.substr(end);
  read->target = path.starts_with('/') ? std::string() : "/";
  read->target += path;
  return named;
}

std::optional<Fault> ReadRequestLine(std::string_view line, RequestHead* read) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return Malformed("the request line lacks a part");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (!IsToken(method)) return Malformed("the method is no token");
  const bool printable =
      std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!printable) return Malformed("the request target has a byte that must be encoded");
  read->method = MethodOf(method);
  read->target = std::string(target);
  if (!target.starts_with('/') && !SplitAbsoluteForm(target, read)) {
    return Malformed("the request target is neither a path nor an http URL");
  }
  return ReadVersion(line.substr(second + 1), read);
}

// Collects what the fields say about framing and the connection.
class FieldReader {
 public:
  explicit FieldReader(RequestHead* read) : read_(*read) {}

  std::optional<Fault> Add(std::string_view line);
  std::optional<Fault> End();

 private:
  std::optional<Fault> Note(std::string_view name, std::string_view value);
  std::optional<Fault> NoteLength(std::string_view value);
  void NoteConnection(std::string_view value);

  RequestHead& read_;
  bool has_length_ = false;
  bool says_close_ = false;
  bool says_keep_alive_ = false;
  int hosts_ = 0;
};

std::optional<Fault> FieldReader::Add(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    return Malformed("a header field goes on in the next line");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Malformed("a header line without a colon");
  const std::string_view name = line.substr(0, colon);
  if (!IsToken(name)) return Malformed("the name of a header field is no token");
  const std::string_view raw = line.substr(colon + 1);
  const bool clean = std::all_of(raw.begin(), raw.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
  });
  if (!clean) return Malformed("a header field has a control character");
  const std::string_view value = Trim(raw);
  read_.headers.Add(name, value);
  return Note(name, value);
}

std::optional<Fault> FieldReader::Note(std::string_view name, std::string_view value) {
  if (EqualsIgnoringCase(name, "content-length")) return NoteLength(value);
  if (EqualsIgnoringCase(name, "transfer-encoding")) {
    if (read_.chunked) return Malformed("more than one Transfer-Encoding");
    read_.chunked = true;
    if (!EqualsIgnoringCase(value, "chunked")) {
      return Malformed("the only Transfer-Encoding understood is chunked");
    }
  } else if (EqualsIgnoringCase(name, "host")) {
    ++hosts_;
  } else if (EqualsIgnoringCase(name, "connection")) {
    NoteConnection(value);
  } else if (EqualsIgnoringCase(name, "expect")) {
    if (!EqualsIgnoringCase(value, "100-continue")) {
      return Fault{417, "unsupported", "the only expectation understood is 100-continue"};
    }
    read_.expects_continue = true;
  }
  return std::nullopt;
}

std::optional<Fault> FieldReader::NoteLength(std::string_view value) {
  if (has_length_) return Malformed("more than one Content-Length");
  has_length_ = true;
  const bool is_number = !value.empty() && value.size() <= kContentLengthDigitsMax &&
                         std::all_of(value.begin(), value.end(), IsDigit);
  if (!is_number) return Malformed("Content-Length is no number");
  std::from_chars(value.data(), value.data() + value.size(), read_.content_length);
  return std::nullopt;
}

void FieldReader::NoteConnection(std::string_view value) {
  while (true) {
    const size_t comma = value.find(',');
    const std::string_view option = Trim(value.substr(0, comma));
    says_close_ = says_close_ || EqualsIgnoringCase(option, "close");
    says_keep_alive_ = says_keep_alive_ || EqualsIgnoringCase(option, "keep-alive");
    if (comma == std::string_view::npos) return;
    value.remove_prefix(comma + 1);
  }
}

std::optional<Fault> FieldReader::End() {
  if (has_length_ && read_.chunked) {
    return Malformed("both Content-Length and Transfer-Encoding are given");
  }
  if (read_.http_1_0 && read_.chunked) return Malformed("HTTP/1.0 has no Transfer-Encoding");
  if (hosts_ > 1) return Malformed("more than one Host");
  if (hosts_ == 0 && !read_.http_1_0) return Malformed("Host is missing");
  if (!read_.authority.empty()) read_.headers.Set("Host", read_.authority);
  read_.keep_alive = !says_close_ && (says_keep_alive_ || !read_.http_1_0);
  if (read_.http_1_0) read_.expects_continue = false;  // it would not understand a 100
  return std::nullopt;
}

}  // namespace

size_t HeadScanner::Scan(std::string_view bytes) {
  for (; scanned_ < bytes.size(); ++scanned_) {
    const char c = bytes[scanned_];
    const bool in_fields = fields_begin_ > 0;
    const size_t size = scanned_ + 1 - fields_begin_;
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
    const std::string_view line = bytes.substr(line_begin_, scanned_ - 1 - line_begin_);
    if (EndLine(line, scanned_ + 1)) return ++scanned_;
    if (fault_.has_value()) return 0;
  }
  return 0;
}

bool HeadScanner::EndLine(std::string_view line, size_t next) {
  line_begin_ = next;
  if (fields_begin_ == 0) {
    fields_begin_ = next;
    RequestHead ignored;
    fault_ = ReadRequestLine(line, &ignored);
    return false;
  }
  if (line.empty()) return true;
  if (++fields_ > limits_.header_fields) {
    fault_ = Fault{431, "headers_too_large", "too many header fields"};
  }
  return false;
}

std::optional<Fault> ReadRequestHead(std::string_view head, RequestHead* read) {
  const size_t line_end = head.find("\r\n");
  if (line_end == std::string_view::npos) return Malformed("the request line is not ended");
  if (auto fault = ReadRequestLine(head.substr(0, line_end), read)) return fault;

  FieldReader fields(read);
  for (size_t at = line_end + 2; at < head.size();) {
    const size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos) return Malformed("a header line is not ended");
    if (end == at) break;
    if (auto fault = fields.Add(head.substr(at, end - at))) return fault;
    at = end + 2;
  }
  return fields.End();
}

}  // namespace tidemark::http::internal
