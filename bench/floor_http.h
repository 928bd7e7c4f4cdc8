// The least that a server of pages can do: it looks for the end of a request and sends the same
// bytes again. No parsing, no store, no marks, no threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace tidemark::bench {

/// Answers every request on a free port of loopback with `body_bytes` bytes until `ready`, which is
/// called with the port on a thread of its own, returns.
void ServeFixedBodies(size_t body_bytes, const std::function<void(uint16_t port)>& ready);

}  // namespace tidemark::bench
