// Figures as text that Prometheus reads: its exposition format 0.0.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace tidemark::server {

/// Writes metrics one after the other, each name behind "tidemark_".
class Exposition {
 public:
  void Begin(std::string_view name, std::string_view type, std::string_view help) {
    Append({"# HELP tidemark_", name, " ", help, "\n# TYPE tidemark_", name, " ", type, "\n"});
  }
  /// Of the metric that was begun last. `labels` are in braces, or empty.
  void Sample(std::string_view name, std::string_view labels, uint64_t value) {
    Append({"tidemark_", name, labels, " ", std::to_string(value), "\n"});
  }
  /// The same, of a time, without labels.
  void Seconds(std::string_view name, uint64_t microseconds) {
    std::string digits = std::to_string(microseconds % 1'000'000);
    digits.insert(0, 6 - digits.size(), '0');
    Append({"tidemark_", name, " ", std::to_string(microseconds / 1'000'000), ".", digits, "\n"});
  }
  /// A metric with one sample.
  void One(std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
    Begin(name, type, help);
    Sample(name, "", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  void Append(std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) text_ += part;
  }

  std::string text_;
};

}  // namespace tidemark::server
