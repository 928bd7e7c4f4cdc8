#include "tools/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "format/json.h"
#include "tools/output.h"
#include "tools/text_table.h"

namespace tidemark::tools {
namespace {

constexpr auto kLineInterval = std::chrono::seconds(1);
constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr size_t kBarWidthMax = 30;
constexpr std::string_view kEraseLine = "\r\x1b[K";

std::string_view UnitName(ProgressUnit unit) {
  switch (unit) {
    case ProgressUnit::kRecords:
      return "records";
    case ProgressUnit::kBytes:
      return "bytes";
    case ProgressUnit::kLines:
      return "lines";
  }
  return "";
}

std::string Amount(uint64_t count, ProgressUnit unit) {
  return unit == ProgressUnit::kBytes ? FormatBytes(count) : FormatCount(count);
}

std::string Remaining(uint64_t seconds) {
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace

Progress::Progress(Sink& sink, ProgressMode mode, size_t terminal_width, std::function<Time()> now)
    : sink_(sink), mode_(mode), width_(terminal_width), now_(std::move(now)) {}

void Progress::Begin(std::string_view work, ProgressUnit unit, uint64_t total) {
  End();
  work_ = work;
  unit_ = unit;
  done_ = 0;
  total_ = total;
  began_ = printed_ = now_();
  active_ = true;
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!active_ || mode_ == ProgressMode::kNone) return;
  done_ = done;
  if (total > 0) total_ = total;
  const Time now = now_();
  if (now - printed_ < (bar() ? Time::duration(kBarInterval) : Time::duration(kLineInterval))) {
    return;
  }
  printed_ = now;
  Print();
}

void Progress::End() {
  if (!active_) return;
  active_ = false;
  Hide();
  // Who asked for lines gets the whole story; others only hear of work that takes long.
  if (mode_ == ProgressMode::kPlain || mode_ == ProgressMode::kJson) Print();
}

void Progress::Hide() {
  if (!bar_shown_) return;
  bar_shown_ = false;
  sink_.Write(kEraseLine);
  sink_.Flush();
}

void Progress::Print() {
  if (mode_ == ProgressMode::kJson) {
    sink_.Write(JsonText() + "\n");
  } else if (bar()) {
    sink_.Write(std::string(kEraseLine) + BarText());
    bar_shown_ = true;
  } else {
    sink_.Write(PlainText() + "\n");
  }
  sink_.Flush();
}

double Progress::rate() const {
  const double seconds = std::chrono::duration<double>(now_() - began_).count();
  return seconds > 0 ? static_cast<double>(done_) / seconds : 0;
}

std::string Progress::PlainText() const {
  std::string text = fmt::format("{}: {}", work_, Amount(done_, unit_));
  if (total_ > 0) text += fmt::format(" of {}", Amount(total_, unit_));
  if (unit_ != ProgressUnit::kBytes) text += fmt::format(" {}", UnitName(unit_));
  const double per_second = rate();
  text += fmt::format(", {}/s", Amount(static_cast<uint64_t>(per_second), unit_));
  if (total_ > done_ && per_second > 0) {
    const double left = static_cast<double>(total_ - done_) / per_second;
    text += fmt::format(", {} left", Remaining(static_cast<uint64_t>(left)));
  }
  return text;
}

std::string Progress::JsonText() const {
  const double per_second = rate();
  JsonWriter writer;
  writer.BeginObject().Key("progress").BeginObject();
  writer.Key("work").String(work_).Key("unit").String(UnitName(unit_));
  writer.Key("done").Unsigned(done_);
  if (total_ > 0) writer.Key("total").Unsigned(total_);
  writer.Key("per_second").Unsigned(static_cast<uint64_t>(per_second));
  if (total_ > done_ && per_second > 0) {
    const double left = static_cast<double>(total_ - done_) / per_second;
    writer.Key("seconds_left").Unsigned(static_cast<uint64_t>(left));
  }
  writer.EndObject().EndObject();
  return writer.Take();
}

std::string Progress::BarText() const {
  if (total_ == 0) return FitText(PlainText(), width_ - 1);
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const std::string text = PlainText();
  const size_t taken = DisplayWidth(text) + 4;
  if (taken + 10 > width_) return FitText(text, width_ - 1);
  const size_t cells = std::min(kBarWidthMax, width_ - taken);
  const auto full = static_cast<size_t>(share * static_cast<double>(cells));
  return "[" + std::string(full, '#') + std::string(cells - full, ' ') + "] " + text;
}

}  // namespace tidemark::tools
