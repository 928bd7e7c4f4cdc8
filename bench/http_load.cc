#include "bench/http_load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>

#include "bench/harness.h"

namespace tidemark::bench {
namespace {

constexpr size_t kReceiveBytes = size_t{256} * 1024;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double ThreadSeconds() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
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

HttpLoad::HttpLoad(uint16_t port, size_t connections)
    : poll_(::epoll_create1(EPOLL_CLOEXEC)),
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

bool HttpLoad::Receive(size_t index, const Script& script) {
  Connection& connection = connections_[index];
  const ssize_t count = ::recv(connection.socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return false;
  Require(count > 0, "receiving");
  connection.received.append(buffer_, 0, static_cast<size_t>(count));
  const std::string_view all = connection.received;
  const size_t head_end = all.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return false;
  HttpReply reply;
  reply.head = all.substr(0, head_end + 2);
  const std::string_view length = reply.Header("Content-Length");
  size_t body = 0;
  std::from_chars(length.data(), length.data() + length.size(), body);
  if (all.size() < head_end + 4 + body) return false;
  reply.body = all.substr(head_end + 4, body);
  std::from_chars(all.data() + 9, all.data() + 12, reply.status);
  reply.seconds = Now() - connection.began;
  std::string next = script(index, &reply);
  connection.received.clear();
  if (next.empty()) {
    connection.received.shrink_to_fit();
    return true;
  }
  Send(index, std::move(next));
  return false;
}

double HttpLoad::Run(size_t connections, const Script& script) {
  const double begin = ThreadSeconds();
  size_t running = 0;
  for (size_t i = 0; i < connections; ++i) {
    std::string first = script(i, nullptr);
    if (first.empty()) continue;
    ++running;
    Send(i, std::move(first));
  }
  std::array<epoll_event, 256> events{};
  while (running > 0) {
    const int ready = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 30'000);
    Require(ready > 0, "waiting for an answer");
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events.at(static_cast<size_t>(i));
      const size_t index = event.data.u64;
      if ((event.events & EPOLLOUT) != 0 && Flush(index)) Watch(index, false, false);
      if ((event.events & EPOLLIN) != 0 && Receive(index, script)) --running;
    }
  }
  return ThreadSeconds() - begin;
}

std::string HttpRequest(std::string_view method,
                        std::string_view path,
                        std::string_view headers,
                        std::string_view body) {
  std::string text(method);
  text.append(" ").append(path).append(" HTTP/1.1\r\nHost: bench\r\n").append(headers);
  text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
  return text.append(body);
}

}  // namespace tidemark::bench
