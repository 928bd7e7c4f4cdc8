// The body of a request as it arrives: counted by its length, or taken out of chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/internal/fault.h"
#include "http/internal/request_head.h"

namespace tidemark::http::internal {

/// Strict, like the head: line breaks are CR LF, sizes are plain hexadecimal. Extensions of chunks
/// and trailers are bounded and ignored.
class BodyReader {
 public:
  /// A length beyond `bytes_max` is a fault at once.
  BodyReader(const RequestHead& head, uint64_t bytes_max);

  /// Takes what belongs to the body from the front of `bytes`, and says how many that were. All of
  /// them, unless it is done or has found a fault.
  size_t Take(std::string_view bytes);

  bool done() const { return state_ == State::kDone; }
  const std::optional<Fault>& fault() const { return fault_; }
  /// Valid once it is done.
  std::string& body() { return body_; }

 private:
  enum class State : uint8_t {
    kSize,          // of a chunk
    kExtension,     // of a chunk, up to its CR
    kSizeLineFeed,  // after it
    kData,          // of a chunk, or of a body whose length is known
    kDataReturn,    // after it
    kDataLineFeed,  // after that
    kTrailer,       // a line of it, or the empty line
    kTrailerLineFeed,
    kDone,
  };

  void Step(char c);
  void StepSize(char c);
  void EndSize();
  void StepTrailer(char c);
  void Expect(char c, char expected, State next);
  size_t TakeData(std::string_view bytes);
  void Overflow();

  const uint64_t bytes_max_;
  bool chunked_;
  State state_ = State::kDone;
  uint64_t left_ = 0;  // of the chunk, or of the body
  size_t size_digits_ = 0;
  size_t ignored_bytes_ = 0;  // extensions and trailers
  size_t trailer_line_ = 0;   // bytes of the present line
  std::string body_;
  std::optional<Fault> fault_;
};

}  // namespace tidemark::http::internal
