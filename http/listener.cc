// The only source with Boost's headers: sockets and coroutines by Asio, framing of bodies by Beast.
#include "http/listener.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "http/internal/ascii.h"
#include "http/internal/request_head.h"
#include "http/internal/response_head.h"
#include "http/internal/target.h"

namespace tidemark::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using internal::Fault;
using SteadyClock = std::chrono::steady_clock;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kIdleReadBytes = 512;
/// Bodies up to here travel in one buffer with the head.
constexpr size_t kJoinedBodyBytes = 16 * 1024;
/// Connections beyond the limit that are told so; more are closed at once.
constexpr uint64_t kRefusedConnectionsMax = 64;
constexpr size_t kLingerBytesMax = 1024 * 1024;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::chrono::seconds kBodyGrace{10};

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

/// What answers a request is told through, however late: closed before the sockets go.
struct Gate {
  std::mutex mutex;
  bool open = true;
};

/// One request waiting for its answer.
class Exchange {
 public:
  Exchange(asio::any_io_executor executor, std::shared_ptr<Gate> gate)
      : executor_(std::move(executor)), gate_(std::move(gate)) {}

  // From any thread; the first one counts.
  void Deliver(Response response) {
    DeliverMade([&] { return std::move(response); });
  }

  // Makes the answer only when there is none yet and someone waits for it.
  template <typename Make>
  void DeliverMade(const Make& make) {
    const std::lock_guard gate_lock(gate_->mutex);
    if (!gate_->open) return;
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex_);
      if (answered_) return;
      answered_ = true;
      response_ = make();
      wake = std::exchange(wake_, nullptr);
    }
    if (wake) asio::post(executor_, std::move(wake));
  }

  asio::awaitable<Response> Wait() {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [this](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          std::function<void()> wake = [shared] {
            std::move (*shared)();
          };
          const std::lock_guard lock(mutex_);
          if (answered_) {
            asio::post(executor_, std::move(wake));
          } else {
            wake_ = std::move(wake);
          }
        },
        asio::use_awaitable);
    const std::lock_guard lock(mutex_);
    co_return std::move(response_);
  }

 private:
  const asio::any_io_executor executor_;
  const std::shared_ptr<Gate> gate_;
  std::mutex mutex_;
  bool answered_ = false;
  Response response_;
  std::function<void()> wake_;
};

/// Answers for whoever forgets to.
struct ResponderGuard {
  std::shared_ptr<Exchange> exchange;
  std::function<Response()> forgotten;
  ResponderGuard(std::shared_ptr<Exchange> answered, std::function<Response()> otherwise)
      : exchange(std::move(answered)), forgotten(std::move(otherwise)) {}
  ~ResponderGuard() { exchange->DeliverMade(forgotten); }
  ResponderGuard(const ResponderGuard&) = delete;
  ResponderGuard& operator=(const ResponderGuard&) = delete;
};

struct Counters {
  std::atomic<uint64_t> connections_open{0};
  std::atomic<uint64_t> connections_total{0};
  std::atomic<uint64_t> requests_total{0};
  std::atomic<uint64_t> refused_total{0};
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
};

/// A connection as the listener sees it.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Closes it at once; from any thread.
  virtual void Close() = 0;
  /// Closes it as soon as nothing is in flight; from any thread.
  virtual void CloseWhenIdle() = 0;
};

Method MethodOf(beast::http::verb verb) {
  switch (verb) {
    case beast::http::verb::get:
      return Method::kGet;
    case beast::http::verb::head:
      return Method::kHead;
    case beast::http::verb::post:
      return Method::kPost;
    case beast::http::verb::put:
      return Method::kPut;
    case beast::http::verb::delete_:
      return Method::kDelete;
    default:
      return Method::kOther;
  }
}

std::string_view AsView(const beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

}  // namespace

class Listener::Impl {
 public:
  Impl(const ListenerOptions& options, Handler& handler)
      : options_(options),
        handler_(handler),
        io_(std::max(1, options.io_threads)),
        workers_(static_cast<size_t>(std::max(1, options.workers))),
        acceptor_(io_) {}

  Status Open();
  void Stop(std::chrono::milliseconds grace);

  // What connections use.

  /// Hands a request to a worker. False: too many are in flight.
  bool Dispatch(std::shared_ptr<const Request> request, std::shared_ptr<Exchange> exchange);
  Response Refuse(const Fault& fault, std::string_view request_id);
  void Forget(const std::shared_ptr<Connection>& connection);
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  const ListenerLimits& limits() const { return options_.limits; }
  const std::shared_ptr<Gate>& gate() const { return gate_; }

