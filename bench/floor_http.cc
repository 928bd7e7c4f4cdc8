#include "bench/floor_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "bench/harness.h"

namespace tidemark::bench {
namespace {

constexpr int kLookMilliseconds = 100;

class FixedBodies {
 public:
  explicit FixedBodies(size_t body_bytes)
      : answer_("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body_bytes) + "\r\n\r\n" +
                std::string(body_bytes, 'x')),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    Require(::bind(listener_, plain, size) == 0 && ::listen(listener_, SOMAXCONN) == 0,
            "listening");
    ::getsockname(listener_, plain, &size);
    port_ = ntohs(address.sin_port);
    Watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
  }
  ~FixedBodies() {
    for (const auto& [socket, unsent] : unsent_) ::close(socket);
    ::close(listener_);
    ::close(poll_);
  }
  FixedBodies(const FixedBodies&) = delete;
  FixedBodies& operator=(const FixedBodies&) = delete;

  uint16_t port() const { return port_; }

  void RunUntil(const std::atomic<bool>& ended) {
    std::array<epoll_event, 256> events{};
    while (!ended) {
      const int ready =
          ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), kLookMilliseconds);
      for (int i = 0; i < ready; ++i) Serve(events.at(static_cast<size_t>(i)));
    }
  }

 private:
  void Watch(int socket, uint32_t what, int how) const {
    epoll_event wanted{};
    wanted.events = what;
    wanted.data.fd = socket;
    ::epoll_ctl(poll_, how, socket, &wanted);
  }

  void Serve(const epoll_event& event) {
    const int socket = event.data.fd;
    if (socket == listener_) return Accept();
    std::string_view& unsent = unsent_[socket];
    if ((event.events & EPOLLIN) != 0) {
      std::array<char, 4096> request{};
      const ssize_t count = ::recv(socket, request.data(), request.size(), MSG_DONTWAIT);
      if (count <= 0) {
        unsent_.erase(socket);
        ::close(socket);
        return;
      }
      const std::string_view text(request.data(), static_cast<size_t>(count));
      if (!text.ends_with("\r\n\r\n")) return;
      unsent = answer_;
    }
    const ssize_t sent = ::send(socket, unsent.data(), unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) unsent.remove_prefix(static_cast<size_t>(sent));
    Watch(socket, unsent.empty() ? EPOLLIN : EPOLLOUT, EPOLL_CTL_MOD);
  }

  void Accept() {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    unsent_.emplace(socket, std::string_view());
    Watch(socket, EPOLLIN, EPOLL_CTL_ADD);
  }

  const std::string answer_;
  const int listener_;
  const int poll_;
  uint16_t port_ = 0;
  std::unordered_map<int, std::string_view> unsent_;  // by socket
};

}  // namespace

void ServeFixedBodies(size_t body_bytes, const std::function<void(uint16_t port)>& ready) {
  FixedBodies server(body_bytes);
  std::atomic<bool> ended = false;
  std::thread waiting([&] {
    ready(server.port());
    ended = true;
  });
  server.RunUntil(ended);
  waiting.join();
}

}  // namespace tidemark::bench
