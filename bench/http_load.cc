#include "bench/http_load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>

#include "bench/harness.h"

namespace tidemark::bench {
namespace {

constexpr size_t kReceiveBytes = size_t{256} * 1024;
constexpr uint64_t kShortBody = 16 * 1024;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int Connect(uint16_t port) {
  const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(file >= 0, "opening a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* plain = reinterpret_cast<const sockaddr*>(&address);
  Require(::connect(file, plain, sizeof(address)) == 0, "connecting");
  const int on = 1;
  ::setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return file;
}

}  // namespace

std::string_view HttpReply::Header(std::string_view name) const {
  const std::string line = "\r\n" + std::string(name) + ": ";
  const size_t at = head.find(line);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + line.size();
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

HttpLoad::HttpLoad(uint16_t port, size_t connections, LongBodies long_bodies)
    : long_bodies_(long_bodies),
      poll_(::epoll_create1(EPOLL_CLOEXEC)),
      connections_(connections),
      buffer_(kReceiveBytes, '\0') {
  for (size_t i = 0; i < connections; ++i) {
    connections_[i].socket = Connect(port);
    Watch(i, /*writing=*/false, /*add=*/true);
  }
}

HttpLoad::~HttpLoad() {
  for (const Connection& connection : connections_) ::close(connection.socket);
  ::close(poll_);
}

void HttpLoad::Watch(size_t index, bool writing, bool add) {
  epoll_event wanted{};
  wanted.events = EPOLLIN | (writing ? EPOLLOUT : 0U);
  wanted.data.u64 = index;
  ::epoll_ctl(poll_, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connections_[index].socket, &wanted);
}

bool HttpLoad::Flush(size_t index) {
  Connection& connection = connections_[index];
  while (!connection.unsent.empty()) {
    const ssize_t sent = ::send(connection.socket,
                                connection.unsent.data(),
                                connection.unsent.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      Require(errno == EAGAIN, "sending");
      return false;
    }
    connection.unsent.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

void HttpLoad::Send(size_t index, std::string request) {
  connections_[index].began = Now();
  connections_[index].unsent = std::move(request);
  if (!Flush(index)) Watch(index, /*writing=*/true, /*add=*/false);
}

bool HttpLoad::Take(Connection& connection, std::string_view bytes) const {
  if (connection.head_bytes == 0) {
    connection.received.append(bytes);
    const size_t end = connection.received.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    connection.head_bytes = end + 4;
    HttpReply reply;
    reply.head = std::string_view(connection.received).substr(0, end + 2);
    const std::string_view length = reply.Header("Content-Length");
    connection.body_bytes = 0;
    std::from_chars(length.data(), length.data() + length.size(), connection.body_bytes);
    connection.missing =
        connection.body_bytes - (connection.received.size() - connection.head_bytes);
    return connection.missing == 0;
  }
  connection.missing -= bytes.size();
  const bool is_kept = long_bodies_ == LongBodies::kKept || connection.body_bytes <= kShortBody;
  if (is_kept) connection.received.append(bytes);
  return connection.missing == 0;
}

bool HttpLoad::Receive(size_t index, const Script& script) {
  Connection& connection = connections_[index];
  const ssize_t count = ::recv(connection.socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return false;
  Require(count > 0, "receiving");
  if (!Take(connection, std::string_view(buffer_).substr(0, static_cast<size_t>(count)))) {
    return false;
  }
  const std::string_view all = connection.received;
  HttpReply reply;
  reply.head = all.substr(0, connection.head_bytes - 2);
  reply.body = all.substr(connection.head_bytes);
  reply.body_bytes = connection.body_bytes;
  std::from_chars(all.data() + 9, all.data() + 12, reply.status);
  reply.seconds = Now() - connection.began;
  std::string next = script(index, &reply);
  connection.received.clear();
  connection.head_bytes = 0;
  if (next.empty()) {
    connection.received.shrink_to_fit();
    return true;
  }
  Send(index, std::move(next));
  return false;
}

void HttpLoad::Run(size_t connections, const Script& script, size_t at_once) {
  next_ = std::min(connections, at_once);
  end_ = connections;
  Begin(0, next_, script);
  Wait(script);
}

void HttpLoad::Begin(size_t first, size_t end, const Script& script) {
  for (size_t i = first; i < end; ++i) {
    std::string request = script(i, nullptr);
    if (request.empty()) continue;
    ++running_;
    Send(i, std::move(request));
  }
}

void HttpLoad::Wait(const Script& script) {
  std::array<epoll_event, 256> events{};
  while (running_ > 0) {
    const int ready = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 30'000);
    Require(ready > 0, "waiting for an answer");
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events.at(static_cast<size_t>(i));
      const size_t index = event.data.u64;
      if ((event.events & EPOLLOUT) != 0 && Flush(index)) Watch(index, false, false);
      if ((event.events & EPOLLIN) == 0 || !Receive(index, script)) continue;
      --running_;
      if (next_ == end_) continue;
      ++next_;
      Begin(next_ - 1, next_, script);
    }
  }
}

std::string HttpRequest(std::string_view method,
                        std::string_view path,
                        std::string_view headers,
                        std::string_view body) {
  std::string text(method);
  text.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n").append(headers);
  text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
  return text.append(body);
}

}  // namespace tidemark::bench