  void Post(std::function<void()> work);
  void PostAfter(std::chrono::milliseconds delay, std::function<void()> work);

  uint16_t port = 0;
  Counters counters;

 private:
  Status UseTls();
  asio::awaitable<void> Accept();
  template <typename Stream>
  void Begin(Stream stream, const tcp::endpoint& peer, bool refused);

  const ListenerOptions options_;
  Handler& handler_;
  asio::io_context io_;
  asio::thread_pool workers_;
  tcp::acceptor acceptor_;
  std::optional<asio::ssl::context> tls_;
  std::vector<std::thread> threads_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> in_flight_{0};

  std::mutex mutex_;  // guards what follows
  std::condition_variable emptied_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  bool stopped_ = false;
};

namespace {

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
        loopback_(peer.address().is_loopback()),
        deadline_(stream_.get_executor()),
        buffer_(owner.limits().request_line_bytes + owner.limits().header_bytes + kReadBytes) {}

  asio::awaitable<void> Run() {
    bool goes_on = co_await Handshake();
    while (goes_on && !owner_.stopping()) goes_on = co_await ServeOne();
    co_await Finish();
  }

  /// Says why the connection is not served.
  asio::awaitable<void> Turn(Fault fault) {
    const bool shaken = co_await Handshake();
    Response refusal = owner_.Refuse(fault, NewId());
    if (shaken) co_await Answer(std::move(refusal), false);
    co_await Finish();
  }

