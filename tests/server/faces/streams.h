// Reading the streams of answers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "http/message.h"

namespace tidemark::server::test {

/// The next chunk of a stream; "" at its end.
inline std::string Next(const http::Response& response) {
  struct Chunk {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<std::string> text;
  };
  auto chunk = std::make_shared<Chunk>();
  response.stream->Next([chunk](std::optional<std::string> text) {
    const std::lock_guard lock(chunk->mutex);
    chunk->text = text.value_or("");
    chunk->arrived.notify_all();
  });
  std::unique_lock lock(chunk->mutex);
  chunk->arrived.wait_for(lock, std::chrono::seconds(20), [&] { return chunk->text.has_value(); });
  return chunk->text.value_or("no chunk in time");
}

}  // namespace tidemark::server::test
