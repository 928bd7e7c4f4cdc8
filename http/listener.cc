#include "http/listener.h"

#include <algorithm>
#include <utility>

#include "http/internal/listener_impl.h"
#include "http/internal/stream_connection.h"

namespace tidemark::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using internal::Exchange;
using internal::Fault;
using internal::kLingerTime;
using internal::kNoThrow;
using internal::PlaceInFlight;
using internal::ResponderGuard;
using internal::StreamConnection;
using internal::TlsStream;

/// Connections beyond the limit that are told so; more are closed at once.
constexpr uint64_t kRefusedConnectionsMax = 64;

Status LoadTls(const ListenerOptions& options, asio::ssl::context* tls) {
  error_code failed;
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1,
                   failed);
  tls->use_certificate_chain_file(options.tls_certificate, failed);
  if (failed) {
    return {ErrorCode::kInvalidArgument,
            "the TLS certificate " + options.tls_certificate + ": " + failed.message()};
  }
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, failed);
  if (failed) {
    return {ErrorCode::kInvalidArgument,
            "the TLS key " + options.tls_key + ": " + failed.message()};
  }
  return {};
}

}  // namespace

Status Listener::Impl::UseTls() {
  tls_.emplace(asio::ssl::context::tls_server);
  return LoadTls(options_, &*tls_);
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
  asio::co_spawn(acceptor_.get_executor(), Accept(), asio::detached);
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
  const auto forget = [this, connection](const std::exception_ptr&) {
    Forget(connection);
  };
  if (refused) {
    const auto turn = [connection] {
      return connection->Turn(
          {503, "too_many_connections", "too many connections are open; try again later"});
    };
    asio::co_spawn(executor, turn, forget);
  } else {
    asio::co_spawn(
        executor, [connection] { return connection->Run(); }, forget);
  }
}

bool Listener::Impl::HoldBody(uint64_t bytes) {
  if (body_bytes_.fetch_add(bytes) + bytes <= options_.limits.bodies_bytes) return true;
  body_bytes_ -= bytes;
  return false;
}

void Listener::Impl::Forget(const std::shared_ptr<internal::Connection>& connection) {
  const std::lock_guard lock(mutex_);
  if (connections_.erase(connection) > 0) --counters.connections_open;
  if (connections_.empty()) emptied_.notify_all();
}

bool Listener::Impl::Dispatch(std::shared_ptr<const Request> request,
                              const std::shared_ptr<Exchange>& exchange) {
  if (in_flight_.fetch_add(1) >= options_.limits.requests_in_flight) {
    --in_flight_;
    return false;
  }
  auto place = std::make_shared<PlaceInFlight>(in_flight_);
  auto guard = std::make_shared<ResponderGuard>(exchange, [this, id = request->id] {
    return handler_.Refuse(500, "internal", "the request was not answered", id);
  });
  asio::post(workers_,
             [this, request = std::move(request), place, guard = std::move(guard)]() mutable {
               Responder respond = [place, guard](Response response) {
                 // Before the client can read the answer and ask again.
                 place->Leave();
                 guard->exchange->Deliver(std::move(response));
               };
               guard.reset();
               try {
                 handler_.Handle(std::move(request), std::move(respond));
               } catch (...) {  // the guard answers
                 ++counters.refused_total;
               }
               place->Leave();  // who waits for something to happen holds no place
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
  asio::post(workers_, [work = std::move(work)] {
    try {
      work();
    } catch (...) {  // NOLINT(bugprone-empty-catch): nobody waits for it
    }
  });
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
  asio::post(acceptor_.get_executor(), [this] {
    error_code ignored;
    acceptor_.close(ignored);
  });
  {
    std::unique_lock lock(mutex_);
    for (const auto& connection : connections_) connection->CloseWhenIdle();
    emptied_.wait_for(lock, grace, [this] { return connections_.empty(); });
    for (const auto& connection : connections_) connection->Close();
    emptied_.wait_for(lock, kLingerTime, [this] { return connections_.empty(); });
  }
  {
    const std::lock_guard lock(gate_->mutex);
    gate_->open = false;  // from here on answers go nowhere
  }
  workers_.stop();
  workers_.join();
  io_.stop();
  for (std::thread& thread : threads_) thread.join();
  error_code ignored;
  // No thread may have come to it before. Who connects is to be refused, not left waiting.
  acceptor_.close(ignored);
  const std::lock_guard lock(mutex_);
  connections_.clear();
}

Result<std::unique_ptr<Listener>> Listener::Start(const ListenerOptions& options,
                                                  Handler& handler) {
  auto impl = std::make_unique<Impl>(options, handler);
  TIDEMARK_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Status Listener::CheckTls(const ListenerOptions& options) {
  if (options.tls_certificate.empty()) return {};
  asio::ssl::context tls(asio::ssl::context::tls_server);
  return LoadTls(options, &tls);
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
  const internal::Counters& counters = impl_->counters;
  return {.connections_open = counters.connections_open,
          .connections_total = counters.connections_total,
          .requests_total = counters.requests_total,
          .refused_total = counters.refused_total,
          .bytes_in = counters.bytes_in,
          .bytes_out = counters.bytes_out};
}

}  // namespace tidemark::http
