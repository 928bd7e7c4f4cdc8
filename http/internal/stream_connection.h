// One connection of a listener.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/internal/body_reader.h"
#include "http/internal/exchange.h"
#include "http/internal/listener_impl.h"
#include "http/internal/request_head.h"
#include "http/internal/response_head.h"
#include "http/internal/target.h"

namespace tidemark::http::internal {

namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

inline constexpr size_t kReadBytes = 16 * 1024;
inline constexpr size_t kIdleReadBytes = 512;
inline constexpr size_t kLingerBytesMax = 1024 * 1024;
inline constexpr std::chrono::seconds kLingerTime{2};

inline constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

inline std::string_view AsView(const beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

/// One connection: reads a request, has it answered, and so on. What is awaited stands in a
/// statement of its own, with named arguments: g++ 12 loses or frees twice what does not.
template <typename Stream>
class StreamConnection final : public Connection,
                               public std::enable_shared_from_this<StreamConnection<Stream>> {
 public:
  StreamConnection(Listener::Impl& owner, Stream stream, const tcp::endpoint& peer)
      : owner_(owner),
        stream_(std::move(stream)),
        peer_(peer.address().to_string()),
        loopback_(IsLoopback(peer.address())),
        deadline_(stream_.get_executor()),
        buffer_(owner.limits().request_line_bytes + owner.limits().header_bytes + kReadBytes) {}
  ~StreamConnection() override { owner_.ReleaseBody(held_bytes_); }
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  asio::awaitable<void> Run() {
    bool goes_on = co_await Handshake();
    while (goes_on && !owner_.stopping()) goes_on = co_await ServeOne();
    co_await Finish();
  }

  /// Says why the connection is not served.
  asio::awaitable<void> Turn(Fault fault) {
    const bool shaken = co_await Handshake();
    request_id_ = MakeRequestId();
    Response refusal = owner_.Refuse(fault, request_id_);
    if (shaken) co_await Answer(std::move(refusal), false);
    co_await Finish();
  }

  void Close() override {
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
      error_code ignored;
      self->Lowest().cancel();
      self->Lowest().socket().close(ignored);
      self->StopWaiting();
    });
  }