  void Close() override {
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
      self->Lowest().cancel();
      error_code ignored;
      self->Lowest().socket().close(ignored);
    });
  }

  void CloseWhenIdle() override {
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
      if (self->idle_) self->Lowest().cancel();
    });
  }

 private:
  using Parser = beast::http::request_parser<beast::http::string_body>;

  beast::tcp_stream& Lowest() { return beast::get_lowest_layer(stream_); }

  std::string_view NewId() {
    request_id_ = internal::MakeRequestId();
    return request_id_;
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
    const std::optional<Head> head = co_await ReadHead();
    if (!head.has_value()) co_return false;
    if (head->fault.has_value()) co_return co_await RefuseAndLinger(*head->fault);

    Parser parser;
    parser.body_limit(owner_.limits().body_bytes);
    parser.header_limit(static_cast<std::uint32_t>(buffer_.max_size()));
    parser.eager(true);
    const std::optional<Fault> fault = co_await ReadBody(&parser);
    if (fault.has_value()) {
      if (fault->status == 0) co_return false;
      co_return co_await RefuseAndLinger(*fault);
    }
    deadline_.cancel();
    co_return co_await Respond(parser);
  }

  struct Head {
    std::optional<Fault> fault;
  };

  // nullopt: the client left, or never asked anything.
  asio::awaitable<std::optional<Head>> ReadHead() {
    internal::HeadScanner scanner({.request_line_bytes = owner_.limits().request_line_bytes,
                                   .header_bytes = owner_.limits().header_bytes,
                                   .header_fields = owner_.limits().header_fields});
    request_id_.clear();
    if (buffer_.size() == 0) {
      buffer_.shrink_to_fit();
      idle_ = true;
      Lowest().expires_after(owner_.limits().idle_time);
      const bool received = co_await ReadSome(kIdleReadBytes);
      idle_ = false;
      if (!received) co_return std::nullopt;
    }
    Lowest().expires_never();
    GiveUpAfter(owner_.limits().header_time);
    while (true) {
      const size_t size = scanner.Scan(AsView(buffer_));
      if (scanner.fault().has_value()) co_return Head{scanner.fault()};
      if (size > 0) {
        co_return Head{internal::CheckHead(AsView(buffer_).substr(0, size))};
      }
      const bool received = co_await ReadSome(kReadBytes);
      if (!received) {
        if (!timed_out_) co_return std::nullopt;
        co_return Head{Fault{408, "timeout", "the request took too long to arrive"}};
      }
    }
  }

  // A fault with status 0: the client left.
  asio::awaitable<std::optional<Fault>> ReadBody(Parser* parser) {
    const auto begin = SteadyClock::now();
    uint64_t received = 0;
    bool continued = false;
    while (true) {
      error_code failed;
      while (buffer_.size() > 0 && !parser->is_done()) {
        const size_t used = parser->put(buffer_.data(), failed);
        buffer_.consume(used);
        if (failed == beast::http::error::need_more) {
          failed = {};
          break;
        }
        if (failed) co_return FaultOf(failed);
      }
      if (parser->is_done()) co_return std::nullopt;
      if (!continued && parser->is_header_done() && received == 0 && ExpectsContinue(*parser)) {
        continued = true;
        const bool said = co_await WriteAll("HTTP/1.1 100 Continue\r\n\r\n");
        if (!said) co_return Fault{.status = 0};
      }
      GiveUpAfter(owner_.limits().body_stall);
      const size_t before = buffer_.size();
      const bool more = co_await ReadSome(kReadBytes);
      if (!more) {
        if (!timed_out_) co_return Fault{.status = 0};
        co_return Fault{408, "timeout", "the body took too long to arrive"};
      }
      received += buffer_.size() - before;
      const auto taken = SteadyClock::now() - begin;
      const auto allowed =
          kBodyGrace + std::chrono::seconds(
                           received / std::max<uint64_t>(1, owner_.limits().body_bytes_per_second));
      if (taken > allowed) co_return Fault{408, "timeout", "the body arrives too slowly"};
    }
  }

  static bool ExpectsContinue(const Parser& parser) {
    return parser.get().find(beast::http::field::expect) != parser.get().end();
  }

  Fault FaultOf(const error_code& failed) const {
    if (failed == beast::http::error::body_limit) {
      return {413,
              "too_large",
              "a body has at most " + std::to_string(owner_.limits().body_bytes) + " bytes"};
    }
    return {.message = "malformed request: " + failed.message()};
  }

  asio::awaitable<bool> Respond(Parser& parser) {
    auto& message = parser.get();
    auto request = std::make_shared<Request>();
    request->method = MethodOf(message.method());
    request->peer = peer_;
    request->loopback = loopback_;
    for (const auto& field : message) {
      const auto name = field.name_string();
      const auto value = field.value();
      request->headers.Add({name.data(), name.size()}, {value.data(), value.size()});
    }
    const auto given = request->headers.Find("X-Request-Id");
    request_id_ = given.has_value() && internal::IsRequestId(*given) ? std::string(*given)
                                                                     : internal::MakeRequestId();
    request->id = request_id_;
    http_1_0_ = message.version() == 10;
    const auto target = message.target();
    if (!internal::ParseTarget({target.data(), target.size()}, request.get())) {
      const Fault fault{.message = "the request target is not encoded as it should be"};
      co_return co_await RefuseAndLinger(fault);
    }
    request->body = std::move(message.body());
    const bool keep_alive = message.keep_alive();
    is_head_ = request->method == Method::kHead;

    auto exchange = std::make_shared<Exchange>(stream_.get_executor(), owner_.gate());
    Lowest().expires_never();
    ++owner_.counters.requests_total;
    if (!owner_.Dispatch(request, exchange)) {
      Response refusal =
          owner_.Refuse({503, "overloaded", "too many requests are in flight"}, request_id_);
      co_return co_await Answer(std::move(refusal), keep_alive);
    }
    request.reset();
    Response response = co_await exchange->Wait();
    const bool stays = keep_alive && !response.close && !owner_.stopping();
    co_return co_await Answer(std::move(response), stays);
  }

  asio::awaitable<bool> RefuseAndLinger(const Fault& fault) {
    deadline_.cancel();
    if (request_id_.empty()) NewId();
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
    std::shared_ptr<BodyStream> body = std::move(response.stream);
    const std::string_view bytes =
        response.shared_body != nullptr ? std::string_view(*response.shared_body) : response.body;
    const bool chunked = body != nullptr && !http_1_0_;
    if (body != nullptr && http_1_0_) keep_alive = false;
    std::string head = internal::EncodeResponseHead(
        response,
        {.request_id = request_id_,
         .keep_alive = keep_alive,
         .http_1_0 = http_1_0_,
         .chunked = chunked,
         .body_bytes = body != nullptr ? std::nullopt : std::optional<uint64_t>(bytes.size())});
    const bool joined = !is_head_ && bytes.size() <= kJoinedBodyBytes;
    if (joined) head.append(bytes);
    bool written = co_await WriteAll(head);
    if (!written || is_head_) co_return written&& keep_alive;
    if (body != nullptr) {
      written = co_await WriteStream(std::move(body), chunked);
    } else if (!joined) {
      written = co_await WriteAll(bytes);
    }
    co_return written&& keep_alive;
  }

  asio::awaitable<bool> WriteStream(std::shared_ptr<BodyStream> body, bool chunked) {
    while (!owner_.stopping()) {
      auto piece = std::make_shared<Exchange>(stream_.get_executor(), owner_.gate());
      // The end of the stream is told as a response without a body and with `close`.
      body->Next([piece](std::optional<std::string> bytes) {
        Response carrier;
        carrier.close = !bytes.has_value();
        carrier.body = bytes.has_value() ? *std::move(bytes) : std::string();
        piece->Deliver(std::move(carrier));
      });
      const Response next = co_await piece->Wait();
      if (next.close) {
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
    co_return false;
  }

  asio::awaitable<bool> WriteAll(std::string_view bytes) {
    while (!bytes.empty()) {
      Lowest().expires_after(owner_.limits().write_stall);
      const auto [failed, written] =
          co_await stream_.async_write_some(asio::buffer(bytes.data(), bytes.size()), kNoThrow);
      if (failed) co_return false;
      owner_.counters.bytes_out += written;
      bytes.remove_prefix(written);
    }
    co_return true;
  }

  // Ends reading at that time, but leaves the connection open for an answer, which the timeouts of
  // the stream itself do not.
  void GiveUpAfter(std::chrono::milliseconds time) {
    timed_out_ = false;
    deadline_.expires_after(time);
    deadline_.async_wait([self = this->shared_from_this()](const error_code& failed) {
      if (failed || self->deadline_.expiry() > SteadyClock::now()) return;
      self->timed_out_ = true;
      error_code ignored;
      self->Lowest().socket().cancel(ignored);
    });
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
    deadline_.cancel();
    error_code ignored;
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      Lowest().expires_after(kLingerTime);
      const auto [failed] = co_await stream_.async_shutdown(kNoThrow);
      (void)failed;
    }
    Lowest().socket().shutdown(tcp::socket::shutdown_both, ignored);
    Lowest().socket().close(ignored);
    owner_.Forget(this->shared_from_this());
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
};

}  // namespace

