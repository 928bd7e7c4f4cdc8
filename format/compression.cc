#include "format/compression.h"

#include <zstd.h>

namespace tidemark {
namespace {

constexpr int kLevel = 3;  // higher ones take twice the time for a few per cent

}  // namespace

std::optional<std::string> Compress(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  std::string out(bytes.size() - 1, '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kLevel);
  if (ZSTD_isError(size) != 0) return std::nullopt;  // it does not fit, for one
  out.resize(size);
  return out;
}

std::optional<std::string> Decompress(std::string_view bytes, size_t size) {
  std::string out(size, '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(got) != 0 || got != size) return std::nullopt;
  return out;
}

}  // namespace tidemark