  void CloseWhenIdle() override {
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
      if (self->idle_) self->Lowest().cancel();
      if (self->streaming_) self->StopWaiting();
    });
  }

 private:
  beast::tcp_stream& Lowest() { return beast::get_lowest_layer(stream_); }

  static bool IsLoopback(const asio::ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
      return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
    }
    return address.is_loopback();
  }

  asio::awaitable<bool> Handshake() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      Lowest().expires_after(owner_.limits().header_time);
      const auto [failed] =
          co_await stream_.async_handshake(asio::ssl::stream_base::server, kNoThrow);
      co_return !failed;
    }
    co_return true;
  }

  // False when the connection is to end.
  asio::awaitable<bool> ServeOne() {
    RequestHead head;
    std::optional<Fault> fault = co_await ReadHead(&head);
    std::string body;
    if (!fault.has_value()) fault = co_await ReadBody(head, &body);
    StopDeadline();
    if (fault.has_value()) {
      if (fault->status == kLeft) co_return false;
      co_return co_await RefuseAndLinger(*fault);
    }
    const bool stays = co_await Respond(std::move(head), std::move(body));
    owner_.ReleaseBody(std::exchange(held_bytes_, 0));
    co_return stays;
  }

  // Status of a fault that nobody is there to be told of.
  static constexpr int kLeft = 0;

  asio::awaitable<std::optional<Fault>> ReadHead(RequestHead* head) {
    HeadScanner scanner({.request_line_bytes = owner_.limits().request_line_bytes,
                         .header_bytes = owner_.limits().header_bytes,
                         .header_fields = owner_.limits().header_fields});
    request_id_ = MakeRequestId();
    http_1_0_ = false;
    is_head_ = false;
    if (buffer_.size() == 0) {
      buffer_.shrink_to_fit();
      idle_ = true;
      Lowest().expires_after(owner_.limits().idle_time);
      const bool received = co_await ReadSome(kIdleReadBytes);
      idle_ = false;
      if (!received) co_return Fault{.status = kLeft};
    }
    Lowest().expires_never();
    GiveUpAfter(owner_.limits().header_time);
    size_t size = 0;
    while ((size = scanner.Scan(AsView(buffer_))) == 0) {
      if (scanner.fault().has_value()) co_return scanner.fault();
      const bool received = co_await ReadSome(kReadBytes);
      if (!received) co_return LeftOr("the request took too long to arrive");
    }
    std::optional<Fault> fault = ReadRequestHead(AsView(buffer_).substr(0, size), head);
    buffer_.consume(size);
    const auto given = head->headers.Find("X-Request-Id");
    if (given.has_value() && IsRequestId(*given)) request_id_ = *given;
    http_1_0_ = head->http_1_0;
    co_return fault;
  }

  asio::awaitable<std::optional<Fault>> ReadBody(const RequestHead& head, std::string* body) {
    BodyReader reader(head, owner_.limits().body_bytes);
    auto window_begin = SteadyClock::now();
    uint64_t window_bytes = 0;
    if (head.expects_continue && buffer_.size() == 0 && !reader.done() &&
        !reader.fault().has_value()) {
      const bool said = co_await WriteAll("HTTP/1.1 100 Continue\r\n\r\n");
      if (!said) co_return Fault{.status = kLeft};
    }
    while (true) {
      const size_t taken = reader.Take(AsView(buffer_));
      buffer_.consume(taken);
      if (reader.fault().has_value()) co_return reader.fault();
      if (!owner_.HoldBody(taken)) {
        co_return Fault{503, "overloaded", "too many bytes of requests are in flight"};
      }
      held_bytes_ += taken;
      window_bytes += taken;
      if (reader.done()) break;
      const std::chrono::milliseconds window = owner_.limits().body_window;
      if (SteadyClock::now() - window_begin > window) {
        const auto milliseconds = static_cast<uint64_t>(window.count());
        if (window_bytes * 1000 < owner_.limits().body_bytes_per_second * milliseconds) {
          co_return Fault{408, "timeout", "the body arrives too slowly"};
        }
        window_begin = SteadyClock::now();
        window_bytes = 0;
      }
      GiveUpAfter(owner_.limits().body_stall);
      const bool received = co_await ReadSome(kReadBytes);
      if (!received) co_return LeftOr("the body took too long to arrive");
    }
    *body = std::move(reader.body());
    co_return std::nullopt;
  }

  Fault LeftOr(std::string_view reason) const {
    if (!timed_out_) return {.status = kLeft};
    return {408, "timeout", std::string(reason)};
  }

  asio::awaitable<bool> Respond(RequestHead head, std::string body) {
    auto request = std::make_shared<Request>();
    request->id = request_id_;
    request->method = head.method;
    request->peer = peer_;
    request->loopback = loopback_;
    if (!ParseTarget(head.target, request.get())) {
      const Fault fault{.message = "the request target is not encoded as it should be"};
      co_return co_await RefuseAndLinger(fault);
    }
    request->headers = std::move(head.headers);
    request->body = std::move(body);
    is_head_ = request->method == Method::kHead;

    auto exchange = std::make_shared<Exchange>(stream_.get_executor(), owner_.gate());
    Lowest().expires_never();
    ++owner_.counters.requests_total;
    if (!owner_.Dispatch(std::move(request), exchange)) {
      Response refusal =
          owner_.Refuse({503, "overloaded", "too many requests are in flight"}, request_id_);
      co_return co_await Answer(std::move(refusal), head.keep_alive);
    }
    waiting_ = exchange;
    Response response = co_await exchange->Wait();
    waiting_.reset();
    // Before the client can read the answer and send more.
    owner_.ReleaseBody(std::exchange(held_bytes_, 0));
    const bool stays = head.keep_alive && !response.close && !owner_.stopping();
    co_return co_await Answer(std::move(response), stays);
  }

  asio::awaitable<bool> RefuseAndLinger(const Fault& fault) {
    Response refusal = owner_.Refuse(fault, request_id_);
    co_await Answer(std::move(refusal), false);
    co_await Linger();
    co_return false;
  }

  // Takes what the client still sends, so that closing does not make its system drop the answer.
  asio::awaitable<void> Linger() {
    error_code ignored;
    Lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
    Lowest().expires_after(kLingerTime);
    buffer_.clear();
    for (size_t taken = 0; taken < kLingerBytesMax; taken += buffer_.size(), buffer_.clear()) {
      const bool more = co_await ReadSome(kReadBytes);
      if (!more) break;
    }
  }

  // Writes an answer; false when the connection is to end.
  asio::awaitable<bool> Answer(Response response, bool keep_alive) {
    if (response.status == 204 || response.status == 304) {  // a body would be read as an answer
      response.body.clear();
      response.shared_body.reset();
      response.stream.reset();
    }
    std::shared_ptr<BodyStream> body = std::move(response.stream);
    std::string_view bytes =
        response.shared_body != nullptr ? std::string_view(*response.shared_body) : response.body;
    const bool chunked = body != nullptr && !http_1_0_;
    if (body != nullptr && http_1_0_) keep_alive = false;
    std::string head = EncodeResponseHead(
        response,
        {.request_id = request_id_,
         .keep_alive = keep_alive,
         .http_1_0 = http_1_0_,
         .chunked = chunked,
         .body_bytes = body != nullptr ? std::nullopt : std::optional<uint64_t>(bytes.size())});
    if (is_head_) bytes = {};
    const bool written = co_await WriteAll(head, bytes);
    if (!written || is_head_ || body == nullptr) co_return written&& keep_alive;
    const bool streamed = co_await WriteStream(std::move(body), chunked);
    co_return streamed&& keep_alive;
  }

  asio::awaitable<bool> WriteStream(std::shared_ptr<BodyStream> body, bool chunked) {
    streaming_ = true;
    NoticeLeaving();
    while (true) {
      auto piece = std::make_shared<Exchange>(stream_.get_executor(), owner_.gate());
      // The end of the stream is told as a response without a body and with `close`.
      body->Next([piece](std::optional<std::string> bytes) {
        Response carrier;
        carrier.close = !bytes.has_value();
        carrier.body = bytes.has_value() ? *std::move(bytes) : std::string();
        piece->Deliver(std::move(carrier));
      });
      waiting_ = piece;
      if (owner_.stopping() || left_) StopWaiting();
      const Response next = co_await piece->Wait();
      waiting_.reset();
      if (next.close) {
        streaming_ = false;
        if (!chunked) co_return true;
        co_return co_await WriteAll("0\r\n\r\n");
      }
      if (next.body.empty()) continue;
      std::array<char, 20> size{};
      const int digits = std::snprintf(size.data(), size.size(), "%zx\r\n", next.body.size());
      const std::string framed =
          chunked ? std::string(size.data(), static_cast<size_t>(digits)) + next.body + "\r\n"
                  : next.body;
      const bool written = co_await WriteAll(framed);
      if (!written) co_return false;
    }
  }

  // While a stream is quiet, only this tells that nobody listens any more.
  void NoticeLeaving() {
    Lowest().socket().async_wait(
        tcp::socket::wait_read, [self = this->shared_from_this()](const error_code& failed) {
          if (failed || !self->streaming_) return;
          char byte = 0;
          error_code ended;
          self->Lowest().socket().receive(asio::buffer(&byte, 1), tcp::socket::message_peek, ended);
          if (!ended) return;
          self->left_ = true;  // a piece may be on its way out, with nothing awaited
          self->StopWaiting();
        });
  }

  // Ends the wait for an answer or a piece of one, as if it had come and were the last.
  void StopWaiting() {
    if (waiting_ == nullptr) return;
    Response end;
    end.status = 503;
    end.close = true;
    waiting_->Deliver(std::move(end));
  }

  // Both parts, in as few calls of the system as it takes them.
  asio::awaitable<bool> WriteAll(std::string_view bytes, std::string_view more = {}) {
    while (!bytes.empty() || !more.empty()) {
      Lowest().expires_after(owner_.limits().write_stall);
      const std::array<asio::const_buffer, 2> parts = {asio::buffer(bytes.data(), bytes.size()),
                                                       asio::buffer(more.data(), more.size())};
      const auto [failed, written] = co_await stream_.async_write_some(parts, kNoThrow);
      if (failed) co_return false;
      owner_.counters.bytes_out += written;
      const size_t of_first = std::min(written, bytes.size());
      bytes.remove_prefix(of_first);
      more.remove_prefix(written - of_first);
    }
    Lowest().expires_never();
    co_return true;
  }

  // Ends reading at that time, but leaves the connection open for an answer, which the timeouts of
  // the stream itself do not.
  void GiveUpAfter(std::chrono::milliseconds time) {
    timed_out_ = false;
    deadline_armed_ = true;
    deadline_.expires_after(time);
    deadline_.async_wait([self = this->shared_from_this()](const error_code& failed) {
      if (failed || !self->deadline_armed_) return;
      if (self->deadline_.expiry() > SteadyClock::now()) return;
      self->timed_out_ = true;
      error_code ignored;
      self->Lowest().socket().cancel(ignored);
    });
  }

  void StopDeadline() {
    deadline_armed_ = false;
    deadline_.cancel();
  }

  // Appends to the buffer. False at the end, on an error, or when the time is over.
  asio::awaitable<bool> ReadSome(size_t bytes_max) {
    const size_t room = std::min(bytes_max, buffer_.max_size() - buffer_.size());
    if (room == 0) co_return false;
    const auto [failed, count] = co_await stream_.async_read_some(buffer_.prepare(room), kNoThrow);
    buffer_.commit(count);
    owner_.counters.bytes_in += count;
    co_return !failed;
  }

  asio::awaitable<void> Finish() {
    StopDeadline();
    error_code ignored;
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      Lowest().expires_after(kLingerTime);
      const auto [failed] = co_await stream_.async_shutdown(kNoThrow);
      (void)failed;
    }
    Lowest().socket().shutdown(tcp::socket::shutdown_both, ignored);
    Lowest().socket().close(ignored);
    co_return;
  }

  Listener::Impl& owner_;
  Stream stream_;
  const std::string peer_;
  const bool loopback_;
  asio::steady_timer deadline_;
  beast::flat_buffer buffer_;
  std::string request_id_;
  bool http_1_0_ = false;
  bool is_head_ = false;
  bool idle_ = false;
  bool timed_out_ = false;
  bool deadline_armed_ = false;
  bool streaming_ = false;
  bool left_ = false;  // nobody reads the stream any more
  uint64_t held_bytes_ = 0;
  std::shared_ptr<Exchange> waiting_;  // the answer, or piece of a stream, that comes next
};

}  // namespace tidemark::http::internal
