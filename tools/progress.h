// Progress on standard error: a bar on a terminal, plain lines or JSON lines elsewhere, at most one
// a second. Short work says nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tools/sink.h"

namespace tidemark::tools {

enum class ProgressMode : uint8_t { kAuto, kPlain, kJson, kNone };

enum class ProgressUnit : uint8_t { kRecords, kBytes, kLines };

/// Thread-compatible; one piece of work at a time.
class Progress {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `terminal_width` is 0 when standard error is no terminal.
  Progress(Sink& sink,
           ProgressMode mode,
           size_t terminal_width,
           std::function<Time()> now = &std::chrono::steady_clock::now);

  /// Begins `work`, such as "upload"; `total` 0 is unknown.
  void Begin(std::string_view work, ProgressUnit unit, uint64_t total = 0);
  void Update(uint64_t done, uint64_t total = 0);
  /// Ends the work: the bar is removed, explicit modes get a last line.
  void End();
  /// Removes the bar, so that something else can be written; it comes back with the next update.
  void Hide();

 private:
  bool bar() const { return mode_ == ProgressMode::kAuto && width_ > 0; }
  void Print();
  std::string PlainText() const;
  std::string JsonText() const;
  std::string BarText() const;
  double rate() const;

  Sink& sink_;
  ProgressMode mode_;
  size_t width_;
  std::function<Time()> now_;

  std::string work_;
  ProgressUnit unit_ = ProgressUnit::kRecords;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  Time began_;
  Time printed_;
  bool active_ = false;
  bool bar_shown_ = false;
};

}  // namespace tidemark::tools
