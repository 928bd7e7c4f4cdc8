#include "server/server.h"

#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "server/config_check.h"

namespace tidemark::server {
namespace {

constexpr std::chrono::milliseconds kWatchPeriod{500};

}  // namespace

class Server::Impl {
 public:
  explicit Impl(ServerOptions options) : options_(std::move(options)) {}
  ~Impl() { Stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Start() {
    auto application = Application::Open(
        options_.application, [this](std::function<void()> work) { Execute(std::move(work)); });
    TIDEMARK_RETURN_IF_ERROR(application.status());
    application_ = std::move(*application);
    const std::string& address = options_.listener.address;
    TIDEMARK_RETURN_IF_ERROR(CheckReach(address, application_->tokens().required()));
    application_->SetListenerStatistics([this] {
      const std::lock_guard lock(listener_mutex_);
      return listener_ == nullptr ? http::ListenerStatistics() : listener_->Statistics();
    });
    auto listener = http::Listener::Start(options_.listener, *application_);
    TIDEMARK_RETURN_IF_ERROR(listener.status());
    {
      const std::lock_guard lock(listener_mutex_);
      listener_ = std::move(*listener);
      port_ = listener_->port();
    }
    Repeat(
        std::chrono::milliseconds(0), options_.upkeep_period, [this] { application_->Upkeep(); });
    Repeat(kWatchPeriod, kWatchPeriod, [this] { application_->Watch(); });
    return {};
  }

  void Stop() {
    const std::lock_guard lock(stop_mutex_);
    if (listener_ != nullptr) {
      application_->BeginStop();
      listener_->Stop(options_.stop_grace);
      std::unique_ptr<http::Listener> ended;
      {
        const std::lock_guard listener_lock(listener_mutex_);
        ended = std::move(listener_);
      }
    }
    if (application_ != nullptr) application_->Close();
  }

  uint16_t port() const { return port_; }
  Application& application() { return *application_; }

 private:
  // What waiters do when they are woken; by the thread that wakes them when there is no listener.
  void Execute(std::function<void()> work) {
    {
      const std::lock_guard lock(listener_mutex_);
      if (listener_ != nullptr) return listener_->Post(std::move(work));
    }
    work();
  }

  // Until the listener stops.
  void Repeat(std::chrono::milliseconds delay,
              std::chrono::milliseconds period,
              std::function<void()> work) {
    const std::lock_guard lock(listener_mutex_);
    if (listener_ == nullptr) return;
    listener_->PostAfter(delay, [this, period, work = std::move(work)] {
      work();
      Repeat(period, period, work);
    });
  }

  const ServerOptions options_;
  std::unique_ptr<Application> application_;
  std::mutex stop_mutex_;                     // taken before the other
  std::mutex listener_mutex_;                 // held only for calls that do not block
  std::unique_ptr<http::Listener> listener_;  // after the application, which it calls
  uint16_t port_ = 0;
};

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TIDEMARK_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

uint16_t Server::port() const {
  return impl_->port();
}

Application& Server::application() {
  return impl_->application();
}

void Server::Stop() {
  impl_->Stop();
}

}  // namespace tidemark::server
