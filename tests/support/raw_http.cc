#include "tests/support/raw_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <utility>

namespace tidemark::test {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return lower;
}

}  // namespace

RawConnection::RawConnection(uint16_t port)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (socket_ < 0) return;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(socket_);
    socket_ = -1;
  }
}

RawConnection::~RawConnection() {
  if (socket_ >= 0) ::close(socket_);
}

bool RawConnection::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawConnection::Fill(std::chrono::milliseconds timeout) {
  if (socket_ < 0 || ended_) return false;
  pollfd wanted{.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&wanted, 1, static_cast<int>(timeout.count())) <= 0) return false;
  std::array<char, 64 * 1024> bytes{};
  const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (count <= 0) {
    ended_ = true;
    return false;
  }
  received_.append(bytes.data(), static_cast<size_t>(count));
  return true;
}

std::optional<RawResponse> RawConnection::Receive(std::chrono::milliseconds timeout, bool head) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto fill = [&] {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    return left.count() > 0 && Fill(left);
  };
  size_t head_end = 0;
  while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  RawResponse response;
  response.status = std::atoi(received_.substr(9, 3).c_str());
  for (size_t at = received_.find("\r\n") + 2; at < head_end + 2;) {
    const size_t end = received_.find("\r\n", at);
    const std::string line = received_.substr(at, end - at);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) {
      response.headers[Lower(line.substr(0, colon))] = line.substr(colon + 2);
    }
    at = end + 2;
  }
  received_.erase(0, head_end + 4);
  response.closed = response.headers["connection"] == "close";
  if (head || response.status == 204 || response.status == 304 || response.status == 100) {
    return response;
  }
  if (response.headers["transfer-encoding"] == "chunked") {
    while (true) {
      size_t line_end = 0;
      while ((line_end = received_.find("\r\n")) == std::string::npos) {
        if (!fill()) return std::nullopt;
      }
      const size_t size = std::strtoul(received_.c_str(), nullptr, 16);
      while (received_.size() < line_end + 2 + size + 2) {
        if (!fill()) return std::nullopt;
      }
      response.body.append(received_, line_end + 2, size);
      received_.erase(0, line_end + 2 + size + 2);
      if (size == 0) return response;
    }
  }
  const size_t size = std::strtoul(response.headers["content-length"].c_str(), nullptr, 10);
  while (received_.size() < size) {
    if (!fill()) return std::nullopt;
  }
  response.body = received_.substr(0, size);
  received_.erase(0, size);
  return response;
}

std::string RawConnection::ReceiveSome(std::chrono::milliseconds timeout) {
  if (received_.empty()) Fill(timeout);
  return std::exchange(received_, {});
}

bool RawConnection::WaitForClose(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!ended_ && std::chrono::steady_clock::now() < deadline) {
    Fill(std::chrono::milliseconds(100));
    received_.clear();
  }
  return ended_;
}

void RawConnection::Reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(socket_);
  socket_ = -1;
}

std::optional<RawResponse> RawExchange(uint16_t port, std::string_view bytes) {
  RawConnection connection(port);
  return connection.Exchange(bytes);
}

}  // namespace tidemark::test
