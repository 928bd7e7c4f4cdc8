#include "server/accept.h"

#include <algorithm>
#include <charconv>

namespace tidemark::server {
namespace {

constexpr double kNotNamed = -1;

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool SameWord(std::string_view a, std::string_view b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// Takes what stands before the next `separator` off the front of `text`.
std::string_view NextPart(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view part = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return Trim(part);
}

/// Of one media range, after its type; a weight that is none counts as 0.
double WeightOf(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = NextPart(&parameters, ';');
    if (!SameWord(NextPart(&value, '='), "q")) continue;
    double weight = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), weight);
    const bool good = error == std::errc() && stop == value.data() + value.size();
    return good && weight >= 0 && weight <= 1 ? weight : 0;
  }
  return 1;
}

double WeightOf(const http::Headers& headers, std::string_view type) {
  double weight = kNotNamed;
  for (const auto& [name, value] : headers.fields()) {
    if (!SameWord(name, "Accept")) continue;
    std::string_view ranges = value;
    while (!ranges.empty()) {
      std::string_view range = NextPart(&ranges, ',');
      if (SameWord(NextPart(&range, ';'), type)) weight = std::max(weight, WeightOf(range));
    }
  }
  return weight;
}

}  // namespace

bool Prefers(const http::Headers& headers, std::string_view type, std::string_view usual) {
  const double weight = WeightOf(headers, type);
  return weight > 0 && weight >= WeightOf(headers, usual);
}

}  // namespace tidemark::server