Status Listener::Impl::UseTls() {
  tls_.emplace(asio::ssl::context::tls_server);
  error_code failed;
  tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                        asio::ssl::context::no_tlsv1_1,
                    failed);
  tls_->use_certificate_chain_file(options_.tls_certificate, failed);
  if (failed) {
    return {ErrorCode::kInvalidArgument,
            "the TLS certificate " + options_.tls_certificate + ": " + failed.message()};
  }
  tls_->use_private_key_file(options_.tls_key, asio::ssl::context::pem, failed);
  if (failed) {
    return {ErrorCode::kInvalidArgument,
            "the TLS key " + options_.tls_key + ": " + failed.message()};
  }
  return {};
}

Status Listener::Impl::Open() {
  error_code failed;
  const auto address = asio::ip::make_address(options_.address, failed);
  if (failed) {
    return {ErrorCode::kInvalidArgument, "no IP address to listen on: " + options_.address};
  }
  if (!options_.tls_certificate.empty()) TIDEMARK_RETURN_IF_ERROR(UseTls());
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), failed);
  if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed) acceptor_.bind(endpoint, failed);
  if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) {
    return {ErrorCode::kUnavailable,
            "cannot listen on " + options_.address + " port " + std::to_string(options_.port) +
                ": " + failed.message()};
  }
  port = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, Accept(), asio::detached);
  for (int i = 0; i < std::max(1, options_.io_threads); ++i) {
    threads_.emplace_back([this] { io_.run(); });
  }
  return {};
}

asio::awaitable<void> Listener::Impl::Accept() {
  while (!stopping()) {
    tcp::endpoint peer;
    auto [failed, socket] = co_await acceptor_.async_accept(asio::make_strand(io_), peer, kNoThrow);
    if (failed == asio::error::operation_aborted) break;
    if (failed) {
      // Out of descriptors, most likely: those who are served go first.
      asio::steady_timer pause(io_, std::chrono::milliseconds(50));
      co_await pause.async_wait(kNoThrow);
      continue;
    }
    ++counters.connections_total;
    const uint64_t open = counters.connections_open.load();
    if (open >= options_.limits.connections + kRefusedConnectionsMax) continue;
    socket.set_option(tcp::no_delay(true), failed);
    const bool refused = open >= options_.limits.connections;
    if (tls_.has_value()) {
      Begin(TlsStream(beast::tcp_stream(std::move(socket)), *tls_), peer, refused);
    } else {
      Begin(beast::tcp_stream(std::move(socket)), peer, refused);
    }
  }
}

