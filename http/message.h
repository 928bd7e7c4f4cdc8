// HTTP messages as values: what a handler reads and what it answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOther };
std::string_view MethodName(Method method);

/// Header fields in the order they came. Names compare without case.
class Headers {
 public:
  void Add(std::string_view name, std::string_view value);
  /// Instead of all fields of that name.
  void Set(std::string_view name, std::string_view value);
  /// The first field of that name.
  std::optional<std::string_view> Find(std::string_view name) const;
  /// How many fields have that name.
  size_t Count(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// A request that was framed without fault and is within every limit.
struct Request {
  std::string id;  ///< answers carry it as `X-Request-Id`
  Method method = Method::kGet;
  std::string path;                   ///< as sent, without the query; a leading double slash is one
  std::vector<std::string> segments;  ///< of the path, percent-decoded once
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order
  Headers headers;
  std::string body;
  std::string peer;       ///< address without port
  bool loopback = false;  ///< the peer is this machine

  /// The first query parameter of that name.
  std::optional<std::string_view> Query(std::string_view name) const;
};

/// A body that is written piece by piece, as chunks, until it ends or the client leaves.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// Calls `ready` once, from any thread, when there is more: with nullopt at the end. Is called
  /// again only after that. When the client has left, the stream is destroyed.
  virtual void Next(std::function<void(std::optional<std::string>)> ready) = 0;
};

/// An answer. Without a body it has no content type either.
struct Response {
  int status = 200;
  std::string content_type;
  Headers headers;
  std::string body;
  std::shared_ptr<const std::string> shared_body;  ///< instead of `body`, without a copy
  std::shared_ptr<BodyStream> stream;              ///< instead of both
  bool close = false;                              ///< end the connection after it
  std::string failure;                             ///< for the log alone: why the status is 5xx
};

/// Takes the one answer to a request, from any thread. Answering twice has no effect; letting go
/// of every copy without an answer is answered 500.
using Responder = std::function<void(Response)>;

/// Answers requests.
class Handler {
 public:
  virtual ~Handler() = default;
  /// Called on a worker thread, which may block; many at once.
  virtual void Handle(std::shared_ptr<const Request> request, Responder respond) = 0;
  /// The answer to what never became a request: malformed, too large, too slow, refused. `code` is
  /// a stable word such as `bad_request`, `timeout`, `too_large`, `too_many_connections`.
  virtual Response Refuse(int status,
                          std::string_view code,
                          std::string_view message,
                          std::string_view request_id) = 0;
};

/// The reason phrase of a status: "404 Not Found" without the number.
std::string_view ReasonPhrase(int status);

}  // namespace tidemark::http
