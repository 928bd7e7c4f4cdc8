#include "http/internal/body_reader.h"

#include <algorithm>

#include "http/internal/ascii.h"

namespace tidemark::http::internal {
namespace {

constexpr size_t kSizeDigitsMax = 16;
constexpr size_t kIgnoredBytesMax = 8 * 1024;
/// A client that says it sends much has not sent it yet.
constexpr uint64_t kReservedBytesMax = 64 * 1024;

bool IsClean(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head, uint64_t bytes_max)
    : bytes_max_(bytes_max), chunked_(head.chunked) {
  if (chunked_) {
    state_ = State::kSize;
  } else if (head.content_length > bytes_max) {
    Overflow();
  } else if (head.content_length > 0) {
    state_ = State::kData;
    left_ = head.content_length;
    body_.reserve(static_cast<size_t>(std::min(left_, kReservedBytesMax)));
  }
}

size_t BodyReader::Take(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !done() && !fault_.has_value()) {
    if (state_ == State::kData) {
      taken += TakeData(bytes.substr(taken));
    } else {
      Step(bytes[taken++]);
    }
  }
  return taken;
}

size_t BodyReader::TakeData(std::string_view bytes) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  body_.append(bytes.substr(0, size));
  left_ -= size;
  if (left_ == 0) state_ = chunked_ ? State::kDataReturn : State::kDone;
  return size;
}

void BodyReader::Step(char c) {
  switch (state_) {
    case State::kSize:
      return StepSize(c);
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLineFeed;
      } else if (!IsClean(c) || ++ignored_bytes_ > kIgnoredBytesMax) {
        fault_ = Malformed("an extension of a chunk is malformed or too long");
      }
      return;
    case State::kSizeLineFeed:
      if (c != '\n') return Expect(c, '\n', State::kData);
      return EndSize();
    case State::kDataReturn:
      return Expect(c, '\r', State::kDataLineFeed);
    case State::kDataLineFeed:
      return Expect(c, '\n', State::kSize);
    case State::kTrailer:
      return StepTrailer(c);
    case State::kTrailerLineFeed:
      Expect(c, '\n', trailer_line_ == 0 ? State::kDone : State::kTrailer);
      trailer_line_ = 0;
      return;
    case State::kData:
    case State::kDone:
      return;
  }
}

void BodyReader::StepSize(char c) {
  const int digit = HexDigit(c);
  if (digit >= 0) {
    if (++size_digits_ > kSizeDigitsMax) {
      fault_ = Malformed("the size of a chunk has too many digits");
      return;
    }
    left_ = left_ * 16 + static_cast<uint64_t>(digit);
  } else if (size_digits_ == 0 || (c != '\r' && c != ';')) {
    fault_ = Malformed("the size of a chunk is no hexadecimal number");
  } else {
    state_ = c == '\r' ? State::kSizeLineFeed : State::kExtension;
  }
}

void BodyReader::EndSize() {
  size_digits_ = 0;
  if (left_ > bytes_max_ - body_.size()) return Overflow();
  state_ = left_ > 0 ? State::kData : State::kTrailer;
}

void BodyReader::StepTrailer(char c) {
  if (c == '\r') {
    state_ = State::kTrailerLineFeed;
  } else if (!IsClean(c) || ++ignored_bytes_ > kIgnoredBytesMax) {
    fault_ = Malformed("a trailer is malformed or too long");
  } else {
    ++trailer_line_;
  }
}

void BodyReader::Expect(char c, char expected, State next) {
  if (c == expected) {
    state_ = next;
  } else {
    fault_ = Malformed("chunks and their lines end in CR LF");
  }
}

void BodyReader::Overflow() {
  fault_ = Fault{413, "too_large", "a body has at most " + std::to_string(bytes_max_) + " bytes"};
}

}  // namespace tidemark::http::internal
