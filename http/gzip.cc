#include "http/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "http/internal/ascii.h"

namespace tidemark::http {
namespace {

using internal::EqualsIgnoringCase;

constexpr int kLevel = 1;             // most of what there is to gain, for a third of the time
constexpr int kGzipWindow = 15 + 16;  // the largest window, in the format of gzip
constexpr int kMemoryLevel = 8;

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// `gzip;q=0` and the like: a weight of nothing but zeros.
bool IsRefused(std::string_view parameters) {
  const size_t equals = parameters.find('=');
  if (equals == std::string_view::npos) return false;
  if (!EqualsIgnoringCase(Trim(parameters.substr(0, equals)), "q")) return false;
  return Trim(parameters.substr(equals + 1)).find_first_not_of("0.") == std::string_view::npos;
}

// Empty when it cannot be compressed, or would become no shorter.
std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  const int begun =
      deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY);
  if (begun != Z_OK) return {};
  std::string out(bytes.size(), '\0');
  // zlib's interface is older than const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());  // NOLINT
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return ended == Z_STREAM_END ? out : std::string();
}

}  // namespace

bool AsksForGzip(const Headers& headers) {
  bool asks = false;
  for (const auto& [name, value] : headers.fields()) {
    if (!EqualsIgnoringCase(name, "Accept-Encoding")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      const std::string_view coding = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t semicolon = std::min(coding.find(';'), coding.size());
      if (!EqualsIgnoringCase(Trim(coding.substr(0, semicolon)), "gzip")) continue;
      asks = !IsRefused(coding.substr(std::min(semicolon + 1, coding.size())));
    }
  }
  return asks;
}

void Compress(Response* response) {
  if (response->stream != nullptr) return;
  const std::string_view body =
      response->shared_body != nullptr ? std::string_view(*response->shared_body) : response->body;
  if (body.size() < kGzipBytesMin) return;
  std::string compressed = Gzip(body);
  if (compressed.empty()) return;
  response->shared_body.reset();
  response->body = std::move(compressed);
  response->headers.Add("Content-Encoding", "gzip");
  response->headers.Add("Vary", "Accept-Encoding");
}

}  // namespace tidemark::http
