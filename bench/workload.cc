#include "bench/workload.h"

#include <cstring>
#include <unordered_set>

namespace tidemark::bench {
namespace {

constexpr size_t kPoolBytes = size_t{1} << 20;

// One to one, so that distinct objects get distinct ids.
uint64_t Scramble(uint64_t number) {
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

}  // namespace

Id IdOf(uint64_t object) {
  uint64_t rest = Scramble(object + 0x9e3779b97f4a7c15);
  Id id;
  for (char& digit : id) {
    digit = "0123456789abcdef"[rest >> 60];
    rest <<= 4;
  }
  return id;
}

uint64_t Dice::Roll() {
  state_ += 0x9e3779b97f4a7c15;
  return Scramble(state_);
}

Values::Values(uint64_t seed) : dice_(seed), pool_(kPoolBytes + kValueBytes, '\0') {
  for (size_t at = 0; at + sizeof(uint64_t) <= pool_.size(); at += sizeof(uint64_t)) {
    const uint64_t word = dice_.Roll();
    std::memcpy(pool_.data() + at, &word, sizeof(word));
  }
}

std::string_view Values::Next() {
  return At(dice_.Roll());
}

std::string_view Values::At(uint64_t number) const {
  return std::string_view(pool_).substr(Scramble(number) % kPoolBytes, kValueBytes);
}

Batch LoadOperations::Next(size_t size) {
  batch_.clear();
  for (size_t i = 0; i < size; ++i) {
    batch_.push_back({.id = IdOf(next_++), .value = values_.Next()});
  }
  return batch_;
}

Batch MixedOperations::Next(size_t size) {
  batch_.clear();
  for (size_t i = 0; i < size; ++i) batch_.push_back(NextOperation());
  return batch_;
}

Operation MixedOperations::NextOperation() {
  const uint64_t kind = dice_.Below(10);
  if (kind < 5 || live_.empty()) {
    live_.push_back(static_cast<uint32_t>(created_));
    return {.id = IdOf(created_++), .value = values_.Next()};
  }
  uint32_t& chosen = live_[dice_.Below(live_.size())];
  const Id id = IdOf(chosen);
  if (kind < 9) return {.id = id, .value = values_.Next()};
  chosen = live_.back();
  live_.pop_back();
  return {.id = id, .value = {}, .erase = true};
}

Batch ChurnOperations::Next(size_t size) {
  constexpr uint64_t kSparedOneIn = 100;
  batch_.clear();
  for (const uint64_t object : doomed_) batch_.push_back({.id = IdOf(object), .erase = true});
  doomed_.clear();
  for (size_t i = 0; i < size / 2; ++i) {
    batch_.push_back({.id = IdOf(created_), .value = values_.Next()});
    if (created_ % kSparedOneIn == 0) {
      ++survivors_;
    } else {
      doomed_.push_back(created_);
    }
    ++created_;
  }
  return batch_;
}

Batch UpdateOperations::Next(size_t size) {
  batch_.clear();
  std::unordered_set<uint64_t> taken;
  while (batch_.size() < size) {
    const uint64_t object = dice_.Below(base_);
    if (!taken.insert(object).second) continue;
    batch_.push_back({.id = IdOf(object), .value = values_.Next()});
  }
  return batch_;
}

}  // namespace tidemark::bench
