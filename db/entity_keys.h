// What records have of the declared keys of their entity.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/batch.h"
#include "format/json.h"
#include "format/stay.h"

namespace tidemark {

/// The declared keys of one entity at one moment. Immutable, so thread-safe; copies share.
class EntityKeys {
 public:
  struct Data;
  /// No keys.
  EntityKeys() = default;
  /// For the rest of this room only.
  explicit EntityKeys(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

  /// The order in which a declared key names these fields; nullopt when no key has exactly them.
  std::optional<std::vector<std::string>> FindFields(std::vector<std::string> fields) const;
  /// The part of records that have these values of a declared key, whose fields they follow.
  /// nullopt: there is no such key, or a value is no scalar.
  std::optional<KeyValue> Find(const std::vector<std::string>& fields,
                               const std::vector<JsonField>& values) const;

  /// What a live row of the log has of every key. A row older than a key does not say; its value
  /// does, and then `*scratch` holds the answer.
  std::span<const OpenStay> StaysOf(const BatchRow& row, std::vector<OpenStay>* scratch) const;

 private:
  std::shared_ptr<const Data> data_;
};

}  // namespace tidemark