template <typename Stream>
void Listener::Impl::Begin(Stream stream, const tcp::endpoint& peer, bool refused) {
  const auto executor = stream.get_executor();
  auto connection = std::make_shared<StreamConnection<Stream>>(*this, std::move(stream), peer);
  {
    const std::lock_guard lock(mutex_);
    if (stopping()) return;
    connections_.insert(connection);
    ++counters.connections_open;
  }
  if (refused) {
    asio::co_spawn(
        executor,
        [connection] {
          return connection->Turn(
              {503, "too_many_connections", "too many connections are open; try again later"});
        },
        asio::detached);
  } else {
    asio::co_spawn(
        executor, [connection] { return connection->Run(); }, asio::detached);
  }
}

void Listener::Impl::Forget(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  if (connections_.erase(connection) > 0) --counters.connections_open;
  if (connections_.empty()) emptied_.notify_all();
}

bool Listener::Impl::Dispatch(std::shared_ptr<const Request> request,
                              std::shared_ptr<Exchange> exchange) {
  if (in_flight_.fetch_add(1) >= options_.limits.requests_in_flight) {
    --in_flight_;
    return false;
  }
  auto guard = std::make_shared<ResponderGuard>(exchange, [this, id = request->id] {
    return handler_.Refuse(500, "internal", "the request was not answered", id);
  });
  asio::post(workers_, [this, request = std::move(request), guard = std::move(guard)]() mutable {
    Responder respond = [guard](Response response) {
      guard->exchange->Deliver(std::move(response));
    };
    guard.reset();
    try {
      handler_.Handle(std::move(request), std::move(respond));
    } catch (const std::exception&) {  // the guard answers
      ++counters.refused_total;
    }
    --in_flight_;
  });
  return true;
}

Response Listener::Impl::Refuse(const Fault& fault, std::string_view request_id) {
  ++counters.refused_total;
  Response response = handler_.Refuse(fault.status, fault.code, fault.message, request_id);
  if (fault.status == 503 && !response.headers.Find("Retry-After").has_value()) {
    response.headers.Add("Retry-After", "1");
  }
  return response;
}

void Listener::Impl::Post(std::function<void()> work) {
  asio::post(workers_, std::move(work));
}

void Listener::Impl::PostAfter(std::chrono::milliseconds delay, std::function<void()> work) {
  const std::lock_guard lock(gate_->mutex);
  if (!gate_->open) return;
  auto timer = std::make_shared<asio::steady_timer>(io_, delay);
  timer->async_wait([this, timer, work = std::move(work)](const error_code& failed) mutable {
    if (!failed) Post(std::move(work));
  });
}

void Listener::Impl::Stop(std::chrono::milliseconds grace) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    stopping_ = true;
  }
  asio::post(io_, [this] {
    error_code ignored;
    acceptor_.close(ignored);
  });
  {
    std::unique_lock lock(mutex_);
    for (const auto& connection : connections_) connection->CloseWhenIdle();
    emptied_.wait_for(lock, grace, [this] { return connections_.empty(); });
    for (const auto& connection : connections_) connection->Close();
  }
  {
    const std::lock_guard lock(gate_->mutex);
    gate_->open = false;  // from here on answers go nowhere
  }
  workers_.stop();
  workers_.join();
  io_.stop();
  for (std::thread& thread : threads_) thread.join();
  const std::lock_guard lock(mutex_);
  connections_.clear();
}

Result<std::unique_ptr<Listener>> Listener::Start(const ListenerOptions& options,
                                                  Handler& handler) {
  auto impl = std::make_unique<Impl>(options, handler);
  TIDEMARK_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
  Stop(std::chrono::milliseconds(0));
}

uint16_t Listener::port() const {
  return impl_->port;
}
void Listener::Post(std::function<void()> work) {
  impl_->Post(std::move(work));
}
void Listener::PostAfter(std::chrono::milliseconds delay, std::function<void()> work) {
  impl_->PostAfter(delay, std::move(work));
}
void Listener::Stop(std::chrono::milliseconds grace) {
  impl_->Stop(grace);
}

ListenerStatistics Listener::Statistics() const {
  const Counters& counters = impl_->counters;
  return {.connections_open = counters.connections_open,
          .connections_total = counters.connections_total,
          .requests_total = counters.requests_total,
          .refused_total = counters.refused_total,
          .bytes_in = counters.bytes_in,
          .bytes_out = counters.bytes_out};
}

}  // namespace tidemark::http
