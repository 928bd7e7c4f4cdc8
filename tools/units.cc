#include "tools/units.h"

#include <charconv>
#include <limits>
#include <span>
#include <string>

namespace tidemark::tools {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1ULL << 10U}, {"MiB", 1ULL << 20U}, {"GiB", 1ULL << 30U}};

std::optional<uint64_t> ParseAmount(std::string_view text, std::span<const Unit> units) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<uint64_t> number = ParseUnsigned(text.substr(0, end));
  if (!number) return {};
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  for (const Unit& unit : units) {
    if (text.substr(end) != unit.name) continue;
    if (*number > kMax / unit.factor) return {};
    return *number * unit.factor;
  }
  return {};
}

}  // namespace

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return {};
  return number;
}

Result<int64_t> ParseDuration(std::string_view text) {
  const auto amount = ParseAmount(text, kDurations);
  if (amount) return static_cast<int64_t>(*amount);
  return Status(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\" is no duration such as 90s, 15m, 12h or 30d");
}

Result<uint64_t> ParseByteCount(std::string_view text) {
  const auto amount = ParseAmount(text, kSizes);
  if (amount) return *amount;
  return Status(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\" is no size such as 4096, 64KiB, 10MiB or 2GiB");
}

}  // namespace tidemark::tools
