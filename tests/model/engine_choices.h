// What the model of the engine draws: selections and parts of them, by the keys that are declared.
#pragma once

#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/model/engine_oracle.h"
#include "tests/model/engine_world.h"

namespace tidemark::model {

inline const std::vector<std::string> kEntityNames = {"users", "visits", "events"};

inline bool OneIn(std::mt19937_64& random, uint64_t n) {
  return random() % n == 0;
}

/// One of 36 values: some have an owner, some an area, some both.
inline std::string ValueOf(uint64_t which) {
  std::string value = R"({"value":)" + std::to_string(which % 3);
  const uint64_t owner = which / 3 % 4;
  const uint64_t area = which / 12;
  if (owner > 0) value += R"(,"owner":)" + std::to_string(owner);
  if (area > 0) value += std::string(R"(,"area":)") + (area == 1 ? R"("a")" : R"("b")");
  return value + "}";
}

inline std::set<PlainPart> AnyParts(const EngineWorld& world, std::mt19937_64& random) {
  std::set<PlainPart> parts;
  for (const std::string& entity : kEntityNames) {
    if (world.CountKeys(entity) == 0) continue;
    for (int owner = 1; owner <= 3; ++owner) {
      const std::string text = std::to_string(owner);
      if (OneIn(random, 4)) parts.insert({entity, {{"owner", text}}});
      for (const char* area : {R"("a")", R"("b")"}) {
        if (world.CountKeys(entity) > 1 && OneIn(random, 6)) {
          parts.insert({entity, {{"owner", text}, {"area", area}}});
        }
      }
    }
  }
  return parts;
}

inline PlainSelection AnySelection(const EngineWorld& world, std::mt19937_64& random) {
  PlainSelection selection;
  if (OneIn(random, 3)) return selection;
  selection.entities.emplace();
  for (const std::string& entity : kEntityNames) {
    if (OneIn(random, world.CountKeys(entity) > 0 ? 5 : 2)) selection.entities->insert(entity);
  }
  selection.parts = AnyParts(world, random);
  return selection;
}

}  // namespace tidemark::model
