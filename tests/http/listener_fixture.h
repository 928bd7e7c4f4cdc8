// A listener whose handler does what the path says.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/listener.h"
#include "tests/support/raw_http.h"

namespace tidemark::http {

/// `/echo` answers the body, `/host` whom the request is for, `/target` the decoded parts, `/slow`
/// after 100 ms, `/never` drops its responder, `/throw` throws, `/keep` keeps the responder,
/// `/stream` streams three pieces.
class TestHandler : public Handler {
 public:
  void Handle(std::shared_ptr<const Request> request, Responder respond) override {
    const std::string what = request->segments.empty() ? "" : request->segments[0];
    Response response;
    response.content_type = "text/plain";
    if (what == "echo") {
      response.body = request->body;
    } else if (what == "big") {
      response.shared_body = std::make_shared<const std::string>(1'000'000, 'x');
    } else if (what == "target") {
      for (const std::string& segment : request->segments) response.body += "[" + segment + "]";
      for (const auto& [name, value] : request->query) response.body += name + "=" + value + ";";
    } else if (what == "empty") {
      Response empty;
      empty.status = 204;
      empty.body = "must not be sent";
      respond(std::move(empty));
      return;
    } else if (what == "header") {
      response.body = std::string(request->headers.Find("Authorization").value_or("none"));
    } else if (what == "host") {
      response.body = std::string(request->headers.Find("Host").value_or("none"));
    } else if (what == "odd") {
      throw 7;
    } else if (what == "quiet") {
      response.stream = std::make_shared<QuietStream>();
    } else if (what == "slow") {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      response.body = "slow";
    } else if (what == "never") {
      return;
    } else if (what == "throw") {
      throw std::runtime_error("as asked");
    } else if (what == "keep") {
      const std::lock_guard lock(mutex);
      kept.push_back(std::move(respond));
      return;
    } else if (what == "stream") {
      response.stream = std::make_shared<Pieces>();
    } else {
      response.status = 404;
    }
    respond(std::move(response));
  }

  Response Refuse(int status,
                  std::string_view code,
                  std::string_view message,
                  std::string_view request_id) override {
    return {
        .status = status,
        .content_type = "text/plain",
        .headers = {},
        .body = std::string(code) + ": " + std::string(message) + " " + std::string(request_id)};
  }

  size_t KeptCount() {
    const std::lock_guard lock(mutex);
    return kept.size();
  }

  std::mutex mutex;
  std::vector<Responder> kept;

 private:
  // Sends one piece, and then nothing.
  struct QuietStream : BodyStream {
    void Next(std::function<void(std::optional<std::string>)> ready) override {
      if (!std::exchange(sent, true)) return ready("piece;");
      kept = std::move(ready);
    }
    bool sent = false;
    std::function<void(std::optional<std::string>)> kept;
  };
  struct Pieces : BodyStream {
    void Next(std::function<void(std::optional<std::string>)> ready) override {
      if (sent == 3) return ready(std::nullopt);
      ready("piece" + std::to_string(++sent) + ";");
    }
    int sent = 0;
  };
};

class ListenerTest : public testing::Test {
 protected:
  void Begin(const ListenerLimits& limits = {}, int workers = 4) {
    auto started = Listener::Start({.workers = workers, .limits = limits}, handler_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    listener_ = *std::move(started);
  }
  uint16_t port() const { return listener_->port(); }

  TestHandler handler_;
  std::unique_ptr<Listener> listener_;
};

inline std::string Get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
}
inline std::string Post(const std::string& target, const std::string& body) {
  return "POST " + target +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

}  // namespace tidemark::http
