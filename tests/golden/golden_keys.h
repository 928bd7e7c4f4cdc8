// What the kept store with declared keys and queues holds.
#pragma once

#include <string>
#include <string_view>

#include "tests/golden/golden_content.h"

namespace tidemark::golden {

/// The owner; area and owner; and the project, which is dropped before the store is kept.
inline EntityDeclaration Keyed(bool with_project) {
  EntityDeclaration declaration;
  declaration.keys = {{{"owner"}}, {{"area", "owner"}}};
  if (with_project) declaration.keys.push_back({{"project"}});
  return declaration;
}

/// Written before any key was declared: its row does not say what it has of them.
inline WriteBatch BeforeKeys() {
  WriteBatch batch;
  batch.Put("visits", "early", R"({"owner":1})", ValueKind::kJson);
  return batch;
}

inline WriteBatch WithKeys() {
  WriteBatch batch;
  batch.Put("visits", "v1", R"({"owner":1,"area":"n","project":7})", ValueKind::kJson);
  batch.Put("visits", "v2", R"({"owner":2,"area":"n"})", ValueKind::kJson);
  batch.Put("visits", "v3", R"({"owner":1,"area":"s"})", ValueKind::kJson);
  batch.Put("visits", "v4", R"({"note":"nobody's"})", ValueKind::kJson);
  batch.Put("notes", "n1", R"({"text":"all"})", ValueKind::kJson);
  return batch;
}

/// One moves, one goes, after the device was told of both.
inline WriteBatch Moves() {
  WriteBatch batch;
  batch.Put("visits", "v1", R"({"owner":2,"area":"n","project":7})", ValueKind::kJson);
  batch.Delete("visits", "early");
  return batch;
}

/// What the device is granted, and what the token of its session grants at most.
inline constexpr std::string_view kRule =
    R"({"entities":["notes",{"entity":"visits","where":{"owner":[1,2]}}]})";
inline constexpr std::string_view kLimit =
    R"({"entities":[{"entity":"visits","where":{"owner":[1]}}]})";

inline constexpr std::string_view kFirstQueue =
    R"({"order":1,"entities":[{"entity":"visits","where":{"area":["n"],"owner":[1,2]}}]})";
inline constexpr std::string_view kSecondQueue = R"({"order":2,"entities":["notes"]})";

}  // namespace tidemark::golden
