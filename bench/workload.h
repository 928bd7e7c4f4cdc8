// The operations that both sides of a comparison run: the same, in the same order, in every run.
// Made batch by batch, so that a workload of any size takes little memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark::bench {

inline constexpr size_t kIdBytes = 16;
inline constexpr size_t kValueBytes = 200;

/// A record's id: 16 hexadecimal digits.
using Id = std::array<char, kIdBytes>;
inline std::string_view View(const Id& id) {
  return {id.data(), id.size()};
}

/// The id of the n-th object: unique, and in no order.
Id IdOf(uint64_t object);

/// A small, fast generator of random numbers (splitmix64).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t Roll();
  /// Below `limit`, which is at least 1.
  uint64_t Below(uint64_t limit) { return Roll() % limit; }

 private:
  uint64_t state_;
};

/// Values of 200 random bytes, cut from a pool: they do not compress, and two of them are equal
/// once in a million times.
class Values {
 public:
  explicit Values(uint64_t seed);
  /// Valid as long as this lives.
  std::string_view Next();
  /// The value of this number: always the same.
  std::string_view At(uint64_t number) const;

 private:
  Dice dice_;
  std::string pool_;
};

struct Operation {
  Id id{};
  std::string_view value;
  bool erase = false;
};
using Batch = std::span<const Operation>;

/// Puts of the objects 0 to n - 1: a first load.
class LoadOperations {
 public:
  LoadOperations() : values_(1) {}
  /// Valid until the next call.
  Batch Next(size_t size = 1000);

 private:
  Values values_;
  uint64_t next_ = 0;
  std::vector<Operation> batch_;
};

/// Half of the operations create, four in ten update and one in ten deletes a random live object.
class MixedOperations {
 public:
  MixedOperations() : dice_(2), values_(3) {}
  Batch Next(size_t size = 1000);
  uint64_t live_count() const { return live_.size(); }

 private:
  Operation NextOperation();

  Dice dice_;
  Values values_;
  uint64_t created_ = 0;
  std::vector<uint32_t> live_;
  std::vector<Operation> batch_;
};

/// Objects that live for one batch: half of each batch creates, half deletes what the batch before
/// created. One object in a hundred is spared.
class ChurnOperations {
 public:
  ChurnOperations() : values_(4) {}
  Batch Next(size_t size = 1000);
  uint64_t survivor_count() const { return survivors_; }

 private:
  Values values_;
  uint64_t created_ = 0;
  uint64_t survivors_ = 0;
  std::vector<uint64_t> doomed_;
  std::vector<Operation> batch_;
};

/// Updates of distinct random objects among the first `base`.
class UpdateOperations {
 public:
  explicit UpdateOperations(uint64_t base) : base_(base), dice_(5), values_(6) {}
  /// Requires size <= base / 2.
  Batch Next(size_t size);

 private:
  uint64_t base_;
  Dice dice_;
  Values values_;
  std::vector<Operation> batch_;
};

}  // namespace tidemark::bench
