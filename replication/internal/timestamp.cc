#include "replication/internal/timestamp.h"

#include <algorithm>
#include <cstddef>

namespace tidemark::internal {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kDayMs = 24 * 60 * kMinuteMs;

// Walks over a timestamp; every step fails for good once one failed.
class TimestampReader {
 public:
  explicit TimestampReader(std::string_view text) : rest_(text) {}

  int Digits(size_t count) {
    if (rest_.size() < count) return Fail();
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return Fail();
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  void Expect(char wanted) {
    if (!Take(wanted)) Fail();
  }

  bool Take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // One digit or more; returns the first three as milliseconds.
  int Fraction() {
    const size_t end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (end == 0) return Fail();
    int milliseconds = 0;
    for (size_t i = 0; i < 3; ++i) {
      milliseconds = milliseconds * 10 + (i < end ? rest_[i] - '0' : 0);
    }
    rest_.remove_prefix(end);
    return milliseconds;
  }

  bool empty() const { return rest_.empty(); }
  bool Finished() const { return ok_ && rest_.empty(); }

 private:
  int Fail() {
    ok_ = false;
    return -1;
  }

  std::string_view rest_;
  bool ok_ = true;
};

bool InRange(int value, int first, int last) {
  return first <= value && value <= last;
}

int DaysInMonth(int year, int month) {
  if (month == 2) return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29 : 28;
  return (month == 4 || month == 6 || month == 9 || month == 11) ? 30 : 31;
}

// Days since 1970-01-01 in the Gregorian calendar: years of 365 days, the leap days before, and the
// days of the months before.
int64_t DaysSince1970(int year, int month, int day) {
  const int before = year - 1;
  int64_t days = int64_t{365} * (year - 1970) + (before / 4 - before / 100 + before / 400) - 477;
  for (int m = 1; m < month; ++m) days += DaysInMonth(year, m);
  return days + day - 1;
}

bool ReadDate(TimestampReader& reader, int64_t* milliseconds) {
  const int year = reader.Digits(4);
  reader.Expect('-');
  const int month = reader.Digits(2);
  reader.Expect('-');
  const int day = reader.Digits(2);
  if (!InRange(month, 1, 12) || !InRange(day, 1, DaysInMonth(year, month))) return false;
  *milliseconds += DaysSince1970(year, month, day) * kDayMs;
  return true;
}

bool ReadTime(TimestampReader& reader, int64_t* milliseconds) {
  const int hour = reader.Digits(2);
  reader.Expect(':');
  const int minute = reader.Digits(2);
  int second = 0;
  int fraction = 0;
  if (reader.Take(':')) {
    second = reader.Digits(2);
    if (reader.Take('.') || reader.Take(',')) fraction = reader.Fraction();
  }
  *milliseconds += (int64_t{hour} * 60 + minute) * kMinuteMs + int64_t{second} * 1000 + fraction;
  return InRange(hour, 0, 23) && InRange(minute, 0, 59) && InRange(second, 0, 60);
}

bool ReadZone(TimestampReader& reader, int64_t* milliseconds) {
  if (reader.empty() || reader.Take('Z')) return true;
  const bool behind = reader.Take('-');
  if (!behind && !reader.Take('+')) return false;
  const int hours = reader.Digits(2);
  int minutes = 0;
  if (reader.Take(':') || !reader.empty()) minutes = reader.Digits(2);
  const int64_t offset = (int64_t{hours} * 60 + minutes) * kMinuteMs;
  *milliseconds += behind ? offset : -offset;
  return InRange(hours, 0, 23) && InRange(minutes, 0, 59);
}

}  // namespace

std::optional<int64_t> ReadIsoTimestamp(std::string_view text) {
  TimestampReader reader(text);
  int64_t milliseconds = 0;
  if (!ReadDate(reader, &milliseconds)) return std::nullopt;
  if (reader.Take('T') && !(ReadTime(reader, &milliseconds) && ReadZone(reader, &milliseconds))) {
    return std::nullopt;
  }
  if (!reader.Finished()) return std::nullopt;
  return milliseconds;
}

}  // namespace tidemark::internal
